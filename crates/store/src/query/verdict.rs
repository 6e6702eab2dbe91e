//! How attempts end, and what that means for their build chroot and their build. Every end goes through
//! [`end`]; the caller holds the lock on the build.

use model::{
    AttemptId, AttemptState, Blame, BuildId, BuildState, Timestamp, build::derive_state, is_same_end,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use super::events::Entry;
use crate::{
    convert::{Row, evidence, reason},
    database::Tx,
    entity::{attempt, build, build_chroot},
    error::{Error, Result, TxError},
};

/// How many attempts that a worker began a build chroot has before it fails for good.
pub(super) const MOST_ATTEMPTS: u64 = 3;

/// Why an attempt waits that is new to controllers.
const NEW: &str = "no controller has looked at it yet";

/// The words of the states of attempts that are not over.
pub(super) const OPEN: [&str; 4] = [
    AttemptState::Waiting.as_str(),
    AttemptState::Assigned.as_str(),
    AttemptState::Running.as_str(),
    AttemptState::Publishing.as_str(),
];

/// How an attempt ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The state that it ends in.
    pub(super) state: AttemptState,
    /// Whose fault a failure is.
    pub(super) blame: Option<Blame>,
    /// A sentence that the user is shown.
    pub(super) reason: String,
    /// What the blame rests on, such as the line of the log.
    pub(super) evidence: Option<serde_json::Value>,
    /// Where its results are.
    pub(super) result_directory: Option<String>,
    /// Whether it is no fault of anybody's, so that it does not count as a try.
    pub(super) excused: bool,
    /// Whether no other attempt follows, whoever is answerable: it would end the same.
    pub(super) is_for_good: bool,
    /// Whether the package itself may have brought it about, which shows when it happens again.
    pub(super) is_suspect: bool,
}

impl End {
    /// An end with nothing more to say.
    pub(super) fn new(state: AttemptState, blame: Option<Blame>, reason: &str) -> Self {
        Self {
            state,
            blame,
            reason: reason.to_owned(),
            evidence: None,
            result_directory: None,
            excused: false,
            is_for_good: false,
            is_suspect: false,
        }
    }
}

/// What is the same for every attempt of a build.
#[derive(Clone, Copy)]
pub(super) struct OfBuild<'a> {
    pub(super) build: i64,
    /// The owner of its project.
    pub(super) owner: &'a str,
    /// Whether it yields to everything that is not.
    pub(super) is_background: bool,
    /// The text of its sandbox; none where its submitter is not known.
    pub(super) sandbox: Option<&'a str>,
}

/// The row of an attempt that waits.
pub(super) fn new_attempt(
    id: Uuid,
    of: OfBuild<'_>,
    (chroot, number): (&str, i64),
    now: Timestamp,
) -> attempt::ActiveModel {
    attempt::ActiveModel {
        id: Set(id),
        build: Set(of.build),
        chroot: Set(chroot.to_owned()),
        number: Set(number),
        state: Set(AttemptState::Waiting.as_str().to_owned()),
        epoch: Set(None),
        builder: Set(None),
        blame: Set(None),
        reason: Set(None),
        evidence: Set(None),
        result_directory: Set(None),
        log_bytes: Set(0),
        cancel_requested: Set(false),
        queued_at: Set(now.as_micros()),
        owner: Set(of.owner.to_owned()),
        is_background: Set(of.is_background),
        waiting_reason: Set(Some(NEW.to_owned())),
        started_at: Set(None),
        ended_at: Set(None),
        excused: Set(false),
        sandbox: Set(of.sandbox.map(str::to_owned)),
    }
}

/// Locks a build until the end of the transaction: whoever changes its chroots or attempts does this first.
pub(super) async fn lock_build(tx: &Tx, id: BuildId) -> Result<build::Model, TxError> {
    build::Entity::find_by_id(id.0)
        .lock_exclusive()
        .one(&**tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("build {id}")).into())
}

/// Locks the builds of attempts, in the order in which everybody locks several.
pub(super) async fn lock_builds_of(tx: &Tx, attempts: &[AttemptId]) -> Result<(), TxError> {
    let of_attempts = attempt::Entity::find()
        .select_only()
        .column(attempt::Column::Build)
        .filter(attempt::Column::Id.is_in(attempts.iter().map(|id| id.0)))
        .into_tuple::<i64>()
        .all(&**tx)
        .await?;
    build::Entity::find()
        .select_only()
        .column(build::Column::Id)
        .filter(build::Column::Id.is_in(of_attempts))
        .order_by_asc(build::Column::Id)
        .lock_exclusive()
        .into_tuple::<i64>()
        .all(&**tx)
        .await?;
    Ok(())
}

/// The attempt as it is under the lock on its build, which this takes.
pub(super) async fn lock_attempt(tx: &Tx, id: Uuid) -> Result<attempt::Model, TxError> {
    let missing = || Error::not_found(format!("attempt {}", AttemptId(id)));
    let row = attempt::Entity::find_by_id(id)
        .one(&**tx)
        .await?
        .ok_or_else(missing)?;
    lock_build(tx, BuildId(row.build)).await?;
    Ok(attempt::Entity::find_by_id(id)
        .one(&**tx)
        .await?
        .ok_or_else(missing)?)
}

/// The state in an attempt's row.
pub(super) fn state_of(row: &attempt::Model) -> Result<AttemptState> {
    Row::new("attempt", &AttemptId(row.id)).parse("state", &row.state)
}

/// Moves an attempt on, if it is still in the state of `row`, and writes the event. `columns` need not hold
/// the state.
pub(super) async fn advance(
    tx: &Tx,
    row: &attempt::Model,
    to: AttemptState,
    columns: attempt::ActiveModel,
    (actor, why, now): (&str, &str, Timestamp),
) -> Result<(), TxError> {
    let (id, from) = (AttemptId(row.id), state_of(row)?);
    if !from.may_become(to) {
        return Err(Error::conflict(format!("attempt {id} is {from} and cannot become {to}")).into());
    }
    let builder = match columns.builder {
        Set(builder) => builder,
        _ => row.builder,
    };
    let updated = attempt::Entity::update_many()
        .set(attempt::ActiveModel {
            state: Set(to.as_str().to_owned()),
            ..columns
        })
        .filter(attempt::Column::Id.eq(row.id))
        .filter(attempt::Column::State.eq(from.as_str()))
        .exec(&**tx)
        .await?;
    if updated.rows_affected != 1 {
        return Err(Error::conflict(format!("attempt {id} is no longer {from}")).into());
    }
    Entry::of_attempt(id, BuildId(row.build), actor, why)
        .states(Some(from.as_str()), to.as_str())
        .on(builder)
        .write(tx, now);
    Ok(())
}

/// Ends an attempt, moves its chroot along and derives the state of its build. A loss, and a failure that
/// may end otherwise elsewhere, put another attempt into the queue, unless there were too many or the user
/// wants no more.
pub(super) async fn end(
    tx: &Tx,
    row: &attempt::Model,
    mut end: End,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    if end.is_suspect && ended_alike_before(tx, row, &end.reason).await? {
        end.blame = Some(Blame::Package);
        end.reason
            .push_str("; the attempt before ended at the same place on another builder, so that the package does this itself");
    }
    let is_loss = end.state == AttemptState::Lost
        || (end.state == AttemptState::Failed
            && !end.is_for_good
            && end.blame.is_some_and(Blame::is_worth_a_retry));
    let mut chroot_state = end.state.build_state();
    let mut again = false;
    if is_loss && row.cancel_requested {
        end = End {
            result_directory: end.result_directory,
            ..End::new(AttemptState::Canceled, Some(Blame::Cancelled), &end.reason)
        };
        chroot_state = BuildState::Canceled;
    } else if is_loss {
        again = end.excused || has_another(tx, row).await?;
        end.state = if again {
            AttemptState::Lost
        } else {
            AttemptState::Failed
        };
        end.blame = end.blame.or((!end.excused).then_some(Blame::Infrastructure));
        chroot_state = if again {
            BuildState::Pending
        } else {
            BuildState::Failed
        };
    }
    let ended_at = end.state.is_final().then(|| now.as_micros());
    let columns = attempt::ActiveModel {
        blame: Set(end.blame.map(|blame| blame.as_str().to_owned())),
        reason: Set(Some(reason(&end.reason))),
        evidence: Set(evidence(end.evidence.as_ref())),
        // Where its files are does not change when they are published.
        result_directory: Set(end
            .result_directory
            .clone()
            .or_else(|| row.result_directory.clone())),
        ended_at: Set(ended_at),
        excused: Set(end.excused),
        ..Default::default()
    };
    advance(tx, row, end.state, columns, (actor, &end.reason, now)).await?;
    update_chroot(tx, row, &end, chroot_state, now).await?;
    if again {
        queue_again(tx, row, (actor, now)).await?;
    }
    refresh_build(tx, BuildId(row.build), (actor, now)).await
}

/// Whether the attempt before failed for the same reason.
async fn ended_alike_before(tx: &Tx, row: &attempt::Model, reason: &str) -> Result<bool, TxError> {
    let before = attempt::Entity::find()
        .filter(attempt::Column::Build.eq(row.build))
        .filter(attempt::Column::Chroot.eq(row.chroot.as_str()))
        .filter(attempt::Column::Number.eq(row.number.saturating_sub(1)))
        .one(&**tx)
        .await?;
    let before = before.and_then(|row| row.reason);
    Ok(before.is_some_and(|before| is_same_end(&before, &crate::convert::reason(reason))))
}

async fn has_another(tx: &Tx, row: &attempt::Model) -> Result<bool, TxError> {
    let begun = attempt::Entity::find()
        .filter(attempt::Column::Build.eq(row.build))
        .filter(attempt::Column::Chroot.eq(row.chroot.as_str()))
        .filter(attempt::Column::StartedAt.is_not_null())
        .filter(attempt::Column::Excused.eq(false))
        .count(&**tx)
        .await?;
    Ok(begun < MOST_ATTEMPTS)
}

async fn queue_again(tx: &Tx, row: &attempt::Model, (actor, now): (&str, Timestamp)) -> Result<(), TxError> {
    let id = Uuid::now_v7();
    let number = row.number.saturating_add(1);
    let of = OfBuild {
        build: row.build,
        owner: &row.owner,
        is_background: row.is_background,
        sandbox: row.sandbox.as_deref(),
    };
    attempt::Entity::insert(new_attempt(id, of, (&row.chroot, number), now))
        .exec_without_returning(&**tx)
        .await?;
    let why = format!("another attempt after {}", AttemptId(row.id));
    Entry::of_attempt(AttemptId(id), BuildId(row.build), actor, &why)
        .states(None, AttemptState::Waiting.as_str())
        .write(tx, now);
    Ok(())
}

async fn update_chroot(
    tx: &Tx,
    row: &attempt::Model,
    end: &End,
    state: BuildState,
    now: Timestamp,
) -> Result<(), TxError> {
    let is_verdict = state.is_final() && state != BuildState::Succeeded;
    let mut columns = build_chroot::ActiveModel {
        state: Set(state.as_str().to_owned()),
        ended_at: Set(state.is_final().then(|| now.as_micros())),
        ..Default::default()
    };
    if is_verdict {
        let blame = end.blame.unwrap_or(Blame::Package);
        columns.blame = Set(Some(blame.as_str().to_owned()));
        columns.reason = Set(Some(reason(&end.reason)));
        columns.evidence = Set(evidence(end.evidence.as_ref()));
    }
    if let Some(directory) = &end.result_directory {
        columns.result_directory = Set(Some(directory.clone()));
    }
    if state == BuildState::Pending {
        columns.started_at = Set(None);
        columns.attempts = Set(row.number.saturating_add(1));
    }
    set_chroot(tx, row, columns).await
}

/// Changes the build chroot of an attempt.
pub(super) async fn set_chroot(
    tx: &Tx,
    row: &attempt::Model,
    columns: build_chroot::ActiveModel,
) -> Result<(), TxError> {
    build_chroot::Entity::update_many()
        .set(columns)
        .filter(build_chroot::Column::Build.eq(row.build))
        .filter(build_chroot::Column::Chroot.eq(row.chroot.as_str()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Derives a build's state anew, stores it for searches, and writes an event when it changed.
pub(super) async fn refresh_build(
    tx: &Tx,
    id: BuildId,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    let row = build::Entity::find_by_id(id.0)
        .one(&**tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("build {id}")))?;
    let chroots = build_chroot::Entity::find()
        .filter(build_chroot::Column::Build.eq(id.0))
        .all(&**tx)
        .await?;
    let states = chroots
        .iter()
        .map(|chroot| {
            let id = format!("{}/{}", chroot.build, chroot.chroot);
            Row::new("build_chroot", &id).parse("state", &chroot.state)
        })
        .collect::<Result<Vec<BuildState>>>()?;
    let at = Row::new("build", &row.id);
    let old: BuildState = at.parse("state", &row.state)?;
    let new = derive_state(
        row.canceled,
        at.parse("source_state", &row.source_state)?,
        &states,
    );
    if old == new {
        return Ok(());
    }
    build::Entity::update_many()
        .set(build::ActiveModel {
            state: Set(new.as_str().to_owned()),
            ..Default::default()
        })
        .filter(build::Column::Id.eq(id.0))
        .exec(&**tx)
        .await?;
    Entry::of_build(id, actor, "derived from its chroots")
        .states(Some(old.as_str()), new.as_str())
        .write(tx, now);
    Ok(())
}
