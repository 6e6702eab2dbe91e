use model::{
    Shortage,
    intent::{Request, Target},
    step::{Move, launch},
};

use super::*;
use crate::setting::{Wanted, word};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const HEARD: Duration = Duration::from_secs(7);

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn store() -> (Store, i64) {
    let mut store = Store::new(Guards::default());
    let lease = store.acquire(1, NOW).unwrap();
    (store, lease)
}

fn sandbox(owner: &str) -> Sandbox {
    Sandbox::new(&word(owner), &word("one"), &word(owner))
}

fn submit(store: &mut Store, build: i64, owner: &str) -> AttemptId {
    let wanted = Wanted {
        chroot: word("microdistro-1-x86_64"),
        owner: word(owner),
        sandbox: Some(sandbox(owner)),
        is_background: false,
    };
    let known: Vec<AttemptId> = store.attempts.keys().copied().collect();
    store.submit(BuildId(build), wanted, NOW);
    *store.attempts.keys().find(|id| !known.contains(id)).unwrap()
}

fn planned(store: &mut Store, lease: i64) -> Builder {
    let id = BuilderId(store.new_id());
    let made = (word("main"), "near", "v1:1.1.1.1".to_owned());
    let builder = Builder::planned(id, made, "wanted".to_owned(), (NOW, later(600)));
    store.plan_builder(lease, builder.clone(), None).unwrap();
    builder
}

fn launching(store: &mut Store, lease: i64) -> Builder {
    let row = planned(store, lease);
    let launch = Launch {
        token: LaunchId(store.new_id()),
        offering: word("c7i.xlarge"),
        asked_at: NOW,
        answer: None,
    };
    store.begin_launch(lease, &row, launch, (later(60), NOW)).unwrap()
}

fn go(store: &mut Store, lease: i64, row: &Builder, to: BuilderState) -> Builder {
    let step = Move {
        reusable_until: (to == BuilderState::Ready).then(|| later(1000)),
        baseline: Some("{}".to_owned()),
        ..Move::new(to, "a test")
    };
    store
        .transition(lease, row, (step, Some(later(60))), NOW)
        .unwrap()
}

fn ready(store: &mut Store, lease: i64) -> Builder {
    use BuilderState as S;
    let row = launching(store, lease);
    let step = launch::after(
        &word("c7i.xlarge"),
        launch::Reply::Instance(format!("i-{}", row.id)),
    );
    let row = store
        .transition(lease, &row, (step, Some(later(60))), NOW)
        .unwrap();
    [S::Booting, S::Provisioning, S::Checking, S::Ready]
        .into_iter()
        .fold(row, |row, to| go(store, lease, &row, to))
}

/// A builder on which an attempt of a worker runs, with its allocation.
fn busy(store: &mut Store, lease: i64, attempt: AttemptId) -> (Builder, Epoch) {
    let row = ready(store, lease);
    store
        .assign(lease, (attempt, &row), (later(60), NOW), HEARD)
        .unwrap();
    let (epoch, _) = store.allocation_of(row.id).unwrap();
    store.accept(epoch, 1, (later(90), NOW), HEARD).unwrap();
    (store.builders[&row.id].clone(), epoch)
}

#[test]
fn a_lease_is_one_controllers_until_its_time_is_over_or_it_is_given_back() {
    let (mut store, lease) = store();
    assert_eq!(store.acquire(2, NOW), None);
    let same = store.acquire(1, NOW).unwrap();
    assert!(same > lease, "the one that was started again fences itself");
    assert_eq!(store.renew_lease(lease, NOW), Err(Stop::LeaseLost));
    store.renew_lease(same, later(10)).unwrap();
    assert_eq!(store.acquire(2, later(24)), None);
    store.release_lease(same, later(24));
    let other = store.acquire(2, later(24)).unwrap();
    assert!(store.acquire(1, later(40)).unwrap() > other);
}

#[test]
fn whoever_lost_the_lease_writes_nothing() {
    let (mut store, old) = store();
    let row = ready(&mut store, old);
    let attempt = submit(&mut store, 1, "alice");
    let new = store.acquire(1, NOW).unwrap();
    let step = || (Move::new(BuilderState::Draining, "late"), None);
    assert_eq!(
        store.transition(old, &row, step(), NOW).unwrap_err(),
        Stop::LeaseLost
    );
    assert_eq!(
        store.assign(old, (attempt, &row), (NOW, NOW), HEARD),
        Err(Stop::LeaseLost)
    );
    assert_eq!(store.plan_builder(old, row.clone(), None), Err(Stop::LeaseLost));
    assert_eq!(store.lift_marks(old, &[row.id]), Err(Stop::LeaseLost));
    assert_eq!(
        store.record_sightings(old, "near", &BTreeSet::new(), NOW),
        Err(Stop::LeaseLost)
    );
    assert_eq!(store.builders[&row.id].state, BuilderState::Ready);
    assert!(store.transition(new, &row, step(), NOW).is_ok());
}

#[test]
fn a_move_that_was_decided_on_an_older_look_is_refused_and_one_that_there_is_not_is_told() {
    let (mut store, lease) = store();
    let attempt = submit(&mut store, 1, "alice");
    let (row, epoch) = busy(&mut store, lease, attempt);
    let step = |to| (Move::new(to, "late"), None);
    // A sign of life comes between the look and the end of its time.
    store.renew(epoch, 1, (later(120), later(30)), HEARD);
    let moved = store.transition(lease, &row, step(BuilderState::Draining), NOW);
    assert_eq!(moved.unwrap_err(), Stop::Conflict);
    assert!(store.contradiction.is_none());
    let row = store.builders[&row.id].clone();
    let moved = store.transition(lease, &row, step(BuilderState::Terminating), NOW);
    assert_eq!(moved.unwrap_err(), Stop::Conflict);
    assert!(
        store
            .contradiction
            .take()
            .unwrap()
            .contains("is busy: it cannot become terminating")
    );
}

#[test]
fn an_instance_is_one_live_builders() {
    let (mut store, lease) = store();
    let (one, other) = (ready(&mut store, lease), launching(&mut store, lease));
    let taken = launch::after(
        &word("c7i.xlarge"),
        launch::Reply::Instance(one.instance.unwrap()),
    );
    assert_eq!(
        store.transition(lease, &other, (taken, None), NOW).unwrap_err(),
        Stop::Conflict
    );
}

#[test]
fn an_attempt_is_given_once_and_only_to_a_builder_that_is_free_for_its_sandbox() {
    let (mut store, lease) = store();
    let (alices, bobs) = (submit(&mut store, 1, "alice"), submit(&mut store, 2, "bob"));
    let (one, other) = (ready(&mut store, lease), ready(&mut store, lease));
    let times = (later(60), NOW);
    store.assign(lease, (alices, &one), times, HEARD).unwrap();
    assert_eq!(
        store.assign(lease, (alices, &other), times, HEARD),
        Err(Stop::Conflict),
        "it has one"
    );
    assert_eq!(
        store.assign(lease, (bobs, &one), times, HEARD),
        Err(Stop::Conflict),
        "it is taken"
    );
    store.set_mark(other.id, Some(mark(MarkKind::Cordoned)));
    assert_eq!(
        store.assign(lease, (bobs, &other), times, HEARD),
        Err(Stop::Conflict),
        "it is cordoned"
    );
    store.set_mark(other.id, None);
    let used = Builder {
        sandbox: Some(sandbox("alice")),
        ..other.clone()
    };
    assert_eq!(
        store.assign(lease, (bobs, &used), times, HEARD),
        Err(Stop::Conflict),
        "it was alice's"
    );
    store.assign(lease, (bobs, &other), times, HEARD).unwrap();
    assert!(store.queue().is_empty());
}

fn mark(kind: MarkKind) -> Mark {
    Mark {
        kind,
        by: "operator".to_owned(),
        why: String::new(),
        until: None,
        lasts: None,
    }
}

#[test]
fn an_offer_is_taken_up_once_and_one_that_nobody_took_up_waits_again() {
    let (mut store, lease) = store();
    let attempt = submit(&mut store, 1, "alice");
    let row = ready(&mut store, lease);
    store
        .assign(lease, (attempt, &row), (later(60), NOW), HEARD)
        .unwrap();
    let reserved = store.builders[&row.id].clone();
    go(&mut store, lease, &reserved, BuilderState::Ready);
    assert_eq!(store.queue().len(), 1);
    assert!(store.open.is_empty());
    let row = store.builders[&row.id].clone();
    store
        .assign(lease, (attempt, &row), (later(60), NOW), HEARD)
        .unwrap();
    let (epoch, _) = store.allocation_of(row.id).unwrap();
    store.accept(epoch, 1, (later(90), NOW), HEARD).unwrap();
    assert_eq!(
        store.accept(epoch, 2, (later(90), NOW), HEARD),
        Err(Stop::Conflict)
    );
    assert_eq!(store.builders[&row.id].sandbox, Some(sandbox("alice")));
}

#[test]
fn a_silent_worker_is_replaced_and_can_do_nothing_more() {
    let (mut store, lease) = store();
    let attempt = submit(&mut store, 1, "alice");
    let (row, epoch) = busy(&mut store, lease, attempt);
    let stale = |seconds| (later(seconds), later(31));
    assert_eq!(
        store.take_over(epoch, 2, stale(0), HEARD),
        Err(Stop::Conflict),
        "it lives"
    );
    let new = store.take_over(epoch, 2, stale(1), HEARD).unwrap();
    assert!(new > epoch);
    assert_eq!(store.renew(epoch, 1, (later(90), NOW), HEARD), Stands::Lost);
    assert_eq!(store.finish(epoch, 1, Outcome::Built, NOW), Err(Stop::Conflict));
    // One that was started again takes up what it had.
    let own = store.take_over(new, 2, stale(0), HEARD).unwrap();
    assert_eq!(store.renew(own, 2, (later(90), NOW), HEARD), Stands::Held);
    store.cancel(attempt);
    assert_eq!(store.renew(own, 2, (later(90), NOW), HEARD), Stands::CancelWanted);
    store.finish(own, 2, Outcome::Built, NOW).unwrap();
    assert!(
        store.attempts.is_empty(),
        "nothing follows what its user wants no more of"
    );
    assert_eq!(store.builders[&row.id].state, BuilderState::Draining);
}

#[test]
fn after_an_attempt_a_builder_is_cleaned_held_or_drained() {
    use {BuilderState as S, MarkKind as M, Outcome as O};
    for (outcome, marked, expected) in [
        (O::Built, None, S::Cleaning),
        (O::Failed, None, S::Cleaning),
        (O::Broken, None, S::Draining),
        (O::Canceled, None, S::Draining),
        (O::Built, Some(M::Cordoned), S::Draining),
        (O::Built, Some(M::Retired), S::Draining),
        (O::Built, Some(M::Held), S::Held),
        (O::Built, Some(M::TakenBack), S::Draining),
    ] {
        let (mut store, lease) = store();
        let attempt = submit(&mut store, 1, "alice");
        let (row, epoch) = busy(&mut store, lease, attempt);
        store.set_mark(row.id, marked.map(mark));
        store.finish(epoch, 1, outcome, NOW).unwrap();
        assert_eq!(store.builders[&row.id].state, expected, "{outcome:?} {marked:?}");
    }
}

#[test]
fn a_build_is_tried_three_times_not_counting_what_was_excused() {
    let (mut store, lease) = store();
    submit(&mut store, 1, "alice");
    let mut lost = 0;
    for (excused, waits) in [(false, 1), (true, 1), (false, 1), (true, 1), (false, 0)] {
        let attempt = *store.attempts.keys().next().unwrap();
        let (row, _) = busy(&mut store, lease, attempt);
        let step = Move {
            is_excused: excused,
            ..Move::new(BuilderState::Draining, "its time is over")
        };
        store.transition(lease, &row, (step, None), NOW).unwrap();
        lost += 1;
        assert_eq!(store.queue().len(), waits, "after {lost}");
    }
}

#[test]
fn what_a_worker_gave_up_before_the_clouds_word_came_is_excused_by_it() {
    let (mut store, lease) = store();
    submit(&mut store, 1, "alice");
    for _ in 0..6 {
        let attempt = *store.attempts.keys().next().unwrap();
        let (row, epoch) = busy(&mut store, lease, attempt);
        store.finish(epoch, 1, Outcome::Broken, NOW).unwrap();
        let row = store.builders[&row.id].clone();
        let row = go(&mut store, lease, &row, BuilderState::Terminating);
        let step = Move {
            is_excused: true,
            ..Move::new(BuilderState::Terminated, "taken back")
        };
        store.transition(lease, &row, (step, None), NOW).unwrap();
        assert_eq!(store.queue().len(), 1);
    }
    assert_eq!(store.ended.len(), 6);
    assert!(store.builders.is_empty());
}

#[test]
fn what_is_lost_on_a_machine_that_is_taken_back_is_no_try() {
    let (mut store, lease) = store();
    submit(&mut store, 1, "alice");
    for round in 0..6 {
        let attempt = *store.attempts.keys().next().unwrap();
        let (row, epoch) = busy(&mut store, lease, attempt);
        store.set_mark(row.id, Some(mark(MarkKind::TakenBack)));
        if round % 2 == 0 {
            store.finish(epoch, 1, Outcome::Broken, NOW).unwrap();
        } else {
            go(&mut store, lease, &row, BuilderState::Draining);
        }
        assert_eq!(store.queue().len(), 1, "{round}");
    }
}

#[test]
fn launches_are_on_record_with_their_answers_and_with_what_is_short() {
    let (mut store, lease) = store();
    let row = launching(&mut store, lease);
    let token = row.launch.as_ref().unwrap().token;
    assert!(store.tokens.contains(&token));
    let offering: Offering = word("c7i.xlarge");
    let refused = launch::Reply::Refused {
        code: "InsufficientInstanceCapacity".to_owned(),
        words: "none".to_owned(),
    };
    let row = store
        .transition(lease, &row, (launch::after(&offering, refused), None), NOW)
        .unwrap();
    assert_eq!((row.refusals, row.postponements), (1, 0));
    assert!(row.refusal.is_some());
    let short = Shortage::of("InsufficientInstanceCapacity", &offering);
    assert_eq!(store.shortages["near"][0].shortage, short);
    let ready = ready(&mut store, lease);
    assert_eq!(ready.state, BuilderState::Ready);
    assert!(store.shortages["near"].is_empty(), "the cloud has some again");
}

#[test]
fn a_pool_remembers_how_many_in_a_row_were_given_up_before_they_were_ready() {
    let (mut store, lease) = store();
    let pool: PoolName = word("main");
    for failures in 1..=2 {
        let row = planned(&mut store, lease);
        go(&mut store, lease, &row, BuilderState::Abandoned);
        assert_eq!(store.histories[&pool].failures, failures);
    }
    ready(&mut store, lease);
    assert_eq!(store.histories[&pool].failures, 0);
}

#[test]
fn an_orphan_is_due_after_two_lists_and_two_minutes_in_which_it_was_never_missing() {
    let (mut store, lease) = store();
    let seen: BTreeSet<String> = ["i-1".to_owned()].into();
    let list = |store: &mut Store, seen: &BTreeSet<String>, second| {
        store
            .record_sightings(lease, "near", seen, later(second))
            .unwrap();
        store.due_orphans("near", later(second)).len()
    };
    assert_eq!(list(&mut store, &seen, 0), 0);
    assert_eq!(list(&mut store, &seen, 119), 0);
    assert_eq!(list(&mut store, &BTreeSet::new(), 120), 0);
    assert_eq!(
        list(&mut store, &seen, 121),
        0,
        "it is seen for the first time again"
    );
    assert_eq!(list(&mut store, &seen, 242), 1);
    assert!(store.has_orphans() && store.due_orphans("far", later(242)).is_empty());
}

#[test]
fn an_intent_marks_builders_and_is_gone_when_it_is_over() {
    let (mut store, lease) = store();
    let row = ready(&mut store, lease);
    let request = Request::Drain {
        what: Target::Builders(vec![row.id]),
        reason: String::new(),
        lasts: None,
    };
    let intent = Intent {
        key: "k".to_owned(),
        request,
        actor: "operator".to_owned(),
        state: IntentState::New,
        words: String::new(),
        builders: Vec::new(),
        created_at: NOW,
    };
    store.intents.push(intent.clone());
    let decision = Decision {
        marks: vec![(row.id, Some(mark(MarkKind::Retired)))],
        builders: vec![row.id],
        ..Decision::of(IntentState::Running, "1 builder to end")
    };
    store.settle(lease, "k", decision, NOW).unwrap();
    assert!(store.builders[&row.id].cordoned);
    let running = store.intents[0].clone();
    assert_eq!(store.made(&running)[0].state, BuilderState::Ready);
    store
        .settle(lease, "k", Decision::of(IntentState::Done, "gone"), NOW)
        .unwrap();
    assert!(store.intents.is_empty());
    let again = store.settle(lease, "k", Decision::of(IntentState::Done, "gone"), NOW);
    assert_eq!(again, Err(Stop::Conflict));
}
