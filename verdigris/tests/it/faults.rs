//! Faults of devcloud, and what the fleet makes of them.

use std::fs;

use crate::{
    clouds::{Fleet, devcloud, ledger, make_fault, plan_faults},
    farm::{eventually, free_port},
};

/// How many builders are ready.
fn ready(fleet: &Fleet) -> usize {
    let status = fleet.status();
    let builders = status["builders"].as_array().unwrap();
    builders
        .iter()
        .filter(|builder| builder["state"] == "ready")
        .count()
}

#[test]
fn refused_throttled_and_lost_launches_and_a_machine_without_ssh_cost_no_builder() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud(directory.path(), free_port());
    eventually("devcloud answers", || {
        std::net::TcpStream::connect(("127.0.0.1", cloud.port)).is_ok()
    });
    // The first offering is refused for each of these reasons, and one launch is put off.
    for code in [
        "InsufficientFreeAddressesInSubnet",
        "VcpuLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "EC2ThrottledException",
    ] {
        let fault = format!(r#"{{"fault": "fail-run-instances", "code": "{code}", "count": 1}}"#);
        make_fault(cloud.port, &fault);
    }
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 6, idle: 4}\n    offerings: [{types: [c7i.xlarge, t3.micro]}]\n",
        "{boot: 45s, provision: 30m, check: 30m}",
    );
    let controller = fleet.controller();
    eventually("four builders are ready", || ready(&fleet) == 4);
    let types = |wanted: &str| {
        let made = ledger(directory.path());
        made.iter().filter(|(of, _)| of == wanted).count()
    };
    assert_eq!(
        (types("t3.micro"), types("c7i.xlarge")),
        (3, 1),
        "three refusals led to the other offering, the throttled launch to its own: {}",
        fleet.log()
    );
    assert_eq!(fleet.status()["troubles"], serde_json::json!([]));

    // Two more are wanted: of one the answer is lost, and the first machine never answers SSH.
    drop(controller);
    make_fault(cloud.port, r#"{"fault": "lose-answer", "count": 1}"#);
    make_fault(cloud.port, r#"{"fault": "no-ssh", "count": 1}"#);
    let file = directory.path().join("fleet.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("{max: 6, idle: 4}", "{max: 8, idle: 6}")).unwrap();
    let _controller = fleet.controller();
    eventually("six builders are ready", || ready(&fleet) == 6);
    eventually("what never answered is ended, and nothing else was made", || {
        let made = ledger(directory.path());
        let ended = made.iter().filter(|(_, state)| state == "terminated").count();
        (made.len(), ended) == (7, 1)
    });
    assert!(
        fleet.log().contains("SSH did not answer within"),
        "{}",
        fleet.log()
    );
}

#[test]
fn a_cloud_that_answers_only_some_questions_gets_no_machine_twice_and_loses_none() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud(directory.path(), free_port());
    eventually("devcloud answers", || {
        std::net::TcpStream::connect(("127.0.0.1", cloud.port)).is_ok()
    });
    plan_faults(
        cloud.port,
        r#"{"seed": 3, "rules": [
            {"action": "RunInstances", "count": 2, "effect": {"pause": {"milliseconds": 3000}}},
            {"action": "RunInstances", "after": 1, "effect": {"lose-answer": {}}},
            {"action": "DescribeInstances", "count": 1000, "percent": 50, "effect": {"fail": {"code": "RequestLimitExceeded"}}}]}"#,
    );
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 4, idle: 3}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 3m, provision: 30m, check: 30m}",
    );
    let _controller = fleet.controller();
    eventually("three builders are ready", || ready(&fleet) == 3);
    let made = ledger(directory.path());
    assert!(
        made.len() == 3 && made.iter().all(|(_, state)| state == "running"),
        "{made:?}: {}",
        fleet.log()
    );
}
