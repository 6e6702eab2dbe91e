//! What a very large fleet costs the database and the planner: run by `cargo xtask bench fleet`, which makes a table of the
//! lines that this prints, each a database, a name and a figure.
#![expect(clippy::print_stdout, reason = "it is a program that tells figures")]

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use model::{
    BuilderId, BuilderState, FleetId, Timestamp,
    plan::{self, Action, Snapshot, plan},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend};
use store::{Assignment, DatabaseSettings, FleetCache, FleetView, Lease, Store, testing::PostgresServer};
use uuid::Uuid;

#[path = "../../tests/it/many.rs"]
mod many;

use many::{Dialect, Many, statements};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const TTL: Duration = Duration::from_secs(60);
const CHANGES: usize = 20;
/// How often everybody waits for another reason.
const CHANGES_OF_ALL: usize = 3;
const BETWEEN_RENEWALS: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["measure", builders, waiting, rounds, handed, ended] => {
            measure((builders, waiting), (rounds, handed, ended))
        }
        ["decide", url, builders, waiting, rounds] => {
            decide(url, (builders.parse()?, waiting.parse()?), rounds.parse()?).await
        }
        ["busy", url, builders] => busy(url, builders.parse()?).await,
        ["hand-out", url, count] => hand_out(url, count.parse()?).await,
        ["lead", url, builders, waiting] => lead(url, (builders.parse()?, waiting.parse()?)).await,
        ["history", none, long, builders, waiting, ended] => {
            history(
                [none, long],
                (builders.parse()?, waiting.parse()?),
                ended.parse()?,
            )
            .await
        }
        _ => Err("expected: measure BUILDERS WAITING ROUNDS HANDED ENDED".into()),
    }
}

/// Each case in a process of its own, so that its memory is its own.
fn measure((builders, waiting): (&str, &str), (rounds, handed, ended): (&str, &str, &str)) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = PostgresServer::start()?;
    let sqlite = |name: &str| format!("sqlite://{}", directory.path().join(name).display());
    for (database, urls) in [
        (
            "SQLite",
            ["decide", "hand-out", "lead", "none", "long"].map(sqlite),
        ),
        (
            "PostgreSQL",
            [
                server.new_database()?,
                server.new_database()?,
                server.new_database()?,
                server.new_database()?,
                server.new_database()?,
            ],
        ),
    ] {
        let [decided, given, led, none, long] = &urls;
        for arguments in [
            vec!["decide", decided, builders, waiting, rounds],
            vec!["hand-out", given, handed],
            vec!["lead", led, builders, waiting],
            vec!["history", none, long, builders, waiting, ended],
        ] {
            let output = Command::new(std::env::current_exe()?).args(&arguments).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{}: {said}", arguments.join(" ")).into());
            }
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                println!("{database} {line}");
            }
        }
    }
    Ok(())
}

fn tell(name: &str, figure: f64) {
    println!("{name} {figure}");
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_micros(since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0)))
}

/// The statements run on a new database, after those that make its tables.
async fn filled(url: &str, many: Many, more: &[&str]) -> Result<Store> {
    let settings = DatabaseSettings {
        url: url.to_owned(),
        max_connections: 4,
    };
    let store = Store::connect(&settings).await?;
    store.migrate().await?;
    let raw = raw_connection(url).await?;
    let dialect = Dialect {
        is_postgres: raw.get_database_backend() == DbBackend::Postgres,
        has_live_rows: true,
        has_chroots_of_repositories: true,
    };
    for statement in statements(dialect, many) {
        raw.execute_unprepared(&statement).await?;
    }
    for statement in more {
        raw.execute_unprepared(statement).await?;
    }
    if dialect.is_postgres {
        raw.execute_unprepared("VACUUM (ANALYZE)").await?;
    }
    raw.close().await?;
    Ok(store)
}

async fn raw_connection(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

async fn lease(store: &Store) -> Result<Lease> {
    let fleet = FleetId(Uuid::from_u128((0xf << 124) | 1));
    let lease = store.acquire_lease(fleet, "bench", TTL, now()).await?;
    lease.ok_or_else(|| "another controller leads".into())
}

/// What the planner looks at, with one pool of that size.
fn snapshot(view: &FleetView, max: u64) -> Result<Snapshot> {
    let spec = serde_json::json!({
        "labels": ["arch:x86_64"], "image": "std", "provision": "std", "size": {"max": max},
        "offerings": [{"types": ["small"]}],
    });
    let pool = plan::Pool {
        spec: serde_json::from_value(spec)?,
        history: model::LaunchHistory::default(),
        cloud: plan::CloudHealth::Answers,
        pause: None,
        no_image: None,
        quota: None,
        budget: None,
        calls: None,
        pace: None,
        hosts: BTreeMap::new(),
        port: 22,
    };
    let builders = view.builders.iter().map(|builder| plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        created_at: builder.created_at,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
        drift: None,
        lacks: model::Lacks::Nothing,
        refusal: None,
        sandbox: builder.sandbox.clone(),
        ready_at: builder.ready_at,
        mark: None,
        host: None,
        line: None,
    });
    Ok(Snapshot::new(
        view.at,
        BTreeMap::from([("small".parse()?, pool)]),
        builders.collect(),
        view.queue.clone(),
    ))
}

/// Full decisions over a fleet that is busy and a long queue, and what one change costs.
async fn decide(url: &str, (builders, waiting): (u64, u64), rounds: usize) -> Result<()> {
    let many = Many {
        projects: 1000,
        ended: 0,
        made: 0,
        waiting,
        builders,
    };
    let store = filled(url, many, &[]).await?;
    let lease = lease(&store).await?;
    let mut cache = FleetCache::default();
    let began = Instant::now();
    let view = store.look_at_fleet(lease.fleet, &mut cache, now()).await?;
    tell("cold", milliseconds(began));
    let facts = snapshot(&view, builders)?;
    let mut freed = facts.clone();
    for builder in &mut freed.builders {
        if builder.state == BuilderState::Booting {
            builder.state = BuilderState::Ready;
        }
    }
    let free = freed
        .builders
        .iter()
        .filter(|one| one.state == BuilderState::Ready)
        .count();
    for _ in 0..rounds {
        let began = Instant::now();
        let plan = plan(&freed);
        tell("plan", milliseconds(began));
        if plan.actions.len() != free || u64::try_from(plan.waits.len() + free)? != waiting {
            return Err(format!(
                "{} of {waiting} wait beside {free} free builders",
                plan.waits.len()
            )
            .into());
        }
    }
    drop(freed);
    let waits = plan(&facts).waits;
    let began = Instant::now();
    store.set_waits(&lease, &mut cache, &waits).await?;
    tell("reasons", milliseconds(began));
    drop((view, facts, waits));
    for _ in 0..CHANGES {
        let [decided, said] = change(&store, &lease, &mut cache, builders).await?;
        tell("change", decided);
        tell("said", said);
    }
    tell("peak", peak_mebibytes()?);
    Ok(())
}

/// Fills a database for others: builders that all are busy, and one build that waits.
async fn busy(url: &str, builders: u64) -> Result<()> {
    let many = Many {
        projects: 1000,
        ended: 0,
        made: 0,
        waiting: 1,
        builders,
    };
    filled(url, many, &["UPDATE builder SET state = 'busy'"]).await?;
    Ok(())
}

/// As many attempts as builders are ready: from the look to the last attempt's being on record with its builder.
async fn hand_out(url: &str, count: u64) -> Result<()> {
    let many = Many {
        projects: 1000,
        ended: 0,
        made: 0,
        waiting: 0,
        builders: count,
    };
    let more = [
        "DELETE FROM allocation",
        "UPDATE builder SET state = 'ready', reason = NULL",
        "UPDATE attempt SET state = 'waiting', builder = NULL, epoch = NULL, started_at = NULL",
        "UPDATE build_chroot SET state = 'pending', started_at = NULL",
        "UPDATE build SET state = 'pending'",
    ];
    let store = filled(url, many, &more).await?;
    let lease = lease(&store).await?;
    let mut cache = FleetCache::default();
    let began = Instant::now();
    let view = store.look_at_fleet(lease.fleet, &mut cache, now()).await?;
    let plan = plan(&snapshot(&view, count)?);
    let rows: BTreeMap<BuilderId, _> = view.builders.iter().map(|row| (row.id, row)).collect();
    let mut wanted = Vec::new();
    for action in &plan.actions {
        let Action::Assign { attempt, builder } = action else {
            continue;
        };
        wanted.push(Assignment {
            attempt: *attempt,
            builder: rows.get(builder).ok_or("a builder that nobody knows")?,
            deadline: now().plus(Duration::from_secs(60)),
        });
    }
    let results = store.assign_all(&lease, &wanted, now()).await?;
    tell("handed", milliseconds(began));
    let mut given = BTreeSet::new();
    for (one, result) in wanted.iter().zip(results) {
        result?;
        given.insert(one.builder.id);
    }
    if u64::try_from(given.len())? != count {
        return Err(format!("{} of {count} builders were handed out", given.len()).into());
    }
    Ok(())
}

/// The last of the queue leaves it: the milliseconds of look and decision, and of storing the reasons that this changes.
async fn change(store: &Store, lease: &Lease, cache: &mut FleetCache, builders: u64) -> Result<[f64; 2]> {
    let view = store.look_at_fleet(lease.fleet, cache, now()).await?;
    let last = view.queue.last().ok_or("nobody waits")?;
    store.cancel_build(last.build, "user:bench", now()).await?;
    drop(view);
    let began = Instant::now();
    let view = store.look_at_fleet(lease.fleet, cache, now()).await?;
    let decided = plan(&snapshot(&view, builders)?);
    let looked = milliseconds(began);
    let began = Instant::now();
    store.set_waits(lease, cache, &decided.waits).await?;
    Ok([looked, milliseconds(began)])
}

/// The same changes in a database without history and in one with a long one, by turns: what else the machine does falls on both.
async fn history(urls: [&str; 2], (builders, waiting): (u64, u64), ended: u64) -> Result<()> {
    let mut farms = Vec::new();
    for (url, ended, name) in [(urls[0], 0, "no-history"), (urls[1], ended, "history")] {
        let many = Many {
            projects: 1000,
            ended,
            made: 0,
            waiting,
            builders,
        };
        let store = filled(url, many, &[]).await?;
        farms.push((store, FleetCache::default(), name));
    }
    for (store, cache, _) in &mut farms {
        let lease = lease(store).await?;
        // The first one tells everybody why.
        change(store, &lease, cache, builders).await?;
        store.release_lease(&lease, now()).await?;
    }
    for _ in 0..CHANGES {
        for (store, cache, name) in &mut farms {
            let lease = lease(store).await?;
            let [decided, said] = change(store, &lease, cache, builders).await?;
            tell(name, decided + said);
            store.release_lease(&lease, now()).await?;
        }
    }
    Ok(())
}

/// Rounds in each of which everybody waits for another reason than before, in the task that also keeps the lease, as a controller
/// does: how late the renewals are that become due meanwhile.
async fn lead(url: &str, (builders, waiting): (u64, u64)) -> Result<()> {
    let many = Many {
        projects: 1000,
        ended: 0,
        made: 0,
        waiting,
        builders,
    };
    let store = filled(url, many, &[]).await?;
    let lease = lease(&store).await?;
    let rounds = async {
        let mut cache = FleetCache::default();
        for round in 0..CHANGES_OF_ALL {
            let view = store.look_at_fleet(lease.fleet, &mut cache, now()).await?;
            let mut waits = plan(&snapshot(&view, builders)?).waits;
            if u64::try_from(waits.len())? != waiting {
                return Err(format!("{} of {waiting} wait", waits.len()).into());
            }
            for wait in &mut waits {
                wait.reason = format!("{} ({round})", wait.reason).into();
            }
            let began = Instant::now();
            store.set_waits(&lease, &mut cache, &waits).await?;
            tell("all-said", milliseconds(began));
        }
        Ok(())
    };
    tokio::select! {
        lost = keep(&store, &lease) => lost,
        led = rounds => led,
    }
}

/// Renews the lease far oftener than a controller does, so that it meets whatever is in the way; ends when it is lost.
async fn keep(store: &Store, lease: &Lease) -> Result<()> {
    loop {
        let due = Instant::now() + BETWEEN_RENEWALS;
        tokio::time::sleep(BETWEEN_RENEWALS).await;
        store.renew_lease(lease, TTL, now()).await?;
        tell("late", milliseconds(due));
    }
}

/// The most memory that this process had.
fn peak_mebibytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.split_whitespace().next());
    let kibibytes: f64 = kibibytes.ok_or("the kernel tells no VmHWM")?.parse()?;
    Ok(kibibytes / 1024.0)
}
