//! The one way in which a builder's state changes: a move that the model lists, made by compare-and-set. Of two who decide on
//! the same look one wins, and the other looks again.

use model::{BuilderId, BuilderState, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    sea_query::{Expr, ExprTrait as _, Func, SimpleExpr},
};

use super::events::Entry;
use crate::{
    convert::{or_conflict, reason},
    database::Tx,
    entity::builder,
    error::{Error, Result, TxError},
};

/// A move of a builder from the state in which it was seen.
pub(super) struct Move<'a> {
    pub(super) builder: BuilderId,
    pub(super) from: BuilderState,
    pub(super) to: BuilderState,
    /// The version that was looked at. None where nobody looked: that it is in the state `from` is all that counts then.
    pub(super) version: Option<i64>,
    /// What must hold besides; none where nothing must.
    pub(super) only_if: Option<SimpleExpr>,
    pub(super) actor: &'a str,
    /// Why, as a sentence for people.
    pub(super) reason: &'a str,
    /// When its time in the new state is over; none where that has no limit.
    pub(super) deadline: Option<Timestamp>,
    /// What else becomes of its row.
    pub(super) columns: builder::ActiveModel,
}

/// Makes a move and tells it; whether the builder was as the move says. One that was not stays as it is.
///
/// # Errors
///
/// [`Error::Invalid`] for a move that is not in the model's list, [`Error::Conflict`] when its instance is another builder's.
pub(super) async fn advance(tx: &Tx, step: Move<'_>, now: Timestamp) -> Result<bool, TxError> {
    let Move {
        builder, from, to, ..
    } = step;
    if !from.may_become(to) {
        let why = format!("builder {builder} is {from}: it cannot become {to}");
        return Err(Error::invalid(why).into());
    }
    let instance = match &step.columns.instance_id {
        Set(Some(id)) => id.clone(),
        _ => String::new(),
    };
    let mut columns = builder::ActiveModel {
        state: Set(to.as_str().to_owned()),
        reason: Set(Some(reason(step.reason))),
        entered_at: Set(now.as_micros()),
        deadline: Set(step.deadline.map(Timestamp::as_micros)),
        ended_at: Set(to.is_final().then(|| now.as_micros())),
        ..step.columns
    };
    if to == BuilderState::Held {
        // From here on it is known when the hold ends.
        columns.mark_until = Set(step.deadline.map(Timestamp::as_micros));
    }
    if !matches!(to, BuilderState::Launching | BuilderState::Resolving) {
        // Only a launch that may have to be repeated needs it.
        columns.host_key_secret = Set(None);
    }
    let mut update = builder::Entity::update_many()
        .set(columns)
        .col_expr(
            builder::Column::Version,
            Expr::col(builder::Column::Version).add(1),
        )
        .filter(builder::Column::Id.eq(builder.0))
        .filter(builder::Column::State.eq(from.as_str()));
    if to == BuilderState::Ready {
        let first = Func::coalesce([Expr::col(builder::Column::ReadyAt), Expr::val(now.as_micros())]);
        update = update.col_expr(builder::Column::ReadyAt, first.into());
    }
    for condition in [
        step.version.map(|version| builder::Column::Version.eq(version)),
        step.only_if,
    ] {
        update = update.filter(Condition::all().add_option(condition));
    }
    let updated = or_conflict(update.exec(&**tx).await, || {
        format!("instance {instance} is another builder's")
    })?;
    if updated.rows_affected != 1 {
        return Ok(false);
    }
    Entry::of_builder(builder, step.actor, step.reason)
        .states(Some(from.as_str()), to.as_str())
        .write(tx, now);
    Ok(true)
}
