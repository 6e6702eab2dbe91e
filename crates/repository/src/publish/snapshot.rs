//! Snapshots: the numbered, complete states of one repository.

use std::{
    io,
    path::{Path, PathBuf},
};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, disk};

/// The directory of a repository's snapshots.
pub(super) const SNAPSHOTS: &str = ".snapshots";
/// The link to the live one.
pub(super) const LINK: &str = "repodata";
/// What a snapshot tells about itself.
const DESCRIPTION: &str = "snapshot.json";

/// One complete state of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its number, rising.
    pub number: u64,
    /// The revision in `repomd.xml`: seconds since 1970, rising.
    pub revision: u64,
    /// When it was made.
    pub created: Timestamp,
    /// SHA-256 of `repomd.xml`, in hex.
    pub repomd_sha256: String,
    /// Number of packages.
    pub packages: usize,
    /// A digest of which packages lie where; equal for equal content.
    pub content: String,
    /// The metadata files that `repomd.xml` names.
    pub files: Vec<String>,
}

/// `00000007`.
pub(super) fn name(number: u64) -> String {
    format!("{number:08}")
}

/// The directory of a snapshot.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(SNAPSHOTS).join(name(number))
}

/// Writes the description into the directory of a new snapshot.
pub(super) fn write(directory: &Path, snapshot: &Snapshot) -> Result<()> {
    let text = serde_json::to_vec(snapshot).map_err(io::Error::from)?;
    disk::write_synced(&directory.join(DESCRIPTION), &text)
}

fn read(directory: &Path) -> Result<Snapshot> {
    let file = directory.join(DESCRIPTION);
    let text = fs_err::read(&file)?;
    let broken = |error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{}`: {error}", file.display()),
        )
    };
    Ok(serde_json::from_slice(&text).map_err(broken)?)
}

/// All snapshots of a repository, the oldest first.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Snapshot>> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(directory.join(SNAPSHOTS))? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        {
            all.push(read(&entry.path())?);
        }
    }
    all.sort_by_key(|snapshot| snapshot.number);
    Ok(all)
}

/// The snapshot that the link points at, if there is a link.
pub(super) fn live(directory: &Path) -> Result<Option<Snapshot>> {
    match read(&directory.join(LINK)) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use model::Timestamp;

    use super::{LINK, SNAPSHOTS, Snapshot, live, name, path, read_all, write};

    fn snapshot(number: u64) -> Snapshot {
        Snapshot {
            number,
            revision: number + 1_700_000_000,
            created: Timestamp::from_micros(7),
            repomd_sha256: "ab".repeat(32),
            packages: 3,
            content: "cd".repeat(32),
            files: vec!["primary.xml.zst".to_owned()],
        }
    }

    /// A repository with these snapshots.
    fn with(numbers: &[u64]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(SNAPSHOTS)).unwrap();
        for number in numbers {
            let place = path(directory.path(), *number);
            fs::create_dir(&place).unwrap();
            write(&place, &snapshot(*number)).unwrap();
        }
        directory
    }

    fn numbers(directory: &Path) -> Vec<u64> {
        let all = read_all(directory).unwrap();
        all.into_iter().map(|snapshot| snapshot.number).collect()
    }

    #[test]
    fn snapshots_are_read_by_number_and_others_names_are_passed_over() {
        let repository = with(&[10, 9, 100_000_000, 1]);
        for other in [".new-7", "00000007.old", "latest"] {
            fs::create_dir(repository.path().join(SNAPSHOTS).join(other)).unwrap();
        }
        assert_eq!(numbers(repository.path()), [1, 9, 10, 100_000_000]);
        assert_eq!(read_all(repository.path()).unwrap()[0], snapshot(1));
        assert_eq!(name(7), "00000007");
        assert!(numbers(with(&[]).path()).is_empty());
    }

    #[test]
    fn the_live_one_is_that_of_the_link_and_there_may_be_none() {
        let repository = with(&[1, 2]);
        assert_eq!(live(repository.path()).unwrap(), None);
        std::os::unix::fs::symlink(path(repository.path(), 1), repository.path().join(LINK)).unwrap();
        assert_eq!(live(repository.path()).unwrap(), Some(snapshot(1)));
    }

    #[test]
    fn a_description_that_cannot_be_read_is_named() {
        let repository = with(&[1]);
        let place = path(repository.path(), 1).join("snapshot.json");
        fs::write(&place, "{").unwrap();
        let said = read_all(repository.path()).unwrap_err().to_string();
        assert!(said.contains(&place.display().to_string()), "{said}");
    }
}
