//! Instances with our tag that no builder has. One list says little, since lists lag and lie: what counts is
//! in how many lists in a row an instance was, and since when.

use std::collections::BTreeMap;

use model::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{OnConflict, Query},
};

use super::{builders::is_live, events::Entry, leases::check_lease};
use crate::{
    Lease, Orphan, Page, Sighting,
    convert::{Row, check_text, reason},
    database::{Store, Tx},
    entity::{builder, sighting},
    error::{Failure, Result},
};

/// How long an instance that is gone is remembered.
const REMEMBER: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

impl Store {
    /// Writes down which instances without a builder a cloud's list held, all of them.
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
                .filter(sighting::Column::Cloud.eq(cloud))
                .all(&*tx)
                .await?;
            if known.is_empty() && seen.is_empty() {
                return Ok(());
            }
            let known: BTreeMap<String, sighting::Model> = known
                .into_iter()
                .map(|row| (row.instance_id.clone(), row))
                .collect();
            sighting::Entity::update_many()
                .set(sighting::ActiveModel {
                    is_present: Set(false),
                    ..Default::default()
                })
                .filter(sighting::Column::Cloud.eq(cloud))
                .exec(&*tx)
                .await?;
            for sighting in seen {
                let before = known.get(&sighting.instance_id).filter(|row| row.is_present);
                sighting::Entity::insert(sighting::ActiveModel {
                    cloud: Set(cloud.to_owned()),
                    instance_id: Set(sighting.instance_id.clone()),
                    state: Set(sighting.state.clone()),
                    first_at: Set(before.map_or(now.as_micros(), |row| row.first_at)),
                    last_at: Set(now.as_micros()),
                    times_seen: Set(before.map_or(1, |row| row.times_seen.saturating_add(1))),
                    is_present: Set(true),
                    refusal: Set(before.and_then(|row| row.refusal.clone())),
                })
                .on_conflict(
                    OnConflict::columns([sighting::Column::Cloud, sighting::Column::InstanceId])
                        .update_columns([
                            sighting::Column::State,
                            sighting::Column::FirstAt,
                            sighting::Column::LastAt,
                            sighting::Column::TimesSeen,
                            sighting::Column::IsPresent,
                            sighting::Column::Refusal,
                        ])
                        .to_owned(),
                )
                .exec_without_returning(&*tx)
                .await?;
            }
            sighting::Entity::delete_many()
                .filter(sighting::Column::Cloud.eq(cloud))
                .filter(sighting::Column::IsPresent.eq(false))
                .filter(sighting::Column::LastAt.lt(now.minus(REMEMBER).as_micros()))
                .exec(&*tx)
                .await?;
            Ok(())
        })
        .await
    }

    /// Writes down that a cloud refuses to end an orphan, and why.
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
            let updated = sighting::Entity::update_many()
                .set(sighting::ActiveModel {
                    refusal: Set(Some(refusal.clone())),
                    ..Default::default()
                })
                .filter(sighting::Column::Cloud.eq(cloud))
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

    /// The instances of the clouds' latest lists, or of one cloud's, that no live builder has, those seen first first.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn orphans(&self, cloud: Option<&str>) -> Result<Vec<Orphan>> {
        self.read(|tx| async move { orphans_in(&tx, cloud).await }).await
    }
}

/// Those of [`Store::orphans`].
pub(super) async fn orphans_in(tx: &Tx, cloud: Option<&str>) -> Result<Vec<Orphan>, Failure> {
    let mut owned = Query::select();
    owned
        .column(builder::Column::InstanceId)
        .from(builder::Entity)
        .and_where(builder::Column::InstanceId.is_not_null())
        .and_where(is_live());
    let mut found = sighting::Entity::find()
        .filter(sighting::Column::IsPresent.eq(true))
        .filter(sighting::Column::InstanceId.not_in_subquery(owned))
        .order_by_asc(sighting::Column::FirstAt)
        .limit(Page::LONGEST);
    if let Some(cloud) = cloud {
        found = found.filter(sighting::Column::Cloud.eq(cloud));
    }
    let rows = found.all(&**tx).await?;
    rows.into_iter()
        .map(|row| {
            let times_seen = Row::new("sighting", &row.instance_id).number("times_seen", row.times_seen)?;
            Ok(Orphan {
                cloud: row.cloud,
                instance_id: row.instance_id,
                state: row.state,
                first_at: Timestamp::from_micros(row.first_at),
                last_at: Timestamp::from_micros(row.last_at),
                times_seen,
                refusal: row.refusal,
            })
        })
        .collect()
}
