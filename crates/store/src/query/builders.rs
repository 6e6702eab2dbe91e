//! Builders: looking at them, wanting them, and keeping attempts from them.

use std::collections::BTreeMap;

use model::{BuilderId, BuilderState, FleetId, LaunchAnswer, LaunchId, Sandbox, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};

use super::{events::Entry, intents::launched_for, leases::check_lease, marks::mark_of};
use crate::{
    Builder, LaunchAttempt, Lease, NewBuilder, Page,
    convert::{Row, check_text, moment, or_conflict, readable, reason},
    database::{Store, Tx},
    entity::{builder, launch_attempt},
    error::{Error, Result, TxError},
};

/// Of how many builders one statement asks for the launches; databases bound the number of parameters.
const LAUNCHES_OF: usize = 500;
/// What stands between a builder's reason and what is added to it.
const ADDED: &str = "; but ";

/// The condition that a builder is not terminated or abandoned.
pub(super) fn is_live() -> sea_orm::sea_query::SimpleExpr {
    builder::Column::EndedAt.is_null()
}

/// The builders that a condition finds, oldest first. One whose row cannot be read is left out, which is told: the others are
/// served, and its instance is one that nobody has, which is how it ends.
pub(super) async fn builders_of(tx: &Tx, condition: Condition) -> Result<Vec<Builder>, TxError> {
    Ok(readable(each_builder_of(tx, condition).await?.into_iter()).collect())
}

async fn each_builder_of(tx: &Tx, condition: Condition) -> Result<Vec<Result<Builder>>, TxError> {
    each_of(tx, oldest_first(condition)).await
}

fn oldest_first(condition: Condition) -> Select<builder::Entity> {
    builder::Entity::find()
        .filter(condition)
        .order_by_asc(builder::Column::CreatedAt)
        .order_by_asc(builder::Column::Id)
}

/// The builders that a statement finds, in its order.
async fn each_of(tx: &Tx, found: Select<builder::Entity>) -> Result<Vec<Result<Builder>>, TxError> {
    let rows = found.all(&**tx).await?;
    let mut launches: BTreeMap<uuid::Uuid, Vec<launch_attempt::Model>> = BTreeMap::new();
    for some in rows.chunks(LAUNCHES_OF) {
        let found = launch_attempt::Entity::find()
            .filter(launch_attempt::Column::Builder.is_in(some.iter().map(|row| row.id)))
            .all(&**tx)
            .await?;
        for launch in found {
            launches.entry(launch.builder).or_default().push(launch);
        }
    }
    let builders = rows.into_iter().map(|row| {
        let launches = launches.remove(&row.id).unwrap_or_default();
        builder(row, launches)
    });
    Ok(builders.collect())
}

/// The builder of that id.
pub(super) async fn builder_of(tx: &Tx, id: BuilderId) -> Result<Option<Builder>, TxError> {
    let is_it = Condition::all().add(builder::Column::Id.eq(id.0));
    Ok(each_builder_of(tx, is_it).await?.pop().transpose()?)
}

/// The launches of a builder in their order, the one that is meant last: the one that is open, or else the one that gave it its machine. Times
/// alone do not tell: clocks are set back.
pub(super) fn in_order(mut launches: Vec<launch_attempt::Model>) -> Vec<launch_attempt::Model> {
    let gave = Some(LaunchAnswer::Given.as_str());
    launches.sort_by_key(|it| {
        (
            it.outcome.is_none(),
            it.answer.as_deref() == gave,
            it.asked_at,
            it.id,
        )
    });
    launches
}

fn builder(row: builder::Model, launches: Vec<launch_attempt::Model>) -> Result<Builder> {
    let id = BuilderId(row.id);
    let mut launches = in_order(launches);
    let count = |answer: Option<LaunchAnswer>| {
        let is_meant = |launch: &&launch_attempt::Model| {
            answer.is_none_or(|answer| launch.answer.as_deref() == Some(answer.as_str()))
        };
        u32::try_from(launches.iter().filter(is_meant).count()).unwrap_or(u32::MAX)
    };
    let (all, refusals, postponements) = (
        count(None),
        count(Some(LaunchAnswer::Refused)),
        count(Some(LaunchAnswer::Later)),
    );
    let at = Row::new("builder", &id);
    let state = at.parse("state", &row.state)?;
    let mark = mark_of(&row)?;
    let is_asked_for = matches!(state, BuilderState::Planned | BuilderState::Launching);
    let answered = || launches.iter().rfind(|launch| launch.answer.is_some());
    Ok(Builder {
        id,
        pool: at.parse("pool", &row.pool)?,
        state,
        refusal: is_asked_for
            .then(answered)
            .flatten()
            .and_then(|launch| launch.outcome.clone()),
        version: row.version,
        cloud: row.cloud,
        instance_id: row.instance_id,
        address: row.address,
        port: at.number("port", row.port)?,
        host_key: row.host_key,
        host_key_secret: row.host_key_secret,
        host_key_is_given: row.host_key_given,
        host_key_next: row.host_key_next,
        image: row.image,
        spec_hash: row.spec_hash,
        cordoned: row.cordoned,
        reason: row.reason,
        entered_at: Timestamp::from_micros(row.entered_at),
        deadline: moment(row.deadline),
        created_at: Timestamp::from_micros(row.created_at),
        ready_at: moment(row.ready_at),
        launch: launches.pop().map(launch).transpose()?,
        launches: all,
        refusals,
        postponements,
        sandbox: row.sandbox.as_deref().map(Sandbox::kept),
        uses: at.number("uses", row.uses)?,
        baseline: row.baseline,
        mark,
        host: row.host,
        adopted: at.parse_maybe("offering", row.offering.as_deref())?,
    })
}

fn launch(row: launch_attempt::Model) -> Result<LaunchAttempt> {
    let id = LaunchId(row.id);
    let of_row = Row::new("launch_attempt", &id);
    Ok(LaunchAttempt {
        id,
        answer: of_row.parse_maybe("answer", row.answer.as_deref())?,
        offering: of_row.parse("offering", &row.offering)?,
        params_hash: row.params_hash,
        asked_at: Timestamp::from_micros(row.asked_at),
        answered_at: moment(row.answered_at),
        outcome: row.outcome,
    })
}

pub(super) fn new_row(FleetId(fleet): FleetId, new: &NewBuilder, now: Timestamp) -> builder::ActiveModel {
    builder::ActiveModel {
        id: Set(new.id.0),
        fleet: Set(fleet),
        pool: Set(new.pool.to_string()),
        state: Set(BuilderState::Planned.as_str().to_owned()),
        version: Set(1),
        cloud: Set(new.cloud.clone()),
        instance_id: Set(None),
        address: Set(new.host.as_ref().map(|host| host.address.clone())),
        port: Set(i32::from(new.port)),
        host_key: Set(None),
        host_key_secret: Set(None),
        host_key_given: Set(false),
        host_key_next: Set(None),
        host: Set(new.host.as_ref().map(|host| host.name.clone())),
        image: Set(new.image.clone()),
        spec_hash: Set(new.spec_hash.clone()),
        cordoned: Set(false),
        reason: Set(Some(reason(&new.reason))),
        entered_at: Set(now.as_micros()),
        deadline: Set(Some(new.deadline.as_micros())),
        created_at: Set(now.as_micros()),
        ready_at: Set(None),
        ended_at: Set(None),
        sandbox: Set(None),
        uses: Set(0),
        reusable_until: Set(None),
        baseline: Set(None),
        ..Default::default()
    }
}

impl Store {
    /// Gives a builder that was looked at time until `deadline` to leave its state; as it is then.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it has changed since, [`Error::LeaseLost`].
    pub async fn give_time(&self, lease: &Lease, builder: &Builder, deadline: Timestamp) -> Result<Builder> {
        let version = builder.version.saturating_add(1);
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let updated = builder::Entity::update_many()
                .set(builder::ActiveModel {
                    deadline: Set(Some(deadline.as_micros())),
                    version: Set(version),
                    ..Default::default()
                })
                .filter(builder::Column::Id.eq(builder.id.0))
                .filter(builder::Column::State.eq(builder.state.as_str()))
                .filter(builder::Column::Version.eq(builder.version))
                .exec(&*tx)
                .await?;
            if updated.rows_affected == 0 {
                let what = format!("builder {} is no longer {}", builder.id, builder.state);
                return Err(Error::conflict(what).into());
            }
            Ok(())
        })
        .await?;
        Ok(Builder {
            deadline: Some(deadline),
            version,
            ..builder.clone()
        })
    }

    /// Writes down that a builder is wanted. Nothing is asked of a cloud yet.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`], [`Error::Conflict`] when there is a builder with that id, [`Error::Invalid`].
    pub async fn plan_builder(&self, lease: &Lease, new: &NewBuilder, now: Timestamp) -> Result<()> {
        self.plan_builder_for(lease, new, None, now).await
    }

    /// [`Store::plan_builder`] for an operator's intent, by its key, which so knows of the builder.
    ///
    /// # Errors
    ///
    /// Those of [`Store::plan_builder`], and [`Error::NotFound`] when there is no such intent.
    pub async fn plan_builder_for(
        &self,
        lease: &Lease,
        new: &NewBuilder,
        intent: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        if new.port == 0 {
            return Err(Error::invalid("port: 0 is not a port"));
        }
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let insert = builder::Entity::insert(new_row(lease.fleet, new, now));
            or_conflict(insert.exec_without_returning(&*tx).await, || match &new.host {
                Some(host) => format!("host {} has a builder already", host.name),
                None => format!("there is a builder {} already", new.id),
            })?;
            if let Some(key) = intent {
                launched_for(&tx, (lease.fleet, key), new.id).await?;
            }
            Entry::of_builder(new.id, "controller", &new.reason)
                .states(None, BuilderState::Planned.as_str())
                .detail(serde_json::json!({"pool": new.pool}))
                .write(&tx, now);
            Ok(())
        })
        .await
    }

    /// The builders that are not terminated or abandoned, and those that became so since then, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn builders(&self, include_final_since: Option<Timestamp>) -> Result<Vec<Builder>> {
        self.read(|tx| async move {
            let mut builders = builders_of(&tx, Condition::all().add(is_live())).await?;
            if let Some(since) = include_final_since {
                // For itself, since no index holds both those that live and those that do not.
                let ended = Condition::all().add(builder::Column::EndedAt.gte(since.as_micros()));
                builders.extend(builders_of(&tx, ended).await?);
                builders.sort_by_key(|builder| (builder.created_at, builder.id));
            }
            Ok(builders)
        })
        .await
    }

    /// A part of the builders that are not terminated or abandoned, oldest first, and after them of those that became so since a
    /// moment, the last one first.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]. One that cannot be read is left out.
    pub async fn builders_page(
        &self,
        include_final_since: Option<Timestamp>,
        page: Page,
    ) -> Result<Vec<Builder>> {
        self.read(|tx| async move {
            let live = oldest_first(Condition::all().add(is_live()));
            let (limit, offset) = (page.limit(), page.offset());
            let found = each_of(&tx, live.clone().offset(offset).limit(limit)).await?;
            let left = limit.saturating_sub(found.len() as u64);
            let mut builders: Vec<Builder> = readable(found.into_iter()).collect();
            if let Some(since) = include_final_since.filter(|_| left > 0) {
                let before = live.count(&*tx).await?;
                let ended = builder::Entity::find()
                    .filter(builder::Column::EndedAt.gte(since.as_micros()))
                    .order_by_desc(builder::Column::EndedAt)
                    .order_by_desc(builder::Column::Id)
                    .offset(offset.saturating_sub(before))
                    .limit(left);
                builders.extend(readable(each_of(&tx, ended).await?.into_iter()));
            }
            Ok(builders)
        })
        .await
    }

    /// The builder of that id.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn builder(&self, id: BuilderId) -> Result<Option<Builder>> {
        self.read(|tx| async move { builder_of(&tx, id).await }).await
    }

    /// The builder whose instance that is, the last one of several; none when its row cannot be read.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Invalid`].
    pub async fn builder_by_instance(&self, instance_id: &str) -> Result<Option<Builder>> {
        check_text("instance id", instance_id)?;
        self.read(|tx| async move {
            let is_it = Condition::all().add(builder::Column::InstanceId.eq(instance_id));
            Ok(builders_of(&tx, is_it).await?.pop())
        })
        .await
    }

    /// The builder of a fleet whose instance that is, the last one of several; none when its row cannot be read. The name of a fixed
    /// host, which stands in the place of an instance's id, is its fleet's own.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Invalid`].
    pub async fn builder_of_fleet_by_instance(
        &self,
        fleet: FleetId,
        instance_id: &str,
    ) -> Result<Option<Builder>> {
        check_text("instance id", instance_id)?;
        self.read(|tx| async move {
            let is_it = Condition::all()
                .add(builder::Column::InstanceId.eq(instance_id))
                .add(builder::Column::Fleet.eq(fleet.0));
            Ok(builders_of(&tx, is_it).await?.pop())
        })
        .await
    }

    /// The fleet that a builder is of; none where there is no such builder.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn fleet_of_builder(&self, id: BuilderId) -> Result<Option<FleetId>> {
        self.read(|tx| async move {
            let row = builder::Entity::find_by_id(id.0).one(&*tx).await?;
            Ok(row.map(|row| FleetId(row.fleet)))
        })
        .await
    }

    /// Adds to a builder's reason what keeps it in its state; what was added before is replaced. Nothing happens when it has
    /// moved on.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`].
    pub async fn annotate_builder(&self, lease: &Lease, builder: &Builder, words: &str) -> Result<()> {
        let why = builder.reason.as_deref().unwrap_or_default();
        let why = why.split_once(ADDED).map_or(why, |(why, _)| why);
        let annotated = reason(&format!("{why}{ADDED}{words}"));
        if builder.reason.as_ref() == Some(&annotated) {
            return Ok(());
        }
        let annotated = &annotated;
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            builder::Entity::update_many()
                .set(builder::ActiveModel {
                    reason: Set(Some(annotated.clone())),
                    ..Default::default()
                })
                .filter(builder::Column::Id.eq(builder.id.0))
                .filter(builder::Column::State.eq(builder.state.as_str()))
                .exec(&*tx)
                .await?;
            Ok(())
        })
        .await
    }

    /// Keeps further attempts from a builder, or lets them come again. What runs on it goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such builder.
    pub async fn set_cordon(&self, id: BuilderId, cordoned: bool, actor: &str, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let updated = builder::Entity::update_many()
                .set(builder::ActiveModel {
                    cordoned: Set(cordoned),
                    ..Default::default()
                })
                .filter(builder::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            if updated.rows_affected == 0 {
                return Err(Error::not_found(format!("builder {id}")).into());
            }
            let why = if cordoned { "cordoned" } else { "uncordoned" };
            Entry::of_builder(id, actor, why).write(&tx, now);
            Ok(())
        })
        .await
    }
}
