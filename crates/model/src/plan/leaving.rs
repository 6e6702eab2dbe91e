//! Builders that are let go because their pool is gone, would make them otherwise by now, or keeps them no longer for more builds
//! of those that used them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Builder, Pool, Snapshot, hosts::moved, used::outstayed};
use crate::{BuilderId, BuilderState, Drift, budget::Budget, mark::Mark, name::PoolName};

/// Where a builder goes that is on its way to be ready in a pool that is gone, and why: whatever it needs is in the file no more.
pub(super) fn homeless(builder: &Builder, snapshot: &Snapshot) -> Option<(BuilderState, String)> {
    if snapshot.pools.contains_key(&builder.pool) {
        return None;
    }
    let to = builder.state.when_unwanted()?;
    Some((to, format!("pool {} is no longer in fleet.yaml", builder.pool)))
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
            let own = own.iter().filter(|builder| !given.contains(&builder.id));
            own.filter_map(move |builder| Some((*builder, builder.drift?)))
                .filter(move |(_, drift)| drift.is_urgent() == is_urgent)
        };
        let mut roll: Vec<(&Builder, Drift)> = differ(false).collect();
        roll.sort_by_key(|(builder, _)| (builder.entered_at, builder.id));
        roll.truncate(places(name, pool, snapshot));
        for (builder, drift) in differ(true).chain(roll) {
            let why = format!("builders of pool {name} are made {} by now", drift.why());
            leaving.entry(builder.id).or_insert(why);
        }
    }
    leaving
}

/// How many more builders of a pool may leave because they differ without urgency; none while nothing could come in their place.
fn places(name: &PoolName, pool: &Pool, snapshot: &Snapshot) -> usize {
    if pool.budget.as_ref().is_some_and(Budget::forbids_launches) {
        return 0;
    }
    let own = || snapshot.builders.iter().filter(|builder| builder.pool == *name);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let all = count(own().filter(|builder| builder.state.counts()).count());
    let is_leaving =
        |builder: &&Builder| BuilderState::ENDING.contains(&builder.state) && builder.drift.is_some();
    let leaving = count(own().filter(is_leaving).count());
    usize::try_from(pool.spec.drift.budget.of(all).saturating_sub(leaving)).unwrap_or(0)
}
