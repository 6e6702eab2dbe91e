//! Attempts and their allocations: wanted, given to a builder, taken up, renewed, taken over, ended.

use std::time::Duration;

use model::{
    AfterUse, AttemptId, AttemptState, Blame, BuildId, BuilderId, BuilderState, Epoch, Timestamp, UseEnd,
    Used, builder::Deadlines, mark::MarkKind,
};

use super::{Allocation, Attempt, Builder, Stop, Store};
use crate::setting::Wanted;

/// How many attempts that a worker began a build chroot has before it fails for good.
const MOST_TRIES: u32 = 3;

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    state: AttemptState,
    blame: Option<Blame>,
    is_excused: bool,
}

impl End {
    pub(super) const fn lost(is_excused: bool) -> Self {
        Self {
            state: AttemptState::Lost,
            blame: None,
            is_excused,
        }
    }
}

/// What a worker hands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Built,
    /// The package is to blame.
    Failed,
    /// The machine is to blame.
    Broken,
    /// Its user wants no more of it.
    Canceled,
}

/// How an allocation stands for the worker that has taken it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    Held,
    CancelWanted,
    Lost,
}

impl Store {
    /// Somebody wants a build chroot built.
    pub(crate) fn submit(&mut self, build: BuildId, wanted: Wanted, now: Timestamp) {
        let id = AttemptId(self.new_id());
        let attempt = Attempt {
            id,
            build,
            chroot: wanted.chroot,
            owner: wanted.owner,
            sandbox: wanted.sandbox,
            is_background: wanted.is_background,
            queued_at: now,
            state: AttemptState::Waiting,
            is_cancel_wanted: false,
            is_begun: false,
        };
        self.attempts.insert(id, attempt);
        self.queue = None;
    }

    /// A user wants no more of an attempt: one that waits ends, the worker of another is told.
    pub(crate) fn cancel(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        if attempt.state == AttemptState::Waiting {
            self.attempts.remove(&id);
            self.queue = None;
        } else {
            attempt.is_cancel_wanted = true;
        }
    }

    /// Gives a ready builder that was looked at to an attempt that waits.
    pub(crate) fn assign(
        &mut self,
        lease: i64,
        (attempt, seen): (AttemptId, &Builder),
        (deadline, now): (Timestamp, Timestamp),
        heard: Duration,
    ) -> Result<(), Stop> {
        self.check(lease)?;
        let row = self.attempts.get(&attempt).ok_or(Stop::Conflict)?;
        let compares = self.guards.compare;
        if compares && row.state != AttemptState::Waiting {
            return Err(Stop::Conflict);
        }
        if seen.sandbox.is_some() && seen.sandbox != row.sandbox {
            return Err(Stop::Conflict);
        }
        let builder = self.builders.get_mut(&seen.id).ok_or(Stop::Conflict)?;
        let is_free =
            (builder.state, builder.version) == (BuilderState::Ready, seen.version) && !builder.cordoned;
        if compares && !is_free {
            return Err(Stop::Conflict);
        }
        builder.enter(
            BuilderState::Reserved,
            format!("for attempt {attempt}"),
            (now, Some(deadline)),
        );
        let allocation = Allocation {
            builder: seen.id,
            attempt,
            worker: None,
            renewed_at: now,
            heard,
        };
        let epoch = self.next_epoch();
        self.open.insert(epoch, allocation);
        self.set_state(attempt, AttemptState::Assigned);
        Ok(())
    }

    fn next_epoch(&mut self) -> Epoch {
        self.last_epoch = self.last_epoch.wrapping_add(1);
        Epoch(self.last_epoch)
    }

    fn set_state(&mut self, id: AttemptId, state: AttemptState) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.state = state;
        }
        self.queue = None;
    }

    /// Takes an offered allocation up: its builder is busy until `deadline`.
    pub(crate) fn accept(
        &mut self,
        epoch: Epoch,
        worker: u8,
        (deadline, now): (Timestamp, Timestamp),
        heard: Duration,
    ) -> Result<(), Stop> {
        let allocation = self.open.get_mut(&epoch).ok_or(Stop::Conflict)?;
        if allocation.worker.is_some() {
            return Err(Stop::Conflict);
        }
        let (id, attempt) = (allocation.builder, allocation.attempt);
        let sandbox = self.attempts.get(&attempt).and_then(|it| it.sandbox.clone());
        let row = self.builders.get_mut(&id).ok_or(Stop::Conflict)?;
        let is_others = row.uses > 0 && (row.sandbox.is_none() || row.sandbox != sandbox);
        if row.state != BuilderState::Reserved || is_others {
            return Err(Stop::Conflict);
        }
        row.enter(
            BuilderState::Busy,
            "an attempt runs".to_owned(),
            (now, Some(deadline)),
        );
        row.uses = row.uses.saturating_add(1);
        row.reusable_until = row.reusable_until.filter(|_| sandbox.is_some());
        row.sandbox = sandbox;
        (allocation.worker, allocation.renewed_at, allocation.heard) = (Some(worker), now, heard);
        if let Some(attempt) = self.attempts.get_mut(&attempt) {
            attempt.is_begun = true;
        }
        self.set_state(attempt, AttemptState::Running);
        Ok(())
    }

    /// A worker's sign of life for an allocation.
    pub(crate) fn renew(
        &mut self,
        epoch: Epoch,
        worker: u8,
        (deadline, now): (Timestamp, Timestamp),
        heard: Duration,
    ) -> Stands {
        let Some(allocation) = self.open.get_mut(&epoch).filter(|it| it.worker == Some(worker)) else {
            return Stands::Lost;
        };
        (allocation.renewed_at, allocation.heard) = (now, heard);
        let (builder, attempt) = (allocation.builder, allocation.attempt);
        self.extend(builder, deadline);
        if self.attempts.get(&attempt).is_some_and(|it| it.is_cancel_wanted) {
            Stands::CancelWanted
        } else {
            Stands::Held
        }
    }

    /// Makes an allocation another worker's, when its own is silent since `stale_before` or is the same that was started again. It
    /// has a new number then.
    pub(crate) fn take_over(
        &mut self,
        epoch: Epoch,
        worker: u8,
        (stale_before, now): (Timestamp, Timestamp),
        heard: Duration,
    ) -> Result<Epoch, Stop> {
        let allocation = self.open.get(&epoch).ok_or(Stop::Conflict)?;
        let holder = allocation.worker.ok_or(Stop::Conflict)?;
        if holder != worker && allocation.renewed_at >= stale_before {
            return Err(Stop::Conflict);
        }
        let taken = Allocation {
            worker: Some(worker),
            renewed_at: now,
            heard,
            ..allocation.clone()
        };
        let builder = taken.builder;
        self.open.remove(&epoch);
        let new = self.next_epoch();
        self.open.insert(new, taken);
        self.extend(builder, now.plus(Deadlines::USUAL.busy));
        Ok(new)
    }

    /// Hands in how an attempt ended: its builder is cleaned, held or drained, its allocation over.
    pub(crate) fn finish(
        &mut self,
        epoch: Epoch,
        worker: u8,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), Stop> {
        let held = self.open.get(&epoch).filter(|it| it.worker == Some(worker));
        let (builder, attempt) = held.map(|it| (it.builder, it.attempt)).ok_or(Stop::Conflict)?;
        self.open.remove(&epoch);
        let is_cancel_wanted = self.attempts.get(&attempt).is_some_and(|it| it.is_cancel_wanted);
        let (state, blame) = match outcome {
            Outcome::Built | Outcome::Canceled if is_cancel_wanted => {
                (AttemptState::Canceled, Some(Blame::Cancelled))
            }
            Outcome::Built => (AttemptState::Publishing, None),
            Outcome::Failed => (AttemptState::Failed, Some(Blame::Package)),
            Outcome::Broken => (AttemptState::Failed, Some(Blame::Infrastructure)),
            Outcome::Canceled => (AttemptState::Canceled, Some(Blame::Cancelled)),
        };
        self.release(builder, (state, blame), now);
        let end = End {
            state,
            blame,
            is_excused: blame == Some(Blame::Infrastructure) && self.has_notice(builder),
        };
        if let Some(build) = self.end_attempt(attempt, end, now)
            && let Some(row) = self.builders.get_mut(&builder)
        {
            row.lose(build);
        }
        Ok(())
    }

    /// Whether a builder's cloud has said that it takes the machine back.
    pub(super) fn has_notice(&self, id: BuilderId) -> bool {
        let row = self.builders.get(&id);
        row.and_then(|row| row.mark.as_ref())
            .is_some_and(|mark| mark.kind == MarkKind::TakenBack)
    }

    /// Moves a builder on after its attempt, unless it has left by itself.
    fn release(&mut self, id: BuilderId, end: (AttemptState, Option<Blame>), now: Timestamp) {
        let limits = Deadlines::USUAL;
        let Some(row) = self
            .builders
            .get_mut(&id)
            .filter(|row| row.state == BuilderState::Busy)
        else {
            return;
        };
        let used = Used {
            reusable_until: row.reusable_until,
            cordoned: row.cordoned,
            mark: row.mark.as_ref(),
        };
        let hold = used.mark.and_then(|mark| mark.held_until(now));
        let (to, deadline) = match AfterUse::of(&used, UseEnd::Handed(end.0, end.1), now) {
            AfterUse::Clean => (BuilderState::Cleaning, now.plus(limits.clean)),
            AfterUse::Hold => (BuilderState::Held, hold.unwrap_or_else(|| now.plus(limits.held))),
            AfterUse::Terminate => (BuilderState::Draining, now.plus(limits.drain)),
        };
        row.enter(to, "its attempt ended".to_owned(), (now, Some(deadline)));
    }

    /// An attempt whose allocation nobody took up waits again.
    pub(super) fn wait_again(&mut self, id: AttemptId) {
        self.set_state(id, AttemptState::Waiting);
    }

    /// Ends an attempt. Another one follows a loss, unless there were too many or the user wants no more. Answers the build whose try
    /// counted, where another follows.
    pub(super) fn end_attempt(&mut self, id: AttemptId, end: End, now: Timestamp) -> Option<BuildId> {
        let mut attempt = self.attempts.remove(&id)?;
        self.queue = None;
        let is_loss = end.state == AttemptState::Lost
            || end.state == AttemptState::Failed && end.blame.is_some_and(Blame::is_worth_a_retry);
        if !is_loss || attempt.is_cancel_wanted {
            return None;
        }
        let build = attempt.build;
        let tries = self.tries.entry(build).or_default();
        let counts = attempt.is_begun && !end.is_excused;
        *tries = tries.saturating_add(u32::from(counts));
        if !end.is_excused && *tries >= MOST_TRIES {
            return None;
        }
        attempt.id = AttemptId(self.new_id());
        (attempt.state, attempt.is_begun, attempt.queued_at) = (AttemptState::Waiting, false, now);
        self.attempts.insert(attempt.id, attempt);
        counts.then_some(build)
    }
}
