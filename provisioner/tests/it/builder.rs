//! The real playbooks: a bare host becomes a builder, is checked, and is cleaned.

use std::path::{Path, PathBuf};

use provisioner::{Error, Mode, Outcome, Provisioner};
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
            "buildroot_packages": ["microdistro-buildroot"], "macros": {}, "package_manager": "dnf4",
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
    assert_eq!(host.read("/etc/verdigris/driver"), "chroot\n");
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
    assert!(bare.changed() > 10, "{bare}");
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

#[tokio::test]
async fn a_builder_is_cleaned_and_one_that_was_tampered_with_is_refused() {
    let host = Throwaway::start();
    let (provisioner, connection) = (real(), host.connect().await);
    let none = Map::new();
    provisioner
        .run(&connection, "builder.yml", &vars(), Mode::Apply, LONG)
        .await
        .expect("a builder");
    let report = provisioner
        .run(&connection, "clean.yml", &none, Mode::Apply, LONG)
        .await;
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.changed(), 0, "{report}");

    // A process of the build user that was left, holding the disk.
    host.tasks("- shell: setsid setpriv --reuid 61000 --regid 61000 --clear-groups sleep 600 >/dev/null 2>&1 </dev/null &\n").await;
    let report = provisioner
        .run(&connection, "clean.yml", &none, Mode::Apply, LONG)
        .await
        .expect("cleaned");
    assert_eq!(report.changed(), 1, "{report}");

    for (path, text) in [
        ("/etc/passwd", "evil:x:0:0::/:/bin/sh\n"),
        ("/usr/libexec/verdigris/verdigris-builder", "#\n"),
    ] {
        let old = host.read(path);
        host.write(path, &format!("{old}{text}"));
        let error = provisioner
            .run(&connection, "clean.yml", &none, Mode::Apply, LONG)
            .await
            .expect_err(path);
        assert!(
            matches!(&error, Error::TaskFailed(failure) if failure.module == "assert"),
            "{error}"
        );
        assert!(error.to_string().contains("when the machine was made"), "{error}");
        host.write(path, &old);
    }
    provisioner
        .run(&connection, "clean.yml", &none, Mode::Apply, LONG)
        .await
        .expect("as it was");
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
    std::fs::write(copy.path().join("provision-files/tools/new"), "x").expect("a file");
    assert_ne!(load().expect("loaded").configuration_hash(), hash);
}
