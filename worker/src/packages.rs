//! What is made of collected packages: each is read, checked against what it was built for, signed and described.

use std::path::Path;

use repository::{BuildDirectory, Manifest, Package, PackageMetadata, SigningKey};
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
        if let Some(why) = objection(&found, &entry.name, architecture, &installed) {
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

/// Why a package is not taken, behind its name.
fn objection(found: &Package, file_name: &str, architecture: &str, installed: &str) -> Option<String> {
    if found.file_name() != file_name {
        return Some(format!("holds the package {}", found.file_name()));
    }
    if found.format >= 6 && !reads_format_6(installed) {
        return Some(format!(
            "has the package format {}, which clients of the chroot may not verify: by {INSTALLED} its rpm is not version 6",
            found.format
        ));
    }
    if !found.is_source() && !repository::belongs(&found.arch, architecture) {
        return Some(format!("is not for {architecture}"));
    }
    None
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
    use super::reads_format_6;

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
