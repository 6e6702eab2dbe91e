//! Questions to builders that wait for work, and the end of those that serve no more: `model::step::live` says which those are.

use std::{collections::BTreeMap, time::Duration};

use model::{
    BuilderId, BuilderState, Timestamp,
    step::{
        Move,
        live::{Answer, LIMIT},
    },
};

use super::{World, looks::unless_it_moved, machines::Reached};
use crate::{
    event::{Side, Task},
    store::{Builder, Stop},
};

impl World {
    /// Asks those whose time has come.
    pub(super) fn ask_who_is_ready(&mut self, side: Side) {
        let (now, builders) = (self.now, &self.store.builders);
        let ready = builders.values().filter(|it| it.state == BuilderState::Ready);
        let ready: BTreeMap<BuilderId, Timestamp> = ready.map(|it| (it.id, it.entered_at)).collect();
        let looks = &mut self.controller(side).memory.looks;
        looks.keep(&ready, now);
        for id in looks.due(now) {
            self.controller(side).memory.looks.begin(id);
            let Some(row) = self.store.builders.get(&id).cloned() else {
                continue;
            };
            let (answer, takes) = self.answer_of(&row);
            self.note_answer(id, &answer);
            self.task(side, takes, Task::Live(id, row.entered_at, answer));
        }
    }

    /// What comes of asking a machine, and after how long.
    fn answer_of(&mut self, row: &Builder) -> (Answer, Duration) {
        let takes = self.luck.millis(20, 600);
        let known = row.has_baseline.then_some(row.starts);
        let badly = |words: &str| Answer::Badly(words.to_owned());
        match self.reach(row) {
            Reached::Machine(machine) if known.is_some_and(|starts| starts != machine.starts) => {
                (Answer::Restarted, takes)
            }
            Reached::Machine(machine) if machine.is_sick => (badly("no room on its disk"), takes),
            Reached::Machine(_) => (Answer::Well, takes),
            Reached::Stranger => (badly("another host key answers at its address"), takes),
            Reached::Nobody => (badly("nobody answers at its address"), LIMIT),
        }
    }

    pub(super) fn live_answered(&mut self, side: Side, (id, since): (BuilderId, Timestamp), answer: Answer) {
        let now = self.now;
        let is_forgiven = answer == Answer::Well || self.store.guards.live_patience;
        let answer = if is_forgiven { answer } else { Answer::Restarted };
        self.controller(side).memory.looks.take(id, since, answer, now);
        self.wake(side);
    }

    /// Drains the builders that are not what they were.
    pub(super) fn drain_what_died(&mut self, side: Side) -> Result<(), Stop> {
        if !self.store.guards.live_checks {
            return Ok(());
        }
        let looks = &self.looks_like(side).memory.looks;
        let verdict = |row: &Builder| Some(looks.verdict(row.id, row.state, row.entered_at)?.to_owned());
        let rows = self.store.builders.values();
        let dead: Vec<(Builder, String)> = rows
            .filter_map(|row| Some((row.clone(), verdict(row)?)))
            .collect();
        for (row, why) in dead {
            self.judge_live_end(&row);
            let moved = self.advance(side, &row, Move::new(BuilderState::Draining, why), None);
            unless_it_moved(moved)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
