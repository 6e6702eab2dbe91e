//! How many calls may be made to clouds. Whoever makes one takes it here first, whichever process it is: one row for each cloud and
//! class, which is locked while it is counted. Nothing is written of clouds without a limit.

use std::collections::BTreeMap;

use model::{
    Timestamp,
    calls::{CallClass, CallCount, Level},
};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::OnConflict,
};
use uuid::Uuid;

use crate::{
    CallBudget, CallNews, TakenCalls,
    convert::{Row, moment, readable},
    database::{Store, Tx},
    entity::api_budget::{ActiveModel, Column, Entity, Model},
    error::{Error, Result, TxError},
};

/// What is left in buckets, by cloud and class.
pub(super) type Levels = BTreeMap<(String, CallClass), Level>;

fn level(row: &Model) -> Result<Level> {
    Ok(Level {
        tokens: row.tokens,
        at: Timestamp::from_micros(row.refilled_at),
        pace: Row::new("api_budget", &row.cloud).number("pace", row.pace)?,
        slowed_at: moment(row.slowed_at),
    })
}

/// What is left of the calls to a fleet's clouds. A row that cannot be read is left out, as if it were full.
pub(super) async fn levels(tx: &Tx, fleet: Uuid) -> Result<Levels, TxError> {
    let rows = Entity::find().filter(Column::Fleet.eq(fleet)).all(&**tx).await?;
    let levels = rows.into_iter().map(|row| {
        let class = Row::new("api_budget", &row.cloud).parse("class", &row.class)?;
        let level = level(&row)?;
        Ok(((row.cloud, class), level))
    });
    Ok(readable(levels).collect())
}

/// How many calls were made to the clouds of some fleets.
pub(super) async fn counts(tx: &Tx, fleets: &[Uuid]) -> Result<Vec<CallCount>, TxError> {
    let rows = Entity::find()
        .filter(Column::Fleet.is_in(fleets.iter().copied()))
        .order_by_asc(Column::Cloud)
        .order_by_asc(Column::Class)
        .all(&**tx)
        .await?;
    let counts = rows.into_iter().map(|row| {
        let of_row = Row::new("api_budget", &row.cloud);
        Ok(CallCount {
            class: of_row.parse("class", &row.class)?,
            taken: of_row.number("taken", row.taken)?,
            waited: of_row.number("waited", row.waited)?,
            throttled: of_row.number("throttled", row.throttled)?,
            cloud: row.cloud.clone(),
        })
    });
    Ok(readable(counts).collect())
}

/// The row of a budget, locked until the end of the transaction; a full one where there was none.
async fn locked(tx: &Tx, budget: &CallBudget<'_>, now: Timestamp) -> Result<Model, TxError> {
    let key = (budget.fleet.0, budget.cloud.to_owned(), budget.class.to_string());
    let find = || Entity::find_by_id(key.clone()).lock_exclusive();
    if let Some(row) = find().one(&**tx).await? {
        return Ok(row);
    }
    let full = Level::full(budget.bucket, now);
    let mut on_conflict = OnConflict::columns([Column::Fleet, Column::Cloud, Column::Class]);
    on_conflict.update_column(Column::Fleet);
    Entity::insert(ActiveModel {
        fleet: Set(budget.fleet.0),
        cloud: Set(budget.cloud.to_owned()),
        class: Set(budget.class.to_string()),
        tokens: Set(full.tokens),
        refilled_at: Set(full.at.as_micros()),
        pace: Set(i64::try_from(full.pace).unwrap_or(i64::MAX)),
        slowed_at: Set(None),
        taken: Set(0),
        waited: Set(0),
        throttled: Set(0),
    })
    .on_conflict(on_conflict)
    .exec_without_returning(&**tx)
    .await?;
    let row = find().one(&**tx).await?;
    Ok(row.ok_or_else(|| {
        Error::not_found(format!(
            "calls of the kind {} to cloud {}",
            budget.class, budget.cloud
        ))
    })?)
}

/// Writes down what is left, and what happened meanwhile.
async fn keep(tx: &Tx, row: Model, level: Level, (taken, news): (u32, CallNews)) -> Result<(), TxError> {
    Entity::update(ActiveModel {
        fleet: Unchanged(row.fleet),
        cloud: Unchanged(row.cloud),
        class: Unchanged(row.class),
        tokens: Set(level.tokens),
        refilled_at: Set(level.at.as_micros()),
        pace: Set(i64::try_from(level.pace).unwrap_or(i64::MAX)),
        slowed_at: Set(level.slowed_at.map(Timestamp::as_micros)),
        taken: Set(row.taken.saturating_add(i64::from(taken))),
        waited: Set(row.waited.saturating_add(i64::from(news.waited))),
        throttled: Set(row.throttled.saturating_add(i64::from(news.throttled))),
    })
    .exec(&**tx)
    .await?;
    Ok(())
}

impl Store {
    /// Takes calls from the budget that all processes share: so many, and up to `ahead` more of those that are left, or none. What
    /// is taken and never made is lost, and comes back with time. `news` is written down where calls are taken.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn take_calls(
        &self,
        budget: &CallBudget<'_>,
        (cost, ahead): (u32, u32),
        news: CallNews,
        now: Timestamp,
    ) -> Result<TakenCalls> {
        self.write(|tx| async move {
            let row = locked(&tx, budget, now).await?;
            match level(&row)?.take(budget.bucket, (cost, ahead), now) {
                Ok((left, taken)) => {
                    keep(&tx, row, left, (taken, news)).await?;
                    Ok(TakenCalls::Granted(taken))
                }
                Err(wait) => Ok(TakenCalls::Wait(wait)),
            }
        })
        .await
    }

    /// Counts calls that were made already.
    ///
    /// # Errors
    ///
    /// As [`Store::take_calls`].
    pub async fn charge_calls(&self, budget: &CallBudget<'_>, cost: u32, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let row = locked(&tx, budget, now).await?;
            let left = level(&row)?.charge(budget.bucket, cost, now);
            keep(&tx, row, left, (cost, CallNews::default())).await
        })
        .await
    }

    /// Writes down that the cloud asked for fewer calls, in answer to one that was made at `asked_at`: all processes make half as many
    /// from now on, and soon more again.
    ///
    /// # Errors
    ///
    /// As [`Store::take_calls`].
    pub async fn slow_calls(
        &self,
        budget: &CallBudget<'_>,
        asked_at: Timestamp,
        news: CallNews,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let row = locked(&tx, budget, now).await?;
            let left = level(&row)?.slowed(budget.bucket, asked_at, now);
            keep(&tx, row, left, (0, news)).await
        })
        .await
    }
}
