//! The farm's tables in memory. Each method is what one transaction of the real store does: it is done whole or not at all, refuses
//! a lease that is no longer the latest one, and a look at a row that is older than the row.

mod hooks;
mod moves;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{
    AttemptId, AttemptState, BuildId, BuilderId, BuilderState, ChrootName, Epoch, LaunchAnswer,
    LaunchHistory, LaunchId, Offering, PoolName, Sandbox, Timestamp,
    fleet::PoolSpec,
    intent::{Decision, Intent, IntentState, Made},
    mark::{Mark, MarkKind, Pause},
    name::OwnerName,
    plan::{Queue, QueuedAttempt},
    shortage::Note,
    step::sight,
};
use uuid::Uuid;

use crate::guards::Guards;

pub(crate) use hooks::{HookRun, HookState};
pub(crate) use work::{Outcome, Stands};

/// How long a lease lasts if it is not renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// Why something was not done, or is not known to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The lease is another's by now.
    LeaseLost,
    /// The row is no longer as it was looked at.
    Conflict,
    /// The database did not answer.
    Away,
    /// Whoever wanted it is dead.
    Killed,
}

/// A builder's row.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    pub(crate) id: BuilderId,
    pub(crate) pool: PoolName,
    pub(crate) cloud: &'static str,
    pub(crate) state: BuilderState,
    pub(crate) version: u64,
    pub(crate) instance: Option<String>,
    pub(crate) address: Option<String>,
    /// What it is made from.
    pub(crate) recipe: String,
    pub(crate) cordoned: bool,
    pub(crate) reason: String,
    pub(crate) entered_at: Timestamp,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) ready_at: Option<Timestamp>,
    pub(crate) launch: Option<Launch>,
    pub(crate) refusals: u32,
    pub(crate) postponements: u32,
    /// What the cloud said to the last launch that it answered, while it is asked again.
    pub(crate) refusal: Option<String>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) uses: u32,
    pub(crate) reusable_until: Option<Timestamp>,
    pub(crate) has_baseline: bool,
    /// How often its machine had been started again when it was looked at before its first build.
    pub(crate) starts: u32,
    pub(crate) mark: Option<Mark>,
    /// The build chroot of which an attempt was lost on it, and counted as a try.
    lost: Option<BuildId>,
}

impl Builder {
    /// The line of its pool's offerings that it takes a place of.
    pub(crate) fn line(&self, pool: Option<&PoolSpec>) -> Option<usize> {
        pool?.line_of(self.state, self.launch.as_ref().map(|launch| &launch.offering))
    }
}

/// The last launch for a builder. Its token is the host key, too, of which each launch has one.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) token: LaunchId,
    pub(crate) offering: Offering,
    pub(crate) asked_at: Timestamp,
    pub(crate) answer: Option<LaunchAnswer>,
}

/// What is kept of a builder that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) state: BuilderState,
    pub(crate) was_ready: bool,
    reason: String,
}

/// An attempt that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    pub(crate) build: BuildId,
    pub(crate) chroot: ChrootName,
    pub(crate) owner: OwnerName,
    pub(crate) sandbox: Option<Sandbox>,
    is_background: bool,
    queued_at: Timestamp,
    pub(crate) state: AttemptState,
    is_cancel_wanted: bool,
    /// Whether a worker has taken it up.
    is_begun: bool,
}

/// That an attempt has a builder, while that lasts.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    pub(crate) builder: BuilderId,
    pub(crate) attempt: AttemptId,
    /// The worker that has taken it up.
    pub(crate) worker: Option<u8>,
    pub(crate) renewed_at: Timestamp,
    /// When its worker was heard of last, by the world's own time.
    pub(crate) heard: Duration,
}

#[derive(Clone, Debug)]
struct Sighting {
    first_at: Timestamp,
    times: u32,
}

#[derive(Clone, Debug)]
struct Lease {
    holder: Option<u8>,
    epoch: i64,
    expires_at: Timestamp,
}

/// All tables.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) guards: Guards,
    /// The builders that live.
    pub(crate) builders: BTreeMap<BuilderId, Builder>,
    pub(crate) ended: BTreeMap<BuilderId, Ended>,
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    /// The allocations that are not over.
    pub(crate) open: BTreeMap<Epoch, Allocation>,
    pub(crate) shortages: BTreeMap<&'static str, Vec<Note>>,
    pub(crate) histories: BTreeMap<PoolName, LaunchHistory>,
    pub(crate) pauses: BTreeMap<PoolName, Pause>,
    pub(crate) intents: Vec<Intent>,
    /// The hooks of builders that live, and those that are not over.
    pub(crate) hooks: BTreeMap<Uuid, HookRun>,
    /// The tokens of all launches that were written down.
    pub(crate) tokens: BTreeSet<LaunchId>,
    /// A move that no builder makes, which somebody tried.
    pub(crate) contradiction: Option<String>,
    /// How many tries of each build chroot counted.
    tries: BTreeMap<BuildId, u32>,
    sightings: BTreeMap<(&'static str, String), Sighting>,
    lease: Lease,
    last_epoch: i64,
    last_id: u128,
    /// The queue, until it changes.
    queue: Option<Queue>,
}

impl Store {
    pub(crate) fn new(guards: Guards) -> Self {
        Self {
            guards,
            builders: BTreeMap::new(),
            ended: BTreeMap::new(),
            attempts: BTreeMap::new(),
            open: BTreeMap::new(),
            shortages: BTreeMap::new(),
            histories: BTreeMap::new(),
            pauses: BTreeMap::new(),
            intents: Vec::new(),
            hooks: BTreeMap::new(),
            tokens: BTreeSet::new(),
            contradiction: None,
            tries: BTreeMap::new(),
            sightings: BTreeMap::new(),
            lease: Lease {
                holder: None,
                epoch: 0,
                expires_at: Timestamp::from_micros(i64::MIN),
            },
            last_epoch: 0,
            last_id: 0,
            queue: None,
        }
    }

    /// The next id: those that come later are greater.
    pub(crate) fn new_id(&mut self) -> Uuid {
        self.last_id = self.last_id.wrapping_add(1);
        Uuid::from_u128(self.last_id)
    }

    /// Takes the lease if nobody has it, its time is over, or the holder has it.
    pub(crate) fn acquire(&mut self, holder: u8, now: Timestamp) -> Option<i64> {
        if self.lease.expires_at > now && self.lease.holder != Some(holder) {
            return None;
        }
        self.lease = Lease {
            holder: Some(holder),
            epoch: self.lease.epoch.wrapping_add(1),
            expires_at: now.plus(LEASE),
        };
        Some(self.lease.epoch)
    }

    pub(crate) fn renew_lease(&mut self, epoch: i64, now: Timestamp) -> Result<(), Stop> {
        self.check(epoch)?;
        self.lease.expires_at = now.plus(LEASE);
        Ok(())
    }

    /// Gives the lease back: the next one need not wait, and this one can write no more.
    pub(crate) fn release_lease(&mut self, epoch: i64, now: Timestamp) {
        if self.lease.epoch == epoch {
            self.lease = Lease {
                holder: None,
                epoch: epoch.wrapping_add(1),
                expires_at: now,
            };
        }
    }

    /// Refuses a lease that is not the latest one.
    fn check(&self, epoch: i64) -> Result<(), Stop> {
        if self.lease.epoch == epoch || !self.guards.fencing {
            Ok(())
        } else {
            Err(Stop::LeaseLost)
        }
    }

    /// The attempts that wait, in the order of their turns.
    pub(crate) fn queue(&mut self) -> Queue {
        if let Some(queue) = &self.queue {
            return queue.clone();
        }
        let is_waiting = |it: &&Attempt| it.state == AttemptState::Waiting;
        let waiting = self.attempts.values().filter(is_waiting);
        let waiting = waiting.map(|attempt| QueuedAttempt {
            id: attempt.id,
            build: attempt.build,
            chroot: attempt.chroot.clone(),
            owner: attempt.owner.clone(),
            background: attempt.is_background,
            queued_at: attempt.queued_at,
            sandbox: attempt.sandbox.clone(),
        });
        let queue = Queue::new(waiting.collect(), &self.active());
        self.queue = Some(queue.clone());
        queue
    }

    /// How many attempts of each owner have a builder.
    pub(crate) fn active(&self) -> BTreeMap<OwnerName, u32> {
        let mut active: BTreeMap<OwnerName, u32> = BTreeMap::new();
        let has_one = |it: &&Attempt| it.state != AttemptState::Waiting;
        for attempt in self.attempts.values().filter(has_one) {
            let count = active.entry(attempt.owner.clone()).or_default();
            *count = count.saturating_add(1);
        }
        active
    }

    /// The allocation of a builder.
    pub(crate) fn allocation_of(&self, builder: BuilderId) -> Option<(Epoch, &Allocation)> {
        let mut open = self.open.iter();
        open.find(|(_, it)| it.builder == builder)
            .map(|(epoch, it)| (*epoch, it))
    }

    /// How many tries of a build chroot counted.
    pub(crate) fn tries_of(&self, build: BuildId) -> u32 {
        self.tries.get(&build).copied().unwrap_or(0)
    }

    /// How many builders of a pool live: each is a machine, or may be one.
    pub(crate) fn counted(&self, pool: &PoolName) -> usize {
        self.builders
            .values()
            .filter(|builder| builder.pool == *pool)
            .count()
    }

    /// Writes down which instances without a builder a list held. Of what it did not hold nothing is kept.
    pub(crate) fn record_sightings(
        &mut self,
        lease: i64,
        cloud: &'static str,
        seen: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), Stop> {
        self.check(lease)?;
        self.sightings
            .retain(|(of, id), _| *of != cloud || seen.contains(id));
        for id in seen {
            let first = Sighting {
                first_at: now,
                times: 0,
            };
            let sighting = self.sightings.entry((cloud, id.clone())).or_insert(first);
            sighting.times = sighting.times.saturating_add(1);
        }
        Ok(())
    }

    /// The orphans of a cloud that were watched for long enough.
    pub(crate) fn due_orphans(&self, cloud: &'static str, now: Timestamp) -> Vec<String> {
        let of_cloud = self.sightings.iter().filter(|((of, _), _)| *of == cloud);
        let due = of_cloud.filter(|(_, it)| sight::is_orphan_due(it.times, it.first_at, now));
        let nobodys =
            due.filter(|((_, id), _)| !self.builders.values().any(|it| it.instance.as_ref() == Some(id)));
        nobodys.map(|((_, id), _)| id.clone()).collect()
    }

    /// Whether a cloud's last list held an orphan.
    pub(crate) fn has_orphans(&self) -> bool {
        !self.sightings.is_empty()
    }

    /// Writes down what an intent means.
    pub(crate) fn settle(
        &mut self,
        lease: i64,
        key: &str,
        decision: Decision,
        now: Timestamp,
    ) -> Result<(), Stop> {
        self.check(lease)?;
        let Some(intent) = self.intents.iter_mut().find(|it| it.key == key) else {
            return Err(Stop::Conflict);
        };
        if intent.state.is_final() {
            return Err(Stop::Conflict);
        }
        (intent.state, intent.words, intent.builders) = (decision.state, decision.words, decision.builders);
        for (id, mark) in decision.marks {
            self.set_mark(id, mark);
        }
        if let Some((pool, pause)) = decision.pause {
            for intent in self.intents.iter_mut().filter(|_| pause.is_some()) {
                if let Some(request) = intent.without_keeping(&pool) {
                    intent.request = request;
                }
            }
            match pause {
                Some(pause) => self.pauses.insert(pool, pause),
                None => self.pauses.remove(&pool),
            };
        }
        let goes_on = |it: &Intent| !it.state.is_final() || it.keeps_until().is_some_and(|until| until > now);
        self.intents.retain(goes_on);
        Ok(())
    }

    fn set_mark(&mut self, id: BuilderId, mark: Option<Mark>) {
        let Some(builder) = self.builders.get_mut(&id) else {
            return;
        };
        let is_noticed = builder
            .mark
            .as_ref()
            .is_some_and(|it| it.kind >= MarkKind::TakenBack);
        if is_noticed && mark.as_ref().is_none_or(|it| it.kind < MarkKind::TakenBack) {
            let words = format!("builder {id}, which its cloud takes back, is to serve again: {mark:?}");
            self.contradiction.get_or_insert(words);
        }
        builder.cordoned = mark.is_some();
        let is_hold = mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Held);
        if is_hold && builder.state == BuilderState::Held {
            builder.deadline = mark.as_ref().and_then(|mark| mark.until);
        }
        builder.mark = mark;
    }

    /// Marks a builder that lives, unless what is said of it already asks for as much; whether the mark is new.
    pub(crate) fn mark_builder(&mut self, lease: i64, id: BuilderId, mark: Mark) -> Result<bool, Stop> {
        self.check(lease)?;
        let is_new = self
            .builders
            .get(&id)
            .is_some_and(|it| mark.outdoes(it.mark.as_ref()));
        if is_new {
            self.set_mark(id, Some(mark));
        }
        Ok(is_new)
    }

    /// Takes away marks whose time is over.
    pub(crate) fn lift_marks(&mut self, lease: i64, ids: &[BuilderId]) -> Result<(), Stop> {
        self.check(lease)?;
        for id in ids {
            self.set_mark(*id, None);
        }
        Ok(())
    }

    /// What has become of the builders that an intent is about.
    pub(crate) fn made(&self, intent: &Intent) -> Vec<Made> {
        let of = |id: &BuilderId| {
            let live = self
                .builders
                .get(id)
                .map(|it| (it.state, it.ready_at.is_some(), &it.reason));
            let (state, was_ready, reason) =
                live.or_else(|| self.ended.get(id).map(|it| (it.state, it.was_ready, &it.reason)))?;
            Some(Made {
                id: *id,
                state,
                was_ready,
                reason: Some(reason.clone()),
            })
        };
        intent.builders.iter().filter_map(of).collect()
    }

    /// Writes down that a builder is wanted, for an intent where one asks for it.
    pub(crate) fn plan_builder(
        &mut self,
        lease: i64,
        builder: Builder,
        intent: Option<&str>,
    ) -> Result<(), Stop> {
        self.check(lease)?;
        if let Some(key) = intent {
            let asks = |it: &&mut Intent| it.key == key && it.state == IntentState::Running;
            let intent = self.intents.iter_mut().find(asks).ok_or(Stop::Conflict)?;
            intent.builders.push(builder.id);
        }
        self.builders.insert(builder.id, builder);
        Ok(())
    }
}

impl Builder {
    /// One that is wanted, and of which nothing is known yet.
    pub(crate) fn planned(
        id: BuilderId,
        (pool, cloud, recipe): (PoolName, &'static str, String),
        reason: String,
        (now, deadline): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            id,
            pool,
            cloud,
            state: BuilderState::Planned,
            version: 1,
            instance: None,
            address: None,
            recipe,
            cordoned: false,
            reason,
            entered_at: now,
            deadline: Some(deadline),
            created_at: now,
            ready_at: None,
            launch: None,
            refusals: 0,
            postponements: 0,
            refusal: None,
            sandbox: None,
            uses: 0,
            reusable_until: None,
            has_baseline: false,
            starts: 0,
            mark: None,
            lost: None,
        }
    }
}

#[cfg(test)]
mod tests;
