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
