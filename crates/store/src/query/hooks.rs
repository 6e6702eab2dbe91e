//! Hooks: each run is on record before its program is started, and its end after it.

use model::{BuilderId, FleetId, Timestamp, fleet::HookPoint, hook};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;
use uuid::Uuid;

use super::{events::Entry, leases::check_lease};
use crate::{
    HookEnd, HookRun, HookState, Lease, NewHookRun, Page,
    convert::{Row, moment, readable, reason, to_json},
    database::{Store, Tx},
    entity::hook_run,
    error::{Error, Result, TxError},
};

/// Of how many builders one statement asks for the runs; databases bound the number of parameters.
const BUILDERS_AT_ONCE: usize = 500;

fn run(row: hook_run::Model) -> Result<HookRun> {
    let at = Row::new("hook_run", &row.id);
    Ok(HookRun {
        id: row.id,
        builder: BuilderId(row.builder),
        point: at.parse("hook", &row.hook)?,
        place: at.number("place", row.place)?,
        spec: at.json("spec", &row.spec)?,
        state: at.parse("state", &row.state)?,
        attempt: at.number("attempt", row.attempt)?,
        due_at: Timestamp::from_micros(row.due_at),
        started_at: moment(row.started_at),
        ended_at: moment(row.ended_at),
        failed_at: moment(row.failed_at),
        outcome: row.outcome,
        tail: row.tail,
    })
}

fn runs(rows: Vec<hook_run::Model>) -> Vec<HookRun> {
    readable(rows.into_iter().map(run)).collect()
}

/// Writes down the hooks of a turn that a builder has come to.
pub(super) async fn write_down(
    tx: &Tx,
    fleet: FleetId,
    builder: BuilderId,
    hooks: &[NewHookRun],
    now: Timestamp,
) -> Result<(), TxError> {
    for hook in hooks {
        let row = hook_run::ActiveModel {
            id: Set(hook.id),
            fleet: Set(fleet.0),
            builder: Set(builder.0),
            hook: Set(hook.point.as_str().to_owned()),
            place: Set(i64::from(hook.place)),
            spec: Set(to_json("hook", &hook.spec)?),
            state: Set(HookState::Waiting.as_str().to_owned()),
            attempt: Set(0),
            due_at: Set(now.as_micros()),
            started_at: NotSet,
            ended_at: NotSet,
            failed_at: NotSet,
            outcome: NotSet,
            tail: NotSet,
        };
        hook_run::Entity::insert(row)
            .exec_without_returning(&**tx)
            .await?;
    }
    Ok(())
}

/// Changes a run that is as it was looked at; [`Error::Conflict`] where it is not.
async fn change(tx: &Tx, run: &HookRun, columns: hook_run::ActiveModel) -> Result<(), TxError> {
    let updated = hook_run::Entity::update_many()
        .set(columns)
        .filter(hook_run::Column::Id.eq(run.id))
        .filter(hook_run::Column::State.eq(run.state.as_str()))
        .filter(hook_run::Column::Attempt.eq(i64::from(run.attempt)))
        .exec(&**tx)
        .await?;
    if updated.rows_affected == 1 {
        return Ok(());
    }
    let (point, builder, state) = (run.point, run.builder, run.state);
    let what = format!("hook {point} of builder {builder} is no longer {state}");
    Err(Error::conflict(what).into())
}

/// What happened to a run, for people and for programs.
fn entry(run: &HookRun, end: &HookEnd) -> Entry {
    let (point, command) = (run.point, run.spec.words());
    let words = format!("hook {point}: {command}: {}", end.outcome);
    Entry::of_builder(run.builder, "controller", &words).detail(json!({
        "hook": point, "command": run.spec.cmd, "attempt": run.attempt, "state": end.state, "outcome": end.outcome,
        "tail": end.tail,
    }))
}

impl Store {
    /// Writes down the hooks of a turn that a builder has come to, unless some of that turn are on record.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn begin_hooks(
        &self,
        lease: &Lease,
        (builder, point): (BuilderId, HookPoint),
        hooks: &[NewHookRun],
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let known = hook_run::Entity::find()
                .filter(hook_run::Column::Builder.eq(builder.0))
                .filter(hook_run::Column::Hook.eq(point.as_str()))
                .one(&*tx)
                .await?;
            match known {
                Some(_) => Ok(()),
                None => write_down(&tx, lease.fleet, builder, hooks, now).await,
            }
        })
        .await
    }

    /// The runs of a fleet that are not over, and all of some builders. What cannot be read is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn hook_runs(&self, fleet: FleetId, also_of: &[BuilderId]) -> Result<Vec<HookRun>> {
        let rows = self
            .read(|tx| async move {
                let mut rows = hook_run::Entity::find()
                    .filter(hook_run::Column::Fleet.eq(fleet.0))
                    .filter(hook_run::Column::EndedAt.is_null())
                    .all(&*tx)
                    .await?;
                for some in also_of.chunks(BUILDERS_AT_ONCE) {
                    let ended = hook_run::Entity::find()
                        .filter(hook_run::Column::Builder.is_in(some.iter().map(|id| id.0)))
                        .all(&*tx)
                        .await?;
                    rows.extend(ended.into_iter().filter(|row| row.ended_at.is_some()));
                }
                Ok(rows)
            })
            .await?;
        Ok(runs(rows))
    }

    /// The runs of one builder, in the order of its life. What cannot be read is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn hooks_of(&self, builder: BuilderId) -> Result<Vec<HookRun>> {
        let rows = self
            .read(|tx| async move {
                Ok(hook_run::Entity::find()
                    .filter(hook_run::Column::Builder.eq(builder.0))
                    .all(&*tx)
                    .await?)
            })
            .await?;
        let mut found = runs(rows);
        found.sort_by_key(|run| (run.point, run.place));
        Ok(found)
    }

    /// The runs of a fleet of which a try failed since a moment, and none went well after it; the last failure first, at most
    /// [`Page::LONGEST`]. What cannot be read is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn failed_hooks(&self, fleet: FleetId, since: Timestamp) -> Result<Vec<HookRun>> {
        let rows = self
            .read(|tx| async move {
                Ok(hook_run::Entity::find()
                    .filter(hook_run::Column::Fleet.eq(fleet.0))
                    .filter(hook_run::Column::FailedAt.gt(since.as_micros()))
                    .order_by_desc(hook_run::Column::FailedAt)
                    .limit(Page::LONGEST)
                    .all(&*tx)
                    .await?)
            })
            .await?;
        Ok(runs(rows))
    }

    /// Writes down that a try begins. One that was under way when its controller was killed begins again, under the same number.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the run changed since it was looked at.
    pub async fn start_hook(&self, lease: &Lease, run: &HookRun, now: Timestamp) -> Result<HookRun> {
        let started = HookRun {
            state: HookState::Running,
            attempt: hook::number(run.attempt, run.state == HookState::Running),
            started_at: Some(now),
            ..run.clone()
        };
        let attempt = i64::from(started.attempt);
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let columns = hook_run::ActiveModel {
                state: Set(HookState::Running.as_str().to_owned()),
                attempt: Set(attempt),
                started_at: Set(Some(now.as_micros())),
                ..Default::default()
            };
            change(&tx, run, columns).await
        })
        .await?;
        Ok(started)
    }

    /// Writes down what has come of a try, or that there is none, and tells it.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`]; [`Error::Conflict`] when the run changed since it was looked at.
    pub async fn end_hook(&self, lease: &Lease, run: &HookRun, end: &HookEnd, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let has_failed = match end.state {
                HookState::Done | HookState::Skipped => false,
                HookState::Failed | HookState::Waiting => true,
                // What was cut short has not failed by itself.
                HookState::Late | HookState::Running => run.failed_at.is_some(),
            };
            let columns = hook_run::ActiveModel {
                state: Set(end.state.as_str().to_owned()),
                due_at: end.due_at.map_or(NotSet, |due| Set(due.as_micros())),
                ended_at: Set(end.state.is_final().then(|| now.as_micros())),
                failed_at: Set(has_failed.then(|| now.as_micros())),
                outcome: Set(Some(reason(&end.outcome))),
                tail: Set(end.tail.as_deref().map(reason)),
                ..Default::default()
            };
            change(&tx, run, columns).await?;
            entry(run, end).write(&tx, now);
            Ok(())
        })
        .await
    }
}

/// Takes away the runs of some builders.
pub(super) async fn forget(tx: &Tx, builders: Vec<Uuid>) -> Result<(), TxError> {
    if !builders.is_empty() {
        hook_run::Entity::delete_many()
            .filter(hook_run::Column::Builder.is_in(builders))
            .exec(&**tx)
            .await?;
    }
    Ok(())
}
