//! What is understood of user data is done, and everything else is refused with its line.

use super::*;

fn config(text: &str) -> Config {
    match read(format!("#cloud-config\n{text}").into_bytes()) {
        Ok(UserData::Config(config)) => config,
        other => panic!("{other:?}"),
    }
}

fn refusal(text: &str) -> String {
    read(format!("#cloud-config\n{text}").into_bytes()).expect_err("this is refused")
}

#[test]
fn the_farms_own_form_gives_host_key_and_login_key() {
    let config = config(concat!(
        "ssh_keys:\n  ed25519_private: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    b3Bl\n",
        "    -----END OPENSSH PRIVATE KEY-----\n  ed25519_public: ssh-ed25519 AAAA host\n",
        "ssh_authorized_keys:\n  - ssh-ed25519 BBBB farm\n"
    ));
    assert_eq!(
        config.host_key.as_deref(),
        Some("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n")
    );
    assert_eq!(config.host_public_key.as_deref(), Some("ssh-ed25519 AAAA host"));
    assert_eq!(config.authorized_keys, ["ssh-ed25519 BBBB farm"]);
}

#[test]
fn commands_may_be_lines_quoted_lines_blocks_and_lists() {
    let config = config(concat!(
        "# a comment\nruncmd:\n- echo plain\n- 'it''s: quoted'\n- \"tab\\there\"\n",
        "- |\n  two\n    lines\n- [printf, \"a b\"]\n- echo a # comment\n\nssh_deletekeys: true\nssh_pwauth: no\n"
    ));
    assert_eq!(
        config.commands,
        [
            Command::Shell("echo plain".to_owned()),
            Command::Shell("it's: quoted".to_owned()),
            Command::Shell("tab\there".to_owned()),
            Command::Shell("two\n  lines\n".to_owned()),
            Command::Arguments(vec!["printf".to_owned(), "a b".to_owned()]),
            Command::Shell("echo a".to_owned()),
        ]
    );
}

#[test]
fn scripts_pass_unread_and_emptiness_is_nothing() {
    assert_eq!(
        read(b"#!/bin/sh\n\xff".to_vec()),
        Ok(UserData::Script(b"#!/bin/sh\n\xff".to_vec()))
    );
    assert_eq!(read(b"\n \n".to_vec()), Ok(UserData::None));
    assert_eq!(config(""), Config::default());
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (text, line) in [
        ("packages:\n  - vim\n", "line 2:"),
        ("ssh_keys:\n  rsa_private: |\n    x\n", "line 3:"),
        ("ssh_keys:\n  ed25519_private: \"\"\n", "line 3:"),
        ("runcmd:\n  - []\n", "line 3:"),
        ("runcmd: []\nruncmd: []\n", "line 3:"),
        ("ssh_authorized_keys:\n  - nonsense\n", "line 3:"),
        ("ssh_authorized_keys: [ab]\n", "line 2:"),
        ("runcmd:\n  - {ls: -l}\n", "line 3:"),
        ("runcmd:\n  - \"open\n", "line 3:"),
        ("runcmd:\n  echo\n", "line 3:"),
        ("  stray: 1\n", "line 2:"),
        ("ssh_pwauth: true\n", "line 2:"),
        ("no colon\n", "line 2:"),
    ] {
        assert!(refusal(text).starts_with(line), "{text:?}: {}", refusal(text));
    }
    assert!(read(b"MIME-Version: 1.0\n".to_vec()).is_err());
    assert!(read(vec![0xff, 0xfe]).is_err());
}
