//! The controller against moto's EC2, whose instances never answer SSH.

use crate::clouds::{Fleet, moto, states};
use crate::farm::eventually;

#[test]
fn machines_that_never_answer_are_given_up_in_time_and_terminated() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 4, idle: 1}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 2s, pending: 60s}",
    );
    let _controller = fleet.controller();
    let settled = || {
        let status = fleet.status();
        let words = status["troubles"][0].as_str().unwrap_or_default().to_owned();
        let failures = words
            .split("since its last ")
            .nth(1)?
            .split(' ')
            .next()?
            .to_owned();
        let is_alone = status["builders"] == serde_json::json!([]);
        is_alone.then_some((failures, words))
    };
    // Three failures in a row, then the pool is held back, and every failure has cost one machine, which is gone. On a slow
    // machine the pause may end meanwhile: what is compared was so before and after.
    let mut words = String::new();
    eventually(
        "three were launched, given up and ended, and the pool is held back",
        || {
            let Some(before) = settled() else { return false };
            let launched = states(cloud.port);
            let plan = fleet.run(&["fleet", "plan"]);
            if settled().is_none_or(|after| after.0 != before.0) {
                return false;
            }
            assert!(launched.iter().all(|state| state == "terminated"), "{launched:?}");
            assert_eq!(launched.len().to_string(), before.0, "{}", fleet.log());
            assert!(
                launched.len() >= 3 && plan.contains("pool x86 is held back"),
                "{plan}"
            );
            words = before.1;
            true
        },
    );
    assert!(words.starts_with("pool x86 is held back"), "{words}");
    assert!(
        words.contains("builders never got ready: the last one: SSH did not answer within "),
        "{words}"
    );
    let resumed = fleet.run(&["fleet", "resume", "x86"]);
    assert_eq!(
        resumed.trim(),
        "Pool x86 launches builders again as it needs them."
    );
}
