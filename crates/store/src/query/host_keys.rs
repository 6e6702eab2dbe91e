//! The host keys of builders whose machines make them: the one that a console has shown, and the one that a machine makes in the
//! place of the one that its user data held.

use model::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, SimpleExpr},
};

use super::{builders::builder_of, events::Entry, leases::check_lease};
use crate::{
    Builder, Lease,
    convert::check_text,
    database::{Store, Tx},
    entity::builder,
    error::{Error, Result, TxError},
};

/// What becomes of a builder's keys.
struct KeyChange {
    columns: builder::ActiveModel,
    /// What its row is besides what was looked at.
    only_if: SimpleExpr,
    /// What a builder has that is not so.
    otherwise: &'static str,
    words: String,
}

/// Changes the keys of a builder that was looked at; the builder with them.
async fn change_key(
    tx: &Tx,
    lease: &Lease,
    builder: &Builder,
    change: KeyChange,
    now: Timestamp,
) -> Result<Builder, TxError> {
    check_lease(tx, lease).await?;
    let updated = builder::Entity::update_many()
        .set(change.columns)
        .col_expr(
            builder::Column::Version,
            Expr::col(builder::Column::Version).add(1),
        )
        .filter(builder::Column::Id.eq(builder.id.0))
        .filter(builder::Column::Fleet.eq(lease.fleet.0))
        .filter(builder::Column::State.eq(builder.state.as_str()))
        .filter(builder::Column::Version.eq(builder.version))
        .filter(change.only_if)
        .exec(&**tx)
        .await?;
    if updated.rows_affected != 1 {
        let what = format!(
            "builder {} {}, or is no longer {} with version {}",
            builder.id, change.otherwise, builder.state, builder.version
        );
        return Err(Error::conflict(what).into());
    }
    Entry::of_builder(builder.id, "controller", &change.words).write(tx, now);
    let changed = builder_of(tx, builder.id).await?;
    changed.ok_or_else(|| Error::not_found(format!("builder {}", builder.id)).into())
}

impl Store {
    /// Keeps the host key that a builder's console has shown, which the machine has to prove from now on; the builder with it.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the builder changed since it was looked at, or has a key already;
    /// [`Error::Invalid`].
    pub async fn keep_key_of_console(
        &self,
        lease: &Lease,
        builder: &Builder,
        key: &str,
        now: Timestamp,
    ) -> Result<Builder> {
        check_text("host key", key)?;
        self.write(|tx| async move {
            let change = KeyChange {
                columns: builder::ActiveModel {
                    host_key: Set(Some(key.to_owned())),
                    ..Default::default()
                },
                only_if: builder::Column::HostKey.is_null(),
                otherwise: "has a host key",
                words: format!("its host key is {key} from now on: its console shows it"),
            };
            change_key(&tx, lease, builder, change, now).await
        })
        .await
    }

    /// Writes down the host key that a builder's machine has made, before the machine shows it: until [`Store::end_key_change`] it
    /// may show that one or the one that it was given.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the builder changed since it was looked at, or has a key that nobody gave it;
    /// [`Error::Invalid`].
    pub async fn begin_key_change(
        &self,
        lease: &Lease,
        builder: &Builder,
        next: &str,
        now: Timestamp,
    ) -> Result<Builder> {
        check_text("host key", next)?;
        self.write(|tx| async move {
            let change = KeyChange {
                columns: builder::ActiveModel {
                    host_key_next: Set(Some(next.to_owned())),
                    ..Default::default()
                },
                only_if: builder::Column::HostKeyGiven.eq(true),
                otherwise: "has a host key that was not given in user data",
                words: format!("it has made the host key {next}, and is told to use that"),
            };
            change_key(&tx, lease, builder, change, now).await
        })
        .await
    }

    /// Keeps the host key that [`Store::begin_key_change`] has written down as the only one that the machine may prove from now on.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the builder changed since it was looked at; [`Error::Invalid`] for one without
    /// such a key.
    pub async fn end_key_change(&self, lease: &Lease, builder: &Builder, now: Timestamp) -> Result<Builder> {
        let Some(next) = &builder.host_key_next else {
            let what = format!("builder {} has made no other host key", builder.id);
            return Err(Error::invalid(what));
        };
        self.write(|tx| async move {
            let change = KeyChange {
                columns: builder::ActiveModel {
                    host_key: Set(Some(next.clone())),
                    host_key_given: Set(false),
                    host_key_next: Set(None),
                    ..Default::default()
                },
                only_if: builder::Column::HostKeyNext.eq(next.as_str()),
                otherwise: "has made another host key",
                words: format!("its host key is {next} from now on: the one of its user data counts no more"),
            };
            change_key(&tx, lease, builder, change, now).await
        })
        .await
    }
}
