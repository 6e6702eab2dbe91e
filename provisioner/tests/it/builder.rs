//! The real playbooks: a bare host becomes a builder, and is checked.

use std::path::{Path, PathBuf};

use provisioner::{Mode, Outcome, Provisioner};
use serde_json::{Map, Value, json};

use crate::throwaway::{LONG, Throwaway, object};

/// What builder.yml touches.
pub(crate) const TOUCHED: &[&str] = &[
    "/etc/verdigris",
    "/etc/mock",
    "/usr/libexec/verdigris",
    "/var/lib/verdigris",
    "/root/.ssh",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
];

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

pub(crate) fn real() -> Provisioner {
    let loaded = Provisioner::load(
        &repository().join("playbooks"),
        &repository().join("provision-files"),
    );
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn vars() -> Map<String, Value> {
    let chroot = |name: &str| {
        json!({
            "name": name, "os": "microdistro", "release": "1", "arch": "x86_64",
            "base": [{ "id": "base", "name": "Micro", "baseurl": "http://127.0.0.1/repo", "gpgcheck": false, "gpgkey": null }],
            "buildroot_packages": ["microdistro-buildroot"], "macros": {},
        })
    };
    object(json!({
        "fleet": "test", "pool": "small", "builder": "bdr-1",
        "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti one's key"],
        "chroots": [chroot("microdistro-1-x86_64"), chroot("microdistro-2-x86_64")],
    }))
}

#[tokio::test]
async fn a_bare_host_becomes_a_builder_and_a_second_run_changes_nothing() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    let first = provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await;
    let first = first.unwrap_or_else(|error| panic!("{error}"));
    println!("{first}");
    assert!(first.changed() > 10, "{first}");
    assert_eq!(
        (first.count(Outcome::Failed), first.count(Outcome::Ignored)),
        (0, 0),
        "{first}"
    );
    assert_eq!(host.mode("/usr/libexec/verdigris/verdigris-builder"), 0o755);
    assert!(host.read("/root/.ssh/authorized_keys").ends_with(" one's key\n"));
    assert!(
        host.read("/etc/shadow")
            .lines()
            .any(|line| line.starts_with("builder:*:"))
    );
    let identity: Value = serde_json::from_str(&host.read("/etc/verdigris/builder.json")).expect("JSON");
    assert_eq!(
        identity,
        json!({ "fleet": "test", "pool": "small", "builder": "bdr-1" })
    );
    let chroot: Value =
        serde_json::from_str(&host.read("/etc/verdigris/chroots/microdistro-2-x86_64.json")).expect("JSON");
    assert_eq!(chroot, vars()["chroots"][1]);

    let before = host.snapshot(TOUCHED);
    let second = provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await;
    let second = second.unwrap_or_else(|error| panic!("{error}"));
    println!("{second}");
    for t in &second.tasks {
        println!("TIME {:?} {}", t.duration, t.name);
    }
    assert_eq!(second.changed(), 0, "{second}");
    assert_eq!(host.snapshot(TOUCHED), before);
    let first_line = second.to_string().lines().next().map(str::to_owned);
    assert_eq!(first_line.as_deref(), Some("PLAY [Make a builder]"));
}

#[tokio::test]
async fn check_mode_tells_what_would_change_and_changes_nothing() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    let before = host.snapshot(TOUCHED);
    let bare = provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Check, LONG)
        .await;
    let bare = bare.unwrap_or_else(|error| panic!("{error}"));
    assert!(bare.changed() > 8, "{bare}");
    assert_eq!(host.snapshot(TOUCHED), before);

    provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await
        .expect("a builder");
    let after = host.snapshot(TOUCHED);
    let mut other = vars();
    other["pool"] = json!("large");
    let report = provisioner
        .run(&connection, "builder.yml", &other, Mode::Check, LONG)
        .await
        .expect("checked");
    assert_eq!(report.changed(), 1, "{report}");
    let task = report
        .tasks
        .iter()
        .find(|task| task.outcome == Outcome::Changed)
        .expect("one");
    let diff = task.diff.as_deref().expect("a diff");
    assert!(
        diff.contains("-{\"fleet\": \"test\", \"pool\": \"small\"")
            && diff.contains("+{\"fleet\": \"test\", \"pool\": \"large\""),
        "{diff}"
    );
    assert_eq!(host.snapshot(TOUCHED), after);
}

#[tokio::test]
async fn a_builder_is_ready_and_one_that_lacks_something_is_not() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    let none = Map::new();
    let error = provisioner
        .run(&connection, "check.yml", &none, Mode::Apply, LONG)
        .await
        .expect_err("bare");
    assert!(
        error.to_string().contains("is missing: run builder.yml first"),
        "{error}"
    );

    provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await
        .expect("a builder");
    let report = provisioner
        .run(&connection, "check.yml", &none, Mode::Apply, LONG)
        .await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.changed(), 0, "{report}");

    let greedy = object(json!({ "minimum_free_bytes": "99000000000000000" }));
    let error = provisioner
        .run(&connection, "check.yml", &greedy, Mode::Apply, LONG)
        .await
        .expect_err("no room");
    assert!(
        error.to_string().contains("99000000000000000 are needed"),
        "{error}"
    );
    let chroot = object(json!({ "expected_chroots": ["fedora-99-x86_64"] }));
    let error = provisioner
        .run(&connection, "check.yml", &chroot, Mode::Apply, LONG)
        .await
        .expect_err("no chroot");
    assert!(
        error
            .to_string()
            .contains("the chroot fedora-99-x86_64 is not defined"),
        "{error}"
    );
}

/// Tasks that put a service at the metadata address, which is one of the loopback's, and wait until it answers.
const SERVICE: &str = r#"- shell: |
    ip address add 169.254.169.254/32 dev lo
    cd /run/sshd
    setsid python3 -m http.server --bind 169.254.169.254 80 >/dev/null 2>&1 </dev/null &
- shell: python3 -c 'import socket; socket.create_connection(("169.254.169.254", 80), timeout=2)'
  register: asked
  until: asked.rc == 0
  retries: 200
  delay: 0
"#;

#[tokio::test]
async fn a_builder_that_reaches_the_metadata_service_is_not_ready_and_the_rules_hide_it_from_root() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    let run = async |playbook: &str| {
        provisioner
            .run(&connection, playbook, &vars(), Mode::Apply, LONG)
            .await
    };
    host.tasks(SERVICE).await;
    run("builder.yml").await.expect("a builder");
    run("check.yml").await.expect("ready");

    // As after a reboot, which forgets the rules.
    host.tasks("- command: nft delete table inet verdigris\n").await;
    let error = run("check.yml").await.expect_err("reachable").to_string();
    assert!(
        error.contains("the metadata service answers at 169.254.169.254"),
        "{error}"
    );
    let report = run("builder.yml").await.expect("a builder again");
    assert_eq!(report.changed(), 1, "{report}");
    run("check.yml").await.expect("ready again");
}

#[tokio::test]
async fn mock_keeps_its_own_configuration_of_the_chroots_it_knows_by_name() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    host.tasks(
        "- group: {name: mock, gid: 61002}\n\
         - copy: {content: \"#!/bin/sh\\n\", dest: /usr/bin/mock, mode: \"0755\"}\n\
         - file: {path: /etc/mock, state: directory}\n\
         - copy: {content: \"config_opts['root'] = 'fedora-43-x86_64'\\n\", dest: /etc/mock/fedora-43-x86_64.cfg}\n",
    )
    .await;
    let known = host.read("/etc/mock/fedora-43-x86_64.cfg");
    let mut vars = vars();
    vars["chroots"][0]["base"][0]["gpgcheck"] = json!(true);
    vars["chroots"][0]["base"][0]["gpgkey"] =
        json!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n");
    vars["chroots"][1] = json!({
        "name": "fedora-43-x86_64", "os": "fedora", "release": "43", "arch": "x86_64", "base": [],
        "buildroot_packages": [], "macros": {},
    });
    let report = provisioner
        .run(&connection, "builder.yml", &vars, Mode::Apply, LONG)
        .await;
    report.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(host.read("/etc/mock/fedora-43-x86_64.cfg"), known);
    assert!(
        host.read("/etc/mock/site-defaults.cfg")
            .contains("rpmbuild_networking")
    );
    let ready = host
        .tasks("- command: /usr/libexec/verdigris/verdigris-builder ready --chroot fedora-43-x86_64\n")
        .await;
    assert_eq!(ready.count(Outcome::Failed), 0, "{ready}");
}

#[test]
fn the_hash_of_the_configuration_is_stable_and_sees_every_file() {
    let hash = real().configuration_hash().to_owned();
    assert_eq!(hash, real().configuration_hash());
    assert_eq!(hash.len(), 64);
    let copy = tempfile::TempDir::new().expect("a directory");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([
            repository().join("playbooks"),
            repository().join("provision-files"),
        ])
        .arg(copy.path())
        .status();
    assert!(copied.expect("cp runs").success());
    let load = || {
        Provisioner::load(
            &copy.path().join("playbooks"),
            &copy.path().join("provision-files"),
        )
    };
    assert_eq!(load().expect("loaded").configuration_hash(), hash);
    std::fs::write(copy.path().join("provision-files/new"), "x").expect("a file");
    assert_ne!(load().expect("loaded").configuration_hash(), hash);
}
