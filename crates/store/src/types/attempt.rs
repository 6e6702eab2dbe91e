//! Attempts and allocations, as workers see them.

use std::{fmt, str::FromStr};

use model::{
    AttemptId, AttemptState, Blame, BuildId, BuilderId, ChrootName, DirectoryName, Epoch, OwnerName,
    PackageName, ProjectId, ProjectName, Timestamp,
};

use super::{BuildOptions, Builder, StoredSource, word::UnknownWord};

/// An attempt: one try to build in one chroot, on one builder.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub id: AttemptId,
    pub build: BuildId,
    pub project: ProjectId,
    /// The owner of the project.
    pub owner: OwnerName,
    pub project_name: ProjectName,
    /// The directory of the project that its results go to: `demo`, or `demo:pr:1`.
    pub directory: DirectoryName,
    pub chroot: ChrootName,
    /// The package that is built; `None` until its name is known.
    pub package: Option<PackageName>,
    /// Its number among the attempts of its build chroot, from 1.
    pub number: u32,
    pub state: AttemptState,
    /// The number of its allocation, the present one or the last.
    pub epoch: Option<Epoch>,
    /// The builder that it runs on, or ran on last.
    pub builder: Option<BuilderId>,
    /// Whose fault its failure is.
    pub blame: Option<Blame>,
    /// Why it ended as it did, as a sentence for people.
    pub reason: Option<String>,
    /// What the blame rests on, such as the line of the log.
    pub evidence: Option<serde_json::Value>,
    /// How many bytes of its log are in the farm's own storage.
    pub log_bytes: i64,
    /// Whether its user wants it ended.
    pub cancel_requested: bool,
    /// When it was put into the queue.
    pub queued_at: Timestamp,
    /// When a worker took it up.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The source package to build.
    pub source: StoredSource,
    /// The options of its build; what those leave open is filled in from the project's settings.
    pub options: BuildOptions,
    /// Repositories of its project that it may use besides the chroot's.
    pub additional_repos: Vec<String>,
    /// The user who submitted the build.
    pub submitter: Option<OwnerName>,
}

/// The states of an allocation.
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
    /// Its number, which only rises: whoever acts under a lower one is refused.
    pub epoch: Epoch,
    pub attempt: Attempt,
    pub builder: Builder,
    pub state: AllocationState,
    /// The name of the worker that took it up.
    pub worker: Option<String>,
    /// The last sign of life of that worker; before there is one, the moment of the offer.
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
    pub name: String,
    /// The epoch; 0 where the header has none.
    pub epoch: i64,
    pub version: String,
    pub release: String,
    /// The architecture; `src` for a source package.
    pub architecture: String,
}

/// A package file that an attempt made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedPackage {
    /// Its name in the result directory, without any slash.
    pub file_name: String,
    /// Its SHA-256 in hexadecimal, as published, so after signing.
    pub sha256: String,
    /// Its size in bytes, as published.
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
        /// Whose fault it is, which decides whether another attempt follows.
        blame: Blame,
        /// The reason, as a sentence for people.
        reason: String,
        /// What the blame rests on, such as the line of the log.
        evidence: Option<serde_json::Value>,
        /// Whether the package itself may have brought it about: where the attempt before ended the same, it did.
        is_suspect: bool,
        /// Where logs and other results are, if any were stored.
        result_directory: Option<String>,
    },
    /// The builder refuses what the farm asks of it, as any other would: nobody's fault but the farm's, and not tried again.
    Refused {
        /// The reason, as a sentence for people.
        reason: String,
        /// Where its logs are, if any were stored.
        result_directory: Option<String>,
    },
    /// The source is not meant for this chroot.
    Skipped {
        /// The reason, as a sentence for people.
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
