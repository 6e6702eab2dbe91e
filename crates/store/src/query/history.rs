//! Taking away what is over: the rows of deleted projects, and what ended long ago. Always in pieces, each a short transaction,
//! so that nobody else waits for long, and so that whoever comes next goes on where a process was killed.

use model::{ProjectId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Statement, Value,
};

use super::{consoles, events::Entry, hooks};
use crate::{
    Page,
    database::{Store, Tx},
    entity::{
        allocation, build, builder, event, intent, launch_attempt, package, project, project_chroot,
        repository, signing_key, snapshot,
    },
    error::{Result, TxError},
};

/// How many builds one piece takes away, each with its chroots, attempts, allocations and packages.
const BUILDS_AT_ONCE: u64 = 50;
/// How many rows of other kinds one piece takes away.
const ROWS_AT_ONCE: u64 = 500;

/// Deletes the rows of a table that have these ids; how many ids those are, also where somebody else has just deleted a row.
async fn delete<E, K>(tx: &Tx, column: E::Column, ids: Vec<K>) -> Result<u64, TxError>
where
    E: EntityTrait,
    K: Into<Value>,
{
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    if count > 0 {
        E::delete_many().filter(column.is_in(ids)).exec(&**tx).await?;
    }
    Ok(count)
}

/// Takes away one piece of a deleted project; whether there was one.
async fn clear_a_piece(tx: &Tx, id: ProjectId) -> Result<bool, TxError> {
    let builds: Vec<i64> = build::Entity::find()
        .select_only()
        .column(build::Column::Id)
        .filter(build::Column::Project.eq(id.0))
        .order_by_asc(build::Column::Id)
        .limit(BUILDS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    if delete::<build::Entity, _>(tx, build::Column::Id, builds).await? > 0 {
        return Ok(true);
    }
    let packages: Vec<i64> = package::Entity::find()
        .select_only()
        .column(package::Column::Id)
        .filter(package::Column::Project.eq(id.0))
        .order_by_asc(package::Column::Id)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    if delete::<package::Entity, _>(tx, package::Column::Id, packages).await? > 0 {
        return Ok(true);
    }
    // One repository at a time: its snapshots go with it, and how many these are is bounded.
    let repository = repository::Entity::find()
        .filter(repository::Column::Project.eq(id.0))
        .one(&**tx)
        .await?;
    if let Some(row) = repository {
        snapshot::Entity::delete_many()
            .filter(snapshot::Column::Project.eq(row.project))
            .filter(snapshot::Column::Directory.eq(row.directory.as_str()))
            .filter(snapshot::Column::Chroot.eq(row.chroot.as_str()))
            .exec(&**tx)
            .await?;
        repository::Entity::delete_by_id((row.project, row.directory, row.chroot))
            .exec(&**tx)
            .await?;
        return Ok(true);
    }
    project_chroot::Entity::delete_many()
        .filter(project_chroot::Column::Project.eq(id.0))
        .exec(&**tx)
        .await?;
    signing_key::Entity::delete_by_id(id.0).exec(&**tx).await?;
    Ok(false)
}

/// Takes away changes of the queue that every controller has seen; how many.
async fn prune_queue_changes(tx: &Tx) -> Result<u64, TxError> {
    let backend = tx.get_database_backend();
    // By the clock that they were written by: a controller looks at the whole queue anew long before they are this old.
    let hour_ago = match backend {
        DbBackend::Postgres => "extract(epoch FROM statement_timestamp()) * 1000000 - 3600000000",
        _ => "unixepoch('subsec') * 1000000 - 3600000000",
    };
    let sql = format!(
        "DELETE FROM queue_change WHERE id IN (
            SELECT id FROM queue_change WHERE changed_at < {hour_ago} ORDER BY changed_at LIMIT {ROWS_AT_ONCE}
        )"
    );
    let done = tx.execute_raw(Statement::from_string(backend, sql)).await?;
    Ok(done.rows_affected())
}

/// The oldest allocations that are over, by their numbers, which rise with time.
async fn old_allocations(tx: &Tx, before: i64) -> Result<Vec<i64>, TxError> {
    let oldest: Vec<(i64, i64)> = allocation::Entity::find()
        .select_only()
        .columns([allocation::Column::Epoch, allocation::Column::EndedAt])
        .filter(allocation::Column::EndedAt.is_not_null())
        .order_by_asc(allocation::Column::Epoch)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(older(oldest, before))
}

/// Deleted projects of which nothing but their row was left before a moment. Until it is that old, it tells sweeps whose results
/// may be taken away.
async fn old_projects(tx: &Tx, before: i64) -> Result<Vec<i64>, TxError> {
    let cleared = project::Column::ClearedAt;
    Ok(project::Entity::find()
        .select_only()
        .column(project::Column::Id)
        .filter(cleared.is_not_null())
        .filter(cleared.lt(before))
        .order_by_asc(cleared)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?)
}

/// The oldest events, by their numbers, which rise with time.
async fn old_events(tx: &Tx, before: i64) -> Result<Vec<i64>, TxError> {
    let oldest: Vec<(i64, i64)> = event::Entity::find()
        .select_only()
        .columns([event::Column::Id, event::Column::At])
        .order_by_asc(event::Column::Id)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(older(oldest, before))
}

fn older(rows: Vec<(i64, i64)>, before: i64) -> Vec<i64> {
    rows.into_iter()
        .filter(|(_, at)| *at < before)
        .map(|(id, _)| id)
        .collect()
}

/// Takes away intents from which nothing follows any more; how many.
async fn prune_intents(tx: &Tx, before: i64) -> Result<u64, TxError> {
    let ended: Vec<(uuid::Uuid, String)> = intent::Entity::find()
        .select_only()
        .columns([intent::Column::Fleet, intent::Column::Key])
        .filter(intent::Column::EndedAt.lt(before))
        .order_by_asc(intent::Column::EndedAt)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    for id in &ended {
        intent::Entity::delete_by_id(id.clone()).exec(&**tx).await?;
    }
    Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
}

/// Takes away builders that ended, with their launches, hooks, consoles and allocations; how many builders.
async fn prune_builders(tx: &Tx, before: i64) -> Result<u64, TxError> {
    let ids: Vec<uuid::Uuid> = builder::Entity::find()
        .select_only()
        .column(builder::Column::Id)
        .filter(builder::Column::EndedAt.lt(before))
        .order_by_asc(builder::Column::EndedAt)
        .order_by_asc(builder::Column::Id)
        .limit(ROWS_AT_ONCE)
        .into_tuple()
        .all(&**tx)
        .await?;
    delete::<launch_attempt::Entity, _>(tx, launch_attempt::Column::Builder, ids.clone()).await?;
    hooks::forget(tx, ids.clone()).await?;
    consoles::forget(tx, ids.clone()).await?;
    delete::<allocation::Entity, _>(tx, allocation::Column::Builder, ids.clone()).await?;
    delete::<builder::Entity, _>(tx, builder::Column::Id, ids).await
}

impl Store {
    /// Projects that are deleted and of which rows are left, those deleted first before others.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn projects_to_clear(&self) -> Result<Vec<ProjectId>> {
        let ids: Vec<i64> = self
            .read(|tx| async move {
                Ok(project::Entity::find()
                    .select_only()
                    .column(project::Column::Id)
                    .filter(project::Column::DeletedAt.is_not_null())
                    .filter(project::Column::ClearedAt.is_null())
                    .order_by_asc(project::Column::DeletedAt)
                    .order_by_asc(project::Column::Id)
                    .limit(Page::LONGEST)
                    .into_tuple()
                    .all(&*tx)
                    .await?)
            })
            .await?;
        Ok(ids.into_iter().map(ProjectId).collect())
    }

    /// Takes away one piece of what a deleted project left: some of its builds, packages or repositories, and last of all its
    /// signing key. Whether there is more to take away. A project that is not deleted is left alone.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn clear_project(&self, id: ProjectId, now: Timestamp) -> Result<bool> {
        self.write(|tx| async move {
            // Locked, so that of two who clear it one does so at a time.
            let is_to_be_cleared = project::Entity::find_by_id(id.0)
                .filter(project::Column::DeletedAt.is_not_null())
                .filter(project::Column::ClearedAt.is_null())
                .lock_exclusive()
                .one(&*tx)
                .await?
                .is_some();
            if !is_to_be_cleared {
                return Ok(false);
            }
            if clear_a_piece(&tx, id).await? {
                return Ok(true);
            }
            project::Entity::update_many()
                .set(project::ActiveModel {
                    cleared_at: Set(Some(now.as_micros())),
                    ..Default::default()
                })
                .filter(project::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            Entry::new("project", id, "worker", "the last of its builds is gone").write(&tx, now);
            Ok(false)
        })
        .await
    }

    /// Takes away one piece of what ended, or happened, before a moment: allocations, builders with their launches, hooks and consoles, the rows of
    /// deleted projects of which nothing else is left, intents, events; and of
    /// the queue's changes of more than an hour ago.
    /// How many rows that were; none when there is no more.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn prune(&self, before: Timestamp) -> Result<u64> {
        let before = before.as_micros();
        self.write(|tx| async move {
            let changes = prune_queue_changes(&tx).await?;
            if changes > 0 {
                return Ok(changes);
            }
            let epochs = old_allocations(&tx, before).await?;
            let allocations = delete::<allocation::Entity, _>(&tx, allocation::Column::Epoch, epochs).await?;
            if allocations > 0 {
                return Ok(allocations);
            }
            let builders = prune_builders(&tx, before).await?;
            if builders > 0 {
                return Ok(builders);
            }
            let projects = old_projects(&tx, before).await?;
            let projects = delete::<project::Entity, _>(&tx, project::Column::Id, projects).await?;
            if projects > 0 {
                return Ok(projects);
            }
            let intents = prune_intents(&tx, before).await?;
            if intents > 0 {
                return Ok(intents);
            }
            let ids = old_events(&tx, before).await?;
            delete::<event::Entity, _>(&tx, event::Column::Id, ids).await
        })
        .await
    }
}
