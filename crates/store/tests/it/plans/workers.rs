//! What workers do, in the database.

use std::collections::BTreeMap;

use model::{AttemptId, BuildId, Timestamp};
use store::Store;
use uuid::Uuid;

use super::bench::Bench;
use crate::{
    farm::{CHROOT, OTHER_CHROOT, chroot, collected},
    support::at,
};

/// For attempts.
pub(super) async fn work(bench: &mut Bench, store: &Store) {
    let now = at(1_000_001);
    let worker = crate::farm::WORKER;
    bench
        .look("accepted_allocations", store.accepted_allocations(None))
        .await;
    bench
        .look(
            "accepted_allocations of one",
            store.accepted_allocations(Some(worker)),
        )
        .await;
    let offered = bench
        .look("offered_allocations", store.offered_allocations(32))
        .await;
    let (epoch, build) = (offered[0].epoch, offered[0].attempt.build);
    bench
        .look(
            "accept_allocation",
            store.accept_allocation(epoch, worker, at(2_000_000), now),
        )
        .await;
    bench
        .look(
            "renew_allocations",
            store.renew_allocations(worker, &BTreeMap::from([(epoch, 5)]), at(2_000_000), now),
        )
        .await;
    bench
        .look("silent_allocations", store.silent_allocations(now, 10))
        .await;
    bench
        .look("look_at_allocations", store.look_at_allocations(worker, &[epoch]))
        .await;
    let epoch = bench
        .look(
            "take_over_allocation",
            store.take_over_allocation(epoch, worker, worker, now, now),
        )
        .await;
    let fleet = bench.farm.lease.fleet;
    bench
        .look(
            "lose_to_stop",
            store.lose_to_stop(fleet, &["none".to_owned()], now),
        )
        .await;
    bench
        .look(
            "finish_attempt",
            store.finish_attempt(epoch, worker, &collected(build), now),
        )
        .await;
    bench
        .look("give_up_publications", store.give_up_publications(worker))
        .await;
    bench.look("publishable", store.publishable(9, now)).await;
    let ids: Vec<AttemptId> = (1..600_u128)
        .map(|n| AttemptId(Uuid::from_u128((0xa << 124) | n)))
        .collect();
    bench
        .look("existing_attempts", store.existing_attempts(&ids))
        .await;
    let digests: Vec<String> = (1..600).map(|n| format!("digest{n}")).collect();
    bench.look("used_sources", store.used_sources(&digests)).await;
    bench.look("projects_to_clear", store.projects_to_clear()).await;
    bench.look("prune", store.prune(at(100))).await;
}

/// What workers do for attempts whose workers are gone.
pub(super) async fn accounts(bench: &mut Bench, store: &Store) {
    let now = at(1_000_001);
    let (found, _) = bench
        .look(
            "attempts_without_results",
            store.attempts_without_results(Timestamp::from_micros(i64::MAX), None, 100),
        )
        .await;
    assert_eq!(found.len(), 0);
    let ended = AttemptId(Uuid::from_u128((0xa << 124) | 7));
    let is_added = bench
        .look("add_results", store.add_results(ended, "00000007-a", now))
        .await;
    assert!(!is_added, "its results are known");
}

/// What belongs into a repository beside which its directory has 40,000 builds for another chroot.
pub(super) async fn another_chroot(bench: &mut Bench, store: &Store) {
    let (directory, chroot) = (bench.farm.directory(), chroot(OTHER_CHROOT));
    let key = store::RepositoryKey {
        project: bench.farm.project.id,
        directory: &directory,
        chroot: &chroot,
    };
    let found = bench
        .look("publication of another chroot", store.publication(key, 1))
        .await;
    assert_eq!(found.packages, []);
}

/// What a worker does for a repository: for the main one, and for one of a directory in which few builds are.
pub(super) async fn publications(bench: &mut Bench, store: &Store) {
    let (project, chroot) = (bench.farm.project.id, chroot(CHROOT));
    let (worker, now) = (crate::farm::WORKER, at(1_000_004));
    let aside = "tools:pr:1".parse().unwrap();
    let upload = store::NewUpload {
        directory: aside,
        ..bench.farm.upload(&[CHROOT])
    };
    let build = store.submit_upload(&upload, now).await.unwrap().id;
    super::monitors(bench, store, &upload.directory).await;
    let key = store::RepositoryKey {
        project,
        directory: &upload.directory,
        chroot: &chroot,
    };
    bench
        .look("publication of a directory", store.publication(key, 1))
        .await;
    let begun = bench
        .look("begin_publication", store.begin_publication(key, worker, now))
        .await
        .unwrap();
    bench
        .look(
            "renew_publication",
            store.renew_publication(key, begun, worker, now),
        )
        .await;
    bench
        .look("published_repositories", store.published_repositories(None, 50))
        .await;
    bench
        .look("existing_builds", store.existing_builds(&[build, BuildId(1)]))
        .await;
    let record = crate::farm::record(begun);
    bench
        .look(
            "finish_publication",
            store.finish_publication(key, &record, worker, &[], now),
        )
        .await;
    let on_disk = [store::PublishedSnapshot { record, at: now }];
    bench
        .look("keep_snapshots", store.keep_snapshots(key, &on_disk))
        .await;
    bench
        .look("project_directories", store.project_directories(project))
        .await;
    // Nothing that is under way keeps the project from being deleted.
    store.cancel_build(build, "user:owner1", now).await.unwrap();
}
