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
    /// Its size in bytes.
    pub size: u64,
}

/// How a build is to be done. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOptions {
    /// How long the build may take in each chroot, in seconds.
    pub timeout_seconds: u64,
    /// Whether it is in the background: all builds that are not are served before it.
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
    pub project: ProjectId,
    /// The user who submits it.
    pub submitter: UserId,
    /// The directory of the project that its results go to: `demo`, or `demo:pr:1`.
    pub directory: DirectoryName,
    /// The name in the source package's header.
    pub package: PackageName,
    /// Epoch (where there is one), version and release in the header: `1.0-1`, `2:1.0-1`.
    pub version: String,
    pub srpm: StoredSource,
    /// The chroots to build in; the project has all of them.
    pub chroots: Vec<ChrootName>,
    /// The project's chroots that the source package excludes, each with the reason.
    pub skipped: Vec<(ChrootName, String)>,
    /// Network, time limit, isolation and what else the user chose for all chroots.
    pub options: BuildOptions,
}

/// A build: one source package, built in one or more chroots of a project.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    pub id: BuildId,
    pub project: ProjectId,
    /// The owner of the project.
    pub owner: OwnerName,
    pub project_name: ProjectName,
    /// The directory of the project that its results go to: `demo`, or `demo:pr:1`.
    pub directory: DirectoryName,
    /// The package that is built; `None` until its name is known.
    pub package: Option<PackageName>,
    /// Epoch (where there is one), version and release, such as `2:1.0-1`; `None` until they are known.
    pub version: Option<String>,
    pub source: StoredSource,
    /// What the states of its source and its chroots come to: [`model::build::derive_state`].
    pub state: BuildState,
    /// The state of its source package.
    pub source_state: BuildState,
    /// Whether a user cancelled it.
    pub canceled: bool,
    /// The user who submitted it.
    pub submitter: Option<OwnerName>,
    /// Whether it is in the background: all builds that are not are served before it.
    pub is_background: bool,
    pub submitted_at: Timestamp,
    /// When the first of its chroots began.
    pub started_at: Option<Timestamp>,
    /// When the last of its chroots ended; `None` before all have.
    pub ended_at: Option<Timestamp>,
    /// Its chroots, ordered by name.
    pub chroots: Vec<BuildChroot>,
    pub options: BuildOptions,
}

impl Build {
    /// What lists tell of it.
    #[must_use]
    pub fn summary(&self) -> BuildSummary {
        BuildSummary {
            id: self.id,
            owner: self.owner.clone(),
            project_name: self.project_name.clone(),
            directory: self.directory.clone(),
            package: self.package.clone(),
            version: self.version.clone(),
            source_file: self.source.file_name.clone(),
            state: self.state,
            submitter: self.submitter.clone(),
            is_background: self.is_background,
            submitted_at: self.submitted_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            chroots: self.chroots.iter().map(|chroot| chroot.name.clone()).collect(),
        }
    }
}

/// What lists tell of a build; each field is as in [`Build`]. To read no more than that of many builds halves what they cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSummary {
    pub id: BuildId,
    pub owner: OwnerName,
    pub project_name: ProjectName,
    pub directory: DirectoryName,
    pub package: Option<PackageName>,
    pub version: Option<String>,
    /// The name of its source package's file.
    pub source_file: String,
    pub state: BuildState,
    pub submitter: Option<OwnerName>,
    pub is_background: bool,
    pub submitted_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The names of its chroots, in order.
    pub chroots: Vec<ChrootName>,
}

/// A chroot of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildChroot {
    pub name: ChrootName,
    pub state: BuildState,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The directory of its results, below the chroot's: `00000012-hello`.
    pub result_directory: Option<String>,
    /// Why it waits, as a sentence for people.
    pub waiting_reason: Option<String>,
    /// Why it failed, was skipped or was cancelled.
    pub failure: Option<Verdict>,
    /// How many attempts there were, the present one included.
    pub attempts: u32,
}

/// Why a build chroot has no packages, and whose fault that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub blame: Blame,
    /// The reason, as a sentence for people.
    pub reason: String,
    /// What the blame rests on, such as the line of the log.
    pub evidence: Option<serde_json::Value>,
}

/// What a project is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectKey {
    Id(ProjectId),
    /// By the names of its owner and its own; one that is deleted has none.
    Name(OwnerName, ProjectName),
}

impl From<ProjectId> for ProjectKey {
    fn from(id: ProjectId) -> Self {
        Self::Id(id)
    }
}

/// The conditions that the builds of a list meet; `None` sets none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFilter {
    /// Only of this project.
    pub project: Option<ProjectKey>,
    /// Only of packages with this name.
    pub package: Option<PackageName>,
    /// Only in this state.
    pub state: Option<BuildState>,
    /// Whether the list begins with the oldest build instead of the newest.
    pub oldest_first: bool,
}

/// What became of a build's attempts when it was cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelOutcome {
    /// How many ended at once, because they had no builder yet.
    pub ended: u32,
    /// How many will be ended by their workers, which are told.
    pub requested: u32,
    /// How many end as if nothing had happened, because their results are being published already.
    pub publishing: u32,
}
