//! The lease that makes one controller the one that acts. Its epoch rises with every taking, and every write
//! of a controller checks it in its own transaction, under a lock that a taking waits for.

use std::time::Duration;

use model::{FleetId, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::events::Entry;
use crate::{
    Lease,
    convert::check_text,
    database::{Store, Tx},
    entity::fleet_lease,
    error::{Error, Result, TxError},
};

fn lost(lease: &Lease) -> Error {
    Error::LeaseLost {
        fleet: lease.fleet,
        epoch: lease.epoch,
    }
}

/// Refuses the transaction unless the lease is the latest one, and keeps it so until the transaction's end.
pub(super) async fn check_lease(tx: &Tx, lease: &Lease) -> Result<(), TxError> {
    let row = fleet_lease::Entity::find_by_id(lease.fleet.0)
        .lock_shared()
        .one(&**tx)
        .await?;
    match row {
        Some(row) if row.epoch == lease.epoch => Ok(()),
        _ => Err(lost(lease).into()),
    }
}

/// Refuses the transaction when the lease is not the latest one. It may be taken before the transaction ends: only for what
/// does no harm then.
pub(super) async fn check_lease_unlocked(tx: &Tx, lease: &Lease) -> Result<(), TxError> {
    let row = fleet_lease::Entity::find_by_id(lease.fleet.0).one(&**tx).await?;
    match row {
        Some(row) if row.epoch == lease.epoch => Ok(()),
        _ => Err(lost(lease).into()),
    }
}

impl Store {
    /// Takes the lease of a fleet, if nobody has it, or its time is over, or `holder` has it, which is a
    /// controller that was started again. The new epoch fences the one before in any case.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn acquire_lease(
        &self,
        fleet: FleetId,
        holder: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        check_text("holder", holder)?;
        self.write(|tx| async move {
            let expires_at = now.plus(ttl).as_micros();
            // A row that says that nobody holds it; there is one from then on.
            fleet_lease::Entity::insert(fleet_lease::ActiveModel {
                fleet: Set(fleet.0),
                holder: Set(String::new()),
                epoch: Set(0),
                expires_at: Set(i64::MIN),
            })
            .on_conflict(
                OnConflict::column(fleet_lease::Column::Fleet)
                    .update_column(fleet_lease::Column::Fleet)
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            let updated = fleet_lease::Entity::update_many()
                .set(fleet_lease::ActiveModel {
                    holder: Set(holder.to_owned()),
                    expires_at: Set(expires_at),
                    ..Default::default()
                })
                .col_expr(
                    fleet_lease::Column::Epoch,
                    Expr::col(fleet_lease::Column::Epoch).add(1),
                )
                .filter(fleet_lease::Column::Fleet.eq(fleet.0))
                .filter(
                    Condition::any()
                        .add(fleet_lease::Column::ExpiresAt.lte(now.as_micros()))
                        .add(fleet_lease::Column::Holder.eq(holder)),
                )
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Ok(None);
            }
            let row = fleet_lease::Entity::find_by_id(fleet.0).one(&*tx).await?;
            let epoch = row
                .ok_or_else(|| Error::not_found(format!("lease of fleet {fleet}")))?
                .epoch;
            Entry::new("fleet", fleet, "controller", &format!("lease taken by {holder}"))
                .detail(serde_json::json!({"epoch": epoch}))
                .write(&tx, now);
            Ok(Some(Lease { fleet, epoch }))
        })
        .await
    }

    /// Holds the lease for longer.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it is another's by now.
    pub async fn renew_lease(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let updated = fleet_lease::Entity::update_many()
                .col_expr(
                    fleet_lease::Column::ExpiresAt,
                    Expr::value(now.plus(ttl).as_micros()),
                )
                .filter(fleet_lease::Column::Fleet.eq(lease.fleet.0))
                .filter(fleet_lease::Column::Epoch.eq(lease.epoch))
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Err(lost(lease).into());
            }
            Ok(())
        })
        .await
    }

    /// Gives the lease back: the next controller need not wait for its end, and this one can write no more.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`] when it is another's by now.
    pub async fn release_lease(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let updated = fleet_lease::Entity::update_many()
                .set(fleet_lease::ActiveModel {
                    holder: Set(String::new()),
                    expires_at: Set(now.as_micros()),
                    ..Default::default()
                })
                .col_expr(
                    fleet_lease::Column::Epoch,
                    Expr::col(fleet_lease::Column::Epoch).add(1),
                )
                .filter(fleet_lease::Column::Fleet.eq(lease.fleet.0))
                .filter(fleet_lease::Column::Epoch.eq(lease.epoch))
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                return Err(lost(lease).into());
            }
            Entry::new("fleet", lease.fleet, "controller", "lease given back").write(&tx, now);
            Ok(())
        })
        .await
    }
}
