//! Speaking with `verdigris-builder`, the farm's program on a builder. The seam between a worker and its builders: over SSH in
//! a farm, by a script in tests. What is said is described in `provision-files/builder/README.md`.

use std::time::Duration;

use async_trait::async_trait;
use model::{AttemptId, Epoch};
use serde::Deserialize;
use serde_json::Value;
use store::StoredSource;
use tokio::fs::File;

use crate::error::Error;

/// Opens sessions with builders.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Connects to the builder of an attempt, and to no other machine that has its address meanwhile.
    async fn open(
        &self,
        builder: &store::Builder,
        attempt: AttemptId,
    ) -> Result<Box<dyn BuilderSession>, Error>;
}

/// An open connection to the builder of one attempt.
#[async_trait]
pub trait BuilderSession: Send + Sync {
    /// How the build stands.
    async fn status(&self) -> Result<Status, Error>;
    /// Puts the source on the builder, which may take long; it does no harm when done before.
    async fn upload(&self, source: &StoredSource, file: File) -> Result<(), Error>;
    /// Starts the build, detached; it does no harm when done before.
    async fn start(&self, epoch: Epoch, task: &Value) -> Result<(), Error>;
    /// The live log from an offset on, until the build ends.
    async fn follow(&self, offset: u64, limit: Duration) -> Result<Box<dyn LogStream>, Error>;
    /// Kills the build.
    async fn cancel(&self, epoch: Epoch) -> Result<(), Error>;
    /// What there is to collect. The builder reads all of it, at most `bytes`, to say so.
    async fn manifest(&self, bytes: u64) -> Result<Offer, Error>;
    /// Copies one result file here; its size and digest are for the caller to compare.
    async fn fetch(&self, name: &str, size: u64, file: &mut File) -> Result<shell::Downloaded, Error>;
    /// Ends the connection.
    async fn close(&self);
}

/// The log of a build that may go on.
#[async_trait]
pub trait LogStream: Send {
    /// The next bytes, as they come; none at the end of this stream, which need not be the build's.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error>;
}

/// How a build on a builder stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub state: BuildOnBuilder,
    /// What the builder makes of a finished build.
    #[serde(default)]
    pub verdict: Option<Verdict>,
}

/// The states of a build on its builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildOnBuilder {
    /// It goes on.
    Running,
    /// It is over; there is a verdict.
    Finished,
    /// Its process is gone without a verdict.
    Lost,
    /// It was never started.
    Unknown,
}

/// What a builder makes of a finished build.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// Whether the build made packages.
    pub result: VerdictWord,
    /// Whose fault a failure is: a word of [`model::Blame`].
    #[serde(default)]
    pub blame: Option<String>,
    /// What happened, in a word of the builder's.
    #[serde(default)]
    pub kind: Option<String>,
    /// The reason, as a sentence for the user.
    #[serde(default)]
    pub reason: String,
    /// Where in which log it can be seen.
    #[serde(default)]
    pub evidence: Option<Value>,
}

/// What a builder makes of a finished build, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    /// It made packages.
    Succeeded,
    /// It made none.
    Failed,
    /// The source is not meant for this chroot.
    Skipped,
    /// It was killed, by us or in its machine's good order.
    Cancelled,
}

/// What a builder offers for collection.
#[derive(Clone, Debug, Deserialize)]
pub struct Offer {
    /// The files, for [`repository::Manifest`] to check.
    pub files: Value,
    /// Results that are wanted and cannot be offered.
    #[serde(default)]
    pub refused: Vec<LeftOut>,
    /// What lay among the results and is none: told in the log, and no fault of the build.
    #[serde(default)]
    pub passed_over: Vec<LeftOut>,
}

/// A file that a builder does not offer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LeftOut {
    /// Its name, in printable characters.
    #[serde(default)]
    pub name: String,
    /// Why it is left out.
    #[serde(default, alias = "why")]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::{BuildOnBuilder, LeftOut, Offer, Status, VerdictWord};

    #[test]
    fn a_builders_documents_are_read_as_its_readme_has_them() {
        let status = r#"{"attempt": "x", "state": "finished", "epoch": 3, "phase": "done", "verdict": {"result": "failed",
            "blame": "package", "kind": "build", "reason": "no", "evidence": null, "missing": []}}"#;
        let status: Status = serde_json::from_str(status).unwrap();
        assert_eq!(status.state, BuildOnBuilder::Finished);
        assert_eq!(status.verdict.unwrap().result, VerdictWord::Failed);
        let unknown: Status = serde_json::from_str(r#"{"attempt": "x", "state": "unknown"}"#).unwrap();
        assert_eq!(unknown.state, BuildOnBuilder::Unknown);
        assert!(serde_json::from_str::<Status>(r#"{"state": "asleep"}"#).is_err());
    }

    #[test]
    fn what_was_passed_over_is_apart_from_what_was_refused() {
        let offer = r#"{"files": [], "refused": [{"name": "a.rpm", "why": "a link"}],
            "passed_over": [{"name": "a.buildreqs.nosrc.rpm", "reason": "no result"}]}"#;
        let offer: Offer = serde_json::from_str(offer).unwrap();
        let left_out = |name: &str, reason: &str| LeftOut {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(offer.refused, [left_out("a.rpm", "a link")]);
        assert_eq!(
            offer.passed_over,
            [left_out("a.buildreqs.nosrc.rpm", "no result")]
        );
        let older: Offer = serde_json::from_str(r#"{"files": []}"#).unwrap();
        assert_eq!((older.refused, older.passed_over), (vec![], vec![]));
    }
}
