//! What clouds said that they have no more of.

use model::{BuilderState, LaunchAnswer, Offering, Shortage};
use store::{Builder, Change};

use crate::{
    farm::{Farm, because},
    support::at,
};

on_both_databases!(
    a_refusal_is_remembered_for_its_cloud_and_forgotten_with_a_machine,
    what_is_long_over_is_forgotten_and_what_cannot_be_read_is_left_out,
);

fn offering() -> Offering {
    crate::farm::new_launch().offering
}

fn no_room() -> Shortage {
    Shortage::of("InsufficientInstanceCapacity", &offering())
}

/// What is noted: cloud, what, until when in seconds, and how often it was told.
async fn noted(farm: &Farm) -> Vec<(String, String, u64, u32)> {
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(0)).await.unwrap();
    let all = view.shortages.iter();
    let all = all.flat_map(|(cloud, notes)| notes.iter().map(move |note| (cloud.clone(), note)));
    all.map(|(cloud, note)| {
        let seconds = note.until.since(at(0)).as_secs();
        (cloud, note.shortage.to_string(), seconds, note.strikes)
    })
    .collect()
}

/// Launches for a builder, and has the cloud refuse it at a moment.
async fn refuse(farm: &Farm, builder: &Builder, shortage: Shortage, now: u64) -> Builder {
    let (store, lease) = (&farm.store, &farm.lease);
    let asked = at(now - 1);
    let launch = crate::farm::new_launch();
    let asked = store.begin_launch(lease, builder, &launch, at(now + 60), asked);
    let launching = asked.await.unwrap();
    let change = Change {
        launch_answer: Some(LaunchAnswer::Refused),
        shortage: Some(shortage),
        ..because("c5.large: the cloud refuses: InsufficientInstanceCapacity")
    };
    let moved = store.transition(lease, &launching, BuilderState::Planned, &change, at(now));
    moved.await.unwrap()
}

async fn a_refusal_is_remembered_for_its_cloud_and_forgotten_with_a_machine(farm: Farm) {
    let what = "capacity c5.large".to_owned();
    let row = |until, strikes| vec![("dev".to_owned(), what.clone(), until, strikes)];
    let builder = farm.planned_builder().await;
    let builder = refuse(&farm, &builder, no_room(), 10).await;
    assert_eq!(noted(&farm).await, row(190, 1));
    // Asked for again before that moment: by whoever had nothing else to ask for.
    let builder = refuse(&farm, &builder, no_room(), 100).await;
    assert_eq!(noted(&farm).await, row(460, 2));
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(0)).await.unwrap();
    assert_eq!(
        view.shortages["dev"][0].why,
        "c5.large: the cloud refuses: InsufficientInstanceCapacity"
    );
    // Another fleet in the same database knows nothing of it.
    let other = model::FleetId(uuid::Uuid::now_v7());
    let view = farm.store.fleet_snapshot(other, at(0)).await.unwrap();
    assert!(view.shortages.is_empty());

    let quota = Shortage::of("VcpuLimitExceeded", &offering());
    let builder = refuse(&farm, &builder, quota, 120).await;
    assert_eq!(noted(&farm).await.len(), 2);
    let launching = farm.launch(&builder).await;
    let given = Change {
        launch_answer: Some(LaunchAnswer::Given),
        instance_id: Some("i-1".to_owned()),
        ..because("the cloud gave instance i-1")
    };
    let moved = farm
        .store
        .transition(&farm.lease, &launching, BuilderState::Pending, &given, at(130));
    moved.await.unwrap();
    assert_eq!(noted(&farm).await, []);
}

async fn what_is_long_over_is_forgotten_and_what_cannot_be_read_is_left_out(farm: Farm) {
    let builder = farm.planned_builder().await;
    let builder = refuse(&farm, &builder, no_room(), 10).await;
    let quota = || Shortage::of("VcpuLimitExceeded", &offering());
    refuse(&farm, &builder, quota(), 190 + 1800).await;
    let noted_now = noted(&farm).await;
    let left: Vec<&str> = noted_now.iter().map(|(_, what, ..)| what.as_str()).collect();
    assert_eq!(left, ["quota standard"]);
    let raw = farm.raw().await;
    raw.execute("UPDATE shortage SET what = 'thirst'").await;
    assert_eq!(noted(&farm).await, []);
}
