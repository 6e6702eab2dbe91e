//! Small worlds for tests, in which nothing goes wrong but what a test wants.

use model::{
    BuilderState, Epoch, InstanceState, LaunchAnswer, LaunchId, Sandbox,
    intent::{Intent, IntentState, Request},
    mark::{Mark, MarkKind},
};

use super::*;
use crate::{
    Rule,
    cloud::{Run, Tags},
    controller::Held,
    event::{Ask, Call},
    setting::word,
    store::{Allocation, Builder, Launch, Outcome},
};

/// A small world in which nothing goes wrong by itself.
pub(super) fn quiet() -> World {
    let mut luck = Luck::once(Fault::Orphan, u64::MAX);
    let setting = Setting::small(&mut luck);
    World::new((0, luck), setting, Guards::default(), 50)
}

/// The same, in which nothing is foreseen either.
pub(super) fn still() -> World {
    let mut world = quiet();
    world.events.clear();
    world.now = seconds(100);
    world
}

/// From now on a fault strikes once, where it can for the first time after it was spared so often.
pub(super) fn strike(world: &mut World, fault: Fault, spared: u64) {
    world.luck = Luck::once(fault, spared);
}

pub(super) fn tags(id: BuilderId) -> Tags {
    Tags {
        pool: word("main"),
        builder: id,
        launch: LaunchId(id.0),
    }
}

pub(super) fn sandbox(owner: &str) -> Sandbox {
    Sandbox::new(&word(owner), &word("one"), &word(owner))
}

pub(super) fn mark(kind: MarkKind) -> Mark {
    Mark {
        kind,
        by: "operator".to_owned(),
        why: String::new(),
        until: None,
        lasts: None,
    }
}

/// An operator's wish that nobody has taken up.
pub(super) fn wish(world: &mut World, request: Request) {
    let created_at = world.clock(Side::One);
    world.store.intents.push(Intent {
        key: "wish".to_owned(),
        request,
        actor: "operator".to_owned(),
        state: IntentState::New,
        words: String::new(),
        builders: Vec::new(),
        created_at,
    });
}

/// A row without a machine, in a state that has ten minutes.
pub(super) fn row(world: &mut World, state: BuilderState) -> Builder {
    let id = BuilderId(world.store.new_id());
    let now = world.clock(Side::One);
    let recipe = world.file.pools[&word::<PoolName>("main")].recipe();
    let made = (word("main"), "near", recipe);
    let mut row = Builder::planned(id, made, "wanted".to_owned(), (now, now.plus(seconds(600))));
    row.state = state;
    if state != BuilderState::Planned {
        row.launch = Some(Launch {
            token: LaunchId(id.0),
            offering: word("c7i.xlarge"),
            asked_at: now,
            answer: None,
        });
        world.store.tokens.insert(LaunchId(id.0));
    }
    world.store.builders.insert(id, row.clone());
    row
}

/// A builder in a state whose machine runs and answers.
pub(super) fn builder(world: &mut World, state: BuilderState) -> Builder {
    let mut row = row(world, state);
    let address = format!("near.{}", row.id.0.as_u128());
    let now = world.now;
    let cloud = world.clouds.get_mut("near").unwrap();
    let instance = cloud.make(Some(tags(row.id)), &mut world.luck, Duration::ZERO);
    let machine = cloud.machines.get_mut(&instance).unwrap();
    machine.enter(InstanceState::Running, Duration::ZERO);
    (machine.address, machine.answers_from) = (Some(address.clone()), Some(now));
    if let Some(launch) = &mut row.launch {
        launch.answer = Some(LaunchAnswer::Given);
    }
    (row.instance, row.address) = (Some(instance), Some(address));
    world.store.builders.insert(row.id, row.clone());
    row
}

/// Changes the row of a builder, and answers it.
pub(super) fn change(world: &mut World, row: &Builder, how: impl FnOnce(&mut Builder)) -> Builder {
    let row = world.store.builders.get_mut(&row.id).unwrap();
    how(row);
    row.clone()
}

pub(super) fn machine<'a>(world: &'a mut World, row: &Builder) -> &'a mut crate::cloud::Machine {
    let machines = &mut world.clouds.get_mut(row.cloud).unwrap().machines;
    machines.get_mut(row.instance.as_ref().unwrap()).unwrap()
}

/// What a machine runs of an attempt, until so many seconds.
pub(super) fn build(attempt: AttemptId, epoch: Epoch, until: u64) -> Run {
    Run {
        attempt,
        epoch,
        ends_at: seconds(until),
        outcome: Outcome::Built,
    }
}

/// One build chroot is wanted by an owner.
pub(super) fn submit(world: &mut World, owner: &str) -> AttemptId {
    let wanted = crate::setting::Wanted {
        chroot: word("microdistro-1-x86_64"),
        owner: word(owner),
        sandbox: Some(sandbox(owner)),
        is_background: false,
    };
    let known: Vec<AttemptId> = world.store.attempts.keys().copied().collect();
    let now = world.clock(Side::One);
    world.submitted += 1;
    world
        .store
        .submit(model::BuildId(i64::from(world.submitted)), wanted, now);
    let mut all = world.store.attempts.keys().copied();
    all.find(|id| !known.contains(id)).unwrap()
}

/// A builder on whose machine an attempt runs, with the machine's id and the number of the allocation.
pub(super) fn busy(world: &mut World) -> (BuilderId, String, Epoch) {
    world.now = seconds(100);
    let row = builder(world, BuilderState::Busy);
    let attempt = submit(world, "alice");
    let epoch = Epoch(7);
    machine(world, &row).run = Some(build(attempt, epoch, 500));
    let allocation = Allocation {
        builder: row.id,
        attempt,
        worker: Some(1),
        renewed_at: world.clock(Side::One),
        heard: seconds(95),
    };
    world.store.open.insert(epoch, allocation);
    (row.id, row.instance.unwrap(), epoch)
}

/// The first controller leads.
pub(super) fn lead(world: &mut World) {
    let epoch = world.store.acquire(1, Timestamp::from_micros(0)).unwrap();
    let end = world.now.saturating_add(seconds(1000));
    world.one.lease = Some(Held { epoch, end });
}

/// Another controller leads, and the first one does not know.
pub(super) fn usurp(world: &mut World) {
    let later = world.clock(Side::Other).plus(seconds(3600));
    let epoch = world.store.acquire(2, later).unwrap();
    let end = world.now.saturating_add(seconds(1000));
    world.other.lease = Some(Held { epoch, end });
}

/// A round of a controller, now.
pub(super) fn round(world: &mut World, side: Side) {
    let number = world.looks_like(side).round;
    world.round(side, number);
}

/// How long it is until the first of all that is foreseen of a kind; `None` where nothing is.
pub(super) fn due(world: &World, is: impl Fn(&Event) -> bool) -> Option<Duration> {
    let all = world.events.iter().filter(|due| is(&due.event));
    all.map(|due| due.at.saturating_sub(world.now)).min()
}

/// The calls that are about to leave.
pub(super) fn calls(world: &World) -> Vec<&Call> {
    let sent = world.events.iter().filter_map(|due| match &due.event {
        Event::Controller(_, _, Task::Send(call)) => Some(&**call),
        _ => None,
    });
    sent.collect()
}

/// Whether a cloud is about to be told to end a machine.
pub(super) fn is_to_end(world: &World, instance: &str) -> bool {
    let mut calls = calls(world).into_iter();
    calls.any(|call| matches!(&call.ask, Ask::Terminate(id) if id == instance))
}

/// Lets all happen until something is so; whether it came to that within so many seconds.
pub(super) fn until(world: &mut World, most: u64, is_so: impl Fn(&World) -> bool) -> bool {
    let end = world.now.saturating_add(seconds(most));
    while !is_so(world) {
        if world.events.peek().is_none_or(|due| due.at > end) {
            return false;
        }
        let due = world.events.pop().unwrap();
        world.now = due.at;
        world.happen(due.event);
        world.look_at_rules();
    }
    true
}

/// What happened, as far as it was told.
pub(super) fn told(world: &World) -> String {
    let lines = world.trace.iter().flatten();
    lines.map(|line| format!("{line}\n")).collect()
}

/// Which rule was broken, in words that hold `part`.
pub(super) fn broken(world: &World, part: &str) -> Option<Rule> {
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
fn of_a_small_world_each_thing_that_may_be_told_is_told_once_and_the_last_ones_are_kept() {
    let mut world = still();
    for count in 0..60 {
        tell!(world, "event {count}");
    }
    let told = told(&world);
    assert_eq!(told.lines().count(), 50);
    assert!(
        told.starts_with("   100.000 event 10\n") && told.ends_with("event 59\n"),
        "{told}"
    );
    let mut silent = World::struck_once(Fault::Orphan, u64::MAX, 0);
    tell!(silent, "nobody listens");
    assert!(silent.trace.is_none());
}

#[test]
fn a_write_is_done_once_or_not_at_all_and_its_controller_may_not_learn_which() {
    let table = [
        (None, 0, Ok(()), true),
        (Some(Fault::ControllerKilled), 0, Err(Stop::Killed), false),
        (Some(Fault::ControllerKilled), 1, Err(Stop::Killed), true),
        (Some(Fault::DatabaseAway), 0, Err(Stop::Away), false),
        (Some(Fault::CommitUnknown), 0, Err(Stop::Away), true),
    ];
    for (fault, spared, expected, is_done) in table {
        let mut world = still();
        lead(&mut world);
        let row = builder(&mut world, BuilderState::Ready);
        if let Some(fault) = fault {
            strike(&mut world, fault, spared);
        }
        let marked = world.write(Side::One, |store, lease| {
            store.builders.get_mut(&row.id).unwrap().cordoned = true;
            store.lift_marks(lease, &[])
        });
        assert_eq!(marked, expected, "{fault:?}");
        assert_eq!(world.store.builders[&row.id].cordoned, is_done, "{fault:?}");
        let lives = expected != Err(Stop::Killed);
        assert_eq!(world.one.is_up, lives);
        assert_eq!(world.one.lease.is_some(), lives, "a dead one holds nothing");
    }
    let mut world = still();
    let written = world.write(Side::One, |_, _| Ok(()));
    assert_eq!(written, Err(Stop::LeaseLost), "it never led");
}

#[test]
fn the_end_of_a_world_is_told_with_what_happened_in_it() {
    let mut world = quiet();
    let (id, ..) = busy(&mut world);
    world.store.contradiction = Some(format!("builder {id} is busy: it cannot become planned"));
    let report = world.run();
    let violation = report.violation.unwrap();
    assert_eq!((violation.rule, violation.seed), (Rule::Moves, 0));
    assert!(report.trace.last().unwrap().contains("BROKEN"), "it ends there");
    assert_eq!(report.met.len(), Fault::ALL.len());
}
