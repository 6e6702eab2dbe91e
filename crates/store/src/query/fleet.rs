//! What the planner looks at, and what it says back: pools, the queue, and why who waits.

use std::collections::BTreeMap;

use model::{
    AttemptId, AttemptState, BuildId, FleetId, PoolName, Timestamp,
    plan::{Fortune, QueuedAttempt, Wait},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, JoinType, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    builders::{builders_of, is_live},
    chroots::chroots_in,
    events::Entry,
    joins::{attempt_to_build, attempt_to_chroot, build_to_project},
    leases::check_lease,
};
use crate::{
    FleetView, Lease,
    convert::{Row, moment, readable, reason, to_number},
    database::{Store, Tx},
    entity::{attempt, build, build_chroot, builder, pool, pool_version, project},
    error::{Failure, Result},
};

/// How many attempts the planner looks at. The queue may be longer; the oldest come first.
const LONGEST_QUEUE: u64 = 20_000;

/// Attempt, build, chroot, owner, background, moment.
type Queued = (Uuid, i64, String, String, bool, i64);

async fn queue(tx: &Tx) -> Result<Vec<QueuedAttempt>, Failure> {
    let rows: Vec<Queued> = attempt::Entity::find()
        .select_only()
        .columns([
            attempt::Column::Id,
            attempt::Column::Build,
            attempt::Column::Chroot,
        ])
        .column(project::Column::Owner)
        .column(build::Column::IsBackground)
        .column(attempt::Column::QueuedAt)
        .join(JoinType::InnerJoin, attempt_to_build())
        .join(JoinType::InnerJoin, build_to_project())
        .filter(attempt::Column::State.eq(AttemptState::Waiting.as_str()))
        .order_by_asc(attempt::Column::QueuedAt)
        .order_by_asc(attempt::Column::Id)
        .limit(LONGEST_QUEUE)
        .into_tuple()
        .all(&**tx)
        .await?;
    let queued = rows
        .into_iter()
        .map(|(id, build, chroot, owner, background, queued_at)| {
            let id = AttemptId(id);
            let at = Row::new("attempt", &id);
            Ok(QueuedAttempt {
                id,
                build: BuildId(build),
                chroot: at.parse("chroot", &chroot)?,
                owner: at.parse("owner of its project", &owner)?,
                background,
                queued_at: Timestamp::from_micros(queued_at),
            })
        });
    Ok(readable(queued).collect())
}

async fn active(tx: &Tx) -> Result<BTreeMap<model::OwnerName, u32>, Failure> {
    let states = [AttemptState::Assigned, AttemptState::Running].map(AttemptState::as_str);
    let rows: Vec<(String, i64)> = attempt::Entity::find()
        .select_only()
        .column(project::Column::Owner)
        .column_as(attempt::Column::Id.count(), "attempts")
        .join(JoinType::InnerJoin, attempt_to_build())
        .join(JoinType::InnerJoin, build_to_project())
        .filter(attempt::Column::State.is_in(states))
        .group_by(project::Column::Owner)
        .into_tuple()
        .all(&**tx)
        .await?;
    let counts = rows.into_iter().map(|(owner, count)| {
        let at = Row::new("project", &owner);
        Ok((at.parse("owner", &owner)?, at.number("count", count)?))
    });
    Ok(readable(counts).collect())
}

async fn fortunes(tx: &Tx) -> Result<BTreeMap<PoolName, Fortune>, Failure> {
    let rows = pool::Entity::find().all(&**tx).await?;
    let fortunes = rows.into_iter().map(|row| {
        let at = Row::new("pool", &row.name);
        let fortune = Fortune {
            failures: at.number("failures", row.failures)?,
            last_failure: moment(row.last_failure),
            last_reason: row.last_reason,
        };
        Ok((at.parse("name", &row.name)?, fortune))
    });
    Ok(readable(fortunes).collect())
}

/// An attempt that waits: its id, build and chroot, and the reason and place that are on record.
type WaitRow = (Uuid, i64, String, Option<String>, Option<i64>);

impl Store {
    /// The fleet and the queue as of one moment, for the planner. What cannot be read of the queue and of the pools' fortunes is
    /// left out, so that all else goes on; of builders and chroots nothing is, since a machine without its builder's row would
    /// be ended.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn fleet_snapshot(&self, fleet: FleetId, now: Timestamp) -> Result<FleetView> {
        self.read(|tx| async move {
            let of_fleet = Condition::all()
                .add(is_live())
                .add(builder::Column::Fleet.eq(fleet.0));
            Ok(FleetView {
                at: now,
                builders: builders_of(&tx, of_fleet).await?,
                queue: queue(&tx).await?,
                active: active(&tx).await?,
                chroots: chroots_in(&tx).await?,
                fortunes: fortunes(&tx).await?,
            })
        })
        .await
    }

    /// Writes down which specification a pool follows from now on. A new one starts without failures.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn record_pool(
        &self,
        lease: &Lease,
        name: &PoolName,
        spec: &serde_json::Value,
        hash: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let known = pool::Entity::find_by_id(name.as_str()).one(&*tx).await?;
            if known
                .as_ref()
                .is_some_and(|row| row.current_hash.as_deref() == Some(hash))
            {
                return Ok(());
            }
            pool_version::Entity::insert(pool_version::ActiveModel {
                pool: Set(name.to_string()),
                hash: Set(hash.to_owned()),
                spec: Set(spec.to_string()),
                created_at: Set(now.as_micros()),
            })
            .on_conflict(
                OnConflict::columns([pool_version::Column::Pool, pool_version::Column::Hash])
                    .update_column(pool_version::Column::Spec)
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            pool::Entity::insert(pool::ActiveModel {
                name: Set(name.to_string()),
                current_hash: Set(Some(hash.to_owned())),
                failures: Set(0),
                last_failure: Set(None),
                last_reason: Set(None),
            })
            .on_conflict(
                OnConflict::column(pool::Column::Name)
                    .update_columns([
                        pool::Column::CurrentHash,
                        pool::Column::Failures,
                        pool::Column::LastFailure,
                        pool::Column::LastReason,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(&*tx)
            .await?;
            Entry::new("pool", name, "controller", "its specification changed")
                .detail(serde_json::json!({"hash": hash}))
                .write(&tx, now);
            Ok(())
        })
        .await
    }

    /// Writes down why attempts wait and their places in the queue. Only what changed is written.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn set_waits(&self, lease: &Lease, waits: &[Wait]) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let rows: Vec<WaitRow> = attempt::Entity::find()
                .select_only()
                .columns([
                    attempt::Column::Id,
                    attempt::Column::Build,
                    attempt::Column::Chroot,
                ])
                .column(build_chroot::Column::WaitingReason)
                .column(build_chroot::Column::QueuePosition)
                .join(JoinType::InnerJoin, attempt_to_chroot())
                .filter(attempt::Column::State.eq(AttemptState::Waiting.as_str()))
                .into_tuple()
                .all(&*tx)
                .await?;
            let mut rows: BTreeMap<Uuid, _> = rows.into_iter().map(|row| (row.0, row)).collect();
            let mut changes = Vec::new();
            for wait in waits {
                let Some((_, build, chroot, old_reason, old_position)) = rows.remove(&wait.attempt.0) else {
                    continue; // It has a builder, or is over, by now.
                };
                let new = (
                    Some(reason(&wait.reason)),
                    Some(to_number("position", wait.position)?),
                );
                if (old_reason, old_position) != new {
                    changes.push((build, chroot, new));
                }
            }
            // In one order, so that nobody waits for another who waits for us.
            changes.sort();
            for (build, chroot, (reason, position)) in changes {
                build_chroot::Entity::update_many()
                    .set(build_chroot::ActiveModel {
                        waiting_reason: Set(reason),
                        queue_position: Set(position),
                        ..Default::default()
                    })
                    .filter(build_chroot::Column::Build.eq(build))
                    .filter(build_chroot::Column::Chroot.eq(chroot))
                    .filter(build_chroot::Column::State.eq(model::BuildState::Pending.as_str()))
                    .exec(&*tx)
                    .await?;
            }
            Ok(())
        })
        .await
    }
}
