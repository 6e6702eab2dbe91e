use model::fleet::{HooksSpec, OnFailure};

use super::*;
use crate::{
    Rule,
    setting::{self, hook},
    world::{
        seconds,
        tests::{broken, builder, change, lead, row, still, strike, told, until},
    },
};

/// A world whose first controller leads, and whose file has one hook at each turn, with a limit of so many seconds.
fn led(on_failure: OnFailure, timeout: u64) -> World {
    let mut world = still();
    lead(&mut world);
    for cloud in world.one.memory.clouds.values_mut() {
        cloud.succeed();
    }
    let mut file = (*world.file).clone();
    let hook = || vec![hook(on_failure, 2, timeout)];
    file.hooks = HooksSpec {
        before_spawn: hook(),
        after_spawn: hook(),
        after_ready: hook(),
        before_terminate: hook(),
        after_terminate: hook(),
    };
    world.file = Arc::new(file);
    world.one.file = Arc::clone(&world.file);
    world
}

fn runs(world: &World, row: &Builder, point: HookPoint) -> Vec<HookRun> {
    world.store.hooks_at((row.id, point)).cloned().collect()
}

fn state(world: &World, row: &Builder, point: HookPoint) -> Option<HookState> {
    runs(world, row, point).first().map(|it| it.state)
}

fn is(row: &Builder, point: HookPoint, expected: HookState) -> impl Fn(&World) -> bool {
    move |world| state(world, row, point) == Some(expected)
}

#[test]
fn whoever_waits_for_hooks_has_no_step_until_they_are_done() {
    for (state, point) in [
        (BuilderState::Planned, HookPoint::BeforeSpawn),
        (BuilderState::Draining, HookPoint::BeforeTerminate),
    ] {
        let mut world = led(OnFailure::Ignore, 20);
        let row = if state == BuilderState::Planned {
            row(&mut world, state)
        } else {
            builder(&mut world, state)
        };
        let held = world.begin_hooks(Side::One).unwrap();
        assert_eq!(held, [row.id].into());
        world.begin_steps(Side::One, &held);
        assert!(world.one.memory.under_way.is_empty());
        assert!(
            until(&mut world, 10, is(&row, point, HookState::Done)),
            "{}",
            told(&world)
        );
        assert!(world.programs.is_empty());
        let held = world.begin_hooks(Side::One).unwrap();
        assert!(held.is_empty());
        world.begin_steps(Side::One, &held);
        assert_ne!(world.store.builders[&row.id].state, state, "{}", told(&world));
        assert_eq!(broken(&world, ""), None);
    }
}

#[test]
fn a_hook_that_hangs_is_ended_at_its_limit_and_holds_no_end_up_for_longer_than_half_a_minute() {
    let mut world = led(OnFailure::Retry, 20);
    let row = builder(&mut world, BuilderState::Draining);
    strike(&mut world, Fault::HookHangs, 0);
    world.begin_hooks(Side::One).unwrap();
    let began = world.now;
    let point = HookPoint::BeforeTerminate;
    assert!(until(&mut world, 30, is(&row, point, HookState::Running)));
    assert_eq!(world.programs.len(), 1);
    assert!(until(&mut world, 30, is(&row, point, HookState::Waiting)));
    let took = world.now - began;
    assert!(took >= seconds(20) && took < seconds(21), "{took:?}");
    assert!(world.programs.is_empty(), "it was killed");
    // The rest of the time is not enough for another whole try.
    strike(&mut world, Fault::HookHangs, 0);
    world.now += seconds(3);
    world.begin_hooks(Side::One).unwrap();
    assert!(
        until(&mut world, 9, is(&row, point, HookState::Failed)),
        "{}",
        told(&world)
    );
    let took = world.now - began;
    assert!(took >= seconds(29) && took <= seconds(31), "{took:?}");
}

#[test]
fn what_comes_too_late_is_killed_and_dropped() {
    let mut world = led(OnFailure::Ignore, 300);
    let row = builder(&mut world, BuilderState::Ready);
    let hooks = hooks_at(&world.one.file, HookPoint::AfterReady, &row);
    let now = world.clock(Side::One);
    world
        .store
        .write_hooks((row.id, HookPoint::AfterReady), &hooks, now);
    strike(&mut world, Fault::HookHangs, 0);
    let held = world.begin_hooks(Side::One).unwrap();
    assert!(held.is_empty(), "nobody waits for it");
    assert!(until(&mut world, 5, |world| !world.programs.is_empty()));
    change(&mut world, &row, |row| row.state = BuilderState::Draining);
    world.begin_hooks(Side::One).unwrap();
    assert_eq!(state(&world, &row, HookPoint::AfterReady), Some(HookState::Late));
    assert!(world.programs.is_empty());
    assert!(until(
        &mut world,
        10,
        is(&row, HookPoint::BeforeTerminate, HookState::Done)
    ));
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn what_another_controller_has_written_down_as_over_is_killed() {
    let mut world = led(OnFailure::Ignore, 300);
    let row = builder(&mut world, BuilderState::Ready);
    let (point, now) = (HookPoint::AfterReady, world.clock(Side::One));
    let hooks = hooks_at(&world.one.file, point, &row);
    world.store.write_hooks((row.id, point), &hooks, now);
    strike(&mut world, Fault::HookHangs, 0);
    world.begin_hooks(Side::One).unwrap();
    assert!(until(&mut world, 5, |world| !world.programs.is_empty()));
    for run in world.store.hooks.values_mut() {
        run.state = HookState::Late;
    }
    world.begin_hooks(Side::One).unwrap();
    assert!(world.programs.is_empty() && world.one.memory.hooks.is_empty());
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn a_try_whose_controller_was_killed_is_made_again_under_its_number_beside_the_old_program() {
    let mut world = led(OnFailure::Ignore, 300);
    let row = row(&mut world, BuilderState::Planned);
    strike(&mut world, Fault::KilledInHook, 0);
    world.begin_hooks(Side::One).unwrap();
    assert!(
        until(&mut world, 400, |world| !world.one.is_up),
        "{}",
        told(&world)
    );
    let run = runs(&world, &row, HookPoint::BeforeSpawn).remove(0);
    assert_eq!((run.state, run.attempt), (HookState::Running, 1));
    assert_eq!(world.programs.len(), 1, "nobody has ended it");
    world.one.is_up = true;
    lead(&mut world);
    world.begin_hooks(Side::One).unwrap();
    assert!(until(
        &mut world,
        10,
        is(&row, HookPoint::BeforeSpawn, HookState::Done)
    ));
    let run = runs(&world, &row, HookPoint::BeforeSpawn).remove(0);
    assert_eq!((run.attempt, run.begun, run.ended), (1, 2, 1));
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn whoever_leads_no_more_ends_its_programs() {
    let mut world = led(OnFailure::Ignore, 300);
    row(&mut world, BuilderState::Planned);
    strike(&mut world, Fault::HookHangs, 0);
    world.begin_hooks(Side::One).unwrap();
    assert!(until(&mut world, 5, |world| !world.programs.is_empty()));
    let epoch = world.one.lease.unwrap().epoch;
    world.now += seconds(2000);
    world.keep_lease(Side::One, epoch);
    assert!(world.one.lease.is_none() && world.programs.is_empty());
}

#[test]
fn a_builder_whose_hook_fails_for_good_is_given_up_where_the_file_says_so() {
    for (on_failure, expected) in [
        (OnFailure::Ignore, BuilderState::Planned),
        (OnFailure::Retry, BuilderState::Abandoned),
    ] {
        let mut world = led(on_failure, 20);
        let row = row(&mut world, BuilderState::Planned);
        for _ in 0..2 {
            strike(&mut world, Fault::HookFails, 0);
            world.begin_hooks(Side::One).unwrap();
            until(&mut world, 8, |world| world.one.memory.hooks.is_empty());
            world.now += seconds(3);
        }
        assert_eq!(
            state(&world, &row, HookPoint::BeforeSpawn),
            Some(HookState::Failed)
        );
        world.begin_hooks(Side::One).unwrap();
        let ended = world.store.ended.get(&row.id).map(|it| it.state);
        let state = ended.or_else(|| world.store.builders.get(&row.id).map(|it| it.state));
        assert_eq!(state, Some(expected), "{}", told(&world));
        if expected == BuilderState::Abandoned {
            assert_eq!(
                runs(&world, &row, HookPoint::AfterTerminate).len(),
                1,
                "it is told"
            );
        }
        assert_eq!(broken(&world, ""), None);
    }
}

#[test]
fn a_hook_before_the_end_is_left_out_where_the_machine_is_not_reached_and_the_file_says_so() {
    for (skip_if, is_silent, expected) in [
        (Some(SkipIf::Unreachable), true, HookState::Skipped),
        (Some(SkipIf::Unreachable), false, HookState::Done),
        (None, true, HookState::Done),
    ] {
        let mut world = led(OnFailure::Ignore, 20);
        let mut file = (*world.one.file).clone();
        file.hooks.before_terminate[0].skip_if = skip_if;
        world.one.file = Arc::new(file);
        let row = builder(&mut world, BuilderState::Draining);
        crate::world::tests::machine(&mut world, &row).is_silent = is_silent;
        world.begin_hooks(Side::One).unwrap();
        let point = HookPoint::BeforeTerminate;
        assert!(
            until(&mut world, 10, is(&row, point, expected)),
            "{skip_if:?} {}",
            told(&world)
        );
        assert_eq!(broken(&world, ""), None);
    }
}

#[test]
fn a_whole_life_runs_each_hook_once_and_the_next_file_has_its_own() {
    let mut world = led(OnFailure::Retry, 20);
    world.setting = setting::Setting::small(&mut world.luck).with_hooks_and_spot();
    crate::world::tests::submit(&mut world, "alice");
    world.plan_round(Side::One, seconds(0));
    let is_over = |world: &World| !world.store.ended.is_empty();
    assert!(until(&mut world, 4000, is_over), "{}", told(&world));
    assert_eq!(broken(&world, ""), None);
    // Nothing was tried twice.
    assert!(
        world
            .store
            .hooks
            .values()
            .all(|run| run.begun <= 1 && run.attempt <= 1)
    );
    assert_eq!(
        world
            .store
            .hooks
            .values()
            .filter(|run| run.state == HookState::Failed)
            .count(),
        0
    );
    assert!(broken(&world, "") != Some(Rule::Hook));
}
