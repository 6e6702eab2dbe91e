//! The runner that is the real `ansible-playbook`, on throwaway hosts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provisioner::{Ansible, Error, Mode, Outcome, PlaybookRunner, Provisioner, Report, Request};
use serde_json::{Map, Value, json};
use shell::ClientKey;
use tempfile::TempDir;

use crate::builder::{TOUCHED, real, vars};
use crate::real::program;
use crate::throwaway::{Throwaway, object};

/// The real Ansible takes minutes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(600);

fn ansible(provisioner: Provisioner) -> Ansible {
    let program = program().display().to_string();
    Ansible::new(Arc::new(provisioner), Some(&program)).expect("it is there")
}

/// Playbooks that only the real Ansible plays.
fn foreign(files: &[(&str, &str)]) -> Ansible {
    let (playbooks, rest) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    for (name, text) in files {
        let path = playbooks.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
    let loaded = Provisioner::load_beside_ansible(playbooks.path(), rest.path(), Some(&BTreeSet::new()));
    // What is played is what was loaded: the folders are gone by then.
    ansible(loaded.unwrap_or_else(|error| panic!("{error}")))
}

fn request<'a>(playbook: &'a str, vars: &'a Map<String, Value>, mode: Mode) -> Request<'a> {
    Request {
        playbook,
        vars,
        mode,
        limit: PATIENCE,
        part: None,
        progress: None,
    }
}

async fn play(ansible: &Ansible, host: &Throwaway, vars: &Map<String, Value>) -> Result<Report, Error> {
    ansible
        .play(&host.target(), &request("p.yml", vars, Mode::Apply))
        .await
}

#[tokio::test]
async fn the_real_ansible_makes_a_builder_and_check_mode_changes_nothing() {
    let host = Throwaway::start();
    let (ansible, vars) = (ansible(real()), vars());
    let before = host.snapshot(TOUCHED);
    let looked = ansible
        .play(&host.target(), &request("builder.yml", &vars, Mode::Check))
        .await;
    let looked = looked.unwrap_or_else(|error| panic!("{error}"));
    assert!(looked.changed() > 5, "{looked}");
    let shown = looked.to_string();
    assert!(shown.contains("+++ after"), "{shown}");
    assert_eq!(host.snapshot(TOUCHED), before);

    let heard = Mutex::new(Vec::new());
    let progress = |task: &provisioner::TaskReport| heard.lock().expect("free").push(task.name.clone());
    let asked = Request {
        progress: Some(&progress),
        ..request("builder.yml", &vars, Mode::Apply)
    };
    let made = ansible.play(&host.target(), &asked).await;
    let made = made.unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<String> = made.tasks.iter().map(|task| task.name.clone()).collect();
    assert_eq!(*heard.lock().expect("free"), names);
    // Ours tells the same of every task, and finds nothing left to do.
    let ours = real()
        .play(&host.target(), &request("builder.yml", &vars, Mode::Check))
        .await;
    let ours = ours.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ours.changed(), 0, "{ours}");
    let lines = |report: &Report| -> Vec<(String, u64, String)> {
        let tasks = report.tasks.iter();
        tasks
            .map(|task| (task.name.clone(), task.line, task.module.to_string()))
            .collect()
    };
    assert_eq!(lines(&made), lines(&ours));
}

/// What ours does not know: a role, a handler, a block with a rescue.
const FOREIGN: &str = r#"- name: P
  hosts: all
  gather_facts: false
  roles: [greeting]
  tasks:
    - block:
        - name: Breaks
          ansible.builtin.command: sh -c 'echo broken >&2; exit 4'
      rescue:
        - name: Mends
          ansible.builtin.debug: {msg: "key {{ ansible_ssh_private_key_file }}"}
    - name: Fails on wish
      ansible.builtin.shell: "echo one >&2; echo this is why >&2; exit 7"
      when: fails | default(false)
"#;
const ROLE: &str =
    "- name: Greets\n  ansible.builtin.copy: {content: hello, dest: /srv/hello}\n  notify: Heard\n";
const HANDLER: &str = "- name: Heard\n  ansible.builtin.copy: {content: heard, dest: /srv/heard}\n";

#[tokio::test]
async fn a_playbook_that_only_ansible_knows_is_played_and_its_failure_is_one_line() {
    let host = Throwaway::start();
    let ansible = foreign(&[
        ("p.yml", FOREIGN),
        ("roles/greeting/tasks/main.yml", ROLE),
        ("roles/greeting/handlers/main.yml", HANDLER),
    ]);
    let report = play(&ansible, &host, &Map::new())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (host.read("/srv/hello"), host.read("/srv/heard")),
        ("hello".to_owned(), "heard".to_owned())
    );
    let found: Vec<(&str, Outcome)> = report
        .tasks
        .iter()
        .map(|task| (task.name.as_str(), task.outcome))
        .collect();
    let expected = [
        ("greeting : Greets", Outcome::Changed),
        ("greeting : Heard", Outcome::Changed),
        ("Breaks", Outcome::Failed),
        ("Mends", Outcome::Ok),
        ("Fails on wish", Outcome::Skipped),
    ];
    assert_eq!(
        BTreeSet::from_iter(found.iter().map(|it| it.0)),
        BTreeSet::from_iter(expected.iter().map(|it| it.0))
    );
    for one in &expected {
        assert!(found.contains(one), "{one:?} {found:?}");
    }
    // The private key was in a file for the time of the run.
    let key = report
        .tasks
        .iter()
        .find_map(|task| task.message.as_deref()?.strip_prefix("key "));
    let key = key.expect("it is told");
    assert!(
        key.contains("verdigris-play-") && !Path::new(key).exists(),
        "{key}"
    );

    let error = play(&ansible, &host, &object(json!({ "fails": true })))
        .await
        .expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"Fails on wish\" (p.yml:12): shell failed: non-zero return code: this is why (status 7)"
    );
}

#[tokio::test]
async fn mistakes_and_strangers_are_told_before_anything_is_done() {
    let host = Throwaway::start();
    let play = async |text: &str, change: &dyn Fn(&mut provisioner::Target)| {
        let ansible = foreign(&[("p.yml", text)]);
        let mut target = host.target();
        change(&mut target);
        let vars = Map::new();
        ansible
            .play(&target, &request("p.yml", &vars, Mode::Apply))
            .await
            .expect_err("refused")
    };
    let good = "- hosts: all\n  gather_facts: false\n  tasks:\n  - copy: {content: x, dest: /srv/x}\n";
    let another = ClientKey::generate("another").expect("a key");
    let stranger = play(good, &|target| {
        target.host_key = another.host_key().expect("a key")
    })
    .await;
    let Error::Unreachable(shell::Error::HostKeyMismatch { got, .. }) = &stranger else {
        panic!("{stranger}");
    };
    assert_eq!(got, host.target().host_key.fingerprint(), "{stranger}");
    let refused = play(good, &|target| target.key = another.clone()).await;
    assert!(
        matches!(
            refused,
            Error::Unreachable(shell::Error::AuthenticationRefused { .. })
        ),
        "{refused}"
    );
    let away = play(good, &|target| target.endpoint.port = 1).await;
    assert!(
        matches!(away, Error::Unreachable(shell::Error::Unreachable { .. })),
        "{away}"
    );
    assert!(!host.path("/srv/x").exists());
    let elsewhere = play("- name: E\n  hosts: others\n  tasks: []\n", &|_| {}).await;
    assert_eq!(
        elsewhere.to_string(),
        "p.yml: play \"E\" is for no machine here: its `hosts` has to be `all`"
    );
    for (text, words) in [
        ("- hosts: all\n  tasks:\n  - no_such_module: {}\n", "p.yml:3"),
        ("- hosts: all\n  tasks: [\n", "p.yml"),
    ] {
        let error = play(text, &|_| {}).await.to_string();
        assert!(
            error.starts_with("p.yml was not played: ansible-playbook ended with "),
            "{error}"
        );
        assert!(
            error.contains(words) && !error.contains("/playbooks/") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_run_ends_with_its_time_and_leaves_nothing_running() {
    let host = Throwaway::start();
    let text = "- name: P\n  hosts: all\n  gather_facts: false\n  tasks:\n  - name: Waits\n    command: sleep 77777\n";
    let ansible = foreign(&[("p.yml", text)]);
    let vars = Map::new();
    let asked = Request {
        limit: Duration::from_secs(12),
        ..request("p.yml", &vars, Mode::Apply)
    };
    let error = ansible.play(&host.target(), &asked).await.expect_err("too late");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"Waits\" (p.yml:5): the playbook did not end within 12s"
    );
    let port = host.endpoint.port.to_string();
    let ours = || {
        let all = std::fs::read_dir("/proc").expect("processes").flatten();
        let lines = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
        let ssh = lines.filter(|line| line.starts_with("ssh\0") || line.starts_with("ssh:"));
        ssh.filter(|line| line.contains(&port) || line.contains("verdigris-play-"))
            .collect::<Vec<_>>()
    };
    for _ in 0..100 {
        if ours().iter().all(|line| !line.contains(&port)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?}", ours());
}
