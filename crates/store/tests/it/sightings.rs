//! Instances with our tag that no builder has.

use model::BuilderState;
use store::{Change, Sighting};

use crate::{
    farm::{Farm, assert_invalid, because},
    support::at,
};

on_both_databases!(
    an_instance_counts_by_the_lists_in_a_row_that_it_was_in,
    what_a_live_builder_has_is_no_orphan,
    clouds_are_looked_at_each_for_itself,
    what_is_gone_is_forgotten,
    that_an_end_was_asked_for_is_known_for_an_hour,
    what_no_database_holds_is_refused,
);

async fn see(farm: &Farm, seen: &[(&str, &str)], now: u64) {
    let seen: Vec<_> = seen.iter().map(|(id, state)| Sighting::of(id, state)).collect();
    farm.store
        .record_sightings(&farm.lease, "dev", &seen, at(now))
        .await
        .unwrap();
}

/// Id, state, first and last moment, lists in a row.
async fn orphans(farm: &Farm) -> Vec<(String, String, u64, u64, u32)> {
    let seconds = |moment: model::Timestamp| moment.since(at(0)).as_secs();
    let orphans = farm.store.orphans(farm.lease.fleet, Some("dev")).await.unwrap();
    orphans
        .into_iter()
        .map(|it| {
            (
                it.instance_id,
                it.state,
                seconds(it.first_at),
                seconds(it.last_at),
                it.times_seen,
            )
        })
        .collect()
}

fn orphan(id: &str, state: &str, times: (u64, u64, u32)) -> (String, String, u64, u64, u32) {
    (id.to_owned(), state.to_owned(), times.0, times.1, times.2)
}

async fn an_instance_counts_by_the_lists_in_a_row_that_it_was_in(farm: Farm) {
    see(&farm, &[], 5).await;
    assert_eq!(orphans(&farm).await, []);
    see(&farm, &[("i-1", "pending")], 10).await;
    see(&farm, &[("i-2", "running"), ("i-1", "running")], 20).await;
    let expected = [
        orphan("i-1", "running", (10, 20, 2)),
        orphan("i-2", "running", (20, 20, 1)),
    ];
    assert_eq!(orphans(&farm).await, expected);
    see(&farm, &[("i-2", "running")], 30).await;
    assert_eq!(orphans(&farm).await, [orphan("i-2", "running", (20, 30, 2))]);
    // A list that left it out: the count begins anew.
    see(&farm, &[("i-1", "running")], 40).await;
    assert_eq!(orphans(&farm).await, [orphan("i-1", "running", (40, 40, 1))]);
    // A cloud that lists one twice.
    see(&farm, &[("i-1", "running"), ("i-1", "stopping")], 50).await;
    assert_eq!(orphans(&farm).await, [orphan("i-1", "stopping", (40, 50, 2))]);
}

async fn what_a_live_builder_has_is_no_orphan(farm: Farm) {
    see(&farm, &[("i-1", "running"), ("i-2", "running")], 10).await;
    let launching = farm.builder_in(BuilderState::Launching).await;
    let change = Change {
        instance_id: Some("i-1".to_owned()),
        ..because("found by its tag")
    };
    let pending = farm
        .store
        .transition(&farm.lease, &launching, BuilderState::Pending, &change, at(11));
    let pending = pending.await.unwrap();
    assert_eq!(orphans(&farm).await, [orphan("i-2", "running", (10, 10, 1))]);
    // The builder is given up, and the instance still there.
    let ending = farm.go(&pending, BuilderState::Terminating).await;
    assert_eq!(orphans(&farm).await.len(), 1);
    farm.go(&ending, BuilderState::Terminated).await;
    assert_eq!(orphans(&farm).await.len(), 2);
}

async fn clouds_are_looked_at_each_for_itself(farm: Farm) {
    see(&farm, &[("i-1", "running")], 10).await;
    let elsewhere = [Sighting::of("i-1", "stopped")];
    farm.store
        .record_sightings(&farm.lease, "aws", &elsewhere, at(20))
        .await
        .unwrap();
    farm.store
        .record_sightings(&farm.lease, "aws", &[], at(30))
        .await
        .unwrap();
    let of_aws = farm.store.orphans(farm.lease.fleet, Some("aws")).await;
    assert_eq!(of_aws.unwrap(), []);
    assert_eq!(orphans(&farm).await, [orphan("i-1", "running", (10, 10, 1))]);
}

async fn what_is_gone_is_forgotten(farm: Farm) {
    see(&farm, &[("i-1", "running"), ("i-2", "running")], 0).await;
    see(&farm, &[("i-2", "running")], 1).await;
    let rows = "SELECT instance_id FROM sighting ORDER BY instance_id";
    assert_eq!(farm.raw().await.texts(rows).await, ["i-2"]);
}

async fn that_an_end_was_asked_for_is_known_for_an_hour(farm: Farm) {
    let ends = async |now: u64| {
        let since = at(now).minus(std::time::Duration::from_secs(3600));
        farm.store
            .ends_since(farm.lease.fleet, "dev", since)
            .await
            .unwrap()
    };
    see(&farm, &[("i-1", "running"), ("i-2", "running")], 10_000).await;
    assert_eq!(ends(10_000).await, 0);
    let noted = farm.store.note_ends(&farm.lease, "dev", &["i-1"], at(10_010));
    noted.await.unwrap();
    see(&farm, &[("i-2", "running")], 10_020).await;
    assert_eq!(
        orphans(&farm).await,
        [orphan("i-2", "running", (10_000, 10_020, 2))]
    );
    assert_eq!(
        (ends(10_020).await, ends(13_609).await, ends(13_610).await),
        (1, 1, 0)
    );
    // When it comes again it is another one.
    see(&farm, &[("i-1", "running")], 10_030).await;
    assert_eq!(
        orphans(&farm).await,
        [orphan("i-1", "running", (10_030, 10_030, 1))]
    );
    let noted = farm.store.note_ends(&farm.lease, "dev", &["i-1"], at(10_040));
    noted.await.unwrap();
    see(&farm, &[], 10_050).await;
    see(&farm, &[], 13_700).await;
    assert_eq!(ends(10_050).await, 0, "it is forgotten with the hour");
}

async fn what_no_database_holds_is_refused(farm: Farm) {
    for (id, state) in [("i-\0", "running"), ("i-1", "run\0ning")] {
        let seen = [Sighting::of("i-2", "running"), Sighting::of(id, state)];
        assert_invalid(
            farm.store
                .record_sightings(&farm.lease, "dev", &seen, at(1))
                .await,
        );
    }
    assert_eq!(orphans(&farm).await, []);
}
