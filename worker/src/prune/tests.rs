use repository::Snapshot;
use runtime::{CancellationToken, clock};

use super::prune_all;
use crate::{publish::publish, testing::Farm};

async fn rows(farm: &Farm) -> Vec<u64> {
    let rows = farm.store().snapshots(farm.place().key()).await.unwrap();
    rows.iter().map(|row| row.record.number).collect()
}

fn on_disk(farm: &Farm) -> Vec<u64> {
    let all = farm.context.publisher.snapshots(&farm.repository()).unwrap();
    all.iter().map(|snapshot: &Snapshot| snapshot.number).collect()
}

/// After a day of many publications, and a worker that was killed before it wrote the last of them down.
#[tokio::test]
async fn a_sweep_removes_superseded_snapshots_and_makes_the_rows_agree_with_the_disk() {
    let farm = Farm::start().await;
    assert!(publish(&farm.context, &farm.place()).await);
    let key = crate::signer::signing_key(&farm.context, farm.project.id)
        .await
        .unwrap();
    let long_ago = clock::now().minus(std::time::Duration::from_secs(3 * 86_400));
    let publisher = &farm.context.publisher;
    for number in 2..=9 {
        publisher
            .publish(&farm.repository(), &[], &key, number, long_ago)
            .unwrap();
    }
    assert_eq!(rows(&farm).await, [0, 1], "nobody wrote the others down");

    prune_all(&farm.context, &CancellationToken::new()).await.unwrap();
    assert_eq!(
        on_disk(&farm),
        [0, 5, 6, 7, 8, 9],
        "five stay whatever their age, and the empty one was live until just now"
    );
    assert_eq!(rows(&farm).await, on_disk(&farm));
}
