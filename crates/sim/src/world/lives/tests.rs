use super::*;
use crate::{
    Rule,
    luck::Fault,
    world::{
        seconds,
        tests::{broken, builder, change, lead, machine, quiet, still, strike, told, until},
    },
};

fn led() -> World {
    let mut world = still();
    lead(&mut world);
    world
}

/// Whether somebody is being asked.
fn is_asked(world: &World) -> bool {
    let mut all = world.events.iter();
    all.any(|due| matches!(due.event, crate::event::Event::Controller(_, _, Task::Live(..))))
}

/// Asks every 90 seconds, up to so many times; the state of the builder after that.
fn asked(world: &mut World, row: &Builder, times: u64) -> Option<BuilderState> {
    for _ in 0..=times {
        world.ask_who_is_ready(Side::One);
        let end = world.now + seconds(90);
        until(world, 90, |_| false);
        world.now = end;
        world.drain_what_died(Side::One).unwrap();
    }
    world.store.builders.get(&row.id).map(|it| it.state)
}

#[test]
fn a_machine_that_answers_stays_and_one_that_does_not_goes_after_three_looks() {
    type Change = fn(&mut World, &Builder);
    let table: [(&str, Change, u64); 5] = [
        ("it is well", |_, _| {}, 0),
        (
            "it says nothing",
            |world, row| machine(world, row).is_silent = true,
            3,
        ),
        (
            "it is not fit",
            |world, row| machine(world, row).is_sick = true,
            3,
        ),
        ("it is a stranger", |world, row| machine(world, row).key = None, 3),
        (
            "it was started again",
            |world, row| machine(world, row).starts = 1,
            1,
        ),
    ];
    for (what, set, looks) in table {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Ready);
        let row = change(&mut world, &row, |row| row.has_baseline = true);
        set(&mut world, &row);
        if looks == 0 {
            assert_eq!(asked(&mut world, &row, 9), Some(BuilderState::Ready), "{what}");
            continue;
        }
        assert_eq!(
            asked(&mut world, &row, looks - 1),
            Some(BuilderState::Ready),
            "{what}"
        );
        let state = asked(&mut world, &row, 0);
        assert_eq!(state, Some(BuilderState::Draining), "{what}: {}", told(&world));
        assert_eq!(broken(&world, ""), None, "{what}");
    }
}

#[test]
fn one_of_which_nobody_knows_how_it_started_is_well_after_another_start() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    machine(&mut world, &row).starts = 3;
    assert_eq!(asked(&mut world, &row, 5), Some(BuilderState::Ready));
}

#[test]
fn only_who_is_ready_is_asked_and_each_answer_is_of_its_own_time() {
    let mut world = led();
    for state in [BuilderState::Busy, BuilderState::Cleaning, BuilderState::Draining] {
        builder(&mut world, state);
    }
    world.ask_who_is_ready(Side::One);
    world.now += seconds(500);
    world.ask_who_is_ready(Side::One);
    assert!(!is_asked(&world));
    let row = builder(&mut world, BuilderState::Ready);
    world.ask_who_is_ready(Side::One);
    world.now += seconds(500);
    world.ask_who_is_ready(Side::One);
    assert!(is_asked(&world));
    // It has run a build since it was asked.
    change(&mut world, &row, |row| {
        row.entered_at = row.entered_at.plus(seconds(1))
    });
    for _ in 0..5 {
        world.live_answered(Side::One, (row.id, row.entered_at), Answer::Restarted);
    }
    world.drain_what_died(Side::One).unwrap();
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Ready);
}

#[test]
fn an_outage_of_our_own_ends_nobody_for_minutes_and_one_that_is_alone_in_it_goes() {
    for (count, expected) in [(1, BuilderState::Draining), (3, BuilderState::Ready)] {
        let mut world = led();
        let rows: Vec<Builder> = (0..count)
            .map(|_| builder(&mut world, BuilderState::Ready))
            .collect();
        (world.network.began, world.network.until) = (world.now, world.now + seconds(470));
        assert_eq!(asked(&mut world, &rows[0], 4), Some(expected), "{count}");
        assert_eq!(broken(&world, ""), None);
    }
}

#[test]
fn our_network_is_away_for_all_or_for_most_and_comes_back() {
    let (mut all, mut most) = (0, 0);
    for seed in 0..40 {
        let mut world = quiet();
        world.now = seconds(100);
        let rows: Vec<Builder> = (0..12)
            .map(|_| builder(&mut world, BuilderState::Ready))
            .collect();
        world.luck = crate::luck::Luck::of(seed);
        world.network_goes_away();
        let hidden = rows
            .iter()
            .filter(|row| matches!(world.reach(row), Reached::Nobody))
            .count();
        assert!(hidden >= 8, "{hidden} of 12");
        all += usize::from(hidden == 12);
        most += usize::from(hidden < 12);
        let until = world.network.until;
        assert!(until > seconds(115) && until <= seconds(570), "{until:?}");
        world.now = until;
        assert!(
            rows.iter()
                .all(|row| matches!(world.reach(row), Reached::Machine(_)))
        );
    }
    assert!(all > 5 && most > 5, "{all} {most}");
    let mut world = still();
    strike(&mut world, Fault::NetworkAway, 0);
    world.weather();
    assert!(world.network.until > world.now);
    world.calm_down();
    assert_eq!(world.network.until, world.now);
}

#[test]
fn a_live_check_that_ends_what_it_should_not_breaks_a_rule() {
    let end = |world: &mut World, row: &Builder| world.judge_live_end(row);
    let mut world = led();
    let row = builder(&mut world, BuilderState::Busy);
    end(&mut world, &row);
    assert_eq!(broken(&world, "while it is busy"), Some(Rule::Live));

    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    end(&mut world, &row);
    assert_eq!(broken(&world, "for a moment only"), Some(Rule::Live));

    for (bad_for, expected) in [(89, Some(Rule::Live)), (90, None)] {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Ready);
        machine(&mut world, &row).is_silent = true;
        world.note_answer(row.id, &Answer::Badly(String::new()));
        world.now += seconds(bad_for);
        end(&mut world, &row);
        assert_eq!(broken(&world, "for a moment only"), expected, "{bad_for}");
        // A good answer forgives.
        world.violation = None;
        world.note_answer(row.id, &Answer::Well);
        end(&mut world, &row);
        assert_eq!(broken(&world, "for a moment only"), Some(Rule::Live));
    }
}

#[test]
fn a_live_check_that_takes_our_own_outage_for_the_machines_breaks_a_rule() {
    type Change = fn(&mut World, &[Builder]);
    let table: [(&str, Change, bool); 6] = [
        ("most are hidden", |_, _| {}, true),
        (
            "it is silent by itself",
            |world, rows| machine(world, &rows[0]).is_silent = true,
            false,
        ),
        (
            "the outage is long",
            |world, _| world.network.began = seconds(0),
            false,
        ),
        (
            "most are seen",
            |world, _| world.network.until = seconds(0),
            false,
        ),
        (
            "it was bad before",
            |world, rows| {
                world.network.began = seconds(600);
                world.watched.first_bad.insert(rows[0].id, seconds(500));
            },
            false,
        ),
        (
            "the others are new",
            |world, _| {
                world
                    .watched
                    .ready
                    .values_mut()
                    .for_each(|since| *since = seconds(690))
            },
            false,
        ),
    ];
    for (what, set, is_broken) in table {
        let mut world = led();
        world.now = seconds(400);
        let rows: Vec<Builder> = (0..3).map(|_| builder(&mut world, BuilderState::Ready)).collect();
        world.judge_round(Side::One);
        (world.network.began, world.network.until) = (seconds(500), seconds(9000));
        world.now = seconds(520);
        world.note_answer(rows[0].id, &Answer::Badly(String::new()));
        world.now = seconds(700);
        set(&mut world, &rows);
        world.judge_live_end(&rows[0]);
        let expected = is_broken.then_some(Rule::Live);
        assert_eq!(broken(&world, "our own network hides"), expected, "{what}");
    }
}
