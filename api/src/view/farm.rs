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
    /// The pool.
    pub(crate) name: String,
    /// How many builders are in which state.
    pub(crate) builders: BTreeMap<String, i64>,
    /// Until when it launches nothing because its last builders failed; then it tries one. Null when it launches as it needs.
    pub(crate) held_until: Option<String>,
}

/// The fleet at a glance.
#[derive(Debug, Object)]
#[oai(rename = "Fleet")]
pub(crate) struct FleetView {
    /// How many builders are in which state, over all pools.
    pub(crate) builders: BTreeMap<String, i64>,
    /// The pools of the fleet file, and others that still have builders.
    pub(crate) pools: Vec<PoolView>,
    /// What is wrong with the fleet, the worst first; empty when nothing is.
    pub(crate) troubles: Vec<String>,
    /// How many build chroots wait for a builder.
    pub(crate) queue: i64,
}

/// A builder: one rented machine.
#[derive(Debug, Object)]
#[oai(rename = "Builder")]
pub(crate) struct BuilderView {
    /// Its id.
    pub(crate) id: String,
    /// Its pool.
    pub(crate) pool: String,
    /// Its state.
    pub(crate) state: String,
    /// Why it is in that state.
    pub(crate) reason: Option<String>,
    /// Since when it is in that state.
    pub(crate) since: String,
    /// When its time in that state is over.
    pub(crate) deadline: Option<String>,
    /// When it was first wanted.
    pub(crate) created_at: String,
    /// When it became ready.
    pub(crate) ready_at: Option<String>,
    /// How long ago it was first wanted, in seconds.
    pub(crate) age_seconds: i64,
    /// Whether an operator keeps attempts away from it.
    pub(crate) cordoned: bool,
    /// The cloud.
    pub(crate) cloud: String,
    /// The cloud's id of the machine; operators only.
    pub(crate) instance_id: Option<String>,
    /// Where it answers; operators only.
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

/// A build chroot that waits.
#[derive(Debug, Object)]
pub(crate) struct QueueEntry {
    /// Its place, from 1; null before the planner has seen it.
    pub(crate) position: Option<i64>,
    /// The build.
    pub(crate) build: i64,
    /// Whose it is.
    pub(crate) owner: String,
    /// The project.
    pub(crate) project: String,
    /// What is built.
    pub(crate) package: Option<String>,
    /// In which chroot.
    pub(crate) chroot: String,
    /// Whether it yields to others.
    pub(crate) background: bool,
    /// Since when it waits.
    pub(crate) submitted_at: String,
    /// Why it has to wait, in words.
    pub(crate) reason: Option<String>,
}

impl QueueEntry {
    /// From the database's view.
    pub(crate) fn new(entry: store::QueueEntry) -> Self {
        Self {
            position: i64::try_from(entry.position).ok(),
            build: entry.build.0,
            owner: entry.owner.to_string(),
            project: entry.project.to_string(),
            package: entry.package.map(|package| package.to_string()),
            chroot: entry.chroot.to_string(),
            background: entry.background,
            submitted_at: entry.submitted_at.to_string(),
            reason: entry.reason,
        }
    }
}

/// The queue.
#[derive(Debug, Object)]
#[oai(rename = "Queue")]
pub(crate) struct QueueView {
    /// In the order of their places.
    pub(crate) entries: Vec<QueueEntry>,
    /// Whether more wait than are shown.
    pub(crate) truncated: bool,
}

/// One try of one build chroot on one builder.
#[derive(Debug, Object)]
#[oai(rename = "Attempt")]
pub(crate) struct AttemptView {
    /// Its id.
    pub(crate) id: String,
    /// The build.
    pub(crate) build: i64,
    /// The chroot.
    pub(crate) chroot: String,
    /// The how manieth try, from 1.
    pub(crate) number: i64,
    /// Its state.
    pub(crate) state: String,
    /// The builder that it has or had.
    pub(crate) builder: Option<String>,
    /// Who is answerable for its failure: `package`, `infrastructure`, `service` or `cancelled`.
    pub(crate) blame: Option<String>,
    /// Why it ended as it did, in words.
    pub(crate) reason: Option<String>,
    /// How long its log is, in bytes.
    pub(crate) log_bytes: i64,
    /// When it was put into the queue.
    pub(crate) queued_at: String,
    /// When it began.
    pub(crate) started_at: Option<String>,
    /// When it ended.
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

/// A piece of a log.
#[derive(Debug, Object)]
#[oai(rename = "Log")]
pub(crate) struct LogView {
    /// Where the piece begins, in bytes.
    pub(crate) offset: u64,
    /// Where to go on.
    pub(crate) next_offset: u64,
    /// How long the log is by now.
    pub(crate) size: u64,
    /// Whether nothing will be added.
    pub(crate) complete: bool,
    /// The piece; bytes that are no UTF-8 are replaced.
    pub(crate) text: String,
}

/// A piece of a log as an event; the event's id is `next_offset`.
#[derive(Debug, Object)]
pub(crate) struct LogChunk {
    /// Where the piece begins, in bytes.
    pub(crate) offset: u64,
    /// Where the next one begins.
    pub(crate) next_offset: u64,
    /// The piece; bytes that are no UTF-8 are replaced.
    pub(crate) text: String,
    /// The attempt's state, in the last event only.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) state: Option<String>,
}

/// Something that happened.
#[derive(Debug, Object)]
#[oai(rename = "Event")]
pub(crate) struct EventView {
    /// Its number.
    pub(crate) id: i64,
    /// When.
    pub(crate) at: String,
    /// By whom.
    pub(crate) actor: String,
    /// What kind of thing changed.
    pub(crate) subject_kind: String,
    /// Which thing.
    pub(crate) subject_id: String,
    /// Its state before.
    pub(crate) old_state: Option<String>,
    /// Its state after.
    pub(crate) new_state: Option<String>,
    /// Why.
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
