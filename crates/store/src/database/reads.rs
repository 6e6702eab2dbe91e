//! Single statements that only read, outside of transactions: what clients ask for most often. One statement sees one moment by
//! itself.
//!
//! On SQLite each connection is a thread, and every word with it costs more than the statement: the pool's look at a connection
//! before and after its use, the transaction's begin and end, each row. So there are some connections for these statements alone, which
//! are in no transaction ever, and a statement answers one text.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement, Value};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tokio::sync::Semaphore;

use super::{Watcher, deadline, sqlite::INSTRUCTIONS};

/// The connections for such statements.
pub(super) enum Reads {
    /// SQLite's.
    Sqlite(Lanes),
    /// PostgreSQL's, which are the same as for everything else.
    Pool(DatabaseConnection),
}

/// Connections to a SQLite database, opened as they are needed.
pub(super) struct Lanes {
    options: Arc<SqliteConnectOptions>,
    /// How many there may be.
    count: u32,
    places: Semaphore,
    idle: Mutex<Vec<Lane>>,
    watcher: Option<Watcher>,
}

struct Lane {
    connection: SqliteConnection,
    deadline: Arc<Deadline>,
}

/// When SQLite is to interrupt a statement that still runs, for the thread that runs it.
struct Deadline {
    since: Instant,
    milliseconds: AtomicU64,
}

impl Deadline {
    fn set(&self, at: Instant) {
        let at = milliseconds(at.saturating_duration_since(self.since));
        self.milliseconds.store(at, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        milliseconds(self.since.elapsed()) >= self.milliseconds.load(Ordering::Relaxed)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Reads {
    /// Those of a pool of connections that read.
    pub(super) fn of(reader: &DatabaseConnection, connections: u32, watcher: Option<Watcher>) -> Self {
        match reader.get_database_backend() {
            DbBackend::Sqlite => Self::Sqlite(Lanes {
                options: reader.get_sqlite_connection_pool().connect_options(),
                count: connections.max(1),
                places: Semaphore::new(usize::try_from(connections.max(1)).unwrap_or(1)),
                idle: Mutex::default(),
                watcher,
            }),
            _ => Self::Pool(reader.clone()),
        }
    }

    /// Ends the connections of SQLite, when nobody uses them any more. Later statements fail.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        match self {
            Self::Sqlite(lanes) => lanes
                .close()
                .await
                .map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))),
            Self::Pool(_) => Ok(()),
        }
    }

    /// The text in the only column of the statement's first row.
    pub(super) async fn text(&self, statement: &Statement) -> Result<Option<String>, DbErr> {
        match self {
            Self::Sqlite(lanes) => lanes
                .text(statement)
                .await
                .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))),
            Self::Pool(pool) => match pool.query_one_raw(statement.clone()).await? {
                Some(row) => row.try_get_by_index(0),
                None => Ok(None),
            },
        }
    }
}

impl Lanes {
    async fn text(&self, statement: &Statement) -> Result<Option<String>, sqlx::Error> {
        let _place = self.places.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lane = match idle {
            Some(lane) => lane,
            None => self.open().await?,
        };
        lane.deadline.set(deadline());
        if let Some(watcher) = &self.watcher {
            watcher(statement);
        }
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str()));
        for value in statement.values.iter().flat_map(|values| &values.0) {
            query = match value {
                Value::BigInt(number) => query.bind(*number),
                Value::String(text) => query.bind(text.as_deref()),
                other => return Err(sqlx::Error::Encode(format!("{other:?} is not bound here").into())),
            };
        }
        let row = query.fetch_optional(&mut lane.connection).await?;
        // One whose statement failed, or who is waited for no longer, is closed.
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lane);
        row.map_or(Ok(None), |row| row.try_get(0))
    }

    async fn close(&self) -> Result<(), sqlx::Error> {
        let all = self.places.acquire_many(self.count).await;
        self.places.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in idle {
            lane.connection.close().await?;
        }
        Ok(())
    }

    async fn open(&self) -> Result<Lane, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let deadline = Arc::new(Deadline {
            since: Instant::now(),
            milliseconds: AtomicU64::new(0),
        });
        let watched = Arc::clone(&deadline);
        connection
            .lock_handle()
            .await?
            .set_progress_handler(INSTRUCTIONS, move || !watched.is_over());
        Ok(Lane { connection, deadline })
    }
}
