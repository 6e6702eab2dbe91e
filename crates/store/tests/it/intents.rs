//! What operators ask for: once for each key, carried out in one transaction, and forgotten when it is old.

use std::time::Duration;

use model::{
    AttemptState, BuildId, BuilderId, BuilderState, Epoch, PoolName,
    intent::{Decision, Intent, IntentState, Request, Target},
    mark::{Mark, MarkKind, Pause},
    quantity::Span,
};
use store::{Builder, Change, FleetCache, Lease};
use uuid::Uuid;

use crate::{
    farm::{
        CANCELED, Farm, WORKER, assert_conflict, assert_invalid, assert_lease_lost, assert_not_found,
        because, new_builder,
    },
    support::at,
};

on_both_databases!(
    of_many_that_ask_for_the_same_at_once_one_is_the_first,
    a_key_is_of_one_fleet,
    those_that_were_asked_since_a_moment_are_found_whether_they_have_ended_or_not,
    what_cannot_be_kept_is_refused,
    a_decision_is_written_down_whole_and_once,
    who_looks_again_sees_marks_as_they_change,
    a_builder_that_is_launched_for_an_intent_is_on_its_list,
    what_keeps_builders_is_looked_at_until_its_time_is_over,
    a_pool_is_paused_and_launches_again,
    a_builder_that_is_to_be_held_is_held_when_its_attempt_ends,
    a_builder_that_is_to_be_held_is_held_also_when_nobody_ends_its_use,
    what_is_over_for_long_is_taken_away,
);

fn small() -> PoolName {
    "small".parse().unwrap()
}

fn spawn(keep: Option<u64>) -> Request {
    Request::Spawn {
        pool: small(),
        count: 2,
        keep: keep.map(Span::seconds),
    }
}

async fn add(farm: &Farm, key: &str, request: &Request) -> Intent {
    let added = farm
        .store
        .add_intent(farm.lease.fleet, (request, key, "operator:root"), at(10));
    added.await.unwrap().0
}

async fn intent(farm: &Farm, key: &str) -> Intent {
    let found = farm.store.intent(farm.lease.fleet, key).await.unwrap();
    found.unwrap()
}

/// The keys of the intents that a round looks at.
async fn looked_at(farm: &Farm, seconds: u64) -> Vec<String> {
    let view = farm
        .store
        .fleet_snapshot(farm.lease.fleet, at(seconds))
        .await
        .unwrap();
    view.intents.into_iter().map(|it| it.key).collect()
}

fn mark(kind: MarkKind, until: Option<u64>) -> Mark {
    Mark {
        kind,
        by: "root".to_owned(),
        why: "it smells".to_owned(),
        until: until.map(at),
        lasts: None,
    }
}

/// A hold of so many seconds.
fn hold(seconds: u64) -> Mark {
    Mark {
        lasts: Some(Span::seconds(seconds)),
        ..mark(MarkKind::Held, None)
    }
}

fn marking(id: BuilderId, mark: Option<Mark>) -> Decision {
    Decision {
        marks: vec![(id, mark)],
        builders: vec![id],
        ..Decision::of(IntentState::Done, "it is marked")
    }
}

async fn settle(farm: &Farm, looked_at: &Intent, decision: &Decision) {
    let settled = farm.store.settle_intent(&farm.lease, looked_at, decision, at(20));
    settled.await.unwrap();
}

/// Marks a builder, as an operator's command would.
async fn mark_it(farm: &Farm, id: BuilderId, mark: Option<Mark>) {
    let key = Uuid::now_v7().to_string();
    let looked_at = add(farm, &key, &Request::Reconcile).await;
    settle(farm, &looked_at, &marking(id, mark)).await;
}

async fn of_many_that_ask_for_the_same_at_once_one_is_the_first(farm: Farm) {
    let fleet = farm.lease.fleet;
    let before = farm.last_event().await;
    let mut commands = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = farm.store.clone();
        commands.spawn(async move {
            let actor = format!("operator:{number}");
            let request = spawn(None);
            let added = store.add_intent(fleet, (&request, "k", &actor), at(10));
            added.await.unwrap()
        });
    }
    let answers = commands.join_all().await;
    let first: Vec<_> = answers.iter().filter(|(_, is_first)| *is_first).collect();
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(answers.iter().all(|(intent, _)| *intent == first[0].0));
    assert_eq!(looked_at(&farm, 11).await, ["k"]);
    assert_eq!(farm.events_after(before).await.len(), 1);
    let found = intent(&farm, "k").await;
    assert_eq!((found.request, found.state), (spawn(None), IntentState::New));
    assert_eq!(found.created_at, at(10));
}

async fn a_key_is_of_one_fleet(farm: Farm) {
    add(&farm, "k", &spawn(None)).await;
    let other = model::FleetId(Uuid::now_v7());
    assert_eq!(farm.store.intent(other, "k").await.unwrap(), None);
    let added = farm
        .store
        .add_intent(other, (&Request::Reconcile, "k", "operator"), at(11));
    assert!(added.await.unwrap().1);
    assert_eq!(looked_at(&farm, 12).await, ["k"]);
    assert_eq!(intent(&farm, "k").await.request, spawn(None));
}

async fn those_that_were_asked_since_a_moment_are_found_whether_they_have_ended_or_not(farm: Farm) {
    let fleet = farm.lease.fleet;
    let ask = async |fleet, key: &str, request: &Request, seconds| {
        let added = farm
            .store
            .add_intent(fleet, (request, key, "operator"), at(seconds));
        added.await.unwrap().0
    };
    let done = Decision::of(IntentState::Done, "it is so");
    let kept = Decision {
        builders: vec![BuilderId(Uuid::now_v7())],
        ..done.clone()
    };
    let too_old = ask(fleet, "too old", &Request::Reconcile, 10).await;
    ask(fleet, "too old, and open", &Request::Reconcile, 10).await;
    let old = ask(fleet, "old, and kept", &spawn(Some(600)), 11).await;
    ask(fleet, "open", &Request::Reconcile, 13).await;
    let ended = ask(fleet, "ended", &Request::Reconcile, 12).await;
    let keeps = ask(fleet, "kept", &spawn(Some(600)), 14).await;
    ask(model::FleetId(Uuid::now_v7()), "of another", &spawn(None), 15).await;
    // All of these end at second 20.
    for (intent, decision) in [(&too_old, &done), (&old, &kept), (&ended, &done), (&keeps, &kept)] {
        settle(&farm, intent, decision).await;
    }
    let since = async |seconds| {
        let found = farm.store.intents_since(fleet, at(seconds)).await.unwrap();
        found.into_iter().map(|it| it.key).collect::<Vec<_>>()
    };
    assert_eq!(since(12).await, ["ended", "open", "kept"]);
    assert_eq!(since(14).await, ["kept"]);
    assert_eq!(since(15).await, [""; 0]);
}

async fn what_cannot_be_kept_is_refused(farm: Farm) {
    let fleet = farm.lease.fleet;
    let (long, request) = ("k".repeat(501), spawn(None));
    for key in ["a\0b", long.as_str()] {
        let added = farm.store.add_intent(fleet, (&request, key, "operator"), at(10));
        assert_invalid(added.await);
    }
    assert_eq!(looked_at(&farm, 11).await, [""; 0]);
}

async fn a_decision_is_written_down_whole_and_once(farm: Farm) {
    let builder = farm.ready_builder().await;
    let fresh = add(&farm, "k", &Request::Release { builder: builder.id }).await;
    let decision = marking(builder.id, Some(mark(MarkKind::Cordoned, Some(99))));
    let foreign = Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    assert_lease_lost(
        farm.store
            .settle_intent(&foreign, &fresh, &decision, at(20))
            .await,
    );
    assert_eq!(farm.builder(builder.id).await.mark, None);
    let before = farm.last_event().await;
    settle(&farm, &fresh, &decision).await;
    let marked = farm.builder(builder.id).await;
    assert_eq!(marked.mark, Some(mark(MarkKind::Cordoned, Some(99))));
    assert_eq!(
        (marked.cordoned, marked.version),
        (true, builder.version),
        "it is no move"
    );
    let told: Vec<_> = farm
        .events_after(before)
        .await
        .into_iter()
        .map(|it| it.reason)
        .collect();
    let words = "cordoned by root until 2027-01-15T08:01:39Z: it smells";
    assert_eq!(told, [words, "it is marked"]);
    let done = intent(&farm, "k").await;
    assert_eq!(
        (done.state, done.words.as_str()),
        (IntentState::Done, "it is marked")
    );
    assert_eq!(done.builders, [builder.id]);
    assert_eq!(looked_at(&farm, 21).await, [""; 0]);
    // Another who looked when it was new comes too late, and changes nothing.
    let opposite = marking(builder.id, None);
    let late = farm.store.settle_intent(&farm.lease, &fresh, &opposite, at(21));
    assert_conflict(late.await);
    assert!(farm.builder(builder.id).await.cordoned);
    farm.store
        .lift_marks(&farm.lease, &[builder.id], at(22))
        .await
        .unwrap();
    let free = farm.builder(builder.id).await;
    assert_eq!((free.mark, free.cordoned), (None, false));
}

async fn who_looks_again_sees_marks_as_they_change(farm: Farm) {
    let builder = farm.ready_builder().await.id;
    let (store, fleet) = (&farm.store, farm.lease.fleet);
    let mut cache = FleetCache::default();
    for wanted in [
        None,
        Some(mark(MarkKind::Cordoned, None)),
        Some(mark(MarkKind::Cordoned, Some(80))),
        Some(mark(MarkKind::Held, Some(80))),
        Some(mark(MarkKind::Retired, None)),
        None,
    ] {
        mark_it(&farm, builder, wanted.clone()).await;
        let view = store.look_at_fleet(fleet, &mut cache, at(60)).await.unwrap();
        assert_eq!(view.builders[0].mark, wanted);
        assert_eq!(view.builders[0].cordoned, wanted.is_some());
    }
}

async fn a_builder_that_is_launched_for_an_intent_is_on_its_list(farm: Farm) {
    let fresh = add(&farm, "k", &spawn(None)).await;
    settle(&farm, &fresh, &Decision::of(IntentState::Running, "2 to launch")).await;
    let (one, other) = (new_builder(), new_builder());
    for new in [&one, &other] {
        let planned = farm.store.plan_builder_for(&farm.lease, new, Some("k"), at(21));
        planned.await.unwrap();
    }
    let running = intent(&farm, "k").await;
    assert_eq!(running.builders, [one.id, other.id]);
    // What is told of it later takes none off the list.
    let told = Decision::of(IntentState::Running, "0 of 2 ready");
    settle(&farm, &fresh_as(&running), &told).await;
    assert_eq!(intent(&farm, "k").await.builders, [one.id, other.id]);
    let lost = farm.builder(one.id).await;
    let change = because("nobody wants it");
    let gone = farm
        .store
        .transition(&farm.lease, &lost, BuilderState::Abandoned, &change, at(22));
    gone.await.unwrap();
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(23)).await.unwrap();
    let mut made: Vec<_> = view
        .made
        .iter()
        .map(|it| (it.id, it.state, it.was_ready))
        .collect();
    made.sort_by_key(|(id, ..)| *id);
    let mut expected = [
        (one.id, BuilderState::Abandoned, false),
        (other.id, BuilderState::Planned, false),
    ];
    expected.sort_by_key(|(id, ..)| *id);
    assert_eq!(made, expected, "also of those that ended");
    let third = new_builder();
    let of_nobody = farm
        .store
        .plan_builder_for(&farm.lease, &third, Some("gone"), at(24));
    assert_not_found(of_nobody.await);
    assert_eq!(
        farm.store.builder(third.id).await.unwrap(),
        None,
        "nothing is done by halves"
    );
}

/// The intent, as somebody looked at it who has not seen what was launched since.
fn fresh_as(running: &Intent) -> Intent {
    Intent {
        builders: vec![],
        ..running.clone()
    }
}

async fn what_keeps_builders_is_looked_at_until_its_time_is_over(farm: Farm) {
    let made = |state, words: &str| Decision {
        builders: vec![new_builder().id],
        ..Decision::of(state, words)
    };
    for (key, keep, decision) in [
        ("a", Some(100), made(IntentState::Done, "2 builders got ready")),
        ("b", None, made(IntentState::Done, "2 builders got ready")),
        ("c", Some(100), Decision::of(IntentState::Refused, "no room")),
        (
            "d",
            Some(100),
            made(IntentState::Refused, "1 of 2 launched: no room"),
        ),
        (
            "e",
            Some(100),
            made(IntentState::Failed, "1 of 2 never got ready"),
        ),
    ] {
        let fresh = add(&farm, key, &spawn(keep)).await;
        settle(&farm, &fresh, &decision).await;
    }
    assert_eq!(looked_at(&farm, 109).await, ["a", "d", "e"]);
    assert_eq!(looked_at(&farm, 110).await, [""; 0]);
    assert_eq!(intent(&farm, "a").await.keeps_until(), Some(at(110)));
    // A pool that is drained has nothing kept any more, also not when it launches again.
    let drain = |pool: &str| Decision {
        pause: Some((
            pool.parse().unwrap(),
            Some(Pause {
                by: "root".to_owned(),
                why: "new network".to_owned(),
                until: None,
            }),
        )),
        ..Decision::of(IntentState::Done, "it is so")
    };
    let spec = serde_json::json!({});
    // Also what has not come to its end yet keeps nothing after it.
    let fresh = add(&farm, "f", &spawn(Some(100))).await;
    settle(
        &farm,
        &fresh,
        &made(IntentState::Running, "2 builders are launched"),
    )
    .await;
    for (pool, left) in [("other", &["a", "d", "e", "f"][..]), ("small", &["f"])] {
        let name = pool.parse().unwrap();
        let recorded = farm.store.record_pool(&farm.lease, &name, &spec, pool, at(1));
        recorded.await.unwrap();
        let what = Target::Pool(name);
        let fresh = add(&farm, pool, &Request::Uncordon { what }).await;
        settle(&farm, &fresh, &drain(pool)).await;
        assert_eq!(looked_at(&farm, 109).await, left, "{pool}");
    }
    let running = Intent {
        state: IntentState::Running,
        ..fresh
    };
    settle(&farm, &running, &made(IntentState::Failed, "the pool is drained")).await;
    assert_eq!(looked_at(&farm, 109).await, [""; 0]);
}

async fn a_pool_is_paused_and_launches_again(farm: Farm) {
    let spec = serde_json::json!({});
    farm.store
        .record_pool(&farm.lease, &small(), &spec, "one", at(1))
        .await
        .unwrap();
    let pause = Pause {
        by: "root".to_owned(),
        why: "new network".to_owned(),
        until: Some(at(90)),
    };
    for (key, pause) in [("drain", Some(pause)), ("uncordon", None)] {
        let what = Target::Pool(small());
        let fresh = add(&farm, key, &Request::Uncordon { what }).await;
        let decision = Decision {
            pause: Some((small(), pause.clone())),
            ..Decision::of(IntentState::Done, "it is so")
        };
        settle(&farm, &fresh, &decision).await;
        // A new specification changes nothing of it.
        farm.store
            .record_pool(&farm.lease, &small(), &spec, key, at(30))
            .await
            .unwrap();
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(31)).await.unwrap();
        assert_eq!(view.pauses.get(&small()), pause.as_ref());
    }
}

/// A builder on which an attempt runs, and which is to be held for so many seconds then.
async fn busy_to_be_held(farm: &Farm, seconds: u64) -> (BuildId, Epoch, Builder) {
    let build = farm.submit().await.id;
    let epoch = farm.begin(build).await;
    let builder = farm.open_attempt(build).await.builder.unwrap();
    mark_it(farm, builder, Some(hold(seconds))).await;
    (build, epoch, farm.builder(builder).await)
}

async fn a_builder_that_is_to_be_held_is_held_when_its_attempt_ends(farm: Farm) {
    let (_, epoch, busy) = busy_to_be_held(&farm, 60).await;
    // Long after the command, since its build took that long.
    let finished = farm.store.finish_attempt(epoch, WORKER, &CANCELED, at(5000));
    finished.await.unwrap();
    let after = farm.builder(busy.id).await;
    assert_eq!(after.state, BuilderState::Held, "{:?}", after.reason);
    assert_eq!(after.deadline, Some(at(5060)), "its whole length");
    let told = after.mark.unwrap();
    assert_eq!(
        (told.until, told.lasts),
        (Some(at(5060)), Some(Span::seconds(60)))
    );
    let why = after.reason.unwrap();
    assert_eq!(why, "its attempt ended; held for root for 1m: it smells");
    // Another hold moves its end, also when whoever decided on it had not seen that it is held by now.
    let longer = Mark {
        until: Some(at(9000)),
        ..hold(1800)
    };
    mark_it(&farm, busy.id, Some(longer)).await;
    assert_eq!(farm.builder(busy.id).await.deadline, Some(at(9000)));
    mark_it(&farm, busy.id, Some(hold(1800))).await;
    let after = farm.builder(busy.id).await;
    assert_eq!(after.deadline, Some(at(20 + 1800)));
    assert_eq!(after.mark.unwrap().until, after.deadline);
}

async fn a_builder_that_is_to_be_held_is_held_also_when_nobody_ends_its_use(farm: Farm) {
    let drain = async |builder: &Builder, change: &Change| {
        let (store, lease) = (&farm.store, &farm.lease);
        let moved = store.transition(lease, builder, BuilderState::Draining, change, at(200));
        moved.await.unwrap()
    };
    let still = because("still busy after 90 s");
    let (build, _, busy) = busy_to_be_held(&farm, 60).await;
    let held = drain(&busy, &still).await;
    assert_eq!((held.state, held.deadline), (BuilderState::Held, Some(at(260))));
    let why = "still busy after 90 s; held for root for 1m: it smells";
    assert_eq!(held.reason.as_deref(), Some(why));
    assert_eq!(
        farm.states(build).await.2,
        AttemptState::Waiting,
        "another one follows"
    );

    // There is nothing to look at where the machine is gone.
    let gone = Change {
        is_gone: true,
        ..because("instance i-1 is terminated")
    };
    let (_, _, busy) = busy_to_be_held(&farm, 60).await;
    assert_eq!(drain(&busy, &gone).await.state, BuilderState::Draining);
    // Nor is one held that somebody has released meanwhile, or that never was to be.
    let (_, _, busy) = busy_to_be_held(&farm, 60).await;
    mark_it(&farm, busy.id, Some(mark(MarkKind::Retired, None))).await;
    assert_eq!(drain(&busy, &still).await.state, BuilderState::Draining);
}

async fn what_is_over_for_long_is_taken_away(farm: Farm) {
    for key in ["over", "open"] {
        add(&farm, key, &spawn(None)).await;
    }
    let over = intent(&farm, "over").await;
    settle(
        &farm,
        &over,
        &Decision::of(IntentState::Nothing, "there is nothing"),
    )
    .await;
    let hour = Duration::from_secs(3600);
    for (before, expected) in [(at(20), true), (at(20).plus(hour), false)] {
        while farm.store.prune(before).await.unwrap() > 0 {}
        let found = farm.store.intent(farm.lease.fleet, "over").await.unwrap();
        assert_eq!(found.is_some(), expected);
    }
    assert_eq!(looked_at(&farm, 9999).await, ["open"]);
}
