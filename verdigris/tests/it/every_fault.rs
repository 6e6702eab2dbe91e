//! Every other fault of devcloud, each with a fleet of its own: builders get ready all the same, and no machine is left that is
//! nobody's.

use std::time::Duration;

use crate::{
    clouds::{CloudFacts, Fleet, answering_devcloud, ledger, plan_faults},
    farm::eventually,
};

/// A machine that does not boot in that time is given up.
const LIMITS: &str = "{boot: 15s, provision: 30m, check: 30m}";

/// A fleet that wants two ready builders, on a cloud with this plan of faults.
fn troubled(directory: &std::path::Path, plan: &str) -> (CloudFacts, Fleet) {
    let cloud = answering_devcloud(directory);
    plan_faults(cloud.port, plan);
    let pool = "    size: {max: 4, idle: 2}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory, &cloud, cloud.port, pool, LIMITS);
    (cloud, fleet)
}

/// Lets a fleet come to two ready builders in spite of a plan, with two machines that run, and no other that did not end.
fn stands(plan: &str, more_than_two: bool) {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = troubled(directory.path(), plan);
    let _controller = fleet.controller();
    let ready = || {
        let status = fleet.status();
        let builders = status["builders"].as_array().unwrap().clone();
        builders
            .iter()
            .filter(|builder| builder["state"] == "ready")
            .count()
    };
    let running = || {
        let made = ledger(directory.path());
        made.iter().filter(|(_, state)| state != "terminated").count()
    };
    eventually(plan, || ready() == 2 && running() == 2);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((ready(), running()), (2, 2), "{plan}: {}", fleet.log());
    let made = ledger(directory.path()).len();
    assert_eq!(
        made > 2,
        more_than_two,
        "{plan}: {made} machines: {}",
        fleet.log()
    );
}

fn rule(action: &str, count: u32, effect: &str) -> String {
    format!(r#"{{"seed": 7, "rules": [{{"action": "{action}", "count": {count}, "effect": {effect}}}]}}"#)
}

#[test]
fn a_machine_that_boots_badly_is_ended_and_replaced() {
    // A port that is open where nobody greets, and one that falls silent while keys are exchanged; no user data, so that it has
    // not the farm's key; one that ends with a reason of its own, and one that loses its power, on the way.
    for effect in [
        r#"{"stall": {"after_bytes": 0}}"#,
        r#"{"stall": {"after_bytes": 600}}"#,
        r#""no-user-data""#,
        r#"{"end": {"after_milliseconds": 300, "code": "Client.VolumeLimitExceeded", "message": "no room"}}"#,
        r#"{"mishap": {"after_milliseconds": 300, "kind": "power-cut"}}"#,
    ] {
        stands(&rule("RunInstances", 1, effect), true);
    }
}

#[test]
fn a_machine_whose_line_is_slow_or_whose_tags_come_late_is_waited_for() {
    for effect in [
        r#"{"slow-link": {"bytes_per_second": 6000}}"#,
        r#"{"delay-tags": {"milliseconds": 4000}}"#,
        r#"{"edit-tags": {"after_milliseconds": 500, "set": {"team": "packaging"}, "remove": ["verdigris:pool"]}}"#,
        r#""host-key-changes""#,
        r#""reuse-address""#,
    ] {
        stands(&rule("RunInstances", 9, effect), false);
    }
}

#[test]
fn a_cloud_that_has_no_room_for_a_while_is_asked_again() {
    for plan in [
        &*rule("RunInstances", 1, r#"{"fewer": {"count": 0}}"#),
        &rule("RunInstances", 1, r#"{"shortage": {"milliseconds": 4000}}"#),
        r#"{"rules": [], "buckets": [{"actions": ["RunInstances"], "size": 1, "per_minute": 30, "counts": "instances"},
            {"actions": ["Describe*"], "size": 3, "per_minute": 60}]}"#,
        r#"{"rules": [], "quotas": {"instances": 2, "freed_after_milliseconds": 2000}}"#,
    ] {
        stands(plan, false);
    }
}

#[test]
fn rows_that_lack_something_are_old_or_stand_on_two_pages_cost_no_builder() {
    for effect in [
        r#"{"bare-rows": {"percent": 50}}"#,
        r#"{"old-states": {"percent": 50}}"#,
        r#""repeat-row""#,
        r#""skip-row""#,
    ] {
        stands(&rule("DescribeInstances", 1000, effect), false);
    }
}

#[test]
fn a_machine_that_will_not_die_is_told_again_and_its_console_may_be_empty() {
    for (action, effect) in [
        ("TerminateInstances", r#"{"linger": {"milliseconds": 4000}}"#),
        (
            "TerminateInstances",
            r#"{"linger": {"milliseconds": 2000, "returns": true}}"#,
        ),
        ("GetConsoleOutput", r#"{"cut-console": {"bytes": 0}}"#),
    ] {
        let plan = format!(
            r#"{{"seed": 7, "rules": [
                {{"action": "RunInstances", "count": 1, "effect": "no-ssh"}},
                {{"action": "{action}", "count": 1, "effect": {effect}}}]}}"#
        );
        stands(&plan, true);
    }
}
