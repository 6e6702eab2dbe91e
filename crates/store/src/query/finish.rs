//! Ends of attempts: what a worker hands in, and what a lost builder means.

use model::{
    AfterUse, AttemptState, Blame, BuildId, BuildState, BuilderId, BuilderState, Epoch, Timestamp, UseEnd,
    Used, builder::Deadlines,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use uuid::Uuid;

use super::{
    allocations::{actor, held, move_allocation, not_held},
    marks::{mark_of, notice_of},
    moves::{self, Move},
    repositories::want_publication,
    verdict::{End, advance, end, lock_attempt, refresh_build, set_chroot},
};
use crate::{
    AllocationState, CollectedPackage, Outcome, RepositoryKey,
    convert::{Row, check_text, moment, reason, to_number},
    database::{Store, Tx},
    entity::{allocation, attempt, build, build_chroot, builder, collected_package},
    error::{Error, Result, TxError},
};

/// How many rows one statement inserts; databases bound the number of parameters.
const ROWS_AT_ONCE: usize = 500;

fn ended(state: AllocationState, now: Timestamp) -> allocation::ActiveModel {
    allocation::ActiveModel {
        state: Set(state.as_str().to_owned()),
        ended_at: Set(Some(now.as_micros())),
        ..Default::default()
    }
}

/// Where a builder goes after a use, why, and when its time there is over.
pub(super) struct Next {
    pub(super) to: BuilderState,
    pub(super) why: String,
    pub(super) deadline: Timestamp,
}

/// What the model says of a builder of which a use ended for this reason, as its row is now.
pub(super) async fn after_use(
    tx: &Tx,
    id: BuilderId,
    (end, why): (UseEnd, &str),
    now: Timestamp,
) -> Result<Next, TxError> {
    let row = builder::Entity::find_by_id(id.0).one(&**tx).await?;
    let mark = row.as_ref().map(mark_of).transpose()?.flatten();
    let used = Used {
        reusable_until: row.as_ref().and_then(|row| moment(row.reusable_until)),
        cordoned: row.as_ref().is_some_and(|row| row.cordoned),
        mark: mark.as_ref(),
    };
    let limits = Deadlines::default();
    let (to, deadline) = match AfterUse::of(&used, end, now) {
        AfterUse::Clean => (BuilderState::Cleaning, now.plus(limits.clean)),
        AfterUse::Hold => {
            let until = mark.as_ref().and_then(|mark| mark.held_until(now));
            (BuilderState::Held, until.unwrap_or_else(|| now.plus(limits.held)))
        }
        AfterUse::Terminate => (BuilderState::Draining, now.plus(limits.drain)),
    };
    let hold = mark.filter(|_| to == BuilderState::Held);
    let why = hold.map_or_else(|| why.to_owned(), |hold| format!("{why}; {}", hold.in_words()));
    Ok(Next { to, why, deadline })
}

/// Moves a builder on after a use. Nothing happens when it has left by itself.
pub(super) async fn release(
    tx: &Tx,
    id: BuilderId,
    (from, end): (BuilderState, UseEnd),
    (actor, why, now): (&str, &str, Timestamp),
) -> Result<(), TxError> {
    let Next { to, why, deadline } = after_use(tx, id, (end, why), now).await?;
    let step = Move {
        builder: id,
        from,
        to,
        version: None,
        only_if: None,
        actor,
        reason: &why,
        deadline: Some(deadline),
        columns: builder::ActiveModel::default(),
    };
    moves::advance(tx, step, now).await.map(drop)
}

fn package_row(attempt: Uuid, package: &CollectedPackage) -> Result<collected_package::ActiveModel> {
    let nevra = &package.package;
    for (what, text) in [
        ("file name", &package.file_name),
        ("SHA-256", &package.sha256),
        ("name", &nevra.name),
        ("version", &nevra.version),
        ("release", &nevra.release),
        ("architecture", &nevra.architecture),
        ("metadata", &package.metadata_json),
    ] {
        check_text(&format!("{what} of a package"), text)?;
    }
    Ok(collected_package::ActiveModel {
        attempt: Set(attempt),
        file_name: Set(package.file_name.clone()),
        sha256: Set(package.sha256.clone()),
        size: Set(to_number("size of a package", package.size)?),
        is_source: Set(package.is_source),
        name: Set(nevra.name.clone()),
        epoch: Set(nevra.epoch),
        version: Set(nevra.version.clone()),
        release: Set(nevra.release.clone()),
        architecture: Set(nevra.architecture.clone()),
        metadata_json: Set(package.metadata_json.clone()),
    })
}

async fn keep_packages(
    tx: &Tx,
    row: &attempt::Model,
    packages: &[CollectedPackage],
    now: Timestamp,
) -> Result<(), TxError> {
    for some in packages.chunks(ROWS_AT_ONCE) {
        let rows = some
            .iter()
            .map(|package| package_row(row.id, package))
            .collect::<Result<Vec<_>>>()?;
        collected_package::Entity::insert_many(rows)
            .exec_without_returning(&**tx)
            .await?;
    }
    let build = build::Entity::find_by_id(row.build)
        .one(&**tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("build {}", row.build)))?;
    let directory = Row::new("build", &build.id).parse("directory", &build.directory)?;
    let chroot = Row::new("attempt", &row.id).parse("chroot", &row.chroot)?;
    let key = RepositoryKey {
        project: model::ProjectId(build.project),
        directory: &directory,
        chroot: &chroot,
    };
    want_publication(tx, key, now).await
}

/// What an outcome means for an attempt that its user may want ended.
fn verdict(outcome: &Outcome, cancel_requested: bool) -> End {
    let canceled = |result_directory: &Option<String>| End {
        result_directory: result_directory.clone(),
        ..End::new(
            AttemptState::Canceled,
            Some(Blame::Cancelled),
            "its user ended it",
        )
    };
    match outcome {
        Outcome::Collected { result_directory, .. } if cancel_requested => {
            canceled(&Some(result_directory.clone()))
        }
        Outcome::Collected { result_directory, .. } => End {
            result_directory: Some(result_directory.clone()),
            ..End::new(AttemptState::Publishing, None, "its results are stored")
        },
        Outcome::Failed {
            blame: Blame::Cancelled,
            result_directory,
            ..
        } => canceled(result_directory),
        Outcome::Failed {
            blame,
            reason,
            evidence,
            is_suspect,
            result_directory,
        } => End {
            is_suspect: *is_suspect,
            evidence: evidence.clone(),
            result_directory: result_directory.clone(),
            ..End::new(AttemptState::Failed, Some(*blame), reason)
        },
        Outcome::Refused {
            reason,
            result_directory,
        } => End {
            is_for_good: true,
            result_directory: result_directory.clone(),
            ..End::new(AttemptState::Failed, Some(Blame::Service), reason)
        },
        Outcome::Skipped {
            reason,
            result_directory,
        } => End {
            result_directory: result_directory.clone(),
            ..End::new(AttemptState::Skipped, None, reason)
        },
        Outcome::Canceled { result_directory } => canceled(result_directory),
    }
}

/// The end of an attempt on a machine that its cloud takes back: what breaks there is nobody's fault, and no try.
async fn excused_by_notice(tx: &Tx, builder: BuilderId, end: End) -> Result<End, TxError> {
    let is_its = end.state == AttemptState::Failed && end.blame == Some(Blame::Infrastructure);
    let notice = if is_its {
        notice_of(tx, builder).await?
    } else {
        None
    };
    let Some(notice) = notice else { return Ok(end) };
    Ok(End {
        state: AttemptState::Lost,
        blame: None,
        reason: format!("{}; {}", notice.in_words(), end.reason),
        excused: true,
        is_suspect: false,
        ..end
    })
}

/// Takes an allocation away from whoever holds it and ends its attempt so. The caller has locked the attempt's build.
pub(super) async fn fence(
    tx: &Tx,
    allocation: &allocation::Model,
    attempt: &attempt::Model,
    lost: End,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    let state = Row::new("allocation", &allocation.epoch).parse("state", &allocation.state)?;
    let columns = ended(AllocationState::Fenced, now);
    if !move_allocation(tx, allocation.epoch, (state, None), columns).await? {
        return Err(Error::conflict(format!("allocation {} moved on", allocation.epoch)).into());
    }
    end(tx, attempt, lost, (actor, now)).await
}

/// Takes back an allocation that no worker took up: its attempt waits again, none the worse for it. The caller has
/// locked the attempt's build.
pub(super) async fn withdraw(
    tx: &Tx,
    allocation: &allocation::Model,
    attempt: &attempt::Model,
    (actor, why, now): (&str, &str, Timestamp),
) -> Result<(), TxError> {
    let columns = ended(AllocationState::Fenced, now);
    if !move_allocation(tx, allocation.epoch, (AllocationState::Offered, None), columns).await? {
        return Err(Error::conflict(format!("allocation {} moved on", allocation.epoch)).into());
    }
    let columns = attempt::ActiveModel {
        epoch: Set(None),
        builder: Set(None),
        waiting_reason: Set(Some(reason(&format!(
            "no worker took up the builder that it was given ({why}); no controller has looked at it since"
        )))),
        ..Default::default()
    };
    advance(tx, attempt, AttemptState::Waiting, columns, (actor, why, now)).await?;
    let columns = build_chroot::ActiveModel {
        state: Set(BuildState::Pending.as_str().to_owned()),
        ..Default::default()
    };
    set_chroot(tx, attempt, columns).await?;
    refresh_build(tx, BuildId(attempt.build), (actor, now)).await
}

/// The open allocation that a condition finds.
pub(super) async fn open_allocation(
    tx: &Tx,
    condition: sea_orm::sea_query::SimpleExpr,
) -> Result<Option<allocation::Model>, TxError> {
    Ok(allocation::Entity::find()
        .filter(condition)
        .filter(allocation::Column::EndedAt.is_null())
        .one(&**tx)
        .await?)
}

impl Store {
    /// Hands in how an attempt ended. Its builder is cleaned, held or drained, its allocation over.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the allocation is not, or no longer, the worker's: nothing is changed then.
    pub async fn finish_attempt(
        &self,
        epoch: Epoch,
        worker: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            let allocation = held(&tx, epoch, worker).await?;
            let row = lock_attempt(&tx, allocation.attempt).await?;
            let mine = (AllocationState::Accepted, Some(worker));
            let columns = ended(AllocationState::Finished, now);
            if !move_allocation(&tx, epoch.0, mine, columns).await? {
                return Err(not_held(epoch, worker));
            }
            let actor = actor(worker);
            let verdict = verdict(outcome, row.cancel_requested);
            let builder = BuilderId(allocation.builder);
            let handed = UseEnd::Handed(verdict.state, verdict.blame);
            let why = "its attempt ended";
            release(&tx, builder, (BuilderState::Busy, handed), (&actor, why, now)).await?;
            if let (Outcome::Collected { packages, .. }, AttemptState::Publishing) = (outcome, verdict.state)
            {
                keep_packages(&tx, &row, packages, now).await?;
            }
            let verdict = excused_by_notice(&tx, builder, verdict).await?;
            end(&tx, &row, verdict, (&actor, now)).await
        })
        .await
    }
}
