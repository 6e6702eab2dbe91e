//! How many builders each pool should have: more for those who wait, some to hold ready, fewer when idle.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Action, Builder, Fortune, Plan, Pool, PoolReport, QueuedAttempt, Snapshot, Wait, by_preference,
    is_overdue,
};
use crate::{BuilderState, Timestamp, name::PoolName};

/// From this many failed builders in a row a pool launches one at a time, and ever more rarely.
const FAILURES_BEFORE_BRAKE: u32 = 3;
const SHORTEST_BRAKE: Duration = Duration::from_secs(30);
const LONGEST_BRAKE: Duration = Duration::from_secs(1800);

/// A pool's account while the plan is made.
struct Account<'a> {
    pool: &'a Pool,
    counted: u32,
    starting: u32,
    /// Ready for use and not given away.
    free: Vec<&'a Builder>,
    /// Supply on its way that no waiting attempt has claimed yet.
    unclaimed: u32,
    /// The moment before which the brake allows no launch.
    brake_until: Option<Timestamp>,
    launches: u32,
}

impl Account<'_> {
    fn room(&self, now: Timestamp) -> Result<(), Refusal> {
        let spec = &self.pool.spec;
        if self.counted >= spec.size.max {
            return Err(Refusal::Full(spec.size.max));
        }
        if let Some(until) = self.brake_until {
            if until > now {
                return Err(Refusal::Braked(self.pool.fortune.clone(), until));
            }
            if self.starting > 0 {
                return Err(Refusal::Probing(self.pool.fortune.clone()));
            }
        }
        if self.starting >= spec.launch.parallel {
            return Err(Refusal::Parallel(spec.launch.parallel));
        }
        Ok(())
    }

    fn launch(&mut self) {
        self.counted = self.counted.saturating_add(1);
        self.starting = self.starting.saturating_add(1);
        self.launches = self.launches.saturating_add(1);
    }
}

enum Refusal {
    Full(u32),
    Parallel(u32),
    Braked(Fortune, Timestamp),
    Probing(Fortune),
}

impl Refusal {
    /// For everybody: without what machines and clouds said.
    fn words(&self, pool: &PoolName) -> String {
        match self {
            Self::Full(max) => format!("pool {pool} is at its maximum of {max}"),
            Self::Parallel(limit) => {
                format!("pool {pool} starts {limit} builders already, as many as it may at once")
            }
            Self::Braked(fortune, until) => {
                let failures = fortune.failures;
                format!("pool {pool} is braked until {until}: its last {failures} builders never got ready")
            }
            Self::Probing(fortune) => {
                let failures = fortune.failures;
                format!("pool {pool} tries one builder: its last {failures} never got ready")
            }
        }
    }

    /// For operators: with the reason of the last failure, which they have to know first.
    fn note(&self, pool: &PoolName) -> String {
        let words = self.words(pool);
        match self {
            Self::Braked(
                Fortune {
                    last_reason: Some(reason),
                    ..
                },
                _,
            )
            | Self::Probing(Fortune {
                last_reason: Some(reason),
                ..
            }) => {
                format!("{words}; the last one: {reason}")
            }
            _ => words,
        }
    }
}

/// Adds launches, drains, reasons and reports to the plan.
pub(super) fn grow(snapshot: &Snapshot, waiting: &[&QueuedAttempt], plan: &mut Plan) {
    let mut accounts = open_accounts(snapshot, plan);
    serve_the_queue(snapshot, waiting, &mut accounts, plan);
    let now = snapshot.now;
    for (name, account) in &mut accounts {
        let note = hold_ready(name, account, now, plan);
        shrink(account, now, plan);
        plan.pools.push(PoolReport {
            pool: (*name).clone(),
            counted: account.counted,
            starting: account.starting,
            ready: u32::try_from(account.free.len()).unwrap_or(u32::MAX),
            launches: account.launches,
            note,
        });
    }
    drain_what_no_pool_wants(snapshot, plan);
}

fn open_accounts<'a>(snapshot: &'a Snapshot, plan: &Plan) -> BTreeMap<&'a PoolName, Account<'a>> {
    let given: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Assign { builder, .. } => Some(*builder),
            Action::Launch { .. } | Action::Drain { .. } | Action::Expire { .. } => None,
        })
        .collect();
    let mut accounts = BTreeMap::new();
    for (name, pool) in &snapshot.pools {
        let own = || snapshot.builders.iter().filter(|builder| builder.pool == *name);
        let count = |wanted: &dyn Fn(&Builder) -> bool| {
            u32::try_from(own().filter(|builder| wanted(builder)).count()).unwrap_or(u32::MAX)
        };
        let starts = |builder: &Builder| {
            BuilderState::STARTING.contains(&builder.state) && !is_overdue(builder, snapshot.now)
        };
        let starting = count(&starts);
        // Of a launch without an answer nobody knows whether a machine comes of it, for as long as its cloud is away: it
        // takes its place in the pool, but no attempt is made to wait for it.
        let unclaimed = count(&|builder| starts(builder) && builder.state != BuilderState::Resolving);
        let mut free: Vec<_> = own()
            .filter(|builder| builder.is_for_use() && !given.contains(&builder.id))
            .collect();
        free.sort_by_key(|builder| (builder.entered_at, builder.id));
        accounts.insert(
            name,
            Account {
                pool,
                counted: count(&|builder| builder.state.counts()),
                starting,
                free,
                unclaimed,
                brake_until: brake_until(pool),
                launches: 0,
            },
        );
    }
    accounts
}

fn brake_until(pool: &Pool) -> Option<Timestamp> {
    let beyond = pool.fortune.failures.checked_sub(FAILURES_BEFORE_BRAKE)?;
    let pause = SHORTEST_BRAKE
        .saturating_mul(1 << beyond.min(6))
        .min(LONGEST_BRAKE);
    Some(pool.fortune.last_failure?.plus(pause))
}

fn serve_the_queue<'a>(
    snapshot: &'a Snapshot,
    waiting: &[&QueuedAttempt],
    accounts: &mut BTreeMap<&'a PoolName, Account<'_>>,
    plan: &mut Plan,
) {
    for (index, attempt) in waiting.iter().enumerate() {
        let pools = by_preference(snapshot, &attempt.chroot);
        let mut reason = None;
        for (name, _) in &pools {
            let Some(account) = accounts.get_mut(name) else {
                continue;
            };
            if account.unclaimed > 0 {
                account.unclaimed -= 1;
                reason = Some(format!("a builder of pool {name} is being started for it"));
                break;
            }
        }
        let mut refusals = Vec::new();
        for (name, _) in &pools {
            if reason.is_some() {
                break;
            }
            let Some(account) = accounts.get_mut(name) else {
                continue;
            };
            match account.room(snapshot.now) {
                Ok(()) => {
                    account.launch();
                    plan.actions.push(Action::Launch {
                        pool: (*name).clone(),
                        reason: format!("build {} waits for {}", attempt.build, attempt.chroot),
                    });
                    reason = Some(format!("a builder of pool {name} is being started for it"));
                }
                Err(refusal) => refusals.push(refusal.words(name)),
            }
        }
        let reason = reason.unwrap_or_else(|| {
            if pools.is_empty() {
                format!("no pool offers {}", attempt.chroot)
            } else {
                refusals.join("; ")
            }
        });
        plan.waits.push(Wait {
            attempt: attempt.id,
            position: index.saturating_add(1),
            reason,
        });
    }
}

fn hold_ready(name: &PoolName, account: &mut Account<'_>, now: Timestamp, plan: &mut Plan) -> String {
    let size = &account.pool.spec.size;
    loop {
        let ready = u32::try_from(account.free.len()).unwrap_or(u32::MAX);
        let spare = ready.saturating_add(account.unclaimed);
        let reason = if account.counted < size.min {
            format!(
                "the pool has {} of at least {} builders",
                account.counted, size.min
            )
        } else if spare < size.idle {
            format!("the pool has {spare} of {} spare builders", size.idle)
        } else {
            return "as wanted".to_owned();
        };
        if let Err(refusal) = account.room(now) {
            return refusal.note(name);
        }
        account.launch();
        account.unclaimed = account.unclaimed.saturating_add(1);
        plan.actions.push(Action::Launch {
            pool: name.clone(),
            reason,
        });
    }
}

fn shrink(account: &mut Account<'_>, now: Timestamp, plan: &mut Plan) {
    let spec = &account.pool.spec;
    let above_floor = account.counted.saturating_sub(spec.size.min);
    let above_idle = u32::try_from(account.free.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(spec.size.idle);
    let idle_for = spec.shrink.idle_for;
    let surplus = usize::try_from(above_floor.min(above_idle)).unwrap_or(0);
    for builder in account.free.iter().take(surplus) {
        if now.since(builder.entered_at) >= idle_for.get() {
            plan.actions.push(Action::Drain {
                builder: builder.id,
                reason: format!("ready for {idle_for} and not needed"),
            });
        }
    }
}

fn drain_what_no_pool_wants(snapshot: &Snapshot, plan: &mut Plan) {
    for builder in &snapshot.builders {
        let pool = &builder.pool;
        let reason = if builder.state != BuilderState::Ready {
            continue;
        } else if !snapshot.pools.contains_key(pool) {
            format!("pool {pool} is no longer in fleet.yaml")
        } else if builder.outdated {
            format!("builders of pool {pool} are made otherwise by now")
        } else {
            continue;
        };
        plan.actions.push(Action::Drain {
            builder: builder.id,
            reason,
        });
    }
}
