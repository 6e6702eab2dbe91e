use std::{sync::Arc, time::Duration};

use model::Epoch;
use runtime::CancellationToken;
use store::Renewal;

use super::{Leases, Pace, run};
use crate::testing::{Farm, source};

const PACE: Pace = Pace {
    look: Duration::from_millis(10),
    renew: Duration::from_millis(20),
};

#[tokio::test]
async fn what_is_no_longer_held_is_told_and_what_is_dropped_is_not_renewed() {
    let farm = Farm::start().await;
    let build = farm.submit(source()).await;
    let allocation = farm.offer(build).await;
    farm.accept(&allocation).await;
    let leases = Arc::<Leases>::default();
    let held = leases.hold(allocation.epoch, Renewal::Held);
    let stranger = leases.hold(Epoch(4711), Renewal::Held);
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(
        Arc::new(farm.context.clone()),
        Arc::clone(&leases),
        PACE,
        stop.clone(),
    ));
    assert_eq!(stranger.ended().await, Renewal::Lost);
    stranger.lost().await;
    drop(stranger);
    held.note_log(77);
    let log_bytes = async || {
        let attempts = farm.store().attempts_of(build).await.unwrap();
        attempts[0].log_bytes
    };
    while log_bytes().await != 77 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = runtime::clock::now();
    farm.store().cancel_build(build, "user:alice", now).await.unwrap();
    assert_eq!(held.ended().await, Renewal::CancelWanted);
    drop(held);
    assert!(leases.sizes().is_empty());
    stop.cancel();
    task.await.unwrap();
}
