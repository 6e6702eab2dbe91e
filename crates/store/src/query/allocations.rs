//! Allocations from the worker's side: taking up, signs of life, taking over.

use std::collections::BTreeMap;

use model::{
    AttemptId, AttemptState, BuildId, BuildState, BuilderId, BuilderState, Epoch, Timestamp,
    builder::Deadlines,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select,
    sea_query::{Expr, ExprTrait as _},
};
use uuid::Uuid;

use super::{
    attempts,
    builders::builders_of,
    events::Entry,
    moves::{self, Move},
    verdict::{advance, lock_attempt, refresh_build, set_chroot},
};
use crate::{
    Allocation, AllocationState, Attempt, Builder, Page,
    convert::{Row, readable},
    database::{Store, Tx},
    entity::{allocation, attempt, build_chroot, builder},
    error::{Error, Result, TxError},
};

pub(super) fn actor(worker: &str) -> String {
    format!("worker:{worker}")
}

/// The row of an allocation that `worker` has taken up.
pub(super) async fn held(tx: &Tx, epoch: Epoch, worker: &str) -> Result<allocation::Model, TxError> {
    allocation::Entity::find_by_id(epoch.0)
        .filter(allocation::Column::State.eq(AllocationState::Accepted.as_str()))
        .filter(allocation::Column::Worker.eq(worker))
        .one(&**tx)
        .await?
        .ok_or_else(|| not_held(epoch, worker))
}

pub(super) fn not_held(epoch: Epoch, worker: &str) -> TxError {
    Error::conflict(format!("allocation {epoch} is not, or no longer, {worker}'s")).into()
}

/// Moves an allocation from one state to another, if it is there (and `worker`'s, where one is named).
pub(super) async fn move_allocation(
    tx: &Tx,
    epoch: i64,
    (from, worker): (AllocationState, Option<&str>),
    columns: allocation::ActiveModel,
) -> Result<bool, TxError> {
    let mut update = allocation::Entity::update_many()
        .set(columns)
        .filter(allocation::Column::Epoch.eq(epoch))
        .filter(allocation::Column::State.eq(from.as_str()));
    if let Some(worker) = worker {
        update = update.filter(allocation::Column::Worker.eq(worker));
    }
    Ok(update.exec(&**tx).await?.rows_affected == 1)
}

/// Gives busy builders more time, and a new version, so that nobody acts on an older look at their clocks.
pub(super) async fn extend(tx: &Tx, builders: &[Uuid], deadline: Timestamp) -> Result<(), TxError> {
    builder::Entity::update_many()
        .col_expr(builder::Column::Deadline, Expr::value(Some(deadline.as_micros())))
        .col_expr(
            builder::Column::Version,
            Expr::col(builder::Column::Version).add(1),
        )
        .filter(builder::Column::Id.is_in(builders.iter().copied()))
        .filter(builder::Column::State.eq(BuilderState::Busy.as_str()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// The allocations in a state that are not over: only they are in the index that this uses.
fn open(state: AllocationState) -> Select<allocation::Entity> {
    allocation::Entity::find()
        .filter(allocation::Column::State.eq(state.as_str()))
        .filter(allocation::Column::EndedAt.is_null())
}

/// Allocations with what they refer to. One whose rows cannot be read is left out, so that the others are served.
async fn views(tx: &Tx, query: Select<allocation::Entity>) -> Result<Vec<Allocation>, TxError> {
    let rows = query.order_by_asc(allocation::Column::Epoch).all(&**tx).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.attempt).collect();
    let attempts = attempts::load_each(tx, |query| query.filter(attempt::Column::Id.is_in(ids))).await?;
    let attempts: BTreeMap<AttemptId, Attempt> =
        readable(attempts.into_iter()).map(|it| (it.id, it)).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.builder).collect();
    let builders = builders_of(tx, Condition::all().add(builder::Column::Id.is_in(ids))).await?;
    let builders: BTreeMap<BuilderId, Builder> = builders.into_iter().map(|it| (it.id, it)).collect();
    let found = rows.into_iter().map(|row| {
        let at = Row::new("allocation", &row.epoch);
        let gone = |column: &str| {
            let why = format!("its {column} is gone or cannot be read");
            Error::corrupt("allocation", row.epoch, why)
        };
        let attempt = attempts.get(&AttemptId(row.attempt)).cloned();
        let builder = builders.get(&BuilderId(row.builder)).cloned();
        Ok(Allocation {
            epoch: Epoch(row.epoch),
            attempt: attempt.ok_or_else(|| gone("attempt"))?,
            builder: builder.ok_or_else(|| gone("builder"))?,
            state: at.parse("state", &row.state)?,
            worker: row.worker,
            renewed_at: Timestamp::from_micros(row.renewed_at),
            offered_at: Timestamp::from_micros(row.offered_at),
        })
    });
    Ok(readable(found).collect())
}

impl Store {
    /// Allocations that any worker may take up, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn offered_allocations(&self, limit: u64) -> Result<Vec<Allocation>> {
        self.read(
            |tx| async move { views(&tx, open(AllocationState::Offered).limit(Page::bounded(limit))).await },
        )
        .await
    }

    /// Allocations that workers have taken up, or only those of one worker, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn accepted_allocations(&self, worker: Option<&str>) -> Result<Vec<Allocation>> {
        self.read(|tx| async move {
            let mut query = open(AllocationState::Accepted).limit(Page::LONGEST);
            if let Some(worker) = worker {
                query = query.filter(allocation::Column::Worker.eq(worker));
            }
            views(&tx, query).await
        })
        .await
    }

    /// Allocations whose workers have given no sign of life since a moment, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn silent_allocations(&self, stale_before: Timestamp, limit: u64) -> Result<Vec<Allocation>> {
        self.read(|tx| async move {
            let query = open(AllocationState::Accepted)
                .filter(allocation::Column::RenewedAt.lt(stale_before.as_micros()))
                .limit(Page::bounded(limit));
            views(&tx, query).await
        })
        .await
    }

    /// Takes an offered allocation up: its builder is busy until `deadline`, its attempt runs.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when another worker was quicker or the offer is over.
    pub async fn accept_allocation(
        &self,
        epoch: Epoch,
        worker: &str,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let gone = || {
                TxError::from(Error::conflict(format!(
                    "allocation {epoch} is no longer offered"
                )))
            };
            let offered = allocation::Entity::find_by_id(epoch.0)
                .filter(allocation::Column::State.eq(AllocationState::Offered.as_str()))
                .one(&*tx)
                .await?
                .ok_or_else(gone)?;
            let row = lock_attempt(&tx, offered.attempt).await?;
            let columns = allocation::ActiveModel {
                state: Set(AllocationState::Accepted.as_str().to_owned()),
                worker: Set(Some(worker.to_owned())),
                renewed_at: Set(now.as_micros()),
                ..Default::default()
            };
            if !move_allocation(&tx, epoch.0, (AllocationState::Offered, None), columns).await? {
                return Err(gone());
            }
            occupy(
                &tx,
                BuilderId(offered.builder),
                &row,
                (&actor(worker), deadline, now),
            )
            .await?;
            let columns = attempt::ActiveModel {
                started_at: Set(Some(now.as_micros())),
                ..Default::default()
            };
            let why = format!("taken up by {worker}");
            let actor = actor(worker);
            advance(&tx, &row, AttemptState::Running, columns, (&actor, &why, now)).await?;
            let columns = build_chroot::ActiveModel {
                state: Set(BuildState::Running.as_str().to_owned()),
                started_at: Set(Some(now.as_micros())),
                ..Default::default()
            };
            set_chroot(&tx, &row, columns).await?;
            refresh_build(&tx, BuildId(row.build), (&actor, now)).await
        })
        .await
    }

    /// Makes an allocation another worker's: when its own gave no sign of life since `stale_before`, or when
    /// both are the same name, which is a worker that was started again. It has a new number then: whoever still acts under
    /// the old one, here or on the builder, is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when its worker lives, or it is no longer that worker's.
    pub async fn take_over_allocation(
        &self,
        epoch: Epoch,
        from_worker: &str,
        to_worker: &str,
        stale_before: Timestamp,
        now: Timestamp,
    ) -> Result<Epoch> {
        self.write(|tx| async move {
            let mut stale = Condition::any().add(allocation::Column::RenewedAt.lt(stale_before.as_micros()));
            if from_worker == to_worker {
                stale = Condition::all();
            }
            let updated = allocation::Entity::update_many()
                .set(allocation::ActiveModel {
                    state: Set(AllocationState::Fenced.as_str().to_owned()),
                    ended_at: Set(Some(now.as_micros())),
                    ..Default::default()
                })
                .filter(allocation::Column::Epoch.eq(epoch.0))
                .filter(allocation::Column::State.eq(AllocationState::Accepted.as_str()))
                .filter(allocation::Column::Worker.eq(from_worker))
                .filter(stale)
                .exec(&*tx)
                .await?;
            if updated.rows_affected != 1 {
                let what = format!("allocation {epoch} is not {from_worker}'s, or {from_worker} lives");
                return Err(Error::conflict(what).into());
            }
            let old = allocation::Entity::find_by_id(epoch.0).one(&*tx).await?;
            let old = old.ok_or_else(|| not_held(epoch, from_worker))?;
            let insert = allocation::Entity::insert(allocation::ActiveModel {
                epoch: NotSet,
                builder: Set(old.builder),
                attempt: Set(old.attempt),
                state: Set(AllocationState::Accepted.as_str().to_owned()),
                worker: Set(Some(to_worker.to_owned())),
                offered_at: Set(old.offered_at),
                renewed_at: Set(now.as_micros()),
                ended_at: Set(None),
            });
            let new = Epoch(insert.exec_with_returning(&*tx).await?.epoch);
            attempt::Entity::update_many()
                .col_expr(attempt::Column::Epoch, Expr::value(Some(new.0)))
                .filter(attempt::Column::Id.eq(old.attempt))
                .exec(&*tx)
                .await?;
            extend(&tx, &[old.builder], now.plus(Deadlines::USUAL.busy)).await?;
            let why = format!("taken over from {from_worker}, whose number was {epoch}");
            Entry::new("allocation", new, &actor(to_worker), &why)
                .on(Some(old.builder))
                .write(&tx, now);
            Ok(new)
        })
        .await
    }
}

/// A reserved builder becomes busy with an attempt, whose sandbox it has from now on.
async fn occupy(
    tx: &Tx,
    id: BuilderId,
    attempt: &attempt::Model,
    (actor, deadline, now): (&str, Timestamp, Timestamp),
) -> Result<(), TxError> {
    let row = builder::Entity::find_by_id(id.0).one(&**tx).await?;
    let row = row.ok_or_else(|| Error::not_found(format!("builder {id}")))?;
    if row.uses > 0 && (row.sandbox.is_none() || row.sandbox != attempt.sandbox) {
        return Err(Error::conflict(format!("builder {id} has run builds of another sandbox")).into());
    }
    let step = Move {
        builder: id,
        from: BuilderState::Reserved,
        to: BuilderState::Busy,
        version: Some(row.version),
        only_if: None,
        actor,
        reason: "an attempt runs",
        deadline: Some(deadline),
        columns: builder::ActiveModel {
            sandbox: Set(attempt.sandbox.clone()),
            uses: Set(row.uses.saturating_add(1)),
            // What nobody is known to have left there is for nobody.
            reusable_until: Set(row.reusable_until.filter(|_| attempt.sandbox.is_some())),
            ..Default::default()
        },
    };
    if moves::advance(tx, step, now).await? {
        return Ok(());
    }
    Err(Error::conflict(format!("builder {id} is no longer reserved")).into())
}
