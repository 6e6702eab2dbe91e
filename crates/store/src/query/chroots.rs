//! Chroots.

use model::{ChrootName, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
};

use super::events::Entry;
use crate::{
    Chroot,
    convert::{Row, check_text, or_conflict, to_json},
    database::{Store, Tx},
    entity::chroot,
    error::{Error, Failure, Result},
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
pub(super) async fn chroots_in(tx: &Tx) -> Result<Vec<Chroot>, Failure> {
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
}
