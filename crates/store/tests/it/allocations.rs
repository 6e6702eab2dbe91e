//! Allocations from the worker's side: who may act for an attempt, and who may no longer.

use std::collections::BTreeMap;

use model::{AttemptState, Blame, BuildState, BuilderState, Epoch, builder::Deadlines};
use store::{AllocationState, Renewal};

use crate::{
    farm::{Farm, WORKER, assert_conflict, because, collected, failed, the_one_winner},
    support::at,
};

on_both_databases!(
    of_two_workers_who_take_an_offer_up_one_does,
    an_offer_that_was_taken_up_is_its_workers,
    an_offer_that_was_withdrawn_is_not_taken_up,
    signs_of_life_give_the_builder_time_and_keep_the_logs_length,
    nobody_but_its_worker_acts_on_an_allocation,
    a_late_worker_is_refused_and_changes_nothing,
    a_silent_workers_allocation_is_anothers_and_a_living_ones_is_not,
    of_two_who_take_over_one_does,
    a_worker_that_was_started_again_goes_on,
    whoever_takes_an_attempt_over_has_as_much_time_as_with_a_sign_of_life,
    one_sign_of_life_is_for_all_that_a_worker_drives,
    an_attempt_that_cannot_be_read_keeps_no_worker_from_the_others,
);

async fn of_two_workers_who_take_an_offer_up_one_does(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.assign(id).await;
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let (left, right) = tokio::join!(
        here.accept_allocation(epoch, "left", at(120), at(4)),
        there.accept_allocation(epoch, "right", at(120), at(4)),
    );
    the_one_winner(vec![left, right]);
    assert_eq!(farm.store.offered_allocations(10).await.unwrap(), []);
    assert_eq!(farm.store.accepted_allocations(None).await.unwrap().len(), 1);
}

async fn an_offer_that_was_taken_up_is_its_workers(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.assign(id).await;
    farm.store
        .accept_allocation(epoch, "left", at(120), at(4))
        .await
        .unwrap();

    assert_eq!(
        farm.states(id).await,
        (BuildState::Running, BuildState::Running, AttemptState::Running)
    );
    let chroot = farm.chroot_of(id).await;
    assert_eq!((chroot.started_at, chroot.ended_at), (Some(at(4)), None));
    let accepted = farm.store.accepted_allocations(Some("left")).await.unwrap();
    assert_eq!(accepted.len(), 1);
    let allocation = &accepted[0];
    assert_eq!(
        (allocation.epoch, allocation.state),
        (epoch, AllocationState::Accepted)
    );
    assert_eq!(
        (allocation.worker.as_deref(), allocation.renewed_at),
        (Some("left"), at(4))
    );
    assert_eq!(
        (allocation.builder.state, allocation.builder.deadline),
        (BuilderState::Busy, Some(at(120)))
    );
    assert_eq!(allocation.attempt.started_at, Some(at(4)));
    assert_eq!(farm.store.accepted_allocations(Some("right")).await.unwrap(), []);
    assert_conflict(farm.store.accept_allocation(epoch, "left", at(120), at(5)).await);
    assert_conflict(
        farm.store
            .accept_allocation(Epoch(4711), "left", at(120), at(5))
            .await,
    );
}

async fn an_offer_that_was_withdrawn_is_not_taken_up(farm: Farm) {
    for to in [BuilderState::Ready, BuilderState::Draining] {
        let id = farm.submit().await.id;
        let epoch = farm.assign(id).await;
        let offered = farm.open_attempt(id).await;
        let builder = farm.builder(offered.builder.unwrap()).await;
        let change = because("no worker took it up");
        farm.store
            .transition(&farm.lease, &builder, to, &change, at(61))
            .await
            .unwrap();

        assert_conflict(farm.store.accept_allocation(epoch, WORKER, at(120), at(62)).await);
        let waiting = farm.open_attempt(id).await;
        assert_eq!((waiting.id, waiting.number), (offered.id, 1), "the same attempt");
        assert_eq!(
            (waiting.state, waiting.builder, waiting.epoch, waiting.queued_at),
            (AttemptState::Waiting, None, None, offered.queued_at)
        );
        assert_eq!(farm.chroot_of(id).await.state, BuildState::Pending);
        assert_eq!(farm.builder(builder.id).await.state, to);
    }
    assert_eq!(farm.store.offered_allocations(10).await.unwrap(), []);
}

async fn signs_of_life_give_the_builder_time_and_keep_the_logs_length(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let before = farm.builder(farm.open_attempt(id).await.builder.unwrap()).await;
    let renewal = farm.renew(epoch, WORKER, 4096, (200, 100)).await;
    assert_eq!(renewal, Renewal::Held);
    assert_eq!(farm.open_attempt(id).await.log_bytes, 4096);
    let builder = farm.builder(before.id).await;
    assert_eq!(
        (builder.deadline, builder.entered_at),
        (Some(at(200)), before.entered_at)
    );
    let accepted = farm.store.accepted_allocations(None).await.unwrap();
    assert_eq!(accepted[0].renewed_at, at(100));

    // A controller that saw the old deadline must not act on it any more.
    let change = because("late");
    let overdue = farm
        .store
        .transition(&farm.lease, &before, BuilderState::Draining, &change, at(121))
        .await;
    assert_conflict(overdue);
    assert_eq!(farm.open_attempt(id).await.state, AttemptState::Running);

    farm.store.cancel_build(id, "user:alice", at(101)).await.unwrap();
    let looked = farm.store.look_at_allocations(WORKER, &[epoch]).await.unwrap();
    assert_eq!(looked, [(epoch, Renewal::CancelWanted)].into());
    let renewal = farm.renew(epoch, WORKER, 5000, (210, 102)).await;
    assert_eq!(
        renewal,
        Renewal::CancelWanted,
        "and the builder is its own until it is over"
    );
    assert_eq!(farm.builder(before.id).await.deadline, Some(at(210)));
}

async fn nobody_but_its_worker_acts_on_an_allocation(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.assign(id).await;
    let outcome = collected(id);
    // Not even its own before it took it up.
    for worker in [WORKER, "other"] {
        assert_eq!(farm.renew(epoch, worker, 1, (200, 3)).await, Renewal::Lost);
        assert_conflict(farm.store.finish_attempt(epoch, worker, &outcome, at(3)).await);
    }
    farm.accept(epoch).await;
    let before = (farm.build(id).await, farm.last_event().await);
    for worker in ["other", "", "worker-1 "] {
        assert_eq!(farm.renew(epoch, worker, 1, (200, 5)).await, Renewal::Lost);
        assert_conflict(farm.store.finish_attempt(epoch, worker, &outcome, at(5)).await);
    }
    assert_eq!((farm.build(id).await, farm.last_event().await), before);
    assert_eq!(farm.open_attempt(id).await.log_bytes, 0);
    farm.finish(epoch, &outcome).await;
}

/// The worker was cut off; its builder was given up, and the attempt after it runs already.
async fn a_late_worker_is_refused_and_changes_nothing(farm: Farm) {
    let id = farm.submit().await.id;
    let late = farm.begin(id).await;
    farm.lose_builder(id, "it does not answer", at(30)).await;
    let now = farm.begin(id).await;
    assert!(now > late);
    let before = (
        farm.build(id).await,
        farm.store.attempts_of(id).await.unwrap(),
        farm.last_event().await,
    );

    assert_eq!(farm.renew(late, WORKER, 9999, (900, 40)).await, Renewal::Lost);
    for outcome in [
        collected(id),
        failed(Blame::Package, "no"),
        failed(Blame::Infrastructure, "disk"),
    ] {
        assert_conflict(farm.store.finish_attempt(late, WORKER, &outcome, at(40)).await);
    }
    assert_conflict(farm.store.accept_allocation(late, WORKER, at(900), at(40)).await);
    assert_conflict(
        farm.store
            .take_over_allocation(late, WORKER, WORKER, at(900), at(40))
            .await,
    );

    let after = (
        farm.build(id).await,
        farm.store.attempts_of(id).await.unwrap(),
        farm.last_event().await,
    );
    assert_eq!(after, before);
    assert_eq!(farm.store.built_packages(id).await.unwrap(), []);
    farm.finish(now, &collected(id)).await;
}

async fn a_silent_workers_allocation_is_anothers_and_a_living_ones_is_not(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    farm.renew(epoch, WORKER, 10, (160, 100)).await;
    let take = async |from: &str, stale_before| {
        farm.store
            .take_over_allocation(epoch, from, "other", stale_before, at(150))
            .await
    };
    assert_conflict(take(WORKER, at(99)).await);
    assert_conflict(take(WORKER, at(100)).await);
    assert_conflict(take("somebody", at(140)).await);
    let now = take(WORKER, at(101)).await.unwrap();
    assert!(
        now > epoch,
        "a number of its own, so that nothing done under the old one counts"
    );
    assert_eq!(farm.open_attempt(id).await.epoch, Some(now));

    assert_eq!(farm.renew(epoch, WORKER, 11, (300, 151)).await, Renewal::Lost);
    assert_conflict(
        farm.store
            .finish_attempt(epoch, WORKER, &collected(id), at(151))
            .await,
    );
    let accepted = farm.store.accepted_allocations(Some("other")).await.unwrap();
    assert_eq!((accepted[0].epoch, accepted[0].renewed_at), (now, at(150)));
    for worker in [WORKER, "other"] {
        assert_eq!(farm.renew(epoch, worker, 11, (300, 151)).await, Renewal::Lost);
        assert_conflict(
            farm.store
                .finish_attempt(epoch, worker, &collected(id), at(151))
                .await,
        );
    }
    // It has the time of a sign of life to begin with: a minute and a half.
    assert_eq!(accepted[0].builder.deadline, Some(at(240)));
    farm.store
        .finish_attempt(now, "other", &collected(id), at(152))
        .await
        .unwrap();
    assert_eq!(farm.open_attempt(id).await.state, AttemptState::Publishing);
}

async fn of_two_who_take_over_one_does(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let (here, there) = (farm.store.clone(), farm.database.connect().await);
    let (left, right) = tokio::join!(
        here.take_over_allocation(epoch, WORKER, "left", at(100), at(150)),
        there.take_over_allocation(epoch, WORKER, "right", at(100), at(150)),
    );
    the_one_winner(vec![left, right]);
    assert_eq!(farm.store.accepted_allocations(None).await.unwrap().len(), 1);
}

async fn a_worker_that_was_started_again_goes_on(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    // It need not wait until it counts as silent.
    let now = farm
        .store
        .take_over_allocation(epoch, WORKER, WORKER, at(0), at(5))
        .await
        .unwrap();
    assert_conflict(
        farm.store
            .finish_attempt(epoch, WORKER, &collected(id), at(5))
            .await,
    );
    farm.finish(now, &collected(id)).await;
    for epoch in [epoch, now] {
        assert_conflict(
            farm.store
                .take_over_allocation(epoch, WORKER, WORKER, at(0), at(6))
                .await,
        );
    }
}

async fn whoever_takes_an_attempt_over_has_as_much_time_as_with_a_sign_of_life(farm: Farm) {
    let busy = Deadlines::USUAL.busy;
    let id = farm.submit().await.id;
    let epoch = farm.assign(id).await;
    let stands = async || {
        let accepted = farm.store.accepted_allocations(None).await.unwrap();
        (accepted[0].builder.deadline.unwrap(), accepted[0].builder.version)
    };
    let accepted = farm
        .store
        .accept_allocation(epoch, WORKER, at(10).plus(busy), at(10));
    accepted.await.unwrap();
    let before = stands().await;
    let taken = farm
        .store
        .take_over_allocation(epoch, WORKER, WORKER, at(0), at(11));
    let now = taken.await.unwrap();
    let after = stands().await;
    assert_eq!(
        after.0.since(before.0),
        at(11).since(at(10)),
        "a worker that was started again does not make its builder's time shorter"
    );
    assert!(after.1 > before.1, "nobody acts on an older look at its clock");
    let sizes = BTreeMap::from([(now, 0)]);
    let renewed = farm
        .store
        .renew_allocations(WORKER, &sizes, at(11).plus(busy), at(11));
    renewed.await.unwrap();
    assert_eq!(stands().await.0, after.0, "as with a sign of life");
}

/// However many a worker drives, it says so at once: one row that is no longer its own is told apart from the others.
async fn one_sign_of_life_is_for_all_that_a_worker_drives(farm: Farm) {
    let mut builds = Vec::new();
    let mut sizes = BTreeMap::new();
    for size in 1..=4 {
        let id = farm.submit().await.id;
        let epoch = farm.begin(id).await;
        builds.push(id);
        sizes.insert(epoch, size * 100);
    }
    let epochs: Vec<Epoch> = sizes.keys().copied().collect();
    farm.store
        .cancel_build(builds[1], "user:alice", at(9))
        .await
        .unwrap();
    farm.finish(epochs[2], &collected(builds[2])).await;
    let expected = [
        (epochs[0], Renewal::Held),
        (epochs[1], Renewal::CancelWanted),
        (epochs[2], Renewal::Lost),
        (epochs[3], Renewal::Held),
    ]
    .into();
    let answers = farm
        .store
        .renew_allocations(WORKER, &sizes, at(500), at(400))
        .await
        .unwrap();
    assert_eq!(answers, expected);
    assert_eq!(
        farm.store.look_at_allocations(WORKER, &epochs).await.unwrap(),
        expected
    );
    for (index, id) in [(0, builds[0]), (1, builds[1]), (3, builds[3])] {
        let attempt = farm.open_attempt(id).await;
        assert_eq!(attempt.log_bytes, sizes[&epochs[index]]);
        let builder = farm.builder(attempt.builder.unwrap()).await;
        assert_eq!(builder.deadline, Some(at(500)));
    }
    let silent = farm.store.silent_allocations(at(400), 10).await.unwrap();
    assert_eq!(silent, []);
    assert_eq!(farm.store.silent_allocations(at(401), 10).await.unwrap().len(), 3);
    assert_eq!(farm.store.silent_allocations(at(401), 2).await.unwrap().len(), 2);
}

async fn an_attempt_that_cannot_be_read_keeps_no_worker_from_the_others(farm: Farm) {
    let (spoilt, sound) = (farm.submit().await.id, farm.submit().await.id);
    farm.assign(spoilt).await;
    let epoch = farm.assign(sound).await;
    let raw = farm.raw().await;
    let spoil = |id| format!("UPDATE build SET options = '{{' WHERE id = {id}");
    raw.execute(&spoil(spoilt)).await;
    let epochs = |found: Vec<store::Allocation>| -> Vec<Epoch> { found.iter().map(|it| it.epoch).collect() };
    assert_eq!(epochs(farm.store.offered_allocations(10).await.unwrap()), [epoch]);
    farm.accept(epoch).await;
    let other = farm.submit().await.id;
    let lost = farm.begin(other).await;
    raw.execute(&spoil(other)).await;
    assert_eq!(
        epochs(farm.store.accepted_allocations(None).await.unwrap()),
        [epoch]
    );
    let silent = farm.store.silent_allocations(at(900), 10).await.unwrap();
    assert_eq!(epochs(silent), [epoch]);
    // Its worker goes on all the same: what it needs it has read before.
    assert_eq!(farm.renew(lost, WORKER, 1, (300, 200)).await, Renewal::Held);
}
