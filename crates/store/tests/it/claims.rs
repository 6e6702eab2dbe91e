//! Many at once: several controllers and workers, each with connections of its own, go for the same
//! attempts. Whatever the order, each attempt has one builder and one worker at a time.

use std::collections::BTreeSet;

use model::{AttemptState, Blame, BuildState, BuilderState, Epoch};
use store::{Error, Lease, Outcome, Store};

use crate::{
    farm::{CHROOT, Farm, collected, failed},
    support::at,
};

on_both_databases!(
    many_claim_many_attempts_and_none_is_claimed_twice,
    a_farm_under_load_ends_every_build_once,
);

const CLAIMANTS: usize = 6;
const BUILDS: usize = 24;

/// What a claimant won and how often another was faster.
#[derive(Default)]
struct Tally {
    won: Vec<Epoch>,
    lost: usize,
}

impl Tally {
    fn count(&mut self, answer: Result<Epoch, Error>) {
        match answer {
            Ok(epoch) => self.won.push(epoch),
            Err(Error::Conflict { .. }) => self.lost += 1,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Assigns what it sees, all claimants in the same order, until nothing is left.
async fn claim_attempts(store: Store, lease: Lease) -> Tally {
    let mut tally = Tally::default();
    loop {
        let view = store.fleet_snapshot(lease.fleet, at(3)).await.unwrap();
        let ready: Vec<_> = view
            .builders
            .iter()
            .filter(|it| it.state == BuilderState::Ready)
            .collect();
        if view.queue.is_empty() || ready.is_empty() {
            return tally;
        }
        for (attempt, builder) in view.queue.iter().zip(ready).take(3) {
            tally.count(store.assign(&lease, attempt.id, builder, at(60), at(3)).await);
        }
    }
}

async fn claim_offers(store: Store, worker: String) -> Tally {
    let mut tally = Tally::default();
    loop {
        let offered = store.offered_allocations(3).await.unwrap();
        if offered.is_empty() {
            return tally;
        }
        for offer in offered {
            let accepted = store
                .accept_allocation(offer.epoch, &worker, at(120), at(4))
                .await;
            tally.count(accepted.map(|()| offer.epoch));
        }
    }
}

/// Every epoch was won by exactly one.
fn assert_each_once(tallies: Vec<Tally>, expected: usize) {
    let won: Vec<Epoch> = tallies.iter().flat_map(|tally| tally.won.clone()).collect();
    let lost: usize = tallies.iter().map(|tally| tally.lost).sum();
    assert_eq!(won.len(), expected, "{lost} lost");
    assert_eq!(won.iter().collect::<BTreeSet<_>>().len(), expected);
}

async fn many_claim_many_attempts_and_none_is_claimed_twice(farm: Farm) {
    for _ in 0..BUILDS {
        farm.submit().await;
        farm.ready_builder().await;
    }
    let mut controllers = tokio::task::JoinSet::new();
    for _ in 0..CLAIMANTS {
        controllers.spawn(claim_attempts(farm.database.connect().await, farm.lease));
    }
    assert_each_once(controllers.join_all().await, BUILDS);
    let raw = farm.raw().await;
    for column in ["attempt", "builder"] {
        let sql = format!("SELECT count(DISTINCT {column}) FROM allocation WHERE state = 'offered'");
        assert_eq!(raw.number(&sql).await, i64::try_from(BUILDS).unwrap(), "{column}");
    }

    let mut workers = tokio::task::JoinSet::new();
    for number in 0..CLAIMANTS {
        let worker = format!("worker-{number}");
        workers.spawn(claim_offers(farm.database.connect().await, worker));
    }
    assert_each_once(workers.join_all().await, BUILDS);
    let accepted = farm.store.accepted_allocations(None).await.unwrap();
    assert_eq!(accepted.len(), BUILDS);
    for allocation in &accepted {
        assert_eq!(allocation.attempt.state, AttemptState::Running);
        assert_eq!(allocation.builder.state, BuilderState::Busy);
        assert_eq!(allocation.attempt.builder, Some(allocation.builder.id));
    }
}

/// Drives what it can take up to an end that the build's number decides; every third attempt is lost first.
async fn work(store: Store, worker: String) -> usize {
    let mut ended = 0;
    loop {
        for offer in store.offered_allocations(3).await.unwrap() {
            match store
                .accept_allocation(offer.epoch, &worker, at(120), at(4))
                .await
            {
                Ok(()) => {}
                Err(Error::Conflict { .. }) => continue,
                Err(other) => panic!("{other}"),
            }
            let outcome = match (offer.attempt.build.0 % 4, offer.attempt.number) {
                (0, _) => failed(Blame::Package, "it does not compile"),
                (1, 1) => failed(Blame::Infrastructure, "the disk is full"),
                _ => collected(offer.attempt.build),
            };
            store
                .finish_attempt(offer.epoch, &worker, &outcome, at(5))
                .await
                .unwrap();
            ended += usize::from(!matches!(
                outcome,
                Outcome::Failed {
                    blame: Blame::Infrastructure,
                    ..
                }
            ));
        }
        let view = store
            .builds(&store::BuildFilter::default(), store::Page::default())
            .await
            .unwrap();
        let mut left = 0;
        for build in view.iter().filter(|build| !build.state.is_final()) {
            let build = store.build(build.id).await.unwrap().unwrap();
            left += usize::from(build.chroots[0].result_directory.is_none());
        }
        if left == 0 {
            return ended;
        }
        tokio::task::yield_now().await;
    }
}

async fn a_farm_under_load_ends_every_build_once(farm: Farm) {
    const LOAD: usize = 12;
    for _ in 0..LOAD {
        farm.submit().await;
        farm.ready_builder().await;
        farm.ready_builder().await;
    }
    let mut controllers = tokio::task::JoinSet::new();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..3 {
        workers.spawn(work(farm.database.connect().await, format!("worker-{number}")));
        let (store, lease) = (farm.database.connect().await, farm.lease);
        controllers.spawn(async move {
            loop {
                claim_attempts(store.clone(), lease).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let ended: usize = workers.join_all().await.into_iter().sum();
    controllers.abort_all();
    assert_eq!(ended, LOAD);
    farm.publish(CHROOT).await;

    for build in farm.store.recent_builds(100).await.unwrap() {
        let build = farm.build(build.id).await;
        let (expected, attempts) = match build.id.0 % 4 {
            0 => (BuildState::Failed, 1),
            1 => (BuildState::Succeeded, 2),
            _ => (BuildState::Succeeded, 1),
        };
        assert_eq!(
            (build.state, build.chroots[0].attempts),
            (expected, attempts),
            "{build:?}"
        );
        let verdict = build.chroots[0].failure.as_ref().map(|failure| failure.blame);
        assert_eq!(
            verdict,
            (expected == BuildState::Failed).then_some(Blame::Package)
        );
    }
    assert_eq!(farm.store.accepted_allocations(None).await.unwrap(), []);
}
