//! How launches go that are under way.

use std::collections::BTreeMap;

use model::{BuilderState, FleetId, PoolName, condition::Launching, plan::CloudTrouble};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::builders::{builders_of, is_live};
use crate::{
    convert::{Row, readable},
    database::Tx,
    entity::builder,
    error::TxError,
};

/// How the launches of each pool go, of a fleet or of all. What clouds that are away said is theirs to tell.
pub(super) async fn launching(
    tx: &Tx,
    fleet: Option<FleetId>,
    away: &[CloudTrouble],
) -> Result<BTreeMap<PoolName, Launching>, TxError> {
    let of_fleet = || {
        let found = Condition::all().add(is_live());
        match fleet {
            Some(fleet) => found.add(builder::Column::Fleet.eq(fleet.0)),
            None => found,
        }
    };
    let is_in = |states: &[BuilderState]| {
        builder::Column::State.is_in(states.iter().copied().map(BuilderState::as_str))
    };
    let counts: Vec<(String, i64)> = builder::Entity::find()
        .select_only()
        .column(builder::Column::Pool)
        .column_as(builder::Column::Id.count(), "builders")
        .filter(of_fleet().add(is_in(&BuilderState::STARTING)))
        .group_by(builder::Column::Pool)
        .into_tuple()
        .all(&**tx)
        .await?;
    let counts = counts.into_iter().map(|(pool, starting)| {
        let starting = u32::try_from(starting).unwrap_or(u32::MAX);
        let none_refused = Launching {
            starting,
            ..Launching::default()
        };
        Ok((Row::new("builder", &pool).parse("pool", &pool)?, none_refused))
    });
    let mut launching: BTreeMap<PoolName, Launching> = readable(counts).collect();
    let asked = is_in(&[BuilderState::Planned, BuilderState::Launching]);
    for builder in builders_of(tx, of_fleet().add(asked)).await? {
        if away.iter().any(|trouble| trouble.cloud == builder.cloud) {
            continue;
        }
        if let (Some(refusal), Some(of_pool)) = (builder.refusal, launching.get_mut(&builder.pool)) {
            of_pool.refused = of_pool.refused.saturating_add(1);
            of_pool.refusal = Some(refusal);
        }
    }
    Ok(launching)
}
