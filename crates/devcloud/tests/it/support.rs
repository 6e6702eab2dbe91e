//! What the tests share: settings of a cloud, the Python client, waiting with a deadline.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use devcloud::{Cloud, CloudConfig, ImageConfig, ledger::InstanceState};

use crate::host::cache;

pub(crate) const ACCESS_KEY: &str = "test-key";
pub(crate) const SECRET_KEY: &str = "test-secret";

/// Settings of a cloud in `directory` on a free port, with public addresses of its own.
pub(crate) fn config(directory: &Path) -> CloudConfig {
    let mut config = CloudConfig::new(directory.join("cloud"), ACCESS_KEY, SECRET_KEY);
    config.ssh_port = free_port();
    config.public_network = 87;
    config
}

/// An image for machines that are none.
pub(crate) fn fake_image(directory: &Path) -> ImageConfig {
    let path = directory.join("image");
    fs_err::create_dir_all(path.join("root")).unwrap();
    let text = r#"{"name":"fake","architecture":"x86_64","layers":["root"]}"#;
    fs_err::write(path.join("image.json"), text).unwrap();
    ImageConfig::read(&path).unwrap()
}

/// A port that nothing listened on just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Runs a scenario of `ec2_client.py` and returns what it printed.
pub(crate) async fn boto3(endpoint: &str, image: &str, scenario: &[&str]) -> String {
    let arguments = [&[endpoint, image], scenario].concat();
    client("python", "ec2_client.py", &arguments).await
}

/// Runs a program of the Python environment on a file of this directory, and returns what it printed.
pub(crate) async fn client(program: &str, file: &str, arguments: &[&str]) -> String {
    let path = cache().join("venv/bin").join(program);
    assert!(
        path.exists(),
        "{} is missing: run `cargo xtask setup`",
        path.display()
    );
    let mut command = tokio::process::Command::new(path);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(file))
        .args(arguments)
        .kill_on_drop(true);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("ANSIBLE_COLLECTIONS_PATH", cache().join("collections"));
    command.env("ANSIBLE_LOCALHOST_WARNING", "false");
    for name in ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env_remove(name);
    }
    let output = tokio::time::timeout(Duration::from_secs(300), command.output())
        .await
        .expect("the client ends within five minutes")
        .expect("the client can be run");
    let (printed, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{file} {arguments:?} failed (is something missing? run `cargo xtask setup`):\n{printed}\n{errors}"
    );
    printed.into_owned()
}

/// Launches instances with boto3 and returns their ids when they run.
pub(crate) async fn launch(cloud: &Cloud, image: &str, count: usize) -> Vec<String> {
    let printed = boto3(&cloud.endpoint(), image, &["launch", &count.to_string()]).await;
    let ids: Vec<String> = printed.split_whitespace().map(str::to_owned).collect();
    assert_eq!(ids.len(), count);
    ids
}

/// Waits until an instance is in a state.
pub(crate) async fn reaches(cloud: &Cloud, id: &str, state: InstanceState) {
    until(&format!("{id} is {}", state.name()), || {
        cloud
            .ledger()
            .snapshot()
            .instances
            .get(id)
            .is_some_and(|instance| instance.state == state)
    })
    .await;
}

/// Waits until something is so, for at most 30 seconds.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(
            Instant::now() < deadline,
            "after 30 s it is still not so that {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
