//! Giving ready builders to waiting attempts, and what those who wait are told.

use std::collections::BTreeSet;

use model::{AttemptId, AttemptState, BuildState, BuilderState, plan::Wait};
use store::{AllocationState, Assignment, BuildOptions, Builder, Error, FleetCache, NewUpload, Store};
use uuid::Uuid;

use crate::{
    farm::{
        CANCELED, CHROOT, Farm, assert_conflict, assert_lease_lost, assert_not_found, because, chroot,
        the_one_winner,
    },
    support::at,
};

on_both_databases!(
    the_queue_is_told_in_the_order_of_service,
    an_assignment_moves_attempt_builder_and_build_at_once,
    of_two_who_assign_one_builder_one_wins,
    a_builder_that_waits_for_others_is_given_time,
    of_two_who_assign_one_attempt_one_wins,
    a_builder_that_changed_since_it_was_looked_at_is_not_assigned,
    an_attempt_that_does_not_wait_is_not_assigned,
    of_many_assignments_one_that_lost_a_race_or_cannot_be_read_keeps_nothing_from_the_others,
    two_that_assign_the_same_in_opposite_orders_do_not_wait_for_each_other,
    who_lost_the_lease_assigns_nothing,
    later_allocations_have_higher_numbers,
    who_waits_is_told_why_until_it_has_a_builder,
    active_attempts_are_counted_by_owner,
);

async fn the_queue_is_told_in_the_order_of_service(farm: Farm) {
    let late = farm
        .store
        .submit_upload(&farm.upload(&[CHROOT]), at(30))
        .await
        .unwrap();
    let background = NewUpload {
        options: BuildOptions {
            background: true,
            ..BuildOptions::default()
        },
        ..farm.upload(&[CHROOT])
    };
    let early = farm.store.submit_upload(&background, at(20)).await.unwrap();
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(40)).await.unwrap();
    assert_eq!(view.at, at(40));
    let queue: Vec<_> = view
        .queue
        .iter()
        .map(|it| (it.build, it.background, it.queued_at))
        .collect();
    assert_eq!(queue, [(late.id, false, at(30)), (early.id, true, at(20))]);
    assert_eq!(
        (view.queue[0].chroot.as_str(), &view.queue[0].owner),
        (CHROOT, &farm.user.name)
    );
}

async fn an_assignment_moves_attempt_builder_and_build_at_once(farm: Farm) {
    let id = farm.submit().await.id;
    let (waiting, ready) = (farm.open_attempt(id).await, farm.ready_builder().await);
    let before = farm.last_event().await;
    let epoch = farm
        .store
        .assign(&farm.lease, waiting.id, &ready, at(60), at(3))
        .await
        .unwrap();

    assert_eq!(
        farm.states(id).await,
        (BuildState::Starting, BuildState::Starting, AttemptState::Assigned)
    );
    let attempt = farm.attempt(waiting.id).await;
    assert_eq!((attempt.epoch, attempt.builder), (Some(epoch), Some(ready.id)));
    let builder = farm.builder(ready.id).await;
    assert_eq!(
        (builder.state, builder.version),
        (BuilderState::Reserved, ready.version + 1)
    );
    assert_eq!((builder.entered_at, builder.deadline), (at(3), Some(at(60))));

    let offered = farm.store.offered_allocations(10).await.unwrap();
    assert_eq!(offered.len(), 1);
    assert_eq!(
        (offered[0].epoch, offered[0].state),
        (epoch, AllocationState::Offered)
    );
    assert_eq!((&offered[0].attempt, &offered[0].builder), (&attempt, &builder));
    assert_eq!((&offered[0].worker, offered[0].offered_at), (&None, at(3)));

    let events = farm.events_after(before).await;
    let told: Vec<_> = events
        .iter()
        .map(|it| {
            (
                it.subject_kind.as_str(),
                it.old_state.as_deref(),
                it.new_state.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("builder", Some("ready"), Some("reserved")),
            ("attempt", Some("waiting"), Some("assigned")),
            ("build", Some("pending"), Some("starting")),
        ]
    );
    assert_eq!(events[1].builder, Some(ready.id));
}

async fn of_two_who_assign_one_builder_one_wins(farm: Farm) {
    let (first, second) = (farm.submit().await.id, farm.submit().await.id);
    let (left, right) = (
        farm.open_attempt(first).await.id,
        farm.open_attempt(second).await.id,
    );
    let builder = farm.ready_builder().await;
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let (one, other) = tokio::join!(
        here.assign(&farm.lease, left, &builder, at(60), at(3)),
        there.assign(&farm.lease, right, &builder, at(60), at(3)),
    );
    let epoch = the_one_winner(vec![one, other]);
    let states = [farm.attempt(left).await, farm.attempt(right).await];
    let assigned: Vec<_> = states
        .iter()
        .filter(|it| it.state == AttemptState::Assigned)
        .collect();
    assert_eq!(assigned.len(), 1);
    assert_eq!(assigned[0].epoch, Some(epoch));
}

async fn a_builder_that_waits_for_others_is_given_time(farm: Farm) {
    let builder = farm.builder_in(BuilderState::Booting).await;
    let given = farm
        .store
        .give_time(&farm.lease, &builder, at(500))
        .await
        .unwrap();
    assert_eq!(
        (given.deadline, given.version),
        (Some(at(500)), builder.version + 1)
    );
    assert_eq!(farm.builder(builder.id).await, given);
    // Whoever decided on an older look at its clock comes too late.
    assert_conflict(farm.store.give_time(&farm.lease, &builder, at(600)).await);
    let (to, over) = (BuilderState::Terminating, because("its time is over"));
    let end = farm.store.transition(&farm.lease, &builder, to, &over, at(400));
    assert_conflict(end.await);
    assert_eq!(farm.builder(builder.id).await, given);
}

async fn of_two_who_assign_one_attempt_one_wins(farm: Farm) {
    let id = farm.submit().await.id;
    let attempt = farm.open_attempt(id).await.id;
    let (left, right) = (farm.ready_builder().await, farm.ready_builder().await);
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let (one, other) = tokio::join!(
        here.assign(&farm.lease, attempt, &left, at(60), at(3)),
        there.assign(&farm.lease, attempt, &right, at(60), at(3)),
    );
    let epoch = the_one_winner(vec![one, other]);
    let attempt = farm.attempt(attempt).await;
    assert_eq!(attempt.epoch, Some(epoch));
    for builder in [farm.builder(left.id).await, farm.builder(right.id).await] {
        let expected = if attempt.builder == Some(builder.id) {
            BuilderState::Reserved
        } else {
            BuilderState::Ready
        };
        assert_eq!(builder.state, expected);
    }
}

async fn a_builder_that_changed_since_it_was_looked_at_is_not_assigned(farm: Farm) {
    let id = farm.submit().await.id;
    let attempt = farm.open_attempt(id).await.id;
    let assign = async |builder| {
        farm.store
            .assign(&farm.lease, attempt, builder, at(60), at(9))
            .await
    };
    let before = farm.last_event().await;

    let looked_at = farm.ready_builder().await;
    farm.store
        .set_cordon(looked_at.id, true, "operator", at(3))
        .await
        .unwrap();
    assert_conflict(assign(&looked_at).await);
    farm.store
        .set_cordon(looked_at.id, false, "operator", at(3))
        .await
        .unwrap();
    farm.go(&looked_at, BuilderState::Checking).await;
    assert_conflict(assign(&looked_at).await);
    // Ready again, but who knows what it went through.
    let checked = farm.builder(looked_at.id).await;
    let again = farm.go(&checked, BuilderState::Ready).await;
    assert_conflict(assign(&looked_at).await);
    for state in [BuilderState::Planned, BuilderState::Booting] {
        let unready = farm.builder_in(state).await;
        let answer = farm
            .store
            .assign(&farm.lease, attempt, &unready, at(60), at(9))
            .await;
        assert_conflict(answer);
    }
    assert_eq!(farm.attempt(attempt).await.state, AttemptState::Waiting);
    let events = farm.events_after(before).await;
    assert!(
        events.iter().all(|event| event.subject_kind == "builder"),
        "{events:?}"
    );

    assign(&again).await.unwrap();
}

async fn an_attempt_that_does_not_wait_is_not_assigned(farm: Farm) {
    let id = farm.submit().await.id;
    let attempt = farm.open_attempt(id).await.id;
    farm.collect(id).await;
    let builder = farm.ready_builder().await;
    assert_conflict(
        farm.store
            .assign(&farm.lease, attempt, &builder, at(60), at(9))
            .await,
    );
    farm.publish(CHROOT).await;
    assert_conflict(
        farm.store
            .assign(&farm.lease, attempt, &builder, at(60), at(9))
            .await,
    );
    let cancelled = farm.submit().await.id;
    let attempt = farm.open_attempt(cancelled).await.id;
    farm.store
        .cancel_build(cancelled, "user:alice", at(9))
        .await
        .unwrap();
    assert_conflict(
        farm.store
            .assign(&farm.lease, attempt, &builder, at(60), at(9))
            .await,
    );
    let nothing = AttemptId(Uuid::now_v7());
    assert_not_found(
        farm.store
            .assign(&farm.lease, nothing, &builder, at(60), at(9))
            .await,
    );
    assert_eq!(farm.builder(builder.id).await, builder);
}

async fn of_many_assignments_one_that_lost_a_race_or_cannot_be_read_keeps_nothing_from_the_others(
    farm: Farm,
) {
    let mut wanted = Vec::new();
    for _ in 0..5 {
        let id = farm.submit().await.id;
        wanted.push((id, farm.open_attempt(id).await.id, farm.ready_builder().await));
    }
    farm.store
        .cancel_build(wanted[1].0, "user:alice", at(3))
        .await
        .unwrap();
    farm.go(&wanted[2].2, BuilderState::Checking).await;
    let bad = format!("UPDATE build SET state = 'nonsense' WHERE id = {}", wanted[3].0);
    let raw = farm.raw().await;
    // A newer program may know more states, and have made room for them.
    raw.execute(if raw.is_postgres() {
        "ALTER TABLE build DROP CONSTRAINT build_state_check"
    } else {
        "PRAGMA ignore_check_constraints = ON"
    })
    .await;
    raw.execute(&bad).await;
    let assignments: Vec<_> = wanted
        .iter()
        .map(|(_, attempt, builder)| Assignment {
            attempt: *attempt,
            builder,
            deadline: at(60),
        })
        .collect();
    let given = farm
        .store
        .assign_all(&farm.lease, &assignments, at(9))
        .await
        .unwrap();
    let is_given: Vec<bool> = given.iter().map(Result::is_ok).collect();
    assert_eq!(is_given, [true, false, false, false, true]);
    assert!(matches!(given[3], Err(Error::Corrupt { .. })), "{:?}", given[3]);
    for ((_, attempt, builder), epoch) in wanted.iter().zip(given) {
        let attempt = farm.attempt(*attempt).await;
        assert_eq!(attempt.builder, epoch.is_ok().then_some(builder.id));
        if let Ok(epoch) = epoch {
            assert_eq!(attempt.epoch, Some(epoch));
            assert_eq!(farm.builder(builder.id).await.state, BuilderState::Reserved);
        }
    }
}

async fn two_that_assign_the_same_in_opposite_orders_do_not_wait_for_each_other(farm: Farm) {
    let mut wanted = Vec::new();
    for _ in 0..12 {
        let id = farm.submit().await.id;
        wanted.push((farm.open_attempt(id).await.id, farm.ready_builder().await));
    }
    let there = farm.database.connect().await;
    let back: Vec<_> = wanted.iter().rev().cloned().collect();
    let give = async |store: &Store, pairs: &[(AttemptId, Builder)]| {
        let wanted: Vec<_> = pairs
            .iter()
            .map(|(attempt, builder)| Assignment {
                attempt: *attempt,
                builder,
                deadline: at(60),
            })
            .collect();
        store.assign_all(&farm.lease, &wanted, at(9)).await.unwrap()
    };
    let (one, other) = tokio::join!(give(&farm.store, &wanted), give(&there, &back));
    for (forth, back) in one.into_iter().zip(other.into_iter().rev()) {
        the_one_winner(vec![forth, back]);
    }
}

async fn who_lost_the_lease_assigns_nothing(farm: Farm) {
    let id = farm.submit().await.id;
    let (attempt, builder) = (farm.open_attempt(id).await.id, farm.ready_builder().await);
    let wanted = [Assignment {
        attempt,
        builder: &builder,
        deadline: at(60),
    }];
    farm.store.release_lease(&farm.lease, at(3)).await.unwrap();
    assert_lease_lost(farm.store.assign_all(&farm.lease, &wanted, at(9)).await);
    assert_eq!(farm.attempt(attempt).await.state, AttemptState::Waiting);
    assert_eq!(farm.builder(builder.id).await, builder);
}

async fn later_allocations_have_higher_numbers(farm: Farm) {
    let mut last = None;
    for _ in 0..3 {
        let build = farm.submit().await.id;
        let epoch = farm.begin(build).await;
        assert!(Some(epoch) > last, "{epoch} {last:?}");
        // Not even after a deletion is a number given out again.
        farm.finish(epoch, &CANCELED).await;
        farm.store
            .delete_builds(&BTreeSet::from([build]), at(9))
            .await
            .unwrap();
        last = Some(epoch);
    }
}

async fn who_waits_is_told_why_until_it_has_a_builder(farm: Farm) {
    let id = farm.submit().await.id;
    let attempt = farm.open_attempt(id).await.id;
    let wait = |reason: &str| Wait {
        attempt,
        build: id,
        chroot: chroot(CHROOT),
        owner: "alice".parse().unwrap(),
        position: 1,
        reason: reason.into(),
    };
    let view = async || farm.store.fleet_snapshot(farm.lease.fleet, at(2)).await.unwrap();
    let told = async || farm.chroot_of(id).await.waiting_reason;
    let mut cache = FleetCache::default();
    let mut tell = async |waits: &[Wait]| {
        (farm.store.set_waits(&farm.lease, &mut cache, waits))
            .await
            .unwrap();
    };
    let new = Some("no controller has looked at it yet".to_owned());
    assert_eq!(told().await, new);
    tell(&[wait("pool small is at its maximum")]).await;
    assert_eq!(told().await.as_deref(), Some("pool small is at its maximum"));
    let reasons = view().await.reasons;
    assert_eq!(&*reasons[&attempt], "pool small is at its maximum");
    tell(&[wait("a builder boots")]).await;
    assert_eq!(told().await.as_deref(), Some("a builder boots"));

    farm.begin(id).await;
    assert_eq!(told().await, None);
    let stranger = Wait {
        attempt: AttemptId(Uuid::now_v7()),
        ..wait("nobody")
    };
    tell(&[wait("too late"), stranger]).await;
    assert_eq!(told().await, None);
    farm.lose_builder(id, "gone", at(9)).await;
    assert_eq!(told().await, new, "another attempt waits, which is new as well");
}

async fn active_attempts_are_counted_by_owner(farm: Farm) {
    let active = async || {
        farm.store
            .fleet_snapshot(farm.lease.fleet, at(9))
            .await
            .unwrap()
            .active
    };
    let (first, second) = (farm.submit().await.id, farm.submit().await.id);
    farm.submit().await;
    assert!(active().await.is_empty());
    farm.assign(first).await;
    let epoch = farm.begin(second).await;
    assert_eq!(active().await, [(farm.user.name.clone(), 2)].into());
    farm.finish(epoch, &crate::farm::collected(second)).await;
    assert_eq!(active().await, [(farm.user.name.clone(), 1)].into());
}
