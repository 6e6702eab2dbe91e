//! Builds and build chroots, as clients see them.

use model::{
    Blame, BuildId, BuildState, ChrootName, DirectoryName, OwnerName, PackageName, ProjectId, ProjectName,
    Timestamp, UserId,
};
use serde::{Deserialize, Serialize};

/// A source package in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSource {
    /// The name that it was given, such as `hello-1.0-1.src.rpm`.
    pub file_name: String,
    /// Its SHA-256 in hexadecimal, which is where it is stored.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// How a build is to be done. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOptions {
    /// How long one chroot may take.
    pub timeout_seconds: u64,
    /// Whether it yields to everything that is not.
    pub background: bool,
    /// Whether it has a network; `None`: as the project says.
    #[serde(default)]
    pub enable_net: Option<bool>,
    /// Mock's isolation; `None`: as the project says.
    #[serde(default)]
    pub isolation: Option<String>,
    /// Mock's bootstrap mode; `None`: as the project says.
    #[serde(default)]
    pub bootstrap: Option<String>,
}

impl Default for BuildOptions {
    /// Five hours, as Copr has it.
    fn default() -> Self {
        Self {
            timeout_seconds: 18_000,
            background: false,
            enable_net: None,
            isolation: None,
            bootstrap: None,
        }
    }
}

/// An uploaded source package to build.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// For which project.
    pub project: ProjectId,
    /// By whom.
    pub submitter: UserId,
    /// Into which directory: the project's name, or that and a suffix.
    pub directory: DirectoryName,
    /// The name in the source package's header.
    pub package: PackageName,
    /// Epoch (where there is one), version and release in the header: `1.0-1`, `2:1.0-1`.
    pub version: String,
    /// The source package.
    pub srpm: StoredSource,
    /// What to build for: chroots of the project.
    pub chroots: Vec<ChrootName>,
    /// Chroots of the project that the source says it is not for, and why.
    pub skipped: Vec<(ChrootName, String)>,
    /// How.
    pub options: BuildOptions,
}

/// One submission of sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    /// Which.
    pub id: BuildId,
    /// Of which project.
    pub project: ProjectId,
    /// Whose project.
    pub owner: OwnerName,
    /// The project's name.
    pub project_name: ProjectName,
    /// Into which directory of the project.
    pub directory: DirectoryName,
    /// Of which package, once that is known.
    pub package: Option<PackageName>,
    /// Epoch, version and release, once that is known.
    pub version: Option<String>,
    /// The source's file name.
    pub source_file: String,
    /// The source package.
    pub source: StoredSource,
    /// Derived from all that follows by [`model::build::derive_state`].
    pub state: BuildState,
    /// Where the source phase stands.
    pub source_state: BuildState,
    /// Whether somebody ended it.
    pub canceled: bool,
    /// Who submitted it.
    pub submitter: Option<OwnerName>,
    /// Whether it yields to everything that is not.
    pub is_background: bool,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When its first chroot began.
    pub started_at: Option<Timestamp>,
    /// When its last chroot ended; `None` while one has not.
    pub ended_at: Option<Timestamp>,
    /// Its chroots, ordered by name.
    pub chroots: Vec<BuildChroot>,
    /// How it is done.
    pub options: BuildOptions,
}

/// One chroot of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildChroot {
    /// Which.
    pub name: ChrootName,
    /// Where it stands.
    pub state: BuildState,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Where its results are, below the chroot's directory: `00000012-hello`.
    pub result_directory: Option<String>,
    /// Why it waits, in words.
    pub waiting_reason: Option<String>,
    /// Why it failed, was skipped or cancelled.
    pub failure: Option<Failure>,
    /// How many attempts there were, the present one included.
    pub attempts: u32,
}

/// A verdict against a build chroot or an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Who is answerable.
    pub blame: Blame,
    /// In words.
    pub reason: String,
    /// What it rests on, such as lines of the log.
    pub evidence: Option<serde_json::Value>,
}

/// Which builds to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of packages with this name.
    pub package: Option<PackageName>,
    /// Only in this state.
    pub state: Option<BuildState>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
}

/// What a cancellation did to a build's attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelOutcome {
    /// Ended: they had no builder yet.
    pub ended: u32,
    /// Their workers are told to end them.
    pub requested: u32,
    /// They finish, since their results are on the way into the repository.
    pub publishing: u32,
}
