use std::time::Duration;

use model::{AttemptState, BuildId, ChrootName};
use repository::PackageMetadata;
use store::{BuiltPackage, CollectedPackage, Outcome, RepositoryPlace};

use super::{Queue, publish, repository_id};
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
    let mut queue = Queue::default();
    assert_eq!(queue.choose(all.clone(), 2), all[..2]);
    assert_eq!(
        queue.choose(all.clone(), 2),
        all[2..4],
        "the first two are under way"
    );
    queue.ended(Ok((repository_id(&all[0]), true)));
    queue.ended(Ok((repository_id(&all[1]), false)));
    assert_eq!(
        queue.choose(all.clone(), 2),
        [all[0].clone(), all[4].clone()],
        "the second one rests"
    );
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
