//! Attempts that ended and left nothing among the results.

use model::{AttemptId, Blame, BuildId};
use store::{EventFilter, Outcome};

use crate::{
    farm::{CANCELED, CHROOT, Farm, assert_not_found, collected, failed, result_directory},
    support::at,
};

on_both_databases!(
    attempts_that_ended_without_a_worker_are_found_until_their_results_are_known,
    they_come_in_pages_and_without_those_of_deleted_projects,
    results_are_added_only_where_there_are_none,
);

/// The builds of those that ended before a moment, and after which attempt to go on.
async fn found(
    farm: &Farm,
    before: u64,
    after: Option<AttemptId>,
    limit: u64,
) -> (Vec<BuildId>, Option<AttemptId>) {
    let found = farm
        .store
        .attempts_without_results(at(before), after, limit)
        .await;
    let (attempts, next) = found.unwrap();
    let mut builds: Vec<BuildId> = attempts.iter().map(|attempt| attempt.build).collect();
    builds.sort();
    (builds, next)
}

/// A build that its user ended while its worker was dead.
async fn lost_in_cancelling(farm: &Farm, end: u64) -> BuildId {
    let build = farm.submit().await.id;
    farm.begin(build).await;
    farm.store.cancel_build(build, "user:alice", at(8)).await.unwrap();
    farm.lose_builder(build, "its worker is silent", at(end)).await;
    build
}

async fn attempts_that_ended_without_a_worker_are_found_until_their_results_are_known(farm: Farm) {
    // Collected, failed with its logs, and ended in the queue: nothing is missing.
    farm.published_build().await;
    let build = farm.submit().await.id;
    let epoch = farm.begin(build).await;
    farm.finish(
        epoch,
        &Outcome::Skipped {
            reason: "s390x only".to_owned(),
            result_directory: Some(result_directory(build)),
        },
    )
    .await;
    let waiting = farm.submit().await.id;
    farm.store
        .cancel_build(waiting, "user:alice", at(8))
        .await
        .unwrap();
    // It goes on.
    let running = farm.submit().await.id;
    farm.begin(running).await;
    assert_eq!(found(&farm, 100, None, 9).await, (Vec::new(), None));

    let cancelled = lost_in_cancelling(&farm, 10).await;
    let third = farm.submit().await.id;
    for end in [20, 30, 40] {
        farm.begin(third).await;
        farm.lose_builder(third, "its worker is silent", at(end)).await;
    }
    // A worker that could keep nothing said so.
    let unkept = farm.submit().await.id;
    let epoch = farm.begin(unkept).await;
    farm.finish(epoch, &failed(Blame::Package, "no")).await;

    assert_eq!(found(&farm, 100, None, 9).await.0, [cancelled, third, unkept]);
    assert_eq!(found(&farm, 10, None, 9).await.0, [unkept], "which ended at 5");
    assert_eq!(found(&farm, 40, None, 9).await.0, [cancelled, unkept]);
    let attempts = farm.store.attempts_of(third).await.unwrap();
    let directory = result_directory(third);
    assert!(
        farm.store
            .add_results(attempts[2].id, &directory, at(50))
            .await
            .unwrap()
    );
    assert_eq!(found(&farm, 100, None, 9).await.0, [cancelled, unkept]);
    let chroot = farm.chroot_of(third).await;
    assert_eq!(chroot.result_directory.as_deref(), Some(directory.as_str()));
    let of_build = EventFilter {
        build: Some(third),
        ..EventFilter::default()
    };
    let told = farm.events(of_build).await.pop().unwrap();
    assert_eq!(told.reason, "its account is among the results");
}

async fn they_come_in_pages_and_without_those_of_deleted_projects(farm: Farm) {
    let mut builds = Vec::new();
    for end in 10..15 {
        builds.push(lost_in_cancelling(&farm, end).await);
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = found(&farm, 100, after, 2).await;
        assert!(page.len() <= 2, "{page:?}");
        all.extend(page);
        after = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(all, builds);
    farm.store.delete_project(farm.project.id, at(20)).await.unwrap();
    assert_eq!(found(&farm, 100, None, 2).await.0, []);
}

async fn results_are_added_only_where_there_are_none(farm: Farm) {
    let running = farm.submit_for(&[CHROOT]).await.id;
    let epoch = farm.begin(running).await;
    let attempt = farm.open_attempt(running).await.id;
    let add = async |id, directory: &str| farm.store.add_results(id, directory, at(9)).await;
    assert!(!add(attempt, "elsewhere").await.unwrap(), "it goes on");
    farm.finish(epoch, &collected(running)).await;
    assert!(!add(attempt, "elsewhere").await.unwrap(), "they are known");
    let known = farm.chroot_of(running).await.result_directory;
    assert_eq!(known, Some(result_directory(running)));

    let ended = farm.submit().await.id;
    let epoch = farm.begin(ended).await;
    let attempt = farm.open_attempt(ended).await.id;
    farm.finish(epoch, &CANCELED).await;
    assert!(add(attempt, &result_directory(ended)).await.unwrap());
    assert!(!add(attempt, "elsewhere").await.unwrap(), "by the first who did");
    assert_not_found(add(AttemptId(uuid::Uuid::from_u128(4711)), "x").await);
}
