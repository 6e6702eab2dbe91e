//! Cancelling a build.

use model::{AttemptState, Blame, BuildId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{
    events::Entry,
    verdict::{End, OPEN, end, lock_build, refresh_build, state_of},
};
use crate::{
    CancelOutcome,
    database::Store,
    entity::{attempt, build},
    error::{Error, Result},
};

impl Store {
    /// Ends a build by its user's wish: what waits is over at once, what has a builder is ended by its
    /// worker, what is being published finishes.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when nothing is left to cancel, [`Error::NotFound`].
    pub async fn cancel_build(&self, id: BuildId, actor: &str, now: Timestamp) -> Result<CancelOutcome> {
        self.write(|tx| async move {
            let row = lock_build(&tx, id).await?;
            if row.canceled {
                return Err(Error::conflict(format!("build {id} is cancelled already")).into());
            }
            let attempts = attempt::Entity::find()
                .filter(attempt::Column::Build.eq(id.0))
                .filter(attempt::Column::State.is_in(OPEN))
                .all(&*tx)
                .await?;
            build::Entity::update_many()
                .set(build::ActiveModel {
                    canceled: Set(true),
                    ..Default::default()
                })
                .filter(build::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            let mut outcome = CancelOutcome::default();
            let why = format!("cancelled by {actor}");
            for row in attempts {
                match state_of(&row)? {
                    AttemptState::Waiting => {
                        outcome.ended = outcome.ended.saturating_add(1);
                        let verdict = End::new(AttemptState::Canceled, Some(Blame::Cancelled), &why);
                        end(&tx, &row, verdict, (actor, now)).await?;
                    }
                    AttemptState::Assigned | AttemptState::Running => {
                        outcome.requested = outcome.requested.saturating_add(1);
                        attempt::Entity::update_many()
                            .set(attempt::ActiveModel {
                                cancel_requested: Set(true),
                                ..Default::default()
                            })
                            .filter(attempt::Column::Id.eq(row.id))
                            .exec(&*tx)
                            .await?;
                    }
                    _ => outcome.publishing = outcome.publishing.saturating_add(1),
                }
            }
            if outcome.ended == 0 && outcome.requested == 0 {
                let what = match outcome.publishing {
                    0 => format!("build {id} is over"),
                    _ => format!("the results of build {id} are being published"),
                };
                return Err(Error::conflict(what).into());
            }
            refresh_build(&tx, id, (actor, now)).await?;
            Entry::of_build(id, actor, "cancelled")
                .detail(serde_json::json!({
                    "ended": outcome.ended,
                    "requested": outcome.requested,
                    "publishing": outcome.publishing,
                }))
                .write(&tx, now);
            Ok(outcome)
        })
        .await
    }
}
