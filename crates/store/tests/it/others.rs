//! How many machines others have in the accounts of clouds.

use store::{Lease, OtherMachines};

use crate::{farm::Farm, support::at};

on_both_databases!(
    the_last_count_stays_when_the_next_one_fails_and_the_failure_until_one_succeeds,
    a_count_is_of_one_fleet_and_of_one_cloud,
    a_count_that_cannot_be_read_was_never_made,
);

async fn record(farm: &Farm, cloud: &str, counted: Result<u32, &str>, now: u64) {
    let recorded = farm.store.record_others(&farm.lease, cloud, counted, at(now));
    recorded.await.unwrap();
}

/// What is known of the machines of others in a cloud.
async fn known(farm: &Farm, lease: &Lease, cloud: &str) -> Option<OtherMachines> {
    let view = farm.store.fleet_snapshot(lease.fleet, at(0)).await.unwrap();
    view.others.get(cloud).cloned()
}

fn others(counted: Option<(u32, u64)>, failure: Option<&str>) -> Option<OtherMachines> {
    Some(OtherMachines {
        counted: counted.map(|(machines, second)| (machines, at(second))),
        failure: failure.map(str::to_owned),
    })
}

async fn the_last_count_stays_when_the_next_one_fails_and_the_failure_until_one_succeeds(farm: Farm) {
    let lease = farm.lease;
    assert_eq!(known(&farm, &lease, "dev").await, None);
    for (counted, now, expected) in [
        (Err("no"), 1, others(None, Some("no"))),
        (Ok(7), 2, others(Some((7, 2)), None)),
        (Ok(0), 3, others(Some((0, 3)), None)),
        (Err("it is silent"), 4, others(Some((0, 3)), Some("it is silent"))),
        (Err("it is away"), 5, others(Some((0, 3)), Some("it is away"))),
        (Ok(u32::MAX), 6, others(Some((u32::MAX, 6)), None)),
    ] {
        record(&farm, "dev", counted, now).await;
        assert_eq!(known(&farm, &lease, "dev").await, expected, "{counted:?}");
    }
}

async fn a_count_is_of_one_fleet_and_of_one_cloud(farm: Farm) {
    let lease = farm.lease;
    record(&farm, "dev", Ok(7), 1).await;
    record(&farm, "aws", Ok(3), 2).await;
    assert_eq!(known(&farm, &lease, "dev").await, others(Some((7, 1)), None));
    assert_eq!(known(&farm, &lease, "aws").await, others(Some((3, 2)), None));
    let another = Lease {
        fleet: model::FleetId(uuid::Uuid::now_v7()),
        ..lease
    };
    assert_eq!(known(&farm, &another, "dev").await, None);
}

async fn a_count_that_cannot_be_read_was_never_made(farm: Farm) {
    record(&farm, "dev", Ok(7), 1).await;
    record(&farm, "aws", Ok(3), 2).await;
    let raw = farm.raw().await;
    raw.execute("UPDATE other_machines SET machines = -1 WHERE cloud = 'dev'")
        .await;
    assert_eq!(known(&farm, &farm.lease, "dev").await, None);
    assert!(known(&farm, &farm.lease, "aws").await.is_some());
}
