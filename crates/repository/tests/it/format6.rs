//! Packages of format 6, as rpm 6 writes them: those of rpm-rs, and those of rpm 4.18 with the tags of the other format.

use std::path::{Path, PathBuf};

use repository::{Error, read_package, read_source_rpm, sign_package};
use sha2::{Digest as _, Sha512};

use crate::{
    signing::{assert_signed, ring},
    support::{NOW, build, format6, is_source, key, must, simple, simple_spec, text},
};

/// A package that is wholly rpm-rs's.
fn made(directory: &Path) -> PathBuf {
    let path = directory.join("six-1-1.noarch.rpm");
    format6(&["make", "six", text(&path)]);
    path
}

fn converted(directory: &Path, old: &Path) -> PathBuf {
    let path = directory.join(old.file_name().unwrap());
    format6(&["convert", text(old), text(&path)]);
    path
}

#[test]
fn packages_of_format_6_are_read_and_verified() {
    let temporary = tempfile::tempdir().unwrap();
    let made = read_package(&made(temporary.path())).unwrap();
    assert_eq!(
        (made.format, made.file_name().as_str()),
        (6, "six-1-1.noarch.rpm")
    );
    assert_eq!(made.files.len(), 2);
    let old = simple(temporary.path(), "hello", "1");
    let new = read_package(&converted(temporary.path(), &old)).unwrap();
    let old = read_package(&old).unwrap();
    assert_eq!((old.format, new.format), (4, 6));
    assert_eq!(
        (&new.files, &new.provides, new.installed_size),
        (&old.files, &old.provides, old.installed_size)
    );
}

#[test]
fn a_source_package_of_format_6_is_taken() {
    let temporary = tempfile::tempdir().unwrap();
    let built = build(temporary.path(), "bug-vsix", simple_spec("bug-vsix", "1"));
    let old = built.iter().find(|path| is_source(path)).unwrap();
    let package = read_source_rpm(&converted(temporary.path(), old)).unwrap();
    assert_eq!(
        (package.format, package.file_name().as_str()),
        (6, "bug-vsix-1-1.src.rpm")
    );
}

#[test]
fn damage_anywhere_in_a_package_of_format_6_is_seen() {
    let temporary = tempfile::tempdir().unwrap();
    let path = made(temporary.path());
    let whole = fs_err::read(&path).unwrap();
    let package = read_package(&path).unwrap();
    let refused = |bytes: &[u8]| {
        let changed = temporary.path().join("changed.rpm");
        fs_err::write(&changed, bytes).unwrap();
        let error = read_package(&changed).unwrap_err();
        assert!(error.is_bad_package(), "{error}");
        error
    };
    assert!(matches!(
        refused(&whole[..whole.len() - 1]),
        Error::Truncated { .. }
    ));
    let longer = [&whole[..], b"x"].concat();
    assert!(
        refused(&longer)
            .to_string()
            .contains("1 bytes follow after its end")
    );
    let mut payload = whole.clone();
    *payload.last_mut().unwrap() ^= 1;
    assert!(matches!(refused(&payload), Error::DigestMismatch { .. }));

    // Each digest alone: the first letter of its text is changed, and the header's own digests are made right again.
    let end = usize::try_from(package.header_end).unwrap();
    let payload = &whole[end..];
    for (digest, told) in [
        (hex::encode(Sha512::digest(payload)), "SHA-512 of the payload"),
        (
            hex::encode(sha3::Sha3_256::digest(payload)),
            "SHA3-256 of the payload",
        ),
        (hex::encode(sha2::Sha256::digest(payload)), "payload digest"),
    ] {
        let mut other = digest.clone().into_bytes();
        other[0] = if other[0] == b'0' { b'1' } else { b'0' };
        let forged = repository::testing::forge(&whole, digest.as_bytes(), &other);
        let error = refused(&forged);
        assert!(
            matches!(&error, Error::DigestMismatch { digest, .. } if *digest == told),
            "{error}"
        );
    }
    let header = &whole[usize::try_from(package.header_start).unwrap()..end];
    let digest = hex::encode(sha3::Sha3_256::digest(header));
    let at = whole
        .windows(64)
        .position(|window| window == digest.as_bytes())
        .unwrap();
    let mut forged = whole.clone();
    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
    assert!(refused(&forged).to_string().contains("SHA3-256 of the header"));
}

#[test]
fn a_signed_package_of_format_6_is_verified_by_rpm_4_and_by_what_reads_the_new_tag() {
    let temporary = tempfile::tempdir().unwrap();
    let path = made(temporary.path());
    let size = fs_err::metadata(&path).unwrap().len();
    let key = key();
    for _ in 0..2 {
        sign_package(&path, &key, NOW).unwrap();
        assert_eq!(
            fs_err::metadata(&path).unwrap().len(),
            size,
            "the reserved space was used"
        );
        read_package(&path).unwrap();
        // rpm 4.18 looks at the tag of the algorithm.
        assert_signed(&path, &ring(temporary.path(), &key), &key);
        // rpm-rs reads the tag of format 6 first.
        let public = temporary.path().join("pubkey.gpg");
        let told = format6(&["check", text(&path), text(&public)]);
        assert_eq!(told.matches(" verified").count(), told.lines().count(), "{told}");
        assert!(told.contains("signature verified"), "{told}");
    }
    let tags = must(
        "rpm",
        &["-qp", "--nosignature", "--qf", "%{DSAHEADER:pgpsig}", text(&path)],
    );
    assert!(tags.contains("EdDSA/SHA256"), "{tags}");
}
