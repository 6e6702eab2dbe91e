//! Which repository is published next, what is read for it, and which of its snapshots are on record.

use model::BuildState;
use store::PublishedSnapshot;

use crate::{
    farm::{CHROOT, Farm, OTHER_CHROOT, WORKER, record, result_directory},
    publishing::{Key, begin, finish, is_due, wish},
    support::at,
};

on_both_databases!(
    the_oldest_wish_is_served_first_however_busy_another_project_is,
    a_repository_that_fails_stands_behind_those_that_wait_meanwhile,
    many_packages_are_read_in_pages_while_somebody_writes,
    an_attempt_that_cannot_be_read_keeps_no_other_from_its_users,
    more_attempts_than_one_transaction_finishes_succeed_all,
    the_rows_of_snapshots_follow_the_disk,
);

/// The repositories that are due, by their chroots and directories.
async fn due(farm: &Farm, now: u64) -> Vec<String> {
    let due = farm.store.publishable(100, at(now)).await.unwrap();
    due.iter()
        .map(|place| format!("{}/{}", place.directory, place.chroot))
        .collect()
}

async fn the_oldest_wish_is_served_first_however_busy_another_project_is(farm: Farm) {
    let (busy, quiet) = (Key::of(&farm, CHROOT), Key::of(&farm, OTHER_CHROOT));
    for key in [&busy, &quiet] {
        let empty = begin(&farm, key, 1).await;
        finish(&farm, key, &empty, 1).await.unwrap();
    }
    let name = |key: &Key| format!("{}/{}", key.directory, key.chroot);
    // Results are stored at the moment 5: while the busy one is published, and once more after another's.
    let first = farm.submit().await.id;
    farm.collect(first).await;
    let publication = begin(&farm, &busy, 6).await;
    wish(&farm, &busy, 7).await;
    wish(&farm, &quiet, 8).await;
    wish(&farm, &busy, 9).await;
    finish(&farm, &busy, &publication, 10).await.unwrap();
    assert_eq!(
        due(&farm, 10).await,
        [name(&busy), name(&quiet)],
        "it waits since 7"
    );

    let publication = begin(&farm, &busy, 11).await;
    wish(&farm, &busy, 12).await;
    finish(&farm, &busy, &publication, 13).await.unwrap();
    assert_eq!(
        due(&farm, 13).await,
        [name(&quiet), name(&busy)],
        "what was wished at 12 waits behind what was wished at 8"
    );
}

async fn a_repository_that_fails_stands_behind_those_that_wait_meanwhile(farm: Farm) {
    let (broken, other) = (Key::of(&farm, CHROOT), Key::of(&farm, OTHER_CHROOT));
    let publication = begin(&farm, &broken, 10).await;
    farm.store
        .fail_publication(broken.get(), publication.number, WORKER, "no", at(20))
        .await
        .unwrap();
    let name = |key: &Key| format!("{}/{}", key.directory, key.chroot);
    assert_eq!(due(&farm, 20).await, [name(&other)], "the pause is a second");
    assert_eq!(due(&farm, 21).await, [name(&other), name(&broken)]);
}

/// A repository of tens of thousands of packages: reading it needs no lock that anybody else could hold or wait for.
async fn many_packages_are_read_in_pages_while_somebody_writes(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let mut expected = Vec::new();
    for _ in 0..2 {
        let id = farm.submit().await.id;
        farm.collect(id).await;
        expected.push(result_directory(id));
    }
    let raw = farm.database.raw().await;
    raw.execute(
        "INSERT INTO collected_package (attempt, file_name, sha256, size, is_source, name, epoch, version, release,
            architecture, metadata_json)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300)
         SELECT attempt, 'p' || i || '.rpm', sha256, size, is_source, name, epoch, version, release, architecture,
            metadata_json FROM n, collected_package",
    )
    .await;
    let number = farm
        .store
        .begin_publication(key.get(), WORKER, at(6))
        .await
        .unwrap()
        .unwrap();
    let writer = raw.begin().await;
    writer
        .execute("UPDATE repository SET next_number = next_number + 1")
        .await;
    let publication = farm.store.publication(key.get(), number).await.unwrap();
    writer.commit().await;

    assert_eq!(publication.packages.len(), 2 * 1301);
    assert_eq!(publication.attempts.len(), 2);
    let found: Vec<_> = publication
        .packages
        .iter()
        .map(|it| (it.result_directory.clone(), it.file_name.clone()))
        .collect();
    assert!(found.is_sorted_by(|a, b| a < b), "by build and name, none twice");
    let mut directories: Vec<_> = found.into_iter().map(|(directory, _)| directory).collect();
    directories.dedup();
    assert_eq!(directories, expected);
    finish(&farm, &key, &publication, 7).await.unwrap();
}

async fn an_attempt_that_cannot_be_read_keeps_no_other_from_its_users(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let (spoilt, sound) = (farm.submit().await.id, farm.submit().await.id);
    farm.collect(spoilt).await;
    let attempt = farm.collect(sound).await;
    let raw = farm.database.raw().await;
    let sql = format!("UPDATE attempt SET result_directory = NULL WHERE build = {spoilt}");
    raw.execute(&sql).await;
    let publication = begin(&farm, &key, 6).await;
    assert_eq!(publication.attempts, [attempt]);
    finish(&farm, &key, &publication, 7).await.unwrap();
    assert_eq!(farm.build(sound).await.state, BuildState::Succeeded);
    assert_eq!(farm.build(spoilt).await.state, BuildState::Running);
}

async fn more_attempts_than_one_transaction_finishes_succeed_all(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let id = farm.submit().await.id;
    farm.collect(id).await;
    // Copies of the build that waits, as many as a farm has that could not publish for an hour.
    let raw = farm.database.raw().await;
    let columns = "project, directory, package, version, submitter, source_file, source_sha256, source_size,
        source_state, canceled, is_background, options, state, submitted_at";
    raw.execute(&format!(
        "INSERT INTO build (id, {columns})
         WITH RECURSIVE n(i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n WHERE i < 1230)
         SELECT i, {columns} FROM n, build"
    ))
    .await;
    raw.execute(
        "INSERT INTO build_chroot (build, chroot, state, attempts, directory, project)
         SELECT build.id, chroot, build_chroot.state, attempts, build.directory, build.project
         FROM build, build_chroot WHERE build.id > 1000",
    )
    .await;
    let id = if raw.is_postgres() {
        "gen_random_uuid()"
    } else {
        "randomblob(16)"
    };
    raw.execute(&format!(
        "INSERT INTO attempt (id, build, chroot, number, state, result_directory, log_bytes, cancel_requested, queued_at)
         SELECT {id}, build.id, chroot, number, attempt.state, 'x-' || build.id, log_bytes, cancel_requested, queued_at
         FROM build, attempt WHERE build.id > 1000"
    ))
    .await;
    let publication = begin(&farm, &key, 6).await;
    assert_eq!(publication.attempts.len(), 231);
    finish(&farm, &key, &publication, 7).await.unwrap();
    let left = raw
        .number("SELECT count(*) FROM attempt WHERE state <> 'succeeded'")
        .await;
    assert_eq!(left, 0);
    let left = raw
        .number("SELECT count(*) FROM build WHERE state <> 'succeeded'")
        .await;
    assert_eq!(left, 0);
    assert!(!is_due(&farm, &key, 1000).await);
}

async fn the_rows_of_snapshots_follow_the_disk(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    for now in [10, 20, 30] {
        wish(&farm, &key, now).await;
        let publication = begin(&farm, &key, now).await;
        finish(&farm, &key, &publication, now).await.unwrap();
    }
    let on_disk = |number: u64| PublishedSnapshot {
        record: record(number),
        at: at(number),
    };
    let numbers = async || -> Vec<u64> {
        let found = farm.store.snapshots(key.get()).await.unwrap();
        found.iter().map(|one| one.record.number).collect()
    };
    assert_eq!(numbers().await, [1, 2, 3]);
    // 1 was pruned; 4 was written by a worker that was killed before it could say so.
    let found = [2, 3, 4].map(on_disk);
    farm.store.keep_snapshots(key.get(), &found).await.unwrap();
    assert_eq!(numbers().await, [2, 3, 4]);
    // Who looked at the disk earlier takes away nothing that came since.
    farm.store.keep_snapshots(key.get(), &[on_disk(3)]).await.unwrap();
    assert_eq!(numbers().await, [3, 4]);
    farm.store.keep_snapshots(key.get(), &[]).await.unwrap();
    assert_eq!(numbers().await, [3, 4]);
}
