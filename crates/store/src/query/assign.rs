//! Giving a ready builder to a waiting attempt.

use model::{AttemptId, AttemptState, BuildId, BuildState, BuilderState, Epoch, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _,
};

use super::{
    leases::check_lease,
    moves::{self, Move},
    verdict::{advance, lock_attempt, lock_builds_of, refresh_build, set_chroot, state_of},
};
use crate::{
    AllocationState, Builder, Lease,
    convert::or_conflict,
    database::{Store, Tx},
    entity::{allocation, attempt, build_chroot, builder},
    error::{Error, Result, TxError},
};

const ACTOR: &str = "controller";
/// How many assignments share a transaction, which keeps other writers of SQLite waiting for as long as it takes.
const AT_ONCE: usize = 50;

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

/// An attempt that waits, and the ready builder that it gets.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    pub attempt: AttemptId,
    /// As it was looked at.
    pub builder: &'a Builder,
    /// Until when a worker has to take it up.
    pub deadline: Timestamp,
}

async fn assign(tx: &Tx, wanted: Assignment<'_>, now: Timestamp) -> Result<Epoch, TxError> {
    let Assignment {
        attempt,
        builder,
        deadline,
    } = wanted;
    let row = lock_attempt(tx, attempt.0).await?;
    if state_of(&row)? != AttemptState::Waiting {
        return Err(Error::conflict(format!("attempt {attempt} does not wait any more")).into());
    }
    let own = builder.sandbox.as_ref();
    if own.is_some_and(|own| row.sandbox.as_deref() != Some(own.as_str())) {
        let what = format!(
            "builder {} is for other builds than attempt {attempt}",
            builder.id
        );
        return Err(Error::conflict(what).into());
    }
    reserve(tx, builder, &format!("for attempt {attempt}"), deadline, now).await?;
    let epoch = offer(tx, attempt, builder, now).await?;
    let columns = attempt::ActiveModel {
        epoch: Set(Some(epoch.0)),
        builder: Set(Some(builder.id.0)),
        waiting_reason: Set(None),
        ..Default::default()
    };
    let why = format!("builder {} is reserved for it", builder.id);
    advance(tx, &row, AttemptState::Assigned, columns, (ACTOR, &why, now)).await?;
    let columns = build_chroot::ActiveModel {
        state: Set(BuildState::Starting.as_str().to_owned()),
        ..Default::default()
    };
    set_chroot(tx, &row, columns).await?;
    refresh_build(tx, BuildId(row.build), (ACTOR, now)).await?;
    Ok(epoch)
}

/// Whether a failure is of one assignment: it lost a race, or its rows cannot be read.
const fn is_of_one(error: &Error) -> bool {
    matches!(error, Error::Conflict { .. } | Error::NotFound { .. }) || error.is_of_one_row()
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
        let wanted = Assignment {
            attempt,
            builder,
            deadline,
        };
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            assign(&tx, wanted, now).await
        })
        .await
    }

    /// [`Store::assign`] for many, in few transactions: each is durable, which is what most of the time goes to. What came of
    /// each, in their order; one that lost a race, or whose rows cannot be read, keeps nothing from the others.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`], and when the database does not answer; what was given by then stays given.
    pub async fn assign_all(
        &self,
        lease: &Lease,
        wanted: &[Assignment<'_>],
        now: Timestamp,
    ) -> Result<Vec<Result<Epoch>>> {
        let mut given = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(AT_ONCE) {
            let together = self.write(|tx| async move {
                check_lease(&tx, lease).await?;
                let attempts: Vec<AttemptId> = some.iter().map(|one| one.attempt).collect();
                lock_builds_of(&tx, &attempts).await?;
                let mut epochs = Vec::with_capacity(some.len());
                for one in some {
                    epochs.push(assign(&tx, *one, now).await?);
                }
                Ok(epochs)
            });
            match together.await {
                Ok(epochs) => given.extend(epochs.into_iter().map(Ok)),
                // Nothing of these was done: one by one, the others get theirs.
                Err(error) if is_of_one(&error) => {
                    for one in some {
                        let alone = self
                            .assign(lease, one.attempt, one.builder, one.deadline, now)
                            .await;
                        match alone {
                            Err(error) if !is_of_one(&error) => return Err(error),
                            alone => given.push(alone),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(given)
    }
}
