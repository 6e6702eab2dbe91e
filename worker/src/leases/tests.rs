use std::{sync::Arc, time::Duration};

use model::Epoch;
use runtime::CancellationToken;
use store::Renewal;

use super::{BUILDER_DEADLINE, Leases, Pace, USUAL_PACE, run};
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

#[tokio::test]
async fn what_the_database_says_is_told_to_whom_it_is_about() {
    let leases = Arc::<Leases>::default();
    let (one, other) = (
        leases.hold(Epoch(1), Renewal::Held),
        leases.hold(Epoch(2), Renewal::Held),
    );
    let tell = |answers: &[(i64, Renewal)]| {
        leases.tell(
            &answers
                .iter()
                .map(|(epoch, stands)| (Epoch(*epoch), *stands))
                .collect(),
        );
    };
    let stands = |held: &super::Held| *held.stands.borrow();
    tell(&[(1, Renewal::Held), (3, Renewal::Lost)]);
    assert_eq!((stands(&one), stands(&other)), (Renewal::Held, Renewal::Held));
    tell(&[(2, Renewal::CancelWanted)]);
    assert_eq!(
        (stands(&one), stands(&other)),
        (Renewal::Held, Renewal::CancelWanted)
    );
    assert_eq!(other.ended().await, Renewal::CancelWanted);
    // While its build is being killed, another worker takes it over.
    tell(&[(2, Renewal::Lost)]);
    other.lost().await;
    assert_eq!(other.ended().await, Renewal::Lost);
    // An answer without it is no answer about it.
    tell(&[]);
    assert_eq!(stands(&one), Renewal::Held);
}

#[tokio::test]
async fn an_attempt_whose_user_gave_up_before_it_began_ends_at_once() {
    let leases = Arc::<Leases>::default();
    let held = leases.hold(Epoch(1), Renewal::CancelWanted);
    assert_eq!(held.ended().await, Renewal::CancelWanted);
    assert!(!held.stands.has_changed().unwrap());
}

#[test]
fn each_log_is_told_with_its_own_size_and_one_beyond_all_bounds_as_the_largest() {
    let leases = Arc::<Leases>::default();
    let (one, other) = (
        leases.hold(Epoch(1), Renewal::Held),
        leases.hold(Epoch(2), Renewal::Held),
    );
    assert_eq!(leases.sizes(), [(Epoch(1), 0), (Epoch(2), 0)].into());
    one.note_log(7);
    one.note_log(5);
    other.note_log(u64::MAX);
    assert_eq!(leases.sizes(), [(Epoch(1), 5), (Epoch(2), i64::MAX)].into());
    drop(one);
    assert_eq!(leases.sizes(), [(Epoch(2), i64::MAX)].into());
}

#[tokio::test]
async fn a_database_that_is_away_ends_no_build() {
    let farm = Farm::start().await;
    let build = farm.submit(source()).await;
    let allocation = farm.offer(build).await;
    farm.accept(&allocation).await;
    farm.store().close().await.unwrap();
    let leases = Arc::<Leases>::default();
    let held = leases.hold(allocation.epoch, Renewal::Held);
    let stop = CancellationToken::new();
    let context = Arc::new(farm.context.clone());
    let task = tokio::spawn(run(context, Arc::clone(&leases), PACE, stop.clone()));
    let ended = tokio::time::timeout(PACE.renew * 10, held.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn a_worker_gives_signs_of_life_often_enough_to_be_believed() {
    // Others take over from one that is silent for half a minute, and the controller gives its builder up after a minute and
    // a half: some signs may be lost before either.
    assert!(USUAL_PACE.renew * 4 < crate::worker::SILENCE);
    assert!(crate::worker::SILENCE * 2 < BUILDER_DEADLINE);
    assert!(USUAL_PACE.look < USUAL_PACE.renew);
}
