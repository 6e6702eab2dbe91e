use std::sync::Arc;

use model::{LaunchHistory, fleet::HooksSpec};
use uuid::Uuid;

use super::*;
use crate::{
    setting::hook,
    world::tests::{broken, builder, busy, change, lead, machine, mark, row, still},
};

fn led() -> World {
    let mut world = still();
    lead(&mut world);
    world
}

/// One of the spot market.
fn spot(world: &mut World, state: BuilderState) -> Builder {
    let row = builder(world, state);
    change(world, &row, |row| {
        if let Some(launch) = &mut row.launch {
            launch.offering.market = Market::Spot;
        }
    })
}

/// Rounds that end every five seconds, for so long.
fn rounds(world: &mut World, lasts: u64) {
    for _ in 0..=lasts / 5 {
        world.judge_round(Side::One);
        world.now += seconds(5);
    }
}

#[test]
fn what_may_be_so_for_a_while_breaks_a_rule_when_it_is_so_for_longer() {
    type Set = fn(&mut World) -> Builder;
    let unfit: Set = |world| {
        let row = builder(world, BuilderState::Ready);
        machine(world, &row).is_silent = true;
        row
    };
    let unheard: Set = |world| {
        let row = spot(world, BuilderState::Busy);
        machine(world, &row).is_noticed = true;
        row
    };
    let unheeded: Set = |world| {
        let row = builder(world, BuilderState::Ready);
        change(world, &row, |row| row.mark = Some(mark(MarkKind::TakenBack)))
    };
    let draining: Set = |world| builder(world, BuilderState::Draining);
    for (what, set, longest, rule) in [
        ("with a machine that is not fit", unfit, UNFIT_FOR, Rule::Live),
        ("nobody hears of the notice", unheard, UNHEARD_FOR, Rule::Notice),
        ("is ready with a notice", unheeded, UNHEEDED_FOR, Rule::Notice),
        (" drains for", draining, DRAINS_FOR, Rule::Hook),
    ] {
        let mut world = led();
        set(&mut world);
        rounds(&mut world, longest.as_secs());
        assert_eq!(broken(&world, ""), None, "{what}");
        rounds(&mut world, 5);
        assert_eq!(broken(&world, what), Some(rule));

        // A pause of the one who leads, another one, or another clock begins it anew.
        let mut world = led();
        set(&mut world);
        rounds(&mut world, longest.as_secs());
        world.now += LONGEST_GAP;
        rounds(&mut world, 5);
        world.one.life += 1;
        rounds(&mut world, longest.as_secs());
        world.one.skew = 1;
        rounds(&mut world, 5);
        assert_eq!(broken(&world, ""), None, "{what}");
    }
}

#[test]
fn what_is_as_it_should_be_is_not_watched() {
    let mut world = led();
    type Set = fn(&mut World, &Builder);
    let table: [(BuilderState, Set); 6] = [
        (BuilderState::Ready, |_, _| {}),
        (BuilderState::Busy, |world, row| {
            machine(world, row).is_silent = true
        }),
        // Nobody can hear of these.
        (BuilderState::Ready, |world, row| {
            let machine = machine(world, row);
            (machine.is_noticed, machine.has_metadata) = (true, false);
        }),
        (BuilderState::Booting, |world, row| {
            machine(world, row).is_noticed = true
        }),
        (BuilderState::Busy, |world, row| {
            machine(world, row).is_noticed = true;
            change(world, row, |row| row.mark = Some(mark(MarkKind::Ended)));
        }),
        (BuilderState::Busy, |world, row| {
            change(world, row, |row| row.mark = Some(mark(MarkKind::TakenBack)));
        }),
    ];
    for (state, set) in table {
        let row = spot(&mut world, state);
        set(&mut world, &row);
    }
    for row in world.store.builders.values() {
        assert_eq!(world.states_of(row), [], "{}", row.state);
    }
}

#[test]
fn while_most_are_not_fit_each_has_more_time_and_not_for_ever() {
    for (unfit, lasts, expected) in [
        (1, 310, Some(Rule::Live)),
        (2, 310, None),
        (2, 940, None),
        (2, 970, Some(Rule::Live)),
    ] {
        let mut world = led();
        for nth in 0..3 {
            let row = builder(&mut world, BuilderState::Ready);
            machine(&mut world, &row).is_silent = nth < unfit;
        }
        rounds(&mut world, lasts);
        assert_eq!(broken(&world, "not fit"), expected, "{unfit} of 3 for {lasts} s");
    }
}

#[test]
fn a_builder_that_its_cloud_takes_back_gets_no_attempt() {
    for (kind, expected) in [
        (None, None),
        (Some(MarkKind::Cordoned), None),
        (Some(MarkKind::TakenBack), Some(Rule::Notice)),
    ] {
        let mut world = led();
        let row = builder(&mut world, BuilderState::Ready);
        let row = change(&mut world, &row, |row| row.mark = kind.map(mark));
        world.judge_assigned(Some(&row));
        assert_eq!(broken(&world, "its cloud takes it back"), expected, "{kind:?}");
    }
}

#[test]
fn what_a_cloud_takes_back_is_no_failure_of_the_pool_and_no_try() {
    let mut world = led();
    let (id, ..) = busy(&mut world);
    let row = world.store.builders[&id].clone();
    let before = (world.counts_of(&row), world.build_on(&row));
    assert_eq!(before, ((0, 0), Some(BuildId(1))));
    world.judge_taken_back(&row, before);
    assert_eq!(broken(&world, ""), None);
    let now = world.clock(Side::One);
    let failed = LaunchHistory::default().after_failure(now, "a test", now);
    world.store.histories.insert(row.pool.clone(), failed);
    world.judge_taken_back(&row, before);
    assert_eq!(broken(&world, "is a failure of pool main"), Some(Rule::Notice));
}

fn run(world: &mut World, row: &Builder, point: HookPoint) -> HookRun {
    let spec = Arc::new(hook(OnFailure::Retry, 3, 10));
    let now = world.clock(Side::One);
    world.store.write_hooks((row.id, point), &[(0, spec)], now);
    world.store.hooks_at((row.id, point)).next().unwrap().clone()
}

#[test]
fn a_try_under_another_number_before_its_turn_or_beside_another_breaks_a_rule() {
    let by = (Side::One, 0);
    let mut world = led();
    let row = builder(&mut world, BuilderState::Ready);
    let first = run(&mut world, &row, HookPoint::AfterSpawn);
    for (attempt, ended, expected) in [
        (1, 0, None),
        (3, 2, None),
        (2, 0, Some(Rule::Hook)),
        (1, 1, Some(Rule::Hook)),
    ] {
        world.violation = None;
        let tried = HookRun {
            attempt,
            ended,
            ..first.clone()
        };
        world.judge_hook_start(by, &tried);
        assert_eq!(
            broken(&world, "is tried under number"),
            expected,
            "{attempt} {ended}"
        );
    }
    world.violation = None;
    let second = HookRun {
        attempt: 1,
        ..run(&mut world, &row, HookPoint::AfterReady)
    };
    world.judge_hook_start(by, &second);
    assert_eq!(broken(&world, "before its turn"), Some(Rule::Hook));
    world.violation = None;
    let lease = world.one.lease.unwrap().epoch;
    world
        .store
        .end_hook(lease, &first, (HookState::Late, None))
        .unwrap();
    world.judge_hook_start(by, &second);
    assert_eq!(broken(&world, ""), None);
    // Nothing is told of a machine after what tells of its end.
    for (state, expected) in [
        (BuilderState::Draining, None),
        (BuilderState::Terminating, Some(Rule::Hook)),
    ] {
        change(&mut world, &row, |row| row.state = state);
        world.judge_hook_start(by, &second);
        assert_eq!(broken(&world, "after its end has begun"), expected, "{state}");
    }
}

#[test]
fn the_end_of_a_hook_that_was_not_tried_or_is_not_late_breaks_a_rule() {
    use BuilderState as S;
    use HookPoint as P;
    for (state, waited, point, came, is_good) in [
        (S::Ready, 0, P::AfterReady, HookState::Done, false),
        (S::Ready, 0, P::AfterReady, HookState::Failed, false),
        (S::Ready, 0, P::AfterReady, HookState::Running, false),
        (S::Ready, 0, P::AfterReady, HookState::Late, false),
        (S::Draining, 0, P::AfterReady, HookState::Late, true),
        (S::Draining, 29, P::BeforeTerminate, HookState::Late, false),
        (S::Draining, 30, P::BeforeTerminate, HookState::Late, true),
        (S::Terminating, 0, P::BeforeTerminate, HookState::Late, true),
        (S::Draining, 0, P::BeforeTerminate, HookState::Skipped, false),
        (S::Planned, 900, P::BeforeSpawn, HookState::Late, false),
        (S::Launching, 0, P::BeforeSpawn, HookState::Late, true),
        (S::Terminating, 900, P::AfterTerminate, HookState::Late, false),
    ] {
        let mut world = led();
        let row = row(&mut world, state);
        let hook = run(&mut world, &row, point);
        world.now += seconds(waited);
        world.judge_hook_end(Side::One, &hook, came);
        let expected = (!is_good).then_some(Rule::Hook);
        assert_eq!(
            broken(&world, "and should not be"),
            expected,
            "{point} {came:?} of {state}"
        );
        world.violation = None;
        let tried = HookRun { begun: 1, ..hook };
        world.judge_hook_end(Side::One, &tried, HookState::Done);
        assert_eq!(broken(&world, ""), None);
    }
}

/// A file with a hook at every turn.
fn with_hooks(world: &mut World) {
    let mut file = (*world.file).clone();
    let hook = || vec![hook(OnFailure::Retry, 2, 10)];
    file.hooks = HooksSpec {
        before_spawn: hook(),
        after_spawn: hook(),
        after_ready: hook(),
        before_terminate: hook(),
        after_terminate: hook(),
    };
    world.one.file = Arc::new(file);
}

#[test]
fn a_first_launch_whose_hooks_have_not_gone_well_breaks_a_rule() {
    for (state, is_good) in [
        (None, false),
        (Some(HookState::Waiting), false),
        (Some(HookState::Running), false),
        (Some(HookState::Failed), false),
        (Some(HookState::Done), true),
    ] {
        let mut world = led();
        let row = row(&mut world, BuilderState::Planned);
        world.judge_first_launch(Side::One, &row);
        assert_eq!(broken(&world, ""), None, "the file has none");
        with_hooks(&mut world);
        if let Some(state) = state {
            let hook = run(&mut world, &row, HookPoint::BeforeSpawn);
            world.store.hooks.get_mut(&hook.id).unwrap().state = state;
        }
        world.judge_first_launch(Side::One, &row);
        let expected = (!is_good).then_some(Rule::Hook);
        assert_eq!(
            broken(&world, "before its hooks have gone well"),
            expected,
            "{state:?}"
        );
    }
}

#[test]
fn a_turn_without_its_hooks_breaks_a_rule() {
    use BuilderState as S;
    use HookPoint as P;
    for (from, to, point) in [
        (S::Launching, S::Pending, P::AfterSpawn),
        (S::Checking, S::Ready, P::AfterReady),
        (S::Draining, S::Terminating, P::BeforeTerminate),
        (S::Terminating, S::Terminated, P::AfterTerminate),
        (S::Planned, S::Abandoned, P::AfterTerminate),
    ] {
        let mut world = led();
        let row = row(&mut world, from);
        world.judge_turn(Side::One, &row, to);
        assert_eq!(broken(&world, ""), None, "{to}: the file has none");
        with_hooks(&mut world);
        world.judge_turn(Side::One, &row, to);
        let words = world.violation.take().map(|it| (it.rule, it.words));
        let (rule, words) = words.unwrap();
        assert_eq!(rule, Rule::Hook, "{to}: {words}");
        let hook = run(&mut world, &row, point);
        world.store.hooks.get_mut(&hook.id).unwrap().state = HookState::Done;
        world.judge_turn(Side::One, &row, to);
        assert_eq!(broken(&world, ""), None, "{to}");
        if point == P::BeforeTerminate {
            world.store.hooks.get_mut(&hook.id).unwrap().state = HookState::Running;
            world.judge_turn(Side::One, &row, to);
            assert_eq!(broken(&world, "ends before its hooks have run"), Some(Rule::Hook));
            world.violation = None;
            world.now += LONGEST_WAIT;
            world.judge_turn(Side::One, &row, to);
            assert_eq!(broken(&world, ""), None, "its time is over");
        }
    }
    // One that was ready before comes to no turn by it.
    let mut world = led();
    with_hooks(&mut world);
    let row = builder(&mut world, S::Cleaning);
    let first = world.clock(Side::One);
    let row = change(&mut world, &row, |row| row.ready_at = Some(first));
    world.judge_turn(Side::One, &row, S::Ready);
    assert_eq!(broken(&world, ""), None);
    assert_ne!(row.id.0, Uuid::nil());
}
