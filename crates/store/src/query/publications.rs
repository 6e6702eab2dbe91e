//! Publications. A repository's row counts how often it was wanted anew and up to which of these wishes it
//! is published; whoever makes results or deletes a build raises the first number in the same transaction,
//! so that no wish is lost whatever a worker that publishes does.

use std::{collections::BTreeSet, time::Duration};

use model::{AttemptId, AttemptState, BuildId, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    allocations::actor,
    events::Entry,
    joins::{attempt_to_build, repository_to_project},
    projects::live,
    repositories::{matches_key, places, repository_label},
    snapshots::snapshot_row,
    verdict::{End, end, lock_build},
};
use crate::{
    Page, RepositoryKey, RepositoryPlace, SnapshotRecord,
    convert::{Row, reason, to_number},
    database::{Store, Tx},
    entity::{attempt, build, project, repository, snapshot},
    error::{Error, Result, TxError},
};

/// How long a publication may go on without a sign of life before another worker may begin one.
const LEASE: Duration = Duration::from_secs(60);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many attempts succeed in one transaction, which locks the build of each.
const ATTEMPTS_AT_ONCE: usize = 100;

fn pause_after(failures: i64) -> Duration {
    let doubled = u32::try_from(failures)
        .ok()
        .and_then(|failures| 1_u64.checked_shl(failures));
    Duration::from_secs(doubled.unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

/// Out of date, not being published, and not in a pause after a failure.
fn is_due(now: Timestamp) -> Condition {
    let column = |column: repository::Column| Expr::col((repository::Entity, column));
    Condition::all()
        .add(column(repository::Column::Published).lt(column(repository::Column::Wanted)))
        .add(
            Condition::any()
                .add(repository::Column::NotBefore.is_null())
                .add(repository::Column::NotBefore.lte(now.as_micros())),
        )
        .add(
            Condition::any()
                .add(repository::Column::LeaseAt.is_null())
                .add(repository::Column::LeaseAt.lt(now.minus(LEASE).as_micros())),
        )
}

/// The lease of a publication under way.
fn is_held(key: RepositoryKey<'_>, number: u64, worker: &str) -> Result<Condition> {
    Ok(matches_key(key)
        .add(repository::Column::LeaseNumber.eq(to_number("number", number)?))
        .add(repository::Column::LeaseWorker.eq(worker)))
}

fn lease_lost(key: RepositoryKey<'_>, number: u64, worker: &str) -> TxError {
    let what = format!(
        "publication {number} of {} is not, or no longer, {worker}'s",
        repository_label(key)
    );
    Error::conflict(what).into()
}

/// Which of these attempts have results that wait to be visible in a repository.
async fn waiting_among(
    tx: &Tx,
    RepositoryKey {
        project,
        directory,
        chroot,
    }: RepositoryKey<'_>,
    attempts: &[AttemptId],
) -> Result<BTreeSet<Uuid>, TxError> {
    let found: Vec<Uuid> = attempt::Entity::find()
        .select_only()
        .column(attempt::Column::Id)
        .join(JoinType::InnerJoin, attempt_to_build())
        .filter(attempt::Column::Id.is_in(attempts.iter().map(|id| id.0)))
        .filter(build::Column::Project.eq(project.0))
        .filter(build::Column::Directory.eq(directory.as_str()))
        .filter(attempt::Column::Chroot.eq(chroot.as_str()))
        .filter(attempt::Column::State.eq(AttemptState::Publishing.as_str()))
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(found.into_iter().collect())
}

/// The attempts in a written snapshot succeeded.
async fn succeed(
    tx: &Tx,
    key: RepositoryKey<'_>,
    (number, worker): (u64, &str),
    attempts: &[AttemptId],
    now: Timestamp,
) -> Result<repository::Model, TxError> {
    if attempts.is_empty() {
        return lease(tx, key, number, worker).await;
    }
    let rows = lock_all(tx, attempts).await?;
    let row = lease(tx, key, number, worker).await?;
    let waiting = waiting_among(tx, key, attempts).await?;
    if let Some(id) = attempts.iter().find(|id| !waiting.contains(&id.0)) {
        let what = format!(
            "attempt {id} does not wait for a publication of {}",
            repository_label(key)
        );
        return Err(Error::conflict(what).into());
    }
    let why = format!("published in snapshot {number}");
    for attempt in rows {
        let success = End::new(AttemptState::Succeeded, None, &why);
        end(tx, &attempt, success, (&actor(worker), now)).await?;
    }
    Ok(row)
}

/// Gives a publication's lease back, with what else there is to say.
async fn release(
    tx: &Tx,
    key: RepositoryKey<'_>,
    (number, worker): (u64, &str),
    columns: repository::ActiveModel,
) -> Result<(), TxError> {
    let updated = repository::Entity::update_many()
        .set(repository::ActiveModel {
            lease_worker: Set(None),
            lease_number: Set(None),
            lease_wanted: Set(None),
            lease_at: Set(None),
            ..columns
        })
        .filter(is_held(key, number, worker)?)
        .exec(&**tx)
        .await?;
    if updated.rows_affected != 1 {
        return Err(lease_lost(key, number, worker));
    }
    Ok(())
}

async fn lease(
    tx: &Tx,
    key: RepositoryKey<'_>,
    number: u64,
    worker: &str,
) -> Result<repository::Model, TxError> {
    repository::Entity::find()
        .filter(Expr::cust(
            "(SELECT project.deleted_at FROM project WHERE project.id = repository.project) IS NULL",
        ))
        .filter(is_held(key, number, worker)?)
        .lock_exclusive()
        .one(&**tx)
        .await?
        .ok_or_else(|| lease_lost(key, number, worker))
}

/// Locks the builds of attempts, in the order of their ids, and answers the attempts as they are then.
async fn lock_all(tx: &Tx, ids: &[AttemptId]) -> Result<Vec<attempt::Model>, TxError> {
    let condition = || attempt::Column::Id.is_in(ids.iter().map(|id| id.0));
    let rows = attempt::Entity::find().filter(condition()).all(&**tx).await?;
    let builds: BTreeSet<i64> = rows.iter().map(|row| row.build).collect();
    for build in builds {
        lock_build(tx, BuildId(build)).await?;
    }
    Ok(attempt::Entity::find().filter(condition()).all(&**tx).await?)
}

impl Store {
    /// Repositories that are out of date and that nobody publishes: the oldest wish first, whosever it is. One that failed
    /// stands where its pause ends.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn publishable(&self, limit: u64, now: Timestamp) -> Result<Vec<RepositoryPlace>> {
        self.read(|tx| async move {
            let rows = repository::Entity::find()
                .join(JoinType::InnerJoin, repository_to_project())
                .filter(project::Column::DeletedAt.is_null())
                .filter(is_due(now))
                .order_by_asc(repository::Column::WantedAt)
                .limit(Page::bounded(limit))
                .all(&*tx)
                .await?;
            places(&tx, rows).await
        })
        .await
    }

    /// Begins to publish a repository: takes its lease, which is lost 60 seconds after it was taken or renewed, and answers
    /// the number of the snapshot to write. What shall be in it, [`Store::publication`] tells. `None` when another worker
    /// publishes it, or there is no need, or it is in a pause after a failure.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such repository.
    pub async fn begin_publication(
        &self,
        key: RepositoryKey<'_>,
        worker: &str,
        now: Timestamp,
    ) -> Result<Option<u64>> {
        self.write(|tx| async move {
            live(&tx, key.project).await?;
            let row = repository::Entity::find()
                .filter(matches_key(key))
                .lock_exclusive()
                .one(&*tx)
                .await?;
            let row = row.ok_or_else(|| Error::not_found(repository_label(key)))?;
            let updated = repository::Entity::update_many()
                .set(repository::ActiveModel {
                    lease_worker: Set(Some(worker.to_owned())),
                    lease_number: Set(Some(row.next_number)),
                    lease_wanted: Set(Some(row.wanted)),
                    lease_at: Set(Some(now.as_micros())),
                    next_number: Set(row.next_number.saturating_add(1)),
                    ..Default::default()
                })
                .filter(matches_key(key))
                .filter(is_due(now))
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Ok(None);
            }
            let label = repository_label(key);
            let number = Row::new("repository", &label).number("next_number", row.next_number)?;
            Ok(Some(number))
        })
        .await
    }

    /// A sign of life of a worker that publishes.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the publication is no longer the worker's, which has to stop then.
    pub async fn renew_publication(
        &self,
        key: RepositoryKey<'_>,
        number: u64,
        worker: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let updated = repository::Entity::update_many()
                .col_expr(repository::Column::LeaseAt, Expr::value(Some(now.as_micros())))
                .filter(is_held(key, number, worker)?)
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Err(lease_lost(key, number, worker));
            }
            Ok(())
        })
        .await
    }

    /// Gives up all that a worker of this name publishes: for a worker that was started again.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn give_up_publications(&self, worker: &str) -> Result<()> {
        self.write(|tx| async move {
            repository::Entity::update_many()
                .set(repository::ActiveModel {
                    lease_worker: Set(None),
                    lease_number: Set(None),
                    lease_wanted: Set(None),
                    lease_at: Set(None),
                    ..Default::default()
                })
                .filter(repository::Column::LeaseWorker.eq(worker))
                .exec(&*tx)
                .await?;
            Ok(())
        })
        .await
    }

    /// A publication worked: its snapshot is visible, and the attempts in it succeeded. Many attempts take several
    /// transactions; of a call that fails in between, some have succeeded, and the next publication finishes the others.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the publication is no longer the worker's, or one of the attempts is not
    /// waiting for it.
    pub async fn finish_publication(
        &self,
        key: RepositoryKey<'_>,
        record: &SnapshotRecord,
        worker: &str,
        attempts: &[AttemptId],
        now: Timestamp,
    ) -> Result<()> {
        let mine = (record.number, worker);
        let mut left = attempts;
        while let Some((some, rest)) = left
            .split_at_checked(ATTEMPTS_AT_ONCE)
            .filter(|(_, rest)| !rest.is_empty())
        {
            self.write(|tx| async move { succeed(&tx, key, mine, some, now).await.map(drop) })
                .await?;
            left = rest;
        }
        self.write(|tx| async move {
            let row = succeed(&tx, key, mine, left, now).await?;
            let columns = repository::ActiveModel {
                published: Set(row.lease_wanted.unwrap_or(row.published)),
                failures: Set(0),
                failure: Set(None),
                not_before: Set(None),
                ..Default::default()
            };
            release(&tx, key, mine, columns).await?;
            snapshot::Entity::insert(snapshot_row(key, record, now)?)
                .exec_without_returning(&*tx)
                .await?;
            let why = format!("published in snapshot {}", record.number);
            Entry::new("repository", repository_label(key), &actor(worker), &why)
                .detail(
                    serde_json::json!({"attempts": attempts.len(), "repomd_sha256": record.repomd_sha256}),
                )
                .write(&tx, now);
            Ok(())
        })
        .await
    }

    /// A publication failed; another is due after a pause that doubles with each failure in a row.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the publication is no longer the worker's.
    pub async fn fail_publication(
        &self,
        key: RepositoryKey<'_>,
        number: u64,
        worker: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let row = lease(&tx, key, number, worker).await?;
            let not_before = now.plus(pause_after(row.failures)).as_micros();
            let columns = repository::ActiveModel {
                failures: Set(row.failures.saturating_add(1)),
                failure: Set(Some(reason(why))),
                not_before: Set(Some(not_before)),
                // Behind those that wait by then: one that fails again and again is not served before others.
                wanted_at: Set(not_before),
                ..Default::default()
            };
            release(&tx, key, (number, worker), columns).await?;
            let why = format!("publication {number} failed: {why}");
            Entry::new("repository", repository_label(key), &actor(worker), &why).write(&tx, now);
            Ok(())
        })
        .await
    }
}
