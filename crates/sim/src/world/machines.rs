//! Machines: what they do by themselves, and what controllers do on them.

use std::time::Duration;

use model::{AttemptId, BuilderState, step::Move};

use super::{World, seconds};
use crate::{
    cloud::{Change, Machine, Trouble},
    event::{Event, Side, Task},
    luck::Fault,
    store::Builder,
};

/// How much of the time that a machine has is kept for saying why it did not answer.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long after a try to connect the next one comes.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// Who answers at a builder's address.
pub(super) enum Reached<'a> {
    Machine(&'a mut Machine),
    /// A machine with another host key.
    Stranger,
    Nobody,
}

impl World {
    pub(super) fn machine_changes(&mut self, cloud: &'static str, id: &str, change: Change) {
        let by_chance = matches!(change, Change::Dies | Change::TakenBack | Change::Stops);
        if by_chance && self.luck.is_calm() {
            return;
        }
        let Some(of) = self.clouds.get_mut(cloud) else {
            return;
        };
        let next = of.change(id, change, &mut self.luck, self.now);
        tell!(self, "machine {id}: {change:?}");
        if let Some((after, change)) = next {
            self.after(after, Event::Machine(cloud, id.to_owned(), change));
        }
    }

    /// A cloud is told to end a machine.
    pub(super) fn told_to_end(&mut self, side: Side, cloud: &'static str, id: &str) -> Result<(), Trouble> {
        self.judge_end(side, cloud, id);
        let Some(of) = self.clouds.get_mut(cloud) else {
            return Ok(());
        };
        if of.terminate(id, &mut self.luck, self.now)? {
            self.machine_changes(cloud, id, Change::Ends);
        }
        Ok(())
    }

    /// Connects to a builder's machine, by its address and host key.
    pub(super) fn reach(&mut self, row: &Builder) -> Reached<'_> {
        let checks = self.store.guards.host_keys;
        if !checks {
            self.judge_key(row);
        }
        let pinned = row.launch.as_ref().map(|launch| launch.token);
        let (Some(address), Some(of)) = (&row.address, self.clouds.get_mut(row.cloud)) else {
            return Reached::Nobody;
        };
        match of.at(address, self.now) {
            Some(machine) if machine.key == pinned || !checks => Reached::Machine(machine),
            Some(_) => Reached::Stranger,
            None => Reached::Nobody,
        }
    }

    /// One try to connect, and what comes of it.
    pub(super) fn connect(&mut self, side: Side, row: Builder, number: u64) {
        if !self.looks_like(side).is_under_way(row.id, number) {
            return;
        }
        if row.state == BuilderState::Cleaning
            && let Some(why) = self.kept_for_nobody(side, &row)
        {
            return self.give_up(side, &row, &why);
        }
        match self.reach(&row) {
            Reached::Machine(_) => self.connected(side, row, number),
            Reached::Stranger => self.give_up(side, &row, "another host key answers at its address"),
            Reached::Nobody => {
                let now = self.clock(side);
                let whole = row.deadline.map_or(seconds(10), |end| end.since(row.entered_at));
                let end = row.deadline.map(|end| end.minus(LAST_WORDS.min(whole / 4)));
                if end.is_some_and(|end| end <= now) {
                    return self.give_up(side, &row, "nobody answers at its address");
                }
                let pause = end.map_or(TRY_AGAIN, |end| end.since(now).min(TRY_AGAIN));
                self.task(
                    side,
                    pause.max(Duration::from_millis(1)),
                    Task::Connect(Box::new(row), number),
                );
            }
        }
    }

    fn connected(&mut self, side: Side, mut row: Builder, number: u64) {
        if row.state == BuilderState::Booting {
            let step = Move::new(BuilderState::Provisioning, "SSH answers with its host key");
            match self.advance(side, &row, step, None) {
                Ok(moved) => row = moved,
                moved => return self.after_move(side, row.id, moved),
            }
        }
        if row.state != BuilderState::Cleaning
            && let Some(attempt) = self.runs_on(&row)
        {
            // As verdigris-builder tells whoever asks it: this controller may lead no more.
            if self.store.guards.refuses_when_busy {
                let step = Move {
                    is_excused: true,
                    ..Move::new(BuilderState::Terminating, "an attempt runs on it")
                };
                let moved = self.advance(side, &row, step, None);
                return self.after_move(side, row.id, moved);
            }
            self.disturbed(row.id, attempt, "provisioned");
        }
        let takes = match row.state {
            BuilderState::Cleaning => self.luck.seconds(2, 15),
            // Left so by a controller that was interrupted: it is provisioned once more, and checked.
            _ => self.luck.seconds(8, 60),
        };
        self.task(side, takes, Task::Played(Box::new(row), number));
    }

    /// The attempt that runs on a builder's machine.
    fn runs_on(&mut self, row: &Builder) -> Option<AttemptId> {
        match self.reach(row) {
            Reached::Machine(machine) => machine.run.as_ref().map(|run| run.attempt),
            Reached::Stranger | Reached::Nobody => None,
        }
    }

    /// What was done on a machine is over: it is a builder, or is clean, or goes.
    pub(super) fn played(&mut self, side: Side, row: Builder, number: u64) {
        if !self.looks_like(side).is_under_way(row.id, number) {
            return;
        }
        if row.state == BuilderState::Cleaning {
            return self.cleaned(side, &row);
        }
        let is_lost = !matches!(self.reach(&row), Reached::Machine(_));
        if is_lost || self.luck.strikes(Fault::PlayFails) {
            return self.give_up(side, &row, "its playbook failed");
        }
        if row.state == BuilderState::Provisioning {
            let step = Move::new(BuilderState::Checking, "made, not checked yet");
            match self.advance(side, &row, step, None) {
                Ok(moved) => {
                    let takes = self.luck.seconds(1, 8);
                    self.task(side, takes, Task::Played(Box::new(moved), number));
                }
                moved => self.after_move(side, row.id, moved),
            }
            return;
        }
        let mut step = Move::new(BuilderState::Ready, "made and checked");
        let now = self.clock(side);
        let pool = self.looks_like(side).file.pools.get(&row.pool);
        let until = pool.and_then(|pool| pool.spec.reuse.until(row.uses, now));
        if until.is_some() && !self.luck.strikes(Fault::NoBaseline) {
            (step.baseline, step.reusable_until) = (Some("{}".to_owned()), until);
        }
        let moved = self.advance(side, &row, step, None);
        self.after_move(side, row.id, moved);
    }

    /// Why a builder is not even cleaned.
    fn kept_for_nobody(&self, side: Side, row: &Builder) -> Option<String> {
        let Some(pool) = self.looks_like(side).file.pools.get(&row.pool) else {
            return Some(format!("pool {} is no longer in the fleet file", row.pool));
        };
        if !pool.spec.reuse.allows_one_more(row.uses) {
            return Some(format!("no more builds after {} by now", row.uses));
        }
        (!row.has_baseline || row.sandbox.is_none()).then(|| "what it was like is not known".to_owned())
    }

    fn cleaned(&mut self, side: Side, row: &Builder) {
        let fails = self.luck.strikes(Fault::CleanFails);
        let refuses = self.store.guards.refuses_when_busy;
        let mut beneath = None;
        let difference = match self.reach(row) {
            Reached::Machine(_) if fails => Some("it could not be cleaned"),
            // As verdigris-builder does: whoever wants it cleaned may lead no more.
            Reached::Machine(machine) if refuses && machine.run.is_some() => Some("an attempt runs on it"),
            Reached::Machine(machine) => {
                beneath = machine.run.as_ref().map(|run| run.attempt);
                machine.is_dirty = machine.has_residue;
                machine
                    .has_residue
                    .then_some("it is not as it was before its first build")
            }
            Reached::Stranger | Reached::Nobody => Some("nobody answers at its address"),
        };
        if let Some(attempt) = beneath {
            self.disturbed(row.id, attempt, "cleaned");
        }
        if let Some(why) = difference {
            return self.give_up(side, row, why);
        }
        let first = row.ready_at.unwrap_or(row.entered_at);
        let pool = self.looks_like(side).file.pools.get(&row.pool);
        let step = Move {
            reusable_until: pool.and_then(|pool| pool.spec.reuse.until(row.uses, first)),
            ..Move::new(BuilderState::Ready, "cleaned, and found as it was before")
        };
        let moved = self.advance(side, row, step, None);
        self.after_move(side, row.id, moved);
    }

    fn give_up(&mut self, side: Side, row: &Builder, why: &str) {
        let to = if row.state == BuilderState::Cleaning {
            BuilderState::Draining
        } else {
            BuilderState::Terminating
        };
        let moved = self.advance(side, row, Move::new(to, why), None);
        self.after_move(side, row.id, moved);
    }
}

#[cfg(test)]
mod tests;
