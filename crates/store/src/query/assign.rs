//! Giving a ready builder to a waiting attempt.

use model::{AttemptId, AttemptState, BuildId, BuildState, BuilderState, Epoch, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _},
};

use super::{
    events::Entry,
    leases::check_lease,
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
    let updated = builder::Entity::update_many()
        .set(builder::ActiveModel {
            state: Set(BuilderState::Reserved.as_str().to_owned()),
            reason: Set(Some(why.to_owned())),
            entered_at: Set(now.as_micros()),
            deadline: Set(Some(deadline.as_micros())),
            ..Default::default()
        })
        .col_expr(
            builder::Column::Version,
            Expr::col(builder::Column::Version).add(1),
        )
        .filter(builder::Column::Id.eq(builder.id.0))
        .filter(builder::Column::Version.eq(builder.version))
        .filter(builder::Column::State.eq(BuilderState::Ready.as_str()))
        .filter(builder::Column::Cordoned.eq(false))
        .exec(&**tx)
        .await?;
    if updated.rows_affected != 1 {
        let what = format!(
            "builder {} with version {} is no longer free",
            builder.id, builder.version
        );
        return Err(Error::conflict(what).into());
    }
    Entry::of_builder(builder.id, ACTOR, why)
        .states(
            Some(BuilderState::Ready.as_str()),
            BuilderState::Reserved.as_str(),
        )
        .write(tx, now);
    Ok(())
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
