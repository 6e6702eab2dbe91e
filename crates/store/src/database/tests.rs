use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement, TransactionTrait as _};

use super::{DatabaseSettings, Store, without_secrets};
use crate::error::{Error, Result};

#[test]
fn an_address_in_a_message_has_no_password() {
    for (url, expected) in [
        ("sqlite:///var/lib/farm.db", "sqlite:///var/lib/farm.db"),
        ("postgres://farm:s3cret@db/farm", "postgres://farm@db/farm"),
        (
            "postgres://farm:s3@cret@db:5432/farm?sslmode=require",
            "postgres://farm@db:5432/farm",
        ),
        ("postgres://db/farm?password=s3cret", "postgres://db/farm"),
        ("nonsense", "nonsense"),
    ] {
        assert_eq!(without_secrets(url), expected);
    }
}

/// A statement that never ends by itself.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const LIMIT: Duration = Duration::from_millis(500);

async fn sqlite_store(directory: &std::path::Path, readers: u32) -> Store {
    let settings = DatabaseSettings {
        url: format!("sqlite://{}", directory.join("farm.sqlite").display()),
        max_connections: readers,
    };
    let store = Store::connect(&settings).await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn write(store: &Store, limit: Duration, sql: &str) -> Result<()> {
    let body = |tx: super::Tx| async move {
        tx.execute_unprepared(sql).await?;
        Ok(())
    };
    store.write_within(limit, body).await
}

fn assert_out_of_time(outcome: Result<()>) {
    assert!(matches!(outcome, Err(Error::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_change_that_runs_out_of_time_is_interrupted_and_the_next_one_works() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_store(directory.path(), 2).await;
    write(&store, LIMIT * 20, "CREATE TABLE tried (n INTEGER)")
        .await
        .unwrap();
    for slow in [
        format!("INSERT INTO tried VALUES (1); {ENDLESS}"),
        // SQLite itself ends the transaction of a change that is interrupted.
        format!("INSERT INTO tried {ENDLESS}"),
        format!("INSERT INTO tried VALUES (1); {ENDLESS}"),
    ] {
        assert_out_of_time(write(&store, LIMIT, &slow).await);
        // Left to itself the statement would keep the one connection that writes for ever.
        write(&store, LIMIT * 20, "INSERT INTO tried VALUES (2)")
            .await
            .unwrap();
    }
    store.check_writes().await.unwrap();
    let kept = store.read(|tx| async move {
        let row = tx
            .query_one_raw(Statement::from_string(
                DbBackend::Sqlite,
                "SELECT sum(n), count(*) FROM tried",
            ))
            .await?;
        let row = row.unwrap();
        Ok((row.try_get_by_index::<i64>(0)?, row.try_get_by_index::<i64>(1)?))
    });
    assert_eq!(
        kept.await.unwrap(),
        (6, 3),
        "what ran out of time left nothing behind"
    );
}

#[tokio::test]
async fn reads_that_run_out_of_time_give_their_connections_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_store(directory.path(), 1).await;
    for _ in 0..2 {
        let slow = store.transact(
            &store.inner.reader,
            sea_orm::TransactionOptions::default(),
            LIMIT,
            |tx| async move {
                tx.execute_unprepared(ENDLESS).await?;
                Ok(())
            },
        );
        assert_out_of_time(slow.await);
        assert_eq!(store.chroots().await.unwrap(), []);
    }
}

fn single(sql: &str) -> Statement {
    Statement::from_string(DbBackend::Sqlite, sql)
}

/// There is one connection for single statements in these tests.
#[tokio::test]
async fn a_single_read_that_fails_or_runs_out_of_time_leaves_room_for_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_store(directory.path(), 1).await;
    let endless = single(&ENDLESS.replace("count(*)", "CAST(count(*) AS TEXT)"));
    let answer = Statement::from_sql_and_values(
        DbBackend::Sqlite,
        "SELECT $2 || CAST($1 AS TEXT)",
        [41_i64.into(), "it\"s ".into()],
    );
    for _ in 0..2 {
        let slow = store.repeat(LIMIT, || async { Ok(store.inner.reads.text(&endless).await?) });
        assert_out_of_time(slow.await.map(|_| ()));
        let refused = store.read_text(&single("SELECT nothing FROM nowhere")).await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
        let change = store
            .read_text(&single("DELETE FROM build RETURNING directory"))
            .await;
        assert!(change.is_err(), "it only reads");
        assert_eq!(
            store.read_text(&answer).await.unwrap().as_deref(),
            Some("it\"s 41")
        );
        let none = store
            .read_text(&single("SELECT name FROM project"))
            .await
            .unwrap();
        assert_eq!(none, None);
    }
}

#[tokio::test]
async fn single_reads_wait_for_each_other_and_see_what_was_written_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_store(directory.path(), 2).await;
    write(&store, LIMIT * 20, "CREATE TABLE tried (n INTEGER)")
        .await
        .unwrap();
    for count in 1..4 {
        write(&store, LIMIT * 20, "INSERT INTO tried VALUES (1)")
            .await
            .unwrap();
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            readers.spawn(async move {
                store
                    .read_text(&single("SELECT CAST(count(*) AS TEXT) FROM tried"))
                    .await
                    .unwrap()
            });
        }
        for seen in readers.join_all().await {
            assert_eq!(seen, Some(count.to_string()));
        }
    }
}

#[tokio::test]
async fn a_writer_that_is_stuck_is_noticed_and_so_is_that_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite_store(directory.path(), 2).await;
    store.check_writes().await.unwrap();
    let other = sqlite_store(directory.path(), 1).await;
    let (begun, mut has_begun) = tokio::sync::mpsc::channel::<()>(1);
    let (end, ended) = tokio::sync::watch::channel(false);
    let holding = tokio::spawn(async move {
        let body = |_tx| {
            let (begun, mut ended) = (begun.clone(), ended.clone());
            async move {
                begun.send(()).await.ok();
                ended.wait_for(|ended| *ended).await.ok();
                Ok(())
            }
        };
        other.write_within(Duration::from_secs(120), body).await
    });
    has_begun.recv().await.unwrap();
    // What was tried a moment ago is believed for a while.
    wait_until(async || store.check_writes().await.is_err()).await;
    assert_eq!(store.chroots().await.unwrap(), [], "reads go on");
    end.send(true).unwrap();
    holding.await.unwrap().unwrap();
    wait_until(async || store.check_writes().await.is_ok()).await;
}

async fn wait_until(is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap();
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn postgres_ends_a_statement_that_runs_out_of_time() {
    let server = crate::testing::PostgresServer::start().unwrap();
    let settings = DatabaseSettings {
        url: server.new_database().unwrap(),
        max_connections: 3,
    };
    let store = Store::connect(&settings).await.unwrap();
    store.migrate().await.unwrap();
    assert_out_of_time(write(&store, LIMIT, "SELECT pg_sleep(3600)").await);
    let running = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE state = 'active' AND query = 'SELECT pg_sleep(3600)'";
        let count = store.read(|tx| async move {
            let row = tx
                .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
                .await?;
            Ok(row.unwrap().try_get_by_index::<i64>(0)?)
        });
        count.await.unwrap()
    };
    wait_until(async || running().await == 0).await;

    // A table that somebody has locked is a writer that is stuck.
    write(&store, LIMIT * 20, "SELECT 1").await.unwrap();
    let other = Store::connect(&settings).await.unwrap();
    let held = other.inner.writer.begin().await.unwrap();
    held.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE pool")
        .await
        .unwrap();
    wait_until(async || store.check_writes().await.is_err()).await;
    held.rollback().await.unwrap();
    wait_until(async || store.check_writes().await.is_ok()).await;
}
