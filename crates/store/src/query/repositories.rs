//! The rows of repositories: how one is found, and the wishes that it be published anew.

use std::collections::{BTreeMap, BTreeSet};

use model::{ProjectId, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{CaseStatement, Expr, ExprTrait as _, Func, OnConflict, SimpleExpr},
};

use super::joins::repository_to_project;
use crate::{
    Page, RepositoryKey, RepositoryPlace,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::{project, repository},
    error::{Error, Result, TxError},
};

/// A repository's name in messages.
pub(super) fn repository_label(
    RepositoryKey {
        project,
        directory,
        chroot,
    }: RepositoryKey<'_>,
) -> String {
    format!("repository {project}/{directory}/{chroot}")
}

/// The condition that a row is that of a repository.
pub(super) fn matches_key(key: RepositoryKey<'_>) -> Condition {
    let RepositoryKey {
        project,
        directory,
        chroot,
    } = key;
    Condition::all()
        .add(repository::Column::Project.eq(project.0))
        .add(repository::Column::Directory.eq(directory.as_str()))
        .add(repository::Column::Chroot.eq(chroot.as_str()))
}

/// When the oldest wish was made that no publication has taken up, if another one is made now.
fn oldest_wish(now: Timestamp) -> SimpleExpr {
    let column = |column| Expr::col((repository::Entity, column));
    let taken_up = Func::coalesce([
        column(repository::Column::LeaseWanted),
        column(repository::Column::Published),
    ]);
    let waits = column(repository::Column::Wanted).gt(taken_up);
    CaseStatement::new()
        .case(waits, column(repository::Column::WantedAt))
        .finally(Expr::value(now.as_micros()))
        .into()
}

/// Marks a repository as out of date, and makes its row when there is none.
pub(super) async fn want_publication(tx: &Tx, key: RepositoryKey<'_>, now: Timestamp) -> Result<(), TxError> {
    let RepositoryKey {
        project: ProjectId(project),
        directory,
        chroot,
    } = key;
    let wanted = repository::Column::Wanted;
    repository::Entity::insert(repository::ActiveModel {
        project: Set(project),
        directory: Set(directory.to_string()),
        chroot: Set(chroot.to_string()),
        wanted: Set(1),
        published: Set(0),
        next_number: Set(1),
        lease_worker: Set(None),
        lease_number: Set(None),
        lease_wanted: Set(None),
        lease_at: Set(None),
        failures: Set(0),
        failure: Set(None),
        not_before: Set(None),
        wanted_at: Set(now.as_micros()),
    })
    .on_conflict(
        OnConflict::columns([
            repository::Column::Project,
            repository::Column::Directory,
            repository::Column::Chroot,
        ])
        .value(wanted, Expr::col((repository::Entity, wanted)).add(1))
        .value(repository::Column::WantedAt, oldest_wish(now))
        .to_owned(),
    )
    .exec_without_returning(&**tx)
    .await?;
    Ok(())
}

/// Repositories with the owners of their projects. Rows that cannot be read are left out.
pub(super) async fn places(tx: &Tx, rows: Vec<repository::Model>) -> Result<Vec<RepositoryPlace>, TxError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: BTreeSet<i64> = rows.iter().map(|row| row.project).collect();
    let owners: Vec<(i64, String)> = project::Entity::find()
        .select_only()
        .columns([project::Column::Id, project::Column::Owner])
        .filter(project::Column::Id.is_in(ids))
        .into_tuple()
        .all(&**tx)
        .await?;
    let owners: BTreeMap<i64, String> = owners.into_iter().collect();
    let found = rows.into_iter().map(|row| {
        let id = format!("{}/{}/{}", row.project, row.directory, row.chroot);
        let at = Row::new("repository", &id);
        let owner = owners.get(&row.project);
        let owner = owner.ok_or_else(|| Error::corrupt("repository", &id, "its project is gone"))?;
        Ok(RepositoryPlace {
            project: ProjectId(row.project),
            owner: Row::new("project", &row.project).parse("owner", owner)?,
            directory: at.parse("directory", &row.directory)?,
            chroot: at.parse("chroot", &row.chroot)?,
        })
    });
    Ok(readable(found).collect())
}

impl Store {
    /// Has the next publications of a repository a number above `highest`: snapshots up to it are on the disk already.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn number_publications_after(&self, key: RepositoryKey<'_>, highest: u64) -> Result<()> {
        let next = i64::try_from(highest).unwrap_or(i64::MAX).saturating_add(1);
        self.write(|tx| async move {
            let columns = repository::ActiveModel {
                next_number: Set(next),
                ..Default::default()
            };
            let behind = matches_key(key).add(repository::Column::NextNumber.lt(next));
            let update = repository::Entity::update_many().set(columns);
            update.filter(behind).exec(&*tx).await?;
            Ok(())
        })
        .await
    }

    /// Repositories that have been published at all, in an order of their own, after the one that was answered last. Rows
    /// that cannot be read are left out.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn published_repositories(
        &self,
        after: Option<RepositoryKey<'_>>,
        limit: u64,
    ) -> Result<Vec<RepositoryPlace>> {
        use repository::Column::{Chroot, Directory, Project as Of, Published};
        self.read(|tx| async move {
            let mut query = repository::Entity::find()
                .join(JoinType::InnerJoin, repository_to_project())
                .filter(project::Column::DeletedAt.is_null())
                .filter(Published.gt(0));
            if let Some(RepositoryKey {
                project,
                directory,
                chroot,
            }) = after
            {
                let same_directory = Condition::all()
                    .add(Directory.eq(directory.as_str()))
                    .add(Chroot.gt(chroot.as_str()));
                let same_project = Condition::all().add(Of.eq(project.0)).add(
                    Condition::any()
                        .add(Directory.gt(directory.as_str()))
                        .add(same_directory),
                );
                query = query.filter(Condition::any().add(Of.gt(project.0)).add(same_project));
            }
            let rows = query
                .order_by_asc(Of)
                .order_by_asc(Directory)
                .order_by_asc(Chroot)
                .limit(Page::bounded(limit))
                .all(&*tx)
                .await?;
            places(&tx, rows).await
        })
        .await
    }

    /// Whether a repository has been published at all: a new one has not for a moment.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn is_published(&self, key: RepositoryKey<'_>) -> Result<bool> {
        self.read(|tx| async move {
            let published = repository::Entity::find()
                .filter(matches_key(key))
                .filter(repository::Column::Published.gt(0))
                .one(&*tx)
                .await?;
            Ok(published.is_some())
        })
        .await
    }
}
