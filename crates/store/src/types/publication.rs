//! Publications: the changes of repositories.

use model::{AttemptId, ChrootName, DirectoryName, OwnerName, ProjectId, Timestamp};

use super::BuiltPackage;

/// One RPM repository: a chroot of a project directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepositoryKey<'a> {
    pub project: ProjectId,
    pub directory: &'a DirectoryName,
    pub chroot: &'a ChrootName,
}

/// A repository, with the owner that its path begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPlace {
    pub project: ProjectId,
    /// The project's owner.
    pub owner: OwnerName,
    /// The project's directory that it belongs to.
    pub directory: DirectoryName,
    pub chroot: ChrootName,
}

impl RepositoryPlace {
    /// What names it in the database.
    #[must_use]
    pub const fn key(&self) -> RepositoryKey<'_> {
        RepositoryKey {
            project: self.project,
            directory: &self.directory,
            chroot: &self.chroot,
        }
    }
}

/// What a publication that was begun makes visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// The number of the snapshot to write. Each try has its own, so that tries never share files.
    pub number: u64,
    /// The attempts whose results become visible by it.
    pub attempts: Vec<AttemptId>,
    /// All that the repository shall hold, those of earlier builds included.
    pub packages: Vec<PublishedPackage>,
}

/// A package of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedPackage {
    /// The attempt that built it.
    pub attempt: AttemptId,
    /// The directory below the chroot's that holds it: `00000012-hello`.
    pub result_directory: String,
    /// The name of the file in that directory.
    pub file_name: String,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is a source package.
    pub is_source: bool,
    /// What its header says.
    pub package: BuiltPackage,
    /// What the repository's metadata says of it.
    pub metadata_json: String,
}

/// A snapshot of a repository, as a publication wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// The snapshot's number.
    pub number: u64,
    /// The revision in its `repomd.xml`.
    pub revision: String,
    /// The SHA-256 of its `repomd.xml` in hexadecimal.
    pub repomd_sha256: String,
}

/// A snapshot of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSnapshot {
    pub record: SnapshotRecord,
    /// When it became visible.
    pub at: Timestamp,
}
