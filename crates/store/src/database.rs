//! The connection: which pools there are, and how transactions begin, end, are bounded in time and repeated.
//!
//! SQLite has one connection that writes and several that read; a transaction that writes begins
//! `IMMEDIATE`, since one that reads first and writes later would fail at once when another writes. On
//! PostgreSQL both are one pool, and rows that a decision depends on are locked. Reads of more than one
//! statement see one moment on both.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, EntityTrait as _, IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;

use crate::{
    entity::event,
    error::{Error, Result, TxError, is_worth_a_retry, translate, words::of_driver},
    grant::may_not_connect,
};

use last_try::LastTry;
use reads::Reads;
use sqlite::{Access, sqlite};
use version::Versions;

pub use version::DataVersion;

mod close;
mod last_try;
mod reads;
#[cfg(feature = "testing")]
pub(crate) mod seam;
mod sqlite;
mod time;
mod version;

/// How long any one operation may take, repetitions included.
const OPERATION_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for a connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for a lock: below a third of a lease's 15 seconds, so that a controller that hangs in a
/// transaction cannot keep another from taking over.
const LOCK_LIMIT: Duration = Duration::from_secs(4);
/// How often a transaction is begun when the database asks for another try.
const TRIES: u32 = 6;
/// The key of the lock on PostgreSQL under which events are written: "vevents" as a number.
const EVENTS_LOCK: i64 = 0x76_6576_656e_7473;
/// How many events one statement inserts; databases bound the number of parameters.
const EVENTS_AT_ONCE: usize = 500;

tokio::task_local! {
    /// When the time of the operation is over that a task is in.
    static DEADLINE: Instant;
}

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// `sqlite:///path/to/file` or `postgres://user:password@host/database`.
    pub url: String,
    /// How many connections to hold at most; on SQLite so many that read in transactions, and as many for single statements.
    pub max_connections: u32,
}

impl std::fmt::Debug for DatabaseSettings {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseSettings")
            .field("url", &without_secrets(&self.url))
            .field("max_connections", &self.max_connections)
            .finish()
    }
}

/// The farm's database. Cheap to clone; every clone uses the same connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    #[cfg(feature = "testing")]
    seam: Option<seam::Held>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.inner.name).finish()
    }
}

/// Is told of every statement; only tests have one.
type Watcher = Arc<dyn Fn(&Statement) + Send + Sync>;

struct Inner {
    name: String,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    reads: Reads,
    versions: Versions,
    /// How many transactions of this process wrote events.
    told: watch::Sender<u64>,
    last_try: LastTry,
}

/// An open transaction; everything that queries takes one. Bodies of transactions get it by value, since a
/// future that borrows it cannot be shown to be `Send`.
#[derive(Clone)]
pub(crate) struct Tx(Arc<Open>);

struct Open {
    transaction: DatabaseTransaction,
    /// What is to be told of it, in order.
    events: Mutex<Vec<event::ActiveModel>>,
}

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0.transaction
    }
}

impl Tx {
    /// Has an event written at the end of the transaction.
    pub(crate) fn tell(&self, event: event::ActiveModel) {
        self.0
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }
}

/// The address without what must not reach a log: password and parameters.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let bare = url.split_once('?').map_or(url, |(bare, _)| bare);
    let Some((scheme, rest)) = bare.split_once("://") else {
        return bare.to_owned();
    };
    // The password may hold an `@` that is not escaped: the last one ends it.
    match rest.rsplit_once('@') {
        Some((credentials, place)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{scheme}://{user}@{place}")
        }
        None => bare.to_owned(),
    }
}

fn common(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections.max(1))
        .min_connections(0)
        .acquire_timeout(ACQUIRE_LIMIT)
        .connect_timeout(ACQUIRE_LIMIT)
        .sqlx_logging(false);
    options
}

/// When the operation's time is over that the caller is in.
fn deadline() -> Instant {
    DEADLINE
        .try_with(|deadline| *deadline)
        .unwrap_or_else(|_| Instant::now() + OPERATION_LIMIT)
}

fn postgres(url: &str, connections: u32) -> ConnectOptions {
    let mut options = common(url, connections);
    options.map_sqlx_postgres_opts(|options| {
        let milliseconds = |limit: Duration| limit.as_millis().to_string();
        options.application_name("verdigris").options([
            ("statement_timeout", milliseconds(ACQUIRE_LIMIT)),
            ("lock_timeout", milliseconds(LOCK_LIMIT)),
            ("idle_in_transaction_session_timeout", milliseconds(LOCK_LIMIT)),
        ])
    });
    options
}

impl Store {
    /// Connects to the database; a SQLite file is made when there is none. The schema is not looked at: see
    /// [`Store::migrate`] and [`Store::check`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an address of another kind, [`Error::Unavailable`] when nobody answers.
    pub async fn connect(settings: &DatabaseSettings) -> Result<Self> {
        Self::connect_telling(settings, false, None).await
    }

    /// Connects to a database that is there, to look at it: nothing is written on SQLite, not even by the connection.
    ///
    /// # Errors
    ///
    /// As [`Store::connect`].
    pub async fn connect_to_look(settings: &DatabaseSettings) -> Result<Self> {
        Self::connect_telling(settings, true, None).await
    }

    /// [`Store::connect`], telling of every statement.
    ///
    /// # Errors
    ///
    /// As [`Store::connect`].
    #[cfg(feature = "testing")]
    pub async fn connect_watched(
        settings: &DatabaseSettings,
        told: impl Fn(&Statement) + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::connect_telling(settings, false, Some(Arc::new(told))).await
    }

    async fn connect_telling(
        settings: &DatabaseSettings,
        only_to_look: bool,
        watcher: Option<Watcher>,
    ) -> Result<Self> {
        let name = without_secrets(&settings.url);
        let (write, read) = if settings.url.starts_with("postgres://") {
            (postgres(&settings.url, settings.max_connections), None)
        } else if cfg!(feature = "testing") && settings.url == sqlite::MEMORY {
            (sqlite::memory(), None)
        } else if settings.url.starts_with("sqlite://") && !settings.url.contains(":memory:") {
            let [write, read] = match only_to_look {
                true => [Access::Look; 2],
                false => [Access::Write, Access::Read],
            };
            (
                sqlite(&settings.url, 1, write),
                Some(sqlite(&settings.url, settings.max_connections, read)),
            )
        } else {
            return Err(Error::invalid(format!(
                "`{name}` is not the address of a database: expected sqlite:///path or postgres://user@host/name"
            )));
        };
        let connect = async {
            let writer = Database::connect(write).await?;
            let reader = match read {
                Some(read) => Database::connect(read).await?,
                None => writer.clone(),
            };
            Ok::<_, DbErr>((writer, reader))
        };
        let (mut writer, mut reader) = within(OPERATION_LIMIT, &name, async {
            let error = match connect.await {
                Ok(connections) => return Ok(connections),
                Err(error) => translate(error, &name),
            };
            // A pool goes on trying for a while, as it should while a server starts, and says only that the time is over.
            match (&error, settings.url.starts_with("postgres://")) {
                (Error::Unavailable { .. } | Error::Forbidden { .. }, true) => {
                    Err(reach(&settings.url, &name).await.unwrap_or(error))
                }
                _ => Err(error),
            }
        })
        .await?;
        if let Some(watcher) = &watcher {
            for connection in [&mut writer, &mut reader] {
                let watcher = Arc::clone(watcher);
                connection.set_metric_callback(move |info| watcher(info.statement));
            }
        }
        let reads = Reads::of(&reader, settings.max_connections, watcher);
        let versions = Versions::of(&reader);
        Ok(Self {
            inner: Arc::new(Inner {
                name,
                writer,
                reader,
                reads,
                versions,
                told: watch::Sender::new(0),
                last_try: LastTry::default(),
            }),
            #[cfg(feature = "testing")]
            seam: None,
        })
    }

    /// The address without the password, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn told(&self) -> &watch::Sender<u64> {
        &self.inner.told
    }

    pub(crate) fn last_try(&self) -> &LastTry {
        &self.inner.last_try
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.writer.get_database_backend()
    }

    /// Runs `body` in a transaction that sees one moment and changes nothing.
    pub(crate) async fn read<T, F>(&self, body: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, TxError>> + Send,
    {
        let options = match self.backend() {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                sqlite_transaction_mode: None,
            },
            _ => TransactionOptions::default(),
        };
        self.transact(&self.inner.reader, options, OPERATION_LIMIT, body)
            .await
    }

    /// The text that a single statement answers which only reads, outside of a transaction.
    pub(crate) async fn read_text(&self, statement: &Statement) -> Result<Option<String>> {
        self.repeat(OPERATION_LIMIT, || async {
            Ok(self.inner.reads.text(statement).await?)
        })
        .await
    }

    /// Runs `body` in a transaction, commits it when it answers and rolls it back when it fails. `body` runs
    /// again when the database asks for that, so it must change nothing but the database.
    pub(crate) async fn write<T, F>(&self, body: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, TxError>> + Send,
    {
        self.write_within(OPERATION_LIMIT, body).await
    }

    /// [`Store::write`] with another limit of time.
    pub(crate) async fn write_within<T, F>(&self, limit: Duration, body: impl Fn(Tx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, TxError>> + Send,
    {
        let options = TransactionOptions {
            sqlite_transaction_mode: match self.backend() {
                DbBackend::Sqlite => Some(SqliteTransactionMode::Immediate),
                _ => None,
            },
            ..TransactionOptions::default()
        };
        self.transact(&self.inner.writer, options, limit, body).await
    }

    /// Runs `body` in transactions until one of them works.
    async fn transact<T, F>(
        &self,
        connection: &DatabaseConnection,
        options: TransactionOptions,
        limit: Duration,
        body: impl Fn(Tx) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, TxError>> + Send,
    {
        let (value, has_told) = self.repeat(limit, || once(connection, options, &body)).await?;
        if has_told {
            self.inner
                .told
                .send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(value)
    }

    /// Tries something until the database asks for no other try, but not for longer than `limit`.
    async fn repeat<T, F>(&self, limit: Duration, body: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, TxError>>,
    {
        let work = async {
            let mut tries = 0;
            loop {
                tries += 1;
                let error = match body().await {
                    Ok(value) => return Ok(value),
                    Err(TxError::Answer(error)) => return Err(error),
                    Err(TxError::Database(error)) => error,
                };
                if tries >= TRIES || !is_worth_a_retry(&error) {
                    return Err(translate(error, self.name()));
                }
                tracing::debug!(database = self.name(), tries, %error, "The database asks for another try.");
                tokio::time::sleep(Duration::from_millis(5 << tries)).await;
            }
        };
        let deadline = Instant::now() + limit;
        let work = within(limit, self.name(), DEADLINE.scope(deadline, work));
        // On the heap: the stack of a test is not for two of it.
        #[cfg(feature = "testing")]
        let work = self.through_seam(Box::pin(work));
        work.await
    }
}

/// Why a PostgreSQL server cannot be connected to; nothing when it can by now.
async fn reach(url: &str, name: &str) -> Option<Error> {
    let error = PgConnection::connect(url).await.err()?;
    let code = error.as_database_error().and_then(|error| error.code());
    // insufficient_privilege
    if code.as_deref() == Some("42501") {
        return Some(may_not_connect(name, &error));
    }
    Some(Error::Unavailable {
        database: name.to_owned(),
        why: of_driver(&error),
    })
}

async fn once<T, F>(
    connection: &DatabaseConnection,
    options: TransactionOptions,
    body: &impl Fn(Tx) -> F,
) -> Result<(T, bool), TxError>
where
    F: Future<Output = Result<T, TxError>> + Send,
{
    let open = Arc::new(Open {
        transaction: connection.begin_with_options(options).await?,
        events: Mutex::default(),
    });
    // On the heap: without that, whoever asks the store carries what each of its questions needs on its stack.
    let outcome = Box::pin(body(Tx(Arc::clone(&open)))).await;
    let Open { transaction, events } = Arc::try_unwrap(open)
        .map_err(|_| DbErr::Custom("a transaction is used after the end of its body".to_owned()))?;
    let outcome = match outcome {
        Ok(value) => {
            let events = events.into_inner().unwrap_or_else(PoisonError::into_inner);
            let has_told = !events.is_empty();
            let written = write_events(&transaction, events).await;
            written.map(|()| (value, has_told)).map_err(TxError::from)
        }
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(failure) => {
            if let Err(error) = transaction.rollback().await {
                // The connection is as good as gone, and the transaction with it.
                tracing::debug!(%error, "A rollback failed.");
            }
            Err(failure)
        }
    }
}

/// Writes events as the last act of their transaction. One transaction does so at a time, so that events
/// become visible in the order of their numbers: a reader who goes on after the last number that it saw
/// would otherwise miss those of a transaction that took its numbers earlier and ended later. SQLite has one
/// writer anyway; on PostgreSQL there is a lock, and whoever holds it waits for no other.
async fn write_events(
    transaction: &DatabaseTransaction,
    events: Vec<event::ActiveModel>,
) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    if transaction.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({EVENTS_LOCK})");
        transaction.execute_unprepared(&lock).await?;
    }
    for some in events.chunks(EVENTS_AT_ONCE) {
        event::Entity::insert_many(some.iter().cloned())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

async fn within<T>(limit: Duration, database: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(Error::Unavailable {
            database: database.to_owned(),
            why: format!("no answer within {} s", limit.as_secs()),
        })
    })
}

#[cfg(test)]
mod tests;
