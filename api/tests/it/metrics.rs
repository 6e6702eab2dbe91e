//! What a farm of known content says of itself to Prometheus.

use model::{
    BuilderState,
    calls::{Bucket, CallClass},
    plan::CloudTrouble,
};
use runtime::clock::now;
use serde_json::json;
use store::{CallBudget, CallNews, Change, Lease, Sighting};

use crate::{drive, farm::Farm};

/// The samples of the answer but for those of the disk, without explanations.
async fn samples(farm: &Farm) -> Vec<String> {
    let reply = farm.get("/metrics").await;
    assert_eq!(
        reply.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = reply.text();
    let is_sample = |line: &&str| !line.starts_with('#') && !line.starts_with("verdigris_free_bytes ");
    text.lines().filter(is_sample).map(str::to_owned).collect()
}

/// The samples whose value is not 0.
async fn counted(farm: &Farm) -> Vec<String> {
    let all = samples(farm).await.into_iter();
    all.filter(|line| !line.ends_with(" 0")).collect()
}

/// Gives up so many builders of a pool before they are ready.
async fn give_up(farm: &Farm, lease: &Lease, pool: &str, count: usize) {
    for _ in 0..count {
        let builder = drive::launched_builder(&farm.store, lease, pool).await;
        let change = Change {
            reason: "the cloud refuses it".to_owned(),
            ..Change::default()
        };
        farm.store
            .transition(lease, &builder, BuilderState::Abandoned, &change, now())
            .await
            .unwrap();
    }
}

/// The cloud that gives no machines.
const AWAY: &str = "the \"east\"";

/// Makes one cloud go away, and two orphans appear of which one cannot be ended.
async fn trouble(farm: &Farm, lease: &Lease) {
    let store = &farm.store;
    let trouble = CloudTrouble {
        cloud: AWAY.to_owned(),
        since: now(),
        reason: "it does not answer".to_owned(),
        detail: String::new(),
    };
    store
        .set_cloud_trouble(lease, AWAY, Some(&trouble), now())
        .await
        .unwrap();
    let seen = ["i-0000000a", "i-0000000b"].map(|id| Sighting::of(id, "running"));
    store
        .record_sightings(lease, "devcloud", &seen, now())
        .await
        .unwrap();
    store
        .note_refusal(lease, "devcloud", "i-0000000a", "it is protected", now())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_empty_farm_has_each_gauge_at_nought() {
    let farm = Farm::start().await;
    let all = samples(&farm).await;
    for name in [
        "verdigris_builders{state=\"ready\"} 0",
        "verdigris_builds{state=\"running\"} 0",
        "verdigris_controller_leads 0",
        "verdigris_orphans_not_ended 0",
        "verdigris_builders_stuck{state=\"terminating\"} 0",
        "verdigris_builders_stuck{state=\"resolving\"} 0",
        "verdigris_queue_length 0",
    ] {
        assert!(all.iter().any(|line| line == name), "{name}: {all:?}");
    }
    assert!(counted(&farm).await.is_empty(), "{all:?}");
    let text = farm.get("/metrics").await.text();
    let free = text
        .lines()
        .find_map(|line| line.strip_prefix("verdigris_free_bytes "));
    assert!(free.unwrap().parse::<u64>().unwrap() > 0, "{text}");
}

#[tokio::test]
async fn gauges_count_what_a_farm_holds() {
    let farm = Farm::start().await;
    let store = &farm.store;
    farm.project("p1").await;
    for _ in 0..4 {
        farm.build("p1").await;
    }
    // One builder waits for work and one has some; two builds wait, one is cancelled and no longer counts.
    let (lease, _) = drive::ready_builder(store).await;
    drive::run(store, 1).await;
    farm.call(
        &farm.alice,
        poem::http::Method::PUT,
        "/api_3/build/cancel/2",
        json!({}),
    )
    .await
    .good();
    drive::launched_builder(store, &lease, "dev").await;
    for pool in ["dev", "flaky", "shaky"] {
        let name = pool.parse().unwrap();
        store
            .record_pool(&lease, &name, &json!({}), "hash", now())
            .await
            .unwrap();
    }
    // Three failures in a row hold a pool back, two do not.
    give_up(&farm, &lease, "flaky", 3).await;
    give_up(&farm, &lease, "shaky", 2).await;
    trouble(&farm, &lease).await;
    assert_eq!(
        counted(&farm).await,
        [
            "verdigris_builders{state=\"busy\"} 1",
            "verdigris_builders{state=\"launching\"} 1",
            "verdigris_builders{state=\"ready\"} 1",
            "verdigris_controller_leads 1",
            "verdigris_cloud_away{cloud=\"the \\\"east\\\"\"} 1",
            "verdigris_pool_held_back{pool=\"flaky\"} 1",
            "verdigris_orphans_not_ended 1",
            "verdigris_queue_length 2",
            "verdigris_builds{state=\"pending\"} 2",
            "verdigris_builds{state=\"running\"} 1",
        ]
    );
    // What is well again is told as well.
    let all = samples(&farm).await;
    for pool in ["dev", "shaky"] {
        let held = format!("verdigris_pool_held_back{{pool=\"{pool}\"}} 0");
        assert!(all.contains(&held), "{all:?}");
    }
    store.set_cloud_trouble(&lease, AWAY, None, now()).await.unwrap();
    store.release_lease(&lease, now()).await.unwrap();
    let all = samples(&farm).await;
    assert!(!all.iter().any(|line| line.contains("cloud_away")), "{all:?}");
}

#[tokio::test]
async fn a_cloud_that_costs_as_much_as_it_may_is_told_with_its_sum() {
    let farm = Farm::start().await;
    let (lease, _) = drive::ready_builder(&farm.store).await;
    let file = json!({
        "schema": 1, "fleet": lease.fleet, "name": "test", "provision": {}, "pools": {},
        "clouds": {"devcloud": {
            "kind": "ec2", "region": "r", "credentials": {"source": "environment"}, "limits": {"money": {"per_day": 0}},
        }},
    });
    let put = farm.store.record_fleet_file(&lease, &file, None, now());
    put.await.unwrap();
    let all = samples(&farm).await;
    for (name, value) in [
        ("spent_millionths", 0),
        ("unpriced_machines", 1),
        ("money_used_up", 1),
    ] {
        let line = format!("verdigris_cloud_{name}{{cloud=\"devcloud\"}} {value}");
        assert!(all.contains(&line), "{line}: {all:?}");
    }
    let health = farm.get("/health").await.good();
    let words = "cloud devcloud costs as much in 24 hours as it may: nothing more is launched there";
    assert_eq!(
        (&health["status"], &health["fleet"]),
        (&json!("degraded"), &json!([words]))
    );
}

#[tokio::test]
async fn calls_are_counted_by_cloud_and_class() {
    let farm = Farm::start().await;
    let (lease, _) = drive::ready_builder(&farm.store).await;
    let budget = |class| CallBudget {
        fleet: lease.fleet,
        cloud: AWAY,
        class,
        bucket: Bucket::of_calls(100, 20),
    };
    let news = CallNews {
        waited: 3,
        throttled: 0,
    };
    let read = budget(CallClass::Read);
    farm.store.take_calls(&read, (1, 6), news, now()).await.unwrap();
    let refused = CallNews {
        waited: 0,
        throttled: 2,
    };
    let launch = budget(CallClass::Launch);
    farm.store
        .slow_calls(&launch, now(), refused, now())
        .await
        .unwrap();
    let all = counted(&farm).await;
    for (name, class, value) in [
        ("", "read", 7),
        ("_waited", "read", 3),
        ("_throttled", "launch", 2),
    ] {
        let line = format!(
            "verdigris_cloud_calls{name}_total{{cloud=\"the \\\"east\\\"\",class=\"{class}\"}} {value}"
        );
        assert!(all.contains(&line), "{line}: {all:?}");
    }
}
