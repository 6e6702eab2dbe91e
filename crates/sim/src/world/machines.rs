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

/// The network between the farm and its machines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    /// Between these moments it is away.
    pub(super) began: Duration,
    pub(super) until: Duration,
    /// Every machine of so many is reached all the same; none where this is 0.
    spares: u64,
}

impl Network {
    /// Whether it keeps us from a machine.
    pub(super) fn hides(&self, machine: &Machine, now: Duration) -> bool {
        let is_spared = machine.number.checked_rem(self.spares) == Some(0);
        now < self.until && !is_spared
    }
}

impl World {
    /// Our own network is away for minutes: most machines are not reached, or none, and in some cases no cloud either.
    pub(super) fn network_goes_away(&mut self) {
        let (now, luck) = (self.now, &mut self.luck);
        let until = now.saturating_add(luck.seconds(20, 470));
        let spares = luck.pick(&[0, 0, 3, 4]).unwrap_or(0);
        self.network = Network {
            began: now,
            until,
            spares,
        };
        if luck.once_in(2) {
            for cloud in self.clouds.values_mut() {
                cloud.away_until = cloud.away_until.max(until);
            }
        }
        tell!(self, "our network is away until {} s", until.as_secs());
        let network = self.network;
        let hidden = self.clouds.iter().flat_map(|(cloud, of)| {
            let hidden = of.machines.iter().filter(|(_, it)| network.hides(it, now));
            hidden.map(|(id, _)| (*cloud, id.clone()))
        });
        let hidden: Vec<(&'static str, String)> = hidden.collect();
        for (cloud, id) in hidden {
            self.watches_break(cloud, &id);
        }
    }

    pub(super) fn machine_changes(&mut self, cloud: &'static str, id: &str, change: Change) {
        // All but what follows from something else.
        let by_chance = !matches!(
            change,
            Change::Runs | Change::Answers | Change::Ends | Change::Ended
        );
        if by_chance && self.luck.is_calm() {
            return;
        }
        let Some(of) = self.clouds.get_mut(cloud) else {
            return;
        };
        let next = of.change(id, change, &mut self.luck, self.now);
        tell!(self, "machine {id}: {change:?}");
        if change == Change::IsNoticed {
            self.notice_comes(cloud, id);
        } else if by_chance || change == Change::Ends {
            self.watches_break(cloud, id);
        }
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
            Some(machine) if self.network.hides(machine, self.now) => Reached::Nobody,
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
            let starts = self.starts_of(&row).unwrap_or(0);
            (step.baseline, step.reusable_until) = (Some(starts.to_string()), until);
        }
        let moved = self.advance(side, &row, step, None);
        self.after_move(side, row.id, moved);
    }

    /// How often a builder's machine was started again.
    fn starts_of(&mut self, row: &Builder) -> Option<u32> {
        match self.reach(row) {
            Reached::Machine(machine) => Some(machine.starts),
            Reached::Stranger | Reached::Nobody => None,
        }
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
                let differs = machine.has_residue || machine.starts != row.starts;
                machine.is_dirty = differs;
                differs.then_some("it is not as it was before its first build")
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
