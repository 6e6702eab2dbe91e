//! A controller that leads: its lease, and its rounds of observe, plan, commit and act.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState, Lacks, PoolName, Timestamp, hook,
    intent::{self, Intent, IntentState, Pass},
    plan::{self, Action, Plan, Snapshot, plan},
    step::Move,
};

use super::{World, hooks::hooks_at, seconds};
use crate::{
    controller::Held,
    event::{Decided, Side, Task},
    luck::Fault,
    store::{Builder, LEASE, Stop},
};

/// How often a lease is renewed, and for how long after that it may be acted under: two thirds of its time.
const RENEW: Duration = Duration::from_secs(5);
const USABLE: Duration = LEASE.saturating_sub(Duration::from_secs(5));
/// How long a controller rests between two rounds while something is under way.
const TICK: Duration = Duration::from_secs(2);

impl World {
    /// Foresees the next round, instead of another that was foreseen.
    pub(super) fn plan_round(&mut self, side: Side, pause: Duration) {
        let at = self.now.saturating_add(pause);
        let controller = self.controller(side);
        controller.round = controller.round.wrapping_add(1);
        controller.round_at = at;
        let number = controller.round;
        self.task(side, pause, Task::Round(number));
    }

    /// Something ended: the next round comes soon.
    pub(super) fn wake(&mut self, side: Side) {
        let soon = self.luck.millis(10, 2000);
        if self.looks_like(side).round_at > self.now.saturating_add(soon) {
            self.plan_round(side, soon);
        }
    }

    pub(super) fn round(&mut self, side: Side, number: u64) {
        if self.looks_like(side).round != number {
            return;
        }
        if self.looks_like(side).lease.is_none() && !self.acquire(side) {
            return self.plan_round(side, RENEW);
        }
        // Until it is written down, nothing begins another round.
        self.controller(side).round_at = Duration::ZERO;
        match self.observe_and_plan(side) {
            Ok(decided) => {
                if !decided.plan.actions.is_empty() && self.luck.strikes(Fault::PausedAtCommit) {
                    self.pause(side);
                }
                let after = self.luck.millis(1, 40);
                self.task(side, after, Task::Commit(Box::new(decided)));
            }
            Err(stop) => self.stopped(side, stop),
        }
    }

    /// What becomes of a round that was not brought to its end.
    fn stopped(&mut self, side: Side, stop: Stop) {
        match stop {
            Stop::Killed => {}
            Stop::LeaseLost => self.lose_lease(side),
            Stop::Conflict | Stop::Away => self.plan_round(side, TICK),
        }
    }

    fn acquire(&mut self, side: Side) -> bool {
        let (now, name) = (self.clock(side), self.looks_like(side).name);
        let Some(epoch) = self.store.acquire(name, now) else {
            return false;
        };
        tell!(self, "controller {name} leads with epoch {epoch}");
        let end = self.now.saturating_add(USABLE);
        self.controller(side).lease = Some(Held { epoch, end });
        self.task(side, RENEW, Task::KeepLease(epoch));
        true
    }

    pub(super) fn keep_lease(&mut self, side: Side, epoch: i64) {
        let Some(lease) = self.looks_like(side).lease.filter(|it| it.epoch == epoch) else {
            return;
        };
        if self.now >= lease.end {
            return self.lose_lease(side);
        }
        if self.luck.strikes(Fault::DatabaseAway) {
            return self.task(side, seconds(1), Task::KeepLease(epoch));
        }
        let now = self.clock(side);
        if self.store.renew_lease(epoch, now).is_err() {
            return self.lose_lease(side);
        }
        let end = self.now.saturating_add(USABLE);
        self.controller(side).lease = Some(Held { epoch, end });
        self.task(side, RENEW, Task::KeepLease(epoch));
    }

    fn lose_lease(&mut self, side: Side) {
        let now = self.clock(side);
        self.end_programs(side);
        let controller = self.controller(side);
        let name = controller.name;
        controller.forget();
        if let Some(lease) = controller.lease.take() {
            self.store.release_lease(lease.epoch, now);
        }
        tell!(self, "controller {name} leads no more");
        self.plan_round(side, RENEW);
    }

    fn observe_and_plan(&mut self, side: Side) -> Result<Decided, Stop> {
        let file = Arc::clone(&self.file);
        let controller = self.controller(side);
        (controller.file, controller.decided_by) = (file, controller.skew);
        self.conclude(side)?;
        self.take_up_notices(side)?;
        self.drain_what_died(side)?;
        self.take_up_intents(side)?;
        self.look(side);
        let snapshot = self.snapshot(side);
        let plan = plan(&snapshot);
        let named = |id: &BuilderId| self.store.builders.get(id).map(|row| (*id, row.clone()));
        let rows = plan.actions.iter().filter_map(|action| match action {
            Action::Launch { .. } => None,
            Action::Assign { builder, .. }
            | Action::Drain { builder, .. }
            | Action::Expire { builder, .. }
            | Action::Move { builder, .. } => named(builder),
        });
        Ok(Decided {
            builders: rows.collect(),
            plan,
        })
    }

    /// What a controller makes its plan from.
    fn snapshot(&mut self, side: Side) -> Snapshot {
        let now = self.clock(side);
        let queue = self.store.queue();
        let controller = self.looks_like(side);
        let pools = controller.file.pools.iter().map(|(name, pool)| {
            let cloud = controller.memory.clouds.get(pool.cloud);
            let of_plan = plan::Pool {
                spec: pool.spec.clone(),
                history: self.store.histories.get(name).cloned().unwrap_or_default(),
                cloud: cloud.map(|it| it.health.clone()).unwrap_or_default(),
                pause: self.store.pauses.get(name).cloned(),
                no_image: None,
                quota: None,
                budget: None,
                calls: None,
                pace: None,
                hosts: BTreeMap::new(),
                port: 22,
            };
            (name.clone(), of_plan)
        });
        let of_file = controller.file.pools.iter();
        let recipes: BTreeMap<&PoolName, _> = of_file
            .map(|(name, pool)| (name, (pool.made_now(), &pool.spec.drift.urgent_on)))
            .collect();
        let outdated = |row: &Builder| {
            let (now, urgent_on) = recipes.get(&row.pool)?;
            now.outdated(&row.recipe, urgent_on)
        };
        let builders = self.store.builders.values().map(|row| plan::Builder {
            id: row.id,
            pool: row.pool.clone(),
            state: row.state,
            created_at: row.created_at,
            entered_at: row.entered_at,
            deadline: row.deadline,
            cordoned: row.cordoned,
            drift: outdated(row).map(|it| it.drift),
            lacks: outdated(row).map_or(Lacks::Nothing, |it| it.lacks),
            refusal: row.refusal.clone(),
            sandbox: row.sandbox.clone(),
            ready_at: row.ready_at,
            mark: row.mark.clone(),
            host: None,
            line: row.line(controller.file.pools.get(&row.pool).map(|it| &it.spec)),
        });
        let mut snapshot = Snapshot::new(now, pools.collect(), builders.collect(), queue);
        snapshot.caps = plan::Caps {
            spec: controller.file.caps.clone(),
            active: self.store.active(),
        };
        let asked = self.store.intents.iter().flat_map(|it| intent::demands(it, now));
        snapshot.demands.extend(asked);
        snapshot
    }

    fn take_up_intents(&mut self, side: Side) -> Result<(), Stop> {
        let now = self.clock(side);
        let marked = self
            .store
            .builders
            .values()
            .filter_map(|it| Some((it.id, it.mark.as_ref()?)));
        let over = intent::expired(marked, now);
        if !over.is_empty() {
            self.write(side, |store, lease| store.lift_marks(lease, &over))?;
        }
        let is_new = |it: &&Intent| it.state == IntentState::New;
        let new: Vec<Intent> = self.store.intents.iter().filter(is_new).cloned().collect();
        for intent in new {
            let decision = intent::take_up(&intent, &self.snapshot(side));
            tell!(self, "intent {}: {}", intent.request.verb(), decision.words);
            self.settle(side, &intent, decision)?;
        }
        Ok(())
    }

    fn settle(&mut self, side: Side, intent: &Intent, decision: intent::Decision) -> Result<(), Stop> {
        let now = self.clock(side);
        match self.write(side, |store, lease| {
            store.settle(lease, &intent.key, decision, now)
        }) {
            Ok(()) | Err(Stop::Conflict) => Ok(()),
            Err(stop) => Err(stop),
        }
    }

    /// Writes down what has become of intents that are under way.
    fn follow_intents(&mut self, side: Side, plan: &Plan) -> Result<(), Stop> {
        let (pass, now) = (Pass::default(), self.clock(side));
        let is_running = |it: &&Intent| it.state == IntentState::Running;
        let running: Vec<Intent> = self.store.intents.iter().filter(is_running).cloned().collect();
        for intent in running {
            let is_launched_for = |action: &Action| match action {
                Action::Launch {
                    intent: Some(key), ..
                } => *key == intent.key,
                _ => false,
            };
            if plan.actions.iter().any(is_launched_for) {
                continue;
            }
            let unmet = plan.unmet.iter().find(|it| it.intent == intent.key);
            let decision = intent::follow(&intent, &self.store.made(&intent), unmet, (&pass, now));
            if let Some(decision) = decision {
                self.settle(side, &intent, decision)?;
            }
        }
        Ok(())
    }

    /// Writes the decisions down, begins what follows from them, and foresees the next round.
    pub(super) fn commit(&mut self, side: Side, decided: Decided) {
        for action in &decided.plan.actions {
            tell!(
                self,
                "plan of controller {}: {}",
                self.looks_like(side).name,
                in_words(action)
            );
            match self.carry_out(side, action, &decided.builders) {
                // What lost a race is left for the next round.
                Ok(()) | Err(Stop::Conflict) => {}
                Err(stop) => return self.stopped(side, stop),
            }
        }
        let life = self.looks_like(side).life;
        let held = match self.begin_hooks(side) {
            Ok(held) if self.store.guards.waits_for_hooks => held,
            Ok(_) => BTreeSet::new(),
            Err(stop) => return self.stopped(side, stop),
        };
        self.begin_steps(side, &held);
        if self.looks_like(side).life != life {
            return;
        }
        self.wait_for_notices(side);
        self.ask_who_is_ready(side);
        self.judge_round(side);
        if let Err(stop) = self.follow_intents(side, &decided.plan) {
            return self.stopped(side, stop);
        }
        self.settle_if_over();
        let is_moving = self
            .store
            .builders
            .values()
            .any(|it| it.state != BuilderState::Ready);
        let is_silent = self
            .looks_like(side)
            .memory
            .clouds
            .values()
            .any(|it| !it.answers());
        let has_hooks = !self.looks_like(side).memory.hooks.is_empty();
        let is_busy = is_moving
            || is_silent
            || has_hooks
            || !decided.plan.actions.is_empty()
            || !self.store.queue().is_empty();
        self.plan_round(side, if is_busy { TICK } else { RENEW });
    }

    fn carry_out(
        &mut self,
        side: Side,
        action: &Action,
        rows: &BTreeMap<BuilderId, Builder>,
    ) -> Result<(), Stop> {
        let now = self.clock(side);
        let heard = self.now;
        match action {
            Action::Assign { attempt, builder } => {
                let row = rows.get(builder).ok_or(Stop::Conflict)?;
                self.judge_assigned(Some(row));
                let deadline = now.plus(self.setting.deadlines.reserved);
                let assigned = self.write(side, |store, lease| {
                    store.assign(lease, (*attempt, row), (deadline, now), heard)
                });
                if assigned.is_ok() {
                    self.judge_owner(side, *attempt);
                }
                self.nudge_a_worker();
                assigned
            }
            Action::Launch {
                pool, reason, intent, ..
            } => self.plan_builder(side, pool, (reason, intent.as_deref())),
            Action::Drain { builder, reason } => {
                self.move_on(side, rows.get(builder), (BuilderState::Draining, None), reason)
            }
            Action::Expire {
                builder, to, reason, ..
            } => self.move_on(side, rows.get(builder), (*to, None), reason),
            Action::Move {
                builder,
                to,
                until,
                reason,
            } => self.obey(side, rows.get(builder), (*to, *until), reason),
        }
    }

    fn move_on(
        &mut self,
        side: Side,
        row: Option<&Builder>,
        (to, until): (BuilderState, Option<Timestamp>),
        reason: &str,
    ) -> Result<(), Stop> {
        let row = row.ok_or(Stop::Conflict)?;
        self.advance(side, row, Move::new(to, reason), until).map(drop)
    }

    /// Moves a builder where an operator wants it. That is neither its pool's failure nor that of what ran on it.
    fn obey(
        &mut self,
        side: Side,
        row: Option<&Builder>,
        (to, until): (BuilderState, Option<Timestamp>),
        reason: &str,
    ) -> Result<(), Stop> {
        let row = row.ok_or(Stop::Conflict)?;
        let is_at_work = matches!(row.state, BuilderState::Reserved | BuilderState::Busy);
        let step = Move {
            is_excused: is_at_work || BuilderState::STARTING.contains(&row.state),
            ..Move::new(to, reason)
        };
        self.advance(side, row, step, until).map(drop)
    }

    fn plan_builder(
        &mut self,
        side: Side,
        pool: &PoolName,
        (reason, intent): (&str, Option<&str>),
    ) -> Result<(), Stop> {
        let now = self.clock(side);
        let file = Arc::clone(&self.looks_like(side).file);
        let Some(of_file) = file.pools.get(pool) else {
            return Ok(());
        };
        let id = BuilderId(self.store.new_id());
        let made = (pool.clone(), of_file.cloud, of_file.recipe());
        let deadline = now.plus(self.setting.deadlines.planned);
        let builder = Builder::planned(id, made, reason.to_owned(), (now, deadline));
        let planned = self.write(side, |store, lease| store.plan_builder(lease, builder, intent));
        self.judge_planned(id, pool, of_file.spec.size.max);
        planned
    }

    /// Moves a builder on, with the time limit of the state it comes to, or one of its own.
    pub(super) fn advance(
        &mut self,
        side: Side,
        row: &Builder,
        step: Move,
        until: Option<Timestamp>,
    ) -> Result<Builder, Stop> {
        let now = self.clock(side);
        let limit = until.or_else(|| self.setting.deadlines.end_of(step.to, row.created_at, now));
        tell!(self, "{} {} to {}: {}", row.id, row.state, step.to, step.reason);
        let before = self.at_work(row.id);
        let (to, file) = (step.to, Arc::clone(&self.looks_like(side).file));
        let turn = hook::reached(to, row.ready_at.is_some(), &file.hooks, &row.pool);
        let moved = self.write(side, |store, lease| {
            let moved = store.transition(lease, row, (step, limit), now)?;
            if let Some(point) = turn {
                store.write_hooks((row.id, point), &hooks_at(&file, point, row), now);
            }
            Ok(moved)
        });
        match &moved {
            Ok(_) => self.judge_turn(side, row, to),
            Err(stop) => tell!(self, "{} that was not done, or not known to be: {stop:?}", row.id),
        }
        self.judge_moved(side, row.id, before);
        moved
    }
}

/// An action, for whoever reads what happened.
fn in_words(action: &Action) -> String {
    match action {
        Action::Assign { attempt, builder } => format!("assign {builder} to {attempt}"),
        Action::Launch { pool, reason, .. } => format!("launch one of {pool}: {reason}"),
        Action::Drain { builder, reason } => format!("drain {builder}: {reason}"),
        Action::Expire {
            builder, to, reason, ..
        } => format!("expire {builder} to {to}: {reason}"),
        Action::Move {
            builder, to, reason, ..
        } => format!("move {builder} to {to}: {reason}"),
    }
}

#[cfg(test)]
mod tests;
