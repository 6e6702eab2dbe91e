use super::*;

/// A file as ssh and `ssh-keygen -H` write it.
const FILE: &str = "# a comment
plain.example.org,192.0.2.7 ssh-rsa RSA
plain.example.org\tecdsa-sha2-nistp256   ECDSA root@plain
plain.example.org ssh-ed25519 ED25519
[plain.example.org]:2222 ecdsa-sha2-nistp256 ECDSA
  2001:db8::1 ssh-ed25519 ED25519

|1|HfRb34WuTryiG/RBZ9O1w1hfatU=|2NP2IdRhWr8ONxPFt7Up4cvAu80= ssh-ed25519 ED25519
|1|VIg9rmgkz+wZJz5+L10QJ0lklao=|Pu2HkBnUbTXMQJFbF6GSFrW+PLA= ssh-ed25519 ED25519
broken.example.org ssh-ed25519 AAAA
no key
@cert-authority ca.example.org ssh-ed25519 ED25519
old.example.org ecdsa-sha2-nistp256 ECDSA
*.wild.example.org ssh-ed25519 ED25519
";
const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMRcCcfahNG0a1yu+E0TTaVDt8kD52CCfWs/JZ514/Iv";
const ECDSA: &str = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBeh0j13q3R3CU+Tb6CWMD6yV18Uw/IG89WauaSzb9KiqW3qVxkYgk3iKTGyXA6MrqrePmMR/hzRzcCMtSGCZzI=";
const RSA: &str = "AAAAB3NzaC1yc2EAAAADAQABAAABgQCWC6NqYnszpegZKWmkDZ1T35cv+cverE7bxcN6U1FmqLhEtZEGsl3qD6fTKPPwZxkTzybPCwyCH5ivlxNl8YXKXwTzflfh+MjHK/dJbLP36TZlsC2DwXdAopHVje3JsR9QaHob3Ph4ihk6XYABgMERqei+MfRB5/A1A+p0llWMeirNlAImYWdvaJ6z2cKV0oAB28OljYFmEkyoR0UOMFmLmShfUBEyWUdM72iNlfKq8RNKcia6XhMw5kKYWeHKGX2D3RMrdYPu+wflNVGLAzjwmbK4cysTCqzgSF1X44VoTuL6UV99SAt9RusEm4SrXdsQJk7DhZyHVT4/GEEqKIYTtfI2SH7ewvE2cyLgHAspIOAs6obSXSw+B+ysHu3TwPysKMsKLBT7f/Dgcj8CPWpH9zZ1gegu6fVlKbgz/mg1h04svcPQijaUTAv7ka7qFRwdTBx/OwJ9xt8NsLI6O7rR8A37Jgy7gA2n3HYWrplTd8p3JDJpq8VdWlVvEv3jZos=";

fn file(text: &str) -> String {
    text.replace(" RSA", &format!(" {RSA}"))
        .replace(" ECDSA", &format!(" {ECDSA}"))
        .replace(" ED25519", &format!(" {ED25519}"))
}

fn kinds(keys: &[HostKey]) -> Vec<String> {
    let kind = |key: &HostKey| key.to_string().split(' ').next().unwrap_or_default().to_owned();
    keys.iter().map(kind).collect()
}

#[test]
fn a_machine_is_known_by_the_lines_that_name_it_and_its_port() {
    let (ed25519, ecdsa, rsa) = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa");
    for (host, port, expected) in [
        ("plain.example.org", 22, &[ed25519, ecdsa, rsa][..]),
        ("Plain.Example.ORG", 22, &[ed25519, ecdsa, rsa]),
        ("192.0.2.7", 22, &[rsa]),
        ("plain.example.org", 2222, &[ecdsa]),
        ("plain.example.org", 2223, &[]),
        ("2001:db8::1", 22, &[ed25519]),
        ("hashed.example.org", 22, &[ed25519]),
        ("hashed.example.org", 2222, &[ed25519]),
        ("hashed.example.org", 2223, &[]),
        ("broken.example.org", 22, &[]),
        ("ca.example.org", 22, &[]),
        ("one.wild.example.org", 22, &[]),
        ("example.org", 22, &[]),
    ] {
        let found = known_by(host, port, &file(FILE));
        assert_eq!(kinds(&found), expected, "{host} {port}");
    }
}

#[test]
fn a_revoked_key_is_known_to_no_machine() {
    for (revoking, expected) in [
        ("@revoked * ecdsa-sha2-nistp256 ECDSA", 0),
        ("@revoked * ssh-ed25519 ED25519", 1),
    ] {
        for text in [format!("{FILE}{revoking}\n"), format!("{revoking}\n{FILE}")] {
            let found = known_by("old.example.org", 22, &file(&text));
            assert_eq!(found.len(), expected, "{revoking}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_one_that_can_is_searched() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("known_hosts");
    let error = HostKey::known("h", 22, &path).expect_err("not there").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    std::fs::write(&path, file("h ssh-ed25519 ED25519\n")).expect("written");
    let found = HostKey::known("h", 22, &path).expect("read");
    assert_eq!(
        found,
        [HostKey::parse(&format!("ssh-ed25519 {ED25519}")).expect("a key")]
    );
    let large = std::fs::File::create(&path).expect("a file");
    large.set_len(MAX_FILE + 1).expect("its size");
    HostKey::known("h", 22, &path).expect_err("too large");
}
