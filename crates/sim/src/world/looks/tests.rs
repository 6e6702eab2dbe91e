use std::collections::BTreeSet;

use model::BuilderId;
use uuid::Uuid;

use super::*;
use crate::{
    Rule,
    event::Task,
    world::tests::{broken, builder, calls, change, is_to_end, lead, machine, row, still, tags, until},
};

/// A world whose first controller leads.
fn led() -> World {
    let mut world = still();
    lead(&mut world);
    world
}

/// A sight of a builder's machine.
fn sight_of(row: &Builder, state: InstanceState) -> Shown {
    Shown {
        id: row.instance.clone().unwrap_or_else(|| "i-new".to_owned()),
        state,
        address: Some("near.50".to_owned()),
        is_taken_back: false,
        builder: Some(row.id),
    }
}

/// What the cloud `near` showed, and what it did not find.
fn seen(world: &mut World, shown: Vec<Shown>, missing: &[&Builder]) {
    let missing = missing.iter().filter_map(|row| row.instance.clone()).collect();
    world.look_ends(Side::One, "near", (shown, missing), Ok(Vec::new()));
    world.conclude(Side::One).unwrap();
}

fn state(world: &World, row: &Builder) -> Option<BuilderState> {
    world.store.builders.get(&row.id).map(|it| it.state)
}

fn asked(world: &World) -> Vec<&'static str> {
    let lists = calls(world)
        .into_iter()
        .filter(|call| matches!(call.ask, Ask::List));
    let mut clouds: Vec<&str> = lists.map(|call| call.cloud).collect();
    clouds.sort_unstable();
    clouds
}

#[test]
fn each_cloud_is_asked_once_at_a_time_and_again_when_it_is_due() {
    let mut world = led();
    world.look(Side::One);
    world.look(Side::One);
    assert_eq!(asked(&world), ["far", "near"]);
    world.events.clear();
    for cloud in ["near", "far"] {
        world.look_ends(Side::One, cloud, (Vec::new(), Vec::new()), Ok(Vec::new()));
    }
    world.conclude(Side::One).unwrap();
    world.events.clear();
    // Nothing is there: half a minute. A machine that is being made is asked for at once.
    world.now += seconds(29);
    world.look(Side::One);
    assert_eq!(asked(&world), [""; 0]);
    row(&mut world, BuilderState::Pending);
    world.look(Side::One);
    assert_eq!(asked(&world), ["near"]);
    world.now += seconds(1);
    world.look(Side::One);
    assert_eq!(asked(&world), ["far", "near"]);
}

#[test]
fn what_a_list_lacks_is_asked_for_by_its_id() {
    let mut world = led();
    let known = ["i-1", "i-2"].map(str::to_owned).to_vec();
    let shown = Shown {
        id: "i-1".to_owned(),
        state: InstanceState::Running,
        address: None,
        is_taken_back: false,
        builder: None,
    };
    world.listed(
        Side::One,
        "near",
        (known.clone(), Vec::new()),
        Ok(vec![shown.clone()]),
    );
    let described: Vec<&Vec<String>> = calls(&world)
        .into_iter()
        .filter_map(|call| match &call.ask {
            Ask::Describe(ids) => Some(ids),
            _ => None,
        })
        .collect();
    assert_eq!(described, [&vec!["i-2".to_owned()]]);
    assert!(world.one.memory.seen.is_empty(), "it is not over yet");
    // A list that has all is the whole look.
    let mut world = led();
    world.listed(
        Side::One,
        "near",
        (vec!["i-1".to_owned()], Vec::new()),
        Ok(vec![shown]),
    );
    assert!(calls(&world).is_empty());
    assert_eq!(world.one.memory.seen.len(), 1);
}

#[test]
fn a_question_that_failed_says_nothing_of_what_was_asked_for() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    let id = row.instance.clone().unwrap();
    for (described, lacks) in [(Err(Trouble::Unclear), false), (Ok(Vec::new()), true)] {
        world.look_ends(Side::One, "near", (Vec::new(), vec![id.clone()]), described);
        let seen = world.one.memory.seen.pop().unwrap();
        assert_eq!(seen.lacks(&id), lacks);
    }
    // What is found by its id is as good as what a list shows.
    let found = Ok(vec![sight_of(&row, InstanceState::Running)]);
    world.look_ends(Side::One, "near", (Vec::new(), vec![id.clone()]), found);
    let seen = world.one.memory.seen.pop().unwrap();
    assert!(!seen.lacks(&id) && seen.shown.contains_key(&id));
}

#[test]
fn a_cloud_that_gives_no_list_is_away_until_it_gives_one() {
    let mut world = led();
    world.listed(
        Side::One,
        "near",
        (Vec::new(), Vec::new()),
        Err(Trouble::Throttled),
    );
    let known = &world.one.memory.clouds["near"];
    assert!(!known.answers() && !known.is_looked_at);
    seen(&mut world, Vec::new(), &[]);
    assert!(world.one.memory.clouds["near"].answers());
}

#[test]
fn a_sight_moves_a_builder_where_the_model_says() {
    use {BuilderState as S, InstanceState as I};
    for (from, shown, expected) in [
        (S::Pending, I::Pending, Some(S::Pending)),
        (S::Pending, I::Running, Some(S::Booting)),
        (S::Ready, I::Running, Some(S::Ready)),
        (S::Ready, I::Stopped, Some(S::Draining)),
        (S::Booting, I::Terminated, Some(S::Terminating)),
        (S::Terminating, I::ShuttingDown, Some(S::Terminating)),
        (S::Terminating, I::Terminated, None),
    ] {
        let mut world = led();
        let row = builder(&mut world, from);
        machine(&mut world, &row).enter(shown, seconds(99));
        let sight = sight_of(&row, shown);
        seen(&mut world, vec![sight], &[]);
        assert_eq!(state(&world, &row), expected, "{from} {shown:?}");
        if expected == Some(S::Booting) {
            let row = &world.store.builders[&row.id];
            assert_eq!(row.address.as_deref(), Some("near.50"));
        }
        assert_eq!(broken(&world, ""), None, "{from} {shown:?}");
    }
}

#[test]
fn what_the_cloud_takes_back_is_no_failure_of_the_pool() {
    for (is_taken_back, failures) in [(true, 0), (false, 1)] {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Booting);
        let sight = Shown {
            is_taken_back,
            ..sight_of(&row, InstanceState::Terminated)
        };
        seen(&mut world, vec![sight], &[]);
        let history = world.store.histories.get(&row.pool);
        assert_eq!(history.map_or(0, |it| it.failures), failures);
    }
}

#[test]
fn an_absence_is_believed_after_a_minute_and_without_patience_at_once() {
    for (patience, expected) in [(true, None), (false, Some(Rule::Leak))] {
        let mut world = led();
        world.store.guards.patience = patience;
        let row = builder(&mut world, BuilderState::Terminating);
        let others = [(); 2].map(|()| builder(&mut world, BuilderState::Ready));
        let shown = || {
            others
                .iter()
                .map(|it| sight_of(it, InstanceState::Running))
                .collect()
        };
        for _ in 0..3 {
            seen(&mut world, shown(), &[&row]);
            world.now += seconds(31);
        }
        assert_eq!(broken(&world, "has ended, and its machine"), expected);
    }
    let mut world = led();
    let ready = [(); 3].map(|()| builder(&mut world, BuilderState::Ready));
    let shown = || {
        ready[1..]
            .iter()
            .map(|it| sight_of(it, InstanceState::Running))
            .collect()
    };
    let mut states = Vec::new();
    for _ in 0..4 {
        seen(&mut world, shown(), &[&ready[0]]);
        states.push(state(&world, &ready[0]) == Some(BuilderState::Ready));
        world.now += seconds(25);
    }
    assert_eq!(states, [true, true, true, false]);
}

#[test]
fn a_cloud_that_lacks_most_of_what_it_had_is_not_believed() {
    let mut world = led();
    let rows = [(); 3].map(|()| builder(&mut world, BuilderState::Ready));
    let missing: Vec<&Builder> = rows.iter().collect();
    for _ in 0..6 {
        seen(&mut world, Vec::new(), &missing);
        world.now += seconds(40);
    }
    assert!(!world.one.memory.clouds["near"].answers());
    let states = rows.map(|row| state(&world, &row));
    assert_eq!(states, [Some(BuilderState::Ready); 3], "not in four minutes");
}

#[test]
fn a_builder_that_moved_on_meanwhile_is_left_to_the_next_look() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    let sight = sight_of(&row, InstanceState::Stopped);
    world.look_ends(Side::One, "near", (vec![sight], Vec::new()), Ok(Vec::new()));
    // Between the reading of the rows and the write, as `apply` meets it.
    let seen = world.one.memory.seen.pop().unwrap();
    change(&mut world, &row, |row| row.version += 1);
    world.apply(Side::One, &row, &seen, false).unwrap();
    assert_eq!(state(&world, &row), Some(BuilderState::Ready));
    assert_eq!(unless_it_moved(Err(Stop::LeaseLost)), Err(Stop::LeaseLost));
    assert_eq!(unless_it_moved(Err(Stop::Conflict)), Ok(()));
}

#[test]
fn an_instance_with_our_tag_is_its_builders_that_looks_for_it_and_else_an_orphan() {
    use BuilderState as S;
    for (from, is_adopted, is_orphan) in [
        (Some(S::Resolving), true, false),
        (Some(S::Launching), false, false),
        (Some(S::Planned), false, true),
        (None, false, true),
    ] {
        let mut world = led();
        let mut row = row(&mut world, from.unwrap_or(S::Planned));
        if from.is_none() {
            row.id = BuilderId(Uuid::from_u128(77));
        }
        let sight = sight_of(&row, InstanceState::Running);
        seen(&mut world, vec![sight], &[]);
        let adopted = world.store.builders.get(&row.id);
        let adopted = adopted.and_then(|it| it.instance.as_deref()) == Some("i-new");
        assert_eq!(
            (adopted, world.store.has_orphans()),
            (is_adopted, is_orphan),
            "{from:?}"
        );
    }
    // What ends by itself is nobody's concern, and neither is what a builder has.
    let mut world = led();
    let had = builder(&mut world, S::Ready);
    let ending = Shown {
        id: "i-other".to_owned(),
        ..sight_of(&had, InstanceState::ShuttingDown)
    };
    let sight = sight_of(&had, InstanceState::Running);
    seen(&mut world, vec![sight, ending], &[]);
    assert!(!world.store.has_orphans());
}

#[test]
fn an_orphan_is_watched_for_two_minutes_and_then_ended_and_not_told_again_at_once() {
    for has_guard in [true, false] {
        let mut world = led();
        world.store.guards.orphans = has_guard;
        let nobody = BuilderId(Uuid::from_u128(77));
        let cloud = world.clouds.get_mut("near").unwrap();
        let id = cloud.make(Some(tags(nobody)), &mut world.luck, seconds(1));
        let sight = Shown {
            id: id.clone(),
            state: InstanceState::Running,
            address: None,
            is_taken_back: false,
            builder: Some(nobody),
        };
        let look = |world: &mut World| {
            world.events.clear();
            let known = world.one.memory.clouds.get_mut("near").unwrap();
            (known.looked, known.is_looked_at) = (None, false);
            world.look(Side::One);
            let is_list = |world: &World| {
                let mut due = world.events.iter().map(|it| &it.event);
                due.any(|it| {
                    matches!(
                        it,
                        crate::event::Event::Controller(_, _, Task::Answer(Then::Listed("near", ..), _))
                    )
                })
            };
            assert!(until(world, 5, is_list));
            until(world, 2, |world| is_to_end(world, &id));
            is_to_end(world, &id)
        };
        seen(&mut world, vec![sight.clone()], &[]);
        assert!(!look(&mut world), "it was seen once");
        world.now += seconds(125);
        seen(&mut world, vec![sight], &[]);
        assert_eq!(look(&mut world), has_guard);
        until(&mut world, 5, |_| false);
        assert!(!look(&mut world), "it was told just now");
        let left = world.left().map(|(rule, _)| rule);
        assert_eq!(left, (!has_guard).then_some(Rule::Leak));
    }
}

#[test]
fn a_look_asks_for_all_that_builders_of_the_cloud_have() {
    let mut world = led();
    let rows = [(); 2].map(|()| builder(&mut world, BuilderState::Ready));
    row(&mut world, BuilderState::Planned);
    world.look(Side::One);
    let known: Vec<BTreeSet<String>> = calls(&world)
        .into_iter()
        .filter_map(|call| match &call.then {
            Then::Listed("near", known, _) => Some(known.iter().cloned().collect()),
            _ => None,
        })
        .collect();
    let expected: BTreeSet<String> = rows.iter().filter_map(|row| row.instance.clone()).collect();
    assert_eq!(known, [expected]);
}
