//! A cloud that is away when the farm starts, and comes back.

use std::{path::Path, time::Duration};

use serde_json::json;

use crate::{
    clouds::{CloudFacts, Door, Fleet, devcloud, moto, states},
    farm::{eventually, free_port},
};

/// One builder is to be ready; twelve are allowed, and ten at once.
const POOL: &str =
    "    size: {max: 12, idle: 1}\n    launch: {parallel: 10}\n    offerings: [{types: [t3.micro]}]\n";

#[test]
fn one_machine_and_not_ten_is_launched_when_devcloud_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud(directory.path(), free_port());
    comes_back(directory.path(), &cloud, "ready");
}

#[test]
fn one_machine_and_not_ten_is_launched_when_moto_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    // Its machines never answer: they go on booting.
    comes_back(directory.path(), &cloud, "booting");
}

/// The builder that is wanted gets as far as `state`.
fn comes_back(directory: &Path, cloud: &CloudFacts, state: &str) {
    let door = Door::to(cloud.port);
    let fleet = Fleet::new(
        directory,
        cloud,
        door.port,
        POOL,
        "{boot: 30m, provision: 30m, check: 30m}",
    );
    let _controller = fleet.controller();
    let cause = "the cloud cannot be reached: connection refused";
    eventually("the operator is told that the cloud is away, and why", || {
        let status = fleet.status();
        let builders = status["builders"].as_array().unwrap().len();
        assert!(builders <= 1, "{status}\n{}", fleet.log());
        status["troubles"].to_string().contains(cause)
    });
    // Some more rounds and questions, each of which would plan a builder if it could.
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(200));
        let status = fleet.status();
        assert!(
            status["builders"].as_array().unwrap().len() <= 1,
            "{status}\n{}",
            fleet.log()
        );
    }
    let plan = fleet.run(&["fleet", "plan"]);
    assert!(plan.contains(cause) && !plan.contains("launch   "), "{plan}");
    let log = fleet.log();
    assert_eq!(log.matches(cause).count(), 1, "said once: {log}");
    for debug_text in ["DispatchFailure", "ConnectorError", "Some("] {
        assert!(!log.contains(debug_text), "{log}");
    }

    door.open();
    eventually("the one builder that is wanted is there", || {
        let status = fleet.status();
        let builders = status["builders"].as_array().unwrap();
        assert!(builders.len() <= 1, "{status}\n{}", fleet.log());
        builders.first().is_some_and(|builder| builder["state"] == state)
    });
    assert_eq!(states(cloud.port).len(), 1, "{}", fleet.log());
    assert_eq!(fleet.status()["troubles"], json!([]));
    assert!(fleet.run(&["fleet", "plan"]).contains("as wanted"));
}
