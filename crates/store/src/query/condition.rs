//! What is wrong with the fleet, written down by the controller and read by whoever looks after it.

use std::collections::BTreeMap;

use model::{Condition, FleetId, PoolName, Timestamp, condition::Leadership, plan::CloudTrouble};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    sea_query::OnConflict,
};

use super::{events::Entry, fleet::histories, leases::check_lease, sightings::orphans_in};
use crate::{
    Lease,
    convert::reason,
    database::{Store, Tx},
    entity::{cloud_trouble, fleet_lease, pool},
    error::{Error, Failure, Result},
};

/// The clouds of a fleet, or of all, that give no machines.
pub(super) async fn troubles(tx: &Tx, fleet: Option<FleetId>) -> Result<Vec<CloudTrouble>, Failure> {
    let mut found = cloud_trouble::Entity::find().order_by_asc(cloud_trouble::Column::Cloud);
    if let Some(fleet) = fleet {
        found = found.filter(cloud_trouble::Column::Fleet.eq(fleet.0));
    }
    let rows = found.all(&**tx).await?;
    let troubles = rows.into_iter().map(|row| CloudTrouble {
        cloud: row.cloud,
        since: Timestamp::from_micros(row.since),
        reason: row.reason,
        detail: row.detail,
    });
    Ok(troubles.collect())
}

/// Whether a controller leads the fleet, or any fleet.
async fn leadership(tx: &Tx, fleet: Option<FleetId>, now: Timestamp) -> Result<Leadership, Failure> {
    let mut found = fleet_lease::Entity::find().order_by_desc(fleet_lease::Column::ExpiresAt);
    if let Some(fleet) = fleet {
        found = found.filter(fleet_lease::Column::Fleet.eq(fleet.0));
    }
    let Some(last) = found.one(&**tx).await? else {
        return Ok(Leadership::Vacant { since: None });
    };
    if !last.holder.is_empty() && last.expires_at > now.as_micros() {
        return Ok(Leadership::Held { holder: last.holder });
    }
    // The least number is in the row of a lease that nobody has had yet.
    let since = (last.expires_at > i64::MIN).then(|| Timestamp::from_micros(last.expires_at));
    Ok(Leadership::Vacant { since })
}

impl Store {
    /// What is wrong with a fleet; without one, with all that is in the database.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn fleet_condition(&self, fleet: Option<FleetId>, now: Timestamp) -> Result<Condition> {
        self.read(|tx| async move {
            let orphans = orphans_in(&tx, None).await?;
            let refused = orphans
                .into_iter()
                .filter_map(|orphan| Some((orphan.instance_id, orphan.refusal?)));
            Ok(Condition {
                leadership: leadership(&tx, fleet, now).await?,
                clouds: troubles(&tx, fleet).await?,
                pools: histories(&tx).await?,
                refused_ends: refused.collect::<BTreeMap<_, _>>(),
            })
        })
        .await
    }

    /// Writes down what is wrong with a cloud, or that nothing is any more.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn set_cloud_trouble(
        &self,
        lease: &Lease,
        cloud: &str,
        trouble: Option<&CloudTrouble>,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let Some(trouble) = trouble else {
                let deleted = cloud_trouble::Entity::delete_many()
                    .filter(cloud_trouble::Column::Fleet.eq(lease.fleet.0))
                    .filter(cloud_trouble::Column::Cloud.eq(cloud))
                    .exec(&*tx)
                    .await?;
                if deleted.rows_affected > 0 {
                    Entry::new("cloud", cloud, "controller", "it answers again").write(&tx, now);
                }
                return Ok(());
            };
            cloud_trouble::Entity::insert(cloud_trouble::ActiveModel {
                fleet: Set(lease.fleet.0),
                cloud: Set(cloud.to_owned()),
                since: Set(trouble.since.as_micros()),
                reason: Set(reason(&trouble.reason)),
                detail: Set(reason(&trouble.detail)),
            })
            .on_conflict(
                OnConflict::columns([cloud_trouble::Column::Fleet, cloud_trouble::Column::Cloud])
                    .update_columns([
                        cloud_trouble::Column::Since,
                        cloud_trouble::Column::Reason,
                        cloud_trouble::Column::Detail,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            Entry::new("cloud", cloud, "controller", &trouble.detail).write(&tx, now);
            Ok(())
        })
        .await
    }

    /// Forgets the failed launches of a pool, so that it launches as it needs; whether it was held back or had any.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when no controller has worked with such a pool.
    pub async fn resume_pool(&self, name: &PoolName, actor: &str, now: Timestamp) -> Result<bool> {
        self.write(|tx| async move {
            let row = pool::Entity::find_by_id(name.as_str()).one(&*tx).await?;
            let row = row.ok_or_else(|| Error::not_found(format!("pool {name}")))?;
            if row.failures == 0 {
                return Ok(false);
            }
            pool::Entity::update_many()
                .set(pool::ActiveModel {
                    failures: Set(0),
                    ..Default::default()
                })
                .filter(pool::Column::Name.eq(name.as_str()))
                .exec(&*tx)
                .await?;
            let why = format!("resumed after {} failed launches", row.failures);
            Entry::new("pool", name, actor, &why).write(&tx, now);
            Ok(true)
        })
        .await
    }
}
