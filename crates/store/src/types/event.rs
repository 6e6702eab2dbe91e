//! What happened: one event for each transition, written in its transaction.

use model::{BuildId, BuilderId, Timestamp};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number; later events have higher ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// By whom: `user:NAME`, `worker:NAME`, `controller`, `operator`, `api`.
    pub actor: String,
    /// What kind of thing it happened to: `build`, `attempt`, `builder`, `project`, ...
    pub subject_kind: String,
    /// To which one.
    pub subject_id: String,
    /// The state it left, where it has states.
    pub old_state: Option<String>,
    /// The state it entered.
    pub new_state: Option<String>,
    /// Why, in words.
    pub reason: String,
    /// What else there is to know.
    pub detail: Option<serde_json::Value>,
    /// The build it belongs to.
    pub build: Option<BuildId>,
    /// The builder it belongs to.
    pub builder: Option<BuilderId>,
}

/// Which events to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this builder and of attempts on it.
    pub builder: Option<BuilderId>,
    /// Only of this build, its chroots and its attempts.
    pub build: Option<BuildId>,
    /// Only with a higher number.
    pub after_id: Option<i64>,
}
