//! The rules that hold whatever goes wrong, looked at wherever one could be broken.

use std::{collections::BTreeSet, time::Duration};

use model::{
    AttemptId, AttemptState, BuilderId, BuilderState, Epoch, LaunchAnswer, PoolName, mark::MarkKind,
};

use super::{World, seconds, work::SILENCE};
use crate::{
    Rule, Violation,
    cloud::{LaunchAsk, Machine},
    event::Side,
    setting::is_offered,
    store::{Allocation, Builder},
};

/// Within how long after the calm everything has to be settled, beside the time for the builds themselves. A pool that failed often
/// is tried every half an hour; clocks may be an hour behind; a machine may take forty minutes to end.
const SETTLES_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How much longer it may take for each build, beside the longest that one takes: a pool may have one builder for all of them.
const FOR_EACH_BUILD: u64 = 300;
/// How far the clocks of two hosts may be apart so that a sign of life is still one: those of a farm are kept together.
const CLOCKS_AGREE: i64 = 45_000_000;

/// A builder at work, and who works there, before something is done with it.
pub(super) struct AtWork {
    state: BuilderState,
    cloud: &'static str,
    instance: Option<String>,
    allocation: Option<(Epoch, Allocation)>,
}

impl World {
    /// Notes that a rule is broken: the first one counts.
    pub(super) fn violate(&mut self, rule: Rule, words: String) {
        tell!(self, "BROKEN: {}: {words}", rule.words());
        self.violation.get_or_insert(Violation {
            seed: self.seed,
            at: self.now,
            rule,
            words,
        });
    }

    /// What the code says can never be.
    pub(super) fn contradict(&mut self, words: String) {
        self.violate(Rule::Moves, words);
    }

    /// What holds at every moment.
    pub(super) fn look_at_rules(&mut self) {
        if let Some(words) = self.store.contradiction.take() {
            self.violate(Rule::Moves, words);
        }
        let (mut builders, mut attempts) = (BTreeSet::new(), BTreeSet::new());
        let mut twice = None;
        for allocation in self.store.open.values() {
            if !builders.insert(allocation.builder) {
                twice = Some(format!("builder {} is given to two attempts", allocation.builder));
            }
            if !attempts.insert(allocation.attempt) {
                twice = Some(format!("attempt {} has two builders", allocation.attempt));
            }
        }
        if let Some(words) = twice {
            self.violate(Rule::DoubleHandOut, words);
        }
        let since_calm = self.now.saturating_sub(self.setting.calm_at);
        let for_builds = seconds(self.setting.longest_build.saturating_add(FOR_EACH_BUILD))
            .saturating_mul(self.setting.builds);
        if since_calm > SETTLES_WITHIN.saturating_add(for_builds) && !self.is_settled {
            let (rule, words) = self
                .left()
                .unwrap_or((Rule::Finish, "no controller sees that all is done".to_owned()));
            self.violate(rule, words);
        }
    }

    /// A builder was planned: the pool is not above its maximum by it.
    pub(super) fn judge_planned(&mut self, id: BuilderId, pool: &PoolName, max: u32) {
        let is_there = self.store.builders.contains_key(&id);
        let counted = self.store.counted(pool);
        if is_there && counted > usize::try_from(max).unwrap_or(usize::MAX) {
            self.violate(
                Rule::AboveMax,
                format!("pool {pool} has {counted} of at most {max}"),
            );
        }
    }

    /// A launch reaches its cloud: it is on record.
    pub(super) fn judge_launch(&mut self, ask: &LaunchAsk) {
        let (token, builder) = (ask.tags.launch, ask.tags.builder);
        if !self.store.tokens.contains(&token) {
            self.violate(
                Rule::Record,
                format!("{builder} is asked for with {token}, of which nothing is on record"),
            );
        }
    }

    /// How many machines a cloud runs for a pool, but for those of launches of which nobody knows yet.
    pub(super) fn judge_machines(&mut self, pool: &PoolName) {
        let most = self.most.get(pool).copied().unwrap_or(0);
        let machines = self.clouds.values().flat_map(|it| it.machines.iter());
        let of_pool = machines
            .filter(|(_, it)| it.is_alive() && it.tags.as_ref().is_some_and(|tags| tags.pool == *pool));
        let known = of_pool.filter(|(id, it)| {
            let row = it
                .tags
                .as_ref()
                .and_then(|tags| self.store.builders.get(&tags.builder));
            row.is_some_and(|row| {
                let is_given = row
                    .launch
                    .as_ref()
                    .is_some_and(|it| it.answer == Some(LaunchAnswer::Given));
                is_given || row.instance.as_ref() == Some(*id)
            })
        });
        let known = known.count();
        if known > most {
            self.violate(
                Rule::AboveMax,
                format!("{known} machines of pool {pool}, which had at most {most}"),
            );
        }
    }

    /// No launch is begun with which a pool would have more machines of a line of its offerings than it may.
    pub(super) fn judge_line(&mut self, side: Side, row: &Builder) {
        let Some(pool) = self.looks_like(side).file.pools.get(&row.pool) else {
            return;
        };
        let Some(line) = row.line(Some(&pool.spec)) else {
            return;
        };
        let rows = self.store.builders.values().filter(|it| it.pool == row.pool);
        let taken = rows.filter(|it| it.line(Some(&pool.spec)) == Some(line)).count();
        let most = pool.spec.offerings.get(line).and_then(|line| line.max);
        if let Some(most) = most.filter(|most| taken > usize::try_from(*most).unwrap_or(usize::MAX)) {
            let words = format!(
                "{taken} builders of line {line} of pool {}, which may have {most}",
                row.pool
            );
            self.violate(Rule::AboveMax, words);
        }
    }

    /// An attempt was given a builder: its owner has no more of them than one may.
    pub(super) fn judge_owner(&mut self, side: Side, attempt: AttemptId) {
        let Some(most) = self.looks_like(side).file.caps.owner else {
            return;
        };
        let owner = |id: &AttemptId| self.store.attempts.get(id).map(|it| &it.owner);
        let Some(of) = owner(&attempt) else { return };
        let given = self
            .store
            .open
            .values()
            .filter(|it| owner(&it.attempt) == Some(of));
        let given = given.count();
        if given > usize::try_from(most).unwrap_or(usize::MAX) {
            let words = format!("{of} has {given} builders, and may have {most}");
            self.violate(Rule::AboveMax, words);
        }
    }

    /// Who works on a builder that something is to be done with.
    pub(super) fn at_work(&self, id: BuilderId) -> Option<AtWork> {
        let row = self.store.builders.get(&id)?;
        let allocation = self
            .store
            .allocation_of(id)
            .map(|(epoch, it)| (epoch, it.clone()));
        Some(AtWork {
            state: row.state,
            cloud: row.cloud,
            instance: row.instance.clone(),
            allocation,
        })
    }

    /// A builder was moved by a controller: nobody lost work by it whose worker lives and whose machine runs.
    pub(super) fn judge_moved(&mut self, side: Side, id: BuilderId, before: Option<AtWork>) {
        let Some(before) = before else { return };
        if self.store.ended.contains_key(&id) {
            return self.judge_ended(id, &before);
        }
        let (BuilderState::Busy, Some((epoch, allocation))) = (before.state, before.allocation) else {
            return;
        };
        if self.store.open.contains_key(&epoch) {
            return;
        }
        let Some(row) = self.store.builders.get(&id).cloned() else {
            return;
        };
        if self.is_alive(&row) && self.is_no_reason(side, &row, &allocation) {
            let words = format!(
                "{id} leaves attempt {}, which runs: {}",
                allocation.attempt, row.reason
            );
            self.violate(Rule::BusyKill, words);
        }
    }

    /// A builder has ended: so has its machine, and none was made for it of which it does not know.
    fn judge_ended(&mut self, id: BuilderId, before: &AtWork) {
        let mut machines = self
            .clouds
            .get(before.cloud)
            .into_iter()
            .flat_map(|it| &it.machines);
        let is_its = |(instance, it): &(&String, &Machine)| {
            let is_known = before.instance.as_ref() == Some(*instance);
            let is_made =
                before.instance.is_none() && it.tags.as_ref().is_some_and(|tags| tags.builder == id);
            it.is_alive() && (is_known || is_made)
        };
        let left = machines.find(is_its).map(|(instance, _)| instance.clone());
        if let Some(instance) = left {
            self.violate(
                Rule::Leak,
                format!("{id} has ended, and its machine {instance} has not"),
            );
        }
    }

    /// Whether there is no good reason to take a builder from the attempt on it: its worker was heard of, and no operator wants it.
    fn is_no_reason(&self, side: Side, row: &Builder, allocation: &Allocation) -> bool {
        let is_wanted = row.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Ended);
        let is_heard = self.now.saturating_sub(allocation.heard) < SILENCE;
        let controller = self.looks_like(side);
        let clocks = [controller.skew, controller.decided_by];
        let worker = allocation.worker.and_then(|name| self.workers.get(&name));
        let lives = worker.is_some_and(|it| it.is_up && !it.is_paused);
        let of_worker = worker.map_or(0, |it| it.skew);
        let agree = clocks
            .iter()
            .all(|clock| clock.saturating_sub(of_worker).abs() < CLOCKS_AGREE);
        lives && is_heard && agree && !is_wanted
    }

    fn is_alive(&self, row: &Builder) -> bool {
        let machines = self.clouds.get(row.cloud).map(|it| &it.machines);
        let machine = row.instance.as_ref().and_then(|id| machines?.get(id));
        machine.is_some_and(|it| it.state == model::InstanceState::Running)
    }

    /// A cloud is told to end a machine: no attempt with a living worker runs there, and it is ours.
    pub(super) fn judge_end(&mut self, side: Side, cloud: &'static str, id: &str) {
        let Some(machine) = self.clouds.get(cloud).and_then(|it| it.machines.get(id)) else {
            return;
        };
        if machine.tags.is_none() {
            return self.violate(
                Rule::Stranger,
                format!("{id} is another fleet's, and is to be ended"),
            );
        }
        let Some(run) = &machine.run else { return };
        let Some(allocation) = self.store.open.get(&run.epoch).cloned() else {
            return;
        };
        let Some(row) = self.store.builders.get(&allocation.builder).cloned() else {
            return;
        };
        let attempt = run.attempt;
        if self.is_alive(&row) && self.is_no_reason(side, &row, &allocation) {
            self.violate(
                Rule::BusyKill,
                format!("{id} is to be ended, on which attempt {attempt} runs"),
            );
        }
    }

    /// A build begins on the machine that its worker reached.
    pub(super) fn judge_begin(&mut self, row: &Builder, attempt: AttemptId) {
        let now = self.now;
        let of = self.clouds.get_mut(row.cloud);
        let machine = of
            .zip(row.address.as_deref())
            .and_then(|(of, address)| of.at(address, now));
        let Some(machine) = machine else { return };
        let mut broken = None;
        let mut breaks = |rule, words: String| {
            broken.get_or_insert((rule, words));
        };
        if let Some(run) = &machine.run {
            breaks(
                Rule::DoubleHandOut,
                format!("attempts {} and {attempt} on one machine", run.attempt),
            );
        }
        if machine.tags.as_ref().is_none_or(|tags| tags.builder != row.id) {
            breaks(
                Rule::DoubleHandOut,
                format!("attempt {attempt} runs on a machine that is not of {}", row.id),
            );
        }
        let sandbox = self
            .store
            .attempts
            .get(&attempt)
            .and_then(|it| it.sandbox.clone());
        if machine.sandbox.is_some() && machine.sandbox != sandbox {
            breaks(
                Rule::Sandbox,
                format!(
                    "{} has run builds of another sandbox than attempt {attempt}",
                    row.id
                ),
            );
        }
        if machine.is_dirty {
            breaks(
                Rule::Sandbox,
                format!("{} was not cleaned before attempt {attempt}", row.id),
            );
        }
        if let Some((rule, words)) = broken {
            self.violate(rule, words);
        }
        let first = self.begun.entry(attempt).or_insert(row.id);
        if *first != row.id {
            let words = format!("attempt {attempt} was begun on {first} and on {}", row.id);
            self.violate(Rule::DoubleHandOut, words);
        }
    }

    /// A machine is cleaned or provisioned while a build runs there.
    pub(super) fn disturbed(&mut self, id: BuilderId, attempt: AttemptId, how: &str) {
        let words = format!("{id} is {how} while attempt {attempt} runs there");
        self.violate(Rule::Sandbox, words);
    }

    /// Somebody works at a builder's address who does not look whose key answers there: it is the builder's.
    pub(super) fn judge_key(&mut self, row: &Builder) {
        let pinned = row.launch.as_ref().map(|launch| launch.token);
        let of = self.clouds.get_mut(row.cloud).zip(row.address.as_deref());
        let answers = of.and_then(|(of, address)| of.at(address, self.now));
        if answers.is_some_and(|machine| machine.key != pinned) {
            let words = format!("somebody works on a machine whose key is not that of {}", row.id);
            self.violate(Rule::Stranger, words);
        }
    }

    /// Ends the world when all is done.
    pub(super) fn settle_if_over(&mut self) {
        if self.luck.is_calm() && self.now > self.setting.calm_at.saturating_add(seconds(2)) {
            self.is_settled = self.submitted >= self.setting.builds && self.left().is_none();
        }
    }

    /// What is left to be done; `None` when the farm is settled.
    pub(super) fn left(&self) -> Option<(Rule, String)> {
        for attempt in self.store.attempts.values() {
            let is_hopeless =
                attempt.state == AttemptState::Waiting && !is_offered(&self.file, &attempt.chroot);
            if !is_hopeless {
                return Some((
                    Rule::Finish,
                    format!("attempt {} is {}", attempt.id, attempt.state),
                ));
            }
        }
        for row in self.store.builders.values() {
            if row.state != BuilderState::Ready || row.cordoned {
                let words = format!("builder {} is {}: {}", row.id, row.state, row.reason);
                return Some((Rule::Finish, words));
            }
            if !self.is_fit(row) {
                return Some((
                    Rule::Finish,
                    format!("builder {} is ready, and its machine is not", row.id),
                ));
            }
        }
        if let Some(run) = self.store.hooks.values().find(|it| !it.state.is_final()) {
            let words = format!("hook {} of {} is {:?}", run.point, run.builder, run.state);
            return Some((Rule::Finish, words));
        }
        for (id, machine) in self.clouds.values().flat_map(|it| &it.machines) {
            let is_ours = machine.tags.is_some() && machine.is_alive();
            let is_known = self
                .store
                .builders
                .values()
                .any(|it| it.instance.as_ref() == Some(id));
            if is_ours && !is_known {
                return Some((
                    Rule::Leak,
                    format!("machine {id} is {}, and no builder's", machine.state.as_str()),
                ));
            }
        }
        for (name, pool) in &self.file.pools {
            let (has, min) = (self.store.counted(name), pool.spec.size.min);
            if has < usize::try_from(min).unwrap_or(usize::MAX) {
                return Some((Rule::Finish, format!("pool {name} has {has} of at least {min}")));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
