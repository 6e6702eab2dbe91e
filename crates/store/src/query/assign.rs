//! Giving a ready builder to a waiting attempt.

use model::{AttemptId, AttemptState, BuildId, BuildState, BuilderState, Epoch, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _,
};

use super::{
    leases::check_lease,
    moves::{self, Move},
    verdict::{advance, lock_attempt, refresh_build, set_chroot, state_of},
};
use crate::{
    AllocationState, Builder, Lease,
    convert::or_conflict,
    database::{Store, Tx},
    entity::{allocation, attempt, build_chroot, builder},
    error::{Error, Result, TxError},
};

const ACTOR: &str = "controller";

async fn reserve(
    tx: &Tx,
    builder: &Builder,
    why: &str,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<(), TxError> {
    let step = Move {
        builder: builder.id,
        from: BuilderState::Ready,
        to: BuilderState::Reserved,
        version: Some(builder.version),
        // A cordon is no move: the version does not tell of it.
        only_if: Some(builder::Column::Cordoned.eq(false)),
        actor: ACTOR,
        reason: why,
        deadline: Some(deadline),
        columns: builder::ActiveModel::default(),
    };
    if moves::advance(tx, step, now).await? {
        return Ok(());
    }
    let what = format!(
        "builder {} with version {} is no longer free",
        builder.id, builder.version
    );
    Err(Error::conflict(what).into())
}

async fn offer(tx: &Tx, attempt: AttemptId, builder: &Builder, now: Timestamp) -> Result<Epoch, TxError> {
    let insert = allocation::Entity::insert(allocation::ActiveModel {
        epoch: NotSet,
        builder: Set(builder.id.0),
        attempt: Set(attempt.0),
        state: Set(AllocationState::Offered.as_str().to_owned()),
        worker: Set(None),
        offered_at: Set(now.as_micros()),
        renewed_at: Set(now.as_micros()),
        ended_at: Set(None),
    });
    let row = or_conflict(insert.exec_with_returning(&**tx).await, || {
        format!("builder {} or attempt {attempt} is allocated already", builder.id)
    })?;
    Ok(Epoch(row.epoch))
}

impl Store {
    /// Gives a ready builder that was looked at to an attempt that waits. A worker has to take it up until
    /// `deadline`. Of several who try, one wins.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the builder or the attempt is no longer free;
    /// [`Error::NotFound`] when there is no such attempt.
    pub async fn assign(
        &self,
        lease: &Lease,
        attempt: AttemptId,
        builder: &Builder,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Epoch> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let row = lock_attempt(&tx, attempt.0).await?;
            if state_of(&row)? != AttemptState::Waiting {
                return Err(Error::conflict(format!("attempt {attempt} does not wait any more")).into());
            }
            if builder
                .sandbox
                .as_ref()
                .is_some_and(|own| row.sandbox.as_deref() != Some(own.as_str()))
            {
                let what = format!(
                    "builder {} is for other builds than attempt {attempt}",
                    builder.id
                );
                return Err(Error::conflict(what).into());
            }
            reserve(&tx, builder, &format!("for attempt {attempt}"), deadline, now).await?;
            let epoch = offer(&tx, attempt, builder, now).await?;
            let columns = attempt::ActiveModel {
                epoch: Set(Some(epoch.0)),
                builder: Set(Some(builder.id.0)),
                waiting_reason: Set(None),
                ..Default::default()
            };
            let why = format!("builder {} is reserved for it", builder.id);
            advance(&tx, &row, AttemptState::Assigned, columns, (ACTOR, &why, now)).await?;
            let columns = build_chroot::ActiveModel {
                state: Set(BuildState::Starting.as_str().to_owned()),
                ..Default::default()
            };
            set_chroot(&tx, &row, columns).await?;
            refresh_build(&tx, BuildId(row.build), (ACTOR, now)).await?;
            Ok(epoch)
        })
        .await
    }
}
