//! Two controllers on PostgreSQL, of which the one that leads is put to sleep and wakes again: it believes for a moment that it
//! still leads, and does nothing twice.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;
use store::testing::PostgresServer;

use crate::{
    clouds::Running,
    farm::eventually,
    processes::{Processes, prepared},
};

const NAMES: [&str; 2] = ["controller-a", "controller-b"];
const LEADS: &str = "This controller leads fleet processes";
const TURNS: usize = 6;

fn signal(process: &Running, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), process.0.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill -{name}");
}

fn count(farm: &Processes, controller: usize, words: &str) -> usize {
    farm.log(NAMES[controller]).matches(words).count()
}

/// How many instances were ever made for each builder, and which run, from the cloud's own books.
fn books(farm: &Processes) -> (BTreeMap<String, usize>, Vec<String>) {
    let text = fs::read(farm.path("cloud/ledger.json")).unwrap();
    let ledger: Value = serde_json::from_slice(&text).unwrap();
    let (mut made, mut running) = (BTreeMap::new(), Vec::new());
    for (id, instance) in ledger["instances"].as_object().unwrap() {
        let builder = ledger["tags"][id]["verdigris:builder"].as_str().unwrap();
        *made.entry(builder.to_owned()).or_default() += 1;
        if instance["state"] != "terminated" {
            running.push(id.clone());
        }
    }
    running.sort();
    (made, running)
}

/// The instances of the builders that live.
fn had(farm: &Processes) -> Vec<String> {
    let status = farm.status();
    let builders = status["builders"].as_array().unwrap();
    let ids = builders.iter().filter_map(|it| it["instance_id"].as_str());
    let mut ids: Vec<String> = ids.map(str::to_owned).collect();
    ids.sort();
    ids
}

#[test]
fn a_leader_that_sleeps_until_another_leads_does_nothing_twice_when_it_wakes() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let file = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    let quick = file.replace(
        "  tick: {min: 150ms, max: 1s}\n",
        "  tick: {min: 150ms, max: 1s}\n  lease: {ttl: 3s, renew: 1s}\n",
    );
    assert_ne!(file, quick);
    fs::write(farm.path("fleet.yaml"), quick).unwrap();
    let first = farm.spawn_as("controller", NAMES[0]);
    eventually("the first leads", || count(&farm, 0, LEADS) == 1);
    let controllers = [first, farm.spawn_as("controller", NAMES[1])];
    eventually("the second waits", || {
        count(&farm, 1, "this controller waits") == 1
    });
    let mut leader = 0;
    for turn in 0..TURNS {
        let other = 1 - leader;
        let led = [count(&farm, 0, LEADS), count(&farm, 1, LEADS)];
        // Something is under way whenever it falls asleep: all builders go, and new ones come.
        let key = format!("turn {turn}");
        farm.ask_for(&["terminate", "x86", "--key", &key]);
        std::thread::sleep(std::time::Duration::from_millis(90 * turn as u64));
        signal(&controllers[leader], "STOP");
        eventually("the other leads", || count(&farm, other, LEADS) == led[other] + 1);
        signal(&controllers[leader], "CONT");
        eventually("it knows that it no longer leads", || {
            count(&farm, leader, "No longer leading") > turn / 2
        });
        leader = other;
    }
    eventually("the pool is as it is wanted", || farm.states() == ["ready"]);
    eventually("no machine is left of others", || books(&farm).1 == had(&farm));
    let (made, running) = books(&farm);
    assert_eq!(running.len(), 1, "{running:?}");
    assert!(made.len() > TURNS / 2, "{made:?}");
    assert!(made.values().all(|count| *count == 1), "{made:?}");
}
