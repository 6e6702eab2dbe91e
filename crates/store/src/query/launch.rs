//! The row that stands before each call to a cloud.

use model::{BuilderState, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    EntityTrait as _,
};

use super::{builders::builder_of, leases::check_lease, transition::move_builder};
use crate::{
    Builder, Change, Lease, NewLaunch,
    convert::or_conflict,
    database::Store,
    entity::{builder, launch_attempt},
    error::{Error, Result},
};

impl Store {
    /// Writes down, before the call, that a cloud is asked for a planned builder: with which token and which
    /// parameters, and until when its answer is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`], [`Error::Conflict`] when the builder changed since it was looked at.
    pub async fn begin_launch(
        &self,
        lease: &Lease,
        builder: &Builder,
        launch: &NewLaunch,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Builder> {
        self.write(|tx| async move {
            check_lease(&tx, lease).await?;
            let change = Change {
                reason: format!("asking for {}", launch.offering),
                deadline: Some(deadline),
                ..Change::default()
            };
            let keys = builder::ActiveModel {
                host_key: Set(launch.host_key_public.clone()),
                host_key_secret: Set(launch.host_key_secret.clone()),
                host_key_given: Set(launch.host_key_secret.is_some()),
                ..Default::default()
            };
            move_builder(&tx, builder, BuilderState::Launching, (&change, keys), now).await?;
            let insert = launch_attempt::Entity::insert(launch_attempt::ActiveModel {
                id: Set(launch.id.0),
                builder: Set(builder.id.0),
                offering: Set(launch.offering.to_string()),
                params_hash: Set(launch.params_hash.clone()),
                asked_at: Set(now.as_micros()),
                answered_at: Set(None),
                outcome: Set(None),
                instance_id: NotSet,
                answer: Set(None),
            });
            or_conflict(insert.exec_without_returning(&*tx).await, || {
                format!("there is a launch {} already", launch.id)
            })?;
            let moved = builder_of(&tx, builder.id).await?;
            moved.ok_or_else(|| Error::not_found(format!("builder {}", builder.id)).into())
        })
        .await
    }
}
