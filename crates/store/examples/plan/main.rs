//! What a round of the planner and the deletion of a project cost in a database with a long history: run by
//! `cargo xtask bench plan`, which also builds it at an older commit, with another `era`, and has both measured here.
#![expect(clippy::print_stdout, reason = "it is a program that tells figures")]

use std::{
    error::Error,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use model::{FleetId, Timestamp, plan::plan};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend};
use store::{DatabaseSettings, Lease, Store, testing::PostgresServer};
use uuid::Uuid;

mod era;
#[path = "../../tests/it/many.rs"]
mod many;

use many::{Dialect, Many, statements};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const TTL: Duration = Duration::from_secs(15);
/// A farm with a queue; the history is what differs.
const WAITING: u64 = 20_000;
const BUILDERS: u64 = 1000;
/// Builds of the project that is deleted, and of all.
const DELETED: u64 = 20_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", url, ended] => fill(url, ended.parse()?).await,
        ["rounds", url, count] => rounds(url, count.parse()?).await,
        ["measure", ended, count, older] => measure(ended.parse()?, count, Some(older)).await,
        ["measure", ended, count] => measure(ended.parse()?, count, None).await,
        _ => Err("expected: fill URL ENDED | rounds URL COUNT | measure ENDED COUNT [OLDER]".into()),
    }
}

/// A pool that is full.
fn pool() -> serde_json::Value {
    serde_json::json!({
        "labels": ["arch:x86_64"], "image": "std", "provision": "std", "size": {"max": BUILDERS},
        "offerings": [{"types": ["small"]}],
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_micros(since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0)))
}

async fn connect(url: &str) -> Result<Store> {
    let settings = DatabaseSettings {
        url: url.to_owned(),
        max_connections: 4,
    };
    Ok(Store::connect(&settings).await?)
}

async fn migrated(url: &str) -> Result<Store> {
    let store = connect(url).await?;
    store.migrate().await?;
    Ok(store)
}

/// Makes the tables and fills them.
async fn fill(url: &str, ended: u64) -> Result<()> {
    migrated(url).await?;
    let raw = raw_connection(url).await?;
    let dialect = Dialect {
        is_postgres: raw.get_database_backend() == DbBackend::Postgres,
        has_live_rows: raw
            .execute_unprepared("SELECT ended_at FROM builder LIMIT 0")
            .await
            .is_ok(),
        has_chroots_of_repositories: raw
            .execute_unprepared("SELECT project FROM build_chroot LIMIT 0")
            .await
            .is_ok(),
    };
    let many = Many {
        projects: 1000,
        ended,
        made: DELETED.min(ended / 5),
        waiting: WAITING,
        builders: BUILDERS,
    };
    for statement in statements(dialect, many) {
        raw.execute_unprepared(&statement).await?;
    }
    raw.close().await?;
    Ok(())
}

async fn raw_connection(url: &str) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(Database::connect(options).await?)
}

/// Leaves a database as autovacuum does within minutes after it was filled or migrated.
async fn vacuum(url: &str) -> Result<()> {
    let raw = raw_connection(url).await?;
    if raw.get_database_backend() == DbBackend::Postgres {
        raw.execute_unprepared("VACUUM (ANALYZE)").await?;
    }
    raw.close().await?;
    Ok(())
}

/// Measures rounds of a controller, and tells how long each took, in milliseconds: those before which nothing changed, and those
/// before which the first of the queue left it.
async fn rounds(url: &str, count: usize) -> Result<()> {
    let began = Instant::now();
    let store = migrated(url).await?;
    println!("migrated {}", began.elapsed().as_secs_f64());
    vacuum(url).await?;
    let fleet = FleetId(Uuid::from_u128((0xf << 124) | 1));
    let lease = store
        .acquire_lease(fleet, "bench", TTL, now())
        .await?
        .ok_or("another controller leads")?;
    let keeping = tokio::spawn(keep(store.clone(), lease));
    // The first one writes the reason of everybody who waits.
    let mut memory = era::Memory::default();
    println!(
        "first {}",
        round(&store, &lease, &mut memory).await?.as_secs_f64() * 1e3
    );
    for _ in 0..count {
        println!(
            "still {}",
            round(&store, &lease, &mut memory).await?.as_secs_f64() * 1e3
        );
        let view = store.fleet_snapshot(fleet, now()).await?;
        let next = view
            .queue
            .iter()
            .min_by_key(|attempt| (attempt.queued_at, attempt.id));
        let next = next.ok_or("nobody waits")?;
        store.cancel_build(next.build, "user:bench", now()).await?;
        println!(
            "moved {}",
            round(&store, &lease, &mut memory).await?.as_secs_f64() * 1e3
        );
    }
    keeping.abort();
    match keeping.await {
        Ok(lost) => println!("lost {lost}"),
        Err(_) => store.release_lease(&lease, now()).await?,
    }
    Ok(())
}

/// What a controller does where nothing can be done for those who wait: look, plan, say why.
async fn round(store: &Store, lease: &Lease, memory: &mut era::Memory) -> Result<Duration> {
    let began = Instant::now();
    let view = era::look(store, lease, memory).await?;
    let plan = plan(&era::snapshot(&view)?);
    era::set_waits(store, lease, (&view, memory), &plan.waits).await?;
    Ok(began.elapsed())
}

/// Renews the lease as controllers do; ends with the reason when that fails.
async fn keep(store: Store, lease: Lease) -> String {
    loop {
        if let Err(error) = store.renew_lease(&lease, TTL, now()).await {
            return error.to_string();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What a child told of its rounds.
#[derive(Default)]
struct Told {
    migrated: f64,
    first: f64,
    still: Vec<f64>,
    moved: Vec<f64>,
    lost: Option<String>,
}

fn told(program: &Path, url: &str, count: &str) -> Result<Told> {
    let output = run(program, &["rounds", url, count])?;
    let mut told = Told::default();
    for line in output.lines() {
        let (what, figure) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "migrated" => told.migrated = figure.parse()?,
            "first" => told.first = figure.parse()?,
            "still" => told.still.push(figure.parse()?),
            "moved" => told.moved.push(figure.parse()?),
            _ => told.lost = Some(figure.to_owned()),
        }
    }
    Ok(told)
}

fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} {}: {words}", program.display(), arguments.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The value below which a part of the values lies; the median is at 0.5.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Measures on both databases, by this program and by that of an older commit, and tells.
async fn measure(ended: u64, count: &str, older: Option<&str>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = PostgresServer::start()?;
    let sqlite = |name: &str| format!("sqlite://{}", directory.path().join(name).display());
    for (database, urls) in [
        ("SQLite", [sqlite("empty"), sqlite("full"), sqlite("deletion")]),
        (
            "PostgreSQL",
            [
                server.new_database()?,
                server.new_database()?,
                server.new_database()?,
            ],
        ),
    ] {
        compare(database, &urls, (ended, count, older.map(Path::new)))?;
        era::delete(database, &urls[2]).await?;
        std::fs::remove_file(directory.path().join("full")).ok();
    }
    Ok(())
}

fn line(database: &str, what: &str, figures: &str) {
    println!("  {database:<11} {what:<64} {figures}");
}

fn compare(
    database: &str,
    [empty, full, _]: &[String; 3],
    (ended, count, older): (u64, &str, Option<&Path>),
) -> Result<()> {
    let this = std::env::current_exe()?;
    let filler = older.unwrap_or(&this);
    let mut own = Vec::new();
    for (url, ended) in [(empty, 0), (full, ended)] {
        let began = Instant::now();
        run(filler, &["fill", url, &ended.to_string()])?;
        line(
            database,
            &format!("filled with {ended} ended builds"),
            &format!("{:>9.1} s", began.elapsed().as_secs_f64()),
        );
        let before = older.map(|older| told(older, url, count)).transpose()?;
        let after = told(&this, url, count)?;
        if older.is_some() {
            line(
                database,
                "migrated from the older commit",
                &format!("{:>9.1} s", after.migrated),
            );
        }
        for (what, of) in [("nothing changed", 0), ("the first of the queue left it", 1)] {
            let pick = |told: &Told| median(if of == 0 { &told.still } else { &told.moved });
            let old = before.as_ref().map_or_else(String::new, |before| {
                format!(
                    "   older commit {:>9.1} ms, x {:.1}",
                    pick(before),
                    pick(before) / pick(&after)
                )
            });
            line(
                database,
                &format!("a round beside {ended} ended builds, {what}"),
                &format!("{:>9.1} ms{old}", pick(&after)),
            );
        }
        let old = before.as_ref().map_or_else(String::new, |before| {
            format!("   older commit {:>9.1} ms", before.first)
        });
        line(
            database,
            "the first round, which tells everybody why",
            &format!("{:>9.1} ms{old}", after.first),
        );
        for (who, told) in [("this commit", Some(&after)), ("older commit", before.as_ref())] {
            if let Some(lost) = told.and_then(|told| told.lost.as_ref()) {
                line(database, &format!("THE LEASE WAS LOST, {who}"), lost);
            }
        }
        own.push(after);
    }
    if let [empty, full] = own.as_slice() {
        for (what, ratio) in [
            ("nothing changed", median(&full.still) / median(&empty.still)),
            (
                "the first of the queue left it",
                median(&full.moved) / median(&empty.moved),
            ),
        ] {
            line(
                database,
                &format!("long history beside none, {what}"),
                &format!("x {ratio:.2}"),
            );
        }
    }
    Ok(())
}
