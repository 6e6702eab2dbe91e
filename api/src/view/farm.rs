//! What only this farm has: fleet, queue, attempts, logs, events. Moments are RFC 3339 in UTC.

use std::collections::BTreeMap;

use model::{Timestamp, reason};
use poem_openapi::Object;
use store::{Attempt, Builder, Event};

use super::moment;

/// A pool: builders of one kind, as the fleet file describes them.
#[derive(Debug, Default, Object)]
#[oai(rename = "Pool")]
pub(crate) struct PoolView {
    /// The pool's name in the fleet file.
    pub(crate) name: String,
    /// The number of its builders in each state, by the state's name; a state without builders is left out.
    pub(crate) builders: BTreeMap<String, i64>,
    /// Until when it launches nothing, because its last builders failed; then it tries one. A moment in RFC 3339, UTC. Null
    /// when it launches as it needs.
    pub(crate) held_until: Option<String>,
}

/// The fleet in numbers.
#[derive(Debug, Object)]
#[oai(rename = "Fleet")]
pub(crate) struct FleetView {
    /// The number of builders in each state, over all pools, by the state's name; a state without builders is left out.
    pub(crate) builders: BTreeMap<String, i64>,
    /// The pools of the fleet file, and others that still have builders.
    pub(crate) pools: Vec<PoolView>,
    /// What is wrong with the fleet, as sentences for people, the worst first; empty when nothing is.
    pub(crate) troubles: Vec<String>,
    /// How many build chroots wait for a builder: a build that waits in two chroots counts twice.
    pub(crate) queue: i64,
}

/// A builder: a machine that the farm rents from a cloud to build packages. All moments are in RFC 3339, UTC, such as
/// `2026-11-28T16:00:00.5Z`.
#[derive(Debug, Object)]
#[oai(rename = "Builder")]
pub(crate) struct BuilderView {
    /// The builder's id: `bdr_` and 32 hexadecimal digits.
    pub(crate) id: String,
    /// The name of the pool that it belongs to.
    pub(crate) pool: String,
    /// The builder's state: `planned`, `launching`, `resolving` (the cloud gave no clear answer), `pending`, `booting`,
    /// `provisioning`, `checking`, `ready`, `reserved`, `busy`, `cleaning`, `held`, `draining`, `terminating`, `terminated` or
    /// `abandoned`.
    pub(crate) state: String,
    /// Why it is in that state, as a sentence for people; null if there is nothing to say.
    pub(crate) reason: Option<String>,
    /// When it came into that state.
    pub(crate) since: String,
    /// When the farm moves it on if it is still in that state; null if there is no limit.
    pub(crate) deadline: Option<String>,
    /// When the farm decided to rent it.
    pub(crate) created_at: String,
    /// When it was ready for builds for the first time; null before that.
    pub(crate) ready_at: Option<String>,
    /// How many seconds have passed since `created_at`.
    pub(crate) age_seconds: i64,
    /// Whether an operator keeps new builds away from it. What it builds goes on.
    pub(crate) cordoned: bool,
    /// The cloud that it is rented from, by its name in the fleet file.
    pub(crate) cloud: String,
    /// The cloud's id for the machine, such as `i-0123456789abcdef0`. Null before there is one, and for all but operators.
    pub(crate) instance_id: Option<String>,
    /// The machine's address, such as `192.0.2.7`. Null before there is one, and for all but operators.
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
    let mut reason = reason::for_users(builder.reason.as_deref()?, None, &[]);
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

/// A chroot of a build that waits for a builder.
#[derive(Debug, Object)]
pub(crate) struct QueueEntry {
    /// Its place in the queue: 1 is served next.
    pub(crate) position: i64,
    /// The number of the build.
    pub(crate) build: i64,
    /// The name of the project's owner.
    pub(crate) owner: String,
    /// The name of the project.
    pub(crate) project: String,
    /// The name of the package that is built; null until it is known.
    pub(crate) package: Option<String>,
    /// The name of the chroot, such as `fedora-43-x86_64`.
    pub(crate) chroot: String,
    /// Whether it is in the background: all builds that are not are served before it.
    pub(crate) background: bool,
    /// When the build was submitted: a moment in RFC 3339, UTC.
    pub(crate) submitted_at: String,
    /// Why it waits, as a sentence for people; null before the farm has looked at it.
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
            reason: entry
                .reason
                .as_deref()
                .map(|reason| reason::for_users(reason, None, &[])),
        }
    }
}

/// A part of the queue, in the order in which builders are given.
#[derive(Debug, Object)]
#[oai(rename = "Queue")]
pub(crate) struct QueueView {
    /// The entries of this part; the first of them is served next among them.
    pub(crate) entries: Vec<QueueEntry>,
    /// The number of entries in the whole queue.
    pub(crate) total: i64,
    /// Whether the queue goes on behind this part.
    pub(crate) truncated: bool,
}

/// An attempt: one try to build in one chroot, on one builder. All moments are in RFC 3339, UTC.
#[derive(Debug, Object)]
#[oai(rename = "Attempt")]
pub(crate) struct AttemptView {
    /// The attempt's id: `att_` and 32 hexadecimal digits.
    pub(crate) id: String,
    /// The number of the build that it belongs to.
    pub(crate) build: i64,
    /// The name of the chroot, such as `fedora-43-x86_64`.
    pub(crate) chroot: String,
    /// Its number among the attempts of the same build in the same chroot: 1 for the first.
    pub(crate) number: i64,
    /// The attempt's state: `waiting`, `assigned`, `running`, `publishing`, `succeeded`, `failed`, `skipped`, `canceled` or
    /// `lost`.
    pub(crate) state: String,
    /// The id of the builder that it runs on, or ran on; null before it has one.
    pub(crate) builder: Option<String>,
    /// Whose fault a failure is: `package` (the sources), `infrastructure` (machine or network) or `service` (the farm); the
    /// last two are tried again. `cancelled` if a user ended it; null if nothing failed.
    pub(crate) blame: Option<String>,
    /// Why it ended without packages, as a sentence for people; null if there is nothing to say.
    pub(crate) reason: Option<String>,
    /// How many bytes of its log the farm has at this moment.
    pub(crate) log_bytes: i64,
    /// When it was put into the queue.
    pub(crate) queued_at: String,
    /// When it began on its builder; null before that.
    pub(crate) started_at: Option<String>,
    /// When it ended, whatever came of it; null before that.
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
                .map(|reason| reason::for_users(reason, attempt.blame, &attempt.additional_repos)),
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
    /// Where this part begins: how many bytes of the log come before it.
    pub(crate) offset: u64,
    /// Where the next part begins. Ask for it with this as `offset`.
    pub(crate) next_offset: u64,
    /// How many bytes the whole log has at this moment.
    pub(crate) size: u64,
    /// Whether the attempt has ended, so that the log grows no more. There may still be parts behind this one.
    pub(crate) complete: bool,
    /// The text of this part. Each byte that is not valid UTF-8 is replaced by U+FFFD.
    pub(crate) text: String,
}

/// A part of a log, as the data of a server-sent event. The event's id is `next_offset`.
#[derive(Debug, Object)]
pub(crate) struct LogChunk {
    /// Where this part begins: how many bytes of the log come before it.
    pub(crate) offset: u64,
    /// Where the next part begins.
    pub(crate) next_offset: u64,
    /// The text of this part. Each byte that is not valid UTF-8 is replaced by U+FFFD.
    pub(crate) text: String,
    /// The attempt's state after its end, such as `succeeded`; only in the last event.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) state: Option<String>,
}

/// An event: a change of a build, an attempt, a builder or something else on the farm.
#[derive(Debug, Object)]
#[oai(rename = "Event")]
pub(crate) struct EventView {
    /// The event's number. Later events have higher numbers; some numbers may be missing.
    pub(crate) id: i64,
    /// When it happened: a moment in RFC 3339, UTC, such as `2026-11-28T16:00:00.5Z`.
    pub(crate) at: String,
    /// Who did it: `user:NAME`, `worker:NAME`, `controller`, `operator` or `api`.
    pub(crate) actor: String,
    /// What kind of thing has changed, such as `build`, `attempt`, `builder` or `project`.
    pub(crate) subject_kind: String,
    /// The id of that thing: a build's number, a builder's id.
    pub(crate) subject_id: String,
    /// The state before the change; null for something new, or without states.
    pub(crate) old_state: Option<String>,
    /// The state after the change; null if it is the same.
    pub(crate) new_state: Option<String>,
    /// Why it happened, as a sentence for people.
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
    /// `ok`, or what is wrong with the database, as a sentence.
    pub(crate) database: String,
    /// `ok`, or what is wrong with the disk, as a sentence.
    pub(crate) disk: String,
    /// How many bytes are free on the disk that takes uploaded sources.
    pub(crate) free_bytes: u64,
    /// What is wrong with the fleet, the worst first; empty when nothing is.
    pub(crate) fleet: Vec<String>,
}
