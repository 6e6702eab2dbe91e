use std::{sync::Arc, time::Duration};

use model::{AttemptState, BuildId, ChrootName};
use repository::{PackageMetadata, RepositoryId};
use runtime::CancellationToken;
use store::{BuiltPackage, CollectedPackage, Outcome, RepositoryPlace};

use tokio::time::Instant;

use super::{FIRST_PAUSE, Queue, publish, repository_id, run};
use crate::{
    Context, Error,
    testing::{Farm, source},
};

/// A package whose metadata are whole, as if it had been collected.
fn package(file_name: &str, metadata_json: String) -> CollectedPackage {
    CollectedPackage {
        file_name: file_name.to_owned(),
        sha256: "ab".repeat(32),
        size: 1234,
        is_source: false,
        package: BuiltPackage {
            name: "hello".to_owned(),
            epoch: 0,
            version: "1".to_owned(),
            release: "1".to_owned(),
            architecture: "x86_64".to_owned(),
        },
        metadata_json,
    }
}

fn metadata(href: &str) -> String {
    let metadata = PackageMetadata {
        name: "hello".to_owned(),
        epoch: 0,
        version: "1".to_owned(),
        release: "1".to_owned(),
        arch: "x86_64".to_owned(),
        pkgid: "ab".repeat(32),
        href: href.to_owned(),
        size: 1234,
        primary: "<package/>".to_owned(),
        filelists: "<package/>".to_owned(),
        other: "<package/>".to_owned(),
    };
    serde_json::to_string(&metadata).unwrap()
}

/// Has a build's results stored in the database.
async fn collect(farm: &Farm, package: Option<CollectedPackage>) -> BuildId {
    let build = farm.submit(source()).await;
    let allocation = farm.offer(build).await;
    farm.accept(&allocation).await;
    let outcome = Outcome::Collected {
        result_directory: format!("{:08}-hello", build.0),
        packages: package.into_iter().collect(),
    };
    let now = runtime::clock::now();
    farm.store()
        .finish_attempt(allocation.epoch, &farm.context.name, &outcome, now)
        .await
        .unwrap();
    build
}

async fn state(farm: &Farm, build: BuildId) -> AttemptState {
    farm.store().attempts_of(build).await.unwrap()[0].state
}

/// The numbers of a repository's snapshots on the disk, and in the database.
async fn snapshots(farm: &Farm) -> (Vec<u64>, Vec<u64>) {
    let on_disk = farm.context.publisher.snapshots(&farm.repository()).unwrap();
    let rows = farm.store().snapshots(farm.place().key()).await.unwrap();
    (
        on_disk.iter().map(|snapshot| snapshot.number).collect(),
        rows.iter().map(|row| row.record.number).collect(),
    )
}

#[tokio::test]
async fn rows_of_snapshots_and_the_disk_agree_after_each_publication() {
    let farm = Farm::start().await;
    assert!(publish(&farm.context, &farm.place()).await);
    for _ in 0..2 {
        let build = collect(&farm, None).await;
        assert!(publish(&farm.context, &farm.place()).await);
        assert_eq!(state(&farm, build).await, AttemptState::Succeeded);
        let (disk, rows) = snapshots(&farm).await;
        assert_eq!(disk, rows);
    }
    let (disk, _) = snapshots(&farm).await;
    assert_eq!(disk, [0, 1, 2, 3], "the empty one and three publications");
    assert!(publish(&farm.context, &farm.place()).await, "nothing is due");
    assert_eq!(snapshots(&farm).await.0, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_package_whose_metadata_cannot_be_read_keeps_no_other_from_its_users() {
    let farm = Farm::start().await;
    let sound = collect(&farm, Some(package("a.rpm", metadata("00000001-hello/a.rpm")))).await;
    let spoilt = collect(&farm, Some(package("b.rpm", "{".to_owned()))).await;
    assert!(publish(&farm.context, &farm.place()).await);
    assert_eq!(state(&farm, sound).await, AttemptState::Succeeded);
    assert_eq!(state(&farm, spoilt).await, AttemptState::Publishing);
    let live = farm.context.publisher.live(&farm.repository()).unwrap();
    assert_eq!(live.packages, 1);
}

#[tokio::test]
async fn a_publication_that_fails_gives_its_lease_back_and_is_left_alone_for_its_pause() {
    let farm = Farm::start().await;
    // What should be a directory is a file.
    let owner = farm.context.publisher.root().join("alice");
    fs_err::write(&owner, "in the way").unwrap();
    assert!(
        publish(&farm.context, &farm.place()).await,
        "the failure is on record"
    );
    let due = async |seconds| {
        let now = runtime::clock::now().plus(Duration::from_secs(seconds));
        farm.store().publishable(10, now).await.unwrap().len()
    };
    assert_eq!(due(0).await, 0, "it rests");
    assert_eq!(
        due(2).await,
        1,
        "the pause is a second, and its lease is nobody's"
    );
    fs_err::remove_file(&owner).unwrap();
}

fn place(farm: &Farm, chroot: &str) -> RepositoryPlace {
    RepositoryPlace {
        chroot: chroot.parse::<ChrootName>().unwrap(),
        ..farm.place()
    }
}

#[tokio::test]
async fn what_is_under_way_or_rests_takes_no_place_from_others() {
    let farm = Farm::start().await;
    let all: Vec<RepositoryPlace> = (1..=6)
        .map(|number| place(&farm, &format!("fedora-{number}-x86_64")))
        .collect();
    let (mut queue, now) = (Queue::default(), Instant::now());
    assert_eq!(queue.choose(all.clone(), 2, now), all[..2]);
    assert_eq!(
        queue.choose(all.clone(), 2, now),
        all[2..4],
        "the first two are under way"
    );
    queue.ended(Ok((repository_id(&all[0]), true)), now);
    queue.ended(Ok((repository_id(&all[1]), false)), now);
    assert_eq!(
        queue.choose(all.clone(), 2, now),
        [all[0].clone(), all[4].clone()],
        "the second one rests"
    );
    let rested = now + FIRST_PAUSE;
    assert_eq!(
        queue.choose(all.clone(), 9, rested),
        [all[1].clone(), all[5].clone()]
    );
}

#[tokio::test]
async fn a_repository_rests_longer_after_each_failure_and_one_success_makes_up_for_all() {
    let farm = Farm::start().await;
    let (place, mut now) = (farm.place(), Instant::now());
    let id = || repository_id(&place);
    let mut queue = Queue::default();
    // Whether it is chosen so long after it failed; it is under way then.
    let chosen_after = |queue: &mut Queue, now, pause| {
        let found = queue.choose(vec![place.clone()], 1, now + pause);
        !found.is_empty()
    };
    let millisecond = Duration::from_millis(1);
    for nominal in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map(Duration::from_secs) {
        queue.ended(Ok((id(), false)), now);
        assert!(
            !chosen_after(&mut queue, now, nominal / 2 - millisecond),
            "{nominal:?}"
        );
        assert!(chosen_after(&mut queue, now, nominal), "{nominal:?}");
        now += nominal;
    }
    queue.ended(Ok((id(), true)), now);
    assert!(chosen_after(&mut queue, now, Duration::ZERO));
    queue.ended(Ok((id(), false)), now);
    assert!(
        chosen_after(&mut queue, now, FIRST_PAUSE),
        "it is the first failure again"
    );
}

#[tokio::test]
async fn a_publication_that_was_lost_keeps_its_repository_from_no_other() {
    let farm = Farm::start().await;
    let (mut queue, now) = (Queue::default(), Instant::now());
    assert_eq!(queue.choose(vec![farm.place()], 1, now).len(), 1);
    let lost = tokio::spawn(std::future::pending::<(RepositoryId, bool)>());
    lost.abort();
    queue.ended(Err(lost.await.unwrap_err()), now);
    assert_eq!(queue.choose(vec![farm.place()], 1, now).len(), 1);
}

#[tokio::test]
async fn one_that_is_being_published_by_another_is_left_to_it_until_its_lease_ends() {
    let farm = Farm::start().await;
    let (store, now) = (farm.store(), runtime::clock::now());
    let begun = store.begin_publication(farm.place().key(), "other", now).await;
    assert_eq!(begun.unwrap(), Some(1));
    assert!(
        publish(&farm.context, &farm.place()).await,
        "there is nothing to do"
    );
    assert!(farm.context.publisher.live(&farm.repository()).is_err());
    store.give_up_publications("other").await.unwrap();
    assert!(publish(&farm.context, &farm.place()).await);
    assert!(farm.context.publisher.live(&farm.repository()).is_ok());
}

#[tokio::test]
async fn what_a_worker_was_publishing_when_it_was_killed_is_published_at_its_next_start() {
    let farm = Farm::start().await;
    let (place, now) = (farm.place(), runtime::clock::now());
    let begun = farm
        .store()
        .begin_publication(place.key(), &farm.context.name, now);
    assert_eq!(begun.await.unwrap(), Some(1));
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::new(farm.context.clone()), stop.clone()));
    let published = async {
        while !farm.store().is_published(place.key()).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Its lease would last for a minute.
    tokio::time::timeout(Duration::from_secs(40), published)
        .await
        .expect("it is published");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_repository_that_lost_its_key_or_its_metadata_is_made_whole_by_its_next_publication() {
    let farm = Farm::start().await;
    assert!(publish(&farm.context, &farm.place()).await);
    let repository = farm.context.publisher.directory(&farm.repository());
    let key = repository.parent().unwrap().join("pubkey.gpg");
    let before = fs_err::read(&key).unwrap();
    fs_err::remove_file(&key).unwrap();
    let build = collect(&farm, None).await;
    assert!(publish(&farm.context, &farm.place()).await);
    assert_eq!(state(&farm, build).await, AttemptState::Succeeded);
    assert_eq!(fs_err::read(&key).unwrap(), before, "it is the same key");
    assert!(super::is_whole(&farm.context.publisher, &farm.repository()));
}

#[tokio::test]
async fn the_files_of_a_deleted_build_go_with_the_publication_that_no_longer_names_them() {
    let farm = Farm::start().await;
    let repository = farm.context.publisher.directory(&farm.repository());
    let directory = |build: BuildId| repository.join(format!("{:08}-hello", build.0));
    assert!(publish(&farm.context, &farm.place()).await);
    let mut builds = Vec::new();
    for name in ["a.rpm", "b.rpm"] {
        let build = collect(&farm, Some(package(name, metadata(name)))).await;
        fs_err::create_dir_all(directory(build)).unwrap();
        builds.push(build);
    }
    assert!(publish(&farm.context, &farm.place()).await);
    assert!(builds.iter().all(|build| directory(*build).is_dir()));
    let now = runtime::clock::now();
    farm.store()
        .delete_builds(&[builds[0]].into(), now)
        .await
        .unwrap();
    assert!(directory(builds[0]).is_dir(), "its metadata are still read");
    assert!(publish(&farm.context, &farm.place()).await);
    assert_eq!(
        farm.context.publisher.live(&farm.repository()).unwrap().packages,
        1
    );
    assert!(!directory(builds[0]).exists() && directory(builds[1]).is_dir());
}

#[tokio::test]
async fn a_number_that_is_taken_on_the_disk_is_skipped_once() {
    let farm = Farm::start().await;
    assert!(publish(&farm.context, &farm.place()).await);
    // Another, later database published here.
    let build = collect(&farm, None).await;
    let key = crate::signer::signing_key(&farm.context, farm.project.id)
        .await
        .unwrap();
    let now = runtime::clock::now();
    let publisher = &farm.context.publisher;
    publisher.publish(&farm.repository(), &[], &key, 40, now).unwrap();
    let number = farm
        .store()
        .begin_publication(farm.place().key(), "other", now)
        .await
        .unwrap()
        .unwrap();
    let taken = super::write(&farm.context, &farm.place(), number)
        .await
        .err()
        .unwrap();
    assert!(matches!(
        &taken,
        Error::Repository(repository::Error::NumberTaken { highest: 40, .. })
    ));
    let other = Context {
        name: "other".to_owned(),
        ..farm.context.clone()
    };
    super::give_up(&other, farm.place().key(), number, &taken)
        .await
        .unwrap();
    let later = now.plus(Duration::from_secs(5));
    let next = farm
        .store()
        .begin_publication(farm.place().key(), "other", later)
        .await
        .unwrap();
    assert_eq!(next, Some(41));
    assert_eq!(state(&farm, build).await, AttemptState::Publishing);
}
