//! What the planner looks at, and what it says back: pools, the queue, and why who waits.

use std::{collections::BTreeMap, sync::Arc};

use model::{
    FleetId, OwnerName, PoolName, Timestamp,
    plan::{CloudTrouble, Queue},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, Statement, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    calls::levels,
    chroots::chroots_in,
    events::Entry,
    fleet_cache::FleetCache,
    histories::histories,
    hosts::hosts,
    image_choices::image_choices,
    intents::{made_for, open_intents},
    json::{self, Text, ask, functions},
    leases::check_lease,
    marks::pauses,
    money::ended_machines,
    others::others,
    shortages::shortages,
    sightings::orphans_in,
};
use crate::{
    Builder, FleetView, Lease, Reasons,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::{cloud_trouble, pool, pool_version},
    error::{Result, TxError},
};

/// How many attempts of each owner have a builder.
async fn active(tx: &Tx) -> Result<BTreeMap<OwnerName, u32>, TxError> {
    let backend = tx.get_database_backend();
    let json = functions(backend);
    let sql = format!(
        "SELECT CAST({}({}(owner, attempts)) AS TEXT) FROM (
            SELECT owner, count(*) AS attempts FROM attempt
            WHERE ended_at IS NULL AND state IN ('assigned', 'running') GROUP BY owner
        ) AS owners",
        json.group, json.array
    );
    let found = ask(tx, Statement::from_string(backend, sql)).await?;
    let rows: Vec<(Text<'_>, u32)> = json::rows("attempt", found.as_deref())?;
    let counts = rows.into_iter().map(|(owner, count)| {
        let name = Row::new("attempt", &&*owner).parse("owner", &owner)?;
        Ok((name, count))
    });
    Ok(readable(counts).collect())
}

/// The clouds of some fleets that give no machines.
pub(super) async fn troubles(tx: &Tx, fleets: &[Uuid]) -> Result<Vec<CloudTrouble>, TxError> {
    let rows = cloud_trouble::Entity::find()
        .filter(cloud_trouble::Column::Fleet.is_in(fleets.iter().copied()))
        .order_by_asc(cloud_trouble::Column::Cloud)
        .all(&**tx)
        .await?;
    let troubles = rows.into_iter().map(|row| CloudTrouble {
        cloud: row.cloud,
        since: Timestamp::from_micros(row.since),
        reason: row.reason,
        detail: row.detail,
    });
    Ok(troubles.collect())
}

impl Store {
    /// The fleet and the queue as of one moment, for the planner. Only that is read of builders and queue which `cache` does not know.
    /// What cannot be read of the queue, of builders and of the pools' histories is left out, so that all else goes on; of chroots
    /// nothing is.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn look_at_fleet(
        &self,
        fleet: FleetId,
        cache: &mut FleetCache,
        now: Timestamp,
    ) -> Result<FleetView> {
        let known = &*cache;
        let (mut view, builders, queue) = self
            .read(|tx| async move {
                let intents = open_intents(&tx, fleet, now).await?;
                let view = FleetView {
                    at: now,
                    builders: Arc::default(),
                    queue: Queue::default(),
                    reasons: Reasons::default(),
                    active: active(&tx).await?,
                    chroots: chroots_in(&tx).await?,
                    histories: histories(&tx, &[fleet.0], false).await?,
                    troubles: troubles(&tx, &[fleet.0]).await?,
                    shortages: Arc::new(shortages(&tx, fleet).await?),
                    others: others(&tx, fleet).await?,
                    calls: levels(&tx, fleet.0).await?,
                    ended: Box::pin(ended_machines(&tx, fleet, now)).await?,
                    strays: orphans_in(&tx, &[fleet.0], None).await?,
                    hosts: hosts(&tx, fleet).await?,
                    images: image_choices(&tx, fleet).await?,
                    pauses: pauses(&tx, fleet).await?,
                    made: made_for(&tx, &intents).await?,
                    intents,
                };
                let builders = known.builders.look(&tx, fleet).await?;
                Ok((view, builders, known.queue.look(&tx).await?))
            })
            .await?;
        view.builders = cache.builders.update(builders);
        (view.queue, view.reasons) = cache.queue.update(queue, &view.active);
        Ok(view)
    }

    /// [`Store::look_at_fleet`] of somebody who looks only once.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn fleet_snapshot(&self, fleet: FleetId, now: Timestamp) -> Result<FleetView> {
        self.look_at_fleet(fleet, &mut FleetCache::default(), now).await
    }

    /// The builders of a fleet that live, oldest first. Only those rows are read that `cache` does not know.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn look_at_builders(
        &self,
        fleet: FleetId,
        cache: &mut FleetCache,
    ) -> Result<Arc<Vec<Builder>>> {
        let known = &cache.builders;
        let look = self
            .read(|tx| async move { known.look(&tx, fleet).await })
            .await?;
        Ok(cache.builders.update(look))
    }

    /// Writes down which specification a pool of the fleet follows from now on. A new one starts without failures.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn record_pool(
        &self,
        lease: &Lease,
        name: &PoolName,
        spec: &serde_json::Value,
        hash: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let known = pool::Entity::find_by_id((lease.fleet.0, name.to_string()))
                .one(&*tx)
                .await?;
            if known
                .as_ref()
                .is_some_and(|row| row.current_hash.as_deref() == Some(hash))
            {
                return Ok(());
            }
            pool_version::Entity::insert(pool_version::ActiveModel {
                pool: Set(name.to_string()),
                hash: Set(hash.to_owned()),
                spec: Set(spec.to_string()),
                created_at: Set(now.as_micros()),
            })
            .on_conflict(
                OnConflict::columns([pool_version::Column::Pool, pool_version::Column::Hash])
                    .update_column(pool_version::Column::Spec)
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            pool::Entity::insert(pool::ActiveModel {
                fleet: Set(lease.fleet.0),
                name: Set(name.to_string()),
                current_hash: Set(Some(hash.to_owned())),
                failures: Set(0),
                last_failure: Set(None),
                last_reason: Set(None),
                ..Default::default()
            })
            .on_conflict(
                OnConflict::columns([pool::Column::Fleet, pool::Column::Name])
                    .update_columns([
                        pool::Column::CurrentHash,
                        pool::Column::Failures,
                        pool::Column::LastFailure,
                        pool::Column::LastReason,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            Entry::new("pool", name, "controller", "its specification changed")
                .detail(serde_json::json!({"hash": hash}))
                .write(&tx, now);
            Ok(())
        })
        .await
    }
}
