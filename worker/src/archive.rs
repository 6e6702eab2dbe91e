//! What Copr's clients fetch of a build beside its results: each log compressed, under its name and `.gz`, which is what
//! `copr-cli download-build --logs` takes, and `backend.log`, the farm's own account of the attempt.

use std::{io, path::Path};

use flate2::{Compression, GzBuilder};
use repository::{
    Manifest,
    manifest::{ManifestEntry, ManifestLimits},
};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, journal::NAME as ACCOUNT, packages::digest};

/// Adds the compressed logs and the account to what is staged; the manifest with them in it.
pub(crate) fn complete(staged: &Path, manifest: &Manifest, account: &str) -> Result<Manifest, Error> {
    let mut entries: Vec<ManifestEntry> = manifest.entries().cloned().collect();
    let told = format!(
        "{account}{} files with {} bytes were collected.\n",
        manifest.len(),
        manifest.total_bytes()
    );
    fs_err::write(staged.join(ACCOUNT), &told).map_err(|source| failed(ACCOUNT, source))?;
    entries.push(ManifestEntry {
        name: ACCOUNT.to_owned(),
        size: u64::try_from(told.len()).unwrap_or(u64::MAX),
        sha256: hex::encode(Sha256::digest(told.as_bytes())),
    });
    let logs: Vec<String> = entries
        .iter()
        .filter(|entry| entry.name.ends_with(".log"))
        .map(|entry| entry.name.clone())
        .collect();
    for log in logs {
        let name = format!("{log}.gz");
        if manifest.get(&name).is_none() {
            compress(staged, &log, &name).map_err(|source| failed(&name, source))?;
            let (size, sha256) = digest(&staged.join(&name))?;
            entries.push(ManifestEntry { name, size, sha256 });
        }
    }
    // What the builder sent was measured before; what is added to it here is bounded by that.
    let limits = ManifestLimits {
        files: entries.len(),
        total_bytes: u64::MAX,
        ..ManifestLimits::default()
    };
    Ok(Manifest::new(entries, &limits)?)
}

fn failed(name: &str, source: io::Error) -> Error {
    Error::File {
        what: format!("writing {name}"),
        source,
    }
}

fn compress(directory: &Path, log: &str, name: &str) -> io::Result<()> {
    let mut log = fs_err::File::open(directory.join(log))?;
    // Without a time of making: the same log gives the same file.
    let mut packed = GzBuilder::new().mtime(0).write(
        fs_err::File::create_new(directory.join(name))?,
        Compression::default(),
    );
    io::copy(&mut log, &mut packed)?;
    // What is staged is synced before it is placed.
    packed.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, path::Path};

    use repository::{Manifest, manifest::ManifestLimits};
    use sha2::{Digest as _, Sha256};

    use super::complete;

    /// A staged directory with these files, and its manifest.
    fn staged(files: &[(&str, &str)]) -> (tempfile::TempDir, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        let entries = files.iter().map(|(name, text)| {
            std::fs::write(directory.path().join(name), text).unwrap();
            repository::manifest::ManifestEntry {
                name: (*name).to_owned(),
                size: text.len() as u64,
                sha256: hex::encode(Sha256::digest(text.as_bytes())),
            }
        });
        let manifest = Manifest::new(entries.collect(), &ManifestLimits::default()).unwrap();
        (directory, manifest)
    }

    fn unpacked(path: &Path) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn every_log_is_there_compressed_too_and_nothing_else_is() {
        let (directory, manifest) = staged(&[
            ("builder-live.log", "one\ntwo\n"),
            ("build.log", ""),
            ("hello.spec", "Name: hello\n"),
        ]);
        let whole = complete(directory.path(), &manifest, "the account\n").unwrap();
        let names: Vec<&str> = whole.entries().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "backend.log",
                "backend.log.gz",
                "build.log",
                "build.log.gz",
                "builder-live.log",
                "builder-live.log.gz",
                "hello.spec"
            ]
        );
        assert_eq!(
            unpacked(&directory.path().join("builder-live.log.gz")),
            "one\ntwo\n"
        );
        assert_eq!(unpacked(&directory.path().join("build.log.gz")), "");
        let account = std::fs::read_to_string(directory.path().join("backend.log")).unwrap();
        assert_eq!(account, "the account\n3 files with 20 bytes were collected.\n");
        for entry in whole.entries() {
            let bytes = std::fs::read(directory.path().join(&entry.name)).unwrap();
            assert_eq!(entry.size, bytes.len() as u64, "{}", entry.name);
            assert_eq!(
                entry.sha256,
                hex::encode(Sha256::digest(&bytes)),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn a_compressed_log_that_the_builder_sent_is_kept() {
        let (directory, manifest) = staged(&[("a.log", "text"), ("a.log.gz", "theirs")]);
        let whole = complete(directory.path(), &manifest, "ours").unwrap();
        assert_eq!(whole.len(), 4);
        let kept = std::fs::read_to_string(directory.path().join("a.log.gz")).unwrap();
        assert_eq!(kept, "theirs");
    }
}
