use model::{
    LaunchAnswer,
    intent::{Request, Target},
    mark::MarkKind,
};

use super::*;
use crate::{
    Rule,
    event::Event,
    setting::word,
    world::tests::{
        broken, builder, change, due, lead, mark, round, row, still, strike, submit, told, until, usurp, wish,
    },
};

fn main_pool() -> PoolName {
    word("main")
}

/// What a controller decides when nothing but these actions comes to its mind.
fn decided(world: &mut World, side: Side, actions: Vec<Action>) -> Decided {
    let mut decided = world.observe_and_plan(side).unwrap();
    decided.plan.actions = actions;
    decided.builders = world.store.builders.clone();
    decided
}

fn one_more() -> Action {
    Action::Launch {
        pool: main_pool(),
        host: None,
        reason: "a test wants it".to_owned(),
        intent: None,
    }
}

#[test]
fn one_of_two_leads_and_the_other_when_the_lease_of_the_first_is_over() {
    let mut world = still();
    round(&mut world, Side::One);
    let first = world.one.lease.unwrap();
    assert_eq!(first.end, world.now + USABLE);
    round(&mut world, Side::Other);
    assert!(world.other.lease.is_none());
    let again = due(&world, |event| {
        matches!(event, Event::Controller(Side::Other, _, Task::Round(_)))
    });
    assert_eq!(again, Some(RENEW), "it asks again");
    world.kill(Side::One);
    world.now += LEASE - seconds(1);
    round(&mut world, Side::Other);
    assert!(world.other.lease.is_none(), "it is not over yet");
    world.now += seconds(1);
    round(&mut world, Side::Other);
    assert!(world.other.lease.unwrap().epoch > first.epoch);
}

#[test]
fn a_round_that_is_not_the_foreseen_one_any_more_does_nothing() {
    let mut world = still();
    let number = world.one.round;
    world.plan_round(Side::One, seconds(9));
    world.round(Side::One, number);
    assert!(world.one.lease.is_none());
    // What ends brings the next one forward, and never puts it off.
    world.wake(Side::One);
    let soon = world.one.round_at;
    assert!(soon <= world.now + seconds(2), "{soon:?}");
    world.wake(Side::One);
    assert!(world.one.round_at <= soon, "{:?}", world.one.round_at);
}

#[test]
fn a_lease_is_renewed_while_it_may_be_and_given_back_when_it_was_not_in_time() {
    let mut world = still();
    assert!(world.acquire(Side::One));
    let epoch = world.one.lease.unwrap().epoch;
    world.now += RENEW;
    world.keep_lease(Side::One, epoch);
    assert_eq!(world.one.lease.unwrap().end, world.now + USABLE);
    // A database that is away for a moment costs nothing.
    strike(&mut world, Fault::DatabaseAway, 0);
    world.events.clear();
    world.keep_lease(Side::One, epoch);
    assert!(world.one.lease.is_some());
    let again = due(&world, |event| {
        matches!(event, Event::Controller(_, _, Task::KeepLease(_)))
    });
    assert_eq!(again, Some(seconds(1)));
    // One that is away for long costs the lease, and all that was remembered.
    let life = world.one.life;
    world.now += USABLE;
    world.keep_lease(Side::One, epoch);
    assert!(world.one.lease.is_none() && world.one.life > life);
    let now = world.clock(Side::Other);
    assert!(world.store.acquire(2, now).is_some(), "it was given back");
    // Another's is not renewed.
    world.keep_lease(Side::One, epoch);
    assert!(world.one.lease.is_none());
}

#[test]
fn whoever_has_lost_the_lease_learns_it_at_the_next_renewal() {
    let mut world = still();
    lead(&mut world);
    usurp(&mut world);
    let epoch = world.one.lease.unwrap().epoch;
    world.keep_lease(Side::One, epoch);
    assert!(world.one.lease.is_none());
    let newer = world.other.lease.unwrap().epoch;
    let now = world.clock(Side::Other);
    assert_eq!(
        world.store.renew_lease(newer, now),
        Ok(()),
        "the other keeps its own"
    );
}

#[test]
fn a_builder_that_is_wanted_is_planned_launched_and_made_in_the_end() {
    let mut world = still();
    submit(&mut world, "alice");
    world.plan_round(Side::One, seconds(0));
    let is_ready = |world: &World| {
        let mut rows = world.store.builders.values();
        rows.any(|it| it.state == BuilderState::Reserved && it.ready_at.is_some())
    };
    assert!(until(&mut world, 600, is_ready), "{}", told(&world));
    let mut rows = world.store.builders.values();
    let row = rows
        .find(|it| it.state == BuilderState::Reserved)
        .unwrap()
        .clone();
    assert_eq!(row.launch.unwrap().answer, Some(LaunchAnswer::Given));
    assert_eq!(row.recipe, world.file.pools[&main_pool()].recipe());
    assert!(
        told(&world).contains("plan of controller 1: assign"),
        "{}",
        told(&world)
    );
}

#[test]
fn what_lost_a_race_is_left_for_the_next_round_and_the_rest_is_done() {
    let mut world = still();
    lead(&mut world);
    let (late, other) = (
        builder(&mut world, BuilderState::Ready),
        builder(&mut world, BuilderState::Ready),
    );
    let drain = |row: &Builder| Action::Drain {
        builder: row.id,
        reason: "a test wants it".to_owned(),
    };
    let decided = decided(&mut world, Side::One, vec![drain(&late), drain(&other)]);
    change(&mut world, &late, |row| row.version += 1);
    world.commit(Side::One, decided);
    assert_eq!(world.store.builders[&late.id].state, BuilderState::Ready);
    assert_ne!(world.store.builders[&other.id].state, BuilderState::Ready);
    assert!(
        told(&world).contains("not done, or not known to be: Conflict"),
        "{}",
        told(&world)
    );
}

#[test]
fn what_was_decided_before_another_led_is_not_written_down() {
    for (fencing, expected) in [(true, None), (false, Some(Rule::AboveMax))] {
        let mut world = still();
        world.store.guards.fencing = fencing;
        lead(&mut world);
        let late = decided(&mut world, Side::One, vec![one_more()]);
        // Meanwhile the other one makes the pool full.
        usurp(&mut world);
        for _ in 0..2 {
            builder(&mut world, BuilderState::Ready);
        }
        world.commit(Side::One, late);
        assert_eq!(broken(&world, "pool main has 3 of at most 2"), expected);
        assert_eq!(world.store.builders.len(), if fencing { 2 } else { 3 });
        assert_eq!(world.one.lease.is_none(), fencing, "it knows now");
    }
}

#[test]
fn an_offer_that_a_worker_takes_up_meanwhile_is_not_taken_back() {
    for (compare, expected) in [(true, None), (false, Some(Rule::BusyKill))] {
        let mut world = still();
        world.store.guards.compare = compare;
        lead(&mut world);
        let row = builder(&mut world, BuilderState::Ready);
        let attempt = submit(&mut world, "alice");
        let (now, heard, lease) = (world.clock(Side::One), world.now, world.one.lease.unwrap().epoch);
        let times = (now.plus(seconds(60)), now);
        world.store.assign(lease, (attempt, &row), times, heard).unwrap();
        let (epoch, _) = world.store.allocation_of(row.id).unwrap();
        // The leader sees that nobody took it up in time, and is slow to write that down.
        let expire = Action::Expire {
            builder: row.id,
            from: BuilderState::Reserved,
            to: BuilderState::Ready,
            reason: "nobody took it up".to_owned(),
        };
        let decided = decided(&mut world, Side::One, vec![expire]);
        world.store.accept(epoch, 1, times, heard).unwrap();
        world.commit(Side::One, decided);
        assert_eq!(broken(&world, "leaves attempt"), expected);
        assert_eq!(world.store.open.contains_key(&epoch), compare);
    }
}

#[test]
fn a_controller_that_is_killed_or_paused_at_a_write_carries_nothing_more_out() {
    let mut world = still();
    lead(&mut world);
    let decided = decided(&mut world, Side::One, vec![one_more(), one_more()]);
    strike(&mut world, Fault::ControllerKilled, 1);
    world.commit(Side::One, decided);
    assert_eq!(
        world.store.builders.len(),
        1,
        "the first was written, and nobody told of it"
    );
    assert!(!world.one.is_up);
    // A pause comes between the plan and its being written down.
    let mut world = still();
    builder(&mut world, BuilderState::Ready);
    submit(&mut world, "alice");
    strike(&mut world, Fault::PausedAtCommit, 0);
    round(&mut world, Side::One);
    assert!(world.one.is_paused);
    let commit = due(&world, |event| {
        matches!(event, Event::Controller(_, _, Task::Commit(_)))
    });
    assert!(commit.is_some(), "it is done when it goes on");
}

#[test]
fn a_database_that_is_away_ends_a_round_and_the_next_comes_soon() {
    let mut world = still();
    lead(&mut world);
    let decided = decided(&mut world, Side::One, vec![one_more()]);
    strike(&mut world, Fault::DatabaseAway, 0);
    world.events.clear();
    world.commit(Side::One, decided);
    assert!(world.store.builders.is_empty() && world.one.lease.is_some());
    let next = due(&world, |event| {
        matches!(event, Event::Controller(_, _, Task::Round(_)))
    });
    assert_eq!(next, Some(TICK));
}

#[test]
fn a_builder_has_the_time_of_its_new_state_or_that_which_was_said() {
    let mut world = still();
    lead(&mut world);
    let now = world.clock(Side::One);
    let row = builder(&mut world, BuilderState::Pending);
    let row = world
        .advance(Side::One, &row, Move::new(BuilderState::Booting, "it runs"), None)
        .unwrap();
    assert_eq!(row.deadline, Some(now.plus(world.setting.deadlines.boot)));
    let until = now.plus(seconds(77));
    let ready = builder(&mut world, BuilderState::Ready);
    let held = Action::Move {
        builder: ready.id,
        to: BuilderState::Held,
        until: Some(until),
        reason: "an operator holds it".to_owned(),
    };
    let decided = decided(&mut world, Side::One, vec![held]);
    world.commit(Side::One, decided);
    let row = &world.store.builders[&ready.id];
    assert_eq!((row.state, row.deadline), (BuilderState::Held, Some(until)));
}

#[test]
fn what_an_operator_wants_is_no_failure_of_the_pool() {
    for (is_operator, failures) in [(true, 0), (false, 1)] {
        let mut world = still();
        lead(&mut world);
        let row = builder(&mut world, BuilderState::Booting);
        let reason = "a test wants it".to_owned();
        let action = if is_operator {
            Action::Move {
                builder: row.id,
                to: BuilderState::Terminating,
                until: None,
                reason,
            }
        } else {
            Action::Expire {
                builder: row.id,
                from: BuilderState::Booting,
                to: BuilderState::Terminating,
                reason,
            }
        };
        let decided = decided(&mut world, Side::One, vec![action]);
        world.commit(Side::One, decided);
        let history = world.store.histories.get(&main_pool());
        assert_eq!(history.map_or(0, |it| it.failures), failures);
    }
}

#[test]
fn nothing_is_planned_for_a_pool_that_the_file_has_no_more() {
    let mut world = still();
    lead(&mut world);
    let decided = decided(&mut world, Side::One, vec![one_more()]);
    let empty = crate::setting::File::default();
    world.one.file = Arc::new(empty);
    world.commit(Side::One, decided);
    assert!(world.store.builders.is_empty());
    assert!(world.one.lease.is_some(), "that is no reason to stop");
}

#[test]
fn an_operators_wish_is_taken_up_followed_and_over_when_it_is_done() {
    let mut world = still();
    world.plan_round(Side::One, seconds(0));
    let keep = None;
    wish(
        &mut world,
        Request::Spawn {
            pool: main_pool(),
            count: 1,
            keep,
        },
    );
    let is_running = |world: &World| {
        let mut all = world.store.intents.iter();
        all.any(|it| it.state == IntentState::Running && it.builders.len() == 1)
    };
    assert!(until(&mut world, 60, is_running), "{}", told(&world));
    assert!(until(&mut world, 600, |world| world.store.intents.is_empty()));
    let rows: Vec<_> = world.store.builders.values().map(|it| it.state).collect();
    assert!(rows.contains(&BuilderState::Ready), "{rows:?}");
}

#[test]
fn a_mark_is_lifted_when_its_time_is_over_and_a_marked_builder_leaves_service() {
    let mut world = still();
    lead(&mut world);
    let now = world.clock(Side::One);
    let rows = [now, now.plus(seconds(1))].map(|until| {
        let row = builder(&mut world, BuilderState::Ready);
        change(&mut world, &row, |row| {
            let mark = model::mark::Mark {
                until: Some(until),
                ..mark(MarkKind::Cordoned)
            };
            (row.mark, row.cordoned) = (Some(mark), true);
        })
    });
    world.take_up_intents(Side::One).unwrap();
    let cordoned = rows.map(|row| world.store.builders[&row.id].cordoned);
    assert_eq!(cordoned, [false, true]);

    let mut world = still();
    lead(&mut world);
    let row = builder(&mut world, BuilderState::Ready);
    let what = Target::Builders(vec![row.id]);
    let reason = String::new();
    wish(
        &mut world,
        Request::Terminate {
            what,
            now: false,
            reason,
        },
    );
    let decided = world.observe_and_plan(Side::One).unwrap();
    world.commit(Side::One, decided);
    let row = &world.store.builders[&row.id];
    assert!(BuilderState::ENDING.contains(&row.state), "{}", row.state);
}

#[test]
fn a_plan_is_made_from_what_the_controller_knows_and_not_from_what_is() {
    let mut world = still();
    lead(&mut world);
    world.one.skew = 7_000_000;
    let rows = [BuilderState::Ready, BuilderState::Planned].map(|state| row(&mut world, state));
    let waits = submit(&mut world, "alice");
    change(&mut world, &rows[0], |row| row.recipe = "v1:0.0.0.0".to_owned());
    let snapshot = world.snapshot(Side::One);
    assert_eq!(snapshot.now, world.clock(Side::One));
    assert_eq!(snapshot.now, world.clock(Side::Other).plus(seconds(7)));
    let drifts: Vec<bool> = snapshot.builders.iter().map(|it| it.drift.is_some()).collect();
    assert_eq!(drifts, [true, false]);
    assert!(snapshot.queue.iter().any(|it| it.id == waits));
    let pool = &snapshot.pools[&main_pool()];
    assert_eq!(pool.cloud, plan::CloudHealth::Unknown, "nobody has asked yet");
}

#[test]
fn actions_are_told_with_whom_they_are_about() {
    let id = BuilderId(uuid::Uuid::from_u128(1));
    let reason = "a test wants it".to_owned();
    let (to, until) = (BuilderState::Held, None);
    let table = [
        (one_more(), "launch one of main: a test wants it".to_owned()),
        (
            Action::Drain {
                builder: id,
                reason: reason.clone(),
            },
            format!("drain {id}: a test wants it"),
        ),
        (
            Action::Move {
                builder: id,
                to,
                until,
                reason,
            },
            format!("move {id} to held: a test wants it"),
        ),
    ];
    for (action, expected) in table {
        assert_eq!(in_words(&action), expected);
    }
}
