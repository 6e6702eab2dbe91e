//! What is wrong with the fleet, written down by the controller and read by whoever looks after it.

use std::collections::BTreeMap;

use model::{
    BuilderId, BuilderState, Condition, FleetId, PoolName, Timestamp,
    condition::{Leadership, Stuck},
    plan::CloudTrouble,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    builders::is_live,
    calls::counts,
    events::Entry,
    fleet::troubles,
    fleet_files,
    histories::{histories, history},
    launching::launching,
    leases::check_lease,
    money::budgets,
    sightings::orphans_in,
};
use crate::{
    Lease, Page,
    convert::{Row, reason},
    database::{Store, Tx},
    entity::{builder, cloud_trouble, fleet_lease, pool},
    error::{Error, Result, TxError},
};

/// Whether a controller leads the fleet, or any fleet.
async fn leadership(tx: &Tx, fleet: Option<FleetId>, now: Timestamp) -> Result<Leadership, TxError> {
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

/// Which fleets are told of: the one that is asked for, else those that controllers lead, and where none leads, the one that was
/// led last. The others are of the past: the id in the fleet file was another one then.
async fn told_of(tx: &Tx, fleet: Option<FleetId>, now: Timestamp) -> Result<Vec<Uuid>, TxError> {
    if let Some(FleetId(fleet)) = fleet {
        return Ok(vec![fleet]);
    }
    let leases = fleet_lease::Entity::find()
        .order_by_desc(fleet_lease::Column::ExpiresAt)
        .all(&**tx)
        .await?;
    let is_held =
        |lease: &&fleet_lease::Model| !lease.holder.is_empty() && lease.expires_at > now.as_micros();
    let held: Vec<Uuid> = leases.iter().filter(is_held).map(|lease| lease.fleet).collect();
    let last = leases.first().map(|lease| lease.fleet);
    Ok(if held.is_empty() {
        last.into_iter().collect()
    } else {
        held
    })
}

/// The builders that are to be told of, since their machines may cost and nobody can do anything about it.
async fn stuck(tx: &Tx, fleets: &[Uuid], now: Timestamp) -> Result<Vec<Stuck>, TxError> {
    let long_ago = now.minus(Stuck::AFTER);
    let found = builder::Entity::find()
        .filter(is_live())
        .filter(builder::Column::Fleet.is_in(fleets.iter().copied()))
        .filter(builder::Column::State.is_in(Stuck::STATES.map(BuilderState::as_str)))
        .filter(builder::Column::EnteredAt.lte(long_ago.as_micros()))
        .order_by_asc(builder::Column::EnteredAt)
        .limit(Page::LONGEST)
        .all(&**tx)
        .await?;
    let stuck = found.into_iter().map(|row| {
        let id = BuilderId(row.id);
        Ok(Stuck {
            builder: id,
            state: Row::new("builder", &id).parse("state", &row.state)?,
            since: Timestamp::from_micros(row.entered_at),
            reason: row.reason,
        })
    });
    Ok(stuck.collect::<Result<Vec<_>>>()?)
}

impl Store {
    /// What is wrong with a fleet; without one, with those that controllers lead, or with the one that was led last.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn fleet_condition(&self, fleet: Option<FleetId>, now: Timestamp) -> Result<Condition> {
        self.read(|tx| async move {
            let fleets = told_of(&tx, fleet, now).await?;
            let orphans = orphans_in(&tx, &fleets, None).await?;
            let left = orphans.iter().filter(|orphan| orphan.is_left(now));
            let left = left.map(|orphan| orphan.instance_id.clone()).collect();
            // One that an operator has left alone is no trouble.
            let refused = orphans
                .into_iter()
                .filter(|orphan| orphan.ignored.is_none())
                .filter_map(|orphan| Some((orphan.instance_id, orphan.refusal?)));
            let clouds = troubles(&tx, &fleets).await?;
            Ok(Condition {
                file: fleet_files::problem(&tx, fleet).await?,
                // Only the process that is being stopped knows.
                stopping: None,
                leadership: leadership(&tx, fleet, now).await?,
                launching: launching(&tx, fleet, &clouds).await?,
                clouds,
                pools: histories(&tx, &fleets, true).await?,
                refused_ends: refused.collect::<BTreeMap<_, _>>(),
                left,
                stuck: stuck(&tx, &fleets, now).await?,
                budgets: Box::pin(budgets(&tx, &fleets, now)).await?,
                calls: counts(&tx, &fleets).await?,
            })
        })
        .await
    }

    /// How many builders of other fleets there are that are, or may be, machines, and that no controller looks after.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn forsaken_fleets(&self, fleet: FleetId, now: Timestamp) -> Result<Vec<(FleetId, u64)>> {
        self.read(|tx| async move {
            let counts: Vec<(Uuid, i64)> = builder::Entity::find()
                .select_only()
                .column(builder::Column::Fleet)
                .column_as(builder::Column::Id.count(), "builders")
                .filter(is_live())
                .filter(builder::Column::Fleet.ne(fleet.0))
                .group_by(builder::Column::Fleet)
                .into_tuple()
                .all(&*tx)
                .await?;
            let mut forsaken = Vec::new();
            for (fleet, count) in counts {
                let fleet = FleetId(fleet);
                if !matches!(leadership(&tx, Some(fleet), now).await?, Leadership::Held { .. }) {
                    forsaken.push((fleet, u64::try_from(count).unwrap_or(0)));
                }
            }
            Ok(forsaken)
        })
        .await
    }

    /// Writes down which pools the fleet has: those that are not in its file any more are told of no longer.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn retire_pools(&self, lease: &Lease, kept: &[&PoolName]) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            pool::Entity::update_many()
                .set(pool::ActiveModel {
                    current_hash: Set(None),
                    ..Default::default()
                })
                .filter(pool::Column::Fleet.eq(lease.fleet.0))
                .filter(pool::Column::CurrentHash.is_not_null())
                .filter(pool::Column::Name.is_not_in(kept.iter().map(|name| name.as_str())))
                .exec(&*tx)
                .await?;
            Ok(())
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

    /// Forgets the failed launches of a pool of a fleet, so that it launches as it needs; whether it was held back for them.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when no controller has worked with such a pool.
    pub async fn resume_pool(
        &self,
        fleet: FleetId,
        name: &PoolName,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| async move {
            let row = pool::Entity::find_by_id((fleet.0, name.to_string()))
                .one(&*tx)
                .await?;
            let row = row.ok_or_else(|| Error::not_found(format!("pool {name}")))?;
            if row.failures == 0 {
                return Ok(false);
            }
            let was_held = history(&row)?.held_until().is_some();
            pool::Entity::update_many()
                .set(pool::ActiveModel {
                    failures: Set(0),
                    ..Default::default()
                })
                .filter(pool::Column::Fleet.eq(fleet.0))
                .filter(pool::Column::Name.eq(name.as_str()))
                .exec(&*tx)
                .await?;
            let why = format!("resumed after {} failed launches", row.failures);
            Entry::new("pool", name, actor, &why).write(&tx, now);
            Ok(was_held)
        })
        .await
    }
}
