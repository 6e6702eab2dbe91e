use std::fs;

use shell::{ClientKey, Endpoint};
use tempfile::TempDir;

use super::*;

#[test]
fn the_program_is_found_by_its_path_or_in_path() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, mode| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, "#!/bin/sh\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        path
    };
    let (good, later) = (file("b/play", 0o755), file("c/play", 0o755));
    file("a/play", 0o644);
    fs::create_dir(folder.path().join("a/folder")).expect("a folder");
    let path = ["a", "b", "c"].map(|name| folder.path().join(name));
    let path = std::env::join_paths(path).expect("a path");
    for (name, expected) in [
        ("play", Some(&good)),
        (later.to_str().expect("text"), Some(&later)),
        ("other", None),
        ("folder", None),
        (folder.path().join("a/play").to_str().expect("text"), None),
    ] {
        assert_eq!(program(name, &path).as_ref(), expected, "{name}");
    }
    let missing = Ansible::find(Some("no-such-program-of-ansible")).expect_err("missing");
    let words = "there is no program no-such-program-of-ansible in PATH: install ansible-core";
    assert!(missing.to_string().starts_with(words), "{missing}");
}

#[test]
fn what_ssh_says_is_told_apart() {
    let key = ClientKey::generate("farm").expect("a key");
    let target = Target {
        endpoint: Endpoint::new("h", 22, "root"),
        host_key: key.host_key().expect("a key"),
        key,
        connection: None,
    };
    let print = target.host_key.fingerprint();
    let changed = "Failed to connect to the host via ssh: @@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n\
        The fingerprint for the ED25519 key sent by the remote host is\nSHA256:abc+/9.\nHost key verification failed.";
    for (said, tasks, expected) in [
        (
            changed,
            1,
            format!("root@h:22 shows the host key SHA256:abc+/9, expected {print}"),
        ),
        (
            "No ED25519 host key is known for h.\nHost key verification failed.",
            0,
            format!("root@h:22 shows the host key of another machine, expected {print}"),
        ),
        (
            "root@h: Permission denied (publickey).",
            1,
            format!("root@h:22 refuses the key {print}"),
        ),
        (
            "ssh: connect to host h port 22: Connection refused",
            1,
            "root@h:22 cannot be reached: the connection by ssh failed".to_owned(),
        ),
        // After other tasks it is a connection that was lost.
        (
            "Connection timed out",
            3,
            "P, T: the connection failed".to_owned(),
        ),
    ] {
        let failed = Failed {
            place: "P, T".to_owned(),
            module: "copy".to_owned(),
            message: said.to_owned(),
            status: None,
            stderr: String::new(),
            is_unreachable: true,
        };
        assert_eq!(unreachable(failed, &target, tasks).to_string(), expected);
    }
}
