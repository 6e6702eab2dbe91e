//! Accounts.

use model::{OwnerName, Timestamp, UserId};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::events::Entry;
use crate::{
    NewUser, User,
    convert::{Row, moment, or_conflict},
    database::{Store, Tx},
    entity::{account, project},
    error::{Error, Result, TxError},
};

/// How many projects a refusal names.
const MOST_NAMED: u64 = 5;

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
    /// Makes an account. One of that name that was deleted lives again, with no token and with the builds that it submitted.
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
                let deleted = account::Entity::find()
                    .filter(account::Column::Name.eq(new.name.as_str()))
                    .filter(account::Column::DeletedAt.is_not_null())
                    .lock_exclusive()
                    .one(&*tx)
                    .await?;
                if let Some(deleted) = deleted {
                    return revive(&tx, deleted.id, new, now).await;
                }
                let insert = account::Entity::insert(account::ActiveModel {
                    id: NotSet,
                    name: Set(new.name.to_string()),
                    is_operator: Set(new.is_operator),
                    created_at: Set(now.as_micros()),
                    token_login: Set(None),
                    token_hash: Set(None),
                    token_expires_at: Set(None),
                    deleted_at: Set(None),
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
                    .filter(account::Column::DeletedAt.is_null())
                    .one(&*tx)
                    .await?)
            })
            .await?;
        row.map(user).transpose()
    }

    /// Every account, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows = self
            .read(|tx| async move {
                Ok(account::Entity::find()
                    .filter(account::Column::DeletedAt.is_null())
                    .all(&*tx)
                    .await?)
            })
            .await?;
        let mut users = rows.into_iter().map(user).collect::<Result<Vec<_>>>()?;
        // Here, since PostgreSQL orders texts as people of its locale do.
        users.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(users)
    }

    /// Makes a user an operator, or takes an operator's rights away; account and token stay. Whether it changed anything.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], and [`Error::Conflict`] when nobody else would be an operator.
    pub async fn set_operator(&self, name: &OwnerName, is_operator: bool, now: Timestamp) -> Result<bool> {
        self.write(|tx| async move {
            let row = locked(&tx, name).await?;
            if row.is_operator == is_operator {
                return Ok(false);
            }
            if !is_operator {
                check_not_last_operator(&tx, &row).await?;
            }
            account::Entity::update_many()
                .set(account::ActiveModel {
                    is_operator: Set(is_operator),
                    ..Default::default()
                })
                .filter(account::Column::Id.eq(row.id))
                .exec(&*tx)
                .await?;
            let why = if is_operator {
                "is an operator"
            } else {
                "is no operator any more"
            };
            Entry::new("user", name, "operator", why).write(&tx, now);
            Ok(true)
        })
        .await
    }

    /// Deletes an account: nobody finds it, and its token ends. Builds that it submitted elsewhere stay and go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], and [`Error::Conflict`] for the last operator and for who still owns projects.
    pub async fn delete_user(&self, name: &OwnerName, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let row = locked(&tx, name).await?;
            if row.is_operator {
                check_not_last_operator(&tx, &row).await?;
            }
            check_owns_nothing(&tx, name).await?;
            account::Entity::update_many()
                .set(account::ActiveModel {
                    is_operator: Set(false),
                    token_login: Set(None),
                    token_hash: Set(None),
                    token_expires_at: Set(None),
                    deleted_at: Set(Some(now.as_micros())),
                    ..Default::default()
                })
                .filter(account::Column::Id.eq(row.id))
                .exec(&*tx)
                .await?;
            Entry::new("user", name, "operator", "account deleted").write(&tx, now);
            Ok(())
        })
        .await
    }
}

/// Makes the account of a user who was deleted anew.
async fn revive(tx: &Tx, id: i64, new: &NewUser, now: Timestamp) -> Result<account::Model, TxError> {
    account::Entity::update_many()
        .set(account::ActiveModel {
            is_operator: Set(new.is_operator),
            created_at: Set(now.as_micros()),
            deleted_at: Set(None),
            ..Default::default()
        })
        .filter(account::Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    Entry::new("user", &new.name, "operator", "account made again").write(tx, now);
    let row = account::Entity::find_by_id(id).one(&**tx).await?;
    row.ok_or_else(|| Error::not_found(format!("user {}", new.name)).into())
}

/// An account that is about to change. It is locked, and before it all operators are, in the order of their ids, so that two
/// who leave at once do not both think that the other stays.
async fn locked(tx: &Tx, name: &OwnerName) -> Result<account::Model, TxError> {
    account::Entity::find()
        .filter(account::Column::IsOperator.eq(true))
        .order_by_asc(account::Column::Id)
        .lock_exclusive()
        .all(&**tx)
        .await?;
    let row = account::Entity::find()
        .filter(account::Column::Name.eq(name.as_str()))
        .filter(account::Column::DeletedAt.is_null())
        .lock_exclusive()
        .one(&**tx)
        .await?;
    row.ok_or_else(|| Error::not_found(format!("user {name}")).into())
}

async fn check_not_last_operator(tx: &Tx, row: &account::Model) -> Result<(), TxError> {
    let others = account::Entity::find()
        .filter(account::Column::IsOperator.eq(true))
        .filter(account::Column::DeletedAt.is_null())
        .filter(account::Column::Id.ne(row.id))
        .count(&**tx)
        .await?;
    if others == 0 {
        return Err(Error::conflict(format!("{} is the last operator", row.name)).into());
    }
    Ok(())
}

async fn check_owns_nothing(tx: &Tx, name: &OwnerName) -> Result<(), TxError> {
    let own = || {
        project::Entity::find()
            .filter(project::Column::Owner.eq(name.as_str()))
            .filter(project::Column::DeletedAt.is_null())
    };
    let count = own().count(&**tx).await?;
    if count == 0 {
        return Ok(());
    }
    let some = own()
        .order_by_asc(project::Column::Id)
        .limit(MOST_NAMED)
        .all(&**tx)
        .await?;
    let names: Vec<String> = some.iter().map(|row| format!("{name}/{}", row.name)).collect();
    Err(Error::conflict(format!("{name} still owns the projects {}", named(&names, count))).into())
}

/// Some of many things, and how many more there are.
pub(super) fn named(some: &[String], count: u64) -> String {
    let more = count.saturating_sub(u64::try_from(some.len()).unwrap_or(u64::MAX));
    let list = some.join(", ");
    if more == 0 {
        list
    } else {
        format!("{list} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn some_of_many_are_named_and_the_others_counted() {
        let names = ["a/b", "a/c"].map(str::to_owned);
        for (some, count, expected) in [
            (&names[..1], 1, "a/b"),
            (&names, 2, "a/b, a/c"),
            (&names, 3, "a/b, a/c and 1 more"),
            (&names, 1_000_000, "a/b, a/c and 999998 more"),
            // Some that came between two looks are not counted below nothing.
            (&names, 1, "a/b, a/c"),
        ] {
            assert_eq!(named(some, count), expected, "{count}");
        }
    }
}
