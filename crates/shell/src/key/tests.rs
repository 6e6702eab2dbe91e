use super::*;

const KNOWN: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti user@example.com";

#[test]
fn a_host_key_is_equal_whatever_its_comment() {
    let key = HostKey::parse(KNOWN).expect("a key");
    let same = HostKey::parse(&format!("{}\n", KNOWN.replace("user@example.com", "other"))).expect("a key");
    assert_eq!(key, same);
    assert_eq!(format!("{key} user@example.com"), KNOWN);
    assert!(
        key.fingerprint().starts_with("SHA256:") && key.fingerprint().len() == 50,
        "{}",
        key.fingerprint()
    );
}

#[test]
fn what_is_not_a_host_key_is_refused_with_a_reason() {
    for text in [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        &"x".repeat(20_000),
    ] {
        let error = HostKey::parse(text).expect_err("not a key");
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(
            error.to_string().starts_with("the host key is not usable: "),
            "{error}"
        );
    }
}

#[test]
fn a_client_key_survives_being_written_and_read() {
    let key = ClientKey::generate("verdigris controller").expect("a new key");
    let text = key.private_openssh().expect("text");
    let again = ClientKey::parse(&text).expect("the same key");
    assert_eq!(again.fingerprint(), key.fingerprint());
    let line = again.public_openssh().expect("a line");
    assert!(line.ends_with(" verdigris controller"), "{line}");
    assert_eq!(
        HostKey::parse(&line).expect("a key"),
        key.host_key().expect("a key")
    );
    assert_ne!(
        ClientKey::generate("").expect("a new key").fingerprint(),
        key.fingerprint()
    );
}

#[test]
fn a_client_key_shows_no_secret_in_debug_or_errors() {
    let key = ClientKey::generate("").expect("a new key");
    assert_eq!(format!("{key:?}"), format!("ClientKey({})", key.fingerprint()));
    let text = key.private_openssh().expect("text");
    let broken = text.replace("b3Bl", "b3Bm");
    let error = ClientKey::parse(&broken).expect_err("broken");
    let secret = text.lines().nth(2).expect("third line");
    assert!(!error.to_string().contains(secret), "{error}");
}

#[test]
fn of_several_lines_none_is_the_key() {
    let two = format!("{KNOWN}\n{KNOWN}\n");
    for text in [
        two.as_str(),
        &format!("# a comment\n{KNOWN}"),
        &format!("host {KNOWN}"),
    ] {
        assert!(HostKey::parse(text).is_err(), "{text}");
    }
    let blanks = format!("\n  {KNOWN}\r\n\n");
    assert_eq!(
        HostKey::parse(&blanks).expect("a key"),
        HostKey::parse(KNOWN).expect("a key")
    );
}

#[test]
fn of_a_machines_keys_those_are_preferred_that_can_be_proven() {
    let ecdsa = "ecdsa-sha2-nistp256 \
        AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHOlrtFa90hxKTNYCh02Eq2TiiXcWRHyaPHSwuRFiiqI6Wli/kSLj78+RtnIBbWCLPZSSI1Ut9m2z8t9ijdtfoE=";
    let rsa = "ssh-rsa \
        AAAAB3NzaC1yc2EAAAADAQABAAABgQC7Z/tBKaeH++E3B5HFobeAbfa2LcGjB9UdXX1HwJmDLOWHeXU8oTCJM19uguaHglUwHhmI1kvXToM8PmPlBrgD2sr+ctGCRpK3jpF13jZHVJTC0FBqchittEec+1UJuPfC9dFU2f9PwJTyXHlfu/4ePfT9ODlSJTgoetOYZyiF5LY6vKo5K7BexScB22UqFjVpAkzKWlKTago1KigQjoixCm6pqrdT2YER1f3tSA7YKvK33wcqTgkXfkOh2QxZh8Suu+JUPTgOKN51SwOOUvJQyAxRFJiJN8hTDPJHfbI/DnRFeE8LRXWzVMzXGb+p55FeiuBPMtpTbL56icsC9aJLtWMRWfa9Cmt/Jb8B0TC2Ff36scb4aNGhnORaYif+LY7h/GZm6h5kt9cAPMmb5oV97DFXtqSbfD15J029rir+ks/va6+f/e33GbfE+8lb4HTVQIDpX2oudRBOEccVgoOaErm3oMBSZD9ITxjpuZgxSwA5NYAmE0/ZqQsfoMA9uM8=";
    let preferences = [KNOWN, ecdsa, rsa].map(|text| HostKey::parse(text).expect("a key").preference());
    assert_eq!(preferences, [Some(0), Some(1), None]);
}
