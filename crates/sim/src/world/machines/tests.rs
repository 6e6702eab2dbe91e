use model::{Epoch, LaunchAnswer, LaunchId};

use super::*;
use crate::{
    Rule,
    setting::word,
    world::tests::{
        broken, build, builder, change, due, lead, machine, sandbox, still, strike, submit, told, until,
        usurp,
    },
};

/// A world whose first controller leads.
fn led() -> World {
    let mut world = still();
    lead(&mut world);
    world
}

/// A step for a row is under way, by number 1.
fn under_way(world: &mut World, row: &Builder) {
    let step = crate::controller::UnderWay {
        number: 1,
        work: model::step::Work::Machine,
    };
    world.one.memory.under_way.insert(row.id, step);
}

fn state(world: &World, row: &Builder) -> Option<BuilderState> {
    world.store.builders.get(&row.id).map(|it| it.state)
}

fn reason(world: &World, row: &Builder) -> String {
    world.store.builders[&row.id].reason.clone()
}

/// One that was used once by alice, and may be again.
fn used(world: &mut World) -> Builder {
    let row = builder(world, BuilderState::Cleaning);
    let first = world.clock(Side::One);
    machine(world, &row).is_dirty = true;
    change(world, &row, |row| {
        (row.uses, row.has_baseline, row.sandbox) = (1, true, Some(sandbox("alice")));
        row.ready_at = Some(first);
    })
}

/// Connects to a builder and does there what is to be done.
fn work_on(world: &mut World, row: &Builder) {
    under_way(world, row);
    world.connect(Side::One, row.clone(), 1);
    let id = row.id;
    until(world, 200, |world| !world.one.is_under_way(id, 1));
}

#[test]
fn whoever_answers_at_a_builders_address_is_known_by_the_key() {
    for (what, expected) in [
        ("its machine", "its machine"),
        ("another key", "a stranger"),
        ("no machine", "nobody"),
        ("no address", "nobody"),
    ] {
        let mut world = still();
        let row = builder(&mut world, BuilderState::Ready);
        match what {
            "another key" => machine(&mut world, &row).key = Some(LaunchId(uuid::Uuid::from_u128(99))),
            "no machine" => machine(&mut world, &row).answers_from = None,
            _ => {}
        }
        let mut row = row;
        if what == "no address" {
            row.address = None;
        }
        let found = match world.reach(&row) {
            Reached::Machine(_) => "its machine",
            Reached::Stranger => "a stranger",
            Reached::Nobody => "nobody",
        };
        assert_eq!(found, expected, "{what}");
        assert_eq!(broken(&world, ""), None);
    }
}

#[test]
fn a_machine_of_another_key_is_given_up_and_whoever_does_not_look_works_on_it() {
    for (host_keys, expected) in [(true, None), (false, Some(Rule::Stranger))] {
        let mut world = led();
        world.store.guards.host_keys = host_keys;
        let row = builder(&mut world, BuilderState::Booting);
        machine(&mut world, &row).key = None;
        work_on(&mut world, &row);
        assert_eq!(broken(&world, "whose key is not that of"), expected);
        let ended = state(&world, &row) == Some(BuilderState::Terminating);
        assert_eq!(ended, host_keys, "{}", told(&world));
    }
}

#[test]
fn a_machine_is_connected_to_provisioned_checked_and_ready() {
    use BuilderState as S;
    for from in [S::Booting, S::Provisioning, S::Checking] {
        let mut world = led();
        let row = builder(&mut world, from);
        work_on(&mut world, &row);
        assert_eq!(state(&world, &row), Some(S::Ready), "{from}");
        let row = &world.store.builders[&row.id];
        assert!(
            row.has_baseline && row.reusable_until.is_some(),
            "it may be used again"
        );
        assert_eq!(row.ready_at, Some(row.entered_at));
    }
}

#[test]
fn a_builder_that_cannot_be_made_goes() {
    type Change = fn(&mut World, &Builder);
    let table: [(&str, Change); 3] = [
        ("its playbook failed", |world, _| {
            strike(world, Fault::PlayFails, 0)
        }),
        ("its playbook failed", |world, _| {
            strike(world, Fault::PlayFails, 1)
        }),
        ("another host key", |world, row| machine(world, row).key = None),
    ];
    for (words, change) in table {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Provisioning);
        change(&mut world, &row);
        work_on(&mut world, &row);
        assert_eq!(state(&world, &row), Some(BuilderState::Terminating), "{words}");
        assert!(reason(&world, &row).contains(words), "{}", reason(&world, &row));
        assert_eq!(world.store.histories[&row.pool].failures, 1);
    }
    // A machine that dies while it is provisioned is noticed when that is over.
    let mut world = led();
    let row = builder(&mut world, BuilderState::Provisioning);
    under_way(&mut world, &row);
    world.connect(Side::One, row.clone(), 1);
    machine(&mut world, &row).answers_from = None;
    until(&mut world, 200, |_| false);
    assert_eq!(state(&world, &row), Some(BuilderState::Terminating));
}

#[test]
fn a_builder_of_which_nobody_knows_what_it_was_like_runs_one_build() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Checking);
    strike(&mut world, Fault::NoBaseline, 0);
    work_on(&mut world, &row);
    let row = &world.store.builders[&row.id];
    assert_eq!((row.state, row.has_baseline), (BuilderState::Ready, false));
    assert_eq!(row.reusable_until, None);
}

#[test]
fn a_machine_that_does_not_answer_is_tried_until_its_time_is_over() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Booting);
    let answers = machine(&mut world, &row).answers_from.take();
    under_way(&mut world, &row);
    world.connect(Side::One, row.clone(), 1);
    let again = due(&world, |event| {
        matches!(event, Event::Controller(_, _, Task::Connect(..)))
    });
    assert_eq!(again, Some(TRY_AGAIN));
    until(&mut world, 300, |_| false);
    assert_eq!(
        state(&world, &row),
        Some(BuilderState::Booting),
        "it has ten minutes"
    );
    machine(&mut world, &row).answers_from = answers;
    until(&mut world, 100, |_| false);
    assert_eq!(state(&world, &row), Some(BuilderState::Ready));

    let mut world = led();
    let row = builder(&mut world, BuilderState::Booting);
    machine(&mut world, &row).answers_from = None;
    let began = world.now;
    work_on(&mut world, &row);
    until(&mut world, 600, |_| false);
    assert_eq!(state(&world, &row), Some(BuilderState::Terminating));
    assert_eq!(reason(&world, &row), "nobody answers at its address");
    let waited = world.now.saturating_sub(began);
    assert!(waited < seconds(601), "the plan has not ended it: {waited:?}");
}

#[test]
fn a_step_that_is_not_under_way_any_more_does_nothing() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Booting);
    world.connect(Side::One, row.clone(), 1);
    world.played(Side::One, row.clone(), 1);
    under_way(&mut world, &row);
    world.connect(Side::One, row.clone(), 2);
    world.played(Side::One, row.clone(), 2);
    assert!(world.events.is_empty());
    assert_eq!(state(&world, &row), Some(BuilderState::Booting));
}

#[test]
fn a_machine_on_which_an_attempt_runs_is_not_provisioned_by_whoever_woke_up_late() {
    for state in [BuilderState::Provisioning, BuilderState::Checking] {
        for (refuses, expected) in [(true, None), (false, Some(Rule::Sandbox))] {
            let mut world = led();
            world.store.guards.refuses_when_busy = refuses;
            let seen = builder(&mut world, state);
            // While it was paused, another one made it a builder and handed it out.
            usurp(&mut world);
            let attempt = submit(&mut world, "alice");
            let busy = change(&mut world, &seen, |row| {
                (row.state, row.version) = (BuilderState::Busy, row.version + 3);
            });
            machine(&mut world, &seen).run = Some(build(attempt, Epoch(7), 500));
            work_on(&mut world, &seen);
            assert_eq!(
                broken(&world, "is provisioned while attempt"),
                expected,
                "{state}"
            );
            let row = &world.store.builders[&seen.id];
            assert_eq!((row.state, row.version), (busy.state, busy.version), "{state}");
            assert!(told(&world).contains("not done, or not known to be: LeaseLost"));
        }
    }
}

#[test]
fn a_machine_on_which_something_runs_that_nobody_knows_goes_and_is_no_failure_of_its_pool() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Provisioning);
    let nobodys = AttemptId(uuid::Uuid::from_u128(99));
    machine(&mut world, &row).run = Some(build(nobodys, Epoch(7), 500));
    work_on(&mut world, &row);
    assert_eq!(state(&world, &row), Some(BuilderState::Terminating));
    assert_eq!(reason(&world, &row), "an attempt runs on it");
    assert!(!world.store.histories.contains_key(&row.pool));
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn a_used_builder_is_cleaned_and_its_sandboxs_again_or_goes() {
    type Change = fn(&mut World, &Builder);
    let table: [(&str, Change, BuilderState); 5] = [
        ("found as it was before", |_, _| {}, BuilderState::Ready),
        (
            "it is not as it was",
            |world, row| machine(world, row).has_residue = true,
            BuilderState::Draining,
        ),
        (
            "could not be cleaned",
            |world, _| strike(world, Fault::CleanFails, 0),
            BuilderState::Draining,
        ),
        (
            "another host key",
            |world, row| machine(world, row).key = None,
            BuilderState::Draining,
        ),
        (
            "an attempt runs on it",
            |world, row| {
                let attempt = AttemptId(uuid::Uuid::from_u128(99));
                machine(world, row).run = Some(build(attempt, Epoch(7), 500));
            },
            BuilderState::Draining,
        ),
    ];
    for (words, change, expected) in table {
        let mut world = led();
        let row = used(&mut world);
        change(&mut world, &row);
        work_on(&mut world, &row);
        assert_eq!(state(&world, &row), Some(expected), "{words}");
        assert!(reason(&world, &row).contains(words), "{}", reason(&world, &row));
        let is_dirty = machine(&mut world, &row).is_dirty;
        assert_eq!(is_dirty, expected != BuilderState::Ready, "{words}");
        let may_be_used = world.store.builders[&row.id].reusable_until.is_some();
        assert_eq!(may_be_used, expected == BuilderState::Ready, "{words}");
    }
}

#[test]
fn a_builder_that_does_not_refuse_it_is_cleaned_beneath_a_build() {
    let mut world = led();
    world.store.guards.refuses_when_busy = false;
    let row = used(&mut world);
    let attempt = submit(&mut world, "alice");
    machine(&mut world, &row).run = Some(build(attempt, Epoch(7), 500));
    work_on(&mut world, &row);
    assert_eq!(broken(&world, "is cleaned while attempt"), Some(Rule::Sandbox));
}

#[test]
fn a_builder_that_may_not_be_used_again_is_not_even_cleaned() {
    type Change = fn(&mut Builder);
    let table: [(&str, Change); 4] = [
        ("no more builds after 3 by now", |row| row.uses = 3),
        ("what it was like is not known", |row| row.has_baseline = false),
        ("what it was like is not known", |row| row.sandbox = None),
        ("pool gone is no longer in the fleet file", |row| {
            row.pool = word("gone")
        }),
    ];
    for (words, how) in table {
        let mut world = led();
        let row = used(&mut world);
        let row = change(&mut world, &row, how);
        under_way(&mut world, &row);
        world.connect(Side::One, row.clone(), 1);
        assert_eq!(state(&world, &row), Some(BuilderState::Draining), "{words}");
        assert_eq!(reason(&world, &row), words);
    }
}

#[test]
fn what_machines_do_by_chance_they_do_no_more_when_it_is_calm() {
    for change in [Change::Dies, Change::TakenBack, Change::Stops, Change::Ends] {
        let mut world = still();
        world.luck.calm_down();
        let row = builder(&mut world, BuilderState::Ready);
        let id = row.instance.clone().unwrap();
        world.machine_changes("near", &id, change);
        let is_there = machine(&mut world, &row).state == model::InstanceState::Running;
        assert_eq!(is_there, change != Change::Ends, "{change:?}");
        let ends = due(&world, |event| {
            matches!(event, Event::Machine(_, _, Change::Ended))
        });
        assert_eq!(ends.is_some(), !is_there);
    }
    let mut world = still();
    let row = builder(&mut world, BuilderState::Ready);
    assert_eq!(row.launch.as_ref().unwrap().answer, Some(LaunchAnswer::Given));
    let id = row.instance.clone().unwrap();
    world.machine_changes("near", &id, Change::TakenBack);
    assert!(machine(&mut world, &row).is_taken_back);
    // What is told to a cloud that there is not, or of a machine that there is not, changes nothing.
    world.machine_changes("nowhere", &id, Change::Dies);
    assert_eq!(world.told_to_end(Side::One, "near", "i-none"), Ok(()));
    assert_eq!(world.told_to_end(Side::One, "nowhere", &id), Ok(()));
}
