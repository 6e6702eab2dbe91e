//! The lease that makes one controller the one that acts.

use model::{BuilderState, FleetId, plan::Wait};
use serde_json::json;
use store::{FleetCache, Sighting};
use uuid::Uuid;

use crate::{
    farm::{CHROOT, Farm, TTL, assert_conflict, assert_lease_lost, because, chroot, new_builder, new_launch},
    support::at,
};

on_both_databases!(
    a_fleet_has_one_holder_until_its_time_is_over,
    of_many_who_take_a_lease_at_once_one_gets_it,
    a_renewed_lease_lasts_longer,
    a_controller_that_was_started_again_fences_what_is_left_of_itself,
    a_lease_that_was_given_back_is_free_at_once_and_writes_no_more,
    fleets_have_leases_of_their_own,
    a_leader_of_old_can_write_nothing,
);

async fn a_fleet_has_one_holder_until_its_time_is_over(farm: Farm) {
    let fleet = FleetId(Uuid::now_v7());
    let take = async |holder: &str, now| {
        farm.store
            .acquire_lease(fleet, holder, TTL, at(now))
            .await
            .unwrap()
    };
    let first = take("one", 0).await.unwrap();
    assert_eq!(first.fleet, fleet);
    assert_eq!(take("two", 0).await, None);
    assert_eq!(take("two", 14).await, None);
    let second = take("two", 15).await.unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!(take("one", 16).await, None);

    assert_lease_lost(farm.store.renew_lease(&first, TTL, at(16)).await);
    assert_lease_lost(farm.store.release_lease(&first, at(16)).await);
    farm.store.renew_lease(&second, TTL, at(16)).await.unwrap();
}

async fn of_many_who_take_a_lease_at_once_one_gets_it(farm: Farm) {
    let fleet = FleetId(Uuid::now_v7());
    // A new fleet has no row yet; then one whose time is over.
    for (round, now) in [(1, at(100)), (2, at(200))] {
        let mut controllers = tokio::task::JoinSet::new();
        for number in 0..6 {
            let store = farm.database.connect().await;
            let holder = format!("controller-{round}-{number}");
            controllers.spawn(async move { store.acquire_lease(fleet, &holder, TTL, now).await.unwrap() });
        }
        let taken: Vec<_> = controllers.join_all().await.into_iter().flatten().collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(taken[0].epoch, round);
    }
}

async fn a_renewed_lease_lasts_longer(farm: Farm) {
    let fleet = farm.lease.fleet;
    farm.store.renew_lease(&farm.lease, TTL, at(10)).await.unwrap();
    assert_eq!(
        farm.store.acquire_lease(fleet, "two", TTL, at(24)).await.unwrap(),
        None
    );
    // Nobody has taken it, so that it is still its holder's however late.
    farm.store.renew_lease(&farm.lease, TTL, at(100)).await.unwrap();
    assert_eq!(
        farm.store
            .acquire_lease(fleet, "two", TTL, at(114))
            .await
            .unwrap(),
        None
    );
    assert!(
        farm.store
            .acquire_lease(fleet, "two", TTL, at(115))
            .await
            .unwrap()
            .is_some()
    );
}

async fn a_controller_that_was_started_again_fences_what_is_left_of_itself(farm: Farm) {
    let again = farm
        .store
        .acquire_lease(farm.lease.fleet, "controller-1", TTL, at(1))
        .await
        .unwrap();
    let again = again.unwrap();
    assert!(again.epoch > farm.lease.epoch);
    assert_lease_lost(farm.store.plan_builder(&farm.lease, &new_builder(), at(2)).await);
    farm.store
        .plan_builder(&again, &new_builder(), at(2))
        .await
        .unwrap();
}

async fn a_lease_that_was_given_back_is_free_at_once_and_writes_no_more(farm: Farm) {
    farm.store.release_lease(&farm.lease, at(1)).await.unwrap();
    assert_lease_lost(farm.store.plan_builder(&farm.lease, &new_builder(), at(1)).await);
    assert_lease_lost(farm.store.renew_lease(&farm.lease, TTL, at(1)).await);
    assert_lease_lost(farm.store.release_lease(&farm.lease, at(1)).await);
    let next = farm
        .store
        .acquire_lease(farm.lease.fleet, "two", TTL, at(1))
        .await
        .unwrap();
    assert!(next.unwrap().epoch > farm.lease.epoch);
}

async fn fleets_have_leases_of_their_own(farm: Farm) {
    let other = FleetId(Uuid::now_v7());
    let lease = farm
        .store
        .acquire_lease(other, "two", TTL, at(1))
        .await
        .unwrap()
        .unwrap();
    farm.store
        .plan_builder(&lease, &new_builder(), at(2))
        .await
        .unwrap();
    farm.store
        .plan_builder(&farm.lease, &new_builder(), at(2))
        .await
        .unwrap();
    for fleet in [other, farm.lease.fleet] {
        let view = farm.store.fleet_snapshot(fleet, at(3)).await.unwrap();
        assert_eq!(view.builders.len(), 1);
    }
    let nobodys = store::Lease {
        fleet: FleetId(Uuid::now_v7()),
        epoch: 0,
    };
    assert_lease_lost(farm.store.plan_builder(&nobodys, &new_builder(), at(2)).await);
}

async fn a_leader_of_old_can_write_nothing(farm: Farm) {
    let build = farm.submit().await.id;
    let attempt = farm.open_attempt(build).await.id;
    let (planned, ready) = (farm.planned_builder().await, farm.ready_builder().await);
    let old = farm.lease;
    let new = farm
        .store
        .acquire_lease(old.fleet, "two", TTL, at(15))
        .await
        .unwrap()
        .unwrap();
    let before = (
        farm.last_event().await,
        farm.store.builders(None).await.unwrap(),
        farm.build(build).await,
    );

    let store = &farm.store;
    let wait = Wait {
        attempt,
        build,
        chroot: chroot(CHROOT),
        owner: "alice".parse().unwrap(),
        position: 1,
        reason: "of old".into(),
    };
    let pool = "small".parse().unwrap();
    let seen = [Sighting::of("i-1", "running")];
    assert_lease_lost(store.plan_builder(&old, &new_builder(), at(16)).await);
    assert_lease_lost(
        store
            .begin_launch(&old, &planned, &new_launch(), at(60), at(16))
            .await,
    );
    let change = because("of old");
    assert_lease_lost(
        store
            .transition(&old, &ready, BuilderState::Draining, &change, at(16))
            .await,
    );
    assert_lease_lost(store.assign(&old, attempt, &ready, at(60), at(16)).await);
    assert_lease_lost(store.record_pool(&old, &pool, &json!({}), "00ff", at(16)).await);
    assert_lease_lost(store.record_sightings(&old, "dev", &seen, at(16)).await);
    assert_lease_lost(store.record_others(&old, "dev", Ok(7), at(16)).await);
    assert_lease_lost(store.set_waits(&old, &mut FleetCache::default(), &[wait]).await);

    assert_eq!(store.orphans(old.fleet, Some("dev")).await.unwrap(), []);
    let after = (
        farm.last_event().await,
        store.builders(None).await.unwrap(),
        farm.build(build).await,
    );
    assert_eq!(after, before);
    // The new one acts on the same looks.
    store.assign(&new, attempt, &ready, at(60), at(17)).await.unwrap();
    assert_conflict(store.assign(&new, attempt, &ready, at(60), at(17)).await);
}
