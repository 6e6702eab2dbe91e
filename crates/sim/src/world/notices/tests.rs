use model::{BuilderState, Market, mark::MarkKind};

use super::*;
use crate::{
    Rule,
    cloud::Change,
    world::tests::{broken, builder, change, lead, machine, mark, still, strike, told, until},
};

fn led() -> World {
    let mut world = still();
    lead(&mut world);
    world
}

/// One of the spot market that waits for work.
fn spot(world: &mut World) -> Builder {
    let row = builder(world, BuilderState::Ready);
    change(world, &row, |row| {
        if let Some(launch) = &mut row.launch {
            launch.offering.market = Market::Spot;
        }
    })
}

fn is_open(world: &World, row: &Builder) -> bool {
    world.one.memory.watched.get(&row.id).is_some_and(|it| it.is_open)
}

/// Waits for the notice of one until somebody is connected to it.
fn connect(world: &mut World, row: &Builder) {
    world.wait_for_notices(Side::One);
    let (id, most) = (row.id, 30);
    let is_there = |world: &World| world.one.memory.watched.get(&id).is_none_or(|it| it.is_open);
    assert!(until(world, most, is_there), "{}", told(world));
}

fn kind(world: &World, row: &Builder) -> Option<MarkKind> {
    Some(world.store.builders[&row.id].mark.as_ref()?.kind)
}

#[test]
fn a_notice_is_heard_within_seconds_written_down_and_waited_for_no_more() {
    let mut world = led();
    let row = spot(&mut world);
    connect(&mut world, &row);
    assert!(is_open(&world, &row));
    let instance = row.instance.clone().unwrap();
    world.machine_changes("near", &instance, Change::IsNoticed);
    let heard = |world: &World| world.one.memory.told_of.is_over(row.id);
    assert!(until(&mut world, 6, heard));
    assert_eq!(kind(&world, &row), None, "not yet");
    world.take_up_notices(Side::One).unwrap();
    assert_eq!(kind(&world, &row), Some(MarkKind::TakenBack));
    assert!(world.store.builders[&row.id].cordoned);
    world.wait_for_notices(Side::One);
    assert!(
        world.one.memory.watched.is_empty(),
        "it has told all that it will"
    );
}

#[test]
fn a_notice_that_was_there_before_is_heard_when_somebody_connects() {
    let mut world = led();
    let row = spot(&mut world);
    machine(&mut world, &row).is_noticed = true;
    connect(&mut world, &row);
    world.take_up_notices(Side::One).unwrap();
    assert_eq!(kind(&world, &row), Some(MarkKind::TakenBack));
}

#[test]
fn nobody_waits_for_machines_that_have_nothing_to_tell() {
    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    world.wait_for_notices(Side::One);
    assert!(
        world.one.memory.watched.is_empty(),
        "it is not of the spot market"
    );
    let silent = spot(&mut world);
    machine(&mut world, &silent).has_metadata = false;
    connect(&mut world, &silent);
    world.wait_for_notices(Side::One);
    assert!(world.one.memory.watched.is_empty(), "its cloud tells it nothing");
    assert!(!world.one.memory.told_of.is_over(row.id) && world.one.memory.told_of.is_over(silent.id));
    world.take_up_notices(Side::One).unwrap();
    assert_eq!(kind(&world, &silent), None);
}

#[test]
fn what_breaks_is_connected_again_after_a_pause() {
    type Break = fn(&mut World, &Builder);
    let table: [(&str, Break); 3] = [
        ("the machine falls silent", |world, row| {
            let instance = row.instance.clone().unwrap();
            world.machine_changes("near", &instance, Change::FallsSilent(None));
        }),
        ("our network is away", |world, _| world.network_goes_away()),
        ("the connection breaks", |world, row| {
            world.one.memory.watched.clear();
            strike(world, Fault::WatchBreaks, 0);
            connect(world, row);
        }),
    ];
    for (what, breaks) in table {
        let mut world = led();
        // Number 3: none that an outage spares.
        let row = spot(&mut world);
        connect(&mut world, &row);
        breaks(&mut world, &row);
        let id = row.id;
        let ends = |world: &World| !world.one.memory.watched.contains_key(&id);
        assert!(until(&mut world, 700, ends), "{what}");
        world.wait_for_notices(Side::One);
        assert!(
            world.one.memory.watched.is_empty(),
            "{what}: it is left alone for a while"
        );
        world.now += seconds(2);
        world.wait_for_notices(Side::One);
        assert!(!world.one.memory.watched.is_empty(), "{what}");
    }
}

#[test]
fn what_a_hidden_or_silent_machine_is_told_is_not_heard() {
    for is_silent in [true, false] {
        let mut world = led();
        let row = spot(&mut world);
        connect(&mut world, &row);
        if is_silent {
            machine(&mut world, &row).is_silent = true;
        } else {
            (world.network.began, world.network.until) = (world.now, seconds(9000));
        }
        world.machine_changes("near", &row.instance.clone().unwrap(), Change::IsNoticed);
        assert!(!until(&mut world, 60, |world| world
            .one
            .memory
            .told_of
            .is_over(row.id)));
    }
}

#[test]
fn a_notice_takes_the_place_of_what_asks_for_less_and_nothing_takes_its_place() {
    for (before, expected) in [
        (MarkKind::Cordoned, MarkKind::TakenBack),
        (MarkKind::Held, MarkKind::TakenBack),
        (MarkKind::Ended, MarkKind::Ended),
    ] {
        let mut world = led();
        let row = spot(&mut world);
        change(&mut world, &row, |row| row.mark = Some(mark(before)));
        let lease = world.one.lease.unwrap().epoch;
        let notice = Mark::taken_back("near", NOTICE);
        let is_new = world.store.mark_builder(lease, row.id, notice).unwrap();
        assert_eq!(is_new, before != expected, "{before}");
        assert_eq!(kind(&world, &row), Some(expected));
        world.look_at_rules();
        assert_eq!(broken(&world, ""), None);
        world.store.lift_marks(lease, &[row.id]).unwrap();
        world.look_at_rules();
        assert_eq!(broken(&world, "is to serve again"), Some(Rule::Moves));
    }
}
