//! Workers: they take attempts up, drive the builds on the builders, say that they live, and hand in how it ended.

use std::{collections::BTreeMap, time::Duration};

use model::{AttemptId, BuilderId, Epoch, builder::Deadlines};

use super::{WORKERS, World, machines::Reached, seconds};
use crate::{
    cloud::Run,
    controller::shown_by_clock,
    event::Event,
    luck::Fault,
    store::{Builder, Outcome, Stands},
};

/// How often a worker looks and says that it is there.
const PACE: Duration = Duration::from_secs(5);
/// How long a worker may be silent before another takes over its attempts.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// After how long without an answer a worker gives a machine up.
const PATIENCE: Duration = Duration::from_secs(45);
/// How many attempts it drives at once.
const PARALLEL: usize = 16;

/// A worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) life: u64,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// How wrong its clock is, in microseconds.
    pub(super) skew: i64,
    /// What it drives, with the moment since which the machine does not answer.
    driven: BTreeMap<Epoch, Driven>,
    /// Whether it has looked for what it drove in another life.
    has_resumed: bool,
    /// Whether a look is foreseen beside the usual ones.
    is_nudged: bool,
}

/// An attempt that a worker drives.
#[derive(Clone, Copy, Debug)]
struct Driven {
    attempt: AttemptId,
    builder: BuilderId,
    silent_since: Option<Duration>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            life: 0,
            is_up: true,
            is_paused: false,
            skew: 0,
            driven: BTreeMap::new(),
            has_resumed: true,
            is_nudged: false,
        }
    }
}

impl Worker {
    /// Ends it as kill -9 does.
    pub(super) fn die(&mut self) {
        *self = Self {
            life: self.life.wrapping_add(1),
            is_up: false,
            skew: self.skew,
            has_resumed: false,
            ..Self::default()
        };
    }
}

impl World {
    /// Tells some worker that there is something to take up.
    pub(super) fn nudge_a_worker(&mut self) {
        let name = u8::try_from(self.luck.count(1, u32::from(WORKERS))).unwrap_or(1);
        let soon = self.luck.millis(10, 500);
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        if worker.is_up && !worker.is_nudged {
            worker.is_nudged = true;
            let life = worker.life;
            self.after(soon, Event::Worker(name, life));
        }
    }

    pub(super) fn worker_wakes(&mut self, name: u8) {
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        (worker.is_up, worker.is_paused) = (true, false);
        // What was foreseen in this life is no more: a look comes now, and the others follow it.
        worker.life = worker.life.wrapping_add(1);
        worker.is_nudged = false;
        let life = worker.life;
        self.after(Duration::ZERO, Event::Worker(name, life));
    }

    pub(super) fn worker_looks(&mut self, name: u8, life: u64) {
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        if !worker.is_up || worker.is_paused || worker.life != life {
            return;
        }
        if !std::mem::take(&mut worker.is_nudged) {
            self.after(PACE, Event::Worker(name, life));
        }
        if self.luck.strikes(Fault::DatabaseAway) {
            return;
        }
        self.renew(name);
        self.take_over(name);
        self.take_up(name);
        self.drive(name);
    }

    fn worker_clock(&self, name: u8) -> model::Timestamp {
        let skew = self.workers.get(&name).map_or(0, |it| it.skew);
        shown_by_clock(self.now, skew)
    }

    fn renew(&mut self, name: u8) {
        let now = self.worker_clock(name);
        let times = (now.plus(Deadlines::USUAL.busy), now);
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        let epochs: Vec<Epoch> = worker.driven.keys().copied().collect();
        for epoch in epochs {
            match self.store.renew(epoch, name, times, self.now) {
                Stands::Held => {}
                Stands::CancelWanted => self.hand_in(name, epoch, Outcome::Canceled),
                Stands::Lost => {
                    tell!(self, "worker {name} has lost allocation {epoch}");
                    self.forget(name, epoch);
                }
            }
        }
    }

    fn forget(&mut self, name: u8, epoch: Epoch) -> Option<Driven> {
        self.workers.get_mut(&name)?.driven.remove(&epoch)
    }

    /// Takes over what it drove itself in another life, and what silent workers left.
    fn take_over(&mut self, name: u8) {
        let now = self.worker_clock(name);
        let stale_before = now.minus(SILENCE);
        let Some(worker) = self.workers.get_mut(&name) else {
            return;
        };
        let resumes = !std::mem::replace(&mut worker.has_resumed, true);
        let driven = &worker.driven;
        let is_left = |(epoch, it): &(&Epoch, &crate::store::Allocation)| {
            let is_own = it.worker == Some(name) && resumes;
            let is_silent = it.worker.is_some() && it.renewed_at < stale_before;
            (is_own || is_silent) && !driven.contains_key(*epoch)
        };
        let left = self.store.open.iter().filter(is_left);
        let left: Vec<(Epoch, AttemptId, BuilderId)> =
            left.map(|(epoch, it)| (*epoch, it.attempt, it.builder)).collect();
        for (epoch, attempt, builder) in left {
            if let Ok(new) = self.store.take_over(epoch, name, (stale_before, now), self.now) {
                tell!(self, "worker {name} takes {attempt} over as {new}");
                self.drives(name, new, (attempt, builder));
            }
        }
    }

    fn drives(&mut self, name: u8, epoch: Epoch, (attempt, builder): (AttemptId, BuilderId)) {
        if let Some(worker) = self.workers.get_mut(&name) {
            let driven = Driven {
                attempt,
                builder,
                silent_since: None,
            };
            worker.driven.insert(epoch, driven);
        }
    }

    /// Takes up what is offered.
    fn take_up(&mut self, name: u8) {
        let now = self.worker_clock(name);
        let driven = self.workers.get(&name).map_or(PARALLEL, |it| it.driven.len());
        let offered = self.store.open.iter().filter(|(_, it)| it.worker.is_none());
        let offered: Vec<(Epoch, AttemptId, BuilderId)> = offered
            .map(|(epoch, it)| (*epoch, it.attempt, it.builder))
            .take(PARALLEL.saturating_sub(driven))
            .collect();
        for (epoch, attempt, builder) in offered {
            let times = (now.plus(Deadlines::USUAL.busy), now);
            if self.store.accept(epoch, name, times, self.now).is_ok() {
                tell!(self, "worker {name} takes {attempt} up on {builder} as {epoch}");
                self.drives(name, epoch, (attempt, builder));
            }
        }
    }

    /// Looks at the machines of all that it drives.
    fn drive(&mut self, name: u8) {
        let Some(worker) = self.workers.get(&name) else {
            return;
        };
        let all: Vec<(Epoch, Driven)> = worker.driven.iter().map(|(epoch, it)| (*epoch, *it)).collect();
        for (epoch, driven) in all {
            let row = self.store.builders.get(&driven.builder).cloned();
            let outcome = row.and_then(|row| self.look_at_build(&row, epoch, driven.attempt));
            match outcome {
                Some(Seen::Runs) => self.note_silence(name, epoch, None),
                Some(Seen::Ended(outcome)) => self.hand_in(name, epoch, outcome),
                None => {
                    let since = driven.silent_since.unwrap_or(self.now);
                    self.note_silence(name, epoch, Some(since));
                    if self.now.saturating_sub(since) >= PATIENCE {
                        self.hand_in(name, epoch, Outcome::Broken);
                    }
                }
            }
        }
    }

    fn note_silence(&mut self, name: u8, epoch: Epoch, since: Option<Duration>) {
        let driven = self
            .workers
            .get_mut(&name)
            .and_then(|it| it.driven.get_mut(&epoch));
        if let Some(driven) = driven {
            driven.silent_since = since;
        }
    }

    /// Looks how a build goes on its machine, and begins it where none runs; `None` when nobody answers.
    fn look_at_build(&mut self, row: &Builder, epoch: Epoch, attempt: AttemptId) -> Option<Seen> {
        let now = self.now;
        let Reached::Machine(machine) = self.reach(row) else {
            return None;
        };
        if machine.epoch > epoch {
            // Another worker gave it orders since.
            return None;
        }
        machine.epoch = epoch;
        match &mut machine.run {
            Some(run) if run.attempt == attempt => {
                run.epoch = epoch;
                let is_over = run.ends_at <= now;
                let seen = if is_over {
                    Seen::Ended(run.outcome)
                } else {
                    Seen::Runs
                };
                if is_over {
                    machine.run = None;
                }
                Some(seen)
            }
            _ => {
                self.begin_build(row, epoch, attempt);
                Some(Seen::Runs)
            }
        }
    }

    fn begin_build(&mut self, row: &Builder, epoch: Epoch, attempt: AttemptId) {
        let Some(sandbox) = self.store.attempts.get(&attempt).map(|it| it.sandbox.clone()) else {
            return;
        };
        self.judge_begin(row, attempt);
        let takes = self.luck.seconds(5, self.setting.longest_build);
        let outcome = match self.luck.below(20) {
            0 => Outcome::Broken,
            1..=3 => Outcome::Failed,
            _ => Outcome::Built,
        };
        let leaves_residue = self.luck.strikes(Fault::Residue);
        let ends_at = self.now.saturating_add(takes);
        let Reached::Machine(machine) = self.reach(row) else {
            return;
        };
        machine.run = Some(Run {
            attempt,
            epoch,
            ends_at,
            outcome,
        });
        machine.is_dirty = true;
        machine.has_residue |= leaves_residue;
        machine.sandbox = sandbox;
    }

    fn hand_in(&mut self, name: u8, epoch: Epoch, outcome: Outcome) {
        let now = self.worker_clock(name);
        let Some(driven) = self.forget(name, epoch) else {
            return;
        };
        if outcome == Outcome::Canceled {
            self.stop_build(driven);
        }
        let handed = self.store.finish(epoch, name, outcome, now);
        tell!(
            self,
            "worker {name} hands in {} as {outcome:?}: {handed:?}",
            driven.attempt
        );
        for side in [crate::event::Side::One, crate::event::Side::Other] {
            self.wake(side);
        }
    }

    /// Ends a build on its machine.
    fn stop_build(&mut self, driven: Driven) {
        let Some(row) = self.store.builders.get(&driven.builder).cloned() else {
            return;
        };
        if let Reached::Machine(machine) = self.reach(&row)
            && machine
                .run
                .as_ref()
                .is_some_and(|run| run.attempt == driven.attempt)
        {
            machine.run = None;
        }
    }

    /// Kills or pauses workers, and sets their clocks.
    pub(super) fn trouble_workers(&mut self) {
        for name in 1..=WORKERS {
            let (is_killed, is_paused) = (
                self.luck.strikes(Fault::WorkerKilled),
                self.luck.strikes(Fault::WorkerPaused),
            );
            let step = self.clock_step();
            let Some(worker) = self.workers.get_mut(&name) else {
                continue;
            };
            worker.skew = step.unwrap_or(worker.skew);
            if !worker.is_up || worker.is_paused || !(is_killed || is_paused) {
                continue;
            }
            let after = if is_killed {
                worker.die();
                self.luck.seconds(1, 120)
            } else {
                worker.is_paused = true;
                self.luck.seconds(1, 300)
            };
            tell!(
                self,
                "worker {name} is {}",
                if is_killed { "killed" } else { "paused" }
            );
            self.after(after, Event::WorkerWakes(name));
        }
    }

    /// Wakes all workers that are not there, and sets all clocks right.
    pub(super) fn calm_workers(&mut self) {
        for name in 1..=WORKERS {
            let Some(worker) = self.workers.get_mut(&name) else {
                continue;
            };
            worker.skew = 0;
            if !worker.is_up || worker.is_paused {
                self.after(seconds(1), Event::WorkerWakes(name));
            }
        }
    }
}

/// How a build goes.
enum Seen {
    Runs,
    Ended(Outcome),
}

#[cfg(test)]
mod tests;
