//! Databases for behaviours. A behaviour is an async function of a [`Database`], or of something that
//! [`Start`]s on one; `on_both_databases!` makes tests of a module's behaviours.
//!
//! On SQLite each behaviour is a test. On PostgreSQL a module is one, since the test runner starts a process
//! for each test, and a server for each, which takes one to two seconds to make, would take most of the time:
//! the module's behaviours run side by side, each in a database of its own, and those that fail are named.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use model::Timestamp;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, QueryResult, Statement,
    TransactionTrait as _,
};
use store::{DatabaseSettings, Store, testing::PostgresServer};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// How many run side by side: the limits of time of the store are for machines that are not flooded.
const AT_ONCE: usize = 4;

/// A moment so many seconds after the tests' beginning of time.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(seconds))
}

/// An empty database.
pub(crate) struct Database {
    pub(crate) url: String,
    /// Where SQLite's file is; gone with the value.
    _directory: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut database = Self::at(&directory.path().join("farm.sqlite"));
        database._directory = Some(directory);
        database
    }

    /// SQLite in a file of the test's own.
    pub(crate) fn at(file: &Path) -> Self {
        Self {
            url: format!("sqlite://{}", file.display()),
            _directory: None,
        }
    }

    pub(crate) fn postgres(server: &PostgresServer) -> Self {
        Self {
            url: server.new_database().unwrap(),
            _directory: None,
        }
    }

    /// What another process would have: a store with connections of its own.
    pub(crate) async fn connect(&self) -> Store {
        let settings = DatabaseSettings {
            url: self.url.clone(),
            max_connections: 4,
        };
        Store::connect(&settings).await.unwrap()
    }

    /// A connection behind the store's back.
    pub(crate) async fn raw(&self) -> Raw {
        Raw(sea_orm::Database::connect(&self.url).await.unwrap())
    }
}

/// A connection behind the store's back, to look at rows, to spoil them and to be in the way.
pub(crate) struct Raw(DatabaseConnection);

impl Raw {
    pub(crate) fn is_postgres(&self) -> bool {
        self.0.get_database_backend() == DbBackend::Postgres
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap();
    }

    async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        self.0.query_all_raw(statement).await.unwrap()
    }

    /// The first column of every row.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.query(sql).await;
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// The first column of the first row.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.query(sql).await[0].try_get_by_index(0).unwrap()
    }

    /// A transaction that keeps its locks until it is told to end.
    pub(crate) async fn begin(&self) -> InTheWay {
        InTheWay(self.0.begin().await.unwrap())
    }

    /// On PostgreSQL: until a transaction of this database waits for another's lock.
    pub(crate) async fn wait_until_somebody_waits_for_a_lock(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let seen = async {
            while self.number(waiting).await == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), seen)
            .await
            .expect("a transaction that waits for a lock");
    }
}

/// An open transaction behind the store's back.
pub(crate) struct InTheWay(DatabaseTransaction);

impl InTheWay {
    pub(crate) async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap();
    }

    pub(crate) async fn commit(self) {
        self.0.commit().await.unwrap();
    }
}

/// What behaviours may ask for.
pub(crate) trait Start: Sized {
    fn start(database: Database) -> impl Future<Output = Self> + Send;
}

impl Start for Database {
    async fn start(database: Database) -> Self {
        database
    }
}

/// A behaviour that is about to run.
pub(crate) type Behaviour = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a behaviour on a database.
pub(crate) async fn run<S, F>(behaviour: impl FnOnce(S) -> F, database: Database)
where
    S: Start,
    F: Future<Output = ()>,
{
    behaviour(S::start(database).await).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs one behaviour, on a thread of the runtime as tasks of the farm do.
pub(crate) fn check(behaviour: Behaviour) {
    let outcome = runtime().block_on(async { tokio::spawn(behaviour).await });
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Runs the behaviours of a module on one server.
pub(crate) fn check_all(prepare: impl FnOnce(&PostgresServer) -> Vec<(&'static str, Behaviour)>) {
    let server = PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    let behaviours = prepare(&server);
    let failed = runtime().block_on(async {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let tasks: Vec<_> = behaviours
            .into_iter()
            .map(|(name, behaviour)| {
                let permits = Arc::clone(&permits);
                let one = async move {
                    let _permit = permits.acquire().await.unwrap();
                    behaviour.await;
                };
                (name, tokio::spawn(one))
            })
            .collect();
        let mut failed = Vec::new();
        for (name, task) in tasks {
            if let Err(error) = task.await {
                failed.push(format!("{name}: {error}"));
            }
        }
        failed
    });
    assert!(failed.is_empty(), "on PostgreSQL:\n{}", failed.join("\n"));
}

/// Makes a test of each behaviour on SQLite, and one of all of them on PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $name() {
                    crate::support::check(Box::pin(crate::support::run(
                        super::$name,
                        crate::support::Database::sqlite(),
                    )));
                }
            )+
        }

        #[test]
        fn all_of_it_on_postgres() {
            crate::support::check_all(|server| {
                vec![$((
                    stringify!($name),
                    Box::pin(crate::support::run($name, crate::support::Database::postgres(server))),
                )),+]
            });
        }
    };
}
