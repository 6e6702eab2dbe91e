//! Instances without a builder that operators name: each becomes a builder by a single transaction.

use model::{
    BuilderId, BuilderState, FleetId, LaunchId, Timestamp,
    intent::{Intent, IntentState},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use super::{
    builders::{in_order, new_row},
    events::Entry,
    ignored::forget,
    leases::check_lease,
};
use crate::{
    Adoption, Lease,
    convert::{check_text, or_conflict, reason, to_json},
    database::{Store, Tx},
    entity::{builder, intent, launch_attempt, sighting},
    error::{Error, Result, TxError},
};

/// Notes which builder an intent has made of its instance, where it has not made one already.
async fn bind(tx: &Tx, lease: &Lease, looked_at: &Intent, adoption: &Adoption) -> Result<(), TxError> {
    let updated = intent::Entity::update_many()
        .set(intent::ActiveModel {
            builders: Set(to_json("builders", &[adoption.builder.id])?),
            words: Set(reason(&adoption.builder.reason)),
            ..Default::default()
        })
        .filter(intent::Column::Fleet.eq(lease.fleet.0))
        .filter(intent::Column::Key.eq(looked_at.key.as_str()))
        .filter(intent::Column::State.eq(IntentState::Running.as_str()))
        .filter(intent::Column::Builders.eq("[]"))
        .exec(&**tx)
        .await?;
    match updated.rows_affected {
        1 => Ok(()),
        _ => Err(Error::conflict(format!("intent {} has come further", looked_at.key)).into()),
    }
}

/// Refuses an instance that the cloud may have been told to end.
async fn check_that_it_is_not_ending(tx: &Tx, lease: &Lease, adoption: &Adoption) -> Result<(), TxError> {
    let key = (
        lease.fleet.0,
        adoption.builder.cloud.clone(),
        adoption.instance_id.clone(),
    );
    let seen = sighting::Entity::find_by_id(key).one(&**tx).await?;
    match seen.and_then(|seen| seen.ending_since) {
        None => Ok(()),
        Some(_) => Err(Error::conflict(format!("instance {} is being ended", adoption.instance_id)).into()),
    }
}

impl Store {
    /// Makes a builder of an instance that is there already, for an intent that wants it: from then on it is as one whose launch
    /// was answered.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the intent has come further, when another live builder has the instance, or
    /// when the instance is being ended; [`Error::Invalid`].
    pub async fn adopt(
        &self,
        lease: &Lease,
        looked_at: &Intent,
        adoption: &Adoption,
        now: Timestamp,
    ) -> Result<()> {
        let Adoption {
            builder: new,
            instance_id,
            host_key,
            offering,
        } = adoption;
        check_text("instance id", instance_id)?;
        check_text("host key", host_key)?;
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            bind(&tx, lease, looked_at, adoption).await?;
            check_that_it_is_not_ending(&tx, lease, adoption).await?;
            let insert = builder::Entity::insert(builder::ActiveModel {
                state: Set(BuilderState::Pending.as_str().to_owned()),
                instance_id: Set(Some(instance_id.clone())),
                host_key: Set(Some(host_key.clone())),
                offering: Set(offering.as_ref().map(ToString::to_string)),
                ..new_row(lease.fleet, new, now)
            });
            or_conflict(insert.exec_without_returning(&*tx).await, || {
                format!("instance {instance_id} is another builder's")
            })?;
            forget(&tx, lease.fleet, &new.cloud, instance_id).await?;
            Entry::of_builder(new.id, &looked_at.actor, &new.reason)
                .states(None, BuilderState::Pending.as_str())
                .detail(serde_json::json!({"pool": new.pool, "instance": instance_id}))
                .write(&tx, now);
            Ok(())
        })
        .await
    }

    /// The host key that an instance was given when the farm launched it, as far as that is on record: that of the last builder
    /// which had the instance, or of the one that its tags name, where the launch of its tags was that builder's last one.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Invalid`].
    pub async fn key_of_instance(
        &self,
        fleet: FleetId,
        (cloud, instance_id): (&str, &str),
        tagged: Option<(BuilderId, LaunchId)>,
    ) -> Result<Option<String>> {
        check_text("instance id", instance_id)?;
        self.read(|tx| async move {
            let of_fleet = || {
                Condition::all()
                    .add(builder::Column::Fleet.eq(fleet.0))
                    .add(builder::Column::Cloud.eq(cloud))
                    .add(builder::Column::HostKey.is_not_null())
            };
            let had_it = builder::Entity::find()
                .filter(of_fleet())
                .filter(builder::Column::InstanceId.eq(instance_id))
                .order_by_desc(builder::Column::CreatedAt)
                .one(&*tx)
                .await?;
            if let Some(row) = had_it {
                return Ok(row.host_key);
            }
            let Some((id, launch)) = tagged else {
                return Ok(None);
            };
            // Each launch has a key of its own, and only that of the last one is kept.
            let launches = launch_attempt::Entity::find()
                .filter(launch_attempt::Column::Builder.eq(id.0))
                .all(&*tx)
                .await?;
            if in_order(launches).last().map(|last| last.id) != Some(launch.0) {
                return Ok(None);
            }
            let meant = builder::Entity::find()
                .filter(of_fleet())
                .filter(builder::Column::Id.eq(id.0))
                .one(&*tx)
                .await?;
            Ok(meant.and_then(|row| row.host_key))
        })
        .await
    }
}
