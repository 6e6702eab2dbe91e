//! The queue: attempts that wait for a builder, in the order in which they are served. That order is the planner's
//! ([`model::plan`]): what is not background first; then the n-th request of an owner, counting those that have a builder,
//! after everybody's (n-1)-th; then age. Places are computed when somebody asks, since each attempt that is served moves all
//! others. One index holds all that this needs, of attempts that are not over only.

use std::{collections::BTreeMap, sync::Arc};

use model::{AttemptId, AttemptState, BuildId, BuildState, ChrootName, PoolName, Timestamp, plan::Wait};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult, QueryFilter as _, Statement,
    Value, sea_query::Expr,
};
use uuid::Uuid;

use super::{fleet_cache::FleetCache, leases::check_lease_unlocked, queue_cache::QueueCache};
use crate::{
    FarmCounts, Lease, Page, QueueEntry, QueuePage,
    convert::{Row, readable, reason},
    database::{Store, Tx},
    entity::attempt,
    error::{Result, TxError},
};

/// How many attempts one transaction gives their reasons: few enough that others hardly wait for it.
const REASONS_AT_ONCE: usize = 500;

/// The table `ranked`: the attempts that have a builder or wait for one. Its column `nth` counts the attempts of each owner
/// from 1, those with a builder first. `more` names further columns of `attempt`: to join them later would have a database read
/// the whole table when many wait.
fn ranked(more: &str) -> String {
    format!(
        "WITH ranked AS (
            SELECT id, build, owner, is_background, queued_at, state{more},
                row_number() OVER (
                    PARTITION BY owner
                    ORDER BY CASE WHEN state = 'waiting' THEN 1 ELSE 0 END, is_background, queued_at, id
                ) AS nth
            FROM attempt WHERE ended_at IS NULL AND state IN ('assigned', 'running', 'waiting')
        )"
    )
}

/// The order of service.
const IN_ORDER: &str = "ORDER BY is_background, nth, queued_at, id";

#[derive(FromQueryResult)]
struct EntryRow {
    position: i64,
    id: Uuid,
    build: i64,
    chroot: String,
    owner: String,
    project: String,
    package: Option<String>,
    is_background: bool,
    submitted_at: i64,
    queued_at: i64,
    waiting_reason: Option<String>,
}

fn entry(row: EntryRow) -> Result<QueueEntry> {
    let id = AttemptId(row.id);
    let at = Row::new("attempt", &id);
    let of_build = Row::new("build", &row.build);
    Ok(QueueEntry {
        position: at.number("position", row.position)?,
        attempt: id,
        build: BuildId(row.build),
        chroot: at.parse("chroot", &row.chroot)?,
        owner: at.parse("owner", &row.owner)?,
        project: of_build.parse("name of its project", &row.project)?,
        package: of_build.parse_maybe("name of its package", row.package.as_deref())?,
        background: row.is_background,
        submitted_at: Timestamp::from_micros(row.submitted_at),
        queued_at: Timestamp::from_micros(row.queued_at),
        reason: row.waiting_reason,
    })
}

fn statement(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), sql, values)
}

fn number(value: u64) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

/// How many attempts wait.
async fn length(tx: &Tx) -> Result<u64, TxError> {
    let sql = "SELECT count(*) AS n FROM attempt WHERE ended_at IS NULL AND state = 'waiting'";
    let row = tx.query_one_raw(statement(tx, sql, [])).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(count.unsigned_abs())
}

impl Store {
    /// The queue from the front: who is served next, and how many wait in all.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`]. What cannot be read is left out.
    pub async fn queue(&self, page: Page) -> Result<QueuePage> {
        let ranked = ranked("");
        let sql = &format!(
            "{ranked} SELECT place.position, place.id, place.build, attempt.chroot, place.owner,
                project.name AS project, package.name AS package, place.is_background,
                build.submitted_at, place.queued_at, attempt.waiting_reason
            FROM (
                SELECT ranked.*, row_number() OVER ({IN_ORDER}) AS position FROM ranked
                WHERE state = 'waiting' {IN_ORDER} LIMIT $1 OFFSET $2
            ) AS place
            JOIN attempt ON attempt.id = place.id
            JOIN build ON build.id = place.build
            JOIN project ON project.id = build.project
            LEFT JOIN package ON package.id = build.package
            ORDER BY place.position"
        );
        self.read(|tx| async move {
            let values = [number(page.limit()), number(page.offset())];
            let rows = EntryRow::find_by_statement(statement(&tx, sql, values))
                .all(&*tx)
                .await?;
            Ok(QueuePage {
                total: length(&tx).await?,
                entries: readable(rows.into_iter().map(entry)).collect(),
            })
        })
        .await
    }

    /// The places in the queue, from 1, of the chroots of a build that wait.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn queue_positions(&self, build: BuildId) -> Result<BTreeMap<ChrootName, u64>> {
        let ranked = ranked(", chroot");
        let sql = &format!(
            "{ranked} SELECT chroot, position FROM (
                SELECT build, chroot, row_number() OVER ({IN_ORDER}) AS position FROM ranked WHERE state = 'waiting'
            ) AS place WHERE build = $1"
        );
        let rows = self
            .read(|tx| async move { Ok(tx.query_all_raw(statement(&tx, sql, [build.0.into()])).await?) })
            .await?;
        let mut positions = BTreeMap::new();
        for row in rows {
            let parsed = (row.try_get_by_index::<String>(0), row.try_get_by_index::<i64>(1));
            if let (Ok(chroot), Ok(position)) = parsed {
                let chroot = Row::new("attempt", &build).parse("chroot", &chroot)?;
                positions.insert(chroot, position.unsigned_abs());
            }
        }
        Ok(positions)
    }

    /// How many builders, builds and attempts there are that are not over.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`]. What cannot be read is left out.
    pub async fn counts(&self) -> Result<FarmCounts> {
        self.read(|tx| async move {
            let builders =
                "SELECT pool, state, count(*) FROM builder WHERE ended_at IS NULL GROUP BY pool, state";
            let live = BuildState::ALL.into_iter().filter(|state| !state.is_final());
            let words: Vec<String> = live.map(|state| format!("'{state}'")).collect();
            let builds = format!(
                "SELECT state, count(*) FROM build WHERE state IN ({}) GROUP BY state",
                words.join(", ")
            );
            let mut counts = FarmCounts {
                waiting: length(&tx).await?,
                ..FarmCounts::default()
            };
            for row in tx.query_all_raw(statement(&tx, builders, [])).await? {
                let (pool, state): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                let count: i64 = row.try_get_by_index(2)?;
                let at = Row::new("builder", &pool);
                let key = at
                    .parse::<PoolName>("pool", &pool)
                    .and_then(|name| Ok((name, at.parse("state", &state)?)));
                counts
                    .builders
                    .extend(readable(std::iter::once(key)).map(|key| (key, count.unsigned_abs())));
            }
            for row in tx.query_all_raw(statement(&tx, &builds, [])).await? {
                let (state, count): (String, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
                let state = Row::new("build", &state).parse("state", &state)?;
                counts.builds.insert(state, count.unsigned_abs());
            }
            Ok(counts)
        })
        .await
    }

    /// Writes down why attempts wait, where that differs from what `cache` knows, which then knows it: in pieces, each a short
    /// transaction that locks nothing but the attempts, so that the lease can be renewed and taken meanwhile.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn set_waits(&self, lease: &Lease, cache: &mut FleetCache, waits: &[Wait]) -> Result<()> {
        for (text, ids) in changes(&cache.queue, waits) {
            let stored = reason(&text);
            let stored = stored.as_str();
            for some in ids.chunks(REASONS_AT_ONCE) {
                self.write(|tx| async move {
                    check_lease_unlocked(&tx, lease).await?;
                    attempt::Entity::update_many()
                        .col_expr(attempt::Column::WaitingReason, Expr::value(Some(stored)))
                        .filter(attempt::Column::Id.is_in(some.iter().copied()))
                        .filter(attempt::Column::State.eq(AttemptState::Waiting.as_str()))
                        .exec(&*tx)
                        .await?;
                    Ok(())
                })
                .await?;
            }
            cache.queue.note(&text, &ids);
        }
        Ok(())
    }
}

/// The attempts by their new reasons, in the order of their ids, so that two who write them do not wait for each other in a
/// circle.
fn changes(cache: &QueueCache, waits: &[Wait]) -> BTreeMap<Arc<str>, Vec<Uuid>> {
    let mut changed: BTreeMap<Arc<str>, Vec<Uuid>> = BTreeMap::new();
    for wait in waits {
        if cache.reason(wait.attempt) != Some(&*wait.reason) {
            changed
                .entry(Arc::clone(&wait.reason))
                .or_default()
                .push(wait.attempt.0);
        }
    }
    for ids in changed.values_mut() {
        ids.sort_unstable();
    }
    changed
}
