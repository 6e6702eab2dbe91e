//! The farm is stopped while it builds, by whatever way, and nobody pays for it.

use std::time::Duration;

use serde_json::json;

use crate::{
    farm::{CHROOT, Farm, PATIENCE, eventually},
    packages::{SLOW, source_package},
};

#[test]
fn restarts_of_the_farm_cost_a_build_no_try_and_nobody_is_blamed() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    // One more than a build has tries.
    for how in ["KILL", "TERM", "INT", "KILL"] {
        farm.wait_for(build, &["running"]);
        match how {
            "KILL" => farm.kill(),
            "TERM" => {
                farm.signal("TERM");
                assert!(farm.ends_within(Duration::from_secs(60)), "{}", farm.log());
            }
            _ => {
                farm.signal("INT");
                eventually("it says what runs", || {
                    farm.log()
                        .contains(&format!("build {build} of admin/demo for {CHROOT}"))
                });
                farm.signal("INT");
                assert!(farm.ends_within(Duration::from_secs(60)), "{}", farm.log());
                assert!(farm.log().contains("Stopping at once."), "{}", farm.log());
            }
        }
        farm.up();
    }
    farm.wait_for(build, &["succeeded"]);
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let attempts = attempts.as_array().unwrap();
    let ends: Vec<_> = attempts
        .iter()
        .map(|it| (&it["state"], &it["blame"], &it["reason"]))
        .collect();
    assert_eq!(ends.len(), 5, "{attempts:?}");
    for end in &ends[..4] {
        assert_eq!(
            *end,
            (
                &json!("lost"),
                &json!(null),
                &json!("the farm was stopped while it ran")
            ),
            "{attempts:?}"
        );
    }
    assert_eq!(*ends[4].0, "succeeded", "{attempts:?}");
    let told = farm.log();
    assert_eq!(
        told.matches("was stopped with the farm: it is tried again")
            .count(),
        4
    );
}

/// Wherever one may look.
fn it_says_that_it_is_stopping(farm: &Farm) {
    let words = "the farm is stopping: it begins no builds, and stops when 1 build that runs has ended";
    let health = farm.json("/health");
    assert_eq!(health["fleet"][0], words, "{health}");
    assert_eq!(health["status"], "degraded");
    assert_eq!(farm.json("/api/fleet")["troubles"][0], words);
    for command in ["status", "plan"] {
        let said = farm.operate(&["fleet", command]);
        assert!(said.starts_with(&format!("! {words}\n")), "{said}");
    }
    eventually("what waits is told why", || {
        let queue = farm.json("/api/queue");
        let reason = queue["entries"][0]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        reason.starts_with("the farm is stopping and begins no builds")
    });
}

#[test]
fn ctrl_c_lets_what_runs_end_and_begins_nothing_new() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), SLOW);
    let first = farm.submit("demo", &package);
    farm.wait_for(first, &["running"]);
    farm.signal("INT");
    eventually("it says that it waits", || farm.log().contains("1 build runs."));
    let second = farm.submit("demo", &package);
    it_says_that_it_is_stopping(&farm);
    assert!(farm.ends_within(PATIENCE), "{}", farm.log());
    assert!(farm.log().contains("All builds have ended."), "{}", farm.log());
    let said = farm.operate(&["fleet", "status"]);
    assert!(!said.contains("stopping"), "{said}");
    farm.up();
    for build in [first, second] {
        farm.wait_for(build, &["succeeded"]);
        let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
        assert_eq!(attempts.as_array().unwrap().len(), 1, "{attempts}");
    }
    assert!(farm.stop(), "{}", farm.log());
}
