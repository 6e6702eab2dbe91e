//! Two fleets in one database, with pools and clouds of the same names: what one knows is nothing to the other.

use model::{
    BuilderState, FleetId, PoolName, Timestamp,
    intent::{Decision, IntentState, Request, Target},
    mark::Pause,
    plan::CloudTrouble,
};
use serde_json::json;
use store::{Builder, Change, FleetView, Lease, NewBuilder, NewHost, Sighting};
use uuid::Uuid;

use crate::{
    farm::{Farm, TTL, assert_conflict, assert_not_found, because, new_builder, new_launch},
    support::at,
};

on_both_databases!(
    pools_of_one_name_fail_and_rest_each_for_themselves,
    strays_in_clouds_of_one_name_are_counted_each_for_themselves,
    hosts_of_one_name_are_builders_of_both_and_an_instance_of_a_cloud_is_one_builders,
    of_a_fleet_of_the_past_nobody_is_told,
    pools_of_before_stay_paused_in_the_fleets_that_there_are,
);

fn pool() -> PoolName {
    new_builder().pool
}

/// A second fleet, which another controller leads.
async fn another(farm: &Farm) -> Lease {
    let fleet = FleetId(Uuid::now_v7());
    let taken = farm.store.acquire_lease(fleet, "controller-2", TTL, at(0)).await;
    taken.unwrap().unwrap()
}

async fn view(farm: &Farm, lease: &Lease) -> FleetView {
    farm.store.fleet_snapshot(lease.fleet, at(11)).await.unwrap()
}

async fn record(farm: &Farm, lease: &Lease, hash: &str) {
    farm.store
        .record_pool(lease, &pool(), &json!({"hash": hash}), hash, at(1))
        .await
        .unwrap();
}

/// Until when a fleet's pool is held back.
async fn held(farm: &Farm, lease: &Lease) -> Option<Timestamp> {
    let found = view(farm, lease).await.histories.get(&pool()).cloned();
    found.and_then(|history| history.held_until())
}

/// Gives three builders of a fleet up before they were ready.
async fn fail(farm: &Farm, lease: &Lease) {
    for _ in 0..3 {
        let new = new_builder();
        farm.store.plan_builder(lease, &new, at(1)).await.unwrap();
        let planned: Builder = farm.builder(new.id).await;
        let launching = farm
            .store
            .begin_launch(lease, &planned, &new_launch(), at(60), at(2))
            .await
            .unwrap();
        let refused = Change {
            launch_answer: Some(model::LaunchAnswer::Refused),
            ..because("refused")
        };
        farm.store
            .transition(lease, &launching, BuilderState::Abandoned, &refused, at(10))
            .await
            .unwrap();
    }
}

async fn pause(farm: &Farm, lease: &Lease) {
    let request = Request::Drain {
        what: Target::Pool(pool()),
        reason: "its disks".to_owned(),
        lasts: None,
    };
    let asked = (&request, "drain/1", "operator:alice");
    let (intent, _) = farm.store.add_intent(lease.fleet, asked, at(3)).await.unwrap();
    let decision = Decision {
        pause: Some((
            pool(),
            Some(Pause {
                by: "alice".to_owned(),
                why: "its disks".to_owned(),
                until: None,
            }),
        )),
        ..Decision::of(IntentState::Done, "it launches nothing")
    };
    farm.store
        .settle_intent(lease, &intent, &decision, at(4))
        .await
        .unwrap();
}

async fn pools_of_one_name_fail_and_rest_each_for_themselves(farm: Farm) {
    let (one, other) = (farm.lease, another(&farm).await);
    record(&farm, &one, "one").await;
    record(&farm, &other, "other").await;
    fail(&farm, &one).await;
    pause(&farm, &one).await;
    let is_paused = async |lease| view(&farm, lease).await.pauses.contains_key(&pool());
    assert_eq!(held(&farm, &one).await, Some(at(40)));
    assert_eq!(held(&farm, &other).await, None);
    assert!(is_paused(&one).await && !is_paused(&other).await);

    // The other one's controller starts anew, with another file: it changes nothing of the first.
    record(&farm, &other, "changed").await;
    farm.store.retire_pools(&other, &[]).await.unwrap();
    assert_eq!(held(&farm, &one).await, Some(at(40)));
    let told = farm.store.fleet_condition(Some(one.fleet), at(11)).await.unwrap();
    assert_eq!(told.pools[&pool()].held_until(), Some(at(40)));
    let told = farm
        .store
        .fleet_condition(Some(other.fleet), at(11))
        .await
        .unwrap();
    assert!(told.pools.is_empty(), "{:?}", told.pools);

    let resume = async |lease: &Lease| {
        farm.store
            .resume_pool(lease.fleet, &pool(), "alice", at(12))
            .await
    };
    assert!(!resume(&other).await.unwrap());
    assert_eq!(held(&farm, &one).await, Some(at(40)));
    assert!(resume(&one).await.unwrap());
    assert_eq!(held(&farm, &one).await, None);
    let nobody = Lease {
        fleet: FleetId(Uuid::now_v7()),
        ..one
    };
    assert_not_found(resume(&nobody).await);
}

/// A builder that was given an instance of this id; the error where it could not be.
async fn given(farm: &Farm, lease: &Lease, new: &NewBuilder, id: &str) -> Result<Builder, store::Error> {
    farm.store.plan_builder(lease, new, at(1)).await.unwrap();
    let planned = farm.builder(new.id).await;
    let launching = farm
        .store
        .begin_launch(lease, &planned, &new_launch(), at(60), at(2))
        .await
        .unwrap();
    let change = Change {
        instance_id: Some(id.to_owned()),
        ..because("it was given")
    };
    let moved = farm
        .store
        .transition(lease, &launching, BuilderState::Pending, &change, at(3));
    moved.await
}

async fn hosts_of_one_name_are_builders_of_both_and_an_instance_of_a_cloud_is_one_builders(farm: Farm) {
    let (one, other) = (farm.lease, another(&farm).await);
    let of_host = || NewBuilder {
        cloud: "hosts".to_owned(),
        host: Some(NewHost {
            name: "rack-1".to_owned(),
            address: "192.0.2.7".to_owned(),
        }),
        ..new_builder()
    };
    for lease in [&one, &other] {
        let new = of_host();
        let row = given(&farm, lease, &new, "rack-1").await.unwrap();
        assert_eq!((row.id, row.state), (new.id, BuilderState::Pending));
        let again = farm.store.plan_builder(lease, &of_host(), at(4)).await;
        assert_conflict(again);
        let found = farm.store.builder_of_fleet_by_instance(lease.fleet, "rack-1");
        assert_eq!(found.await.unwrap().unwrap().id, new.id);
        let fleet = farm.store.fleet_of_builder(new.id).await.unwrap();
        assert_eq!(fleet, Some(lease.fleet));
    }
    let nobodys = farm.store.fleet_of_builder(new_builder().id).await.unwrap();
    assert_eq!(nobodys, None);
    given(&farm, &one, &new_builder(), "i-1").await.unwrap();
    for lease in [&one, &other] {
        let taken = given(&farm, lease, &new_builder(), "i-1").await;
        let words = taken.as_ref().unwrap_err().to_string();
        assert!(words.contains("instance i-1 is another builder's"), "{words}");
        assert_conflict(taken);
    }
}

async fn see(farm: &Farm, lease: &Lease, seen: &[&str], now: u64) {
    let seen: Vec<Sighting> = seen.iter().map(|id| Sighting::of(id, "running")).collect();
    farm.store
        .record_sightings(lease, "dev", &seen, at(now))
        .await
        .unwrap();
}

/// The strays of a fleet, in how many lists in a row each was, and what its cloud refuses.
async fn strays(farm: &Farm, lease: &Lease) -> Vec<(String, u32, Option<String>)> {
    let found = farm.store.orphans(lease.fleet, Some("dev")).await.unwrap();
    found
        .into_iter()
        .map(|it| (it.instance_id, it.times_seen, it.refusal))
        .collect()
}

async fn strays_in_clouds_of_one_name_are_counted_each_for_themselves(farm: Farm) {
    let (one, other) = (farm.lease, another(&farm).await);
    see(&farm, &one, &["i-1"], 1).await;
    see(&farm, &other, &["i-2"], 2).await;
    see(&farm, &one, &["i-1"], 3).await;
    see(&farm, &other, &[], 4).await;
    see(&farm, &one, &["i-1"], 5).await;
    let stray = |refusal: Option<&str>| ("i-1".to_owned(), 3, refusal.map(str::to_owned));
    assert_eq!(strays(&farm, &one).await, [stray(None)], "in each of three lists");
    assert_eq!(strays(&farm, &other).await, []);
    for (lease, expected) in [(&other, None), (&one, Some("it is protected"))] {
        farm.store
            .note_refusal(lease, "dev", "i-1", "it is protected", at(6))
            .await
            .unwrap();
        assert_eq!(strays(&farm, &one).await, [stray(expected)]);
    }
    // Whoever looks after the whole farm is told of both.
    let told = farm.store.fleet_condition(None, at(7)).await.unwrap();
    assert_eq!(told.refused_ends["i-1"], "it is protected");
    let told = farm
        .store
        .fleet_condition(Some(other.fleet), at(7))
        .await
        .unwrap();
    assert!(told.refused_ends.is_empty());
}

async fn of_a_fleet_of_the_past_nobody_is_told(farm: Farm) {
    let before = farm.lease;
    record(&farm, &before, "one").await;
    let trouble = CloudTrouble {
        cloud: "dev".to_owned(),
        since: at(1),
        reason: "away".to_owned(),
        detail: "it does not answer".to_owned(),
    };
    farm.store
        .set_cloud_trouble(&before, "dev", Some(&trouble), at(1))
        .await
        .unwrap();
    let told = async |now| {
        let condition = farm.store.fleet_condition(None, at(now)).await.unwrap();
        let pools: Vec<PoolName> = condition.pools.into_keys().collect();
        (pools, condition.clouds)
    };
    // While nobody leads, it is the one that was led last.
    assert_eq!(told(100).await, (vec![pool()], vec![trouble]));
    let fleet = FleetId(Uuid::now_v7());
    let taken = farm
        .store
        .acquire_lease(fleet, "controller-1", TTL, at(101))
        .await;
    taken.unwrap().unwrap();
    assert_eq!(told(102).await, (vec![], vec![]));
    assert_eq!(told(200).await, (vec![], vec![]));
}

/// As a database was when pools and sightings had no fleet.
async fn pools_of_before_stay_paused_in_the_fleets_that_there_are(farm: Farm) {
    farm.planned_builder().await;
    let (building, last, past) = (farm.lease, FleetId(Uuid::now_v7()), another(&farm).await);
    let taken = farm.store.acquire_lease(last, "controller-1", TTL, at(50)).await;
    let last = taken.unwrap().unwrap();
    let raw = farm.raw().await;
    for statement in [
        "DROP TABLE pool",
        "CREATE TABLE pool (name TEXT NOT NULL PRIMARY KEY, current_hash TEXT, failures BIGINT NOT NULL, last_failure BIGINT,
            last_reason TEXT, paused_by TEXT, paused_why TEXT, paused_until BIGINT,
            FOREIGN KEY (name, current_hash) REFERENCES pool_version (pool, hash))",
        "INSERT INTO pool_version (pool, hash, spec, created_at) VALUES ('small', 'one', '{}', 0)",
        "INSERT INTO pool VALUES ('small', 'one', 2, 7, 'no room', 'alice', 'its disks', NULL)",
        "DROP TABLE sighting",
        "CREATE TABLE sighting (cloud TEXT NOT NULL, instance_id TEXT NOT NULL, state TEXT NOT NULL, first_at BIGINT NOT NULL,
            last_at BIGINT NOT NULL, times_seen BIGINT NOT NULL, is_present BOOLEAN NOT NULL, refusal TEXT,
            PRIMARY KEY (cloud, instance_id))",
        "INSERT INTO sighting VALUES ('dev', 'i-1', 'running', 1, 1, 9, TRUE, NULL)",
        "DROP TABLE ignored_instance",
        "DELETE FROM seaql_migrations WHERE version LIKE 'm20261130_000030%' OR version LIKE 'm20261130_000036%'",
    ] {
        raw.execute(statement).await;
    }
    drop(raw);
    let store = farm.database.connect().await;
    assert_eq!(store.migrate().await.unwrap().len(), 2);
    for (lease, is_known) in [(building, true), (last, true), (past, false)] {
        let view = store.fleet_snapshot(lease.fleet, at(51)).await.unwrap();
        assert_eq!(view.pauses.contains_key(&pool()), is_known);
        let failures = view.histories.get(&pool()).map(|history| history.failures);
        assert_eq!(failures, is_known.then_some(2));
        assert_eq!(store.orphans(lease.fleet, None).await.unwrap(), []);
    }
    // The new tables are whole.
    record(&farm, &building, "two").await;
    record(&farm, &past, "two").await;
    see(&farm, &building, &["i-1"], 52).await;
    see(&farm, &building, &["i-1"], 53).await;
    assert_eq!(strays(&farm, &building).await[0].1, 2);
}
