//! How many builders each pool has, and how many it is asked for.

use std::collections::BTreeMap;

use model::{
    BuilderState, ChrootName, OwnerName, PoolName,
    fleet::FleetSpec,
    intent::demands,
    plan::{Demand, Source},
};
use store::FleetView;

/// The builders of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// All that are, or may be, machines to pay for.
    pub(super) all: u32,
    pub(super) ready: u32,
    /// With an attempt, or being cleaned after one.
    pub(super) busy: u32,
    /// Kept by somebody, out of service.
    pub(super) held: u32,
    pub(super) starting: u32,
    pub(super) ending: u32,
    /// What those that are busy, those that wait in the queue, what operators asked for, and `min` and `idle` come to.
    pub(super) asked: u32,
    /// The same, at most the pool's `max`.
    pub(super) wanted: u32,
}

impl Counts {
    fn add(&mut self, state: BuilderState) {
        let column = match state {
            BuilderState::Ready => &mut self.ready,
            state if state.is_in_use() => &mut self.busy,
            BuilderState::Held => &mut self.held,
            state if BuilderState::STARTING.contains(&state) => &mut self.starting,
            state if BuilderState::ENDING.contains(&state) => &mut self.ending,
            _ => return,
        };
        *column = column.saturating_add(1);
        self.all = self.all.saturating_add(1);
    }
}

/// Of each pool that is in the file or has builders.
pub(super) fn counts(fleet: &FleetSpec, view: &FleetView) -> BTreeMap<PoolName, Counts> {
    let mut found: BTreeMap<PoolName, Counts> = BTreeMap::new();
    for name in fleet.pools.keys() {
        found.insert(name.clone(), Counts::default());
    }
    for builder in view.builders.iter() {
        found.entry(builder.pool.clone()).or_default().add(builder.state);
    }
    let waiting = waiting(fleet, view, &found);
    for (name, spec) in &fleet.pools {
        let Some(counts) = found.get_mut(name) else {
            continue;
        };
        let size = spec.size_at(view.at, counts.busy);
        let used = counts
            .busy
            .saturating_add(waiting.get(name).copied().unwrap_or(0));
        let spare = size.idle.saturating_add(asked_for(view, name));
        counts.asked = used.saturating_add(spare).max(size.min);
        counts.wanted = counts.asked.min(size.max);
    }
    found
}

/// How many builders of a pool operators want beside others: those of a `spawn` that are not launched yet, and those that are kept.
fn asked_for(view: &FleetView, pool: &PoolName) -> u32 {
    let demands = view.intents.iter().flat_map(|it| demands(it, view.at));
    let own = demands.filter(|it| it.pool() == Some(pool));
    own.fold(0, |sum, demand| sum.saturating_add(demand.count))
}

/// What is kept for operators, with the keys of their intents.
pub(super) fn kept(view: &FleetView) -> Vec<(&str, Demand)> {
    let of = |intent| {
        let demands = demands(intent, view.at).into_iter();
        demands.map(|demand| (intent.key.as_str(), demand))
    };
    let demands = view.intents.iter().flat_map(of);
    demands
        .filter(|(_, demand)| matches!(demand.source, Source::Kept(_)))
        .collect()
}

/// Whether attempts may get builders, as many as the file lets their owners have at once.
fn is_allowed(fleet: &FleetSpec, view: &FleetView) -> impl FnMut(&OwnerName) -> bool {
    let most = fleet.fairness.caps.owner;
    let mut active = view.active.clone();
    move |owner| {
        let Some(most) = most else { return true };
        let count = active.entry(owner.clone()).or_default();
        *count = count.saturating_add(1);
        *count <= most
    }
}

/// How many attempts wait for each pool: for the first of those that they may go to which has room, or else for the first.
fn waiting<'a>(
    fleet: &'a FleetSpec,
    view: &FleetView,
    counts: &BTreeMap<PoolName, Counts>,
) -> BTreeMap<&'a PoolName, u32> {
    let mut pools: Vec<_> = fleet.pools.iter().collect();
    pools.sort_by_key(|(name, spec)| (std::cmp::Reverse(spec.priority), *name));
    let mut offers: BTreeMap<&ChrootName, Vec<_>> = BTreeMap::new();
    let mut waiting: BTreeMap<&PoolName, u32> = BTreeMap::new();
    let mut is_allowed = is_allowed(fleet, view);
    for attempt in view.queue.iter().filter(|it| is_allowed(&it.owner)) {
        let may = offers.entry(&attempt.chroot).or_insert_with(|| {
            let offering = pools.iter().filter(|(_, spec)| spec.offers(&attempt.chroot));
            offering.copied().collect()
        });
        let has_room = |(name, spec): &&(&PoolName, &model::fleet::PoolSpec)| {
            let busy = counts.get(name).map_or(0, |counts| counts.busy);
            let before = waiting.get(name).copied().unwrap_or(0);
            // A paused pool has no room but on the builders that it has.
            let has = counts.get(name).map_or(0, |counts| counts.all);
            let most = if spec.paused { has } else { spec.size.max };
            busy.saturating_add(before) < most
        };
        if let Some((name, _)) = may.iter().find(has_room).or_else(|| may.first()) {
            let count = waiting.entry(name).or_default();
            *count = count.saturating_add(1);
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use model::{
        intent::{Intent, IntentState, Request},
        quantity::Span,
    };

    use super::super::testing::{NOW, attempt, builder, fleet, id, name, view};
    use super::{BuilderState, Counts, counts};

    #[test]
    fn every_builder_that_costs_is_in_one_column() {
        let mut all = Counts::default();
        for state in BuilderState::ALL {
            let mut one = Counts::default();
            one.add(state);
            let columns = one.ready + one.busy + one.held + one.starting + one.ending;
            assert_eq!(
                (columns, one.all),
                if state.counts() { (1, 1) } else { (0, 0) },
                "{state}"
            );
            all.add(state);
        }
        let shown = (all.all, all.ready, all.busy, all.held, all.starting, all.ending);
        assert_eq!(shown, (14, 1, 3, 1, 7, 2));
    }

    /// `big` is preferred to `small`; only `arm` has the other architecture.
    const POOLS: &[(&str, &str, [u32; 3], i32)] = &[
        ("big", "arch:x86_64", [0, 3, 1], 10),
        ("small", "arch:x86_64", [2, 10, 0], 0),
        ("arm", "arch:aarch64", [0, 2, 0], 0),
    ];

    #[test]
    fn what_is_wanted_follows_the_queue_and_what_is_held_ready() {
        let (x86, arm) = ("fedora-43-x86_64", "fedora-43-aarch64");
        for (busy_in_big, queue, expected) in [
            // Nothing to build: what `min` and `idle` say.
            (0, vec![], [(1, 1), (2, 2), (0, 0)]),
            // The preferred pool first, and what it has no room for goes to the next.
            (0, vec![x86; 2], [(3, 3), (2, 2), (0, 0)]),
            (1, vec![x86; 2], [(4, 3), (2, 2), (0, 0)]),
            (1, vec![x86; 6], [(4, 3), (4, 4), (0, 0)]),
            // What no other pool takes stays with the one that could.
            (0, vec![arm; 5], [(1, 1), (2, 2), (5, 2)]),
            // What nobody offers is wanted of nobody.
            (0, vec!["fedora-43-s390x"; 5], [(1, 1), (2, 2), (0, 0)]),
        ] {
            let fleet = fleet(POOLS);
            let builders = (0..busy_in_big).map(|number| builder(number, "big", BuilderState::Busy));
            let attempts = queue
                .iter()
                .zip(100..)
                .map(|(chroot, number)| attempt(number, chroot));
            let view = view(builders.collect(), attempts.collect());
            let found = counts(&fleet, &view);
            let found =
                ["big", "small", "arm"].map(|pool| (found[&name(pool)].asked, found[&name(pool)].wanted));
            assert_eq!(found, expected, "{busy_in_big} {queue:?}");
        }
    }

    #[test]
    fn what_operators_asked_for_is_wanted_beside_what_is_held_ready() {
        let spawn = |state, made: &[u32], pool: &str, keep| Intent {
            key: "key".to_owned(),
            request: Request::Spawn {
                pool: name(pool),
                count: 2,
                keep,
            },
            actor: "root".to_owned(),
            state,
            words: String::new(),
            builders: made.iter().copied().map(id).collect(),
            created_at: NOW,
        };
        let hour = Some(Span::seconds(3600));
        for (intents, expected) in [
            (vec![spawn(IntentState::Running, &[], "big", None)], [3, 2]),
            (vec![spawn(IntentState::Done, &[1, 2], "big", None)], [1, 2]),
            (vec![spawn(IntentState::Done, &[1, 2], "small", hour)], [1, 2]),
            (
                vec![
                    spawn(IntentState::Done, &[1, 2], "big", hour),
                    spawn(IntentState::Done, &[3, 4], "small", hour),
                    spawn(IntentState::Done, &[5], "small", hour),
                ],
                [3, 3],
            ),
        ] {
            let mut view = view(vec![], vec![]);
            view.intents = intents;
            let found = counts(&fleet(POOLS), &view);
            assert_eq!(["big", "small"].map(|pool| found[&name(pool)].asked), expected);
        }
    }

    #[test]
    fn what_waits_for_an_owners_other_builds_to_end_waits_for_no_pool() {
        let mut capped = fleet(POOLS);
        capped.fairness.caps.owner = Some(3);
        let queue: Vec<_> = (1..=5)
            .map(|number| attempt(number, "fedora-43-aarch64"))
            .collect();
        let mut view = view(vec![], queue);
        for (active, asked) in [(0, 3), (2, 1), (3, 0), (9, 0)] {
            view.active = [("alice".parse().unwrap(), active)].into();
            assert_eq!(counts(&capped, &view)[&name("arm")].asked, asked, "{active}");
        }
    }

    #[test]
    fn what_waits_waits_for_a_paused_pool_only_where_no_other_offers_its_chroot() {
        let mut paused = fleet(POOLS);
        for pool in ["big", "arm"] {
            paused.pools.get_mut(&name(pool)).unwrap().paused = true;
        }
        let queue = [(1, "fedora-43-x86_64"), (2, "fedora-43-aarch64")];
        let queue = queue.map(|(number, chroot)| attempt(number, chroot));
        let found = counts(&paused, &view(vec![], queue.into()));
        let asked = ["big", "small", "arm"].map(|pool| found[&name(pool)].asked);
        assert_eq!(asked, [1, 2, 1]);
    }

    #[test]
    fn a_pool_that_is_no_longer_in_the_file_is_counted_and_wants_nothing() {
        let view = view(vec![builder(1, "gone", BuilderState::Ready)], vec![]);
        let found = counts(&fleet(POOLS), &view);
        let gone = &found[&name("gone")];
        assert_eq!((gone.all, gone.ready, gone.wanted), (1, 1, 0));
        assert_eq!(found.len(), 4);
    }
}
