//! The end of a builder: out of service, then terminated, until the cloud says that it is.

use std::time::Duration;

use model::BuilderState;
use runtime::clock;
use store::{Builder, Lease};
use tracing::warn;

use super::{advance, because};
use crate::{Error, Parts};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// From when on somebody should look at a machine that does not end.
const ALARM_AFTER: Duration = Duration::from_secs(900);

/// There are no hooks to wait for.
pub(super) async fn drained(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let reason = builder.reason.clone().unwrap_or_else(|| "drained".to_owned());
    advance(parts, lease, builder, BuilderState::Terminating, because(reason))
        .await
        .map(drop)
}

/// Asks the cloud for the end. That it has come is for the observation to see, so this step only asks, and
/// leaves more time between one question and the next the longer it takes.
pub(super) async fn terminate(parts: &Parts, builder: &Builder) -> Result<(), Error> {
    let Some(instance_id) = &builder.instance_id else {
        return Err(Error::Contradiction(format!(
            "builder {} is terminating without an instance",
            builder.id
        )));
    };
    let Some(cloud) = parts.clouds.get(&builder.cloud) else {
        return Err(Error::Contradiction(format!(
            "there is no cloud `{}` in fleet.yaml",
            builder.cloud
        )));
    };
    let waited = clock::now().since(builder.entered_at);
    if waited > ALARM_AFTER {
        warn!(
            builder.id = %builder.id,
            "Instance {instance_id} of builder {} is not gone after {} s.", builder.id, waited.as_secs()
        );
    }
    let asked = cloud.terminate(instance_id).await;
    let pause = (waited / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    tokio::time::sleep(pause).await;
    asked.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })
}
