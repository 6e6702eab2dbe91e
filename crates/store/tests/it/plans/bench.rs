//! A database with a history, and what its statements cost.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use model::{FleetId, ProjectId};
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbBackend, Statement, TransactionTrait as _,
};
use serde_json::Value;
use store::{DatabaseSettings, Store};
use uuid::Uuid;

use crate::{
    farm::Farm,
    many::{Dialect, Many, statements},
    support::{Database, at},
};

const MANY: Many = Many {
    projects: 200,
    ended: 200_000,
    made: 1000,
    waiting: 500,
    builders: 100,
};
/// As many commands of operators that are over as there are builds.
const INTENTS: &str = "INSERT INTO intent (fleet, key, request, actor, state, words, builders, created_at, ended_at)
    SELECT (SELECT fleet FROM builder LIMIT 1), 'reconcile/' || id, '{\"verb\":\"reconcile\"}', 'operator:cron', 'done',
        'it is so', '[]', 1800000000000000 + id, 1800000000000000 + id FROM build";
/// A hook that has run for each builder.
const HOOKS: &str = "INSERT INTO hook_run (id, fleet, builder, hook, place, spec, state, attempt, due_at, started_at, ended_at)
    SELECT id, fleet, id, 'after_ready', 0, '{\"cmd\":[\"/bin/true\"]}', 'done', 1, 1, 1, 2 FROM builder";
/// The tables that grow with the history.
const BIG: [&str; 10] = [
    "build",
    "build_chroot",
    "attempt",
    "allocation",
    "builder",
    "launch_attempt",
    "event",
    "collected_package",
    "intent",
    "hook_run",
];
/// Indexes that hold what is not over, or what is to be taken away next, so that to walk through one is right.
const SMALL: [&str; 7] = [
    "open_attempts",
    "live_builders",
    "open_allocations",
    "ended_builders",
    "open_intents",
    "ended_intents",
    "open_hook_runs",
];
/// The most instructions of SQLite for one statement: a tenth of what the smallest walk through one of the tables takes.
const MOST_INSTRUCTIONS: u64 = 200_000;
/// The most rows that one part of a plan of PostgreSQL may handle.
const MOST_ROWS: f64 = 6000.0;
/// How many instructions there are between two counts.
const STEP: i32 = 100;

type Recorded = Arc<Mutex<Vec<Statement>>>;

/// A database with the history, a store whose statements are recorded, and a connection to look at them.
pub(crate) struct Bench {
    pub(crate) farm: Farm,
    recorded: Recorded,
    raw: DatabaseConnection,
    instructions: Arc<AtomicU64>,
    pub(crate) faults: Vec<String>,
    pub(crate) looked_at: usize,
}

async fn raw_connection(url: &str, instructions: &Arc<AtomicU64>) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    let counter = Arc::clone(instructions);
    options.max_connections(1).sqlx_logging(false);
    options.map_sqlx_sqlite_pool_opts(move |options| {
        let counter = Arc::clone(&counter);
        options.after_connect(move |connection, _| {
            let counter = Arc::clone(&counter);
            Box::pin(async move {
                connection
                    .lock_handle()
                    .await?
                    .set_progress_handler(STEP, move || {
                        counter.fetch_add(STEP.unsigned_abs().into(), Ordering::Relaxed);
                        true
                    });
                Ok(())
            })
        })
    });
    sea_orm::Database::connect(options).await.unwrap()
}

impl Bench {
    pub(crate) async fn start(database: Database) -> Self {
        let recorded = Recorded::default();
        let told = Arc::clone(&recorded);
        let settings = DatabaseSettings {
            url: database.url.clone(),
            max_connections: 4,
        };
        let watch = move |statement: &Statement| told.lock().unwrap().push(statement.clone());
        let store = Store::connect_watched(&settings, watch).await.unwrap();
        store.migrate().await.unwrap();
        let instructions = Arc::new(AtomicU64::new(0));
        let raw = raw_connection(&database.url, &instructions).await;
        let dialect = Dialect {
            is_postgres: raw.get_database_backend() == DbBackend::Postgres,
            has_live_rows: true,
            has_chroots_of_repositories: true,
        };
        let history = statements(dialect, MANY).into_iter();
        // SQLite goes without, as on farms.
        let measured = dialect.is_postgres.then(|| "ANALYZE intent, hook_run".to_owned());
        for statement in history.chain([INTENTS, HOOKS].map(str::to_owned)).chain(measured) {
            if let Err(error) = raw.execute_unprepared(&statement).await {
                panic!("{statement}: {error}");
            }
        }
        let fleet = FleetId(Uuid::from_u128((0xf << 124) | 1));
        let lease = store
            .acquire_lease(fleet, "controller", crate::farm::TTL, at(0))
            .await;
        let farm = Farm {
            user: store
                .user_by_name(&"owner1".parse().unwrap())
                .await
                .unwrap()
                .unwrap(),
            project: store.project_by_id(ProjectId(1)).await.unwrap().unwrap(),
            lease: lease.unwrap().unwrap(),
            store,
            database,
        };
        Self {
            farm,
            recorded,
            raw,
            instructions,
            faults: Vec::new(),
            looked_at: 0,
        }
    }

    /// Runs an operation, and looks at every statement that it sent.
    pub(crate) async fn look<T>(
        &mut self,
        operation: &str,
        answer: impl Future<Output = store::Result<T>>,
    ) -> T {
        self.recorded.lock().unwrap().clear();
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => panic!("{operation}: {error:?}"),
        };
        let sent = std::mem::take(&mut *self.recorded.lock().unwrap());
        assert!(!sent.is_empty(), "{operation} sent nothing");
        for statement in sent {
            let is_one = ["SELECT", "UPDATE", "DELETE", "WITH"]
                .iter()
                .any(|word| statement.sql.starts_with(word));
            if !is_one || statement.sql.contains("pg_advisory") {
                continue;
            }
            self.looked_at += 1;
            let fault = match statement.db_backend {
                DbBackend::Postgres => self.fault_on_postgres(&statement).await,
                _ => self.fault_on_sqlite(&statement).await,
            };
            if let Some(fault) = fault {
                self.faults
                    .push(format!("{operation}: {fault}\n    {}", statement.sql));
            }
        }
        answer
    }

    async fn fault_on_sqlite(&self, statement: &Statement) -> Option<String> {
        let explain = Statement {
            sql: format!("EXPLAIN QUERY PLAN {}", statement.sql),
            ..statement.clone()
        };
        let plan: Vec<String> = self
            .raw
            .query_all_raw(explain)
            .await
            .unwrap()
            .iter()
            .map(|row| row.try_get("", "detail").unwrap())
            .collect();
        let tx = self.raw.begin().await.unwrap();
        let before = self.instructions.load(Ordering::Relaxed);
        if statement.sql.starts_with("SELECT") || statement.sql.starts_with("WITH") {
            tx.query_all_raw(statement.clone()).await.unwrap();
        } else {
            tx.execute_raw(statement.clone()).await.unwrap();
        }
        let instructions = self.instructions.load(Ordering::Relaxed) - before;
        tx.rollback().await.unwrap();
        if instructions > MOST_INSTRUCTIONS {
            return Some(format!("{instructions} instructions; {}", plan.join("; ")));
        }
        // The front of a table in the order of its key is found at once.
        let is_front =
            statement.sql.contains("LIMIT") && !plan.iter().any(|step| step.contains("TEMP B-TREE"));
        let scan = plan.iter().find(|step| is_scan(step))?;
        (!is_front).then(|| format!("{scan}; {instructions} instructions"))
    }

    async fn fault_on_postgres(&self, statement: &Statement) -> Option<String> {
        let explain = Statement {
            sql: format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", statement.sql),
            ..statement.clone()
        };
        let tx = self.raw.begin().await.unwrap();
        let row = tx.query_one_raw(explain).await.unwrap().unwrap();
        tx.rollback().await.unwrap();
        let plan: Value = row.try_get_by_index(0).unwrap();
        let mut most = (0.0, String::new());
        walk(&plan[0]["Plan"], &mut most);
        (most.0 > MOST_ROWS).then(|| format!("{} rows by {}", most.0, most.1))
    }
}

/// Whether a step of SQLite's plan walks through a table that grows.
fn is_scan(step: &str) -> bool {
    let mut words = step.split(' ');
    words.next() == Some("SCAN")
        && words.next().is_some_and(|table| BIG.contains(&table))
        && !SMALL.iter().any(|index| step.ends_with(index))
}

/// The most rows that a part of a plan handles, those that it throws away included.
fn walk(node: &Value, most: &mut (f64, String)) {
    let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
    let handled = (number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Index Recheck")
        + number("Rows Removed by Join Filter"))
        * number("Actual Loops");
    if handled > most.0 {
        *most = (
            handled,
            format!("{} on {}", node["Node Type"], node["Relation Name"]),
        );
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        walk(child, most);
    }
}
