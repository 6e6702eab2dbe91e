//! Keys as OpenSSH itself makes them.

use std::process::Command;

use shell::{ClientKey, HostKey};
use tempfile::TempDir;

/// The private and the public half of a key that ssh-keygen makes.
fn made(arguments: &[&str]) -> (String, String) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("key");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-C", "a b", "-f"])
        .arg(&file)
        .args(arguments)
        .status()
        .expect("ssh-keygen starts");
    assert!(status.success());
    let read = |file| std::fs::read_to_string(file).expect("a file");
    (read(file.clone()), read(file.with_extension("pub")))
}

#[test]
fn a_key_of_opensshs_is_read_with_its_comment() {
    let (private, public) = made(&["-t", "ed25519", "-N", ""]);
    let key = ClientKey::parse(&private).expect("a key");
    assert_eq!(key.public_openssh().expect("a line"), public.trim_end());
    let host = HostKey::parse(&public).expect("a key");
    assert_eq!(
        (key.fingerprint().as_str(), &key.host_key().expect("a key")),
        (host.fingerprint(), &host)
    );
}

#[test]
fn keys_that_are_locked_or_of_another_kind_are_refused_with_the_reason() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["-t", "ed25519", "-N", "secret"],
            "it is protected by a passphrase",
        ),
        (
            &["-t", "ecdsa", "-N", ""],
            "it is ecdsa-sha2-nistp256, expected ssh-ed25519",
        ),
    ];
    for (arguments, expected) in cases {
        let (private, public) = made(arguments);
        let error = ClientKey::parse(&private).expect_err("refused").to_string();
        assert_eq!(error, format!("the private SSH key is not usable: {expected}"));
        assert!(HostKey::parse(&public).is_ok(), "a machine may have it");
        let error = ClientKey::parse(&public).expect_err("the wrong half").to_string();
        assert!(
            error.starts_with("the private SSH key is not usable: "),
            "{error}"
        );
    }
}
