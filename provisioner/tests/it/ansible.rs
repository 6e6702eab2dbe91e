//! The same playbook by the real `ansible-playbook` and by ours, on two fresh hosts: the same files come out.

use std::path::PathBuf;
use std::process::Command;

use provisioner::Mode;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::builder::{TOUCHED, real, repository, vars};
use crate::throwaway::{LONG, Throwaway, load_text, object};

/// Where `cargo xtask setup` puts Python programs.
fn ansible_playbook() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("VERDIGRIS_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("verdigris")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/verdigris")))
        .expect("HOME is set");
    let program = cache.join("venv/bin/ansible-playbook");
    let hint = "run `cargo xtask setup` (pip install 'ansible-core==2.19.*' into a venv there)";
    assert!(program.exists(), "this test needs {}: {hint}", program.display());
    program
}

fn run_ansible(host: &Throwaway, playbook: &std::path::Path, vars: &Map<String, Value>) -> String {
    let scratch = TempDir::new().expect("a directory");
    let file = scratch.path().join("vars.json");
    std::fs::write(&file, Value::Object(vars.clone()).to_string()).expect("a file");
    let settings = scratch.path().join("ansible.cfg");
    std::fs::write(&settings, "[defaults]\n").expect("a file");
    let output = Command::new(ansible_playbook())
        .arg("-i")
        .arg("127.0.0.1,")
        .args(["-u", "root", "--private-key"])
        .arg(host.key_file())
        .arg("-e")
        .arg(format!("@{}", file.display()))
        .args([
            "-e",
            &format!(
                "ansible_port={} ansible_python_interpreter=/usr/bin/python3",
                host.endpoint.port
            ),
        ])
        .arg(playbook)
        .env("ANSIBLE_CONFIG", settings)
        .env("ANSIBLE_HOST_KEY_CHECKING", "False")
        .env("ANSIBLE_PIPELINING", "True")
        .env("ANSIBLE_LOCAL_TEMP", scratch.path())
        .env("ANSIBLE_HOME", scratch.path())
        .env(
            "ANSIBLE_SSH_ARGS",
            "-F /dev/null -o UserKnownHostsFile=/dev/null -o ControlMaster=no",
        )
        .env("ANSIBLE_NOCOLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("ansible-playbook starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

fn recap(text: &str) -> &str {
    text.lines()
        .find(|line| line.contains("changed="))
        .expect("a recap")
}

#[tokio::test]
async fn builder_yml_comes_to_the_same_result_as_with_the_real_ansible() {
    let (ours, theirs) = (Throwaway::start(), Throwaway::start());
    let provisioner = real();
    let connection = ours.connect().await;
    let report = provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));

    let staged = TempDir::new().expect("a directory");
    provisioner
        .stage("builder.yml", &vars(), staged.path())
        .expect("staged");
    let mut vars = vars();
    vars.insert("staged".to_owned(), json!(staged.path()));
    let playbook = repository().join("playbooks/builder.yml");
    let text = run_ansible(&theirs, &playbook, &vars);

    let differs = |path: &String| path.contains("__pycache__");
    let mut left = ours.snapshot(TOUCHED);
    let mut right = theirs.snapshot(TOUCHED);
    left.retain(|path, _| !differs(path));
    right.retain(|path, _| !differs(path));
    assert_eq!(left, right);
    assert!(left.len() > 30, "{left:?}");
    let changed = format!("changed={}", report.changed());
    assert!(
        recap(&text).split_whitespace().any(|word| word == changed),
        "ours: {changed}, theirs: {}",
        recap(&text)
    );

    // What one made, the other finds in order.
    let other = theirs.connect().await;
    let report = provisioner
        .run(&other, "builder.yml", &vars, Mode::Apply, LONG)
        .await
        .expect("ours after theirs");
    assert_eq!(report.changed(), 0, "{report}");
}

/// Corners of single modules, compared by the files they leave.
#[tokio::test]
async fn corners_of_modules_come_to_the_same_result_as_with_the_real_ansible() {
    let playbook = include_str!("corners.yml");
    let (ours, theirs) = (Throwaway::start(), Throwaway::start());
    let scratch = TempDir::new().expect("a directory");
    let folder = scratch.path().join("tree");
    std::fs::create_dir_all(folder.join("deep/er")).expect("folders");
    std::fs::write(folder.join("one"), "1\n").expect("a file");
    std::fs::write(folder.join("deep/er/two"), "2\n").expect("a file");
    let vars = object(json!({ "tree": folder, "chosen": "given" }));
    let file = scratch.path().join("corners.yml");
    std::fs::write(&file, playbook).expect("a file");
    run_ansible(&theirs, &file, &vars);
    let connection = ours.connect().await;
    let report = load_text(playbook)
        .expect("loaded")
        .run(&connection, "p.yml", &vars, Mode::Apply, LONG)
        .await;
    report.unwrap_or_else(|error| panic!("{error}"));
    let paths = &["/srv/t", "/etc/passwd", "/etc/group", "/etc/shadow"];
    assert_eq!(ours.snapshot(paths), theirs.snapshot(paths));
    assert!(ours.snapshot(paths).len() > 20);
    assert_eq!(ours.read("/srv/t/values"), theirs.read("/srv/t/values"));
}
