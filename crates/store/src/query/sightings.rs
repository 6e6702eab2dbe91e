//! Instances with our tag that no builder has. One list says little, since lists lag and lie: what counts is
//! in how many lists in a row an instance was, and since when.

use std::collections::{BTreeMap, BTreeSet};

use model::{FleetId, Timestamp, step::sight::REAPED_WITHIN};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, OnConflict, Query},
};
use uuid::Uuid;

use super::{builders::is_live, events::Entry, ignored::ignored, leases::check_lease};
use crate::{
    Lease, Orphan, Page, Sighting,
    convert::{Row, check_text, reason},
    database::{Store, Tx},
    entity::{builder, sighting},
    error::{Result, TxError},
};

/// How many rows one statement changes; databases bound the number of parameters.
const ROWS_AT_ONCE: usize = 500;

/// What was seen in a cloud of a fleet: another fleet's of that name may be another cloud, and is looked at by another controller.
fn of_cloud(fleet: FleetId, cloud: &str) -> Condition {
    Condition::all()
        .add(sighting::Column::Fleet.eq(fleet.0))
        .add(sighting::Column::Cloud.eq(cloud))
}

/// Forgets what the list of a cloud does not hold any more. Of what was told to end, it is kept for a while that it was: nobody ends
/// too many.
async fn forget_those_gone(
    tx: &Tx,
    (fleet, cloud): (FleetId, &str),
    known: &[sighting::Model],
    present: &BTreeSet<&str>,
    now: Timestamp,
) -> Result<(), TxError> {
    let lately = now.minus(REAPED_WITHIN).as_micros();
    let gone = known
        .iter()
        .filter(|row| !present.contains(row.instance_id.as_str()));
    let (kept, forgotten): (Vec<_>, Vec<_>) =
        gone.partition(|row| row.ending_since.is_some_and(|since| since > lately));
    let ids = |rows: &[&sighting::Model]| -> Vec<String> {
        rows.iter().map(|row| row.instance_id.clone()).collect()
    };
    for some in forgotten.chunks(ROWS_AT_ONCE) {
        sighting::Entity::delete_many()
            .filter(of_cloud(fleet, cloud))
            .filter(sighting::Column::InstanceId.is_in(ids(some)))
            .exec(&**tx)
            .await?;
    }
    let kept: Vec<_> = kept.into_iter().filter(|row| row.is_present).collect();
    for some in kept.chunks(ROWS_AT_ONCE) {
        sighting::Entity::update_many()
            .set(sighting::ActiveModel {
                is_present: Set(false),
                ..Default::default()
            })
            .filter(of_cloud(fleet, cloud))
            .filter(sighting::Column::InstanceId.is_in(ids(some)))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// How many instances without a builder a cloud of a fleet has been told to end since a moment.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn ends_since(&self, fleet: FleetId, cloud: &str, since: Timestamp) -> Result<u32> {
        self.read(|tx| async move {
            let found = sighting::Entity::find()
                .filter(of_cloud(fleet, cloud))
                .filter(sighting::Column::EndingSince.gt(since.as_micros()));
            Ok(u32::try_from(found.count(&*tx).await?).unwrap_or(u32::MAX))
        })
        .await
    }

    /// Writes down which instances without a builder the list of a cloud of the fleet held, all of them. Of what it did not hold
    /// nothing is kept but that it was told to end: when it comes again, it is seen for the first time.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn record_sightings(
        &self,
        lease: &Lease,
        cloud: &str,
        seen: &[Sighting],
        now: Timestamp,
    ) -> Result<()> {
        for sighting in seen {
            check_text("instance id", &sighting.instance_id)?;
            check_text("instance state", &sighting.state)?;
        }
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let known = sighting::Entity::find()
                .filter(of_cloud(lease.fleet, cloud))
                .all(&*tx)
                .await?;
            if known.is_empty() && seen.is_empty() {
                return Ok(());
            }
            let present: BTreeSet<&str> = seen.iter().map(|it| it.instance_id.as_str()).collect();
            forget_those_gone(&tx, (lease.fleet, cloud), &known, &present, now).await?;
            // One that was gone is seen for the first time.
            let known: BTreeMap<String, sighting::Model> = known
                .into_iter()
                .filter(|row| row.is_present)
                .map(|row| (row.instance_id.clone(), row))
                .collect();
            for sighting in seen {
                let before = known.get(&sighting.instance_id);
                sighting::Entity::insert(sighting::ActiveModel {
                    fleet: Set(lease.fleet.0),
                    cloud: Set(cloud.to_owned()),
                    instance_id: Set(sighting.instance_id.clone()),
                    state: Set(sighting.state.clone()),
                    first_at: Set(before.map_or(now.as_micros(), |row| row.first_at)),
                    last_at: Set(now.as_micros()),
                    times_seen: Set(before.map_or(1, |row| row.times_seen.saturating_add(1))),
                    is_present: Set(true),
                    refusal: Set(before.and_then(|row| row.refusal.clone())),
                    pool: Set(sighting.pool.as_ref().map(ToString::to_string)),
                    ending_since: Set(before.and_then(|row| row.ending_since)),
                })
                .on_conflict(
                    OnConflict::columns([
                        sighting::Column::Fleet,
                        sighting::Column::Cloud,
                        sighting::Column::InstanceId,
                    ])
                    .update_columns([
                        sighting::Column::State,
                        sighting::Column::FirstAt,
                        sighting::Column::LastAt,
                        sighting::Column::TimesSeen,
                        sighting::Column::IsPresent,
                        sighting::Column::Refusal,
                        sighting::Column::Pool,
                        sighting::Column::EndingSince,
                    ])
                    .to_owned(),
                )
                .exec_without_returning(&*tx)
                .await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down, before the call, that a cloud is told to end orphans.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn note_ends(
        &self,
        lease: &Lease,
        cloud: &str,
        instance_ids: &[&str],
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            for some in instance_ids.chunks(ROWS_AT_ONCE) {
                sighting::Entity::update_many()
                    .set(sighting::ActiveModel {
                        ending_since: Set(Some(now.as_micros())),
                        ..Default::default()
                    })
                    .filter(of_cloud(lease.fleet, cloud))
                    .filter(sighting::Column::InstanceId.is_in(some.iter().copied()))
                    .exec(&*tx)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down that a cloud refuses to end an orphan, and why: it is not being ended then.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn note_refusal(
        &self,
        lease: &Lease,
        cloud: &str,
        instance_id: &str,
        refusal: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let refusal = reason(refusal);
            sighting::Entity::update_many()
                .set(sighting::ActiveModel {
                    ending_since: Set(None),
                    ..Default::default()
                })
                .filter(of_cloud(lease.fleet, cloud))
                .filter(sighting::Column::InstanceId.eq(instance_id))
                .exec(&*tx)
                .await?;
            let updated = sighting::Entity::update_many()
                .set(sighting::ActiveModel {
                    refusal: Set(Some(refusal.clone())),
                    ..Default::default()
                })
                .filter(of_cloud(lease.fleet, cloud))
                .filter(sighting::Column::InstanceId.eq(instance_id))
                .filter(
                    Condition::any()
                        .add(sighting::Column::Refusal.is_null())
                        .add(sighting::Column::Refusal.ne(refusal.as_str())),
                )
                .exec(&*tx)
                .await?;
            if updated.rows_affected > 0 {
                let why = format!("cloud {cloud} does not end it: {refusal}");
                Entry::new("instance", instance_id, "controller", &why).write(&tx, now);
            }
            Ok(())
        })
        .await
    }

    /// The instances of the latest lists of a fleet's clouds, or of one of them, that no live builder has, those seen first first.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn orphans(&self, fleet: FleetId, cloud: Option<&str>) -> Result<Vec<Orphan>> {
        self.read(|tx| async move { orphans_in(&tx, &[fleet.0], cloud).await })
            .await
    }
}

/// The orphans of [`Store::orphans`], of several fleets, in a transaction.
pub(super) async fn orphans_in(
    tx: &Tx,
    fleets: &[Uuid],
    cloud: Option<&str>,
) -> Result<Vec<Orphan>, TxError> {
    // One look for each sighting, of which there are few, and not a list of all instances that there ever were.
    let mut owner = Query::select();
    owner
        .expr(Expr::value(1))
        .from(builder::Entity)
        .and_where(is_live())
        .and_where(
            Expr::col((builder::Entity, builder::Column::InstanceId))
                .equals((sighting::Entity, sighting::Column::InstanceId)),
        );
    let mut found = sighting::Entity::find()
        .filter(sighting::Column::Fleet.is_in(fleets.iter().copied()))
        .filter(sighting::Column::IsPresent.eq(true))
        .filter(Expr::exists(owner).not())
        .order_by_asc(sighting::Column::FirstAt)
        .limit(Page::LONGEST);
    if let Some(cloud) = cloud {
        found = found.filter(sighting::Column::Cloud.eq(cloud));
    }
    let rows = found.all(&**tx).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut ignored = ignored(tx, fleets).await?;
    rows.into_iter()
        .map(|row| {
            let times_seen = Row::new("sighting", &row.instance_id).number("times_seen", row.times_seen)?;
            let key = (row.fleet, row.cloud, row.instance_id);
            let ignored = ignored.remove(&key);
            let (_, cloud, instance_id) = key;
            Ok(Orphan {
                cloud,
                instance_id,
                // What anybody may have written into a tag is no reason to fail.
                pool: row.pool.and_then(|pool| pool.parse().ok()),
                is_ending: row.ending_since.is_some(),
                ignored,
                state: row.state,
                first_at: Timestamp::from_micros(row.first_at),
                last_at: Timestamp::from_micros(row.last_at),
                times_seen,
                refusal: row.refusal,
            })
        })
        .collect()
}
