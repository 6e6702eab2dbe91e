//! How many builders each pool should have: more for those who wait, some to hold ready, fewer when idle.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Action, CloudHealth, Demand, Plan, PoolReport, Preferences, QueuedAttempt, Snapshot, Source, Unmet, Wait,
    account::{Account, open_accounts},
    caps::Shares,
    hosts::Hosts,
    is_overdue,
    leaving::{homeless, leaving, too_many},
    refusal::Refusal,
};
use crate::{
    BuilderState, Timestamp,
    name::{ChrootName, PoolName},
};

/// What is told of a pool that lacks nothing.
const AS_WANTED: &str = "as wanted";

/// Adds launches, drains, reasons and reports to the plan.
pub(super) fn grow<'a>(
    snapshot: &'a Snapshot,
    waiting: &[&'a QueuedAttempt],
    (preferences, shares): (&Preferences<'a>, &mut Shares<'a>),
    plan: &mut Plan,
) {
    let given = plan.actions.iter().filter_map(|action| match action {
        Action::Assign { builder, .. } => Some(*builder),
        Action::Expire { .. } | Action::Launch { .. } | Action::Drain { .. } | Action::Move { .. } => None,
    });
    let given = given.collect();
    let leaving = leaving(snapshot, &given);
    let mut accounts = open_accounts(snapshot, plan, (&given, &leaving));
    let now = snapshot.now;
    for demand in &snapshot.demands {
        if demand.source == Source::Queue {
            serve_all(waiting, (preferences, shares), &mut accounts, now, plan);
        }
    }
    for (name, account) in &mut accounts {
        let own = || {
            let of_pool = snapshot.demands.iter().filter(|it| it.pool() == Some(name));
            of_pool.filter(|it| it.lasts(now))
        };
        let saved: Vec<&Demand> = own().filter(|it| account.is_saved(it)).collect();
        let met = || own().filter(|it| !saved.contains(it));
        let mut note = fill(name, account, met(), now, plan);
        shrink(account, met(), now, plan);
        if let (Some(budget), AS_WANTED, false) = (&account.pool.budget, note.as_str(), saved.is_empty()) {
            note = budget.in_words();
        }
        if note == AS_WANTED && account.otherwise > 0 {
            note = replaced_in_turn(account, now);
        }
        if note == AS_WANTED && account.fallback > 0 {
            let (fallback, all) = (account.fallback, account.counted);
            note =
                format!("{fallback} of {all} machines are of a later line of `offerings` than the first one");
        }
        plan.pools.push(PoolReport {
            pool: (*name).clone(),
            counted: account.counted,
            starting: account.starting,
            ready: u32::try_from(account.free.len()).unwrap_or(u32::MAX),
            launches: account.launches,
            note,
        });
    }
    let is_gone = |demand: &&Demand| {
        demand
            .pool()
            .is_some_and(|pool| !snapshot.pools.contains_key(pool))
    };
    for demand in snapshot.demands.iter().filter(is_gone) {
        plan.unmet.extend(of_no_pool(demand));
    }
    let drains = leaving
        .into_iter()
        .map(|(builder, reason)| Action::Drain { builder, reason });
    plan.actions.extend(drains);
    obey(snapshot, plan);
}

/// Moves builders to where operators want them, and ends those that are on their way to a pool which is gone, or which may have fewer by
/// now; but for those that are drained anyway or whose time is over.
fn obey(snapshot: &Snapshot, plan: &mut Plan) {
    let now = snapshot.now;
    let mut too_many = too_many(snapshot);
    for builder in &snapshot.builders {
        let mark = builder.mark.as_ref();
        let is_drained_anyway =
            builder.state == BuilderState::Ready && mark.is_some_and(|mark| mark.kind.is_end());
        if is_drained_anyway || is_overdue(builder, now) {
            continue;
        }
        let wanted = mark.and_then(|mark| Some((mark.leads_to(builder.state)?, mark.in_words())));
        let wanted = wanted.or_else(|| homeless(builder, snapshot));
        let surplus = || Some((BuilderState::Abandoned, too_many.remove(&builder.id)?));
        let Some((to, reason)) = wanted.or_else(surplus) else {
            continue;
        };
        let until = mark.and_then(|mark| mark.held_until(now));
        plan.actions.push(Action::Move {
            builder: builder.id,
            to,
            until: until.filter(|_| to == BuilderState::Held),
            reason,
        });
    }
}

/// Serves the attempts that wait, in their order, and says of each what it waits for.
fn serve_all<'a>(
    waiting: &[&'a QueuedAttempt],
    (preferences, shares): (&Preferences<'a>, &mut Shares<'a>),
    accounts: &mut BTreeMap<&'a PoolName, Account<'_>>,
    now: Timestamp,
    plan: &mut Plan,
) {
    // What is refused once stays refused: pools only get fuller while the plan is made. So the many that wait for one chroot
    // share one text.
    let mut refused: BTreeMap<&ChrootName, Arc<str>> = BTreeMap::new();
    for (index, attempt) in waiting.iter().enumerate() {
        let reason = match refused.get(&attempt.chroot) {
            _ if !shares.allow(attempt) => shares.refusal(attempt),
            Some(reason) => Arc::clone(reason),
            None => {
                let pools = preferences.get(&attempt.chroot).map_or(&[][..], Vec::as_slice);
                let served = serve(attempt, pools, accounts, now, plan)
                    .or_else(|refusal| make_room(attempt, pools, accounts, plan).ok_or(refusal));
                match served {
                    Ok(reason) => {
                        shares.take(attempt);
                        reason.into()
                    }
                    Err(reason) => {
                        let reason: Arc<str> = reason.into();
                        refused.insert(&attempt.chroot, Arc::clone(&reason));
                        reason
                    }
                }
            }
        };
        plan.waits.push(Wait {
            attempt: attempt.id,
            build: attempt.build,
            chroot: attempt.chroot.clone(),
            owner: attempt.owner.clone(),
            position: index.saturating_add(1),
            reason,
        });
    }
}

/// What an attempt waits for: a builder that comes anyway, or one more. As an error why it gets none.
fn serve<'a>(
    attempt: &QueuedAttempt,
    pools: &[&'a PoolName],
    accounts: &mut BTreeMap<&'a PoolName, Account<'_>>,
    now: Timestamp,
    plan: &mut Plan,
) -> Result<String, String> {
    let chroot = &attempt.chroot;
    let is_coming = |name: &PoolName| format!("a builder of pool {name} is being started for it");
    if let Some(sandbox) = &attempt.sandbox {
        for name in pools {
            let account = accounts.get_mut(name);
            if account.is_some_and(|account| account.claim_cleaned(sandbox, chroot)) {
                return Ok(format!("a builder of pool {name} is being cleaned for it"));
            }
        }
    }
    let is_away = |account: &Account<'_>| matches!(account.pool.cloud, CloudHealth::Away(_));
    for name in pools {
        if let Some(account) = accounts.get_mut(name)
            && account.unclaimed_for(chroot) > account.refused
            && !is_away(account)
        {
            account.claim(chroot);
            return Ok(is_coming(name));
        }
    }
    // A pool whose cloud refuses machines is asked again and again for those that it has planned already; before anybody waits
    // for them, another pool gives one more.
    if let Some(name) = launch(attempt, pools, accounts, (now, &mut *plan), |account| {
        account.refused == 0
    }) {
        return Ok(is_coming(name));
    }
    // Nor are they waited for where the pool launches nothing at all for now, or nobody knows whether it does.
    for name in pools {
        if let Some(account) = accounts.get_mut(name)
            && account.unclaimed_for(chroot) > 0
            && account.trouble(now).is_none()
        {
            account.claim(chroot);
            let obstacle = account.obstacle(now);
            return Ok(obstacle.map_or_else(|| is_coming(name), |obstacle| obstacle.describe(name)));
        }
    }
    if let Some(name) = launch(attempt, pools, accounts, (now, plan), |_| true) {
        return Ok(is_coming(name));
    }
    if pools.is_empty() {
        return Err(format!("no pool offers {}", attempt.chroot));
    }
    let accounts = pools.iter().filter_map(|name| Some((name, accounts.get(name)?)));
    let refusals = accounts.filter_map(|(name, account)| {
        let refusal = account.room(now).err()?.describe(name);
        let outdated = account.why_outdated(chroot, now);
        Some(outdated.map_or_else(|| refusal.clone(), |why| format!("{refusal}; {why}")))
    });
    Err(refusals.collect::<Vec<_>>().join("; "))
}

/// Lets a builder go that a full pool keeps for others, so that there will be room for an attempt; the words for who waits.
fn make_room<'a>(
    attempt: &QueuedAttempt,
    pools: &[&'a PoolName],
    accounts: &mut BTreeMap<&'a PoolName, Account<'_>>,
    plan: &mut Plan,
) -> Option<String> {
    for name in pools {
        let Some(account) = accounts.get_mut(name) else {
            continue;
        };
        let Some(full) = account.full().filter(|_| !account.kept.is_empty()) else {
            continue;
        };
        let full = full.describe(name);
        if account.ending > 0 {
            account.ending -= 1;
        } else if let Some(builder) = account.kept.pop() {
            account.going = account.going.saturating_add(1);
            plan.actions.push(Action::Drain {
                builder: builder.id,
                reason: format!("build {} waits for {}, and {full}", attempt.build, attempt.chroot),
            });
        }
        return Some(format!(
            "{full}; a builder that was kept for other builds makes room"
        ));
    }
    None
}

/// Plans one more builder for an attempt, in the first pool that may be taken and has room; which pool that is.
fn launch<'a>(
    attempt: &QueuedAttempt,
    pools: &[&'a PoolName],
    accounts: &mut BTreeMap<&'a PoolName, Account<'_>>,
    (now, plan): (Timestamp, &mut Plan),
    may_be_taken: impl Fn(&Account<'_>) -> bool,
) -> Option<&'a PoolName> {
    let name = pools.iter().find(|name| {
        let account = accounts.get(*name);
        account.is_some_and(|account| may_be_taken(account) && account.room(now).is_ok())
    })?;
    let host = accounts.get_mut(name)?.launch();
    plan.actions.push(Action::Launch {
        pool: (*name).clone(),
        host,
        reason: format!("build {} waits for {}", attempt.build, attempt.chroot),
        intent: None,
    });
    Some(name)
}

/// Launches what a pool lacks for its demands; what is told of the pool.
fn fill<'a>(
    name: &PoolName,
    account: &mut Account<'_>,
    demands: impl Iterator<Item = &'a Demand>,
    now: Timestamp,
    plan: &mut Plan,
) -> String {
    let mut refusal = None;
    let mut spoken_for = 0_u32;
    for demand in demands {
        let mut launched = 0_u32;
        while let Some(have) = account.lacks(demand, launched, spoken_for) {
            if let Err(refused) = account.room(now) {
                plan.unmet.extend(unmet(demand, launched, (name, &refused)));
                refusal.get_or_insert(refused);
                break;
            }
            let host = account.launch();
            account.unclaimed = account.unclaimed.saturating_add(1);
            launched = launched.saturating_add(1);
            let (reason, intent) = match &demand.source {
                Source::Operator(_, key) => (demand.why.clone(), Some(key.clone())),
                _ => (format!("the pool has {have} of {}", demand.why), None),
            };
            plan.actions.push(Action::Launch {
                pool: name.clone(),
                host,
                reason,
                intent,
            });
        }
        if demand.is_spare() {
            spoken_for = spoken_for.saturating_add(demand.count);
        }
    }
    // A pool that has what it wants now, and could get no more, says so as well: the first to know that is who looks.
    match account.obstacle(now).or(refusal) {
        Some(obstacle) => obstacle.note(name),
        None => {
            let trouble = account.hosts.as_ref().and_then(Hosts::trouble);
            trouble.unwrap_or_else(|| AS_WANTED.to_owned())
        }
    }
}

/// What is told of a pool whose builders are made otherwise than new ones.
fn replaced_in_turn(account: &Account<'_>, now: Timestamp) -> String {
    let drift = &account.pool.spec.drift;
    let (otherwise, counted, budget) = (account.otherwise, account.counted, drift.budget);
    let when = drift.waits_for(now).map_or_else(String::new, |when| {
        format!(" when `drift.when` begins again: {when}; those that take no more builds leave before")
    });
    format!(
        "{otherwise} of {counted} builders are made otherwise than new ones and are replaced in turn (`drift.budget`: {budget}){when}"
    )
}

/// What an operator is told of a demand whose pool is in no file any more.
fn of_no_pool(demand: &Demand) -> Option<Unmet> {
    let Source::Operator(pool, key) = &demand.source else {
        return None;
    };
    Some(Unmet {
        intent: key.clone(),
        missing: demand.count,
        may_pass: false,
        why: format!("pool {pool} is no longer in fleet.yaml"),
    })
}

/// What an operator is told of a demand that has no room.
fn unmet(demand: &Demand, launched: u32, (pool, refusal): (&PoolName, &Refusal)) -> Option<Unmet> {
    let Source::Operator(_, key) = &demand.source else {
        return None;
    };
    Some(Unmet {
        intent: key.clone(),
        missing: demand.count.saturating_sub(launched),
        may_pass: refusal.may_pass(),
        why: refusal.note(pool),
    })
}

/// Lets go what a pool has beyond its demands, when it has not been needed for long enough.
fn shrink<'a>(
    account: &mut Account<'_>,
    demands: impl Iterator<Item = &'a Demand>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let spec = &account.pool.spec;
    let (mut floor, mut idle) = (0_u32, 0_u32);
    for demand in demands {
        match demand.source {
            Source::Queue | Source::Operator(..) => {}
            Source::Floor(_) => floor = floor.saturating_add(demand.count),
            Source::Headroom(_) | Source::Kept(_) => idle = idle.saturating_add(demand.count),
        }
    }
    let above_floor = account.lasting().saturating_sub(floor);
    let above_idle = u32::try_from(account.free.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(idle);
    let idle_for = spec.shrink.idle_for;
    let surplus = usize::try_from(above_floor.min(above_idle)).unwrap_or(0);
    let free = account.free.iter();
    let mut idle: Vec<_> = free
        .filter(|builder| now.since(builder.entered_at) >= idle_for.get())
        .collect();
    // Of those that are not needed the ones go first that would be replaced anyway.
    idle.sort_by_key(|builder| (builder.drift.is_none(), builder.entered_at, builder.id));
    let drains = idle.into_iter().take(surplus).map(|builder| Action::Drain {
        builder: builder.id,
        reason: format!("ready for {idle_for} and not needed"),
    });
    plan.actions.extend(drains);
}
