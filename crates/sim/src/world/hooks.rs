//! Hooks that controllers run: what `model::hook` says is due is tried, and what comes too late is ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState,
    fleet::{HookPoint, HookSpec, SkipIf},
    hook::{self, End, Next, Open},
    step::Move,
};
use uuid::Uuid;

use super::{World, looks::unless_it_moved, machines::Reached};
use crate::{
    event::{Side, Task},
    luck::Fault,
    store::{Builder, HookRun, HookState, Stop},
};

/// How many run at once that builders wait for, and how many others.
const MOST_WAITED_FOR: usize = 64;
const MOST_OTHERS: usize = 32;
/// How long a program runs on that hangs and that nobody ends.
const HANGS: Duration = Duration::from_secs(1800);

/// A program of a hook that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    run: Uuid,
    pub(super) builder: BuilderId,
    /// Who started it, in which life: a controller that is killed leaves it behind.
    pub(super) by: (Side, u64),
    ends_at: Duration,
}

/// The hooks of a turn that a controller's file has for a builder.
pub(super) fn hooks_at(
    file: &crate::setting::File,
    point: HookPoint,
    row: &Builder,
) -> Vec<(u32, Arc<HookSpec>)> {
    let of = file.hooks.of(point, &row.pool);
    of.map(|(place, spec)| (place, Arc::new(spec.clone()))).collect()
}

impl World {
    /// Begins what is due and ends what comes too late. The answer: the builders that wait for hooks.
    pub(super) fn begin_hooks(&mut self, side: Side) -> Result<BTreeSet<BuilderId>, Stop> {
        let waiting = self.write_hooks_down(side)?;
        let is_asked = |run: &&HookRun| !run.state.is_final() || waiting.contains(&run.builder);
        let runs: Vec<HookRun> = self.store.hooks.values().filter(is_asked).cloned().collect();
        let (over, open): (Vec<HookRun>, Vec<HookRun>) =
            runs.into_iter().partition(|run| run.state.is_final());
        let is_open = |id: &Uuid| open.iter().any(|run| run.id == *id);
        let memory = &mut self.controller(side).memory;
        memory.hook_pauses.keep(is_open);
        let others: Vec<Uuid> = memory.hooks.keys().filter(|id| !is_open(id)).copied().collect();
        // Another controller, which led meanwhile, has written down that they are over.
        for id in others {
            self.controller(side).memory.hooks.remove(&id);
            self.end_program(side, id);
        }
        let facts: Vec<Open> = open.iter().map(HookRun::open).collect();
        let states: BTreeMap<_, _> = facts
            .iter()
            .filter_map(|hook| self.store.builders.get(&hook.builder))
            .map(|row| (row.id, (row.state, row.entered_at)))
            .collect();
        let orders = hook::orders(&facts, &states, self.clock(side));
        for run in orders.late.iter().filter_map(|place| open.get(*place)) {
            self.drop_late(side, run)?;
        }
        for (place, left) in orders.tried {
            if let Some(run) = open.get(place) {
                self.try_hook(side, run, left);
            }
        }
        let mut held = orders.waiting;
        held.extend(self.give_up_for_hooks(side, &over)?);
        Ok(held)
    }

    /// Writes down the hooks that builders wait for from now on; those builders of which some do, or did before.
    fn write_hooks_down(&mut self, side: Side) -> Result<BTreeSet<BuilderId>, Stop> {
        let file = Arc::clone(&self.looks_like(side).file);
        let now = self.clock(side);
        let turn = |row: &Builder| {
            let point = hook::waits_for(row.state, u32::from(row.launch.is_some()))?;
            let hooks = hooks_at(&file, point, row);
            (!hooks.is_empty()).then_some(((row.id, point), hooks))
        };
        let all: Vec<_> = self.store.builders.values().filter_map(turn).collect();
        for (turn, hooks) in &all {
            if !self.looks_like(side).memory.turns.contains(turn) {
                self.write(side, |store, lease| store.begin_hooks(lease, *turn, hooks, now))?;
            }
        }
        let turns: BTreeSet<_> = all.into_iter().map(|(turn, _)| turn).collect();
        let waiting = turns.iter().map(|(builder, _)| *builder).collect();
        self.controller(side).memory.turns = turns;
        Ok(waiting)
    }

    /// Ends a hook whose turn is over.
    fn drop_late(&mut self, side: Side, run: &HookRun) -> Result<(), Stop> {
        if self.controller(side).memory.hooks.remove(&run.id).is_some() {
            self.end_program(side, run.id);
        }
        match self.end_hook(side, run, (HookState::Late, None)) {
            // It has ended by itself meanwhile, or begun: the next round looks again.
            Ok(()) | Err(Stop::Conflict) => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    fn try_hook(&mut self, side: Side, run: &HookRun, left: Duration) {
        let is_waited_for = hook::is_waited_for(run.point);
        let most = if is_waited_for {
            MOST_WAITED_FOR
        } else {
            MOST_OTHERS
        };
        let now = self.now;
        let points = |id: &Uuid| self.store.hooks.get(id).map(|it| it.point);
        let memory = &self.looks_like(side).memory;
        let same = memory
            .hooks
            .keys()
            .filter(|id| points(id).map(hook::is_waited_for) == Some(is_waited_for));
        let is_left_alone = memory.hook_pauses.holds(&run.id, now) || memory.hooks.contains_key(&run.id);
        if is_left_alone || same.count() >= most {
            return;
        }
        let memory = &mut self.controller(side).memory;
        let number = memory.next_number();
        memory.hooks.insert(run.id, number);
        let soon = self.luck.millis(1, 20);
        self.task(side, soon, Task::Hook(Box::new(run.clone()), number, left));
    }

    fn is_tried(&self, side: Side, run: Uuid, number: u64) -> bool {
        self.looks_like(side).memory.hooks.get(&run) == Some(&number)
    }

    /// A try: the record first, then the program.
    pub(super) fn hook_begins(&mut self, side: Side, run: &HookRun, number: u64, left: Duration) {
        if !self.is_tried(side, run.id, number) {
            return;
        }
        if run.spec.skip_if == Some(SkipIf::Unreachable) && !self.is_reached(run.builder) {
            let ended = self.end_hook(side, run, (HookState::Skipped, None));
            return self.hook_over(side, run.id, ended);
        }
        let started = self.write(side, |store, lease| store.start_hook(lease, run));
        let run = match started {
            Ok(run) => run,
            Err(stop) => return self.hook_over(side, run.id, Err(stop)),
        };
        let by = (side, self.looks_like(side).life);
        tell!(
            self,
            "hook {} of {} runs, try {}",
            run.point,
            run.builder,
            run.attempt
        );
        self.judge_hook_start(by, &run);
        let (takes, end) = self.fate_of_program();
        let limit = run.spec.timeout.get().min(left);
        let (over, end) = if takes > limit {
            (limit, End::Late(limit))
        } else {
            (takes, end)
        };
        self.programs.push(Program {
            run: run.id,
            builder: run.builder,
            by,
            ends_at: self.now.saturating_add(takes),
        });
        if self.luck.strikes(Fault::KilledInHook) {
            self.task(side, over / 2, Task::Dies);
        }
        self.task(side, over, Task::HookEnds(Box::new(run), number, end));
    }

    fn is_reached(&mut self, builder: BuilderId) -> bool {
        let row = self.store.builders.get(&builder).cloned();
        row.is_some_and(|row| matches!(self.reach(&row), Reached::Machine(_)))
    }

    /// How long a program takes, and how it ends.
    fn fate_of_program(&mut self) -> (Duration, End) {
        let luck = &mut self.luck;
        if luck.strikes(Fault::HookHangs) {
            return (HANGS, End::Exit(0));
        }
        // One that takes longer than its limit fails for ever: that is a fault, too, and none is left when it is calm.
        let takes = luck.millis(20, if luck.is_calm() { 900 } else { 4000 });
        let end = if luck.strikes(Fault::HookFails) {
            End::Exit(1)
        } else if luck.strikes(Fault::HookAgain) {
            End::Exit(75)
        } else if luck.strikes(Fault::HookNotRun) {
            return (Duration::ZERO, End::NotRun("there is no such program".to_owned()));
        } else {
            End::Exit(0)
        };
        (takes, end)
    }

    /// A program has ended, or was ended at its limit: what came of it is written down.
    pub(super) fn hook_ends(&mut self, side: Side, run: &HookRun, number: u64, end: &End) {
        if !self.is_tried(side, run.id, number) {
            return;
        }
        self.end_program(side, run.id);
        let now = self.clock(side);
        let came = match hook::next(run.point, &run.spec, run.attempt, end) {
            Next::Done => (HookState::Done, None),
            Next::Again(pause) => (HookState::Waiting, Some(now.plus(pause))),
            Next::Failed => (HookState::Failed, None),
        };
        let ended = self.end_hook(side, run, came);
        self.hook_over(side, run.id, ended);
    }

    fn end_program(&mut self, side: Side, run: Uuid) {
        let by = (side, self.looks_like(side).life);
        self.programs.retain(|it| (it.run, it.by) != (run, by));
    }

    /// Ends all programs that a controller has started in this life, as one does that stops to lead.
    pub(super) fn end_programs(&mut self, side: Side) {
        let by = (side, self.looks_like(side).life);
        self.programs.retain(|it| it.by != by);
    }

    /// Forgets the programs that have ended by themselves.
    pub(super) fn forget_programs(&mut self) {
        let now = self.now;
        self.programs.retain(|it| it.ends_at > now);
    }

    fn end_hook(
        &mut self,
        side: Side,
        run: &HookRun,
        came: (HookState, Option<model::Timestamp>),
    ) -> Result<(), Stop> {
        self.judge_hook_end(side, run, came.0);
        self.write(side, |store, lease| store.end_hook(lease, run, came))
            .map(drop)
    }

    fn hook_over(&mut self, side: Side, run: Uuid, outcome: Result<(), Stop>) {
        let rest = match outcome {
            Ok(()) | Err(Stop::Conflict) => Some(Duration::ZERO),
            Err(Stop::Killed) => return,
            Err(Stop::Away | Stop::LeaseLost) => None,
        };
        let now = self.now;
        let (controller, luck) = self.with_luck(side);
        controller.memory.hooks.remove(&run);
        controller.memory.hook_pauses.after_step(run, rest, (luck, now));
        self.wake(side);
    }

    /// Gives up the builders for which no machine is to be rented, since a hook failed that has to go well before that.
    fn give_up_for_hooks(&mut self, side: Side, over: &[HookRun]) -> Result<BTreeSet<BuilderId>, Stop> {
        let mut given_up = BTreeSet::new();
        for run in over {
            if run.state != HookState::Failed || !hook::gives_up(run.point, &run.spec) {
                continue;
            }
            let row = self.store.builders.get(&run.builder).cloned();
            let Some(row) = row.filter(|it| it.state == BuilderState::Planned) else {
                continue;
            };
            if given_up.insert(row.id) {
                let step = Move::new(BuilderState::Abandoned, "no machine is asked for: a hook failed");
                unless_it_moved(self.advance(side, &row, step, None))?;
            }
        }
        Ok(given_up)
    }
}

#[cfg(test)]
mod tests;
