//! Publications: every wish is fulfilled, one worker at a time, many builds at once.

use model::{AttemptState, BuildState};
use store::{NewUpload, Outcome};

use crate::{
    farm::{
        CHROOT, Farm, NO_PROJECT, OTHER_CHROOT, WORKER, assert_conflict, assert_not_found, package_file,
        record, result_directory,
    },
    publishing::{Key, begin, finish, is_due, try_begin},
    support::at,
};

on_both_databases!(
    results_make_their_repository_due_until_it_is_published,
    of_many_workers_who_begin_a_publication_one_does,
    a_publication_holds_many_builds_and_all_that_was_there,
    results_that_come_during_a_publication_are_for_the_next,
    a_failed_publication_fails_no_build_and_is_tried_again_after_a_pause,
    pauses_double_up_to_a_limit_and_end_with_success,
    a_silent_publication_is_anothers_and_its_worker_can_no_longer_finish_it,
    signs_of_life_keep_a_publication,
    a_worker_that_was_started_again_gives_up_what_it_published_and_nothing_else,
    only_what_waits_for_the_repository_is_finished_in_it,
    directories_and_chroots_are_repositories_of_their_own,
    snapshots_are_told_in_order_with_numbers_of_their_own,
    numbers_go_on_after_the_highest_on_the_disk,
    a_repository_that_nobody_made_is_not_published,
);

async fn results_make_their_repository_due_until_it_is_published(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    assert!(
        is_due(&farm, &key, 1).await,
        "a new repository is published empty"
    );
    let empty = begin(&farm, &key, 1).await;
    assert_eq!((&empty.attempts, &empty.packages), (&vec![], &vec![]));
    assert!(!farm.store.is_published(key.get()).await.unwrap());
    finish(&farm, &key, &empty, 2).await.unwrap();
    assert!(farm.store.is_published(key.get()).await.unwrap());
    assert!(!is_due(&farm, &key, 2).await);
    assert_eq!(try_begin(&farm, &key, WORKER, 2).await, None);

    let id = farm.submit().await.id;
    assert!(!is_due(&farm, &key, 3).await);
    let attempt = farm.collect(id).await;
    assert!(is_due(&farm, &key, 6).await);
    let publication = begin(&farm, &key, 6).await;
    assert!(!is_due(&farm, &key, 6).await, "somebody is at it");
    assert_eq!(publication.attempts, [attempt]);
    let package = &publication.packages[0];
    let expected = package_file("hello");
    assert_eq!(
        (package.attempt, &package.result_directory),
        (attempt, &result_directory(id))
    );
    assert_eq!(
        (&package.file_name, &package.sha256),
        (&expected.file_name, &expected.sha256)
    );
    assert_eq!(
        (package.size, package.is_source),
        (expected.size, expected.is_source)
    );
    assert_eq!(
        (&package.package, &package.metadata_json),
        (&expected.package, &expected.metadata_json)
    );
    assert_eq!(farm.build(id).await.state, BuildState::Running);

    let before = farm.last_event().await;
    finish(&farm, &key, &publication, 7).await.unwrap();
    assert_eq!(farm.states(id).await.2, AttemptState::Succeeded);
    assert!(!is_due(&farm, &key, 1000).await);
    let kinds: Vec<_> = farm
        .events_after(before)
        .await
        .into_iter()
        .map(|it| it.subject_kind)
        .collect();
    assert_eq!(kinds, ["attempt", "build", "repository"]);
}

async fn of_many_workers_who_begin_a_publication_one_does(farm: Farm) {
    let id = farm.submit().await.id;
    farm.collect(id).await;
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (store, key) = (farm.database.connect().await, Key::of(&farm, CHROOT));
        workers.spawn(async move {
            let worker = format!("worker-{number}");
            let number = store
                .begin_publication(key.get(), &worker, at(6))
                .await
                .unwrap()?;
            let publication = store.publication(key.get(), number).await.unwrap();
            Some((worker, publication))
        });
    }
    let begun: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(begun.len(), 1, "{begun:?}");
    let (worker, publication) = &begun[0];
    let key = Key::of(&farm, CHROOT);
    let record = record(publication.number);
    let finish = async |worker: &str| {
        farm.store
            .finish_publication(key.get(), &record, worker, &publication.attempts, at(7))
            .await
    };
    assert_conflict(finish("another").await);
    finish(worker).await.unwrap();
    assert_conflict(finish(worker).await);
    assert_eq!(farm.build(id).await.state, BuildState::Succeeded);
}

async fn a_publication_holds_many_builds_and_all_that_was_there(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let old = farm.published_build().await;
    let mut attempts = Vec::new();
    let mut directories = vec![result_directory(old.id)];
    for _ in 0..3 {
        let id = farm.submit().await.id;
        attempts.push(farm.collect(id).await);
        directories.push(result_directory(id));
    }
    let publication = begin(&farm, &key, 10).await;
    assert_eq!(publication.attempts, attempts);
    let found: Vec<_> = publication
        .packages
        .iter()
        .map(|it| it.result_directory.clone())
        .collect();
    assert_eq!(found, directories);
    finish(&farm, &key, &publication, 11).await.unwrap();
    for attempt in attempts {
        let attempt = farm.attempt(attempt).await;
        assert_eq!(
            (attempt.state, attempt.ended_at),
            (AttemptState::Succeeded, Some(at(11)))
        );
    }
    assert!(!is_due(&farm, &key, 1000).await);
}

async fn results_that_come_during_a_publication_are_for_the_next(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let first = farm.submit().await.id;
    farm.collect(first).await;
    let publication = begin(&farm, &key, 6).await;
    let late = farm.submit().await.id;
    let attempt = farm.collect(late).await;
    finish(&farm, &key, &publication, 7).await.unwrap();

    assert_eq!(farm.build(first).await.state, BuildState::Succeeded);
    assert_eq!(farm.states(late).await.2, AttemptState::Publishing);
    assert!(is_due(&farm, &key, 7).await, "the wish is not lost");
    let next = begin(&farm, &key, 8).await;
    assert_eq!(
        (next.attempts.as_slice(), next.packages.len()),
        ([attempt].as_slice(), 2)
    );
    finish(&farm, &key, &next, 9).await.unwrap();
    assert_eq!(farm.build(late).await.state, BuildState::Succeeded);
}

async fn a_failed_publication_fails_no_build_and_is_tried_again_after_a_pause(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let id = farm.submit().await.id;
    let attempt = farm.collect(id).await;
    let first = begin(&farm, &key, 10).await;
    assert_conflict(
        farm.store
            .fail_publication(key.get(), first.number, "other", "disk", at(10))
            .await,
    );
    farm.store
        .fail_publication(key.get(), first.number, WORKER, "the disk is full", at(10))
        .await
        .unwrap();
    let states = (BuildState::Running, BuildState::Running, AttemptState::Publishing);
    assert_eq!(farm.states(id).await, states);
    let event = farm.events_after(None).await.pop().unwrap();
    assert!(
        event.subject_kind == "repository" && event.reason.contains("the disk is full"),
        "{event:?}"
    );

    assert_eq!(try_begin(&farm, &key, WORKER, 10).await, None, "in its pause");
    assert!(!is_due(&farm, &key, 10).await && is_due(&farm, &key, 11).await);
    assert_conflict(finish(&farm, &key, &first, 11).await);
    let second = begin(&farm, &key, 11).await;
    assert!(second.number > first.number, "tries never share files");
    assert_eq!(second.attempts, [attempt]);
    finish(&farm, &key, &second, 12).await.unwrap();
    assert_eq!(farm.build(id).await.state, BuildState::Succeeded);
}

async fn pauses_double_up_to_a_limit_and_end_with_success(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let fail = async |now: &mut u64, pause: u64| {
        let publication = begin(&farm, &key, *now).await;
        farm.store
            .fail_publication(key.get(), publication.number, WORKER, "no", at(*now))
            .await
            .unwrap();
        assert!(!is_due(&farm, &key, *now + pause - 1).await, "{pause}");
        *now += pause;
        assert!(is_due(&farm, &key, *now).await, "{pause}");
    };
    let mut now = 10;
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        fail(&mut now, pause).await;
    }
    let publication = begin(&farm, &key, now).await;
    finish(&farm, &key, &publication, now).await.unwrap();
    let id = farm.submit().await.id;
    farm.collect(id).await;
    fail(&mut now, 1).await;
}

async fn a_silent_publication_is_anothers_and_its_worker_can_no_longer_finish_it(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let id = farm.submit().await.id;
    farm.collect(id).await;
    let silent = begin(&farm, &key, 10).await;
    assert_eq!(try_begin(&farm, &key, "other", 70).await, None);
    assert!(!is_due(&farm, &key, 70).await && is_due(&farm, &key, 71).await);
    let taken = try_begin(&farm, &key, "other", 71).await.unwrap();
    assert!(taken.number > silent.number);
    assert_eq!(taken.attempts, silent.attempts);

    let before = farm.last_event().await;
    assert_conflict(finish(&farm, &key, &silent, 72).await);
    assert_conflict(
        farm.store
            .renew_publication(key.get(), silent.number, WORKER, at(72))
            .await,
    );
    assert_conflict(
        farm.store
            .fail_publication(key.get(), silent.number, WORKER, "late", at(72))
            .await,
    );
    assert_eq!(farm.last_event().await, before);
    assert_eq!(farm.states(id).await.2, AttemptState::Publishing);
    assert_eq!(farm.store.snapshots(key.get()).await.unwrap(), []);

    let record = record(taken.number);
    farm.store
        .finish_publication(key.get(), &record, "other", &taken.attempts, at(73))
        .await
        .unwrap();
    assert_eq!(farm.build(id).await.state, BuildState::Succeeded);
}

async fn signs_of_life_keep_a_publication(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let publication = begin(&farm, &key, 10).await;
    let renew = async |worker: &str, number, now| {
        farm.store
            .renew_publication(key.get(), number, worker, at(now))
            .await
    };
    renew(WORKER, publication.number, 60).await.unwrap();
    assert_conflict(renew("other", publication.number, 60).await);
    assert_conflict(renew(WORKER, publication.number + 1, 60).await);
    assert_eq!(try_begin(&farm, &key, "other", 120).await, None);
    assert!(try_begin(&farm, &key, "other", 121).await.is_some());
    assert_conflict(renew(WORKER, publication.number, 122).await);
}

async fn a_worker_that_was_started_again_gives_up_what_it_published_and_nothing_else(farm: Farm) {
    let (mine, others) = (Key::of(&farm, CHROOT), Key::of(&farm, OTHER_CHROOT));
    let of_old = begin(&farm, &mine, 10).await;
    let kept = try_begin(&farm, &others, "other", 10).await.unwrap();
    farm.store.give_up_publications(WORKER).await.unwrap();

    assert!(
        is_due(&farm, &mine, 10).await,
        "it need not wait until it counts as silent"
    );
    assert_conflict(finish(&farm, &mine, &of_old, 11).await);
    let again = begin(&farm, &mine, 11).await;
    assert!(again.number > of_old.number);
    finish(&farm, &mine, &again, 12).await.unwrap();
    assert!(!is_due(&farm, &others, 12).await);
    farm.store
        .renew_publication(others.get(), kept.number, "other", at(12))
        .await
        .unwrap();
}

async fn only_what_waits_for_the_repository_is_finished_in_it(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let (ready, elsewhere) = (farm.submit().await.id, farm.submit_for(&[OTHER_CHROOT]).await.id);
    farm.collect(ready).await;
    let elsewhere = farm.collect(elsewhere).await;
    let waiting = farm.submit().await.id;
    let waiting = farm.open_attempt(waiting).await.id;
    let good = begin(&farm, &key, 6).await;
    for stranger in [elsewhere, waiting, model::AttemptId(uuid::Uuid::now_v7())] {
        let mut bad = good.clone();
        bad.attempts.push(stranger);
        assert_conflict(finish(&farm, &key, &bad, 7).await);
    }
    assert_eq!(farm.states(ready).await.2, AttemptState::Publishing);
    finish(&farm, &key, &good, 8).await.unwrap();
    assert_eq!(farm.build(ready).await.state, BuildState::Succeeded);
    assert_eq!(farm.attempt(elsewhere).await.state, AttemptState::Publishing);
}

async fn directories_and_chroots_are_repositories_of_their_own(farm: Farm) {
    let pull_request = NewUpload {
        directory: "tools:pr:7".parse().unwrap(),
        ..farm.upload(&[CHROOT])
    };
    let of_request = farm.store.submit_upload(&pull_request, at(1)).await.unwrap().id;
    let main = farm.submit().await.id;
    let keys = [
        Key {
            directory: pull_request.directory,
            ..Key::of(&farm, CHROOT)
        },
        Key::of(&farm, CHROOT),
        Key::of(&farm, OTHER_CHROOT),
    ];
    for key in &keys {
        assert!(is_due(&farm, key, 1).await, "{:?}", key.get());
    }
    let expected = [
        vec![farm.collect(of_request).await],
        vec![farm.collect(main).await],
        vec![],
    ];
    for (key, expected) in keys.iter().zip(expected) {
        let publication = begin(&farm, key, 6).await;
        assert_eq!(publication.attempts, expected);
        assert_eq!(publication.packages.len(), expected.len());
        finish(&farm, key, &publication, 7).await.unwrap();
    }
    assert_eq!(farm.store.publishable(10, at(1000)).await.unwrap(), []);
}

async fn snapshots_are_told_in_order_with_numbers_of_their_own(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let mut numbers = vec![farm.publish(CHROOT).await];
    for _ in 0..2 {
        let id = farm.submit().await.id;
        let epoch = farm.begin(id).await;
        // A build without packages has a publication all the same.
        let outcome = Outcome::Collected {
            result_directory: result_directory(id),
            packages: vec![],
        };
        farm.finish(epoch, &outcome).await;
        numbers.push(farm.publish(CHROOT).await);
        assert_eq!(farm.build(id).await.state, BuildState::Succeeded);
    }
    let snapshots = farm.store.snapshots(key.get()).await.unwrap();
    let told: Vec<_> = snapshots.iter().map(|it| (it.record.clone(), it.at)).collect();
    let expected: Vec<_> = numbers
        .into_iter()
        .map(|number| (record(number), at(7)))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(
        farm.store
            .snapshots(Key::of(&farm, OTHER_CHROOT).get())
            .await
            .unwrap(),
        []
    );
}

/// As with a database that is older than the results beside it.
async fn numbers_go_on_after_the_highest_on_the_disk(farm: Farm) {
    let key = Key::of(&farm, CHROOT);
    let first = begin(&farm, &key, 5).await;
    farm.store
        .number_publications_after(key.get(), 100)
        .await
        .unwrap();
    farm.store
        .fail_publication(key.get(), first.number, WORKER, "it is taken", at(6))
        .await
        .unwrap();
    assert_eq!(begin(&farm, &key, 600).await.number, 101);
    // Never back.
    farm.store.number_publications_after(key.get(), 7).await.unwrap();
    assert_eq!(begin(&farm, &key, 1000).await.number, 102);
}

async fn a_repository_that_nobody_made_is_not_published(farm: Farm) {
    let mut key = Key::of(&farm, "beos-5-x86_64");
    let try_key = async |key: &Key| farm.store.begin_publication(key.get(), WORKER, at(6)).await;
    assert_not_found(try_key(&key).await);
    key = Key {
        project: NO_PROJECT,
        ..Key::of(&farm, CHROOT)
    };
    assert_not_found(try_key(&key).await);
    // The project goes away under the worker.
    let key = Key::of(&farm, CHROOT);
    let publication = begin(&farm, &key, 6).await;
    farm.store.delete_project(farm.project.id, at(6)).await.unwrap();
    assert_conflict(finish(&farm, &key, &publication, 7).await);
    assert_not_found(try_key(&key).await);
}
