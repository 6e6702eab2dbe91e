//! Faults of one instance, which last: they are in the ledger, so that they go on after a new start of the cloud.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Faults of one instance that last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceFaults {
    /// How long after each start its public address opens.
    pub slow_boot_milliseconds: u64,
    /// It shows another host key than its user data brought.
    pub other_host_key: bool,
    /// It has another host key after each start but its first.
    pub host_key_changes: bool,
    /// Its metadata service has no user data.
    pub without_user_data: bool,
    /// Until when it is in no list and its id is unknown.
    #[serde(with = "time::serde::rfc3339::option")]
    pub hidden_until: Option<OffsetDateTime>,
    /// When the cloud takes it back.
    pub interruption: Option<Interruption>,
    /// When it ends by itself, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// What befalls its machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mishap: Option<Mishap>,
    /// After how many bytes of its own each connection falls silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_after_bytes: Option<u64>,
    /// How many bytes of its own each connection carries in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// What becomes of its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag_edits: Vec<TagEdit>,
    /// How it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<Linger>,
    /// No client of the API launched it.
    pub is_stranger: bool,
    /// It is shown without addresses. Of copies for one answer only.
    #[serde(skip)]
    pub is_bare: bool,
}

/// The end of an instance of the spot market, as the cloud decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interruption {
    /// From when on the metadata service tells of it.
    #[serde(with = "time::serde::rfc3339")]
    pub notice: OffsetDateTime,
    /// When it comes.
    #[serde(with = "time::serde::rfc3339")]
    pub end: OffsetDateTime,
    /// It never comes.
    #[serde(default)]
    pub spared: bool,
}

/// The end of an instance that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The code of the state reason.
    pub code: String,
    /// Its sentence.
    pub message: String,
}

/// What befalls a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mishap {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub kind: MishapKind,
}

/// What can befall a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MishapKind {
    /// All its processes stand still.
    Freeze,
    /// Its link is cut.
    Partition,
    /// It is gone without a word.
    PowerCut,
}

/// Somebody edits tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEdit {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Keys and values that are set.
    pub set: BTreeMap<String, String>,
    /// Keys that are removed.
    pub remove: Vec<String>,
}

/// A termination that is accepted and not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linger {
    /// How long it is not done.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// It is never done: the instance runs again then.
    pub returns: bool,
}
