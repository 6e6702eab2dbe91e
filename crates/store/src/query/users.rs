//! Accounts.

use model::{OwnerName, Timestamp, UserId};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
};

use super::events::Entry;
use crate::{
    NewUser, User,
    convert::{Row, moment, or_conflict},
    database::Store,
    entity::account,
    error::{Error, Result},
};

pub(super) fn user(row: account::Model) -> Result<User> {
    let name = Row::new("account", &row.id).parse("name", &row.name)?;
    Ok(User {
        id: UserId(row.id),
        name,
        is_operator: row.is_operator,
        created_at: Timestamp::from_micros(row.created_at),
        token_expires_at: moment(row.token_expires_at),
    })
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the name is taken, [`Error::Invalid`] for a group's name.
    pub async fn create_user(&self, new: &NewUser, now: Timestamp) -> Result<User> {
        if new.name.as_str().starts_with('@') {
            return Err(Error::invalid(format!(
                "{} is the name of a group, not of a user",
                new.name
            )));
        }
        let row = self
            .write(|tx| async move {
                let insert = account::Entity::insert(account::ActiveModel {
                    id: NotSet,
                    name: Set(new.name.to_string()),
                    is_operator: Set(new.is_operator),
                    created_at: Set(now.as_micros()),
                    token_login: Set(None),
                    token_hash: Set(None),
                    token_expires_at: Set(None),
                });
                let row = or_conflict(insert.exec_with_returning(&*tx).await, || {
                    format!("there is a user {} already", new.name)
                })?;
                Entry::new("user", &new.name, "operator", "account made").write(&tx, now);
                Ok(row)
            })
            .await?;
        user(row)
    }

    /// The account of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn user_by_name(&self, name: &OwnerName) -> Result<Option<User>> {
        let row = self
            .read(|tx| async move {
                Ok(account::Entity::find()
                    .filter(account::Column::Name.eq(name.as_str()))
                    .one(&*tx)
                    .await?)
            })
            .await?;
        row.map(user).transpose()
    }
}
