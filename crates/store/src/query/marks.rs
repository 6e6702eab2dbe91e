//! What operators have said of builders and pools, and clouds of builders, in their rows.

use std::collections::BTreeMap;

use model::{
    BuilderId, BuilderState, FleetId, PoolName, Timestamp,
    mark::{Mark, MarkKind, Pause},
    quantity::Span,
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{events::Entry, leases::check_lease};
use crate::{
    Lease,
    convert::{Row, moment, readable, reason},
    database::{Store, Tx},
    entity::{builder, pool},
    error::{Result, TxError},
};

/// The mark of a builder's row.
pub(super) fn mark_of(row: &builder::Model) -> Result<Option<Mark>> {
    let id = BuilderId(row.id);
    let kind: Option<MarkKind> = Row::new("builder", &id).parse_maybe("mark", row.mark.as_deref())?;
    Ok(kind.map(|kind| Mark {
        kind,
        by: row.mark_by.clone().unwrap_or_default(),
        why: row.mark_why.clone().unwrap_or_default(),
        until: moment(row.mark_until),
        lasts: row.mark_lasts.map(|ms| Span::milliseconds(ms.unsigned_abs())),
    }))
}

/// That a builder's cloud takes the machine back, where it has said so.
pub(super) async fn notice_of(tx: &Tx, id: BuilderId) -> Result<Option<Mark>, TxError> {
    let row = builder::Entity::find_by_id(id.0).one(&**tx).await?;
    let mark = row.as_ref().map(mark_of).transpose()?.flatten();
    Ok(mark.filter(|mark| mark.kind == MarkKind::TakenBack))
}

fn milliseconds(span: Span) -> i64 {
    i64::try_from(span.get().as_millis()).unwrap_or(i64::MAX)
}

/// Marks a builder that lives, or takes its mark away. Nothing happens when it has ended. One that is held already is held until
/// the end of the new hold.
pub(super) async fn set_mark(
    tx: &Tx,
    id: BuilderId,
    mark: Option<&Mark>,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    let text = |of: fn(&Mark) -> &str| Set(mark.map(|mark| reason(of(mark))));
    let until = mark.and_then(|mark| mark.until).map(Timestamp::as_micros);
    let updated = builder::Entity::update_many()
        .set(builder::ActiveModel {
            cordoned: Set(mark.is_some()),
            mark: text(|mark| mark.kind.as_str()),
            mark_by: text(|mark| &mark.by),
            mark_why: text(|mark| &mark.why),
            mark_until: Set(until),
            mark_lasts: Set(mark.and_then(|mark| mark.lasts).map(milliseconds)),
            ..Default::default()
        })
        .filter(builder::Column::Id.eq(id.0))
        .filter(builder::Column::EndedAt.is_null())
        .exec(&**tx)
        .await?;
    if updated.rows_affected == 0 {
        return Ok(());
    }
    if let Some(hold) = mark.filter(|mark| mark.kind == MarkKind::Held) {
        // It may be held since it was looked at.
        let until = hold.until.or(hold.held_until(now)).map(Timestamp::as_micros);
        builder::Entity::update_many()
            .set(builder::ActiveModel {
                deadline: Set(until),
                mark_until: Set(until),
                ..Default::default()
            })
            .filter(builder::Column::Id.eq(id.0))
            .filter(builder::Column::State.eq(BuilderState::Held.as_str()))
            .exec(&**tx)
            .await?;
    }
    let why = mark.map_or_else(|| "no longer cordoned".to_owned(), Mark::in_words);
    Entry::of_builder(id, actor, &why).write(tx, now);
    Ok(())
}

/// Pauses a pool, or lets it launch again.
pub(super) async fn set_pause(
    tx: &Tx,
    (fleet, name): (FleetId, &PoolName),
    pause: Option<&Pause>,
    (actor, now): (&str, Timestamp),
) -> Result<(), TxError> {
    pool::Entity::update_many()
        .set(pool::ActiveModel {
            paused_by: Set(pause.map(|pause| reason(&pause.by))),
            paused_why: Set(pause.map(|pause| reason(&pause.why))),
            paused_until: Set(pause.and_then(|pause| pause.until).map(Timestamp::as_micros)),
            ..Default::default()
        })
        .filter(pool::Column::Fleet.eq(fleet.0))
        .filter(pool::Column::Name.eq(name.as_str()))
        .exec(&**tx)
        .await?;
    let why = pause.map_or_else(
        || "it launches builders again as it needs them".to_owned(),
        |pause| format!("drained: {}", pause.why),
    );
    Entry::new("pool", name, actor, &why).write(tx, now);
    Ok(())
}

/// The pools of a fleet that are to launch nothing, whether or not that time is over.
pub(super) async fn pauses(tx: &Tx, fleet: FleetId) -> Result<BTreeMap<PoolName, Pause>, TxError> {
    let rows = pool::Entity::find()
        .filter(pool::Column::Fleet.eq(fleet.0))
        .filter(pool::Column::PausedBy.is_not_null())
        .all(&**tx)
        .await?;
    let pauses = rows.into_iter().map(|row| {
        let pause = Pause {
            by: row.paused_by.unwrap_or_default(),
            why: row.paused_why.unwrap_or_default(),
            until: moment(row.paused_until),
        };
        Ok((Row::new("pool", &row.name).parse("name", &row.name)?, pause))
    });
    Ok(readable(pauses).collect())
}

impl Store {
    /// Marks a builder that lives, unless what is said of it already asks for as much; whether the mark is new.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn mark_builder(
        &self,
        lease: &Lease,
        id: BuilderId,
        mark: &Mark,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let row = builder::Entity::find_by_id(id.0).one(&*tx).await?;
            let Some(row) = row.filter(|row| row.ended_at.is_none()) else {
                return Ok(false);
            };
            let is_new = mark.outdoes(mark_of(&row)?.as_ref());
            if is_new {
                set_mark(&tx, id, Some(mark), ("controller", now)).await?;
            }
            Ok(is_new)
        })
        .await
    }

    /// Takes away the marks of builders whose time is over.
    ///
    /// # Errors
    ///
    /// [`crate::Error::LeaseLost`].
    pub async fn lift_marks(&self, lease: &Lease, builders: &[BuilderId], now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            for id in builders {
                set_mark(&tx, *id, None, ("controller", now)).await?;
            }
            Ok(())
        })
        .await
    }
}
