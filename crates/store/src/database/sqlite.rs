//! Connections to a file of SQLite, and how their statements are bounded in time.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sea_orm::ConnectOptions;
use sqlx::{
    Connection as _,
    sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use super::{LOCK_LIMIT, common, deadline};

/// How many of SQLite's instructions, some microseconds each thousand, pass between two looks at the clock.
pub(super) const INSTRUCTIONS: i32 = 10_000;

/// How many KiB of the database a connection that reads keeps at most: what a round and the lists of a page need beside a long
/// history is more than SQLite's two megabytes.
const READ_CACHE: u32 = 8192;

/// The address of a database that is gone with its one connection, for simulations.
pub(super) const MEMORY: &str = "sqlite::memory:";
/// How long that connection may live: for as long as any program does.
const FOR_GOOD: Duration = Duration::from_secs(1_000_000_000);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
    /// As for reading, and nothing at all is written: not even a file beside the database's.
    Look,
}

pub(super) fn sqlite(url: &str, connections: u32, access: Access) -> ConnectOptions {
    let mut options = common(url, connections);
    // `is_usable` asks the connection's thread already.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_before_acquire(|connection, _| Box::pin(is_usable(connection)));
    options.map_sqlx_sqlite_pool_opts(|options| {
        options.after_connect(|connection, _| Box::pin(interrupt_in_time(connection)))
    });
    options.map_sqlx_sqlite_opts(move |options| {
        let options = options
            .create_if_missing(access == Access::Write)
            .foreign_keys(true)
            .busy_timeout(LOCK_LIMIT);
        match access {
            Access::Write => options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full),
            Access::Read => options
                .pragma("query_only", "ON")
                .pragma("cache_size", format!("-{READ_CACHE}")),
            Access::Look => {
                // Without a log nobody has the database open, and none is to be made.
                let mut log = options.get_filename().as_os_str().to_owned();
                log.push("-wal");
                let has_log = Path::new(&log).exists();
                options.read_only(true).immutable(!has_log)
            }
        }
    });
    options
}

/// The one connection to a database in memory: it is for writing and for reading.
pub(super) fn memory() -> ConnectOptions {
    let mut options = sqlite(MEMORY, 1, Access::Write);
    options.idle_timeout(FOR_GOOD).max_lifetime(FOR_GOOD);
    options
}

/// Whether a connection may be used again. SQLite itself ends a transaction that finds the disk full, or that is interrupted; the
/// driver, whose own end of it then fails, goes on counting it as open and makes the next one a savepoint inside it. After the
/// first savepoint that is rolled back, all that follow would seem to succeed, be seen by nobody and be lost at the end.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The answer comes after what the driver had queued: an end of the transaction before.
    interrupt_in_time(connection).await?;
    let is_usable = !connection.is_in_transaction();
    if !is_usable {
        tracing::debug!("A connection whose transaction could not be ended is closed.");
    }
    Ok(is_usable)
}

/// Has SQLite interrupt a statement that still runs when the time of the operation is over. Who waits for an answer only goes
/// away; the thread of the connection would go on, and with it the one write lock stay taken. PostgreSQL has
/// `statement_timeout`.
async fn interrupt_in_time(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let deadline = deadline();
    connection
        .lock_handle()
        .await?
        .set_progress_handler(INSTRUCTIONS, move || Instant::now() < deadline);
    Ok(())
}
