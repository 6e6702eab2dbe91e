//! What is made of collected packages: each is read, checked against what it was built for, signed and described.

use std::path::Path;

use repository::{BuildDirectory, Manifest, PackageMetadata, SigningKey};
use runtime::clock;
use store::{BuiltPackage, CollectedPackage};

use crate::error::Error;

/// Verifies and signs every RPM, and describes it for the repository.
pub(crate) fn sign_all(
    staged: &Path,
    manifest: &Manifest,
    key: &SigningKey,
    build: &BuildDirectory,
    architecture: &str,
) -> Result<Vec<CollectedPackage>, Error> {
    let installed = match manifest.get(INSTALLED) {
        Some(entry) => fs_err::read(staged.join(&entry.name)).map_err(|source| Error::File {
            what: format!("reading {INSTALLED}"),
            source,
        })?,
        None => Vec::new(),
    };
    let installed = String::from_utf8_lossy(&installed);
    let mut packages = Vec::new();
    for entry in manifest.entries().filter(|entry| entry.name.ends_with(".rpm")) {
        let path = staged.join(&entry.name);
        let found = repository::read_package(&path)?;
        let claim = Claim {
            file_name: found.file_name(),
            format: found.format,
            arch: (!found.is_source()).then_some(found.arch.as_str()),
        };
        if let Some(why) = objection(&claim, &entry.name, architecture, &installed) {
            return Err(Error::Refused(format!("{} {why}", entry.name)));
        }
        repository::sign_package(&path, key, clock::now())?;
        let signed = repository::read_package(&path)?;
        let (size, sha256) = digest(&path)?;
        let metadata = PackageMetadata::new(&signed, &build.href(&entry.name));
        packages.push(CollectedPackage {
            file_name: entry.name.clone(),
            sha256,
            size,
            is_source: signed.is_source(),
            package: BuiltPackage {
                name: signed.name.clone(),
                epoch: i64::from(signed.epoch),
                version: signed.version.clone(),
                release: signed.release.clone(),
                architecture: signed.arch.clone(),
            },
            metadata_json: serde_json::to_string(&metadata)
                .map_err(|cause| Error::Lost(cause.to_string()))?,
        });
    }
    Ok(packages)
}

/// The name of the list of packages that the build root had, which the builder writes.
const INSTALLED: &str = "installed_pkgs.log";

/// What a package says of itself.
struct Claim<'a> {
    /// The name that its file should have.
    file_name: String,
    format: u64,
    /// Its architecture; none for a source package.
    arch: Option<&'a str>,
}

/// Why a package is not taken, behind its name.
fn objection(claim: &Claim<'_>, file_name: &str, architecture: &str, installed: &str) -> Option<String> {
    if claim.file_name != file_name {
        return Some(format!("holds the package {}", claim.file_name));
    }
    if claim.format >= 6 && !reads_format_6(installed) {
        return Some(format!(
            "has the package format {}, which clients of the chroot may not verify: by {INSTALLED} its rpm is not version 6",
            claim.format
        ));
    }
    let is_foreign = claim
        .arch
        .is_some_and(|arch| !repository::belongs(arch, architecture));
    is_foreign.then(|| format!("is not for {architecture}"))
}

/// Whether the chroot's own rpm, by the list of its packages, reads and verifies packages of format 6: rpm 6 does.
fn reads_format_6(installed: &str) -> bool {
    let names = installed.lines().filter_map(|line| line.split(' ').next());
    let mut majors = names.filter_map(|name| {
        let version = name.strip_prefix("rpm-")?;
        let version = version
            .split_once(':')
            .map_or(version, |(_epoch, version)| version);
        version.split_once('.')?.0.parse::<u32>().ok()
    });
    majors.any(|major| major >= 6)
}

/// Size and SHA-256 of a file.
pub(crate) fn digest(path: &Path) -> Result<(u64, String), Error> {
    use sha2::Digest as _;
    let failed = |source| Error::File {
        what: format!("reading {}", path.display()),
        source,
    };
    let mut digest = sha2::Sha256::new();
    let mut file = fs_err::File::open(path).map_err(failed)?;
    let size = std::io::copy(&mut file, &mut digest).map_err(failed)?;
    Ok((size, hex::encode(digest.finalize())))
}

#[cfg(test)]
mod tests {
    use super::{Claim, digest, objection, reads_format_6};

    #[test]
    fn a_package_is_taken_under_its_own_name_in_a_format_that_is_read_and_for_its_chroot() {
        let (old, new) = (
            "rpm-4.19.1-1.x86_64 1 2 3 installed\n",
            "rpm-6.0.1-1.x86_64 1 2 3 installed\n",
        );
        let foreign = Some("is not for x86_64".to_owned());
        let unread = Some(
            "has the package format 6, which clients of the chroot may not verify: by installed_pkgs.log its rpm is not version 6"
                .to_owned(),
        );
        for (name, format, arch, installed, expected) in [
            ("a-1-1.x86_64.rpm", 4, Some("x86_64"), old, None),
            ("a-1-1.x86_64.rpm", 4, Some("noarch"), old, None),
            ("a-1-1.x86_64.rpm", 4, Some("i686"), old, None),
            ("a-1-1.x86_64.rpm", 4, Some("aarch64"), old, foreign.clone()),
            ("a-1-1.x86_64.rpm", 4, Some("s390x"), new, foreign),
            // Whatever the machine that made it.
            ("a-1-1.x86_64.rpm", 4, None, old, None),
            ("a-1-1.x86_64.rpm", 6, Some("x86_64"), new, None),
            ("a-1-1.x86_64.rpm", 6, Some("x86_64"), old, unread.clone()),
            ("a-1-1.x86_64.rpm", 6, None, "", unread),
            (
                "b-1-1.x86_64.rpm",
                6,
                Some("s390x"),
                old,
                Some("holds the package b-1-1.x86_64.rpm".to_owned()),
            ),
        ] {
            let claim = Claim {
                file_name: name.to_owned(),
                format,
                arch,
            };
            let found = objection(&claim, "a-1-1.x86_64.rpm", "x86_64", installed);
            assert_eq!(found, expected, "{name} {format} {arch:?}");
        }
    }

    #[test]
    fn a_file_is_measured_as_it_is_and_one_that_is_gone_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        for (content, sha256) in [
            (
                "",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(digest(&path).unwrap(), (content.len() as u64, sha256.to_owned()));
        }
        let gone = digest(&directory.path().join("b.log")).unwrap_err().to_string();
        assert!(gone.contains("b.log"), "{gone}");
    }

    #[test]
    fn only_a_chroot_with_rpm_6_reads_format_6() {
        for (installed, reads) in [
            (
                "bash-5.2-1.x86_64 1 2 3 installed\nrpm-6.0.1-1.fc44.x86_64 1 2 3 installed\n",
                true,
            ),
            ("rpm-1:10.1-1.x86_64 1 2 3 installed\n", true),
            (
                "rpm-4.18.0+dfsg-1.x86_64 1 2 3 installed\nrpm-libs-6.0-1.x86_64 1 2 3 installed\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(reads_format_6(installed), reads, "{installed}");
        }
    }
}
