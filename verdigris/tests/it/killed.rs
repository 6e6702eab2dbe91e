//! A controller that is killed at random, again and again, on a cloud in which much goes wrong, while the farm wants many machines
//! and then few. In the end the cloud's books and the farm's agree: nothing runs that is nobody's, and nothing is missing.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clouds::{Fleet, answering_devcloud, plan_faults},
    farm::eventually,
};

/// What the cloud does to its client meanwhile.
const FAULTS: &str = r#"{"seed": 11, "rules": [
    {"action": "RunInstances", "count": 100000, "percent": 10, "effect": {"lose-answer": {"when": "after"}}},
    {"action": "RunInstances", "count": 100000, "percent": 10, "effect": {"fail": {"code": "InsufficientInstanceCapacity"}}},
    {"action": "RunInstances", "count": 100000, "percent": 10, "effect": {"delay-visibility": {"milliseconds": 1500}}},
    {"action": "RunInstances", "count": 100000, "percent": 5, "effect": "no-ssh"},
    {"action": "DescribeInstances", "count": 100000, "percent": 10, "effect": {"fail": {"code": "RequestLimitExceeded"}}},
    {"action": "DescribeInstances", "count": 100000, "percent": 10, "effect": {"leave-out": {"percent": 30}}},
    {"action": "DescribeInstances", "count": 100000, "percent": 10, "effect": {"bare-rows": {"percent": 50}}},
    {"action": "TerminateInstances", "count": 100000, "percent": 10, "effect": {"linger": {"milliseconds": 1000}}}
]}"#;

/// For how long, and with how many machines at most: five minutes with sixty where `cargo xtask test --long` asks for it.
fn scale() -> (Duration, usize) {
    if std::env::var_os("VERDIGRIS_LONG_TESTS").is_some() {
        (Duration::from_secs(300), 60)
    } else {
        (Duration::from_secs(25), 8)
    }
}

/// Numbers that differ from turn to turn and are the same in each run: xorshift of 64 bits.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// The instances that run, and how many were ever made for each builder, from the cloud's own books.
fn books(directory: &Path) -> (Vec<String>, BTreeMap<String, usize>) {
    let text = fs::read(directory.join("cloud/ledger.json")).unwrap();
    let ledger: Value = serde_json::from_slice(&text).unwrap();
    let (mut running, mut made) = (Vec::new(), BTreeMap::new());
    for (id, instance) in ledger["instances"].as_object().unwrap() {
        if instance["state"] != "terminated" {
            running.push(id.clone());
        }
        let builder = ledger["tags"][id]["verdigris:builder"].as_str();
        *made.entry(builder.unwrap_or("nobody").to_owned()).or_default() += 1;
    }
    running.sort();
    (running, made)
}

/// The builders of the farm that live: their states, and the instances that they have.
fn builders(fleet: &Fleet) -> (Vec<String>, Vec<String>) {
    let status = fleet.status();
    let (mut states, mut instances) = (Vec::new(), Vec::new());
    for builder in status["builders"].as_array().unwrap() {
        states.push(builder["state"].as_str().unwrap().to_owned());
        instances.extend(builder["instance_id"].as_str().map(str::to_owned));
    }
    instances.sort();
    (states, instances)
}

#[test]
fn whenever_the_controller_is_killed_the_clouds_books_and_the_farms_agree_in_the_end() {
    let (time, most) = scale();
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    plan_faults(cloud.port, FAULTS);
    let size = |idle: usize| format!("size: {{max: {most}, idle: {idle}}}\n");
    let pool = format!(
        "    {}    launch: {{parallel: 100}}\n    shrink: {{idle_for: 1s}}\n    offerings: [{{types: [t3.micro, t3.small]}}]\n",
        size(most)
    );
    let limits = "{boot: 60s, provision: 30m, check: 30m}";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, &pool, limits);
    assert!(fleet.edit("  tick:", "  lease: {ttl: 3s, renew: 1s}\n  tick:"));
    let mut numbers = Numbers(0x5eed);
    let (begun, mut kills, mut wanted) = (Instant::now(), 0_u32, most);
    while begun.elapsed() < time {
        let controller = fleet.controller();
        thread::sleep(Duration::from_millis(200 + numbers.next(4800)));
        drop(controller);
        kills += 1;
        if kills % 4 == 0 {
            let now = if wanted == most { 1 } else { most };
            assert!(fleet.edit(&size(wanted), &size(now)));
            wanted = now;
        }
        let (running, _) = books(directory.path());
        assert!(
            running.len() <= most,
            "{} machines run, {most} are allowed",
            running.len()
        );
    }
    plan_faults(cloud.port, r#"{"rules": []}"#);
    assert!(fleet.edit(&size(wanted), &size(2)));
    let _controller = fleet.controller();
    eventually("two builders are ready, and no machine is anybody else's", || {
        let (states, instances) = builders(&fleet);
        states == ["ready", "ready"] && books(directory.path()).0 == instances
    });
    let (_, made) = books(directory.path());
    println!(
        "{kills} controllers were killed in {} s; {} machines were made",
        time.as_secs(),
        made.values().sum::<usize>()
    );
    assert!(made.values().all(|count| *count == 1), "{made:?}");
    assert!(made.len() >= most, "{made:?}");
}
