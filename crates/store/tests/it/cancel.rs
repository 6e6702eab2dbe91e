//! Cancelling a build, wherever its attempts stand.

use model::{AttemptState, Blame, BuildId, BuildState};
use store::{CancelOutcome, Error, Renewal};

use crate::{
    farm::{
        CANCELED, CHROOT, Farm, OTHER_CHROOT, WORKER, assert_conflict, assert_not_found, collected, failed,
    },
    support::at,
};

on_both_databases!(
    what_waits_is_over_at_once,
    what_is_offered_is_ended_by_the_worker_that_takes_it_up,
    what_is_offered_and_withdrawn_is_cancelled_and_not_tried_again,
    what_runs_is_ended_by_its_worker,
    results_that_come_after_a_cancellation_are_not_published,
    a_loss_after_a_cancellation_is_not_tried_again,
    a_packages_own_failure_stays_one_after_a_cancellation,
    what_is_being_published_finishes,
    each_chroot_ends_where_it_stands,
    nothing_is_cancelled_twice_or_when_it_is_over,
    an_assignment_and_a_cancellation_at_once_agree,
);

const ALICE: &str = "user:alice";

async fn cancel(farm: &Farm, id: BuildId) -> Result<CancelOutcome, Error> {
    farm.store.cancel_build(id, ALICE, at(4)).await
}

const ENDED: CancelOutcome = CancelOutcome {
    ended: 1,
    requested: 0,
    publishing: 0,
};
const REQUESTED: CancelOutcome = CancelOutcome {
    ended: 0,
    requested: 1,
    publishing: 0,
};
const CANCELLED: (BuildState, BuildState, AttemptState) =
    (BuildState::Canceled, BuildState::Canceled, AttemptState::Canceled);

async fn what_waits_is_over_at_once(farm: Farm) {
    let id = farm.submit().await.id;
    let before = farm.last_event().await;
    assert_eq!(cancel(&farm, id).await.unwrap(), ENDED);
    assert_eq!(farm.states(id).await, CANCELLED);
    let build = farm.build(id).await;
    assert!(build.canceled);
    assert_eq!(build.ended_at, Some(at(4)));
    assert_eq!(build.chroots[0].failure.as_ref().unwrap().blame, Blame::Cancelled);
    assert_eq!(
        farm.store.attempts_of(id).await.unwrap().len(),
        1,
        "it is not tried again"
    );
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(5)).await.unwrap();
    assert!(view.queue.is_empty(), "{:?}", view.queue);
    let events = farm.events_after(before).await;
    assert!(
        events
            .iter()
            .all(|event| event.actor == ALICE && event.build == Some(id)),
        "{events:?}"
    );
    assert!(
        events.iter().any(|event| event.reason == "cancelled"),
        "{events:?}"
    );
}

async fn what_is_offered_is_ended_by_the_worker_that_takes_it_up(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.assign(id).await;
    assert_eq!(cancel(&farm, id).await.unwrap(), REQUESTED);
    let states = farm.states(id).await;
    assert_eq!(
        states,
        (BuildState::Canceled, BuildState::Starting, AttemptState::Assigned)
    );
    farm.accept(epoch).await;
    let renewal = farm.renew(epoch, WORKER, 0, (90, 5)).await;
    assert_eq!(renewal, Renewal::CancelWanted);
    farm.finish(epoch, &CANCELED).await;
    assert_eq!(farm.states(id).await, CANCELLED);
}

async fn what_is_offered_and_withdrawn_is_cancelled_and_not_tried_again(farm: Farm) {
    let id = farm.submit().await.id;
    farm.assign(id).await;
    cancel(&farm, id).await.unwrap();
    farm.lose_builder(id, "nobody took it up", at(70)).await;
    assert_eq!(farm.states(id).await, CANCELLED);
    assert_eq!(farm.store.attempts_of(id).await.unwrap().len(), 1);
}

async fn what_runs_is_ended_by_its_worker(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    let attempt = farm.open_attempt(id).await;
    assert!(!attempt.cancel_requested);
    assert_eq!(cancel(&farm, id).await.unwrap(), REQUESTED);
    let build = farm.build(id).await;
    assert_eq!((build.state, build.ended_at), (BuildState::Canceled, None));
    assert!(farm.open_attempt(id).await.cancel_requested);
    farm.finish(epoch, &CANCELED).await;
    assert_eq!(farm.states(id).await, CANCELLED);
    assert_eq!(farm.build(id).await.ended_at, Some(at(5)));
    assert_eq!(farm.attempt(attempt.id).await.blame, Some(Blame::Cancelled));
}

async fn results_that_come_after_a_cancellation_are_not_published(farm: Farm) {
    farm.publish(CHROOT).await;
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    cancel(&farm, id).await.unwrap();
    farm.finish(epoch, &collected(id)).await;
    assert_eq!(farm.states(id).await, CANCELLED);
    assert_eq!(farm.store.built_packages(id).await.unwrap(), []);
    let due = farm.store.publishable(10, at(9)).await.unwrap();
    assert!(due.iter().all(|place| place.chroot.as_str() != CHROOT), "{due:?}");
}

async fn a_loss_after_a_cancellation_is_not_tried_again(farm: Farm) {
    for end in [
        "the builder is gone",
        "the disk is full",
        "the worker says that it is cancelled",
    ] {
        let id = farm.submit().await.id;
        let epoch = farm.begin(id).await;
        cancel(&farm, id).await.unwrap();
        match end {
            "the builder is gone" => farm.lose_builder(id, end, at(9)).await,
            "the disk is full" => farm.finish(epoch, &failed(Blame::Infrastructure, end)).await,
            _ => farm.finish(epoch, &failed(Blame::Cancelled, end)).await,
        }
        assert_eq!(farm.states(id).await, CANCELLED, "{end}");
        let attempts = farm.store.attempts_of(id).await.unwrap();
        assert_eq!(
            (attempts.len(), attempts[0].blame),
            (1, Some(Blame::Cancelled)),
            "{end}"
        );
    }
}

async fn a_packages_own_failure_stays_one_after_a_cancellation(farm: Farm) {
    let id = farm.submit().await.id;
    let epoch = farm.begin(id).await;
    cancel(&farm, id).await.unwrap();
    farm.finish(epoch, &failed(Blame::Package, "it does not compile"))
        .await;
    let states = farm.states(id).await;
    assert_eq!(
        states,
        (BuildState::Canceled, BuildState::Failed, AttemptState::Failed)
    );
}

async fn what_is_being_published_finishes(farm: Farm) {
    let id = farm.submit().await.id;
    farm.collect(id).await;
    let before = farm.last_event().await;
    let refusal = cancel(&farm, id).await;
    assert!(
        refusal
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("being published"),
        "{refusal:?}"
    );
    assert_conflict(refusal);
    assert!(!farm.build(id).await.canceled);
    assert_eq!(farm.last_event().await, before);
    farm.publish(CHROOT).await;
    assert_eq!(farm.build(id).await.state, BuildState::Succeeded);
}

async fn each_chroot_ends_where_it_stands(farm: Farm) {
    let id = farm.submit_for(&[CHROOT, OTHER_CHROOT]).await.id;
    let first = farm.store.attempts_of(id).await.unwrap().remove(0);
    let builder = farm.ready_builder().await;
    let epoch = farm
        .store
        .assign(&farm.lease, first.id, &builder, at(60), at(3))
        .await
        .unwrap();
    farm.accept(epoch).await;
    farm.finish(epoch, &collected(id)).await;

    let expected = CancelOutcome {
        ended: 1,
        requested: 0,
        publishing: 1,
    };
    assert_eq!(cancel(&farm, id).await.unwrap(), expected);
    farm.publish(first.chroot.as_str()).await;
    let build = farm.build(id).await;
    assert_eq!(build.state, BuildState::Canceled);
    for chroot in &build.chroots {
        let is_first = chroot.name == first.chroot;
        let expected = if is_first {
            BuildState::Succeeded
        } else {
            BuildState::Canceled
        };
        assert_eq!(chroot.state, expected, "{}", chroot.name);
    }
}

async fn nothing_is_cancelled_twice_or_when_it_is_over(farm: Farm) {
    let waiting = farm.submit().await.id;
    cancel(&farm, waiting).await.unwrap();
    assert_conflict(cancel(&farm, waiting).await);

    let running = farm.submit().await.id;
    farm.begin(running).await;
    cancel(&farm, running).await.unwrap();
    assert_conflict(cancel(&farm, running).await);

    let published = farm.published_build().await.id;
    let broken = farm.submit().await.id;
    let epoch = farm.begin(broken).await;
    farm.finish(epoch, &failed(Blame::Package, "no")).await;
    for (id, state) in [(published, BuildState::Succeeded), (broken, BuildState::Failed)] {
        let before = farm.build(id).await;
        assert_conflict(cancel(&farm, id).await);
        assert_eq!(farm.build(id).await, before);
        assert_eq!((before.state, before.canceled), (state, false));
    }
    assert_not_found(cancel(&farm, BuildId(4711)).await);
}

async fn an_assignment_and_a_cancellation_at_once_agree(farm: Farm) {
    let there = farm.database.connect().await;
    for _ in 0..5 {
        let id = farm.submit().await.id;
        let (attempt, builder) = (farm.open_attempt(id).await.id, farm.ready_builder().await);
        let (assigned, cancelled) = tokio::join!(
            there.assign(&farm.lease, attempt, &builder, at(60), at(3)),
            cancel(&farm, id),
        );
        match assigned {
            Ok(_) => {
                assert_eq!(cancelled.unwrap(), REQUESTED);
                farm.lose_builder(id, "withdrawn", at(9)).await;
            }
            Err(refusal) => {
                assert!(matches!(refusal, Error::Conflict { .. }), "{refusal:?}");
                assert_eq!(cancelled.unwrap(), ENDED);
                assert_eq!(farm.builder(builder.id).await, builder);
            }
        }
        assert_eq!(farm.states(id).await, CANCELLED);
    }
}
