//! A long queue beside the lease. A controller keeps its lease in the task that also writes down why everybody waits, into the same
//! database: `controller::lead` does both at once. `cargo xtask bench fleet` measures the same with 100,000 who wait.

use std::time::{Duration, Instant, SystemTime};

use model::{FleetId, Timestamp, plan::Wait};
use store::{FleetCache, Lease, Store};
use uuid::Uuid;

use crate::{
    many::{Dialect, Many, statements},
    support::Database,
};

on_both_databases!(a_long_queue_whose_reasons_all_change_costs_no_lease,);

const WAITING: u64 = 20_000;
/// The defaults of a fleet file: at two thirds of the first a controller stops, unless it has renewed the lease, which it begins after
/// the second.
const TTL: Duration = Duration::from_secs(15);
const RENEWED_AFTER: Duration = Duration::from_secs(5);
/// How long the test rests between two renewals: far less, so that it meets what is in their way.
const PAUSE: Duration = Duration::from_millis(20);
/// How often all the reasons change.
const CHANGES: usize = 5;

/// The machine's own clock: a lease is of real time.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

async fn filled(database: &Database) -> Store {
    let store = database.connect().await;
    store.migrate().await.unwrap();
    let raw = database.raw().await;
    let dialect = Dialect {
        is_postgres: raw.is_postgres(),
        has_live_rows: true,
        has_chroots_of_repositories: true,
    };
    let many = Many {
        projects: 100,
        ended: 0,
        made: 0,
        waiting: WAITING,
        builders: 10,
    };
    for statement in statements(dialect, many) {
        raw.execute(&statement).await;
    }
    store
}

/// Renews the lease again and again; never ends. How late each renewal was done is added to `late`.
async fn keep(store: &Store, lease: &Lease, late: &mut Vec<Duration>) {
    loop {
        let due = Instant::now() + PAUSE;
        tokio::time::sleep(PAUSE).await;
        store.renew_lease(lease, TTL, now()).await.unwrap();
        late.push(due.elapsed());
    }
}

async fn a_long_queue_whose_reasons_all_change_costs_no_lease(database: Database) {
    let store = filled(&database).await;
    let fleet = FleetId(Uuid::now_v7());
    let lease = store
        .acquire_lease(fleet, "leader", TTL, now())
        .await
        .unwrap()
        .unwrap();
    let mut cache = FleetCache::default();
    let view = store.look_at_fleet(fleet, &mut cache, now()).await.unwrap();
    assert_eq!(u64::try_from(view.queue.len()).unwrap(), WAITING);
    let mut shares = Vec::new();
    for change in 0..CHANGES {
        let reason = format!("pool small is at its maximum of {change}").into();
        let waits: Vec<Wait> = (view.queue.iter().enumerate())
            .map(|(index, attempt)| Wait {
                attempt: attempt.id,
                build: attempt.build,
                chroot: attempt.chroot.clone(),
                owner: attempt.owner.clone(),
                position: index + 1,
                reason: std::sync::Arc::clone(&reason),
            })
            .collect();
        let (mut late, begun) = (Vec::new(), Instant::now());
        tokio::select! {
            () = keep(&store, &lease, &mut late) => unreachable!("it never ends"),
            written = store.set_waits(&lease, &mut cache, &waits) => written.unwrap(),
        }
        let took = begun.elapsed();
        let raw = database.raw().await;
        let count = format!("SELECT count(*) FROM attempt WHERE waiting_reason = '{reason}'");
        assert_eq!(u64::try_from(raw.number(&count).await).unwrap(), WAITING);
        let latest = late.iter().max().copied().unwrap_or(took);
        // What a controller can bear before it has to stop, as it does not know whether another leads.
        assert!(
            latest < TTL.mul_f64(0.66) - RENEWED_AFTER,
            "{latest:?} late of {took:?}"
        );
        shares.push(latest.as_secs_f64() / took.as_secs_f64());
    }
    // A renewal waits for a piece of that work and not for all of it. On a machine that does much else one may come late by chance.
    shares.sort_by(f64::total_cmp);
    assert!(
        shares[0] < 0.34,
        "the part of all the writing that a renewal waited for: {shares:?}"
    );
    store.renew_lease(&lease, TTL, now()).await.unwrap();
}
