//! Ends that come from elsewhere than the build: time that is over, disks, other workers, users.

use store::{AllocationState, BuiltPackage, CollectedPackage};

use super::*;
use crate::attempt::{TIME_AROUND_THE_BUILD, conclude, hand_in};

impl Scene {
    /// Leaves the attempt so much of its time.
    fn leave(&mut self, left: Duration) {
        let attempt = &mut self.allocation.attempt;
        let whole = Duration::from_secs(attempt.options.timeout_seconds) + TIME_AROUND_THE_BUILD;
        attempt.started_at = Some(clock::now().minus(whole - left));
    }

    fn count(&self, call: &str) -> usize {
        self.builder.calls().iter().filter(|made| *made == call).count()
    }
}

/// How an attempt ended, with its reason.
fn end(attempt: &Attempt) -> (AttemptState, Option<Blame>, &str) {
    let reason = attempt.reason.as_deref().unwrap_or_default();
    (attempt.state, attempt.blame, reason)
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_is_the_farms_own_fault_when_the_time_is_over() {
    let mut scene = Scene::new(FakeBuilder::new()).await;
    scene.farm.context.limits.min_free_bytes = u64::MAX;
    scene.leave(Duration::from_millis(1500));
    let attempt = scene.drive().await;
    let (state, blame, reason) = end(&attempt);
    assert_eq!(
        (state, blame),
        (AttemptState::Lost, Some(Blame::Service)),
        "{reason}"
    );
    assert!(
        reason.starts_with("collecting ") && reason.contains("bytes of disk free"),
        "{reason}"
    );
    assert_eq!(
        scene.count("fetch build.log"),
        0,
        "nothing is fetched that there is no room for"
    );
}

#[tokio::test]
async fn a_build_that_failed_has_failed_though_its_logs_found_no_room() {
    let mut scene = Scene::new(failing("package", "it does not compile")).await;
    scene.farm.context.limits.min_free_bytes = u64::MAX;
    scene.leave(Duration::from_millis(1500));
    let attempt = scene.drive().await;
    let expected = (AttemptState::Failed, Some(Blame::Package), "it does not compile");
    assert_eq!(end(&attempt), expected);
    // What was seen of its log while it ran is here already, and needs no room that the disk does not have.
    let seen = scene.result("builder-live.log").await;
    assert_eq!(seen.as_deref(), Some("one\ntwo\nthree\n"));
}

#[tokio::test]
async fn a_build_that_never_ends_is_ended_when_its_time_is_over() {
    let mut scene = Scene::new(FakeBuilder::new().with(|script| script.ends = [4; 1000].into())).await;
    scene.builder.script().over = false;
    scene.leave(Duration::from_millis(1500));
    let attempt = scene.drive().await;
    let words = "the builder misbehaves: the build neither ended in its time nor was it ended by its builder";
    let (_, blame, reason) = end(&attempt);
    assert_eq!((blame, reason), (Some(Blame::Infrastructure), words));
    assert_eq!(scene.live_log(), "one\n");
}

#[tokio::test]
async fn a_repository_that_is_never_published_is_waited_for_as_long_as_the_attempt_may_take() {
    let mut scene = Scene::new(FakeBuilder::new()).await;
    scene.allocation.attempt.directory = "tools:custom:x".parse().unwrap();
    scene.leave(Duration::from_millis(500));
    let attempt = scene.drive().await;
    let (_, blame, reason) = end(&attempt);
    assert_eq!(blame, Some(Blame::Service));
    let words = "the repository of alice/tools:custom:x for fedora-43-x86_64 has not been published yet";
    assert!(reason.ends_with(words), "{reason}");
    assert_eq!(
        scene.count("start"),
        0,
        "it would have been built against the wrong packages"
    );
}

#[tokio::test]
async fn a_log_whose_follower_ends_while_the_build_goes_on_is_followed_from_there() {
    let builder = failing("package", "no").with(|script| script.ends = [0, 4, 4, 9].into());
    let scene = Scene::new(builder).await;
    {
        // The build goes on until its log was followed to its end.
        let mut script = scene.builder.script();
        script.over = false;
    }
    let driven = scene.spawn(&scene.farm.context, &scene.allocation);
    scene.builder.called("follow 9").await;
    scene.builder.script().over = true;
    assert!(driven.await.unwrap());
    assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
    let calls = scene.builder.calls();
    let follows: Vec<&str> = calls
        .iter()
        .map(String::as_str)
        .filter(|it| it.starts_with("follow"))
        .collect();
    assert_eq!(
        follows,
        ["follow 0", "follow 0", "follow 4", "follow 4", "follow 9"]
    );
    assert_eq!(scene.count("open"), 1, "on one connection");
}

#[tokio::test]
async fn a_build_whose_process_vanished_is_the_builders_fault_and_what_was_seen_of_it_is_kept() {
    let builder = FakeBuilder::new().with(|script| {
        script.vanished = true;
        script.has_no_manifest = true;
    });
    let scene = Scene::new(builder).await;
    let attempt = scene.drive().await;
    let words = "the builder misbehaves: the build process vanished from its builder";
    assert_eq!(
        (end(&attempt).1, end(&attempt).2),
        (Some(Blame::Infrastructure), words)
    );
    let kept = scene.attempts().await;
    assert_eq!(kept, 2, "another builder tries it");
    assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn a_file_that_is_not_what_its_manifest_says_is_not_kept() {
    for sent in [&b"rpmbuilt\n"[..], b"rpm", b""] {
        let builder = failing("package", "no").with(|script| {
            script.sends = [("build.log".to_owned(), sent.to_vec())].into();
        });
        let scene = Scene::new(builder).await;
        let attempt = scene.drive().await;
        assert_eq!(end(&attempt), (AttemptState::Failed, Some(Blame::Package), "no"));
        assert_eq!(scene.result("build.log").await, None);
        let seen = scene.result("builder-live.log").await;
        assert_eq!(
            seen.as_deref(),
            Some("one\ntwo\nthree\n"),
            "what was seen before is kept"
        );
    }
}

/// What a worker finds that takes up what another left, by how far that one came.
#[tokio::test]
async fn an_attempt_that_another_worker_left_goes_on_where_its_builder_is() {
    for (is_started, uploads) in [(false, 1), (true, 0)] {
        let builder = failing("package", "no").with(|script| script.started = is_started);
        let mut scene = Scene::new(builder).await;
        scene.allocation.state = AllocationState::Accepted;
        let attempt = scene.drive().await;
        assert_eq!(attempt.state, AttemptState::Failed);
        let calls = scene.builder.calls();
        assert_eq!(calls[..2], ["open", "status"], "the builder is asked first");
        assert_eq!(scene.count("upload hello-1-1.src.rpm"), uploads, "{is_started}");
        assert_eq!(scene.count("start"), uploads, "{is_started}");
        assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
    }
}

#[tokio::test]
async fn a_log_that_was_stored_in_part_is_followed_from_its_end() {
    let builder = failing("package", "no").with(|script| script.started = true);
    let mut scene = Scene::new(builder).await;
    scene.allocation.state = AllocationState::Accepted;
    let root = scene.farm.context.publisher.root();
    let mut log = log::LiveLog::open(root, scene.allocation.attempt.id, 100)
        .await
        .unwrap();
    log.append(b"one\ntw".to_vec()).await.unwrap();
    scene.drive().await;
    assert_eq!(scene.count("follow 6"), 1);
    assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn a_log_beyond_its_limit_is_the_packages_fault() {
    let builder = failing("package", "no").with(|script| {
        script.has_no_manifest = true;
        script.losses = [1 << 10].into();
        script.log = vec![b'x'; 2 << 10];
    });
    let mut scene = Scene::new(builder).await;
    scene.farm.context.limits.log_bytes = 10;
    // A limit is a megabyte later than the builder was told: less is as the builder cut it.
    assert_eq!(end(&scene.drive().await).2, "no");
    assert_eq!(scene.live_log().len(), 2 << 10);
}

/// How far a build had come when its user gave it up, and what is asked of its builder then.
#[tokio::test]
async fn a_wish_to_cancel_is_heeded_however_far_the_build_has_come() {
    let cases: [(&str, AllocationState, bool, bool, &[&str]); 4] = [
        // (what, how the allocation stands, whether the build runs, whether the builder is there, what is asked of it)
        ("nobody was there yet", AllocationState::Offered, false, true, &[]),
        (
            "it was never started",
            AllocationState::Accepted,
            false,
            true,
            &["open", "status"],
        ),
        (
            "it runs",
            AllocationState::Accepted,
            true,
            true,
            &["open", "status", "cancel", "follow 0", "manifest"],
        ),
        (
            "its builder is gone",
            AllocationState::Accepted,
            true,
            false,
            &["open"],
        ),
    ];
    for (what, state, is_started, is_there, expected) in cases {
        let builder = FakeBuilder::new().with(|script| {
            script.started = is_started;
            script.over = false;
            script.unreachable = if is_there { 0 } else { 1000 };
        });
        let mut scene = Scene::new(builder).await;
        scene.allocation.state = state;
        scene.cancel().await;
        scene.allocation.attempt.cancel_requested = true;
        let attempt = scene.drive().await;
        assert_eq!(attempt.state, AttemptState::Canceled, "{what}");
        let calls = scene.builder.calls();
        let asked: Vec<&str> = calls.iter().map(String::as_str).take(expected.len()).collect();
        assert_eq!(asked, expected, "{what}");
        assert_eq!(calls.is_empty(), expected.is_empty(), "{what}: {calls:?}");
        assert_eq!(scene.attempts().await, 1, "{what}: it is not tried again");
        let is_kept = scene.result("build.log").await.is_some();
        assert_eq!(is_kept, is_started && is_there, "{what}");
    }
}

#[tokio::test]
async fn an_end_that_another_wrote_down_first_stands() {
    let scene = Scene::new(FakeBuilder::new()).await;
    let failed = |reason: &str| Outcome::Failed {
        blame: Blame::Package,
        reason: reason.to_owned(),
        evidence: None,
        is_suspect: false,
        result_directory: None,
    };
    for reason in ["the first", "the second"] {
        let handed_in = hand_in(&scene.farm.context, &scene.allocation, &failed(reason)).await;
        handed_in.expect("that it is over already is no error");
        assert_eq!(end(&scene.attempt().await).2, "the first");
    }
}

#[tokio::test]
async fn an_end_that_the_database_refuses_ends_the_attempt_all_the_same() {
    let scene = Scene::new(FakeBuilder::new()).await;
    let package = BuiltPackage {
        name: "hello".to_owned(),
        epoch: 0,
        version: "1\0".to_owned(),
        release: "1".to_owned(),
        architecture: "x86_64".to_owned(),
    };
    let collected = Outcome::Collected {
        result_directory: "00000001-hello".to_owned(),
        packages: vec![CollectedPackage {
            file_name: "hello-1-1.x86_64.rpm".to_owned(),
            sha256: "ab".repeat(32),
            size: 1,
            is_source: false,
            package,
            metadata_json: "{}".to_owned(),
        }],
    };
    assert!(conclude(&scene.farm.context, &scene.allocation, &collected).await);
    let attempt = scene.attempt().await;
    let words = "version of a package: it holds a NUL character";
    assert_eq!((end(&attempt).1, end(&attempt).2), (Some(Blame::Service), words));
    // What a builder says is cleaned before that: it is no reason to refuse anything.
    let scene = Scene::new(failing("package", "a reason with \0 in it")).await;
    let attempt = scene.drive().await;
    assert_eq!(end(&attempt).1, Some(Blame::Package));
    assert!(!end(&attempt).2.contains('\0'), "{attempt:?}");
}

#[tokio::test]
async fn an_attempt_that_is_anothers_by_now_is_left_without_a_word() {
    let scene = Scene::new(FakeBuilder::new().with(|script| script.refuses = Some(|| Error::Fenced))).await;
    assert!(drive(&scene.farm.context, &scene.leases, &scene.allocation).await);
    let attempt = scene.attempt().await;
    assert!(
        !attempt.state.is_final(),
        "the one that drives it decides: {attempt:?}"
    );
    assert_eq!(scene.result("backend.log").await, None);
}
