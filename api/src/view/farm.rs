//! What only this farm has: fleet, queue, attempts, logs, events. Moments are RFC 3339 in UTC.

use std::collections::BTreeMap;

use model::Timestamp;
use poem_openapi::Object;
use store::{Attempt, Builder, Event};

use super::{
    moment,
    redact::{reason_for_users, without_machine},
};

/// The builders of one pool.
#[derive(Debug, Default, Object)]
#[oai(rename = "Pool")]
pub(crate) struct PoolView {
    /// The pool's name.
    pub(crate) name: String,
    /// The number of its builders in each state.
    pub(crate) builders: BTreeMap<String, i64>,
    /// Until when it launches nothing because its last builders failed; then it tries one. Null when it launches as it needs.
    pub(crate) held_until: Option<String>,
}

/// The fleet at a glance.
#[derive(Debug, Object)]
#[oai(rename = "Fleet")]
pub(crate) struct FleetView {
    /// The number of builders in each state, over all pools.
    pub(crate) builders: BTreeMap<String, i64>,
    /// The pools of the fleet file, and others that still have builders.
    pub(crate) pools: Vec<PoolView>,
    /// What is wrong with the fleet, the worst first; empty when nothing is.
    pub(crate) troubles: Vec<String>,
    /// The number of build chroots that wait for a builder.
    pub(crate) queue: i64,
}

/// A builder: a machine that the farm has rented.
#[derive(Debug, Object)]
#[oai(rename = "Builder")]
pub(crate) struct BuilderView {
    /// The builder's id.
    pub(crate) id: String,
    /// The pool that it belongs to.
    pub(crate) pool: String,
    /// The builder's state.
    pub(crate) state: String,
    /// Why it is in that state.
    pub(crate) reason: Option<String>,
    /// Since when it is in that state.
    pub(crate) since: String,
    /// When it has to have left that state; null if there is no limit.
    pub(crate) deadline: Option<String>,
    /// When the farm decided to rent it.
    pub(crate) created_at: String,
    /// When it became ready for builds; null before that.
    pub(crate) ready_at: Option<String>,
    /// How many seconds ago the farm decided to rent it.
    pub(crate) age_seconds: i64,
    /// Whether an operator keeps new builds away from it.
    pub(crate) cordoned: bool,
    /// The name of the cloud.
    pub(crate) cloud: String,
    /// The cloud's id for the machine; shown to operators only.
    pub(crate) instance_id: Option<String>,
    /// The machine's address; shown to operators only.
    pub(crate) address: Option<String>,
}

impl BuilderView {
    /// From the database's view; what only operators may see is left out for others.
    pub(crate) fn new(builder: Builder, for_operator: bool, now: Timestamp) -> Self {
        let age = now.since(builder.created_at).as_secs();
        Self {
            id: builder.id.to_string(),
            pool: builder.pool.to_string(),
            state: builder.state.to_string(),
            reason: if for_operator {
                builder.reason
            } else {
                reason_of(&builder)
            },
            since: builder.entered_at.to_string(),
            deadline: moment(builder.deadline),
            created_at: builder.created_at.to_string(),
            ready_at: moment(builder.ready_at),
            age_seconds: i64::try_from(age).unwrap_or(i64::MAX),
            cordoned: builder.cordoned,
            cloud: builder.cloud,
            instance_id: builder.instance_id.filter(|_| for_operator),
            address: builder.address.filter(|_| for_operator),
        }
    }
}

/// Why a builder is where it is, for users.
fn reason_of(builder: &Builder) -> Option<String> {
    let mut reason = without_machine(builder.reason.as_deref()?);
    // Also in forms that no other cloud has.
    for (known, word) in [
        (&builder.instance_id, "[instance]"),
        (&builder.address, "[address]"),
    ] {
        if let Some(known) = known.as_deref().filter(|known| !known.is_empty()) {
            reason = reason.replace(known, word);
        }
    }
    Some(reason)
}

/// A build chroot that waits for a builder.
#[derive(Debug, Object)]
pub(crate) struct QueueEntry {
    /// Its place in the order of service, from 1.
    pub(crate) position: i64,
    /// The build's number.
    pub(crate) build: i64,
    /// The name of the project's owner.
    pub(crate) owner: String,
    /// The name of the project.
    pub(crate) project: String,
    /// The name of the package; null until it is known.
    pub(crate) package: Option<String>,
    /// The chroot's name.
    pub(crate) chroot: String,
    /// Whether builds that are not in the background are served before it.
    pub(crate) background: bool,
    /// When the build was submitted.
    pub(crate) submitted_at: String,
    /// Why it waits; null before the farm has looked at it.
    pub(crate) reason: Option<String>,
}

impl QueueEntry {
    /// From the database's view.
    pub(crate) fn new(entry: store::QueueEntry) -> Self {
        Self {
            position: i64::try_from(entry.position).unwrap_or(i64::MAX),
            build: entry.build.0,
            owner: entry.owner.to_string(),
            project: entry.project.to_string(),
            package: entry.package.map(|package| package.to_string()),
            chroot: entry.chroot.to_string(),
            background: entry.background,
            submitted_at: entry.submitted_at.to_string(),
            reason: entry.reason.as_deref().map(without_machine),
        }
    }
}

/// A part of the queue.
#[derive(Debug, Object)]
#[oai(rename = "Queue")]
pub(crate) struct QueueView {
    /// The build chroots that wait, those that are served next first.
    pub(crate) entries: Vec<QueueEntry>,
    /// How many build chroots wait in all.
    pub(crate) total: i64,
    /// Whether there are more behind these.
    pub(crate) truncated: bool,
}

/// An attempt: one try to build in one chroot, on one builder.
#[derive(Debug, Object)]
#[oai(rename = "Attempt")]
pub(crate) struct AttemptView {
    /// The attempt's id.
    pub(crate) id: String,
    /// The number of the build.
    pub(crate) build: i64,
    /// The chroot's name.
    pub(crate) chroot: String,
    /// The attempt's number among those of its build chroot, from 1.
    pub(crate) number: i64,
    /// The attempt's state.
    pub(crate) state: String,
    /// The id of its builder; null while it waits for one.
    pub(crate) builder: Option<String>,
    /// What failed: `package`, `infrastructure` or `service`; `cancelled` if a user ended it, null if nothing failed.
    pub(crate) blame: Option<String>,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// The length of its log, in bytes.
    pub(crate) log_bytes: i64,
    /// When it was put into the queue.
    pub(crate) queued_at: String,
    /// When a builder took it; null before that.
    pub(crate) started_at: Option<String>,
    /// When it ended; null before that.
    pub(crate) ended_at: Option<String>,
}

impl AttemptView {
    /// From the database's view.
    pub(crate) fn new(attempt: &Attempt) -> Self {
        Self {
            id: attempt.id.to_string(),
            build: attempt.build.0,
            chroot: attempt.chroot.to_string(),
            number: i64::from(attempt.number),
            state: attempt.state.to_string(),
            builder: attempt.builder.map(|builder| builder.to_string()),
            blame: attempt.blame.map(|blame| blame.to_string()),
            reason: attempt
                .reason
                .as_deref()
                .map(|reason| reason_for_users(attempt.blame, reason)),
            log_bytes: attempt.log_bytes,
            queued_at: attempt.queued_at.to_string(),
            started_at: moment(attempt.started_at),
            ended_at: moment(attempt.ended_at),
        }
    }
}

/// A part of a log.
#[derive(Debug, Object)]
#[oai(rename = "Log")]
pub(crate) struct LogView {
    /// How many bytes of the log come before this part.
    pub(crate) offset: u64,
    /// The offset of the next part.
    pub(crate) next_offset: u64,
    /// How many bytes the log has at this moment.
    pub(crate) size: u64,
    /// Whether the attempt has ended, so that the log no longer grows.
    pub(crate) complete: bool,
    /// The text of this part. Bytes that are not valid UTF-8 are replaced.
    pub(crate) text: String,
}

/// A part of a log as an event. The event's id is `next_offset`.
#[derive(Debug, Object)]
pub(crate) struct LogChunk {
    /// How many bytes of the log come before this part.
    pub(crate) offset: u64,
    /// The offset of the next part.
    pub(crate) next_offset: u64,
    /// The text of this part. Bytes that are not valid UTF-8 are replaced.
    pub(crate) text: String,
    /// The state in which the attempt has ended; only in the last event.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) state: Option<String>,
}

/// An event: something that has happened on the farm.
#[derive(Debug, Object)]
#[oai(rename = "Event")]
pub(crate) struct EventView {
    /// The event's number; later events have higher ones.
    pub(crate) id: i64,
    /// When it happened.
    pub(crate) at: String,
    /// Who did it: a user, a part of the farm, or an operator.
    pub(crate) actor: String,
    /// What kind of thing has changed, such as `build` or `builder`.
    pub(crate) subject_kind: String,
    /// The id of the thing that has changed.
    pub(crate) subject_id: String,
    /// The state before; null if there was none.
    pub(crate) old_state: Option<String>,
    /// The state after; null if it has not changed.
    pub(crate) new_state: Option<String>,
    /// Why it happened.
    pub(crate) reason: String,
}

impl EventView {
    /// From the database's view.
    pub(crate) fn new(event: Event) -> Self {
        Self {
            id: event.id,
            at: event.at.to_string(),
            actor: event.actor,
            subject_kind: event.subject_kind,
            subject_id: event.subject_id,
            old_state: event.old_state,
            new_state: event.new_state,
            reason: event.reason,
        }
    }
}

/// Whether the farm's HTTP side can do its work.
#[derive(Debug, Object)]
#[oai(rename = "Health")]
pub(crate) struct HealthView {
    /// `ok`; `degraded` when all is served but the fleet needs to be looked at; `failing`.
    pub(crate) status: String,
    /// `ok`, or what is wrong with the database.
    pub(crate) database: String,
    /// `ok`, or what is wrong with the disk.
    pub(crate) disk: String,
    /// Bytes that are free for sources.
    pub(crate) free_bytes: u64,
    /// What is wrong with the fleet, the worst first; empty when nothing is.
    pub(crate) fleet: Vec<String>,
}
