//! What the tests share: settings of a cloud, the Python client, waiting with a deadline.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use devcloud::{Cloud, CloudConfig, ImageConfig, ledger::InstanceState};

pub(crate) const ACCESS_KEY: &str = "test-key";
pub(crate) const SECRET_KEY: &str = "test-secret";

/// Where `cargo xtask setup` puts what tests need.
pub(crate) fn cache() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    from("VERDIGRIS_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("verdigris")))
        .or_else(|| from("HOME").map(|path| path.join(".cache/verdigris")))
        .expect("VERDIGRIS_CACHE or HOME must be set")
}

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
    let python = cache().join("venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`",
        python.display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ec2_client.py");
    let mut command = tokio::process::Command::new(python);
    command
        .arg(script)
        .args([endpoint, image])
        .args(scenario)
        .kill_on_drop(true);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    for name in ["AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env_remove(name);
    }
    let output = tokio::time::timeout(Duration::from_secs(180), command.output())
        .await
        .expect("the client ends within three minutes")
        .expect("the client can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{scenario:?} failed (is boto3 missing? run `cargo xtask setup`):\n{errors}"
    );
    String::from_utf8(output.stdout).unwrap()
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
