//! What happened: one event for each transition, written in its transaction.

use model::{BuildId, BuilderId, Timestamp};

/// A change of a build, an attempt, a builder or something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number; later events have higher ones.
    pub id: i64,
    pub at: Timestamp,
    /// Who did it: `user:NAME`, `worker:NAME`, `controller`, `operator`, `api`.
    pub actor: String,
    /// What kind of thing changed: `build`, `attempt`, `builder`, `project`, ...
    pub subject_kind: String,
    /// The id of that thing.
    pub subject_id: String,
    /// The state before; `None` for what is new or has no states.
    pub old_state: Option<String>,
    /// The state after.
    pub new_state: Option<String>,
    /// Why it happened, as a sentence for people.
    pub reason: String,
    /// More about it, for programs.
    pub detail: Option<serde_json::Value>,
    /// The build it belongs to.
    pub build: Option<BuildId>,
    /// The builder it belongs to.
    pub builder: Option<BuilderId>,
}

/// The conditions that the events of a list meet; `None` sets none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this builder and of attempts on it.
    pub builder: Option<BuilderId>,
    /// Only of this build, its chroots and its attempts.
    pub build: Option<BuildId>,
    /// Only with a higher number.
    pub after_id: Option<i64>,
}
