//! What the controller does next, and why: [`plan()`] is a pure function of a [`Snapshot`].
//!
//! It decides in this order: builders whose time in a state is over; ready builders to waiting attempts;
//! what is left of the queue, and what pools want to hold ready, becomes launches; what is too much is let
//! go. Every action and every attempt that goes on waiting has a reason that people can read.

use std::{collections::BTreeMap, sync::Arc};

use caps::Shares;
use free::Free;
use serde::Serialize;

use crate::{
    AfterUse, BuilderState, Drift, Lacks, LaunchHistory, Sandbox, Timestamp, UseEnd, Used,
    budget::Budget,
    calls::{LaunchCalls, LaunchPace},
    fleet::{NoImage, PoolSpec},
    id::{AttemptId, BuildId, BuilderId},
    mark::{Mark, MarkKind, Pause},
    name::{ChrootName, OwnerName, PoolName},
    stray::Stray,
};

mod account;
mod caps;
mod demand;
mod free;
mod grow;
mod hosts;
mod leaving;
mod queue;
mod refusal;
mod used;

pub use caps::Caps;
pub use demand::{Demand, Source};
pub use hosts::{Host, OutOfService};
pub use queue::{Age, Queue, QueuedAttempt};
pub(crate) use refusal::paused_in_file;

/// All that a plan is made from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub now: Timestamp,
    /// The pools, with what is known of their launches.
    pub pools: BTreeMap<PoolName, Pool>,
    /// Every builder that is not terminated or abandoned.
    pub builders: Vec<Builder>,
    /// Every attempt without a builder.
    pub queue: Queue,
    /// How many builders one may have at once.
    pub caps: Caps,
    /// What builders are wanted for, in the order in which it is served.
    pub demands: Vec<Demand>,
    /// The instances with the fleet's tag that no builder has.
    pub strays: Vec<Stray>,
}

impl Snapshot {
    /// A farm in which only the fleet file and the queue ask for builders.
    #[must_use]
    pub fn new(
        now: Timestamp,
        pools: BTreeMap<PoolName, Pool>,
        builders: Vec<Builder>,
        queue: Queue,
    ) -> Self {
        let demands = demand::of_file_and_queue(&pools, (&builders, &queue), now);
        Self {
            now,
            pools,
            builders,
            queue,
            caps: Caps::default(),
            demands,
            strays: Vec::new(),
        }
    }
}

/// A pool, with what is known of its launches.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What the fleet file says of it.
    pub spec: PoolSpec,
    /// How its last launches went.
    pub history: LaunchHistory,
    /// Whether its cloud can be asked for machines.
    pub cloud: CloudHealth,
    /// That an operator lets it launch nothing.
    pub pause: Option<Pause>,
    /// Why there is no image to launch from; `None` where there is one.
    pub no_image: Option<NoImage>,
    /// The limit of its cloud for all its pools together.
    pub quota: Option<Quota>,
    /// What may be spent in its cloud, and was.
    pub budget: Option<Budget>,
    /// How many launches its cloud may be asked for at this moment; `None` where there is no limit.
    pub calls: Option<LaunchCalls>,
    /// How often it may launch by its own `launch.rate`; `None` where it has none.
    pub pace: Option<LaunchPace>,
    /// What is on record of its fixed hosts, by their names; nothing of those that have never been used.
    pub hosts: BTreeMap<String, Host>,
    /// The port that its machines' sshd listens on, where a host has none of its own.
    pub port: u16,
}

/// How many machines there may be in a cloud, of all pools and of others in its account together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The cloud, by its name in the fleet file.
    pub cloud: String,
    /// The limit.
    pub instances: u32,
    /// How many builders there are, or may be, machines there, those of pools that are in no file any more too.
    pub counted: u32,
    /// How many machines there have no builder of the fleet: those of others in the account, and strays. `None` where nobody has
    /// counted them lately: nothing is launched then, since each machine may be one too many.
    pub others: Option<u32>,
}

impl Quota {
    /// How many more machines there may be; none where that is not known.
    #[must_use]
    pub fn left(&self) -> u32 {
        let others = self.others.unwrap_or(u32::MAX);
        self.instances.saturating_sub(self.counted.saturating_add(others))
    }

    /// What there is and may be, such as `3 + 2 of others of 40`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let others = self
            .others
            .map_or_else(|| "?".to_owned(), |others| others.to_string());
        format!("{} + {others} of others of {}", self.counted, self.instances)
    }
}

/// The fixed host that a builder is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUse {
    pub name: String,
    /// Where it was reached when the builder was planned.
    pub address: String,
    pub port: u16,
}

/// Whether a cloud can be asked for machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CloudHealth {
    /// It answers.
    #[default]
    Answers,
    /// It has not been asked yet what runs there.
    Unknown,
    /// It does not answer, or refuses to say what runs there.
    Away(CloudTrouble),
}

/// What is wrong with a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudTrouble {
    /// Its name in the fleet file.
    pub cloud: String,
    /// Since when it gives no machines.
    pub since: Timestamp,
    /// What is wrong, as a sentence for everybody: without addresses and ids.
    pub reason: String,
    /// All that the cloud said, for operators.
    pub detail: String,
}

impl CloudTrouble {
    /// The trouble as a sentence for everybody.
    #[must_use]
    pub fn in_public(&self) -> String {
        self.describe(&self.reason)
    }

    /// The trouble as a sentence for operators, with all that the cloud said.
    #[must_use]
    pub fn for_operators(&self) -> String {
        self.describe(&self.detail)
    }

    fn describe(&self, why: &str) -> String {
        let since = self.since.to_the_second();
        format!("cloud {} gives no machines since {since}: {why}", self.cloud)
    }
}

/// A builder, as far as a plan needs to know it.
#[derive(Clone, Debug)]
pub struct Builder {
    pub id: BuilderId,
    /// The pool whose specification it follows.
    pub pool: PoolName,
    pub state: BuilderState,
    /// When it was planned.
    pub created_at: Timestamp,
    /// Since when it is in its state.
    pub entered_at: Timestamp,
    /// When it is moved on if it is still in that state.
    pub deadline: Option<Timestamp>,
    /// Whether an operator wants no further attempts on it.
    pub cordoned: bool,
    /// How it differs from those that its pool would make now; `None` when it does not.
    pub drift: Option<Drift>,
    /// The builds that it is not fit for any more, because it differs.
    pub lacks: Lacks,
    /// What its cloud said to its last launch, when it gave no machine and is asked again.
    pub refusal: Option<String>,
    /// Whose builds it has run: no others are to find what they left.
    pub sandbox: Option<Sandbox>,
    /// When it was ready for the first time.
    pub ready_at: Option<Timestamp>,
    /// What an operator has said of it. Whatever is said, it is cordoned then.
    pub mark: Option<Mark>,
    /// The fixed host that it is; `None` where it is rented.
    pub host: Option<HostUse>,
    /// The line of its pool's offerings that it takes a place of, by [`PoolSpec::line_of`].
    pub line: Option<usize>,
}

impl Builder {
    /// Whether attempts may go to it.
    fn is_for_use(&self) -> bool {
        self.state == BuilderState::Ready && !self.cordoned && self.lacks != Lacks::Everything
    }

    /// How it differs from those that its pool would make now and what it is still used for, as a sentence for operators; `None` when
    /// it does not.
    #[must_use]
    pub fn outdated_in_words(&self) -> Option<String> {
        let then = match &self.lacks {
            Lacks::Nothing => "it takes builds until its turn comes to leave".to_owned(),
            Lacks::Chroots(names) => {
                let names: Vec<_> = names.iter().map(ChrootName::as_str).collect();
                format!(
                    "it takes builds, but none in {}, until its turn comes to leave",
                    names.join(", ")
                )
            }
            Lacks::Everything => "it takes no more builds".to_owned(),
        };
        let why = self.drift?.why();
        Some(format!(
            "builders of pool {} are made {why} by now: {then}",
            self.pool
        ))
    }

    /// Whether an operator wants its end: it is nothing that anybody may wait for.
    fn is_unwanted(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.kind.is_end())
    }

    /// Whether an operator wants to keep it.
    fn is_to_be_held(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Held)
    }

    /// Where it goes because its time in its state is over; `None` where it has no end.
    fn when_overdue(&self, now: Timestamp) -> Option<BuilderState> {
        let to = self.state.when_overdue()?;
        let used = Used {
            // What nobody brought to an end is never cleaned.
            reusable_until: None,
            cordoned: self.cordoned,
            mark: self.mark.as_ref(),
        };
        let is_in_use = matches!(self.state, BuilderState::Busy | BuilderState::Cleaning);
        match is_in_use && AfterUse::of(&used, UseEnd::Forsaken, now) == AfterUse::Hold {
            true => Some(BuilderState::Held),
            false => Some(to),
        }
    }

    /// The order in which builders are given away: those first that are as they would be made now, then the oldest.
    fn turn(&self) -> (bool, Timestamp, BuilderId) {
        (self.drift.is_some(), self.entered_at, self.id)
    }
}

/// What the controller is to do, and why the attempts that get no builder wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Plan {
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// One entry for each attempt that stays in the queue.
    pub waits: Vec<Wait>,
    /// One entry for each pool.
    pub pools: Vec<PoolReport>,
    /// One entry for each operator's demand that has no room.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Unmet>,
}

/// What an operator asked for and a pool has no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The key of the intent.
    pub intent: String,
    /// How many builders are still missing.
    pub missing: u32,
    /// Whether what is in the way passes by itself.
    pub may_pass: bool,
    /// What is in the way, as a sentence for operators.
    pub why: String,
}

/// One thing for the controller to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Give a ready builder to an attempt.
    Assign { attempt: AttemptId, builder: BuilderId },
    /// Rent one more builder, or make one of a fixed host.
    Launch {
        /// The pool that it is to be of.
        pool: PoolName,
        /// The host that it is made of, where it is not rented.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// What it is rented for, as a sentence for people.
        reason: String,
        /// The key of the operator's intent that it is rented for; `None` where something else wants it.
        #[serde(skip_serializing_if = "Option::is_none")]
        intent: Option<String>,
    },
    /// Take a builder out of service: its attempt ends, then it is terminated.
    Drain {
        builder: BuilderId,
        /// A sentence for the builder's events.
        reason: String,
    },
    /// Move a builder on, because its time in a state is over.
    Expire {
        builder: BuilderId,
        /// The state that it was in for too long.
        from: BuilderState,
        /// The state that it moves to.
        to: BuilderState,
        /// How long it was there, as a sentence for people.
        reason: String,
    },
    /// Move a builder to where an operator wants it, or to its end when it is on its way to a pool that is gone or may have fewer by
    /// now.
    Move {
        builder: BuilderId,
        /// The state that it moves to.
        to: BuilderState,
        /// Until when it stays there; `None`: as long as any builder.
        until: Option<Timestamp>,
        /// Who wants that, or why it is so, as a sentence for people.
        reason: String,
    },
}

/// Why an attempt goes on waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    pub attempt: AttemptId,
    pub build: BuildId,
    pub chroot: ChrootName,
    /// The owner of its project.
    pub owner: OwnerName,
    /// Its place in the queue: 1 is served next.
    pub position: usize,
    /// Why it waits, as a sentence for its user. Shared: many wait for one thing.
    pub reason: Arc<str>,
}

/// What a plan means for one pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolReport {
    pub pool: PoolName,
    /// How many builders are machines, or may be.
    pub counted: u32,
    /// How many of these are on the way to ready.
    pub starting: u32,
    /// How many of these are ready and still free after this plan.
    pub ready: u32,
    /// How many more this plan rents.
    pub launches: u32,
    /// Why it rents no more, as a sentence for people.
    pub note: String,
}

/// The next actions for a farm in this state. Total and deterministic: the same snapshot, the same plan.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    let preferences = preferences(snapshot);
    expire(snapshot, &mut plan);
    let mut shares = Shares::of(snapshot);
    let left = assign(snapshot, &preferences, &mut shares, &mut plan);
    grow::grow(snapshot, &left, (&preferences, &mut shares), &mut plan);
    plan
}

fn is_overdue(builder: &Builder, now: Timestamp) -> bool {
    builder.deadline.is_some_and(|deadline| deadline <= now) && builder.state.when_overdue().is_some()
}

fn expire(snapshot: &Snapshot, plan: &mut Plan) {
    for builder in snapshot
        .builders
        .iter()
        .filter(|builder| is_overdue(builder, snapshot.now))
    {
        let Some(to) = builder.when_overdue(snapshot.now) else {
            continue;
        };
        let seconds = snapshot.now.since(builder.entered_at).as_secs();
        let hold = builder.mark.as_ref().filter(|_| to == BuilderState::Held);
        let hold = hold.map_or_else(String::new, |mark| format!("; {}", mark.in_words()));
        plan.actions.push(Action::Expire {
            builder: builder.id,
            from: builder.state,
            to,
            reason: format!("still {} after {seconds} s{hold}", builder.state),
        });
    }
}

/// Gives ready builders away, used ones first; answers who got none, in order.
fn assign<'a>(
    snapshot: &'a Snapshot,
    preferences: &Preferences<'a>,
    shares: &mut Shares<'a>,
    plan: &mut Plan,
) -> Vec<&'a QueuedAttempt> {
    let mut free = Free::of(&snapshot.builders);
    let has_used = free.has_used();
    let mut left = Vec::new();
    for attempt in &*snapshot.queue {
        if !shares.allow(attempt) {
            left.push(attempt);
            continue;
        }
        let pools = preferences.get(&attempt.chroot).map_or(&[][..], Vec::as_slice);
        let mut take = |sandbox: Option<&'a Sandbox>| {
            let mut pools = pools.iter();
            pools.find_map(|name| free.take((*name, sandbox), &attempt.chroot))
        };
        let own = attempt.sandbox.as_ref().filter(|_| has_used);
        let used = own.and_then(|sandbox| take(Some(sandbox)));
        match used.or_else(|| take(None)) {
            Some(builder) => {
                shares.take(attempt);
                plan.actions.push(Action::Assign {
                    attempt: attempt.id,
                    builder: builder.id,
                });
            }
            None => left.push(attempt),
        }
    }
    left
}

/// The pools that offer each chroot that is waited for, the preferred one first. Found once for each: many wait for few.
type Preferences<'a> = BTreeMap<&'a ChrootName, Vec<&'a PoolName>>;

fn preferences(snapshot: &Snapshot) -> Preferences<'_> {
    let mut found = Preferences::new();
    for attempt in &*snapshot.queue {
        found.entry(&attempt.chroot).or_insert_with(|| {
            let mut pools: Vec<_> = snapshot
                .pools
                .iter()
                .filter(|(_, pool)| pool.spec.offers(&attempt.chroot))
                .collect();
            pools.sort_by_key(|(name, pool)| (std::cmp::Reverse(pool.spec.priority), *name));
            pools.into_iter().map(|(name, _)| name).collect()
        });
    }
    found
}

#[cfg(test)]
mod tests;
