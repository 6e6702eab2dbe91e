//! The farm's own account of an attempt, and what is beside it.

use super::*;
use crate::attempt::hand_in;

/// Where the results of a scene's build are.
fn placed(scene: &Scene) -> std::path::PathBuf {
    let repository = scene.farm.context.publisher.directory(&scene.farm.repository());
    repository.join("00000001-hello")
}

/// The names of what is there, in order.
fn names(scene: &Scene) -> Vec<String> {
    let entries = fs_err::read_dir(placed(scene)).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What the farm did is told of every attempt that a worker took up, also where there was nothing to see of the build.
#[tokio::test]
async fn every_end_leaves_the_farms_own_account() {
    type Sets = fn(&mut crate::fake::Script);
    let cases: [(&str, Sets, &str); 5] = [
        (
            "refused",
            |script| script.refuses = Some(|| Error::Task("the machine has no mock".to_owned())),
            "It cannot go on: the builder refuses the task: the machine has no mock",
        ),
        (
            "a broken builder",
            |script| script.refuses = Some(|| Error::Builder("its disk is broken".to_owned())),
            "It cannot go on: the builder misbehaves: its disk is broken",
        ),
        (
            "no log and no results",
            |script| {
                script.verdict = verdict(VerdictWord::Skipped, None, "s390x only");
                script.log = Vec::new();
                script.has_no_manifest = true;
            },
            "The builder says: skipped: s390x only",
        ),
        (
            "nothing to be built from",
            |script| script.refuses = Some(|| Error::Refused("the source is too large".to_owned())),
            "It cannot go on: the source is too large",
        ),
        (
            "lost at once",
            |script| script.refuses = Some(|| Error::Lost("a panic".to_owned())),
            "It cannot go on: an inner task was lost: a panic",
        ),
    ];
    for (what, sets, line) in cases {
        let scene = Scene::new(FakeBuilder::new().with(sets)).await;
        scene.drive().await;
        let told = scene.result("backend.log").await.unwrap_or_default();
        assert!(told.lines().any(|told| told.ends_with(line)), "{what}: {told}");
        let names = names(&scene);
        assert_eq!(
            names,
            ["backend.log", "backend.log.gz"],
            "{what}: nothing was seen"
        );
    }
}

#[tokio::test]
async fn an_attempt_whose_log_cannot_be_opened_or_that_is_cancelled_at_once_leaves_its_account() {
    let scene = Scene::new(FakeBuilder::new()).await;
    let attempts = log::attempts(scene.farm.context.publisher.root());
    fs_err::write(attempts, "no directory").unwrap();
    scene.drive().await;
    let told = scene.result("backend.log").await.unwrap_or_default();
    assert!(told.contains("It cannot go on: opening the log "), "{told}");

    let mut scene = Scene::new(FakeBuilder::new()).await;
    scene.cancel().await;
    scene.allocation.attempt.cancel_requested = true;
    scene.drive().await;
    let told = scene.result("backend.log").await.unwrap_or_default();
    assert!(told.contains("A worker has taken it up."), "{told}");
}

#[tokio::test]
async fn an_attempt_without_a_log_leaves_those_of_the_one_before_in_their_place() {
    let scene = Scene::new(FakeBuilder::new().with(|script| script.refuses = Some(lost_builder))).await;
    let placed = placed(&scene);
    fs_err::create_dir_all(&placed).unwrap();
    for name in ["root.log", "root.log.gz", "backend.log", "hello-1-1.src.rpm"] {
        fs_err::write(placed.join(name), "before").unwrap();
    }
    scene.drive().await;
    let expected = ["backend.log", "backend.log.gz", "root.log", "root.log.gz"];
    assert_eq!(names(&scene), expected);
    let told = scene.result("backend.log").await.unwrap();
    assert!(told.contains("It cannot go on: the builder misbehaves"), "{told}");
    assert_eq!(scene.result("root.log").await.as_deref(), Some("before"));
}

fn lost_builder() -> Error {
    Error::Builder("its disk is broken".to_owned())
}

/// The controller ends attempts whose builder is gone, while their worker waits for it.
#[tokio::test]
async fn an_attempt_that_the_controller_ended_leaves_its_account_where_that_is_the_builds_end() {
    for (blame, is_end) in [(Blame::Package, true), (Blame::Infrastructure, false)] {
        let scene = Scene::new(FakeBuilder::new().with(|script| script.over = false)).await;
        let driven = scene.spawn(&scene.farm.context, &scene.allocation);
        scene.builder.called("follow 0").await;
        while scene.live_log().len() < "one\ntwo\nthree\n".len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ended = Outcome::Failed {
            blame,
            reason: "its machine is gone".to_owned(),
            evidence: None,
            is_suspect: false,
            result_directory: None,
        };
        hand_in(&scene.farm.context, &scene.allocation, &ended)
            .await
            .unwrap();
        assert!(driven.await.unwrap());
        let placed = placed(&scene);
        let told = fs_err::read_to_string(placed.join("backend.log")).ok();
        assert_eq!(told.is_some(), is_end, "{told:?}");
        assert_eq!(scene.result("backend.log").await, told, "it is named where it is");
        if let Some(told) = told {
            assert!(told.contains("It was ended: its machine is gone\n"), "{told}");
            let seen = fs_err::read_to_string(placed.join("builder-live.log")).unwrap();
            assert_eq!(seen, "one\ntwo\nthree\n");
        }
    }
}
