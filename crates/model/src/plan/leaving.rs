//! Builders that are let go because their pool is gone, would make them otherwise by now, or keeps them no longer for more builds
//! of those that used them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Builder, CloudHealth, Pool, Snapshot, account::left_of_lines, demand::in_use, hosts::moved,
    refusal::paused_in_file, used::outstayed,
};
use crate::{BuilderId, BuilderState, Drift, Lacks, budget::Budget, mark::Mark, name::PoolName};

/// Where a builder goes that is on its way to be ready in a pool that is gone, and why: whatever it needs is in the file no more.
pub(super) fn homeless(builder: &Builder, snapshot: &Snapshot) -> Option<(BuilderState, String)> {
    if snapshot.pools.contains_key(&builder.pool) {
        return None;
    }
    let to = builder.state.when_unwanted()?;
    Some((to, format!("pool {} is no longer in fleet.yaml", builder.pool)))
}

/// Builders of which nothing was asked of a cloud yet and that are more than their pools may have by now, each with the reason. The newest
/// ones are given up, and all of a pool that launches nothing by the file.
pub(super) fn too_many(snapshot: &Snapshot) -> BTreeMap<BuilderId, String> {
    let mut surplus = BTreeMap::new();
    for (name, pool) in &snapshot.pools {
        let own = || snapshot.builders.iter().filter(|builder| builder.pool == *name);
        let max = pool.spec.size.max;
        let counted = own().filter(|builder| builder.state.counts()).count();
        let (most, why) = if pool.spec.paused {
            (0, paused_in_file(name))
        } else {
            let most = usize::try_from(max).unwrap_or(usize::MAX);
            (most, format!("pool {name} may have {max} by now"))
        };
        let beyond = counted.saturating_sub(most);
        let beyond_lines = left_of_lines(pool, own()).map_or(0, |left| left.min(0).unsigned_abs());
        let beyond_lines = usize::try_from(beyond_lines).unwrap_or(usize::MAX);
        let (beyond, why) = if beyond_lines > beyond {
            let why = "may have fewer machines of the lines of its offerings by now (`offerings[].max`)";
            (beyond_lines, format!("pool {name} {why}"))
        } else {
            (beyond, why)
        };
        if beyond == 0 {
            continue;
        }
        let mut planned: Vec<&Builder> = own().filter(|it| it.state == BuilderState::Planned).collect();
        planned.sort_by_key(|builder| std::cmp::Reverse((builder.created_at, builder.id)));
        surplus.extend(
            planned
                .into_iter()
                .take(beyond)
                .map(|builder| (builder.id, why.clone())),
        );
    }
    surplus
}

/// The builders to let go, each with the reason. One at work ends that first, and so does one that is `given` to an attempt.
pub(super) fn leaving(snapshot: &Snapshot, given: &BTreeSet<BuilderId>) -> BTreeMap<BuilderId, String> {
    let mut leaving = BTreeMap::new();
    let ready = || {
        snapshot
            .builders
            .iter()
            .filter(|it| it.state == BuilderState::Ready && !it.is_to_be_held())
    };
    for builder in ready().filter(|builder| !snapshot.pools.contains_key(&builder.pool)) {
        leaving.insert(
            builder.id,
            format!("pool {} is no longer in fleet.yaml", builder.pool),
        );
    }
    for builder in ready().filter(|builder| builder.is_unwanted()) {
        let why = builder.mark.as_ref().map_or_else(String::new, Mark::in_words);
        leaving.insert(builder.id, why);
    }
    for (name, pool) in &snapshot.pools {
        let own: Vec<&Builder> = ready().filter(|builder| builder.pool == *name).collect();
        let stays = |builder: &&&Builder| !given.contains(&builder.id);
        leaving.extend(moved(pool, own.iter().filter(stays).copied()));
        for builder in own.iter().filter(|builder| !given.contains(&builder.id)) {
            let why = outstayed(builder, &pool.spec.reuse, snapshot.now);
            leaving.extend(why.map(|why| (builder.id, why)));
        }
        let differ = |is_urgent| {
            let own = own.iter().filter_map(|builder| Some((*builder, builder.drift?)));
            let mut found: Vec<(&Builder, Drift)> = own
                .filter(|(builder, _)| (builder.lacks == Lacks::Everything) == is_urgent)
                .filter(|(builder, _)| !given.contains(&builder.id))
                .collect();
            found.sort_by_key(|(builder, _)| (builder.entered_at, builder.id));
            found
        };
        let (urgent, others) = (differ(true), differ(false));
        if urgent.is_empty() && others.is_empty() {
            continue;
        }
        let places = Places::of(name, pool, snapshot);
        let urgent = urgent.into_iter().take(places.urgent);
        for (builder, drift) in urgent.chain(others.into_iter().take(places.others)) {
            let why = format!("builders of pool {name} are made {} by now", drift.why());
            leaving.entry(builder.id).or_insert(why);
        }
    }
    leaving
}

/// How many more builders of a pool may leave because they differ.
struct Places {
    /// Of those that are fit for no build.
    urgent: usize,
    /// Of the others.
    others: usize,
}

impl Places {
    /// Those that are fit for nothing leave as fast as others may take their places, and a few at a time also where nothing may: so a
    /// mistake that is taken back soon has cost a few builders. The others leave in the times of `drift.when`, while no more are missing
    /// than the budget says, and none while nothing could come in their place.
    fn of(name: &PoolName, pool: &Pool, snapshot: &Snapshot) -> Self {
        let own = || snapshot.builders.iter().filter(|builder| builder.pool == *name);
        let count = |wanted: &dyn Fn(&Builder) -> bool| {
            u32::try_from(own().filter(|builder| wanted(builder)).count()).unwrap_or(u32::MAX)
        };
        let all = count(&|builder| builder.state.counts());
        let budget = pool.spec.drift.budget.of(all);
        let ends = |builder: &Builder| BuilderState::ENDING.contains(&builder.state);
        let leaving = count(&|builder| ends(builder) && builder.drift.is_some());
        let coming = count(&|builder| BuilderState::STARTING.contains(&builder.state));
        // What this plan is to launch, for what left is missing too.
        let size = pool.spec.size_at(snapshot.now, in_use(name, &snapshot.builders));
        let lasting = all.saturating_sub(count(&ends));
        let spare = count(&Builder::is_for_use).saturating_add(coming);
        let missing = size
            .min
            .saturating_sub(lasting)
            .max(size.idle.saturating_sub(spare));
        let missing = missing.min(size.max.saturating_sub(all));
        let missing =
            left_of_lines(pool, own()).map_or(missing, |left| missing.min(u32::try_from(left).unwrap_or(0)));
        let urgent = budget.max(pool.spec.launch.parallel).saturating_sub(leaving);
        let is_drained = pool.pause.as_ref().is_some_and(|pause| pause.lasts(snapshot.now));
        let is_paused = pool.spec.paused || is_drained;
        let is_spent = pool.budget.as_ref().is_some_and(Budget::forbids_launches);
        let gives_none = pool.cloud != CloudHealth::Answers || pool.history.failures > 0;
        let is_too_early = pool.spec.drift.waits_for(snapshot.now).is_some();
        let others = if is_paused || is_spent || gives_none || is_too_early {
            0
        } else {
            let gone = leaving.saturating_add(coming).saturating_add(missing);
            budget.saturating_sub(gone)
        };
        let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            urgent: number(urgent),
            others: number(others),
        }
    }
}
