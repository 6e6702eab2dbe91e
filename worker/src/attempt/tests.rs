use std::{sync::Arc, time::Duration};

use model::{AttemptState, Blame, BuildId};
use runtime::{CancellationToken, clock};
use store::{Allocation, Attempt, Outcome};
use tokio::task::JoinHandle;

use super::{drive, last_word};
use crate::{
    context::Context,
    error::Error,
    fake::{FakeBuilder, lost, verdict},
    leases::{self, Leases, Pace},
    log,
    session::{LeftOut, VerdictWord},
    testing::Farm,
};

mod accounts;
mod ends;

/// Quick, for tests that wait for it.
const PACE: Pace = Pace {
    look: Duration::from_millis(10),
    renew: Duration::from_millis(30),
};

/// A farm whose only repository is there, and one offered attempt of a stored source.
struct Scene {
    farm: Farm,
    builder: FakeBuilder,
    build: BuildId,
    allocation: Allocation,
    leases: Arc<Leases>,
    stop: CancellationToken,
}

impl Scene {
    async fn new(builder: FakeBuilder) -> Self {
        let mut farm = Farm::start().await;
        farm.context.sessions = Arc::new(builder.clone());
        assert!(crate::publish::publish(&farm.context, &farm.place()).await);
        let build = farm.submit(farm.store_source()).await;
        let allocation = farm.offer(build).await;
        farm.accept(&allocation).await;
        let (leases, stop) = (Arc::<Leases>::default(), CancellationToken::new());
        let context = Arc::new(farm.context.clone());
        tokio::spawn(leases::run(context, Arc::clone(&leases), PACE, stop.clone()));
        Self {
            farm,
            builder,
            build,
            allocation,
            leases,
            stop,
        }
    }

    fn spawn(&self, context: &Context, allocation: &Allocation) -> JoinHandle<bool> {
        let (context, leases) = (context.clone(), Arc::clone(&self.leases));
        let allocation = allocation.clone();
        tokio::spawn(async move { drive(&context, &leases, &allocation).await })
    }

    /// Drives the attempt to its end; how it stands then.
    async fn drive(&self) -> Attempt {
        assert!(drive(&self.farm.context, &self.leases, &self.allocation).await);
        self.attempt().await
    }

    async fn attempt(&self) -> Attempt {
        let id = self.allocation.attempt.id;
        self.farm.store().attempt(id).await.unwrap().unwrap()
    }

    async fn attempts(&self) -> usize {
        self.farm.store().attempts_of(self.build).await.unwrap().len()
    }

    fn live_log(&self) -> String {
        let root = self.farm.context.publisher.root();
        let path = log::directory(root, self.allocation.attempt.id).join(log::LIVE_LOG);
        fs_err::read_to_string(path).unwrap_or_default()
    }

    /// A file among the build's results, in its place.
    async fn result(&self, name: &str) -> Option<String> {
        let build = self.farm.store().build(self.build).await.unwrap().unwrap();
        let directory = build.chroots[0].result_directory.clone()?;
        let repository = self.farm.context.publisher.directory(&self.farm.repository());
        fs_err::read_to_string(repository.join(directory).join(name)).ok()
    }

    async fn cancel(&self) {
        self.farm
            .store()
            .cancel_build(self.build, "user:alice", clock::now())
            .await
            .unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn failing(blame: &str, reason: &str) -> FakeBuilder {
    FakeBuilder::new().with(|script| {
        script.verdict = verdict(VerdictWord::Failed, Some(blame), reason);
    })
}

#[tokio::test]
async fn an_attempt_uploads_starts_follows_and_keeps_the_logs_of_a_build_that_failed() {
    let scene = Scene::new(failing("package", "it does not compile")).await;
    let attempt = scene.drive().await;
    assert_eq!(
        (attempt.state, attempt.blame, attempt.reason.as_deref()),
        (
            AttemptState::Failed,
            Some(Blame::Package),
            Some("it does not compile")
        )
    );
    assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
    assert_eq!(scene.result("build.log").await.as_deref(), Some("rpmbuild\n"));
    let told = scene.result("backend.log").await.unwrap();
    let mut steps: Vec<&str> = told.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    steps.truncate(6);
    assert_eq!(
        steps,
        ["Build", "A", "Connected", "Uploaded", "Started", "The"],
        "{told}"
    );
    let mut calls = scene.builder.calls();
    // Several are fetched at once.
    calls[6..8].sort();
    assert_eq!(
        calls,
        [
            "open",
            "upload hello-1-1.src.rpm",
            "start",
            "follow 0",
            "status",
            "manifest",
            "fetch build.log",
            "fetch builder-live.log",
            "close"
        ]
    );
}

#[tokio::test]
async fn logs_are_kept_whatever_a_builds_end() {
    for (result, blame, state) in [
        (VerdictWord::Skipped, Some("package"), AttemptState::Skipped),
        (VerdictWord::Failed, Some("infrastructure"), AttemptState::Lost),
        (
            VerdictWord::Failed,
            Some("nobody that is known"),
            AttemptState::Lost,
        ),
        (VerdictWord::Cancelled, Some("cancelled"), AttemptState::Lost),
        // Without any package it is the package's own failure.
        (VerdictWord::Succeeded, None, AttemptState::Failed),
    ] {
        let builder = FakeBuilder::new().with(|script| {
            script.verdict = verdict(result, blame, "so it is");
        });
        let scene = Scene::new(builder).await;
        assert_eq!(scene.drive().await.state, state, "{result:?}");
        assert_eq!(
            scene.result("build.log").await.as_deref(),
            Some("rpmbuild\n"),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_result_that_is_refused_fails_the_build_with_its_logs_kept() {
    let builder = FakeBuilder::new().with(|script| {
        script.refused.push(LeftOut {
            name: "evil-1-1.noarch.rpm".to_owned(),
            reason: "it is a symbolic link".to_owned(),
        });
    });
    let scene = Scene::new(builder).await;
    let attempt = scene.drive().await;
    assert_eq!(
        (attempt.state, attempt.blame),
        (AttemptState::Failed, Some(Blame::Package))
    );
    let reason = attempt.reason.unwrap();
    assert_eq!(
        reason,
        "the result evil-1-1.noarch.rpm cannot be taken: it is a symbolic link"
    );
    assert_eq!(scene.result("build.log").await.as_deref(), Some("rpmbuild\n"));
    let told = scene.result("backend.log").await.unwrap();
    assert!(told.contains("Not taken: evil-1-1.noarch.rpm"), "{told}");
}

#[tokio::test]
async fn what_a_builder_passed_over_is_told_and_fails_nothing() {
    let builder = failing("package", "no").with(|script| {
        script.passed_over.push(LeftOut {
            name: "a.buildreqs.nosrc.rpm".to_owned(),
            reason: "it is no result of this kind".to_owned(),
        });
    });
    let scene = Scene::new(builder).await;
    assert_eq!(scene.drive().await.reason.as_deref(), Some("no"));
    let told = scene.result("backend.log").await.unwrap();
    let line = "Passed over a.buildreqs.nosrc.rpm: it is no result of this kind";
    assert!(told.lines().any(|told| told.ends_with(line)), "{told}");
}

#[tokio::test]
async fn a_hostile_manifest_costs_a_build_none_of_its_logs() {
    let builder = FakeBuilder::new().with(|script| {
        script.odd_entries = vec![
            serde_json::json!({"name": "../../etc/passwd", "size": 1, "sha256": "00".repeat(32)}),
            serde_json::json!({"name": 7}),
            serde_json::json!("x"),
        ];
    });
    let scene = Scene::new(builder).await;
    let attempt = scene.drive().await;
    assert_eq!(attempt.blame, Some(Blame::Infrastructure), "{attempt:?}");
    assert_eq!(scene.result("build.log").await.as_deref(), Some("rpmbuild\n"));
    let mut fetched = scene.builder.calls();
    fetched.retain(|call| call.starts_with("fetch"));
    fetched.sort();
    assert_eq!(fetched, ["fetch build.log", "fetch builder-live.log"]);
}

#[tokio::test]
async fn a_refused_task_fails_at_once_and_for_good() {
    let builder = FakeBuilder::new().with(|script| {
        script.refuses = Some(|| Error::Task("chroot: no definition of it".to_owned()));
    });
    let scene = Scene::new(builder).await;
    let attempt = scene.drive().await;
    assert_eq!(
        (attempt.state, attempt.blame),
        (AttemptState::Failed, Some(Blame::Service))
    );
    assert_eq!(
        attempt.reason.as_deref(),
        Some("the builder refuses the task: chroot: no definition of it")
    );
    assert_eq!(scene.attempts().await, 1, "it would be refused again");
}

#[tokio::test]
async fn who_is_to_blame_where_a_build_cannot_be_started_follows_from_who_refused() {
    type Refuses = fn() -> Error;
    let cases: [(Refuses, Blame, &str); 3] = [
        (
            || Error::Builder("its disk is broken".to_owned()),
            Blame::Infrastructure,
            "its disk is broken",
        ),
        (
            || Error::Refused("the source is too large".to_owned()),
            Blame::Package,
            "the source is too large",
        ),
        (|| Error::Lost("a panic".to_owned()), Blame::Service, "a panic"),
    ];
    for (refuses, blame, reason) in cases {
        let builder = FakeBuilder::new().with(|script| script.refuses = Some(refuses));
        let scene = Scene::new(builder).await;
        let attempt = scene.drive().await;
        // What may go well elsewhere is tried again.
        let is_final = blame == Blame::Package;
        let state = if is_final {
            AttemptState::Failed
        } else {
            AttemptState::Lost
        };
        assert_eq!((attempt.state, attempt.blame), (state, Some(blame)));
        let said = attempt.reason.unwrap_or_default();
        assert!(said.contains(reason), "{said}");
        let calls = scene.builder.calls();
        assert_eq!(
            calls.iter().filter(|call| *call == "start").count(),
            1,
            "{calls:?}"
        );
        assert!(!calls.iter().any(|call| call.starts_with("follow")), "{calls:?}");
        assert_eq!(scene.attempts().await == 1, is_final, "{blame:?}");
    }
}

#[tokio::test]
async fn a_source_that_is_gone_from_the_store_is_the_farms_own_fault_and_nothing_is_started() {
    let scene = Scene::new(FakeBuilder::new()).await;
    let source = &scene.allocation.attempt.source;
    fs_err::remove_file(crate::task::source_path(&scene.farm.context.sources, source)).unwrap();
    let attempt = scene.drive().await;
    assert_eq!(
        (attempt.state, attempt.blame),
        (AttemptState::Lost, Some(Blame::Service))
    );
    let said = attempt.reason.unwrap_or_default();
    assert!(said.contains(&source.file_name), "{said}");
    let calls = scene.builder.calls();
    assert!(
        !calls
            .iter()
            .any(|call| call == "start" || call.starts_with("upload")),
        "{calls:?}"
    );
}

#[tokio::test]
async fn a_log_whose_connection_is_lost_again_and_again_is_whole() {
    let builder = failing("package", "no").with(|script| {
        script.log = (0..200)
            .flat_map(|number| format!("line {number}\n").into_bytes())
            .collect();
        script.losses = [0, 1, 7, 500, 501].into();
    });
    let expected = builder.script().log.clone();
    let scene = Scene::new(builder).await;
    assert_eq!(scene.drive().await.reason.as_deref(), Some("no"));
    assert_eq!(scene.live_log().into_bytes(), expected);
    let starts = scene
        .builder
        .calls()
        .into_iter()
        .filter(|call| call == "start")
        .count();
    assert_eq!(starts, 1, "the build went on meanwhile");
}

#[tokio::test]
async fn a_builder_that_boots_late_is_waited_for() {
    let builder = failing("package", "no").with(|script| script.unreachable = 3);
    let scene = Scene::new(builder).await;
    assert_eq!(scene.drive().await.reason.as_deref(), Some("no"));
}

/// A source of many gigabytes over a slow line: longer than the 90 seconds for which a builder is believed to be busy.
#[tokio::test]
async fn a_builder_is_kept_while_a_source_is_uploaded_and_a_wish_to_cancel_is_seen() {
    let scene = Scene::new(FakeBuilder::new().with_endless_uploads()).await;
    let driven = scene.spawn(&scene.farm.context, &scene.allocation);
    scene.builder.called("upload hello-1-1.src.rpm").await;
    let renewed = async || {
        let name = &scene.farm.context.name;
        let accepted = scene.farm.store().accepted_allocations(Some(name)).await.unwrap();
        (accepted[0].renewed_at, accepted[0].builder.deadline.unwrap())
    };
    let before = renewed().await;
    for _ in 0..2 {
        let last = renewed().await;
        while renewed().await <= last {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let (at, deadline) = renewed().await;
    assert!(at > before.0);
    assert_eq!(deadline, at.plus(leases::BUILDER_DEADLINE));

    scene.cancel().await;
    assert!(driven.await.unwrap(), "the upload has not ended");
    let attempt = scene.attempt().await;
    assert_eq!(
        (attempt.state, attempt.blame),
        (AttemptState::Canceled, Some(Blame::Cancelled))
    );
}

#[tokio::test]
async fn a_running_build_is_killed_when_its_user_wishes_it_and_its_logs_are_kept() {
    let scene = Scene::new(FakeBuilder::new().with(|script| script.over = false)).await;
    let driven = scene.spawn(&scene.farm.context, &scene.allocation);
    scene.builder.called("follow 0").await;
    scene.cancel().await;
    assert!(driven.await.unwrap());
    assert_eq!(scene.attempt().await.state, AttemptState::Canceled);
    assert!(scene.builder.calls().contains(&"cancel".to_owned()));
    assert_eq!(scene.result("build.log").await.as_deref(), Some("rpmbuild\n"));
}

#[test]
fn what_a_builder_said_of_a_failure_stands_though_it_went_away_before_its_logs_were_here() {
    let failed = verdict(VerdictWord::Failed, Some("package"), "it does not compile");
    let outcome = last_word(Some(&failed), lost()).unwrap();
    assert!(
        matches!(&outcome, Outcome::Failed { blame: Blame::Package, reason, .. } if reason == "it does not compile")
    );
    let succeeded = verdict(VerdictWord::Succeeded, None, "");
    for known in [None, Some(&succeeded)] {
        assert!(matches!(last_word(known, lost()), Err(Error::Connection(_))));
    }
}

#[tokio::test]
async fn where_a_builder_gives_no_logs_away_what_was_seen_of_its_log_is_kept() {
    let builder = failing("package", "it does not compile").with(|script| script.has_no_manifest = true);
    let scene = Scene::new(builder).await;
    assert_eq!(scene.drive().await.blame, Some(Blame::Package));
    let kept = scene.result("builder-live.log").await;
    assert_eq!(kept.as_deref(), Some("one\ntwo\nthree\n"));
}

/// It was cut off from the database for longer than others believe in it, and does not know yet.
#[tokio::test]
async fn of_two_workers_that_drive_one_attempt_the_later_one_decides_and_its_files_are_whole() {
    let scene = Scene::new(failing("package", "no").with(|script| script.over = false)).await;
    let early = scene.spawn(&scene.farm.context, &scene.allocation);
    scene.builder.called("follow 0").await;
    let (now, farm) = (clock::now(), &scene.farm);
    let later = Context {
        name: "worker-2".to_owned(),
        ..farm.context.clone()
    };
    let future = now.plus(Duration::from_secs(60));
    let epoch = farm
        .store()
        .take_over_allocation(scene.allocation.epoch, "worker-1", "worker-2", future, now)
        .await
        .unwrap();
    let found = farm.store().accepted_allocations(Some("worker-2")).await.unwrap();
    let allocation = Allocation {
        epoch,
        ..found[0].clone()
    };
    // Both follow the log, and both could collect.
    scene.builder.script().over = true;
    let (leases, stop) = (Arc::<Leases>::default(), CancellationToken::new());
    tokio::spawn(leases::run(
        Arc::new(later.clone()),
        Arc::clone(&leases),
        PACE,
        stop.clone(),
    ));
    assert!(drive(&later, &leases, &allocation).await);
    assert!(early.await.unwrap());
    stop.cancel();
    let attempt = scene.attempt().await;
    assert_eq!(
        (attempt.state, attempt.epoch),
        (AttemptState::Failed, Some(epoch))
    );
    assert_eq!(scene.live_log(), "one\ntwo\nthree\n");
    assert_eq!(scene.result("build.log").await.as_deref(), Some("rpmbuild\n"));
}

#[tokio::test]
async fn a_repository_that_cannot_be_read_is_told_by_the_address_that_the_user_gave() {
    let said = "Failed to download metadata for repo 'additional_0': http://farm.test/results/bob/lib/";
    let builder = failing("package", said).with(|script| {
        script.verdict.evidence = Some(serde_json::json!({"log": "root.log", "line": 7, "text": said}));
    });
    let mut scene = Scene::new(builder).await;
    scene.allocation.attempt.additional_repos = vec!["https://repo.example.org/".to_owned()];
    let attempt = scene.drive().await;
    let told = "Failed to download metadata for repo 'https://repo.example.org/': [farm]/results/bob/lib/";
    assert_eq!(attempt.reason.as_deref(), Some(told));
    assert_eq!(
        attempt.evidence.unwrap(),
        serde_json::json!({"log": "root.log", "line": 7, "text": told})
    );
    let journal = scene.result("backend.log").await.unwrap();
    assert!(journal.contains(told), "{journal}");
}
