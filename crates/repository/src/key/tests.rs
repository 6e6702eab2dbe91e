use model::Timestamp;

use super::{KeyAlgorithm, Passphrase, SigningKey};

const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn make(host: &str) -> crate::Result<SigningKey> {
    let (owner, project) = ("@team".parse().unwrap(), "demo".parse().unwrap());
    SigningKey::generate(&owner, &project, host, KeyAlgorithm::Ed25519, NOW)
}

#[test]
fn a_key_is_locked_and_opened() {
    let key = make("farm.example.org").unwrap();
    let passphrase = Passphrase::new("0123456789abcdef").unwrap();
    let locked = key.to_locked(&passphrase).unwrap();
    assert!(locked.starts_with("-----BEGIN PGP PRIVATE KEY BLOCK-----"));
    let opened = SigningKey::from_locked(&locked, &passphrase).unwrap();
    assert_eq!(opened.fingerprint(), key.fingerprint());
    assert_eq!(
        opened.user_id(),
        "@team_demo (key of a Verdigris project) <@team#demo@farm.example.org>"
    );
    assert_eq!(opened.public_armored().unwrap(), key.public_armored().unwrap());
    assert_eq!((key.fingerprint().len(), key.key_id().len()), (40, 16));
    assert!(SigningKey::from_locked(&locked, &Passphrase::new("0123456789abcdeX").unwrap()).is_err());
    assert!(SigningKey::from_locked("garbage", &passphrase).is_err());
}

#[test]
fn secrets_do_not_show() {
    let passphrase = Passphrase::new("0123456789abcdef").unwrap();
    assert!(!format!("{passphrase:?}").contains("0123"));
    let key = make("farm.example.org").unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.fingerprint()));
    assert!(Passphrase::new("short").is_err());
}

#[test]
fn a_host_cannot_break_out_of_the_user_id() {
    assert!(make("x> <root@other").is_err());
    assert!(make("").is_err());
    assert!(make("[::1]:8080").is_ok());
}
