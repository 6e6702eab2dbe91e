use model::{
    BuilderState, Epoch, InstanceState, LaunchId, Sandbox,
    mark::{Mark, MarkKind},
};
use uuid::Uuid;

use super::*;
use crate::{
    Rule,
    cloud::{LaunchAsk, Run, Tags},
    controller::Held,
    setting::word,
    store::{Allocation, Builder, Launch, Outcome},
};

/// A small world in which nothing goes wrong by itself.
fn quiet() -> World {
    World::struck_once(Fault::Orphan, u64::MAX, Some(50))
}

fn tags(id: BuilderId) -> Tags {
    Tags {
        pool: word("main"),
        builder: id,
        launch: LaunchId(id.0),
    }
}

fn sandbox(owner: &str) -> Sandbox {
    Sandbox::new(&word(owner), &word("one"), &word(owner))
}

/// A builder on whose machine an attempt runs, with the machine's id and the number of the allocation.
fn busy(world: &mut World) -> (BuilderId, String, Epoch) {
    world.now = seconds(100);
    let id = BuilderId(world.store.new_id());
    let now = world.clock(Side::One);
    let made = (word("main"), "near", "v1:1.1.1.1".to_owned());
    let mut row = Builder::planned(id, made, "wanted".to_owned(), (now, now));
    let cloud = world.clouds.get_mut("near").unwrap();
    let instance = cloud.make(Some(tags(id)), &mut world.luck, seconds(1));
    let wanted = crate::setting::wanted(&mut world.luck);
    world.store.submit(model::BuildId(1), wanted, now);
    let attempt = *world.store.attempts.keys().next().unwrap();
    let machine = cloud.machines.get_mut(&instance).unwrap();
    machine.enter(InstanceState::Running, seconds(2));
    (machine.address, machine.answers_from) = (Some("near.1".to_owned()), Some(seconds(3)));
    let epoch = Epoch(7);
    machine.run = Some(Run {
        attempt,
        epoch,
        ends_at: seconds(500),
        outcome: Outcome::Built,
    });
    (row.state, row.instance, row.address) = (
        BuilderState::Busy,
        Some(instance.clone()),
        machine.address.clone(),
    );
    row.launch = Some(Launch {
        token: LaunchId(id.0),
        offering: word("c7i.xlarge"),
        asked_at: now,
        answer: Some(model::LaunchAnswer::Given),
    });
    world.store.builders.insert(id, row);
    let allocation = Allocation {
        builder: id,
        attempt,
        worker: Some(1),
        renewed_at: now,
        heard: seconds(95),
    };
    world.store.open.insert(epoch, allocation);
    (id, instance, epoch)
}

/// The first controller leads.
fn lead(world: &mut World) {
    let epoch = world.store.acquire(1, Timestamp::from_micros(0)).unwrap();
    let end = seconds(1000);
    world.one.lease = Some(Held { epoch, end });
}

/// Which rule was broken, in words that hold `part`.
fn broken(world: &World, part: &str) -> Option<Rule> {
    let violation = world.violation.as_ref()?;
    assert!(violation.words.contains(part), "{violation}");
    Some(violation.rule)
}

#[test]
fn in_a_quiet_world_every_build_ends_and_nothing_is_left() {
    let report = quiet().run();
    let last = report.trace.join("\n");
    assert!(report.violation.is_none(), "{:?}\n{last}", report.violation);
    assert!(
        (1..=8).contains(&report.lifecycles),
        "{}\n{last}",
        report.lifecycles
    );
    assert!(report.lasted < seconds(1200), "{:?}", report.lasted);
    assert_eq!(report.met.iter().sum::<u64>(), 0);
}

#[test]
fn a_builder_at_work_is_ended_only_for_a_reason() {
    type Change = fn(&mut World, BuilderId, &str);
    let table: [(&str, Change, bool); 6] = [
        ("nothing", |_, _, _| {}, true),
        (
            "its worker is silent",
            |world, _, _| world.now = seconds(130),
            false,
        ),
        (
            "an operator wants it",
            |world, id, _| {
                let mark = Mark {
                    kind: MarkKind::Ended,
                    by: "operator".to_owned(),
                    why: String::new(),
                    until: None,
                };
                world.store.builders.get_mut(&id).unwrap().mark = Some(mark);
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
    use crate::cloud::Machine;
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
                it.run = Some(Run {
                    attempt: AttemptId(Uuid::from_u128(98)),
                    epoch: Epoch(6),
                    ends_at: seconds(500),
                    outcome: Outcome::Built,
                });
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
fn a_killed_controller_is_started_again_and_a_paused_one_does_then_what_came_meanwhile() {
    let mut world = quiet();
    world.kill(Side::One);
    assert!(!world.one.is_up);
    let life = world.one.life;
    world.controller_does(Side::One, life, Task::Round(1));
    assert!(
        world.one.backlog.is_empty() && world.one.lease.is_none(),
        "it is dead"
    );
    world.wakes(Side::One);
    assert!(world.one.is_up);
    world.pause(Side::One);
    let round = world.one.round;
    world.controller_does(Side::One, life, Task::Round(round));
    assert!(world.one.lease.is_none() && world.one.backlog.len() == 1);
    let foreseen = world.foreseen;
    world.wakes(Side::One);
    assert!(!world.one.is_paused && world.foreseen == foreseen + 1);
    world.controller_does(Side::One, life, Task::Round(round));
    assert!(world.one.lease.is_some());
}

#[test]
fn operators_take_back_what_they_said_when_it_gets_calm() {
    let mut world = quiet();
    let (id, ..) = busy(&mut world);
    let mark = |kind| Mark {
        kind,
        by: "operator".to_owned(),
        why: String::new(),
        until: None,
    };
    for (kind, verb) in [
        (MarkKind::Cordoned, Some("uncordon")),
        (MarkKind::Held, Some("release")),
        (MarkKind::Ended, None),
    ] {
        world.store.intents.clear();
        world.store.builders.get_mut(&id).unwrap().mark = Some(mark(kind));
        world.calm_down();
        let asked: Vec<&str> = world.store.intents.iter().map(|it| it.request.verb()).collect();
        assert_eq!(asked, verb.into_iter().collect::<Vec<_>>(), "{kind}");
    }
    assert!(world.luck.is_calm());
}
