//! Machines that break under a build: cut off, frozen, without power; and a cloud that never answers a launch. devcloud makes the
//! faults.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::{
    clouds::{Fleet, answering_devcloud, ledger, make_fault, make_fault_with},
    farm::{CHROOT, Farm, eventually},
    packages::{SLOW, source_package},
};

/// Has the farm's own cloud make a fault to an instance.
fn break_machine(farm: &Farm, fault: &str, instance: &str) {
    make(farm, &json!({"fault": fault, "instance": instance}));
}

/// The same, with all that the fault needs.
fn make(farm: &Farm, fault: &Value) {
    let key = fs::read_to_string(farm.path("data/secrets/devcloud.json")).unwrap();
    let key: Value = serde_json::from_str(&key).unwrap();
    make_fault_with(
        cloud_port(farm),
        key["secret_key"].as_str().unwrap(),
        &fault.to_string(),
    );
}

/// The port of the embedded cloud, as the farm's log tells it.
fn cloud_port(farm: &Farm) -> u16 {
    let log = farm.log();
    let told = log.rsplit_once("The embedded cloud answers at http://127.0.0.1:");
    let (_, port) = told.expect("the log tells where the cloud is");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    port.parse().unwrap()
}

/// A farm that builds something slow, the build, and the instance it is built on.
fn building() -> (Farm, i64, String) {
    building_on(Farm::start())
}

fn building_on(farm: Farm) -> (Farm, i64, String) {
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(build, &["running"]);
    eventually("the build writes its log", || {
        let attempts = attempts(&farm, build);
        let id = attempts[0]["id"].as_str().unwrap();
        farm.get(&format!("/api/attempts/{id}/log"))
            .is_some_and(|(_, text)| text.contains("step 3 of 60"))
    });
    let instance = instance_of(&farm);
    (farm, build, instance)
}

/// The instance of the only busy builder.
fn instance_of(farm: &Farm) -> String {
    let status = farm.fleet_status();
    let builders = status["builders"].as_array().unwrap();
    let busy: Vec<&Value> = builders.iter().filter(|one| one["state"] == "busy").collect();
    assert_eq!(busy.len(), 1, "{status}");
    busy[0]["instance_id"].as_str().unwrap().to_owned()
}

/// The attempts of a build, in the order of their numbers.
fn attempts(farm: &Farm, build: i64) -> Vec<Value> {
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let attempts = attempts["items"].as_array().or_else(|| attempts.as_array());
    let mut attempts = attempts.expect("attempts").clone();
    attempts.sort_by_key(|attempt| attempt["number"].as_u64());
    attempts
}

/// The first attempt was lost with its machine, which is the farm's fault; the second succeeded, and the machine is paid no more.
fn is_tried_on_another_machine(farm: &Farm, build: i64, instance: &str) {
    farm.wait_for(build, &["succeeded"]);
    let attempts = attempts(farm, build);
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    assert_eq!(attempts[0]["blame"], "infrastructure", "{attempts:#?}");
    let reason = attempts[0]["reason"].as_str().unwrap();
    assert!(
        !reason.contains(instance) && !reason.contains("10.88."),
        "users see no machine: {reason}"
    );
    eventually("the broken machine is terminated", || {
        let books = fs::read(farm.path("data/devcloud/ledger.json")).unwrap();
        let books: Value = serde_json::from_slice(&books).unwrap();
        books["instances"][instance]["state"] == "terminated"
    });
}

/// A machine that is out of reach for a while loses its connection, and not its build.
fn goes_on_after(fault: &str, end: &str) {
    let (farm, build, instance) = building();
    break_machine(&farm, fault, &instance);
    // An SSH connection is given up after four unanswered keepalives, 20 seconds, and the machine a minute later.
    std::thread::sleep(Duration::from_secs(30));
    break_machine(&farm, end, &instance);
    farm.wait_for(build, &["succeeded"]);
    let attempts = attempts(&farm, build);
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    let account = format!("/results/admin/demo/{CHROOT}/{build:08}-slow/backend.log");
    let (_, account) = farm.get(&account).unwrap();
    assert!(account.contains("Will connect again"), "it was missed: {account}");
}

#[test]
fn a_build_goes_on_whose_machine_was_cut_off_for_a_while() {
    goes_on_after("partition", "heal");
}

#[test]
fn a_build_goes_on_whose_machine_stood_still_for_a_while() {
    goes_on_after("freeze", "thaw");
}

#[test]
fn a_build_whose_machine_freezes_is_tried_on_another() {
    let (farm, build, instance) = building();
    break_machine(&farm, "freeze", &instance);
    is_tried_on_another_machine(&farm, build, &instance);
}

#[test]
fn a_build_whose_machine_loses_its_power_is_tried_on_another() {
    let (farm, build, instance) = building();
    break_machine(&farm, "power-cut", &instance);
    is_tried_on_another_machine(&farm, build, &instance);
}

#[test]
fn builds_whose_machines_the_spot_market_takes_back_are_tried_again_however_often() {
    let (farm, build, instance) = building();
    break_machine(&farm, "spot-loss", &instance);
    // Three tries is all that a build has; each of these machines is taken back while it builds.
    for lost in 1..4 {
        eventually("another machine builds", || {
            let attempts = attempts(&farm, build);
            attempts.len() == lost + 1 && attempts[lost]["state"] == "running"
        });
        break_machine(&farm, "spot-loss", &instance_of(&farm));
    }
    farm.wait_for(build, &["succeeded"]);
    let attempts = attempts(&farm, build);
    assert_eq!(attempts.len(), 5, "{attempts:#?}");
    for attempt in &attempts[..4] {
        let reason = attempt["reason"].as_str().unwrap();
        assert!(
            attempt["blame"].is_null() && reason.contains("Server.SpotInstanceTermination"),
            "{attempt:#?}"
        );
        assert!(!reason.contains("i-0") && !reason.contains("10.88."), "{reason}");
    }
    eventually("what was taken back is gone, and nothing else was", || {
        let books = fs::read(farm.path("data/devcloud/ledger.json")).unwrap();
        let books: Value = serde_json::from_slice(&books).unwrap();
        let machines = books["instances"].as_object().unwrap();
        let taken = machines
            .values()
            .filter(|one| one["state_reason"]["code"] == "Server.SpotInstanceTermination");
        let ended = machines.values().filter(|one| one["state"] == "terminated");
        (taken.count(), ended.count()) == (4, 5)
    });
}

/// A farm whose machines are of the spot market.
fn of_the_spot_market() -> Farm {
    let farm = Farm::start();
    let file = farm.path("data/fleet.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let spot = before.replace("types: [c7i.xlarge]", "types: [c7i.xlarge]\n        market: spot");
    assert_ne!(before, spot);
    fs::write(&file, spot).unwrap();
    eventually("the file is in force", || {
        farm.log().contains("is in force: pool local changes")
    });
    farm.operate(&["fleet", "terminate", "local", "--wait"]);
    farm
}

#[test]
fn a_build_whose_machine_gave_notice_goes_on_and_loses_no_try_with_the_machine() {
    let (farm, build, instance) = building_on(of_the_spot_market());
    let notice = json!({"fault": "spot-loss", "instance": instance, "notice_milliseconds": 1_800_000});
    make(&farm, &notice);
    let is_marked = || {
        let status = farm.operate(&["fleet", "status"]);
        status.contains("busy, taken back")
    };
    eventually("the notice is known", is_marked);
    assert_eq!(attempts(&farm, build).len(), 1, "{}", farm.why(build));
    assert_eq!(farm.state(build), "running");
    // It goes before its time, and the cloud does not say why: the worker gives it up.
    break_machine(&farm, "partition", &instance);
    farm.wait_for(build, &["succeeded"]);
    let attempts = attempts(&farm, build);
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    let reason = attempts[0]["reason"].as_str().unwrap();
    assert!(
        attempts[0]["blame"].is_null()
            && reason.contains("taken back by cloud devcloud: its notice names terminate at 20"),
        "{attempts:#?}"
    );
    let builder = attempts[0]["builder"].as_str().unwrap();
    let why = farm.operate(&["fleet", "why", builder]);
    assert!(why.contains("taken back by cloud devcloud"), "{why}");
    assert_eq!(farm.fleet_status()["troubles"], json!([]));
}

#[test]
fn a_launch_that_is_never_answered_costs_one_machine_and_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    make_fault(
        cloud.port,
        r#"{"fault": "lose-answer", "count": 1, "hang": true}"#,
    );
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 2, idle: 1}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 3m, provision: 30m, check: 30m}",
    );
    let _controller = fleet.controller();
    eventually("a builder is ready", || {
        let status = fleet.status();
        let builders = status["builders"].as_array().unwrap();
        builders.iter().any(|builder| builder["state"] == "ready")
    });
    assert_eq!(ledger(directory.path()).len(), 1, "{}", fleet.log());
}
