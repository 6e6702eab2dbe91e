use model::{BuilderState, mark::MarkKind};

use super::*;
use crate::{
    event::Task,
    setting::word,
    world::tests::{builder, busy, due, mark, quiet, still, strike, submit},
};

/// What operators asked for.
fn asked(world: &World) -> Vec<&'static str> {
    world.store.intents.iter().map(|it| it.request.verb()).collect()
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
    for (kind, verb) in [
        (MarkKind::Cordoned, Some("uncordon")),
        (MarkKind::Held, Some("release")),
        (MarkKind::Ended, None),
    ] {
        world.store.intents.clear();
        world.store.builders.get_mut(&id).unwrap().mark = Some(mark(kind));
        world.calm_down();
        assert_eq!(asked(&world), verb.into_iter().collect::<Vec<_>>(), "{kind}");
    }
    assert!(world.luck.is_calm());
}

#[test]
fn as_many_builds_are_wanted_as_the_world_has_and_each_wakes_the_controllers() {
    let mut world = still();
    let far = world.now + seconds(1000);
    (world.one.round_at, world.other.round_at) = (far, far);
    for _ in 0..20 {
        world.submit();
    }
    let wanted = usize::try_from(world.setting.builds).unwrap();
    assert_eq!(world.store.attempts.len(), wanted);
    let soon = world.now + seconds(2);
    assert!(world.one.round_at <= soon && world.other.round_at <= soon);
    world.events.clear();
    world.submit();
    assert!(world.events.is_empty(), "nobody wants anything any more");
}

#[test]
fn a_clock_is_set_by_seconds_or_jumps_by_up_to_an_hour() {
    for (fault, least, most) in [(Fault::ClockStep, 0, 20), (Fault::ClockJump, 0, 3600)] {
        // The workers' clocks come first.
        let spared = if fault == Fault::ClockStep { 3 } else { 0 };
        let mut skews = Vec::new();
        for more in 0..20 {
            let mut world = still();
            strike(&mut world, fault, spared);
            for _ in 0..more {
                world.luck.below(2);
            }
            world.weather();
            assert_eq!(world.other.skew, 0, "{fault:?}");
            skews.push(world.one.skew.unsigned_abs() / 1_000_000);
        }
        assert!(
            skews.iter().all(|skew| (least..=most).contains(skew)),
            "{skews:?}"
        );
        assert!(skews.iter().any(|skew| *skew > most / 4), "{skews:?}");
    }
}

#[test]
fn the_weather_goes_on_every_ten_seconds_until_it_is_calm() {
    let mut world = still();
    world.weather();
    let again = due(&world, |event| matches!(event, Event::Weather));
    assert_eq!(again, Some(seconds(10)));
    world.events.clear();
    world.luck.calm_down();
    world.weather();
    assert!(world.events.is_empty());
}

#[test]
fn strangers_machines_have_our_tag_or_not_and_others_end_theirs_themselves() {
    for (fault, is_ours) in [(Fault::Orphan, true), (Fault::Foreign, false)] {
        let mut world = still();
        strike(&mut world, fault, 0);
        world.weather();
        let machines: Vec<_> = world
            .clouds
            .values()
            .flat_map(|it| it.machines.values())
            .collect();
        assert_eq!(machines.len(), 1, "{fault:?}");
        let tags = machines[0].tags.as_ref();
        assert_eq!(tags.is_some(), is_ours);
        if let Some(tags) = tags {
            assert!(!world.store.builders.contains_key(&tags.builder));
            assert!(!world.store.tokens.contains(&tags.launch));
        }
        let runs = due(&world, |event| {
            matches!(event, Event::Machine(_, _, Change::Runs))
        });
        assert_eq!(runs, Some(seconds(5)));
        let ends = due(&world, |event| {
            matches!(event, Event::Machine(_, _, Change::Ends))
        });
        assert_eq!(ends.is_none(), is_ours);
    }
}

#[test]
fn users_and_operators_ask_for_what_the_weather_brings() {
    for (fault, verb) in [(Fault::PoolDrained, "drain"), (Fault::Spawn, "spawn")] {
        let mut world = still();
        strike(&mut world, fault, 0);
        world.weather();
        assert_eq!(asked(&world), [verb]);
        assert_eq!(world.luck.met()[fault as usize], 1);
    }
    let mut world = still();
    let waits = submit(&mut world, "alice");
    strike(&mut world, Fault::Cancel, 0);
    world.weather();
    assert!(
        !world.store.attempts.contains_key(&waits),
        "it waited, and is over"
    );
    // Nobody says anything of builders that there are not.
    let mut world = still();
    strike(&mut world, Fault::Mark, 0);
    world.weather();
    assert_eq!(asked(&world), [""; 0]);
}

#[test]
fn an_operator_may_say_anything_of_a_builder_and_each_wish_has_a_key_of_its_own() {
    let mut world = still();
    let row = builder(&mut world, BuilderState::Ready);
    for _ in 0..200 {
        world.mark(row.id);
    }
    let count = |is: &dyn Fn(&Request) -> bool| {
        let all = world.store.intents.iter();
        all.filter(|it| is(&it.request)).count()
    };
    for verb in ["cordon", "uncordon", "hold", "release", "drain", "terminate"] {
        assert!(count(&|it| it.verb() == verb) > 10, "{verb}");
    }
    assert!(count(&|it| matches!(it, Request::Terminate { now: true, .. })) > 10);
    assert!(count(&|it| matches!(it, Request::Cordon { lasts: None, .. })) > 2);
    let mut keys: Vec<&str> = world.store.intents.iter().map(|it| it.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 200);
}

#[test]
fn a_changed_file_is_in_force_and_the_highest_maximum_of_a_pool_is_remembered() {
    let mut world = still();
    let before = Arc::clone(&world.file);
    strike(&mut world, Fault::FileChange, 0);
    world.weather();
    assert!(!Arc::ptr_eq(&before, &world.file));
    let name: PoolName = word("main");
    let sized = |max| {
        let mut file = (*before).clone();
        file.pools.get_mut(&name).unwrap().spec.size.max = max;
        Arc::new(file)
    };
    for (max, most) in [(9, 9), (3, 9), (11, 11)] {
        world.file = sized(max);
        world.note_sizes();
        assert_eq!(world.most[&name], most);
    }
}

#[test]
fn when_it_gets_calm_all_that_was_done_is_undone() {
    let mut world = still();
    world.kill(Side::One);
    world.pause(Side::Other);
    (world.one.skew, world.other.skew) = (5, -7);
    world.file = Arc::new(crate::setting::File::default());
    world.clouds.get_mut("near").unwrap().away_until = seconds(9999);
    strike(&mut world, Fault::Spawn, 0);
    world.weather();
    world.file = Arc::new(crate::setting::File::default());
    world.store.pauses.insert(
        word("main"),
        model::mark::Pause {
            by: "operator".to_owned(),
            why: String::new(),
            until: None,
        },
    );
    world.events.clear();
    world.calm_down();
    assert!(world.luck.is_calm());
    assert_eq!((world.one.skew, world.other.skew), (0, 0));
    assert_eq!(world.file.pools.len(), world.setting.file.pools.len());
    assert_eq!(world.clouds["near"].away_until, seconds(0));
    let wakes = |of: Side| due(&world, |event| matches!(event, Event::Wakes(side) if *side == of));
    assert!(wakes(Side::One).is_some() && wakes(Side::Other).is_some());
    assert_eq!(
        asked(&world),
        ["uncordon"],
        "what nobody has taken up is forgotten"
    );
}

#[test]
fn one_that_is_dead_or_paused_is_neither_killed_nor_paused_again() {
    let mut world = still();
    world.pause(Side::One);
    world.pause(Side::One);
    let wakes = |world: &World| {
        let all = world.events.iter();
        all.filter(|due| matches!(due.event, Event::Wakes(Side::One)))
            .count()
    };
    assert_eq!(wakes(&world), 1);
    world.kill(Side::One);
    assert!(!world.one.is_up && !world.one.is_paused);
    world.kill(Side::One);
    world.pause(Side::One);
    assert_eq!(wakes(&world), 2);
    // The first of them starts it; the other finds that it is there.
    world.wakes(Side::One);
    let foreseen = world.foreseen;
    world.wakes(Side::One);
    assert_eq!(world.foreseen, foreseen);
}
