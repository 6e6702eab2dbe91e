//! The time of a process: that of its database's server, where there is one. Leases and deadlines are written by one process and
//! compared by another; so they mean the same to both, however the clocks of their machines are set.

use std::{convert::Infallible, time::Duration};

use runtime::clock::{self, Clock, Reading};
use store::Store;
use tracing::{debug, warn};

/// How often the database's clock is read.
const PACE: Duration = Duration::from_secs(5);
/// From which difference on it is told of.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// Has this process go by the database's clock from now on; whether there is one.
pub(crate) async fn read(store: &Store) -> store::Result<bool> {
    let own = Clock::System;
    let asked = own.elapsed();
    let Some(shown) = store.time().await? else {
        return Ok(false);
    };
    let answered = own.elapsed();
    let moved = clock::go_by(&Reading {
        shown,
        asked,
        answered,
    });
    let distance = moved.distance();
    if distance >= WORTH_A_WORD {
        let seconds = distance.as_secs();
        let side = if moved.from > moved.to {
            "ahead of"
        } else {
            "behind"
        };
        warn!(
            "This process's time was {seconds} s {side} that of the database's server, by which it goes from now on. Are all clocks set?"
        );
    }
    Ok(true)
}

/// Does something, and keeps this process's time to the database's clock meanwhile.
pub(crate) async fn kept<T>(store: &Store, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        done = work => done,
        never = keep(store) => match never {},
    }
}

async fn keep(store: &Store) -> Infallible {
    loop {
        tokio::time::sleep(PACE).await;
        match read(store).await {
            Ok(true) => {}
            Ok(false) => std::future::pending().await,
            // The time goes on by what has passed.
            Err(error) => debug!("Cannot read the database's clock: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use model::{FleetId, Timestamp};
    use runtime::Settings;
    use store::testing::PostgresServer;

    use super::*;
    use crate::database;

    const TTL: Duration = Duration::from_secs(15);
    const SECOND: Duration = Duration::from_secs(1);

    /// By how many seconds this process's time is ahead of its machine's clock.
    fn ahead() -> i64 {
        let machine = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let machine = Timestamp::from_micros(i64::try_from(machine.as_micros()).unwrap());
        let behind = i64::try_from(machine.since(clock::now()).as_secs()).unwrap();
        i64::try_from(clock::now().since(machine).as_secs()).unwrap() - behind
    }

    fn settings(url: &str) -> Settings {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("verdigris.toml");
        let directory = directory.path().display();
        let text = format!("[storage]\ndirectory = \"{directory}\"\n[database]\nurl = \"{url}\"\n");
        std::fs::write(&file, text).unwrap();
        Settings::load(Some(&file)).unwrap()
    }

    /// Sets the clock of a database by so much beside its machine's.
    fn set_clock(server: &PostgresServer, url: &str, by: &str) {
        let name = url.rsplit('/').next().unwrap();
        let statements = format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
             $$ SELECT pg_catalog.clock_timestamp() + interval '{by}' $$;
             ALTER DATABASE {name} SET search_path = public, pg_catalog"
        );
        server.execute(url, &statements).unwrap();
    }

    #[test]
    fn what_a_process_writes_is_by_the_clock_of_its_database_however_its_own_is_set() {
        let server = PostgresServer::start().unwrap();
        let url = server.new_database().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // A process whose clock is ahead of the database's by an hour, one that is behind, and one that is right.
        for (by, seconds) in [("-1 hour", -3600), ("90 seconds", 90), ("0 seconds", 0)] {
            set_clock(&server, &url, by);
            let settings = settings(&url);
            runtime.block_on(async {
                let store = database::make(&settings).await.unwrap();
                store.migrate().await.unwrap();
                let off = ahead().abs_diff(seconds);
                assert!(off <= 1, "{by}: {}", ahead());
                let fleet = FleetId(uuid::Uuid::now_v7());
                store
                    .acquire_lease(fleet, "one", TTL, clock::now())
                    .await
                    .unwrap();
                // Another one, whose time is the database's, waits for the lease's time and not for an hour.
                let by_the_database = store.time().await.unwrap().unwrap();
                let early = by_the_database.plus(TTL - SECOND * 3);
                let late = by_the_database.plus(TTL + SECOND * 3);
                for (now, gets_it) in [(early, false), (late, true)] {
                    let taken = store.acquire_lease(fleet, "two", TTL, now).await.unwrap();
                    assert_eq!(taken.is_some(), gets_it, "{by}: {now}");
                }
                database::close(&store).await;
            });
        }
    }

    #[test]
    fn a_process_hears_of_it_when_the_databases_clock_is_set() {
        let server = PostgresServer::start().unwrap();
        let url = server.new_database().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let settings = settings(&url);
        set_clock(&server, &url, "0 seconds");
        runtime.block_on(async {
            let store = database::make(&settings).await.unwrap();
            store.migrate().await.unwrap();
            database::close(&store).await;
        });
        runtime.block_on(async {
            let outcome = database::with(&settings, async |_store| {
                assert!(ahead().abs_diff(0) <= 1, "{}", ahead());
                tokio::task::block_in_place(|| set_clock(&server, &url, "5 minutes"));
                let begun = tokio::time::Instant::now();
                while ahead() < 299 && begun.elapsed() < SECOND * 30 {
                    tokio::time::sleep(SECOND / 10).await;
                }
                Ok(ahead())
            });
            let seen = outcome.await.unwrap();
            assert!(seen.abs_diff(300) <= 1, "{seen}");
        });
    }

    #[tokio::test]
    async fn on_sqlite_it_is_the_machines_own() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("farm.sqlite");
        let settings = settings(&format!("sqlite://{}", file.display()));
        let store = database::make(&settings).await.unwrap();
        assert!(!read(&store).await.unwrap());
        assert!(ahead().abs_diff(0) <= 1, "{}", ahead());
        assert_eq!(kept(&store, std::future::ready(7)).await, 7);
    }
}
