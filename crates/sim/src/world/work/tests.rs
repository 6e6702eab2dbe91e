use model::{AttemptState, BuilderState};

use super::*;
use crate::{
    Rule,
    event::{Event, Side},
    world::tests::{
        broken, build, builder, busy, change, due, lead, machine, sandbox, still, strike, submit, until,
    },
};

/// A builder that is offered for an attempt, with the number of the allocation.
fn offered(world: &mut World) -> (Builder, AttemptId, Epoch) {
    if world.one.lease.is_none() {
        lead(world);
    }
    let row = builder(world, BuilderState::Ready);
    let attempt = submit(world, "alice");
    let (now, heard, lease) = (world.clock(Side::One), world.now, world.one.lease.unwrap().epoch);
    let times = (now.plus(seconds(60)), now);
    world.store.assign(lease, (attempt, &row), times, heard).unwrap();
    let (epoch, _) = world.store.allocation_of(row.id).unwrap();
    (row, attempt, epoch)
}

/// What runs on a builder's machine ends much later.
fn lasts(world: &mut World, row: &Builder) {
    machine(world, row).run.as_mut().unwrap().ends_at = seconds(9999);
}

/// One look of a worker, whatever else it foresees.
fn look(world: &mut World, name: u8) {
    let life = world.workers[&name].life;
    world.worker_looks(name, life);
}

fn driven(world: &World, name: u8) -> Vec<Epoch> {
    world.workers[&name].driven.keys().copied().collect()
}

#[test]
fn a_worker_takes_up_what_is_offered_and_begins_the_build() {
    let mut world = still();
    let (row, attempt, epoch) = offered(&mut world);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1), [epoch]);
    let kept = &world.store.builders[&row.id];
    let until = shown_by_clock(world.now, 0).plus(Deadlines::USUAL.busy);
    assert_eq!((kept.state, kept.deadline), (BuilderState::Busy, Some(until)));
    assert_eq!(world.store.attempts[&attempt].state, AttemptState::Running);
    let machine = machine(&mut world, &row);
    assert_eq!(machine.run.as_ref().unwrap().attempt, attempt);
    assert!(machine.is_dirty && machine.sandbox == Some(sandbox("alice")));
    look(&mut world, 2);
    assert_eq!(driven(&world, 2), [], "another one finds nothing");
}

#[test]
fn a_worker_drives_so_many_at_once_and_no_more() {
    let mut world = still();
    for _ in 0..=PARALLEL {
        offered(&mut world);
    }
    look(&mut world, 1);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1).len(), PARALLEL);
    look(&mut world, 2);
    assert_eq!(driven(&world, 2).len(), 1);
}

#[test]
fn a_build_that_has_ended_is_handed_in_as_it_ended() {
    for outcome in [Outcome::Built, Outcome::Failed, Outcome::Broken] {
        let mut world = still();
        let (row, attempt, _) = offered(&mut world);
        look(&mut world, 1);
        let now = world.now;
        let run = machine(&mut world, &row).run.as_mut().unwrap();
        (run.ends_at, run.outcome) = (now, outcome);
        look(&mut world, 1);
        assert_eq!(driven(&world, 1), []);
        assert!(!world.store.attempts.contains_key(&attempt));
        let is_tried_again = !world.store.attempts.is_empty();
        assert_eq!(is_tried_again, outcome == Outcome::Broken, "{outcome:?}");
        assert!(machine(&mut world, &row).run.is_none());
    }
}

#[test]
fn a_sign_of_life_gives_a_builder_time_and_no_look_no_sign() {
    let mut world = still();
    let (row, _, epoch) = offered(&mut world);
    look(&mut world, 1);
    lasts(&mut world, &row);
    let first = world.store.builders[&row.id].deadline.unwrap();
    world.now += PACE;
    look(&mut world, 1);
    let second = world.store.builders[&row.id].deadline.unwrap();
    assert_eq!(second.since(first), PACE);
    world.now += PACE;
    strike(&mut world, Fault::DatabaseAway, 0);
    look(&mut world, 1);
    assert_eq!(world.store.builders[&row.id].deadline, Some(second));
    assert_eq!(driven(&world, 1), [epoch], "it goes on");
}

#[test]
fn an_allocation_that_is_lost_is_forgotten_and_a_cancelled_one_ends_with_its_build() {
    let mut world = still();
    let (row, attempt, epoch) = offered(&mut world);
    look(&mut world, 1);
    world.store.open.remove(&epoch);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1), []);
    assert!(
        world.store.attempts.contains_key(&attempt),
        "that is others' concern"
    );
    assert!(machine(&mut world, &row).run.is_some(), "and so is the build");

    let mut world = still();
    let (row, attempt, _) = offered(&mut world);
    look(&mut world, 1);
    world.store.cancel(attempt);
    look(&mut world, 1);
    assert!(world.store.attempts.is_empty() && driven(&world, 1).is_empty());
    assert!(machine(&mut world, &row).run.is_none());
}

#[test]
fn a_silent_worker_is_followed_by_another_after_half_a_minute() {
    let mut world = still();
    let (row, _, epoch) = offered(&mut world);
    look(&mut world, 1);
    lasts(&mut world, &row);
    world.now += SILENCE;
    look(&mut world, 2);
    assert_eq!(driven(&world, 2), [], "not yet");
    world.now += seconds(1);
    look(&mut world, 2);
    let new = driven(&world, 2);
    assert!(new.len() == 1 && new[0] > epoch);
    let until = shown_by_clock(world.now, 0).plus(Deadlines::USUAL.busy);
    assert_eq!(
        world.store.builders[&row.id].deadline,
        Some(until),
        "as with a sign of life"
    );
    // The build goes on: it is one and the same attempt.
    assert_eq!(machine(&mut world, &row).run.as_ref().unwrap().epoch, new[0]);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1), [], "the first one knows now");
    assert_eq!(broken(&world, ""), None);
}

#[test]
fn a_worker_that_was_started_again_takes_up_what_it_had_at_once() {
    let mut world = still();
    let (_, _, epoch) = offered(&mut world);
    look(&mut world, 1);
    world.workers.get_mut(&1).unwrap().die();
    assert_eq!(driven(&world, 1), []);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1), [], "it is dead");
    world.worker_wakes(1);
    world.now += seconds(1);
    look(&mut world, 1);
    assert!(driven(&world, 1)[0] > epoch);
    // One that was only paused has forgotten nothing, and takes nothing of its own over.
    let before = driven(&world, 1);
    world.workers.get_mut(&1).unwrap().is_paused = true;
    world.worker_wakes(1);
    look(&mut world, 1);
    assert_eq!(driven(&world, 1), before);
}

#[test]
fn a_machine_that_does_not_answer_is_given_up_after_a_while() {
    let mut world = still();
    let (row, attempt, _) = offered(&mut world);
    look(&mut world, 1);
    lasts(&mut world, &row);
    let answers = machine(&mut world, &row).answers_from.take();
    for (after, is_driven) in [(0, true), (40, true)] {
        world.now += seconds(after);
        look(&mut world, 1);
        assert_eq!(!driven(&world, 1).is_empty(), is_driven, "{after}");
    }
    // It answers in between: the patience begins anew.
    machine(&mut world, &row).answers_from = answers;
    look(&mut world, 1);
    machine(&mut world, &row).answers_from = None;
    for (after, is_driven) in [(10, true), (44, true), (1, false)] {
        world.now += seconds(after);
        look(&mut world, 1);
        assert_eq!(!driven(&world, 1).is_empty(), is_driven, "{after}");
    }
    assert!(!world.store.attempts.contains_key(&attempt));
    assert_eq!(world.store.attempts.len(), 1, "it is tried again");
    assert_eq!(world.store.builders[&row.id].state, BuilderState::Draining);
}

#[test]
fn a_machine_takes_orders_of_the_latest_allocation_only() {
    let mut world = still();
    let (row, attempt, epoch) = offered(&mut world);
    look(&mut world, 1);
    machine(&mut world, &row).epoch = Epoch(epoch.0 + 1);
    assert!(world.look_at_build(&row, epoch, attempt).is_none());
    assert!(matches!(
        world.look_at_build(&row, Epoch(epoch.0 + 1), attempt),
        Some(Seen::Runs)
    ));
}

#[test]
fn a_build_that_begins_where_another_runs_is_a_double_hand_out() {
    let mut world = still();
    let (row, _, _) = offered(&mut world);
    let other = AttemptId(uuid::Uuid::from_u128(99));
    machine(&mut world, &row).run = Some(build(other, Epoch(0), 500));
    look(&mut world, 1);
    assert_eq!(broken(&world, "on one machine"), Some(Rule::DoubleHandOut));
}

#[test]
fn workers_are_killed_and_paused_and_there_again_when_it_is_calm() {
    for (fault, forgets) in [(Fault::WorkerKilled, true), (Fault::WorkerPaused, false)] {
        let mut world = still();
        offered(&mut world);
        look(&mut world, 1);
        strike(&mut world, fault, 0);
        world.trouble_workers();
        let worker = &world.workers[&1];
        assert!(!worker.is_up || worker.is_paused);
        assert_eq!(driven(&world, 1).is_empty(), forgets, "{fault:?}");
        let others = world.workers.values().filter(|it| it.is_up && !it.is_paused);
        assert_eq!(others.count(), 2);
        let before = world.store.builders.values().next().unwrap().version;
        look(&mut world, 1);
        assert_eq!(
            world.store.builders.values().next().unwrap().version,
            before,
            "it does nothing"
        );
        // Whoever is away is not struck again.
        strike(&mut world, fault, 0);
        world.trouble_workers();
        let wakes = |world: &World| due(world, |event| matches!(event, Event::WorkerWakes(1)));
        assert!(wakes(&world).is_some_and(|after| after <= seconds(300)));
        world.events.clear();
        world.workers.get_mut(&1).unwrap().skew = 9;
        world.calm_workers();
        assert_eq!(wakes(&world), Some(seconds(1)));
        assert_eq!(world.workers[&1].skew, 0);
        assert!(until(&mut world, 2, |world| {
            let worker = &world.workers[&1];
            worker.is_up && !worker.is_paused
        }));
    }
}

#[test]
fn a_worker_is_told_once_of_what_there_is_to_do_and_looks_every_five_seconds_anyway() {
    let mut world = still();
    for _ in 0..50 {
        world.nudge_a_worker();
    }
    let looks = |world: &World| {
        let all = world.events.iter();
        all.filter(|due| matches!(due.event, Event::Worker(..))).count()
    };
    assert_eq!(looks(&world), usize::from(WORKERS), "one for each");
    let after = due(&world, |event| matches!(event, Event::Worker(..)));
    assert!(after.is_some_and(|after| after < seconds(1)));
    world.events.clear();
    // A look that somebody asked for does not move the usual ones.
    look(&mut world, 1);
    assert_eq!(looks(&world), 0);
    look(&mut world, 1);
    assert_eq!(
        due(&world, |event| matches!(event, Event::Worker(1, _))),
        Some(PACE)
    );
    // A look of another life is none.
    world.events.clear();
    let life = world.workers[&1].life;
    world.worker_looks(1, life + 1);
    assert!(world.events.is_empty());
}

#[test]
fn what_is_handed_in_for_a_builder_that_left_changes_nothing_there() {
    let mut world = still();
    let (id, _, epoch) = busy(&mut world);
    let row = world.store.builders[&id].clone();
    world.drives(1, epoch, (world.store.open[&epoch].attempt, id));
    change(&mut world, &row, |row| row.state = BuilderState::Draining);
    world.hand_in(1, epoch, Outcome::Built);
    assert_eq!(world.store.builders[&id].state, BuilderState::Draining);
    assert!(world.store.open.is_empty());
    // What it does not drive it does not hand in.
    world.hand_in(1, epoch, Outcome::Built);
    assert_eq!(driven(&world, 1), []);
}
