//! Builders that are used more than once, by one sandbox only.

use std::time::Duration;

use model::{Blame, BuildId, BuilderState, Epoch, Sandbox, builder::Deadlines};
use store::{Builder, Change, NewUpload, NewUser, Outcome};

use crate::{
    farm::{CHROOT, Farm, WORKER, assert_conflict, because, collected, failed, new_builder},
    support::at,
};

on_both_databases!(
    a_builder_belongs_to_the_sandbox_of_its_first_attempt_once_a_worker_has_taken_it_up,
    a_used_builder_is_given_to_its_sandbox_only,
    a_builder_that_may_be_used_again_is_cleaned_unless_its_attempt_speaks_against_it,
    an_offer_that_nobody_took_up_takes_no_right_to_be_used_again,
    a_builder_that_is_ready_again_proves_nothing_of_its_pools_launches,
);

/// A ready builder that may be used again until 100.
async fn reusable(farm: &Farm) -> Builder {
    let builder = farm.builder_in(BuilderState::Checking).await;
    get_ready(farm, &builder).await
}

async fn get_ready(farm: &Farm, builder: &Builder) -> Builder {
    let ready = Change {
        reusable_until: Some(at(100)),
        ..because("a test")
    };
    let (store, lease) = (&farm.store, &farm.lease);
    let moved = store.transition(lease, builder, BuilderState::Ready, &ready, at(2));
    moved.await.unwrap()
}

async fn begin_on(farm: &Farm, builder: &Builder, build: BuildId) -> Result<Epoch, store::Error> {
    let attempt = farm.open_attempt(build).await;
    let (store, lease) = (&farm.store, &farm.lease);
    let epoch = store.assign(lease, attempt.id, builder, at(60), at(3)).await?;
    farm.accept(epoch).await;
    Ok(epoch)
}

async fn submit_by_another(farm: &Farm) -> BuildId {
    let bob = NewUser {
        name: "bob".parse().unwrap(),
        is_operator: false,
    };
    let bob = farm.store.create_user(&bob, at(0)).await.unwrap();
    let upload = NewUpload {
        submitter: bob.id,
        ..farm.upload(&[CHROOT])
    };
    farm.store.submit_upload(&upload, at(1)).await.unwrap().id
}

async fn a_builder_belongs_to_the_sandbox_of_its_first_attempt_once_a_worker_has_taken_it_up(farm: Farm) {
    let expected = Sandbox::new(&farm.user.name, &farm.project.name, &farm.user.name);
    let build = farm.submit().await.id;
    let ready = reusable(&farm).await;
    assert_eq!((ready.sandbox, ready.uses), (None, 0));
    // Nothing has happened on one that is given and taken back.
    let attempt = farm.open_attempt(build).await.id;
    let ready = farm.builder(ready.id).await;
    let assigned = farm.store.assign(&farm.lease, attempt, &ready, at(60), at(3));
    assigned.await.unwrap();
    let reserved = farm.builder(ready.id).await;
    let back = farm.go(&reserved, BuilderState::Ready).await;
    assert_eq!((&back.sandbox, back.uses), (&None, 0));

    let epoch = begin_on(&farm, &back, build).await.unwrap();
    let busy = farm.builder(back.id).await;
    assert_eq!((busy.sandbox.as_ref(), busy.uses), (Some(&expected), 1));
    farm.finish(epoch, &collected(build)).await;
    let cleaning = farm.builder(busy.id).await;
    assert_eq!(cleaning.state, BuilderState::Cleaning);
    let limit = Deadlines::default().clean;
    assert_eq!(
        cleaning.deadline.unwrap().since(cleaning.entered_at),
        limit,
        "{cleaning:?}"
    );

    let ready = get_ready(&farm, &cleaning).await;
    assert_eq!(
        ready.ready_at, back.ready_at,
        "since it was ready for the first time"
    );
    let again = farm.submit().await.id;
    begin_on(&farm, &ready, again).await.unwrap();
    let busy = farm.builder(busy.id).await;
    assert_eq!((busy.sandbox, busy.uses), (Some(expected), 2));
}

async fn a_used_builder_is_given_to_its_sandbox_only(farm: Farm) {
    let first = farm.submit().await.id;
    let ready = reusable(&farm).await;
    let epoch = begin_on(&farm, &ready, first).await.unwrap();
    farm.finish(epoch, &collected(first)).await;
    let cleaned = get_ready(&farm, &farm.builder(ready.id).await).await;
    let others = submit_by_another(&farm).await;
    let before = farm.last_event().await;
    assert_conflict(begin_on(&farm, &cleaned, others).await);
    assert_eq!(farm.events_after(before).await, []);

    // Not even by somebody who has not seen that it was used.
    let blind = Builder {
        sandbox: None,
        ..cleaned.clone()
    };
    let attempt = farm.open_attempt(others).await;
    let epoch = farm
        .store
        .assign(&farm.lease, attempt.id, &blind, at(60), at(3))
        .await
        .unwrap();
    let accepted = farm.store.accept_allocation(epoch, WORKER, at(120), at(4)).await;
    assert_conflict(accepted);
    let builder = farm.builder(cleaned.id).await;
    assert_eq!((builder.state, builder.uses), (BuilderState::Reserved, 1));
}

async fn a_builder_that_may_be_used_again_is_cleaned_unless_its_attempt_speaks_against_it(farm: Farm) {
    let table: [(Outcome, BuilderState); 4] = [
        (
            failed(Blame::Package, "it does not compile"),
            BuilderState::Cleaning,
        ),
        (
            failed(Blame::Infrastructure, "the disk is full"),
            BuilderState::Draining,
        ),
        (
            Outcome::Canceled {
                result_directory: None,
            },
            BuilderState::Draining,
        ),
        (
            Outcome::Skipped {
                reason: "not for this architecture".to_owned(),
                result_directory: None,
            },
            BuilderState::Cleaning,
        ),
    ];
    for (outcome, expected) in table {
        let build = farm.submit().await.id;
        let ready = reusable(&farm).await;
        let epoch = begin_on(&farm, &ready, build).await.unwrap();
        farm.finish(epoch, &outcome).await;
        assert_eq!(farm.builder(ready.id).await.state, expected, "{outcome:?}");
    }
    // Its time is over, or it has none.
    let late = farm.submit().await.id;
    let ready = reusable(&farm).await;
    let epoch = begin_on(&farm, &ready, late).await.unwrap();
    let end = at(100).plus(Duration::from_secs(1));
    let outcome = failed(Blame::Package, "it does not compile");
    farm.store
        .finish_attempt(epoch, WORKER, &outcome, end)
        .await
        .unwrap();
    assert_eq!(farm.builder(ready.id).await.state, BuilderState::Draining);
    let build = farm.submit().await.id;
    let epoch = farm.begin(build).await;
    let builder = farm.open_attempt(build).await.builder.unwrap();
    farm.finish(epoch, &outcome).await;
    assert_eq!(farm.builder(builder).await.state, BuilderState::Draining);
}

async fn an_offer_that_nobody_took_up_takes_no_right_to_be_used_again(farm: Farm) {
    let builder = reusable(&farm).await;
    // Before its first build, and between two.
    for uses in 1..=2 {
        let build = farm.submit().await.id;
        let attempt = farm.open_attempt(build).await.id;
        let ready = farm.builder(builder.id).await;
        let assigned = farm.store.assign(&farm.lease, attempt, &ready, at(60), at(3));
        assigned.await.unwrap();
        let reserved = farm.builder(builder.id).await;
        let back = farm.go(&reserved, BuilderState::Ready).await;
        let epoch = begin_on(&farm, &back, build).await.unwrap();
        farm.finish(epoch, &collected(build)).await;
        let cleaning = farm.builder(builder.id).await;
        assert_eq!((cleaning.state, cleaning.uses), (BuilderState::Cleaning, uses));
        get_ready(&farm, &cleaning).await;
    }
    // What cleaning says is what holds from then on.
    let build = farm.submit().await.id;
    let epoch = begin_on(&farm, &farm.builder(builder.id).await, build)
        .await
        .unwrap();
    farm.finish(epoch, &collected(build)).await;
    let last = farm
        .go(&farm.builder(builder.id).await, BuilderState::Ready)
        .await;
    let build = farm.submit().await.id;
    let epoch = begin_on(&farm, &last, build).await.unwrap();
    farm.finish(epoch, &collected(build)).await;
    assert_eq!(farm.builder(builder.id).await.state, BuilderState::Draining);
}

/// How many builders of the pool in a row never got ready.
async fn failures(farm: &Farm) -> u32 {
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(9)).await.unwrap();
    let history = view.histories.get(&new_builder().pool);
    history.map_or(0, |history| history.failures)
}

async fn a_builder_that_is_ready_again_proves_nothing_of_its_pools_launches(farm: Farm) {
    let build = farm.submit().await.id;
    let warm = reusable(&farm).await;
    let epoch = begin_on(&farm, &warm, build).await.unwrap();
    for expected in 1..=2 {
        let booting = farm.builder_in(BuilderState::Booting).await;
        farm.go(&booting, BuilderState::Terminating).await;
        assert_eq!(failures(&farm).await, expected);
    }
    farm.finish(epoch, &collected(build)).await;
    let cleaned = get_ready(&farm, &farm.builder(warm.id).await).await;
    assert_eq!(failures(&farm).await, 2, "an old one was cleaned");
    let attempt = farm.open_attempt(farm.submit().await.id).await.id;
    let assigned = farm.store.assign(&farm.lease, attempt, &cleaned, at(60), at(3));
    assigned.await.unwrap();
    farm.go(&farm.builder(warm.id).await, BuilderState::Ready).await;
    assert_eq!(failures(&farm).await, 2, "nobody took one up");
    reusable(&farm).await;
    assert_eq!(failures(&farm).await, 0, "a new one got ready");
}
