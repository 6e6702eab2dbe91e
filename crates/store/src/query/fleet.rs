//! What the planner looks at, and what it says back: pools, the queue, and why who waits.

use std::collections::BTreeMap;

use model::{
    AttemptState, FleetId, PoolName, Timestamp,
    plan::{CloudTrouble, Queue},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use super::{
    builders::{builders_of, is_live},
    chroots::chroots_in,
    events::Entry,
    histories::histories,
    leases::check_lease,
    queue_cache::QueueCache,
};
use crate::{
    Builder, FleetView, Lease, Reasons,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::{attempt, builder, cloud_trouble, pool, pool_version},
    error::{Failure, Result},
};

async fn active(tx: &Tx) -> Result<BTreeMap<model::OwnerName, u32>, Failure> {
    let states = [AttemptState::Assigned, AttemptState::Running].map(AttemptState::as_str);
    let rows: Vec<(String, i64)> = attempt::Entity::find()
        .select_only()
        .column(attempt::Column::Owner)
        .column_as(attempt::Column::Id.count(), "attempts")
        .filter(attempt::Column::EndedAt.is_null())
        .filter(attempt::Column::State.is_in(states))
        .group_by(attempt::Column::Owner)
        .into_tuple()
        .all(&**tx)
        .await?;
    let counts = rows.into_iter().map(|(owner, count)| {
        let at = Row::new("attempt", &owner);
        Ok((at.parse("owner", &owner)?, at.number("count", count)?))
    });
    Ok(readable(counts).collect())
}

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

fn of_fleet(fleet: FleetId) -> Condition {
    Condition::all()
        .add(is_live())
        .add(builder::Column::Fleet.eq(fleet.0))
}

impl Store {
    /// The fleet and the queue as of one moment, for the planner. Of the queue only that is read which `cache` does not know.
    /// What cannot be read of the queue and of the pools' histories is left out, so that all else goes on; of builders and
    /// chroots nothing is, since a machine without its builder's row would be ended.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn look_at_fleet(
        &self,
        fleet: FleetId,
        cache: &mut QueueCache,
        now: Timestamp,
    ) -> Result<FleetView> {
        let known = &*cache;
        let (mut view, news) = self
            .read(|tx| async move {
                let view = FleetView {
                    at: now,
                    builders: builders_of(&tx, of_fleet(fleet)).await?,
                    queue: Queue::default(),
                    reasons: Reasons::default(),
                    active: active(&tx).await?,
                    chroots: chroots_in(&tx).await?,
                    histories: histories(&tx, false).await?,
                    troubles: troubles(&tx, Some(fleet)).await?,
                };
                Ok((view, known.look(&tx).await?))
            })
            .await?;
        (view.queue, view.reasons) = cache.update(news, &view.active);
        Ok(view)
    }

    /// [`Store::look_at_fleet`] of somebody who looks only once.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn fleet_snapshot(&self, fleet: FleetId, now: Timestamp) -> Result<FleetView> {
        self.look_at_fleet(fleet, &mut QueueCache::default(), now).await
    }

    /// The builders of a fleet that live, oldest first.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn builders_of_fleet(&self, fleet: FleetId) -> Result<Vec<Builder>> {
        self.read(|tx| async move { builders_of(&tx, of_fleet(fleet)).await })
            .await
    }

    /// Writes down which specification a pool follows from now on. A new one starts without failures.
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
            let known = pool::Entity::find_by_id(name.as_str()).one(&*tx).await?;
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
                name: Set(name.to_string()),
                current_hash: Set(Some(hash.to_owned())),
                failures: Set(0),
                last_failure: Set(None),
                last_reason: Set(None),
            })
            .on_conflict(
                OnConflict::column(pool::Column::Name)
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
