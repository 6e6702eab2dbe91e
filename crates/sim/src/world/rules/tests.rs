use std::sync::Arc;

use model::{Epoch, InstanceState, mark::MarkKind};
use uuid::Uuid;

use super::*;
use crate::{
    cloud::LaunchAsk,
    setting::{File, word},
    world::tests::{
        broken, build, builder, busy, lead, machine, mark, quiet, row, sandbox, still, submit, tags,
    },
};

#[test]
fn a_builder_at_work_is_ended_only_for_a_reason() {
    type Change = fn(&mut World, BuilderId, &str);
    let table: [(&str, Change, bool); 7] = [
        ("nothing", |_, _, _| {}, true),
        (
            "its worker is silent",
            |world, _, _| world.now = seconds(130),
            false,
        ),
        (
            "an operator wants it",
            |world, id, _| {
                world.store.builders.get_mut(&id).unwrap().mark = Some(mark(MarkKind::Ended));
            },
            false,
        ),
        (
            "its machine has ended",
            |world, _, instance| {
                let machines = &mut world.clouds.get_mut("near").unwrap().machines;
                machines
                    .get_mut(instance)
                    .unwrap()
                    .enter(InstanceState::Terminated, seconds(99));
            },
            false,
        ),
        (
            "the clocks are a minute apart",
            |world, _, _| world.one.skew = 60_000_000,
            false,
        ),
        (
            // Seed 3053: a controller was paused between its plan and the commit, and its clock was put right meanwhile.
            "the clocks were a minute apart when it was decided",
            |world, _, _| world.one.decided_by = 60_000_000,
            false,
        ),
        (
            "the clocks are seconds apart",
            |world, _, _| world.one.skew = 20_000_000,
            true,
        ),
    ];
    for (why, change, is_broken) in table {
        let expected = is_broken.then_some(Rule::BusyKill);
        let mut world = quiet();
        let (id, instance, _) = busy(&mut world);
        change(&mut world, id, &instance);
        world.judge_end(Side::One, "near", &instance);
        assert_eq!(broken(&world, "is to be ended, on which"), expected, "{why}");

        // The same where the builder is moved away first.
        let mut world = quiet();
        let (id, instance, _) = busy(&mut world);
        change(&mut world, id, &instance);
        lead(&mut world);
        let row = world.store.builders[&id].clone();
        let step = model::step::Move::new(BuilderState::Draining, "a test");
        world.advance(Side::One, &row, step, None).unwrap();
        assert_eq!(broken(&world, "leaves attempt"), expected, "{why}");
    }
}

#[test]
fn a_builder_that_has_ended_has_no_machine_that_lives() {
    for (state, expected) in [
        (InstanceState::Running, Some(Rule::Leak)),
        (InstanceState::Stopped, Some(Rule::Leak)),
        (InstanceState::Terminated, None),
    ] {
        let mut world = quiet();
        let (id, instance, _) = busy(&mut world);
        lead(&mut world);
        let machines = &mut world.clouds.get_mut("near").unwrap().machines;
        machines.get_mut(&instance).unwrap().enter(state, seconds(99));
        world.store.open.clear();
        let row = world.store.builders.get_mut(&id).unwrap();
        row.state = BuilderState::Terminating;
        let row = row.clone();
        let step = model::step::Move::new(BuilderState::Terminated, "a test");
        world.advance(Side::One, &row, step, None).unwrap();
        assert_eq!(
            broken(&world, "has ended, and its machine"),
            expected,
            "{state:?}"
        );
    }
}

#[test]
fn a_builder_is_not_given_up_whose_machine_was_made() {
    for (state, expected) in [
        (InstanceState::Pending, Some(Rule::Leak)),
        (InstanceState::Terminated, None),
    ] {
        let mut world = quiet();
        let (id, instance, _) = busy(&mut world);
        let machines = &mut world.clouds.get_mut("near").unwrap().machines;
        machines.get_mut(&instance).unwrap().enter(state, seconds(99));
        lead(&mut world);
        world.store.open.clear();
        let row = world.store.builders.get_mut(&id).unwrap();
        (row.state, row.instance) = (BuilderState::Resolving, None);
        let row = row.clone();
        let step = model::step::launch::nowhere();
        world.advance(Side::One, &row, step, None).unwrap();
        assert_eq!(
            broken(&world, "has ended, and its machine"),
            expected,
            "{state:?}"
        );
    }
}

#[test]
fn a_machine_with_our_tag_that_no_builder_has_is_left_over() {
    let mut world = quiet();
    let cloud = world.clouds.get_mut("near").unwrap();
    cloud.make(
        Some(tags(BuilderId(Uuid::from_u128(9)))),
        &mut world.luck,
        seconds(1),
    );
    assert_eq!(world.left().unwrap().0, Rule::Leak);
    let mut world = quiet();
    let cloud = world.clouds.get_mut("near").unwrap();
    cloud.make(None, &mut world.luck, seconds(1));
    assert!(world.left().is_none(), "another fleet's");
}

#[test]
fn what_does_not_finish_is_told_four_hours_after_the_calm() {
    let mut world = quiet();
    busy(&mut world);
    for (hours, expected) in [(3, None), (5, Some(Rule::Finish))] {
        world.now = seconds(hours * 3600);
        world.look_at_rules();
        assert_eq!(broken(&world, " is "), expected, "{hours}");
    }
}

#[test]
fn a_stranger_is_not_to_be_touched_and_a_launch_is_on_record() {
    let mut world = quiet();
    let stranger = world
        .clouds
        .get_mut("near")
        .unwrap()
        .make(None, &mut world.luck, seconds(1));
    world.judge_end(Side::One, "near", &stranger);
    assert_eq!(broken(&world, "another fleet's"), Some(Rule::Stranger));
    let mut world = quiet();
    let ask = LaunchAsk {
        tags: tags(BuilderId(Uuid::from_u128(9))),
        offering: word("c7i.xlarge"),
    };
    world.store.tokens.insert(ask.tags.launch);
    world.judge_launch(&ask);
    assert_eq!(broken(&world, ""), None);
    world.store.tokens.clear();
    world.judge_launch(&ask);
    assert_eq!(broken(&world, "nothing is on record"), Some(Rule::Record));
}

#[test]
fn a_pool_is_above_its_maximum_with_one_builder_or_one_machine_too_many() {
    for (max, expected) in [(1, None), (0, Some(Rule::AboveMax))] {
        let mut world = quiet();
        let (id, ..) = busy(&mut world);
        world.judge_planned(id, &word("main"), max);
        assert_eq!(broken(&world, "has 1 of at most 0"), expected);
        let mut world = quiet();
        busy(&mut world);
        world.most.insert(word("main"), usize::try_from(max).unwrap());
        world.judge_machines(&word("main"));
        assert_eq!(broken(&world, "1 machines of pool main"), expected);
    }
}

#[test]
fn an_owner_has_no_more_builders_than_the_file_says_by_which_one_was_given() {
    for (most, expected) in [(None, None), (Some(2), None), (Some(1), Some(Rule::AboveMax))] {
        let mut world = quiet();
        let (_, _, epoch) = busy(&mut world);
        let mut second = world.store.open[&epoch].clone();
        (second.builder, second.attempt) = (BuilderId(Uuid::from_u128(98)), submit(&mut world, "alice"));
        let attempt = second.attempt;
        world.store.open.insert(Epoch(8), second);
        let mut file = File::clone(&world.one.file);
        file.caps.owner = most;
        world.one.file = Arc::new(file);
        world.judge_owner(Side::One, attempt);
        assert_eq!(
            broken(&world, "has 2 builders, and may have 1"),
            expected,
            "{most:?}"
        );
    }
}

#[test]
fn two_allocations_of_one_builder_or_one_attempt_are_a_double_hand_out() {
    for (same, part) in [
        ("builder", "is given to two attempts"),
        ("attempt", "has two builders"),
    ] {
        let mut world = quiet();
        let (_, _, epoch) = busy(&mut world);
        let mut second = world.store.open[&epoch].clone();
        let other = Uuid::from_u128(99);
        if same == "builder" {
            second.attempt = AttemptId(other);
        } else {
            second.builder = BuilderId(other);
        }
        world.look_at_rules();
        assert_eq!(broken(&world, ""), None);
        world.store.open.insert(Epoch(8), second);
        world.look_at_rules();
        assert_eq!(broken(&world, part), Some(Rule::DoubleHandOut));
    }
}

#[test]
fn a_build_begins_only_on_a_clean_machine_of_its_builder_and_sandbox() {
    type Change = fn(&mut Machine);
    let table: [(Change, &str, Option<Rule>); 5] = [
        (|_| {}, "", None),
        (|it| it.is_dirty = true, "was not cleaned", Some(Rule::Sandbox)),
        (
            |it| it.sandbox = Some(sandbox("nobody")),
            "another sandbox",
            Some(Rule::Sandbox),
        ),
        (
            |it| it.tags = Some(tags(BuilderId(Uuid::from_u128(99)))),
            "not of",
            Some(Rule::DoubleHandOut),
        ),
        (
            |it| {
                it.run = Some(build(AttemptId(Uuid::from_u128(98)), Epoch(6), 500));
            },
            "on one machine",
            Some(Rule::DoubleHandOut),
        ),
    ];
    for (change, part, expected) in table {
        let mut world = quiet();
        let (id, instance, epoch) = busy(&mut world);
        let machine = world
            .clouds
            .get_mut("near")
            .unwrap()
            .machines
            .get_mut(&instance)
            .unwrap();
        machine.run = None;
        change(machine);
        let (row, attempt) = (
            world.store.builders[&id].clone(),
            world.store.open[&epoch].attempt,
        );
        world.judge_begin(&row, attempt);
        assert_eq!(broken(&world, part), expected, "{part}");
        // Once more on another builder.
        let mut other = row;
        other.id = BuilderId(Uuid::from_u128(97));
        world.violation = None;
        let machine = world
            .clouds
            .get_mut("near")
            .unwrap()
            .machines
            .get_mut(&instance)
            .unwrap();
        (machine.tags, machine.run, machine.is_dirty, machine.sandbox) =
            (Some(tags(other.id)), None, false, None);
        world.judge_begin(&other, attempt);
        assert_eq!(broken(&world, "was begun on"), Some(Rule::DoubleHandOut));
    }
}

#[test]
fn a_move_that_there_is_not_is_found_at_the_next_look() {
    let mut world = quiet();
    world.store.contradiction = Some("builder b is busy: it cannot become planned".to_owned());
    world.look_at_rules();
    assert_eq!(broken(&world, "cannot become"), Some(Rule::Moves));
    assert!(world.trace.unwrap().back().unwrap().contains("BROKEN"));
}

#[test]
fn a_machine_that_is_cleaned_or_provisioned_beneath_a_build_is_a_build_disturbed() {
    for how in ["cleaned", "provisioned"] {
        let mut world = quiet();
        let (id, _, epoch) = busy(&mut world);
        let attempt = world.store.open[&epoch].attempt;
        world.disturbed(id, attempt, how);
        let words = format!("{id} is {how} while attempt {attempt} runs there");
        assert_eq!(broken(&world, &words), Some(Rule::Sandbox));
    }
}

#[test]
fn whoever_works_without_a_look_at_the_key_works_on_the_machine_of_another() {
    for (key, expected) in [("its own", None), ("another", Some(Rule::Stranger))] {
        let mut world = still();
        let row = builder(&mut world, BuilderState::Ready);
        if key == "another" {
            machine(&mut world, &row).key = None;
        }
        world.judge_key(&row);
        assert_eq!(broken(&world, "whose key is not that of"), expected, "{key}");
    }
    // Nobody answers there.
    let mut world = still();
    let row = builder(&mut world, BuilderState::Ready);
    machine(&mut world, &row).address = None;
    world.judge_key(&row);
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn a_farm_is_settled_when_all_was_wanted_all_is_done_and_nothing_is_left() {
    type Change = fn(&mut World);
    let table: [(&str, Change, bool); 6] = [
        ("nothing", |_| {}, true),
        (
            "it is not calm yet",
            |world| world.luck = crate::luck::Luck::once(crate::Fault::Dies, 9),
            false,
        ),
        (
            "it was calm just now",
            |world| world.now = world.setting.calm_at + seconds(1),
            false,
        ),
        ("more will be wanted", |world| world.submitted -= 1, false),
        (
            "an attempt waits",
            |world| {
                submit(world, "alice");
            },
            false,
        ),
        (
            "a builder ends",
            |world| drop(builder(world, BuilderState::Terminating)),
            false,
        ),
    ];
    for (why, change, is_settled) in table {
        let mut world = still();
        world.luck.calm_down();
        world.now = world.setting.calm_at + seconds(3);
        world.submitted = world.setting.builds;
        change(&mut world);
        world.settle_if_over();
        assert_eq!(world.is_settled, is_settled, "{why}");
    }
}

#[test]
fn what_is_left_to_be_done_is_told_by_what_it_is() {
    type Change = fn(&mut World);
    let ready = |world: &mut World| builder(world, BuilderState::Ready);
    let table: [(&str, Change, Option<Rule>); 7] = [
        ("", |_| {}, None),
        (
            "is waiting",
            |world| {
                submit(world, "bob");
            },
            Some(Rule::Finish),
        ),
        (
            "is planned: wanted",
            |world| drop(row(world, BuilderState::Planned)),
            Some(Rule::Finish),
        ),
        (
            "is ready: wanted",
            |world| {
                let row = builder(world, BuilderState::Ready);
                world.store.builders.get_mut(&row.id).unwrap().cordoned = true;
            },
            Some(Rule::Finish),
        ),
        (
            "is ready, and its machine is not",
            |world| {
                let row = builder(world, BuilderState::Ready);
                machine(world, &row).enter(InstanceState::Stopped, seconds(100));
            },
            Some(Rule::Finish),
        ),
        (
            "is running, and no builder's",
            |world| {
                let row = builder(world, BuilderState::Ready);
                world.store.builders.remove(&row.id);
            },
            Some(Rule::Leak),
        ),
        (
            "pool main has 1 of at least 2",
            |world| {
                let mut file = (*world.file).clone();
                file.pools
                    .get_mut(&word::<PoolName>("main"))
                    .unwrap()
                    .spec
                    .size
                    .min = 2;
                world.file = Arc::new(file);
            },
            Some(Rule::Finish),
        ),
    ];
    for (part, change, expected) in table {
        let mut world = still();
        ready(&mut world);
        change(&mut world);
        let left = world.left();
        assert_eq!(left.as_ref().map(|(rule, _)| *rule), expected, "{left:?}");
        let words = left.map_or_else(String::new, |(_, words)| words);
        assert!(words.contains(part), "{words}");
    }
    // What no pool offers waits for ever, and nobody waits for it.
    let mut world = still();
    submit(&mut world, "bob");
    world.file = Arc::new(File::default());
    assert_eq!(world.left(), None);
}
