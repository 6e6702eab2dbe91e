//! Signatures, judged by rpm and by GnuPG.

use std::path::Path;

use repository::{Passphrase, SigningKey, read_package, sign_package};

use crate::support::{NOW, key, must, run, simple, text};

/// Imports a key into a key ring of its own.
pub(crate) fn ring(directory: &Path, key: &SigningKey) -> String {
    let public = directory.join("pubkey.gpg");
    fs_err::write(&public, key.public_armored().unwrap()).unwrap();
    let ring = directory.join(format!("ring-{}", key.key_id()));
    fs_err::create_dir_all(&ring).unwrap();
    must("rpmkeys", &["--dbpath", text(&ring), "--import", text(&public)]);
    text(&ring).to_owned()
}

fn payload(path: &Path) -> Vec<u8> {
    let package = read_package(path).unwrap();
    fs_err::read(path).unwrap()[usize::try_from(package.header_start).unwrap()..].to_vec()
}

pub(crate) fn assert_signed(path: &Path, ring: &str, key: &SigningKey) {
    let output = must("rpmkeys", &["--dbpath", ring, "--checksig", "-v", text(path)]);
    // rpm 4.18 shows the short form, the last eight digits.
    let id = key.key_id().split_off(8).to_lowercase();
    let signature = output
        .lines()
        .find(|line| line.contains("Signature"))
        .unwrap_or_else(|| panic!("{output}"));
    assert!(
        signature.contains("Header V4") && signature.contains(&id) && signature.ends_with(": OK"),
        "{output}"
    );
    assert!(!output.contains("NOT") && !output.contains("BAD"), "{output}");
}

#[test]
fn rpm_accepts_our_signature_and_the_content_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let path = simple(temporary.path(), "hello", "1");
    let (before, size) = (payload(&path), fs_err::metadata(&path).unwrap().len());
    let key = key();
    let ring = ring(temporary.path(), &key);
    sign_package(&path, &key, NOW).unwrap();
    assert_signed(&path, &ring, &key);
    assert_eq!(payload(&path), before, "header and payload are untouched");
    assert_eq!(
        fs_err::metadata(&path).unwrap().len(),
        size,
        "the reserved space was used"
    );
    let left: Vec<_> = fs_err::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file is left");
    // rpm's own tools still understand the signature header.
    must("rpmsign", &["--delsign", text(&path)]);
    assert_eq!(payload(&path), before);
    read_package(&path).unwrap();
}

#[test]
fn a_package_whose_file_has_the_longest_name_is_signed() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join(format!("{}.rpm", "n".repeat(239)));
    assert_eq!(
        model::name::Grammar::File.check(path.file_name().unwrap().to_str().unwrap()),
        Ok(())
    );
    fs_err::copy(simple(temporary.path(), "hello", "1"), &path).unwrap();
    let key = key();
    sign_package(&path, &key, NOW).unwrap();
    assert_signed(&path, &ring(temporary.path(), &key), &key);
}

#[test]
fn a_new_signature_replaces_the_old_one() {
    let temporary = tempfile::tempdir().unwrap();
    let path = simple(temporary.path(), "hello", "1");
    let (first, second) = (key(), key());
    sign_package(&path, &first, NOW).unwrap();
    let once = fs_err::read(&path).unwrap().len();
    sign_package(&path, &second, NOW).unwrap();
    assert_eq!(fs_err::read(&path).unwrap().len(), once);
    let second_ring = ring(temporary.path(), &second);
    assert_signed(&path, &second_ring, &second);
    let first_ring = ring(temporary.path(), &first);
    let output = run("rpmkeys", &["--dbpath", &first_ring, "--checksig", text(&path)]);
    assert!(!output.status.success(), "the first key's signature is gone");
}

/// Works with GnuPG in a home of its own, and ends the agent that it starts.
struct Gnupg(tempfile::TempDir);

impl Gnupg {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        fs_err::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        // What GnuPG takes a tenth of a second for would take a debug build half a minute.
        fs_err::write(home.path().join("gpg-agent.conf"), "s2k-count 65536\n").unwrap();
        Self(home)
    }

    fn must(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--homedir", text(self.0.path()), "--batch", "--yes"];
        all.extend(arguments);
        must("gpg", &all)
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        run("gpgconf", &["--homedir", text(self.0.path()), "--kill", "all"]);
    }
}

const PASSPHRASE: &str = "correct horse battery staple";

#[test]
fn a_key_made_by_gnupg_with_rsa_signs_for_old_clients() {
    let gnupg = Gnupg::new();
    let temporary = tempfile::tempdir().unwrap();
    let pass = ["--pinentry-mode", "loopback", "--passphrase", PASSPHRASE];
    let make = [
        "--quick-gen-key",
        "Ann <ann@example.org>",
        "rsa2048",
        "sign",
        "never",
    ];
    gnupg.must(&[&pass[..], &make[..]].concat());
    let file = temporary.path().join("secret.asc");
    let export = ["--armor", "--output", text(&file), "--export-secret-keys"];
    gnupg.must(&[&pass[..], &export[..]].concat());
    let armored = fs_err::read_to_string(&file).unwrap();
    let wrong = SigningKey::from_locked(&armored, &Passphrase::new("something else entirely").unwrap());
    assert!(wrong.is_err(), "another passphrase does not open it");
    // Made just now by the clock of the machine: the signature must not be older.
    let key = SigningKey::from_locked(&armored, &Passphrase::new(PASSPHRASE).unwrap()).unwrap();
    let path = simple(temporary.path(), "hello", "1");
    sign_package(&path, &key, NOW).unwrap();
    let ring = ring(temporary.path(), &key);
    assert_signed(&path, &ring, &key);
}

#[test]
fn gnupg_verifies_our_detached_signature_and_opens_our_locked_key() {
    let gnupg = Gnupg::new();
    let temporary = tempfile::tempdir().unwrap();
    let key = key();
    let [public, data, signature, secret] =
        ["pubkey.gpg", "repomd.xml", "repomd.xml.asc", "secret.asc"].map(|name| temporary.path().join(name));
    fs_err::write(&public, key.public_armored().unwrap()).unwrap();
    fs_err::write(&data, "<repomd/>\n").unwrap();
    fs_err::write(&signature, key.sign_armored(b"<repomd/>\n", NOW).unwrap()).unwrap();
    gnupg.must(&["--import", text(&public)]);
    // The kind of key that all clients know (22, EdDSA; the newer 27 is refused by rpm 4 and GnuPG 2.2), and without an end.
    let listed = gnupg.must(&["--with-colons", "--list-keys"]);
    let fields: Vec<&str> = listed
        .lines()
        .find(|line| line.starts_with("pub:"))
        .unwrap()
        .split(':')
        .collect();
    assert_eq!((fields[3], fields[6]), ("22", ""), "{listed}");
    let output = gnupg.must(&["--status-fd", "1", "--verify", text(&signature), text(&data)]);
    assert!(
        output.contains(&format!("VALIDSIG {}", key.fingerprint())),
        "{output}"
    );
    assert!(
        output.contains("ann_demo (key of a Verdigris project) <ann#demo@farm.example.org>"),
        "{output}"
    );
    fs_err::write(&data, "<repomd> </repomd>\n").unwrap();
    let home = text(gnupg.0.path());
    let forged = run(
        "gpg",
        &[
            "--homedir",
            home,
            "--batch",
            "--verify",
            text(&signature),
            text(&data),
        ],
    );
    assert!(!forged.status.success());

    fs_err::write(
        &secret,
        key.to_locked(&Passphrase::new(PASSPHRASE).unwrap()).unwrap(),
    )
    .unwrap();
    let pass = ["--pinentry-mode", "loopback", "--passphrase", PASSPHRASE];
    gnupg.must(&[&pass[..], &["--import", text(&secret)][..]].concat());
    gnupg.must(
        &[
            &pass[..],
            &[
                "--armor",
                "--detach-sign",
                "--output",
                text(&signature),
                text(&data),
            ][..],
        ]
        .concat(),
    );
    let output = gnupg.must(&["--status-fd", "1", "--verify", text(&signature), text(&data)]);
    assert!(
        output.contains(&format!("VALIDSIG {}", key.fingerprint())),
        "{output}"
    );
}
