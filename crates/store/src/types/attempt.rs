//! Attempts and allocations, as workers see them.

use std::{fmt, str::FromStr};

use model::{
    AttemptId, AttemptState, Blame, BuildId, BuilderId, ChrootName, DirectoryName, Epoch, OwnerName,
    PackageName, ProjectId, ProjectName, Timestamp,
};

use super::{BuildOptions, Builder, StoredSource, word::UnknownWord};

/// One try of one build chroot.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which.
    pub id: AttemptId,
    /// Of which build.
    pub build: BuildId,
    /// Of which project.
    pub project: ProjectId,
    /// Whose project.
    pub owner: OwnerName,
    /// The project's name.
    pub project_name: ProjectName,
    /// The directory of the project that its results go to.
    pub directory: DirectoryName,
    /// What it builds for.
    pub chroot: ChrootName,
    /// What it builds.
    pub package: Option<PackageName>,
    /// The how-manieth of its build chroot, from 1.
    pub number: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Its allocation, present or last.
    pub epoch: Option<Epoch>,
    /// Its builder, present or last.
    pub builder: Option<BuilderId>,
    /// Who is answerable for its failure.
    pub blame: Option<Blame>,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// What that rests on.
    pub evidence: Option<serde_json::Value>,
    /// How many bytes of its log are stored with us.
    pub log_bytes: i64,
    /// Whether its user wants it ended.
    pub cancel_requested: bool,
    /// Since when it is in the queue.
    pub queued_at: Timestamp,
    /// When a worker took it up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What to build.
    pub source: StoredSource,
    /// How: what the build leaves open is filled in from its project's settings.
    pub options: BuildOptions,
    /// Repositories of its project that it may use besides the chroot's.
    pub additional_repos: Vec<String>,
    /// For whom.
    pub submitter: Option<OwnerName>,
}

/// Where an allocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllocationState {
    /// Any worker may take it up.
    Offered,
    /// A worker drives its attempt.
    Accepted,
    /// Its attempt ended.
    Finished,
    /// Taken away; whoever still acts on it is refused.
    Fenced,
}

impl AllocationState {
    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Finished => "finished",
            Self::Fenced => "fenced",
        }
    }
}

impl fmt::Display for AllocationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AllocationState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Offered, Self::Accepted, Self::Finished, Self::Fenced]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownWord::new("allocation state", text))
    }
}

/// The right of one attempt to one builder.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// Its number, which fences whoever holds a lower one.
    pub epoch: Epoch,
    /// What is to be built.
    pub attempt: Attempt,
    /// Where.
    pub builder: Builder,
    /// Where it stands.
    pub state: AllocationState,
    /// Who took it up.
    pub worker: Option<String>,
    /// The last sign of life of that worker; the offer's moment before there is one.
    pub renewed_at: Timestamp,
    /// When it was offered.
    pub offered_at: Timestamp,
}

/// How an allocation stands when its worker gives a sign of life, or looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is the worker's.
    Held,
    /// It is the worker's, and the user wants its attempt ended.
    CancelWanted,
    /// It is not, or no longer, the worker's, which has to stop.
    Lost,
}

/// The name, epoch, version, release and architecture of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuiltPackage {
    /// The name.
    pub name: String,
    /// The epoch; 0 where the header has none.
    pub epoch: i64,
    /// The version.
    pub version: String,
    /// The release.
    pub release: String,
    /// The architecture; `src` for a source package.
    pub architecture: String,
}

/// A package file that an attempt made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedPackage {
    /// Its name in the result directory; one component.
    pub file_name: String,
    /// Its SHA-256 in hexadecimal, as published, so after signing.
    pub sha256: String,
    /// Bytes, as published.
    pub size: u64,
    /// Whether it is a source package.
    pub is_source: bool,
    /// What its header says.
    pub package: BuiltPackage,
    /// What the repository's metadata says of it, in the form that the `repository` crate reads.
    pub metadata_json: String,
}

/// How an attempt ended on its builder.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its results are stored with us.
    Collected {
        /// The directory below the chroot's that holds them: `00000012-hello`.
        result_directory: String,
        /// The packages among them.
        packages: Vec<CollectedPackage>,
    },
    /// It did not work.
    Failed {
        /// Who is answerable, which decides whether another attempt follows.
        blame: Blame,
        /// Why, in words.
        reason: String,
        /// What that rests on.
        evidence: Option<serde_json::Value>,
        /// Where logs and other results are, if any were stored.
        result_directory: Option<String>,
    },
    /// The builder refuses what the farm asks of it, as any other would: nobody's fault but the farm's, and not tried again.
    Refused {
        /// Why, in words.
        reason: String,
        /// Where its logs are, if any were stored.
        result_directory: Option<String>,
    },
    /// The source is not meant for this chroot.
    Skipped {
        /// Why, in words.
        reason: String,
        /// Where its logs are, if any were stored.
        result_directory: Option<String>,
    },
    /// Ended since its user wanted that.
    Canceled {
        /// Where its logs are, if any were stored.
        result_directory: Option<String>,
    },
}
