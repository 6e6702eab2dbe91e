//! Packages that were made without rpm: those of nfpm, with which many projects build their releases. Their headers have no
//! digest of the unpacked payload, which rpmbuild writes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use repository::{Error, read_package, sign_package};

use crate::{
    equality::assert_same_metadata,
    signing::{assert_signed, ring},
    support::{NOW, key, python_tool, text},
};

/// A package with everything that nfpm has words for, but for what it takes from other packages' formats.
const CONFIGURATION: &str = "\
name: fromnfpm
arch: amd64
version: v1.2.3-beta1
release: 4
epoch: 2
maintainer: Ann \u{dc} <ann@example.org>
description: |
  What it is.
  More of it, with <&> and \u{e4}.
license: MIT
homepage: https://example.org/?a=1&b=2
depends: [bash, \"sed >= 4.0\"]
recommends: [git]
suggests: [vim]
provides: [\"thing = 3\"]
conflicts: [otherthing]
replaces: [oldthing]
contents:
  - {src: nfpm.yaml, dst: /etc/fromnfpm/nfpm.yaml, type: config|noreplace}
  - {src: post.sh, dst: /usr/bin/fromnfpm, file_info: {mode: 0755}}
  - {src: /etc/fromnfpm/nfpm.yaml, dst: /usr/share/fromnfpm/link, type: symlink}
  - {dst: /var/lib/fromnfpm, type: dir}
  - {dst: /var/log/fromnfpm.log, type: ghost}
scripts: {postinstall: post.sh, preremove: post.sh}
changelog: changelog.yaml
";

const CHANGELOG: &str = "\
- {semver: 1.2.3, date: 2024-01-02T03:04:05Z, packager: Ann <ann@example.org>, changes: [{note: Second & last.}]}
- {semver: 1.2.2, date: 2024-01-01T03:04:05Z, packager: Bob <bob@example.org>, changes: [{note: First.}]}
";

/// One package for each way in which nfpm packs.
fn made(directory: &Path) -> Vec<PathBuf> {
    fs_err::write(directory.join("post.sh"), "echo done\n").unwrap();
    fs_err::write(directory.join("changelog.yaml"), CHANGELOG).unwrap();
    let packed = ["gzip", "xz", "zstd"].map(|compression| {
        let named = CONFIGURATION.replacen("fromnfpm", &format!("from-{compression}"), 1);
        let configuration = format!("{named}rpm: {{compression: {compression}}}\n");
        fs_err::write(directory.join("nfpm.yaml"), configuration).unwrap();
        let path = directory.join(format!("{compression}.rpm"));
        let output = Command::new(python_tool("nfpm"))
            .args([
                "package",
                "--config",
                "nfpm.yaml",
                "--packager",
                "rpm",
                "--target",
                text(&path),
            ])
            .current_dir(directory)
            .output()
            .unwrap_or_else(|error| panic!("cannot run nfpm ({error}): install it with `cargo xtask setup`"));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    });
    packed.to_vec()
}

#[test]
fn packages_of_nfpm_are_read_and_indexed_as_createrepo_c_does() {
    let temporary = tempfile::tempdir().unwrap();
    let packages = made(temporary.path());
    for (path, name) in packages.iter().zip(["from-gzip", "from-xz", "from-zstd"]) {
        let package = read_package(path).unwrap();
        assert_eq!(
            (package.format, package.file_name()),
            (4, format!("{name}-1.2.3~beta1-4.x86_64.rpm"))
        );
        assert_eq!((package.files.len(), package.changelogs.len()), (5, 2));
    }
    assert_same_metadata(temporary.path(), &packages);
}

#[test]
fn damage_in_a_package_of_nfpm_is_seen_by_the_digests_that_it_has() {
    let temporary = tempfile::tempdir().unwrap();
    for path in made(temporary.path()) {
        let whole = fs_err::read(&path).unwrap();
        let package = read_package(&path).unwrap();
        let (start, end) = (package.header_start, package.header_end);
        // In the summary of the header, and in the payload.
        let summary = whole
            .windows(11)
            .position(|window| window == b"What it is.")
            .unwrap();
        for (place, part) in [
            (summary, "header"),
            (usize::try_from(end).unwrap() + 40, "payload"),
            (whole.len() - 1, "payload"),
        ] {
            assert!(place > usize::try_from(start).unwrap());
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            let changed = temporary.path().join("changed.rpm");
            fs_err::write(&changed, damaged).unwrap();
            let error = read_package(&changed).unwrap_err();
            let Error::DigestMismatch { digest, .. } = &error else {
                panic!("{}: {error}", path.display());
            };
            assert!(digest.contains(part), "{}: {error}", path.display());
        }
    }
}

#[test]
fn a_package_of_nfpm_is_signed_so_that_rpm_verifies_it() {
    let temporary = tempfile::tempdir().unwrap();
    let key = key();
    let ring = ring(temporary.path(), &key);
    for path in made(temporary.path()) {
        let before = read_package(&path).unwrap();
        sign_package(&path, &key, NOW).unwrap();
        assert_signed(&path, &ring, &key);
        let after = read_package(&path).unwrap();
        assert_eq!((after.files, after.requires), (before.files, before.requires));
    }
}
