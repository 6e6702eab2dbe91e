use model::{AttemptState, BuildId};
use store::Allocation;

use super::*;
use crate::{log::LiveLog, testing::Farm};

/// A build whose worker took it up and was killed.
async fn begun(farm: &Farm) -> (BuildId, Allocation) {
    let build = farm.submit(farm.store_source()).await;
    let allocation = farm.offer(build).await;
    farm.accept(&allocation).await;
    (build, allocation)
}

async fn told(farm: &Farm, grace: Duration) -> usize {
    let stop = CancellationToken::new();
    tell_all(&farm.context, grace, &stop).await.unwrap()
}

/// Where the database says that the results of a build are.
async fn results(farm: &Farm, build: BuildId) -> Option<PathBuf> {
    let build = farm.store().build(build).await.unwrap().unwrap();
    let directory = build.chroots[0].result_directory.clone()?;
    Some(
        farm.context
            .publisher
            .directory(&farm.repository())
            .join(directory),
    )
}

/// What is there, by name, and what the farm's own account says.
async fn kept(farm: &Farm, build: BuildId) -> (Vec<String>, String) {
    let place = results(farm, build).await.unwrap();
    let mut names: Vec<String> = fs_err::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (names, fs_err::read_to_string(place.join("backend.log")).unwrap())
}

fn staged(farm: &Farm) -> usize {
    let repository = farm.context.publisher.directory(&farm.repository());
    fs_err::read_dir(repository.join(repository::STAGING)).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_build_that_ended_after_its_worker_was_killed_gets_its_log_and_an_account() {
    let farm = Farm::start().await;
    let (build, allocation) = begun(&farm).await;
    let root = farm.context.publisher.root();
    let mut log = LiveLog::open(root, allocation.attempt.id, 1 << 20).await.unwrap();
    log.append(b"one\ntwo\n".to_vec()).await.unwrap();
    farm.store()
        .cancel_build(build, "user:alice", clock::now())
        .await
        .unwrap();
    assert_eq!(told(&farm, Duration::ZERO).await, 0, "it has not ended yet");
    farm.lose(&allocation, "root@10.88.0.7:22 has had no worker for 90 s")
        .await;
    assert_eq!(
        results(&farm, build).await,
        None,
        "nothing is named that is not there"
    );
    assert_eq!(told(&farm, GRACE).await, 0, "its worker may still tell of it");

    assert_eq!(told(&farm, Duration::ZERO).await, 1);
    let (names, account) = kept(&farm, build).await;
    let expected = [
        "backend.log",
        "backend.log.gz",
        "builder-live.log",
        "builder-live.log.gz",
    ];
    assert_eq!(names, expected);
    let place = results(&farm, build).await.unwrap();
    let seen = fs_err::read_to_string(place.join("builder-live.log")).unwrap();
    assert_eq!(seen, "one\ntwo\n");
    let lines: Vec<&str> = account
        .lines()
        .filter_map(|line| Some(line.split_once("] ")?.1))
        .collect();
    assert_eq!(
        lines,
        [
            "Build 1 of hello for fedora-43-x86_64, attempt 1, is in the queue.",
            "A worker has taken it up.",
            "It was ended: root@[address] has had no worker for 90 s",
            "The worker that had it is gone, and left no account of its own.",
        ]
    );
    assert_eq!((told(&farm, Duration::ZERO).await, staged(&farm)), (0, 0), "once");
}

#[tokio::test]
async fn an_attempt_after_which_another_comes_waits_for_the_account_of_the_last() {
    let farm = Farm::start().await;
    let build = farm.submit(farm.store_source()).await;
    for attempt in 1..=3 {
        assert_eq!(
            told(&farm, Duration::ZERO).await,
            0,
            "attempt {attempt} is to come"
        );
        let allocation = farm.offer(build).await;
        farm.accept(&allocation).await;
        farm.lose(&allocation, "its worker is silent").await;
    }
    let last = farm.store().attempts_of(build).await.unwrap().pop().unwrap();
    assert_eq!((last.number, last.state), (3, AttemptState::Failed));
    assert_eq!(told(&farm, Duration::ZERO).await, 1);
    let (names, account) = kept(&farm, build).await;
    assert_eq!(names, ["backend.log", "backend.log.gz"], "nothing was seen of it");
    assert!(account.contains("attempt 3, is in the queue."), "{account}");
}

#[tokio::test]
async fn a_build_of_which_cannot_be_told_keeps_no_other_from_it_and_is_tried_again() {
    let farm = Farm::start().await;
    let mut builds = Vec::new();
    for _ in 0..2 {
        let (build, allocation) = begun(&farm).await;
        farm.store()
            .cancel_build(build, "user:alice", clock::now())
            .await
            .unwrap();
        farm.lose(&allocation, "its worker is silent").await;
        builds.push((build, allocation.attempt.id));
    }
    let (first, id) = builds[0];
    // No file, and so nothing that can be copied.
    let log = log::directory(farm.context.publisher.root(), id).join(LIVE_LOG);
    fs_err::create_dir_all(log.join("x")).unwrap();
    assert_eq!(told(&farm, Duration::ZERO).await, 1);
    assert_eq!(results(&farm, first).await, None);
    assert!(results(&farm, builds[1].0).await.is_some());
    assert_eq!(staged(&farm), 0, "what a failed try left is gone");
    fs_err::remove_dir_all(&log).unwrap();
    assert_eq!(told(&farm, Duration::ZERO).await, 1);
    assert!(results(&farm, first).await.is_some());
}

#[tokio::test]
async fn one_that_is_told_to_stop_leaves_the_rest_to_the_next() {
    let farm = Farm::start().await;
    let (build, allocation) = begun(&farm).await;
    farm.store()
        .cancel_build(build, "user:alice", clock::now())
        .await
        .unwrap();
    farm.lose(&allocation, "its worker is silent").await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(tell_all(&farm.context, Duration::ZERO, &stop).await.unwrap(), 0);
    run(Arc::new(farm.context.clone()), stop).await;
    assert_eq!(results(&farm, build).await, None);
}
