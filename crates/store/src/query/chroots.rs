//! Chroots.

use model::{ChrootName, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::Query,
};

/// How many projects a refusal names.
const MOST_NAMED: u64 = 5;

use super::{events::Entry, users::named};
use crate::{
    Chroot,
    convert::{Row, check_text, or_conflict, to_json},
    database::{Store, Tx},
    entity::{attempt, chroot, project, project_chroot},
    error::{Error, Result, TxError},
};

fn chroot(row: chroot::Model) -> Result<Chroot> {
    let at = Row::new("chroot", &row.name);
    let (name, definition) = (
        at.parse("name", &row.name)?,
        at.json("definition", &row.definition)?,
    );
    Ok(Chroot {
        name,
        comment: row.comment,
        is_active: row.is_active,
        definition,
    })
}

fn columns(chroot: &Chroot, now: Timestamp) -> Result<chroot::ActiveModel> {
    check_text("comment", &chroot.comment)?;
    Ok(chroot::ActiveModel {
        name: NotSet,
        comment: Set(chroot.comment.clone()),
        is_active: Set(chroot.is_active),
        definition: Set(to_json("definition", &chroot.definition)?),
        created_at: NotSet,
        updated_at: Set(now.as_micros()),
    })
}

/// Every chroot, in the order in which they were made.
pub(super) async fn chroots_in(tx: &Tx) -> Result<Vec<Chroot>, TxError> {
    let mut rows = chroot::Entity::find().all(&**tx).await?;
    // Here, since PostgreSQL orders texts as people of its locale do.
    rows.sort_by(|left, right| (left.created_at, &left.name).cmp(&(right.created_at, &right.name)));
    Ok(rows.into_iter().map(chroot).collect::<Result<_>>()?)
}

impl Store {
    /// Makes chroots, all of them or none. Lists show them in this order.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when there is one of such a name.
    pub async fn create_chroots(&self, chroots: &[Chroot], now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            // A microsecond apart, so that they keep their order.
            for (chroot, made_at) in chroots.iter().zip(now.as_micros()..) {
                let row = chroot::ActiveModel {
                    name: Set(chroot.name.to_string()),
                    created_at: Set(made_at),
                    ..columns(chroot, now)?
                };
                let insert = chroot::Entity::insert(row).exec_without_returning(&*tx).await;
                or_conflict(insert, || format!("there is a chroot {} already", chroot.name))?;
                Entry::new("chroot", &chroot.name, "operator", "chroot made").write(&tx, now);
            }
            Ok(())
        })
        .await
    }

    /// Changes a chroot.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none of that name.
    pub async fn update_chroot(&self, chroot: &Chroot, now: Timestamp) -> Result<()> {
        let row = &columns(chroot, now)?;
        self.write(|tx| async move {
            let updated = chroot::Entity::update_many()
                .set(row.clone())
                .filter(chroot::Column::Name.eq(chroot.name.as_str()))
                .exec(&*tx)
                .await?;
            if updated.rows_affected == 0 {
                return Err(Error::not_found(format!("chroot {}", chroot.name)).into());
            }
            Entry::new("chroot", &chroot.name, "operator", "chroot changed").write(&tx, now);
            Ok(())
        })
        .await
    }

    /// Every chroot, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn chroots(&self) -> Result<Vec<Chroot>> {
        self.read(|tx| async move { chroots_in(&tx).await }).await
    }

    /// The chroot of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn chroot(&self, name: &ChrootName) -> Result<Option<Chroot>> {
        self.read(|tx| async move { Ok(chroot::Entity::find_by_id(name.as_str()).one(&*tx).await?) })
            .await?
            .map(chroot)
            .transpose()
    }

    /// Deletes a chroot. Builds that ended in it keep their results, and its name is free.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], and [`Error::Conflict`] while projects have it or builds in it are not over.
    pub async fn delete_chroot(&self, name: &ChrootName, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            // Locked: whoever gives it to a project at the same time waits for its end and is refused.
            let row = chroot::Entity::find_by_id(name.as_str())
                .lock_exclusive()
                .one(&*tx)
                .await?;
            row.ok_or_else(|| Error::not_found(format!("chroot {name}")))?;
            check_unused(&tx, name).await?;
            let deleted = Query::select()
                .column(project::Column::Id)
                .from(project::Entity)
                .and_where(project::Column::DeletedAt.is_not_null())
                .take();
            project_chroot::Entity::delete_many()
                .filter(project_chroot::Column::Chroot.eq(name.as_str()))
                .filter(project_chroot::Column::Project.in_subquery(deleted))
                .exec(&*tx)
                .await?;
            chroot::Entity::delete_by_id(name.as_str()).exec(&*tx).await?;
            Entry::new("chroot", name, "operator", "chroot deleted").write(&tx, now);
            Ok(())
        })
        .await
    }
}

/// Refuses while a project has the chroot, or an attempt in it is not over.
async fn check_unused(tx: &Tx, name: &ChrootName) -> Result<(), TxError> {
    let users = || {
        let of_chroot = Query::select()
            .column(project_chroot::Column::Project)
            .from(project_chroot::Entity)
            .and_where(project_chroot::Column::Chroot.eq(name.as_str()))
            .take();
        project::Entity::find()
            .filter(project::Column::Id.in_subquery(of_chroot))
            .filter(project::Column::DeletedAt.is_null())
    };
    let count = users().count(&**tx).await?;
    if count > 0 {
        let some = users()
            .order_by_asc(project::Column::Id)
            .limit(MOST_NAMED)
            .all(&**tx)
            .await?;
        let names: Vec<String> = some
            .iter()
            .map(|row| format!("{}/{}", row.owner, row.name))
            .collect();
        let words = format!("these projects have {name}: {}", named(&names, count));
        return Err(Error::conflict(words).into());
    }
    let open = attempt::Entity::find()
        .filter(attempt::Column::EndedAt.is_null())
        .filter(attempt::Column::Chroot.eq(name.as_str()))
        .count(&**tx)
        .await?;
    if open > 0 {
        return Err(Error::conflict(format!("builds for {name} that are not over: {open}")).into());
    }
    Ok(())
}
