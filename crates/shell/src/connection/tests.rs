use russh::keys::EcdsaCurve;
use russh::keys::HashAlg;

use super::*;

const KNOWN: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBOKeTRlemEJuTqU+NHG19d0klrYSG+lo5LND2vjMwEUzdJUoaLpHx861YG/Kh9tMgaS31vRiC7mAmKssNTihBXc=";

fn endpoint() -> Endpoint {
    Endpoint::new("h", 22, "root")
}

#[test]
fn an_endpoint_is_shown_so_that_the_port_can_be_told() {
    let cases = [
        (endpoint(), "root@h:22"),
        (Endpoint::new("10.0.0.1", 2222, "a"), "a@10.0.0.1:2222"),
        (Endpoint::new("fe80::1", 22, "a"), "a@[fe80::1]:22"),
    ];
    for (endpoint, expected) in cases {
        assert_eq!(endpoint.to_string(), expected);
    }
}

/// A machine that still boots hangs up or says nothing; one that disagrees does so for ever.
#[test]
fn only_a_machine_that_may_still_boot_is_called_again() {
    let cases = [
        (russh::Error::IO(std::io::ErrorKind::ConnectionReset.into()), true),
        (russh::Error::Disconnect, true),
        (russh::Error::HUP, true),
        (russh::Error::ConnectionTimeout, true),
        (russh::Error::KeepaliveTimeout, true),
        (russh::Error::Version, false),
        (russh::Error::KexInit, false),
        (russh::Error::WrongServerSig, false),
        (russh::Error::PacketAuth, false),
    ];
    for (cause, is_worth_it) in cases {
        let shown = cause.to_string();
        let error = handshake_error(&endpoint(), EXCHANGING_KEYS, cause);
        assert_eq!(error.is_worth_retrying(), is_worth_it, "{shown}");
        let expected = match is_worth_it {
            true => "root@h:22 cannot be reached: the key exchange failed",
            false => "the key exchange with root@h:22 failed in the SSH protocol",
        };
        assert_eq!(error.to_string(), expected, "{shown}");
    }
}

#[test]
fn a_key_that_was_shown_is_named_and_one_that_was_not_is_no_mismatch() {
    let expected = HostKey::parse(KNOWN).expect("a key");
    let notes = Notes::default();
    let error = mismatch(&endpoint(), &expected, &notes);
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    let other = ClientKey::generate("").expect("a key").host_key().expect("a key");
    notes.set_host_key(other.clone());
    let error = mismatch(&endpoint(), &expected, &notes).to_string();
    let (got, wanted) = (other.fingerprint(), expected.fingerprint());
    assert_eq!(
        error,
        format!("root@h:22 shows the host key {got}, expected {wanted}")
    );
}

#[test]
fn why_a_connection_ended_is_known_from_its_last_note() {
    let notes = Notes::default();
    assert_eq!(notes.end(), "the peer closed the channel without an exit status");
    notes.set_end("Keepalive timeout".to_owned());
    assert_eq!(notes.end(), "Keepalive timeout");
}

/// A machine with keys of several kinds shows the first kind that is asked for.
#[test]
fn the_kind_of_the_pinned_key_is_asked_for_first_and_the_others_behind_it() {
    let curve = EcdsaCurve::NistP256;
    let expected = HostKey::parse(ECDSA).expect("a key");
    let settings = configuration(Some(&expected), Timeouts::default());
    let order = settings.preferred.key;
    assert_eq!(order.first(), Some(&Algorithm::Ecdsa { curve }));
    assert!(order.len() > 1, "{order:?}");
    assert_eq!(
        (settings.keepalive_interval, settings.keepalive_max),
        (Some(Duration::from_secs(5)), 3)
    );
    let rsa = |hash| Algorithm::Rsa { hash };
    let cases = [
        (Algorithm::Ed25519, Algorithm::Ed25519, true),
        (rsa(Some(HashAlg::Sha256)), rsa(Some(HashAlg::Sha512)), true),
        (rsa(None), rsa(Some(HashAlg::Sha512)), true),
        (rsa(None), Algorithm::Ed25519, false),
        (Algorithm::Ecdsa { curve }, Algorithm::Ed25519, false),
    ];
    for (one, other, expected) in cases {
        assert_eq!(same_family(&one, &other), expected, "{one} {other}");
    }
}
