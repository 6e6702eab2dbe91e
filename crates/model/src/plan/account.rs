//! What each pool has while a plan is made, and what it may still launch.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Action, Builder, CloudHealth, Demand, Plan, Pool, Snapshot, Source, hosts::Hosts, is_overdue,
    refusal::Refusal,
};
use crate::{
    BuilderId, BuilderState, Lacks, LaunchHistory, Sandbox, Timestamp,
    budget::Budget,
    fleet::OfferingSpec,
    name::{ChrootName, PoolName},
    quantity::Price,
};

/// How many launches of a pool may be without an answer. With so many a pool launches nothing more: each may be a machine,
/// and a cloud that does not say so of two will not say it of the third.
const MOST_UNANSWERED: u32 = 2;

/// A pool's account while the plan is made.
pub(super) struct Account<'a> {
    pub(super) pool: &'a Pool,
    pub(super) counted: u32,
    /// How many of those counted go: they end, or end by this plan.
    pub(super) going: u32,
    pub(super) starting: u32,
    /// Launches of which nobody knows whether a machine comes of them.
    pub(super) unanswered: u32,
    /// Builders whose cloud gave no machine so far and is asked again, and what it said last.
    pub(super) refused: u32,
    pub(super) refusal: Option<&'a str>,
    /// Builders whose cloud has not been asked for a machine yet.
    pub(super) unasked: u32,
    /// Ready for everybody's use and not given away.
    pub(super) free: Vec<&'a Builder>,
    /// Ready for one sandbox only and not given away; the one that is idle for the longest time comes last.
    pub(super) kept: Vec<&'a Builder>,
    /// How many builders that end nobody waits for yet.
    pub(super) ending: u32,
    /// How many that do not end are made otherwise than new ones.
    pub(super) otherwise: u32,
    /// How many machines are not of the first line of its offerings, though that has no limit: their cloud refused that one.
    pub(super) fallback: u32,
    /// Ready, but fit for some builds only or for none, not given away, and not to leave by this plan.
    pub(super) outdated: Vec<&'a Lacks>,
    /// What the builders lack that are being cleaned for each sandbox and that no waiting attempt has claimed yet.
    pub(super) cleaning: BTreeMap<&'a Sandbox, Vec<&'a Lacks>>,
    /// Supply on its way that no waiting attempt has claimed yet.
    pub(super) unclaimed: u32,
    /// How many of these are not fit for all builds, by what they lack.
    partly_fit: Vec<(&'a Lacks, u32)>,
    /// How its launches went, with those that this plan gives up.
    pub(super) history: LaunchHistory,
    pub(super) launches: u32,
    /// Its fixed hosts, where its machines are some.
    pub(super) hosts: Option<Hosts<'a>>,
    /// How many more machines the lines of its offerings may be asked for, where each has a limit.
    pub(super) left_of_lines: Option<u32>,
    /// How many more machines its cloud's limit lets all pools have together.
    left_in_cloud: Option<Rc<Cell<u32>>>,
    /// How much more its cloud's machines may cost, of all pools together.
    left_of_money: Option<Rc<Cell<Price>>>,
}

impl Account<'_> {
    pub(super) fn room(&self, now: Timestamp) -> Result<(), Refusal> {
        let spec = &self.pool.spec;
        if let Some(trouble) = self.trouble(now) {
            return Err(trouble);
        }
        if let Some(full) = self.full() {
            return Err(full);
        }
        if let Some(hosts) = self.hosts.as_ref().filter(|hosts| hosts.is_empty()) {
            return Err(Refusal::NoHost(hosts.in_public(), hosts.trouble()));
        }
        if let Some(quota) = &self.pool.quota
            && self.left_in_cloud.as_ref().is_some_and(|left| left.get() == 0)
        {
            return Err(match quota.others {
                Some(_) => Refusal::CloudFull(quota.clone()),
                None => Refusal::Uncounted(quota.cloud.clone()),
            });
        }
        if self.unanswered >= MOST_UNANSWERED {
            return Err(Refusal::Unanswered(self.unanswered));
        }
        if self.history.held_until().is_some() && self.starting > 0 {
            return Err(Refusal::Probing(self.history.clone()));
        }
        if self.starting >= spec.launch.parallel {
            return Err(Refusal::Parallel(spec.launch.parallel));
        }
        Ok(())
    }

    /// That the pool has as many machines as it may, where it has.
    pub(super) fn full(&self) -> Option<Refusal> {
        let max = self.pool.spec.size.max;
        if self.counted >= max {
            return Some(Refusal::Full(max));
        }
        (self.left_of_lines == Some(0)).then_some(Refusal::LinesFull)
    }

    /// What keeps the pool from launching anything, whether or not it wants to.
    pub(super) fn trouble(&self, now: Timestamp) -> Option<Refusal> {
        if self.pool.spec.paused {
            return Some(Refusal::PausedInFile);
        }
        match &self.pool.cloud {
            CloudHealth::Away(trouble) => return Some(Refusal::Away(trouble.clone())),
            CloudHealth::Unknown => return Some(Refusal::Unasked),
            CloudHealth::Answers => {}
        }
        if let Some(no_image) = &self.pool.no_image {
            return Some(Refusal::NoImage(no_image.clone()));
        }
        if let Some(pause) = self.pool.pause.as_ref().filter(|pause| pause.lasts(now)) {
            return Some(Refusal::Paused(pause.clone()));
        }
        if let Some(budget) = self.budget().filter(Budget::forbids_launches) {
            return Some(Refusal::Spent(budget));
        }
        let until = self.history.held_until().filter(|until| *until > now)?;
        Some(Refusal::HeldBack(self.history.clone(), until))
    }

    /// What may be spent in its cloud, with what this plan has launched.
    fn budget(&self) -> Option<Budget> {
        let (budget, left) = (self.pool.budget.as_ref()?, self.left_of_money.as_ref()?);
        Some(budget.with_left(left.get()))
    }

    /// Whether a demand is left unmet because much was spent: nobody waits for builders that are only held ready.
    pub(super) fn is_saved(&self, demand: &Demand) -> bool {
        demand.is_spare() && self.pool.budget.as_ref().is_some_and(Budget::forbids_headroom)
    }

    /// What keeps the pool from builders that are under way, or from launching any.
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<Refusal> {
        let no_machine = || Some(Refusal::NoMachine(self.refusal?.to_owned()));
        let calls = self.pool.calls.as_ref();
        let no_calls = || {
            let waits = calls.filter(|it| self.unasked > 0 && !it.wait.is_zero());
            Some(Refusal::Rationed(waits?.clone(), self.unasked))
        };
        let pace = self.pool.pace.filter(|it| self.unasked > 0 && !it.wait.is_zero());
        let no_turn = || Some(Refusal::Paced(pace?.rate, self.unasked));
        self.trouble(now)
            .or_else(no_machine)
            .or_else(no_turn)
            .or_else(no_calls)
    }

    /// How many builders the pool has and goes on having: what its minimum asks for.
    pub(super) const fn lasting(&self) -> u32 {
        self.counted.saturating_sub(self.going)
    }

    /// How much of a demand there is, with what this plan has launched for it; `None` when nothing is missing. `spoken_for`: how many spare
    /// builders the demands before it are for.
    pub(super) fn lacks(&self, demand: &Demand, launched: u32, spoken_for: u32) -> Option<u32> {
        let have = match demand.source {
            Source::Queue => return None,
            Source::Operator(..) => launched,
            Source::Floor(_) => self.lasting(),
            // What may become a machine is spare: a cloud that comes back is not to bring many of them.
            Source::Headroom(_) | Source::Kept(_) => u32::try_from(self.free.len())
                .unwrap_or(u32::MAX)
                .saturating_add(self.unclaimed)
                .saturating_add(self.unanswered)
                .saturating_sub(spoken_for),
        };
        (have < demand.count).then_some(have)
    }

    /// How much of the supply on its way an attempt in a chroot may claim.
    pub(super) fn unclaimed_for(&self, chroot: &ChrootName) -> u32 {
        let blocked = self.partly_fit.iter().filter(|(lacks, _)| lacks.blocks(chroot));
        let blocked = blocked.fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        self.unclaimed.saturating_sub(blocked)
    }

    /// Claims one of the supply on its way for an attempt in a chroot, rather one that is not fit for all others.
    pub(super) fn claim(&mut self, chroot: &ChrootName) {
        let fit = |(lacks, count): &&mut (&Lacks, u32)| *count > 0 && !lacks.blocks(chroot);
        if let Some((_, count)) = self.partly_fit.iter_mut().find(fit) {
            *count -= 1;
        }
        self.unclaimed = self.unclaimed.saturating_sub(1);
    }

    /// Claims a builder that is being cleaned for a sandbox for an attempt in a chroot; whether there is one.
    pub(super) fn claim_cleaned(&mut self, sandbox: &Sandbox, chroot: &ChrootName) -> bool {
        let Some(own) = self.cleaning.get_mut(sandbox) else {
            return false;
        };
        let fit = own.iter().position(|lacks| !lacks.blocks(chroot));
        fit.map(|place| own.swap_remove(place)).is_some()
    }

    /// Why its ready builders are none for an attempt in a chroot, as the rest of a sentence; `None` where there are none of these.
    pub(super) fn why_outdated(&self, chroot: &ChrootName, now: Timestamp) -> Option<String> {
        let unfit: Vec<_> = self
            .outdated
            .iter()
            .filter(|lacks| lacks.blocks(chroot))
            .collect();
        let are = match unfit.len() {
            0 => return None,
            1 => "one of its builders was".to_owned(),
            count => format!("{count} of its builders were"),
        };
        let is_stuck = self.pool.spec.drift.budget.of(self.counted) == 0
            && unfit.iter().all(|lacks| ***lacks != Lacks::Everything);
        let then = match self.pool.spec.drift.waits_for(now) {
            _ if is_stuck => "and with its `drift.budget` of 0 none is replaced before its time".to_owned(),
            Some(when) => format!("and they are replaced a few at a time in `drift.when` ({when})"),
            None => "and they are replaced a few at a time".to_owned(),
        };
        Some(format!(
            "{are} made before what builds in {chroot} need now, {then}"
        ))
    }

    /// Notes one more launch; the host that it is of, where machines are not rented.
    pub(super) fn launch(&mut self) -> Option<String> {
        self.counted = self.counted.saturating_add(1);
        self.starting = self.starting.saturating_add(1);
        self.launches = self.launches.saturating_add(1);
        self.left_of_lines = self.left_of_lines.map(|left| left.saturating_sub(1));
        if let Some(left) = &self.left_in_cloud {
            left.set(left.get().saturating_sub(1));
        }
        if let (Some(left), Some(budget)) = (&self.left_of_money, &self.pool.budget) {
            left.set(left.get().less(budget.next));
        }
        self.hosts.as_mut().and_then(Hosts::take)
    }
}

/// What all pools of a cloud draw on together, by the clouds' names.
type Shared<'a, T> = BTreeMap<&'a str, Rc<Cell<T>>>;

fn shared<'a, T>(of_clouds: &mut Shared<'a, T>, cloud: &'a str, left: T) -> Rc<Cell<T>> {
    Rc::clone(of_clouds.entry(cloud).or_insert_with(|| Rc::new(Cell::new(left))))
}

/// How many more machines the lines of a pool's offerings may be asked for, beside its builders that are planned already: fewer than none
/// where not even these may all be launched. `None` where a line has no limit.
pub(super) fn left_of_lines<'a>(pool: &Pool, own: impl Iterator<Item = &'a Builder> + Clone) -> Option<i64> {
    let left = pool.spec.left_of_lines(own.clone().filter_map(|it| it.line))?;
    let planned = own.filter(|it| it.state == BuilderState::Planned).count();
    Some(i64::from(left).saturating_sub(i64::try_from(planned).unwrap_or(i64::MAX)))
}

/// How many machines of a pool are not of the first line of its offerings; none where that line has a limit, for then others are as
/// usual as it is.
fn fallback<'a>(pool: &Pool, own: impl Iterator<Item = &'a Builder>) -> u32 {
    match pool.spec.offerings.as_slice() {
        [OfferingSpec { max: None, .. }, _, ..] => {
            let later = own.filter(|builder| builder.line.is_some_and(|line| line > 0));
            u32::try_from(later.count()).unwrap_or(u32::MAX)
        }
        _ => 0,
    }
}

/// The builders that this plan gives up, with the reason.
fn those_given_up(plan: &Plan) -> BTreeMap<BuilderId, &str> {
    let mut given_up = BTreeMap::new();
    for action in &plan.actions {
        if let Action::Expire {
            builder,
            to: BuilderState::Abandoned | BuilderState::Terminating,
            reason,
            ..
        } = action
        {
            given_up.insert(*builder, reason.as_str());
        }
    }
    given_up
}

pub(super) fn open_accounts<'a>(
    snapshot: &'a Snapshot,
    plan: &Plan,
    (given, leaving): (&BTreeSet<BuilderId>, &BTreeMap<BuilderId, String>),
) -> BTreeMap<&'a PoolName, Account<'a>> {
    let given_up = those_given_up(plan);
    // Nearly always none, so that they are looked for once and not once for each pool.
    let differing: Vec<&Builder> = snapshot.builders.iter().filter(|it| it.drift.is_some()).collect();
    let mut accounts = BTreeMap::new();
    let (mut clouds, mut money) = (Shared::new(), Shared::new());
    for (name, pool) in &snapshot.pools {
        let own = || snapshot.builders.iter().filter(|builder| builder.pool == *name);
        let count = |wanted: &dyn Fn(&Builder) -> bool| {
            u32::try_from(own().filter(|builder| wanted(builder)).count()).unwrap_or(u32::MAX)
        };
        let starts = |builder: &Builder| {
            let is_coming = BuilderState::STARTING.contains(&builder.state) && !builder.is_unwanted();
            // The same plan gives it up.
            let is_given_up = pool.spec.paused && builder.state == BuilderState::Planned;
            is_coming && !is_given_up && !is_overdue(builder, snapshot.now)
        };
        let refusals = || {
            own()
                .filter(|builder| starts(builder))
                .filter_map(|it| it.refusal.as_deref())
        };
        let starting = count(&starts);
        // Also one that gets there by this plan.
        let is_unanswered = |it: &Builder| {
            it.state == BuilderState::Resolving
                || it.state == BuilderState::Launching && is_overdue(it, snapshot.now)
        };
        let unanswered = count(&is_unanswered);
        let comes = |builder: &&Builder| starts(builder) && builder.state != BuilderState::Resolving;
        let (unclaimed, partly_fit) = to_wait_for(own().filter(comes));
        let stays = |it: &&Builder| !given.contains(&it.id) && !leaving.contains_key(&it.id);
        let (free, kept) = available(own().filter(|it| it.is_for_use()).filter(stays));
        let otherwise = || differing.iter().copied().filter(|it| it.pool == *name);
        let is_outdated = |it: &&Builder| it.state == BuilderState::Ready && it.lacks != Lacks::Nothing;
        let outdated = otherwise().filter(stays).filter(is_outdated);
        let otherwise = otherwise().filter(|it| !BuilderState::ENDING.contains(&it.state));
        let going = count(&|builder| {
            BuilderState::ENDING.contains(&builder.state)
                || builder.is_unwanted()
                || given_up.contains_key(&builder.id)
                || leaving.contains_key(&builder.id)
        });
        let account = Account {
            pool,
            counted: count(&|builder| builder.state.counts()),
            going,
            ending: going,
            kept,
            otherwise: u32::try_from(otherwise.count()).unwrap_or(u32::MAX),
            fallback: fallback(pool, own()),
            outdated: outdated.map(|builder| &builder.lacks).collect(),
            cleaning: being_cleaned(own()),
            starting,
            unanswered,
            refused: u32::try_from(refusals().count()).unwrap_or(u32::MAX),
            refusal: refusals().next_back(),
            unasked: count(&|it| it.state == BuilderState::Planned && it.refusal.is_none() && starts(it)),
            free,
            // Of a launch without an answer nobody knows whether a machine comes of it, for as long as its cloud is away: it
            // takes its place in the pool, but no attempt is made to wait for it. Nor for what will be fit for nothing.
            unclaimed,
            partly_fit,
            history: with_those_given_up(&pool.history, own(), &given_up, snapshot.now),
            launches: 0,
            hosts: Hosts::of(pool, &snapshot.builders, snapshot.now),
            left_of_lines: left_of_lines(pool, own()).map(|left| u32::try_from(left).unwrap_or(0)),
            left_in_cloud: (pool.quota.as_ref()).map(|it| shared(&mut clouds, &it.cloud, it.left())),
            left_of_money: (pool.budget.as_ref()).map(|it| shared(&mut money, &it.cloud, it.left())),
        };
        accounts.insert(name, account);
    }
    accounts
}

/// Builders that nothing runs on: those for everybody, the next one first, and those for one sandbox, the longest idle one last.
fn available<'a>(builders: impl Iterator<Item = &'a Builder>) -> (Vec<&'a Builder>, Vec<&'a Builder>) {
    let (mut kept, mut free): (Vec<_>, Vec<_>) = builders.partition(|builder| builder.sandbox.is_some());
    free.sort_by_key(|builder| builder.turn());
    kept.sort_by_key(|builder| std::cmp::Reverse((builder.entered_at, builder.id)));
    (free, kept)
}

/// How many of some builders are worth waiting for, and how many of these are fit for some builds only, by what they lack.
fn to_wait_for<'a>(builders: impl Iterator<Item = &'a Builder>) -> (u32, Vec<(&'a Lacks, u32)>) {
    let (mut all, mut partly_fit) = (0_u32, Vec::<(&Lacks, u32)>::new());
    for builder in builders.filter(|builder| builder.lacks != Lacks::Everything) {
        all = all.saturating_add(1);
        if builder.lacks == Lacks::Nothing {
            continue;
        }
        match partly_fit.iter_mut().find(|(lacks, _)| **lacks == builder.lacks) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => partly_fit.push((&builder.lacks, 1)),
        }
    }
    (all, partly_fit)
}

/// What the builders lack that are being cleaned for each sandbox.
fn being_cleaned<'a>(builders: impl Iterator<Item = &'a Builder>) -> BTreeMap<&'a Sandbox, Vec<&'a Lacks>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for builder in builders.filter(|builder| builder.state == BuilderState::Cleaning && !builder.cordoned) {
        if let Some(sandbox) = &builder.sandbox {
            found.entry(sandbox).or_default().push(&builder.lacks);
        }
    }
    found
}

/// The history with the builders that this plan gives up: they count before they are replaced.
fn with_those_given_up<'a>(
    history: &LaunchHistory,
    builders: impl Iterator<Item = &'a Builder>,
    given_up: &BTreeMap<BuilderId, &str>,
    now: Timestamp,
) -> LaunchHistory {
    let mut history = history.clone();
    for builder in builders.filter(|builder| BuilderState::STARTING.contains(&builder.state)) {
        if let Some(reason) = given_up.get(&builder.id) {
            history = history.after_failure(builder.created_at, reason, now);
        }
    }
    history
}
