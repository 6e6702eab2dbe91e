//! Strays that operators have left alone, whatever the lists of the clouds say of them.

use std::collections::BTreeMap;

use model::{
    FleetId, Timestamp,
    stray::{Disregard, Ignored},
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::events::Entry;
use crate::{convert::reason, database::Tx, entity::ignored_instance, error::TxError};

/// The strays of some fleets that operators have left alone, by fleet, cloud and instance.
pub(super) type AllIgnored = BTreeMap<(Uuid, String, String), Ignored>;

pub(super) async fn ignored(tx: &Tx, fleets: &[Uuid]) -> Result<AllIgnored, TxError> {
    let rows = ignored_instance::Entity::find()
        .filter(ignored_instance::Column::Fleet.is_in(fleets.iter().copied()))
        .all(&**tx)
        .await?;
    let ignored = rows.into_iter().map(|row| {
        let word = Ignored {
            by: row.ignored_by,
            why: row.why,
        };
        ((row.fleet, row.cloud, row.instance_id), word)
    });
    Ok(ignored.collect())
}

/// Forgets that an instance was left alone.
pub(super) async fn forget(tx: &Tx, fleet: FleetId, cloud: &str, instance: &str) -> Result<(), TxError> {
    ignored_instance::Entity::delete_by_id((fleet.0, cloud.to_owned(), instance.to_owned()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Has a stray left alone, or no longer.
pub(super) async fn set_disregard(
    tx: &Tx,
    fleet: FleetId,
    disregard: &Disregard,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    let Disregard { cloud, instance, .. } = disregard;
    // The word of another operator takes the place of the one before.
    forget(tx, fleet, cloud, instance).await?;
    let words = match &disregard.ignored {
        Some(ignored) => {
            ignored_instance::Entity::insert(ignored_instance::ActiveModel {
                fleet: Set(fleet.0),
                cloud: Set(cloud.clone()),
                instance_id: Set(instance.clone()),
                ignored_by: Set(reason(&ignored.by)),
                why: Set(reason(&ignored.why)),
                since: Set(now.as_micros()),
            })
            .exec_without_returning(&**tx)
            .await?;
            ignored.in_words()
        }
        None => "no longer ignored".to_owned(),
    };
    Entry::new("instance", instance, actor, &words).write(tx, now);
    Ok(())
}
