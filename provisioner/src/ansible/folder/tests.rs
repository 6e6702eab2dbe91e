use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use shell::{ClientKey, Endpoint};

use super::*;

fn target(host: &str, port: u16) -> Target {
    Target {
        endpoint: Endpoint::new(host, port, "admin"),
        host_key: ClientKey::generate("host")
            .expect("a key")
            .host_key()
            .expect("a key"),
        key: ClientKey::generate("farm").expect("a key"),
        connection: None,
    }
}

fn filled(target: &Target, files: &[File]) -> Folder {
    let folder = Folder::new().expect("a folder");
    folder.fill(files, target, &Map::new()).expect("filled");
    folder
}

#[test]
fn nobody_else_reads_it_and_it_goes_with_the_run() {
    let target = target("192.0.2.7", 22);
    let program = File {
        path: "roles/r/files/run".to_owned(),
        content: b"#!/bin/sh\n".to_vec(),
        executable: true,
    };
    let folder = filled(&target, &[program]);
    let mode = |path: &Path| path.metadata().expect("it").permissions().mode() & 0o777;
    for (name, expected) in [
        ("", 0o700),
        ("key", 0o600),
        ("known_hosts", 0o600),
        ("vars.json", 0o600),
        ("playbooks/roles/r/files/run", 0o700),
        ("ssh", 0o700),
    ] {
        assert_eq!(mode(&folder.path(name)), expected, "{name}");
    }
    let key = fs::read_to_string(folder.path("key")).expect("the key");
    assert_eq!(
        ClientKey::parse(&key).expect("a key").fingerprint(),
        target.key.fingerprint()
    );
    let path = folder.path("key");
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn the_machine_and_its_key_are_the_only_ones_known() {
    for (host, port, name) in [
        ("192.0.2.7", 22, "192.0.2.7"),
        ("2001:db8::1", 22, "2001:db8::1"),
        ("127.0.0.1", 2222, "[127.0.0.1]:2222"),
        ("2001:db8::1", 2222, "[2001:db8::1]:2222"),
    ] {
        let target = target(host, port);
        let folder = filled(&target, &[]);
        let known = fs::read_to_string(folder.path("known_hosts")).expect("a file");
        assert_eq!(known, format!("{name} {}\n", target.host_key));
        let inventory = fs::read_to_string(folder.path("inventory.json")).expect("a file");
        let inventory: Value = serde_json::from_str(&inventory).expect("JSON");
        let machine = &inventory["all"]["hosts"][host];
        let seen = (
            &machine["ansible_host"],
            &machine["ansible_port"],
            &machine["ansible_user"],
        );
        assert_eq!(seen, (&json!(host), &json!(port), &json!("admin")));
    }
}

#[test]
fn nothing_of_the_users_environment_is_handed_on() {
    let vars = Map::new();
    let request = |mode| Request {
        playbook: "p.yml",
        vars: &vars,
        mode,
        limit: Duration::from_secs(1),
        part: None,
        progress: None,
    };
    let folder = filled(&target("h", 22), &[]);
    let command = folder.command(Path::new("/bin/true"), &request(Mode::Apply));
    let set: BTreeMap<String, String> = command
        .as_std()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())))
        .collect();
    let inside = folder.path("").display().to_string();
    for name in ["HOME", "ANSIBLE_HOME", "ANSIBLE_CONFIG", "TMPDIR"] {
        assert!(set[name].starts_with(&inside), "{name}");
    }
    let ssh = &set["ANSIBLE_SSH_ARGS"];
    for option in [
        "-F /dev/null",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
    ] {
        assert!(ssh.contains(option), "{option}: {ssh}");
    }
    let arguments = |mode| -> Vec<String> {
        let command = folder.command(Path::new("/bin/true"), &request(mode));
        command
            .as_std()
            .get_args()
            .map(|it| it.to_string_lossy().into_owned())
            .collect()
    };
    let playbook = folder.playbooks().join("p.yml").display().to_string();
    assert_eq!(arguments(Mode::Apply).last(), Some(&playbook));
    assert!(!arguments(Mode::Apply).iter().any(|it| it == "--tags"));
    let of_part = Request {
        part: Some("boot"),
        ..request(Mode::Apply)
    };
    let command = folder.command(Path::new("/bin/true"), &of_part);
    let told: Vec<_> = command.as_std().get_args().collect();
    assert!(told.windows(2).any(|two| two == ["--tags", "boot"]), "{told:?}");
    let is_checking = |mode| arguments(mode).iter().any(|it| it == "--check");
    assert!(is_checking(Mode::Check) && !is_checking(Mode::Apply));
}
