//! Moves that the controller decides on, with what follows from them: for the attempt that a builder leaves, for the launch
//! that is answered, and for the history of its pool's launches.

use model::{
    AttemptId, AttemptState, Blame, BuildId, BuilderState, FleetId, LaunchHistory, Timestamp, UseEnd,
    is_looked_at,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, sea_query::OnConflict,
};

use super::{
    builders::builder_of,
    events::Entry,
    finish::{after_use, fence, open_allocation, withdraw},
    histories::history,
    hooks::write_down,
    hosts::{host_history, set_host_history},
    leases::check_lease,
    marks::notice_of,
    money::note_end,
    moves::{Move, advance},
    shortages::note_answer,
    verdict::{End, lock_attempt},
};
use crate::{
    AllocationState, Builder, Change, Lease,
    convert::reason,
    database::{Store, Tx},
    entity::{allocation, attempt, builder, launch_attempt, pool},
    error::{Error, Result, TxError},
};

const ACTOR: &str = "controller";

/// Moves a builder that was looked at. `columns` is what becomes of its row besides what the change says.
pub(super) async fn move_builder(
    tx: &Tx,
    builder: &Builder,
    to: BuilderState,
    (change, mut columns): (&Change, builder::ActiveModel),
    now: Timestamp,
) -> Result<(), TxError> {
    if change.instance_id.is_some() {
        columns.instance_id = Set(change.instance_id.clone());
    }
    if change.address.is_some() {
        columns.address = Set(change.address.clone());
    }
    if is_looked_at(builder.state, to) {
        columns.reusable_until = Set(change.reusable_until.map(Timestamp::as_micros));
    }
    if change.baseline.is_some() {
        columns.baseline = Set(change.baseline.clone());
    }
    let step = Move {
        builder: builder.id,
        from: builder.state,
        to,
        version: Some(builder.version),
        only_if: None,
        actor: ACTOR,
        reason: &change.reason,
        deadline: change.deadline,
        columns,
    };
    if advance(tx, step, now).await? {
        return Ok(());
    }
    let what = format!(
        "builder {} is no longer {} with version {}",
        builder.id, builder.state, builder.version
    );
    Err(Error::conflict(what).into())
}

async fn close_launch(tx: &Tx, builder: &Builder, change: &Change, now: Timestamp) -> Result<(), TxError> {
    let Some(answer) = change.launch_answer else {
        return Ok(());
    };
    launch_attempt::Entity::update_many()
        .set(launch_attempt::ActiveModel {
            outcome: Set(Some(reason(&change.reason))),
            answer: Set(Some(answer.as_str().to_owned())),
            answered_at: Set(Some(now.as_micros())),
            instance_id: Set(change.instance_id.clone()),
            ..Default::default()
        })
        .filter(launch_attempt::Column::Builder.eq(builder.id.0))
        .filter(launch_attempt::Column::Outcome.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Remembers how a pool's launches go: how many builders in a row were given up before they were ever ready, and why the
/// last one was. One that the cloud took back was none of the pool's.
async fn note_launch(
    tx: &Tx,
    fleet: FleetId,
    builder: &Builder,
    to: BuilderState,
    change: &Change,
    now: Timestamp,
) -> Result<(), TxError> {
    let is_given_up = !change.is_excused
        && builder.ready_at.is_none()
        && BuilderState::STARTING.contains(&builder.state)
        && matches!(
            to,
            BuilderState::Abandoned | BuilderState::Terminating | BuilderState::Draining
        );
    let went_well = LaunchHistory::went_well(builder.state, to, builder.ready_at.is_some());
    // What an operator brought says nothing of the pool's own launches.
    if !is_given_up && !went_well || builder.is_adopted() {
        return Ok(());
    }
    if let Some(host) = &builder.host {
        let before = host_history(tx, fleet, host).await?.unwrap_or_default();
        let after = after_launch(&before, is_given_up, builder, change, now);
        return match after == before {
            true => Ok(()),
            false => set_host_history(tx, fleet, host, after).await,
        };
    }
    let row = pool::Entity::find_by_id((fleet.0, builder.pool.to_string()))
        .lock_exclusive()
        .one(&**tx)
        .await?;
    let before = row.as_ref().map(history).transpose()?.unwrap_or_default();
    let after = after_launch(&before, is_given_up, builder, change, now);
    if row.is_some() && after == before {
        return Ok(());
    }
    let mut on_conflict = OnConflict::columns([pool::Column::Fleet, pool::Column::Name]);
    on_conflict.update_columns([
        pool::Column::Failures,
        pool::Column::LastFailure,
        pool::Column::LastReason,
    ]);
    pool::Entity::insert(pool::ActiveModel {
        fleet: Set(fleet.0),
        name: Set(builder.pool.to_string()),
        current_hash: Set(None),
        failures: Set(i64::from(after.failures)),
        last_failure: Set(after.last_failure.map(Timestamp::as_micros)),
        last_reason: Set(after.last_reason),
        ..Default::default()
    })
    .on_conflict(on_conflict)
    .exec_without_returning(&**tx)
    .await?;
    Ok(())
}

/// The history after one more builder was given up, or got ready.
fn after_launch(
    before: &LaunchHistory,
    is_given_up: bool,
    builder: &Builder,
    change: &Change,
    now: Timestamp,
) -> LaunchHistory {
    if is_given_up {
        return before.after_failure(builder.created_at, &reason(&change.reason), now);
    }
    LaunchHistory {
        failures: 0,
        ..before.clone()
    }
}

/// A builder that leaves its attempt: nobody may act for the attempt any more, and another one follows.
async fn take_attempt_away(
    tx: &Tx,
    builder: &Builder,
    change: &Change,
    now: Timestamp,
) -> Result<(), TxError> {
    if !matches!(builder.state, BuilderState::Reserved | BuilderState::Busy) {
        return Ok(());
    }
    let is_its = allocation::Column::Builder.eq(builder.id.0);
    let Some(found) = open_allocation(tx, is_its.clone()).await? else {
        return Ok(());
    };
    let attempt = lock_attempt(tx, found.attempt).await?;
    // Looked at again under the lock: its worker may have handed the end in meanwhile.
    let Some(found) = open_allocation(tx, is_its).await? else {
        return Ok(());
    };
    if found.state == AllocationState::Offered.as_str() && !attempt.cancel_requested {
        return withdraw(tx, &found, &attempt, (ACTOR, &change.reason, now)).await;
    }
    let notice = match change.is_excused {
        true => None,
        false => notice_of(tx, builder.id).await?,
    };
    let why = match &notice {
        Some(notice) => format!("{}; {}", notice.in_words(), change.reason),
        None => change.reason.clone(),
    };
    let lost = End {
        excused: change.is_excused || notice.is_some(),
        ..End::new(AttemptState::Lost, None, &why)
    };
    fence(tx, &found, &attempt, lost, (ACTOR, now)).await
}

/// What was lost with a machine that its cloud took back counts as no try, also where its worker gave the machine up before
/// the cloud's word came.
async fn excuse_what_was_lost(
    tx: &Tx,
    builder: &Builder,
    change: &Change,
    now: Timestamp,
) -> Result<(), TxError> {
    if !change.is_excused || matches!(builder.state, BuilderState::Reserved | BuilderState::Busy) {
        return Ok(());
    }
    let last = allocation::Entity::find()
        .filter(allocation::Column::Builder.eq(builder.id.0))
        .order_by_desc(allocation::Column::Epoch)
        .one(&**tx)
        .await?;
    let Some(last) = last else { return Ok(()) };
    let Some(attempt) = attempt::Entity::find_by_id(last.attempt).one(&**tx).await? else {
        return Ok(());
    };
    // One that was the last has failed for good, and its build is over.
    let is_lost = attempt.state == AttemptState::Lost.as_str()
        && attempt.blame.as_deref() == Some(Blame::Infrastructure.as_str());
    if !is_lost {
        return Ok(());
    }
    let _build = lock_attempt(tx, attempt.id).await?;
    attempt::Entity::update_many()
        .set(attempt::ActiveModel {
            blame: Set(None),
            reason: Set(Some(reason(&change.reason))),
            excused: Set(true),
            ..Default::default()
        })
        .filter(attempt::Column::Id.eq(attempt.id))
        .exec(&**tx)
        .await?;
    let why = format!("it counts as no try: {}", change.reason);
    Entry::of_attempt(AttemptId(attempt.id), BuildId(attempt.build), ACTOR, &why).write(tx, now);
    Ok(())
}

/// The change by which a builder is held that was to be drained after a use, where an operator wants that; `None` where it goes as
/// the controller says.
async fn held_instead(
    tx: &Tx,
    builder: &Builder,
    (to, change): (BuilderState, &Change),
    now: Timestamp,
) -> Result<Option<Change>, TxError> {
    let ends_a_use = matches!(builder.state, BuilderState::Busy | BuilderState::Cleaning);
    if !ends_a_use || to != BuilderState::Draining || change.is_gone {
        return Ok(None);
    }
    let next = after_use(tx, builder.id, (UseEnd::Forsaken, &change.reason), now).await?;
    Ok((next.to == BuilderState::Held).then(|| Change {
        reason: next.why,
        deadline: Some(next.deadline),
        // Those were of the turn that it does not come to.
        hooks: Vec::new(),
        ..change.clone()
    }))
}

impl Store {
    /// Moves a builder that was looked at to another state. One that leaves `reserved` or `busy` loses its
    /// attempt in the same transaction. One whose use ends without an end that anybody handed in is held instead of drained where an
    /// operator wants that.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the builder changed since it was looked at, or the
    /// instance is another's; [`Error::Invalid`] for a move that builders do not make, or that belongs to
    /// [`Store::begin_launch`], [`Store::assign`] or [`Store::accept_allocation`].
    pub async fn transition(
        &self,
        lease: &Lease,
        builder: &Builder,
        to: BuilderState,
        change: &Change,
        now: Timestamp,
    ) -> Result<Builder> {
        if matches!(
            to,
            BuilderState::Launching | BuilderState::Reserved | BuilderState::Busy
        ) {
            return Err(Error::invalid(format!(
                "a builder does not become {to} by itself"
            )));
        }
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let held = held_instead(&tx, builder, (to, change), now).await?;
            let (to, change) = match &held {
                Some(held) => (BuilderState::Held, held),
                None => (to, change),
            };
            take_attempt_away(&tx, builder, change, now).await?;
            excuse_what_was_lost(&tx, builder, change, now).await?;
            move_builder(&tx, builder, to, (change, builder::ActiveModel::default()), now).await?;
            Box::pin(write_down(&tx, lease.fleet, builder.id, &change.hooks, now)).await?;
            close_launch(&tx, builder, change, now).await?;
            Box::pin(note_end(&tx, lease.fleet, builder, to, now)).await?;
            note_launch(&tx, lease.fleet, builder, to, change, now).await?;
            note_answer(&tx, lease.fleet, builder, change, now).await?;
            let moved = builder_of(&tx, builder.id).await?;
            moved.ok_or_else(|| Error::not_found(format!("builder {}", builder.id)).into())
        })
        .await
    }
}
