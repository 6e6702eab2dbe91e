//! A worker's signs of life: for all its allocations at once, however many it drives.

use std::collections::BTreeMap;

use model::{Epoch, Timestamp};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _, QuerySelect as _,
    sea_query::{CaseStatement, Expr, ExprTrait as _, SimpleExpr},
};
use uuid::Uuid;

use super::{allocations::extend, joins::allocation_to_attempt};
use crate::{
    AllocationState, Renewal,
    database::{Store, Tx},
    entity::{allocation, attempt},
    error::{Result, TxError},
};

/// How many allocations one transaction renews; databases bound the number of parameters.
const AT_ONCE: usize = 500;

/// The allocations among `epochs` that a worker holds.
fn held_by(worker: &str, epochs: &[Epoch]) -> Condition {
    Condition::all()
        .add(allocation::Column::Epoch.is_in(epochs.iter().map(|epoch| epoch.0)))
        .add(allocation::Column::State.eq(AllocationState::Accepted.as_str()))
        .add(allocation::Column::Worker.eq(worker))
}

/// A held allocation.
struct Held {
    epoch: Epoch,
    builder: Uuid,
    attempt: Uuid,
    log_bytes: i64,
    cancel_requested: bool,
}

async fn held(tx: &Tx, worker: &str, epochs: &[Epoch]) -> Result<Vec<Held>, TxError> {
    let rows: Vec<(i64, Uuid, Uuid, i64, bool)> = allocation::Entity::find()
        .select_only()
        .columns([
            allocation::Column::Epoch,
            allocation::Column::Builder,
            allocation::Column::Attempt,
        ])
        .columns([attempt::Column::LogBytes, attempt::Column::CancelRequested])
        .join(JoinType::InnerJoin, allocation_to_attempt())
        .filter(held_by(worker, epochs))
        .into_tuple()
        .all(&**tx)
        .await?;
    let held = rows
        .into_iter()
        .map(|(epoch, builder, attempt, log_bytes, cancel_requested)| Held {
            epoch: Epoch(epoch),
            builder,
            attempt,
            log_bytes,
            cancel_requested,
        });
    Ok(held.collect())
}

fn answers(epochs: &[Epoch], held: &[Held]) -> BTreeMap<Epoch, Renewal> {
    let mut answers: BTreeMap<Epoch, Renewal> = epochs.iter().map(|epoch| (*epoch, Renewal::Lost)).collect();
    for one in held {
        let renewal = if one.cancel_requested {
            Renewal::CancelWanted
        } else {
            Renewal::Held
        };
        answers.insert(one.epoch, renewal);
    }
    answers
}

/// Writes down how much of their logs is stored, where that has changed.
async fn keep_log_sizes(tx: &Tx, held: &[Held], sizes: &BTreeMap<Epoch, i64>) -> Result<(), TxError> {
    let mut size = CaseStatement::new();
    let mut grown = Vec::new();
    for one in held {
        if let Some(now) = sizes.get(&one.epoch).filter(|now| **now != one.log_bytes) {
            size = size.case(Expr::col(attempt::Column::Id).eq(one.attempt), Expr::value(*now));
            grown.push(one.attempt);
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    let size: SimpleExpr = size.finally(Expr::col(attempt::Column::LogBytes)).into();
    attempt::Entity::update_many()
        .col_expr(attempt::Column::LogBytes, size)
        .filter(attempt::Column::Id.is_in(grown))
        .exec(&**tx)
        .await?;
    Ok(())
}

impl Store {
    /// A worker's sign of life for all that it drives, with how many bytes of each log are stored: the builders are busy
    /// until `deadline`. How each allocation stands, for every one that was asked for.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::NoSpace`].
    pub async fn renew_allocations(
        &self,
        worker: &str,
        log_bytes: &BTreeMap<Epoch, i64>,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<BTreeMap<Epoch, Renewal>> {
        let epochs: Vec<Epoch> = log_bytes.keys().copied().collect();
        let mut all = BTreeMap::new();
        for some in epochs.chunks(AT_ONCE) {
            let answers = self
                .write(|tx| async move {
                    // The builds' ends lock their allocations too: taken first, nobody's end comes in between.
                    allocation::Entity::update_many()
                        .col_expr(allocation::Column::RenewedAt, Expr::value(now.as_micros()))
                        .filter(held_by(worker, some))
                        .exec(&*tx)
                        .await?;
                    let held = held(&tx, worker, some).await?;
                    keep_log_sizes(&tx, &held, log_bytes).await?;
                    let builders: Vec<Uuid> = held.iter().map(|one| one.builder).collect();
                    extend(&tx, &builders, deadline).await?;
                    Ok(answers(some, &held))
                })
                .await?;
            all.extend(answers);
        }
        Ok(all)
    }

    /// How allocations of a worker stand, without a sign of life: it writes nothing.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn look_at_allocations(
        &self,
        worker: &str,
        epochs: &[Epoch],
    ) -> Result<BTreeMap<Epoch, Renewal>> {
        let mut all = BTreeMap::new();
        for some in epochs.chunks(AT_ONCE) {
            let held = self
                .read(|tx| async move { held(&tx, worker, some).await })
                .await?;
            all.extend(answers(some, &held));
        }
        Ok(all)
    }
}
