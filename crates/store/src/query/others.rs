//! How many machines others have in the accounts of a fleet's clouds. They are counted now and then; the last count stays when the
//! next one fails.

use std::collections::BTreeMap;

use model::{FleetId, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::OnConflict,
};

use super::leases::check_lease;
use crate::{
    Lease, OtherMachines,
    convert::{Row, readable, reason},
    database::{Store, Tx},
    entity::other_machines::{self, Column},
    error::{Result, TxError},
};

/// The last counts in a fleet's clouds. What cannot be read is left out, as if it had never been counted.
pub(super) async fn others(tx: &Tx, fleet: FleetId) -> Result<BTreeMap<String, OtherMachines>, TxError> {
    let rows = other_machines::Entity::find()
        .filter(Column::Fleet.eq(fleet.0))
        .all(&**tx)
        .await?;
    let counts = rows.into_iter().map(|row| {
        let machines = row
            .machines
            .map(|machines| Row::new("other_machines", &row.cloud).number("machines", machines));
        let counted_at = row.counted_at.map(Timestamp::from_micros);
        let others = OtherMachines {
            counted: machines.transpose()?.zip(counted_at),
            failure: row.failure,
        };
        Ok((row.cloud, others))
    });
    Ok(readable(counts).collect())
}

impl Store {
    /// Writes down how many machines others have in a cloud of the fleet, or why nobody could count them.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn record_others(
        &self,
        lease: &Lease,
        cloud: &str,
        counted: std::result::Result<u32, &str>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let (machines, counted_at, failure, changed) = match counted {
                Ok(machines) => (
                    Set(Some(i64::from(machines))),
                    Set(Some(now.as_micros())),
                    None,
                    &[Column::Machines, Column::CountedAt, Column::Failure][..],
                ),
                Err(why) => (NotSet, NotSet, Some(reason(why)), &[Column::Failure][..]),
            };
            let mut on_conflict = OnConflict::columns([Column::Fleet, Column::Cloud]);
            on_conflict.update_columns(changed.iter().copied());
            other_machines::Entity::insert(other_machines::ActiveModel {
                fleet: Set(lease.fleet.0),
                cloud: Set(cloud.to_owned()),
                machines,
                counted_at,
                failure: Set(failure),
            })
            .on_conflict(on_conflict)
            .exec_without_returning(&*tx)
            .await?;
            Ok(())
        })
        .await
    }
}
