//! Events: told by every other module, written at the end of the transaction, read by the audit page.

use model::{AttemptId, BuildId, BuilderId, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{
    Event, EventFilter, Page,
    convert::{Row, reason},
    database::{Store, Tx},
    entity::event,
    error::Result,
};

/// An event to write.
pub(super) struct Entry {
    kind: &'static str,
    id: String,
    actor: String,
    old: Option<&'static str>,
    new: Option<&'static str>,
    reason: String,
    detail: Option<serde_json::Value>,
    build: Option<i64>,
    builder: Option<uuid::Uuid>,
}

impl Entry {
    /// That something happened to a thing of a kind.
    pub(super) fn new(kind: &'static str, id: impl ToString, actor: &str, why: &str) -> Self {
        Self {
            kind,
            id: id.to_string(),
            actor: reason(actor),
            old: None,
            new: None,
            reason: reason(why),
            detail: None,
            build: None,
            builder: None,
        }
    }

    /// That something happened to a build.
    pub(super) fn of_build(id: BuildId, actor: &str, why: &str) -> Self {
        let mut entry = Self::new("build", id, actor, why);
        entry.build = Some(id.0);
        entry
    }

    /// That something happened to an attempt.
    pub(super) fn of_attempt(id: AttemptId, build: BuildId, actor: &str, why: &str) -> Self {
        let mut entry = Self::new("attempt", id, actor, why);
        entry.build = Some(build.0);
        entry
    }

    /// That something happened to a builder.
    pub(super) fn of_builder(id: BuilderId, actor: &str, why: &str) -> Self {
        Self::new("builder", id, actor, why).on(Some(id.0))
    }

    /// Which builder takes part.
    pub(super) fn on(mut self, builder: Option<uuid::Uuid>) -> Self {
        self.builder = builder;
        self
    }

    /// From which state to which.
    pub(super) fn states(mut self, old: Option<&'static str>, new: &'static str) -> Self {
        self.old = old;
        self.new = Some(new);
        self
    }

    /// What else there is to know.
    pub(super) fn detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Has it written when the transaction ends well.
    pub(super) fn write(self, tx: &Tx, now: Timestamp) {
        tx.tell(event::ActiveModel {
            id: NotSet,
            at: Set(now.as_micros()),
            actor: Set(self.actor),
            subject_kind: Set(self.kind.to_owned()),
            subject_id: Set(self.id),
            old_state: Set(self.old.map(str::to_owned)),
            new_state: Set(self.new.map(str::to_owned)),
            reason: Set(self.reason),
            detail: Set(self.detail.map(|detail| detail.to_string())),
            build: Set(self.build),
            builder: Set(self.builder),
        });
    }
}

impl Store {
    /// The events that fit, oldest first, at most `limit` (and never more than [`Page::LONGEST`]).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn events(&self, filter: EventFilter, limit: u64) -> Result<Vec<Event>> {
        let rows = self
            .read(|tx| async move {
                let mut query = event::Entity::find().order_by_asc(event::Column::Id);
                if let Some(BuilderId(id)) = filter.builder {
                    query = query.filter(event::Column::Builder.eq(id));
                }
                if let Some(BuildId(id)) = filter.build {
                    query = query.filter(event::Column::Build.eq(id));
                }
                if let Some(id) = filter.after_id {
                    query = query.filter(event::Column::Id.gt(id));
                }
                Ok(query.limit(Page::bounded(limit)).all(&*tx).await?)
            })
            .await?;
        rows.into_iter()
            .map(|row| {
                let detail = Row::new("event", &row.id).json_maybe("detail", row.detail.as_deref())?;
                Ok(Event {
                    id: row.id,
                    at: Timestamp::from_micros(row.at),
                    actor: row.actor,
                    subject_kind: row.subject_kind,
                    subject_id: row.subject_id,
                    old_state: row.old_state,
                    new_state: row.new_state,
                    reason: row.reason,
                    detail,
                    build: row.build.map(BuildId),
                    builder: row.builder.map(BuilderId),
                })
            })
            .collect()
    }
}
