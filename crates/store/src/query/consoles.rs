//! What consoles told of builders: the host key of a machine that made it itself.

use model::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{builders::builder_of, events::Entry, leases::check_lease};
use crate::{
    Builder, Lease,
    convert::check_text,
    database::Store,
    entity::builder,
    error::{Error, Result},
};

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
            check_lease(&tx, lease).await?;
            let updated = builder::Entity::update_many()
                .set(builder::ActiveModel {
                    host_key: Set(Some(key.to_owned())),
                    ..Default::default()
                })
                .col_expr(
                    builder::Column::Version,
                    Expr::col(builder::Column::Version).add(1),
                )
                .filter(builder::Column::Id.eq(builder.id.0))
                .filter(builder::Column::Fleet.eq(lease.fleet.0))
                .filter(builder::Column::State.eq(builder.state.as_str()))
                .filter(builder::Column::Version.eq(builder.version))
                .filter(builder::Column::HostKey.is_null())
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                let what = format!(
                    "builder {} has a host key, or is no longer {} with version {}",
                    builder.id, builder.state, builder.version
                );
                return Err(Error::conflict(what).into());
            }
            let words = format!("its host key is {key} from now on: its console shows it");
            Entry::of_builder(builder.id, "controller", &words).write(&tx, now);
            let with_key = builder_of(&tx, builder.id).await?;
            with_key.ok_or_else(|| Error::not_found(format!("builder {}", builder.id)).into())
        })
        .await
    }
}
