//! Versions of the data: whether anything was committed since somebody looked, for less than any look costs.

use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement};
use sqlx::{
    ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tokio::sync::Mutex;

use super::{OPERATION_LIMIT, Store};
use crate::error::Result;

/// What the database held at a moment. Two are equal only if nothing was committed between them, by whichever process; they may
/// differ though nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataVersion(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// SQLite's `data_version`, which says something only to the connection that asks: the number of the connection comes first.
    Sqlite(u64, i64),
    /// The snapshot that PostgreSQL takes for a statement: which transactions it sees.
    Postgres(String),
}

/// What asks for versions.
pub(super) enum Versions {
    Sqlite(Own),
    /// The connections of PostgreSQL, which are the same as for everything else.
    Pool(DatabaseConnection),
}

/// A connection to a SQLite database that does nothing else: a connection's own changes do not count for it.
pub(super) struct Own {
    options: Arc<SqliteConnectOptions>,
    connection: Mutex<Numbered>,
}

/// The connection, unless there is none at the moment, and how many there have been.
#[derive(Default)]
struct Numbered {
    number: u64,
    connection: Option<SqliteConnection>,
    is_closed: bool,
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

impl Versions {
    pub(super) fn of(reader: &DatabaseConnection) -> Self {
        match reader.get_database_backend() {
            DbBackend::Sqlite => Self::Sqlite(Own {
                options: reader.get_sqlite_connection_pool().connect_options(),
                connection: Mutex::default(),
            }),
            _ => Self::Pool(reader.clone()),
        }
    }

    async fn now(&self) -> Result<Kind, DbErr> {
        match self {
            Self::Sqlite(own) => own.now().await.map_err(failed),
            Self::Pool(pool) => {
                let sql = "SELECT CAST(pg_current_snapshot() AS TEXT)";
                let row = pool
                    .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
                    .await?;
                let row = row.ok_or_else(|| DbErr::RecordNotFound("a snapshot".to_owned()))?;
                Ok(Kind::Postgres(row.try_get_by_index(0)?))
            }
        }
    }

    /// Ends the connection of SQLite. Later calls fail.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        let Self::Sqlite(own) = self else { return Ok(()) };
        let mut own = own.connection.lock().await;
        own.is_closed = true;
        match own.connection.take() {
            Some(connection) => connection.close().await.map_err(failed),
            None => Ok(()),
        }
    }
}

impl Own {
    async fn now(&self) -> Result<Kind, sqlx::Error> {
        let mut own = self.connection.lock().await;
        if own.is_closed {
            return Err(sqlx::Error::PoolClosed);
        }
        // One whose statement fails, or who is waited for no longer, does not come back.
        let mut connection = match own.connection.take() {
            Some(connection) => connection,
            None => {
                own.number += 1;
                self.options.connect().await?
            }
        };
        let version = sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&mut connection)
            .await?;
        own.connection = Some(connection);
        Ok(Kind::Sqlite(own.number, version))
    }
}

impl Store {
    /// The version of the data. What is read after it was asked for is true while the version stays the same.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the database does not answer.
    pub async fn data_version(&self) -> Result<DataVersion> {
        self.repeat(OPERATION_LIMIT, || async {
            Ok(DataVersion(self.inner.versions.now().await?))
        })
        .await
    }
}
