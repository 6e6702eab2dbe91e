//! What is kept of the consoles of builders.

use model::BuilderId;
use store::{Console, EventFilter};

use crate::{
    farm::{Farm, assert_invalid, assert_lease_lost, assert_not_found},
    support::at,
};

on_both_databases!(what_a_builders_console_said_last_is_kept_and_told_as_an_event);

async fn what_a_builders_console_said_last_is_kept_and_told_as_an_event(farm: Farm) {
    let [id, other] = [farm.planned_builder().await.id, farm.planned_builder().await.id];
    let console = |second: u64, text: &str| Console {
        at: at(second),
        text: text.to_owned(),
    };
    let keep =
        async |id: BuilderId, console: &Console| farm.store.keep_console(&farm.lease, id, console).await;
    assert_eq!(farm.store.console_of(id).await.unwrap(), None);
    assert_invalid(keep(id, &console(7, "a\0")).await);
    assert_not_found(keep(BuilderId(uuid::Uuid::nil()), &console(7, "a")).await);
    keep(id, &console(8, "")).await.unwrap();
    let last = console(9, "Kernel panic\nžluť");
    keep(id, &last).await.unwrap();
    assert_eq!(farm.store.console_of(id).await.unwrap(), Some(last.clone()));
    assert_eq!(farm.store.console_of(other).await.unwrap(), None);
    let filter = EventFilter {
        builder: Some(id),
        ..EventFilter::default()
    };
    let told: Vec<_> = farm
        .events(filter)
        .await
        .into_iter()
        .map(|event| event.reason)
        .collect();
    let words = [
        "its console was read before its end, and is empty",
        "its console was read before its end: 19 bytes of it are kept",
    ];
    assert!(told.ends_with(&words.map(str::to_owned)), "{told:?}");
    let old = store::Lease {
        epoch: farm.lease.epoch - 1,
        ..farm.lease
    };
    assert_lease_lost(farm.store.keep_console(&old, id, &last).await);
}
