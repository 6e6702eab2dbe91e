//! A cron job that piled up: fifty same commands at once, on a real cloud and a real database, have one effect.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::{
    clouds::{CloudFacts, Fleet, answering_devcloud, ledger},
    farm::{eventually, text},
};

const TIMES: usize = 50;
const LINE: &[&str] = &[
    "fleet",
    "spawn",
    "x86",
    "--count",
    "2",
    "--key",
    "nightly",
    "--timeout",
    "120s",
];

fn world(directory: &Path) -> (CloudFacts, Fleet) {
    let cloud = answering_devcloud(directory);
    let fleet = Fleet::new(
        directory,
        &cloud,
        cloud.port,
        "    size: {max: 6}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 3m, provision: 30m, check: 30m}",
    );
    (cloud, fleet)
}

/// All of them, started before any of them is waited for; the exit code and the line of each.
fn all_at_once(fleet: &Fleet) -> Vec<(Option<i32>, Value)> {
    let begun: Vec<_> = (0..TIMES)
        .map(|_| {
            let mut command = fleet.command(LINE);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let ended = begun.into_iter().map(|child| child.wait_with_output().unwrap());
    ended.map(|output| answer(&output)).collect()
}

fn answer(output: &Output) -> (Option<i32>, Value) {
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    let line = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}{told}: {error}"));
    (output.status.code(), line)
}

/// Of all answers one is the first, and all are about one intent.
fn assert_one_intent(answers: &[(Option<i32>, Value)]) {
    assert_eq!(answers.len(), TIMES);
    let firsts = answers.iter().filter(|(_, said)| said["is_first"] == true);
    assert_eq!(firsts.count(), 1, "{answers:?}");
    for (code, said) in answers {
        assert_eq!(said["key"], answers[0].1["key"], "{code:?}: {said}");
    }
}

/// Two builders are ready, and the cloud's own books know of no other machine that ever was.
fn has_two_builders(fleet: &Fleet, directory: &Path) -> bool {
    let status = fleet.status();
    let builders = status["builders"].as_array().unwrap();
    let made = ledger(directory);
    assert!(builders.len() <= 2 && made.len() <= 2, "{status}: {made:?}");
    let running = made.iter().filter(|(_, state)| state == "running").count();
    running == 2 && builders.len() == 2 && builders.iter().all(|it| it["state"] == "ready")
}

#[test]
fn fifty_same_commands_at_once_have_one_effect_where_no_controller_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = world(directory.path());
    let answers = all_at_once(&fleet);
    assert_one_intent(&answers);
    // Whoever leads does it to its end. To the others that one is a controller: they say how far it is.
    for (code, said) in &answers {
        assert!([Some(0), Some(2)].contains(code), "{said}");
    }
    let done = answers.iter().filter(|(code, _)| *code == Some(0));
    let done: Vec<_> = done.map(|(_, said)| said).collect();
    assert!(!done.is_empty(), "{answers:?}");
    assert!(done.iter().all(|said| said["state"] == "done"), "{answers:?}");
    assert!(has_two_builders(&fleet, directory.path()), "{}", fleet.status());
}

#[test]
fn fifty_same_commands_at_once_have_one_effect_beside_a_controller() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = world(directory.path());
    let _controller = fleet.controller();
    eventually("the controller leads", || {
        fleet.status()["troubles"] == serde_json::json!([])
    });
    let answers = all_at_once(&fleet);
    assert_one_intent(&answers);
    for (code, said) in &answers {
        // It may be done before the last of them has asked.
        assert!([Some(0), Some(2)].contains(code), "{said}");
    }
    eventually("two builders are ready", || {
        has_two_builders(&fleet, directory.path())
    });
    // Asked once more it is the same wish, which is over.
    let again = answer(&fleet.command(LINE).output().unwrap());
    assert_eq!(
        (again.0, &again.1["is_first"]),
        (Some(0), &false.into()),
        "{}",
        again.1
    );
    assert!(has_two_builders(&fleet, directory.path()), "{}", fleet.status());
}
