//! How the last launches of pools went.

use std::collections::BTreeMap;

use model::{LaunchHistory, PoolName};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::{
    convert::{Row, moment, readable},
    database::Tx,
    entity::pool,
    error::{Result, TxError},
};

/// How a pool's launches went.
pub(super) fn history(row: &pool::Model) -> Result<LaunchHistory> {
    Ok(LaunchHistory {
        failures: Row::new("pool", &row.name).number("failures", row.failures)?,
        last_failure: moment(row.last_failure),
        last_reason: row.last_reason.clone(),
    })
}

/// How the launches of every pool of some fleets went, or only of those that are in a fleet file by now. Of pools of one name it is
/// the one with more failures.
pub(super) async fn histories(
    tx: &Tx,
    fleets: &[Uuid],
    only_present: bool,
) -> Result<BTreeMap<PoolName, LaunchHistory>, TxError> {
    let mut found = pool::Entity::find()
        .filter(pool::Column::Fleet.is_in(fleets.iter().copied()))
        .order_by_asc(pool::Column::Failures);
    if only_present {
        found = found.filter(pool::Column::CurrentHash.is_not_null());
    }
    let rows = found.all(&**tx).await?;
    let histories = rows.iter().map(|row| {
        Ok((
            Row::new("pool", &row.name).parse("name", &row.name)?,
            history(row)?,
        ))
    });
    Ok(readable(histories).collect())
}
