//! Faults of devcloud, and what the fleet makes of them.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    clouds::{CloudFacts, Fleet, answering_devcloud, boto3, ledger, make_fault, plan_faults},
    farm::eventually,
};

/// Time limits that no machine of these tests comes to.
const PATIENT: &str = "{boot: 3m, provision: 30m, check: 30m}";

/// A cloud with these rules of faults, and a fleet on it.
fn troubled(directory: &Path, rules: &str, size: &str) -> (CloudFacts, Fleet) {
    let cloud = answering_devcloud(directory);
    plan_faults(cloud.port, &format!(r#"{{"seed": 5, "rules": [{rules}]}}"#));
    let pool = format!("    size: {size}\n    offerings: [{{types: [t3.micro]}}]\n");
    let fleet = Fleet::new(directory, &cloud, cloud.port, &pool, PATIENT);
    (cloud, fleet)
}

/// How many machines were ever made, and how many of them have ended.
fn made_and_ended(directory: &Path) -> (usize, usize) {
    let made = ledger(directory);
    let ended = made.iter().filter(|(_, state)| state == "terminated").count();
    (made.len(), ended)
}

/// Looks for so long whether anything moves.
fn stays_for(time: Duration, mut so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < time {
        if !so() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    true
}

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
    let cloud = answering_devcloud(directory.path());
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
    let cloud = answering_devcloud(directory.path());
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

#[test]
fn a_slow_machine_is_waited_for_and_one_that_shows_another_host_key_is_ended_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = troubled(
        directory.path(),
        r#"{"action": "RunInstances", "effect": {"slow-boot": {"milliseconds": 15000}}},
           {"action": "RunInstances", "after": 1, "effect": "wrong-host-key"}"#,
        "{max: 4, idle: 2}",
    );
    let began = Instant::now();
    let _controller = fleet.controller();
    eventually("two builders are ready", || ready(&fleet) == 2);
    assert!(began.elapsed() >= Duration::from_secs(15), "one of them was slow");
    eventually("the stranger has ended, and nothing else was made", || {
        made_and_ended(directory.path()) == (3, 1)
    });
    let log = fleet.log();
    let strangers: Vec<&str> = log.lines().filter(|line| line.contains("is given up")).collect();
    assert!(
        strangers.len() == 1 && strangers[0].contains("host key"),
        "{strangers:?}"
    );
    assert_eq!(
        log.matches("Played on builder").count(),
        4,
        "two playbooks on each of two: {log}"
    );
    assert_eq!(fleet.status()["troubles"], serde_json::json!([]));
}

#[test]
fn a_pool_whose_machines_all_show_another_host_key_is_held_back_says_why_and_tries_again() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = troubled(
        directory.path(),
        r#"{"action": "RunInstances", "count": 3, "effect": "wrong-host-key"}"#,
        "{max: 6, idle: 1}",
    );
    let _controller = fleet.controller();
    eventually("the pool is held back, and why", || {
        let plan = fleet.run(&["fleet", "plan"]);
        plan.contains("its last 3 builders never got ready") && plan.contains("host key")
    });
    assert_eq!(made_and_ended(directory.path()).0, 3, "{}", fleet.log());
    eventually("one machine shows that it works again", || ready(&fleet) == 1);
    eventually("the three have ended", || {
        made_and_ended(directory.path()) == (4, 3)
    });
}

#[test]
fn machines_that_the_spot_market_takes_back_are_replaced_and_their_pool_is_not_held_back() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 3, idle: 1}\n    offerings: [{types: [t3.micro], market: spot}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, PATIENT);
    let _controller = fleet.controller();
    for taken in 0..3 {
        eventually("a builder is ready", || {
            made_and_ended(directory.path()) == (taken + 1, taken) && ready(&fleet) == 1
        });
        let status = fleet.status();
        let builders = status["builders"].as_array().unwrap();
        let ready = builders.iter().find(|builder| builder["state"] == "ready");
        let instance = ready.unwrap()["instance_id"].as_str().unwrap();
        let fault =
            format!(r#"{{"fault": "spot-loss", "instance": "{instance}", "notice_milliseconds": 1000}}"#);
        make_fault(cloud.port, &fault);
    }
    eventually("the fourth stays", || {
        made_and_ended(directory.path()) == (4, 3) && ready(&fleet) == 1
    });
    let lifecycles = "print(*{i['InstanceLifecycle'] for r in ec2.describe_instances()['Reservations'] for i in r['Instances']})";
    assert_eq!(boto3(cloud.port, lifecycles).trim(), "spot");
    let log = fleet.log();
    // The notice of one second comes to us or not: a machine asks every five.
    let is_told =
        |line: &&str| line.contains("Server.SpotInstanceTermination") || line.contains("taken back by cloud");
    let drained = log.lines().filter(|line| line.contains(" for draining: "));
    assert_eq!(drained.filter(is_told).count(), 3, "{log}");
    assert_eq!(fleet.status()["troubles"], serde_json::json!([]));
}

#[test]
fn an_idle_machine_whose_cloud_gives_notice_is_replaced_long_before_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 3, idle: 1}\n    offerings: [{types: [t3.micro], market: spot}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, PATIENT);
    let _controller = fleet.controller();
    eventually("a builder is ready", || ready(&fleet) == 1);
    let status = fleet.status();
    let first = &status["builders"][0];
    let [id, instance] = ["id", "instance_id"].map(|key| first[key].as_str().unwrap());
    let fault =
        format!(r#"{{"fault": "spot-loss", "instance": "{instance}", "notice_milliseconds": 3600000}}"#);
    make_fault(cloud.port, &fault);
    eventually("another took its place, and it has ended", || {
        made_and_ended(directory.path()) == (2, 1) && ready(&fleet) == 1
    });
    let why = fleet.run(&["fleet", "why", id]);
    let words = "taken back by cloud rented: its notice names terminate at 20";
    assert!(why.matches(words).count() >= 2, "the mark, and the events: {why}");
    assert_eq!(fleet.status()["troubles"], serde_json::json!([]));
}

#[test]
fn machines_that_are_not_visible_yet_are_neither_lost_nor_launched_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = troubled(
        directory.path(),
        r#"{"action": "RunInstances", "effect": {"delay-visibility": {"milliseconds": 25000}}},
           {"action": "RunInstances", "effect": {"lose-answer": {}}},
           {"action": "RunInstances", "effect": {"delay-visibility": {"milliseconds": 110000}}}"#,
        "{max: 4, idle: 2}",
    );
    let _controller = fleet.controller();
    let began = Instant::now();
    // What is told of by its launch and not found for a minute is given up and asked to end; nothing before.
    assert!(
        stays_for(Duration::from_secs(50), || made_and_ended(directory.path()).0
            <= 2),
        "{}",
        fleet.log()
    );
    assert_eq!(ready(&fleet), 1, "{}", fleet.log());
    eventually("the late one is replaced, and ended when it can be seen", || {
        let (made, ended) = made_and_ended(directory.path());
        assert!(made <= 3, "{}", fleet.log());
        ready(&fleet) == 2 && ended == 1
    });
    assert!(
        began.elapsed() > Duration::from_secs(100),
        "it could not be ended before"
    );
    assert!(
        fleet.log().contains("the cloud no longer knows instance"),
        "{}",
        fleet.log()
    );
    eventually("only the two builders are left", || {
        fleet.status()["builders"].as_array().unwrap().len() == 2
    });
}

#[test]
fn lists_that_lack_machines_or_show_them_twice_cost_no_builder() {
    let directory = tempfile::tempdir().unwrap();
    let (_cloud, fleet) = troubled(
        directory.path(),
        r#"{"action": "DescribeInstances", "count": 100000, "percent": 60, "effect": {"leave-out": {"percent": 50}}},
           {"action": "DescribeInstances", "count": 100000, "percent": 50, "effect": "double"}"#,
        "{max: 6, idle: 3}",
    );
    let _controller = fleet.controller();
    eventually("three builders are ready", || ready(&fleet) == 3);
    assert!(
        stays_for(Duration::from_secs(40), || ready(&fleet) == 3),
        "{}",
        fleet.log()
    );
    assert_eq!(made_and_ended(directory.path()), (3, 0), "{}", fleet.log());
}

#[test]
fn a_cloud_that_shows_none_of_its_machines_is_not_believed_at_once_and_gets_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let (cloud, fleet) = troubled(directory.path(), "", "{max: 6, idle: 2}");
    let _controller = fleet.controller();
    eventually("two builders are ready", || ready(&fleet) == 2);
    let empty =
        r#"{"action": "DescribeInstances", "count": 100000, "effect": {"leave-out": {"percent": 100}}}"#;
    plan_faults(cloud.port, &format!(r#"{{"rules": [{empty}]}}"#));
    eventually("the operator is told", || {
        let troubles = fleet.status()["troubles"].to_string();
        troubles.contains("it shows 0 of the 2 machines that it should have")
    });
    assert!(
        stays_for(Duration::from_secs(90), || ready(&fleet) == 2),
        "{}",
        fleet.log()
    );
    plan_faults(cloud.port, r#"{"rules": []}"#);
    eventually("the cloud is believed again", || {
        fleet.status()["troubles"] == serde_json::json!([])
    });
    assert_eq!((ready(&fleet), made_and_ended(directory.path())), (2, (2, 0)));
}
