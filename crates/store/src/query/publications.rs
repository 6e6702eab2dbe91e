//! Publications. A repository's row counts how often it was wanted anew and up to which of these wishes it
//! is published; whoever makes results or deletes a build raises the first number in the same transaction,
//! so that no wish is lost whatever a worker that publishes does.

use std::{collections::BTreeSet, time::Duration};

use model::{AttemptId, AttemptState, BuildId, ChrootName, DirectoryName, ProjectId, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    allocations::actor,
    builds::built_package,
    events::Entry,
    joins::{attempt_to_build, package_to_attempt},
    projects::projects_of,
    verdict::{End, end, lock_build},
};
use crate::{
    Page, Project, Publication, PublishedPackage, PublishedSnapshot, RepositoryKey, SnapshotRecord,
    convert::{Row, reason, to_number},
    database::{Store, Tx},
    entity::{attempt, build, collected_package, project, repository, snapshot},
    error::{Error, Failure, Result},
};

/// How long a publication may go on without a sign of life before another worker may begin one.
const LEASE: Duration = Duration::from_secs(60);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

fn pause_after(failures: i64) -> Duration {
    let doubled = u32::try_from(failures)
        .ok()
        .and_then(|failures| 1_u64.checked_shl(failures));
    Duration::from_secs(doubled.unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

fn name((project, directory, chroot): RepositoryKey<'_>) -> String {
    format!("repository {project}/{directory}/{chroot}")
}

fn is(key: RepositoryKey<'_>) -> Condition {
    let (project, directory, chroot) = key;
    Condition::all()
        .add(repository::Column::Project.eq(project.0))
        .add(repository::Column::Directory.eq(directory.as_str()))
        .add(repository::Column::Chroot.eq(chroot.as_str()))
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
    Ok(is(key)
        .add(repository::Column::LeaseNumber.eq(to_number("number", number)?))
        .add(repository::Column::LeaseWorker.eq(worker)))
}

fn lost(key: RepositoryKey<'_>, number: u64, worker: &str) -> Failure {
    let what = format!(
        "publication {number} of {} is not, or no longer, {worker}'s",
        name(key)
    );
    Error::conflict(what).into()
}

/// The attempts in a state whose results belong into a repository.
async fn attempts_in(
    tx: &Tx,
    (project, directory, chroot): RepositoryKey<'_>,
    state: AttemptState,
) -> Result<Vec<attempt::Model>, Failure> {
    Ok(attempt::Entity::find()
        .join(JoinType::InnerJoin, attempt_to_build())
        .filter(build::Column::Project.eq(project.0))
        .filter(build::Column::Directory.eq(directory.as_str()))
        .filter(attempt::Column::Chroot.eq(chroot.as_str()))
        .filter(attempt::Column::State.eq(state.as_str()))
        .order_by_asc(attempt::Column::Build)
        .all(&**tx)
        .await?)
}

async fn packages_of(tx: &Tx, key: RepositoryKey<'_>) -> Result<Vec<PublishedPackage>, Failure> {
    let (project, directory, chroot) = key;
    let visible = [AttemptState::Publishing, AttemptState::Succeeded].map(AttemptState::as_str);
    let rows = collected_package::Entity::find()
        .join(JoinType::InnerJoin, package_to_attempt())
        .join(JoinType::InnerJoin, attempt_to_build())
        .filter(build::Column::Project.eq(project.0))
        .filter(build::Column::Directory.eq(directory.as_str()))
        .filter(attempt::Column::Chroot.eq(chroot.as_str()))
        .filter(attempt::Column::State.is_in(visible))
        .select_also(attempt::Entity)
        .order_by_asc(attempt::Column::Build)
        .order_by_asc(collected_package::Column::FileName)
        .all(&**tx)
        .await?;
    rows.into_iter()
        .filter_map(|(package, attempt)| Some((package, attempt?)))
        .map(|(row, attempt)| {
            let id = AttemptId(attempt.id);
            let result_directory = attempt
                .result_directory
                .ok_or_else(|| Error::corrupt("attempt", id, "column result_directory: it is not set"))?;
            Ok(PublishedPackage {
                attempt: id,
                result_directory,
                file_name: row.file_name.clone(),
                sha256: row.sha256.clone(),
                size: Row::new("collected_package", &id).number("size", row.size)?,
                is_source: row.is_source,
                metadata_json: row.metadata_json.clone(),
                package: built_package(row),
            })
        })
        .collect()
}

/// Gives a publication's lease back, with what else there is to say.
async fn release(
    tx: &Tx,
    key: RepositoryKey<'_>,
    (number, worker): (u64, &str),
    columns: repository::ActiveModel,
) -> Result<(), Failure> {
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
        return Err(lost(key, number, worker));
    }
    Ok(())
}

async fn lease(
    tx: &Tx,
    key: RepositoryKey<'_>,
    number: u64,
    worker: &str,
) -> Result<repository::Model, Failure> {
    repository::Entity::find()
        .filter(is_held(key, number, worker)?)
        .lock_exclusive()
        .one(&**tx)
        .await?
        .ok_or_else(|| lost(key, number, worker))
}

/// Locks the builds of attempts, in the order of their ids, and answers the attempts as they are then.
async fn lock_all(tx: &Tx, ids: &[AttemptId]) -> Result<Vec<attempt::Model>, Failure> {
    let condition = || attempt::Column::Id.is_in(ids.iter().map(|id| id.0));
    let rows = attempt::Entity::find().filter(condition()).all(&**tx).await?;
    let builds: BTreeSet<i64> = rows.iter().map(|row| row.build).collect();
    for build in builds {
        lock_build(tx, BuildId(build)).await?;
    }
    Ok(attempt::Entity::find().filter(condition()).all(&**tx).await?)
}

impl Store {
    /// Repositories that are out of date and that nobody publishes.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn publishable(
        &self,
        limit: u64,
        now: Timestamp,
    ) -> Result<Vec<(Project, DirectoryName, ChrootName)>> {
        self.repositories(is_due(now), limit).await
    }

    async fn repositories(
        &self,
        condition: Condition,
        limit: u64,
    ) -> Result<Vec<(Project, DirectoryName, ChrootName)>> {
        let condition = &condition;
        self.read(|tx| async move {
            let rows = repository::Entity::find()
                .filter(condition.clone())
                .order_by_asc(repository::Column::LeaseAt)
                .order_by_asc(repository::Column::Project)
                .order_by_asc(repository::Column::Directory)
                .order_by_asc(repository::Column::Chroot)
                .limit(Page::bounded(limit))
                .all(&*tx)
                .await?;
            let ids: BTreeSet<i64> = rows.iter().map(|row| row.project).collect();
            let projects = project::Entity::find()
                .filter(project::Column::Id.is_in(ids))
                .all(&*tx)
                .await?;
            let projects = projects_of(&tx, projects).await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in rows {
                let id = format!("{}/{}/{}", row.project, row.directory, row.chroot);
                let at = Row::new("repository", &id);
                let project = projects.iter().find(|project| project.id.0 == row.project);
                let project =
                    project.ok_or_else(|| Error::corrupt("repository", &id, "its project is gone"))?;
                let (directory, chroot) = (
                    at.parse("directory", &row.directory)?,
                    at.parse("chroot", &row.chroot)?,
                );
                found.push((project.clone(), directory, chroot));
            }
            Ok(found)
        })
        .await
    }

    /// Begins to publish a repository: takes its lease and answers all that it shall hold. `None` when
    /// another worker publishes it, or there is no need, or it is in a pause after a failure.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such repository.
    pub async fn begin_publication(
        &self,
        project: ProjectId,
        directory: &DirectoryName,
        chroot: &ChrootName,
        worker: &str,
        now: Timestamp,
    ) -> Result<Option<Publication>> {
        let key = (project, directory, chroot);
        self.write(|tx| async move {
            let row = repository::Entity::find()
                .filter(is(key))
                .lock_exclusive()
                .one(&*tx)
                .await?;
            let row = row.ok_or_else(|| Error::not_found(name(key)))?;
            let updated = repository::Entity::update_many()
                .set(repository::ActiveModel {
                    lease_worker: Set(Some(worker.to_owned())),
                    lease_number: Set(Some(row.next_number)),
                    lease_wanted: Set(Some(row.wanted)),
                    lease_at: Set(Some(now.as_micros())),
                    next_number: Set(row.next_number.saturating_add(1)),
                    ..Default::default()
                })
                .filter(is(key))
                .filter(is_due(now))
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Ok(None);
            }
            let attempts = attempts_in(&tx, key, AttemptState::Publishing).await?;
            Ok(Some(Publication {
                number: Row::new("repository", &name(key)).number("next_number", row.next_number)?,
                attempts: attempts.into_iter().map(|row| AttemptId(row.id)).collect(),
                packages: packages_of(&tx, key).await?,
            }))
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
                return Err(lost(key, number, worker));
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

    /// A publication worked: its snapshot is visible, and the attempts in it succeeded.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the publication is no longer the worker's, or one of the attempts is not
    /// waiting for it: nothing is changed then.
    pub async fn finish_publication(
        &self,
        key: RepositoryKey<'_>,
        record: &SnapshotRecord,
        worker: &str,
        attempts: &[AttemptId],
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let rows = lock_all(&tx, attempts).await?;
            let row = lease(&tx, key, record.number, worker).await?;
            let waiting = attempts_in(&tx, key, AttemptState::Publishing).await?;
            let waiting: BTreeSet<Uuid> = waiting.into_iter().map(|row| row.id).collect();
            if let Some(id) = attempts.iter().find(|id| !waiting.contains(&id.0)) {
                let what = format!("attempt {id} does not wait for a publication of {}", name(key));
                return Err(Error::conflict(what).into());
            }
            let actor = actor(worker);
            let why = format!("published in snapshot {}", record.number);
            for row in rows {
                end(
                    &tx,
                    &row,
                    End::new(AttemptState::Succeeded, None, &why),
                    (&actor, now),
                )
                .await?;
            }
            let columns = repository::ActiveModel {
                published: Set(row.lease_wanted.unwrap_or(row.published)),
                failures: Set(0),
                failure: Set(None),
                not_before: Set(None),
                ..Default::default()
            };
            release(&tx, key, (record.number, worker), columns).await?;
            snapshot::Entity::insert(snapshot::ActiveModel {
                project: Set(row.project),
                directory: Set(row.directory),
                chroot: Set(row.chroot),
                number: Set(to_number("number", record.number)?),
                revision: Set(record.revision.clone()),
                repomd_sha256: Set(record.repomd_sha256.clone()),
                at: Set(now.as_micros()),
            })
            .exec_without_returning(&*tx)
            .await?;
            Entry::new("repository", name(key), &actor, &why)
                .detail(serde_json::json!({"attempts": attempts, "repomd_sha256": record.repomd_sha256}))
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
            let pause = pause_after(row.failures);
            let columns = repository::ActiveModel {
                failures: Set(row.failures.saturating_add(1)),
                failure: Set(Some(reason(why))),
                not_before: Set(Some(now.plus(pause).as_micros())),
                ..Default::default()
            };
            release(&tx, key, (number, worker), columns).await?;
            let why = format!("publication {number} failed: {why}");
            Entry::new("repository", name(key), &actor(worker), &why).write(&tx, now);
            Ok(())
        })
        .await
    }

    /// Has the next publications of a repository a number above `highest`: snapshots up to it are on the disk already.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn number_publications_after(&self, key: RepositoryKey<'_>, highest: u64) -> Result<()> {
        let next = i64::try_from(highest).unwrap_or(i64::MAX).saturating_add(1);
        self.write(|tx| async move {
            let columns = repository::ActiveModel {
                next_number: Set(next),
                ..Default::default()
            };
            let behind = is(key).add(repository::Column::NextNumber.lt(next));
            let update = repository::Entity::update_many().set(columns);
            update.filter(behind).exec(&*tx).await?;
            Ok(())
        })
        .await
    }

    /// Whether a repository has been published at all: a new one has not for a moment.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn is_published(&self, key: RepositoryKey<'_>) -> Result<bool> {
        self.read(|tx| async move {
            let published = repository::Entity::find()
                .filter(is(key))
                .filter(repository::Column::Published.gt(0))
                .one(&*tx)
                .await?;
            Ok(published.is_some())
        })
        .await
    }

    /// The snapshots of a repository, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn snapshots(&self, key: RepositoryKey<'_>) -> Result<Vec<PublishedSnapshot>> {
        let (project, directory, chroot) = key;
        let rows = self
            .read(|tx| async move {
                Ok(snapshot::Entity::find()
                    .filter(snapshot::Column::Project.eq(project.0))
                    .filter(snapshot::Column::Directory.eq(directory.as_str()))
                    .filter(snapshot::Column::Chroot.eq(chroot.as_str()))
                    .order_by_asc(snapshot::Column::Number)
                    .all(&*tx)
                    .await?)
            })
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PublishedSnapshot {
                    record: SnapshotRecord {
                        number: Row::new("snapshot", &name(key)).number("number", row.number)?,
                        revision: row.revision,
                        repomd_sha256: row.repomd_sha256,
                    },
                    at: Timestamp::from_micros(row.at),
                })
            })
            .collect()
    }
}
