//! Asking a cloud for a machine: the row first, then the call.

use std::time::Duration;

use model::{BuilderState, LaunchId};
use runtime::clock;
use shell::ClientKey;
use store::{Builder, Change, Lease, NewLaunch};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{advance, because};
use crate::{Error, Parts, request};

/// How long to leave a cloud alone that asked for fewer calls or had nothing to give.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(3);
/// How long a launch without a clear answer is asked about before it may count as never made.
const RESOLVING_AT_LEAST: Duration = Duration::from_secs(600);
const PAUSE_BETWEEN_QUESTIONS: Duration = Duration::from_secs(3);

/// Commits token and parameters, then calls.
pub(super) async fn launch(parts: &Parts, lease: &Lease, builder: Builder) -> Result<(), Error> {
    let tried = builder.launches;
    if tried > 0 && clock::now().since(builder.entered_at) < PAUSE_AFTER_REFUSAL {
        tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
    }
    let Some(pool) = parts.fleet.pools.get(&builder.pool) else {
        let change = because(format!("pool {} is no longer in fleet.yaml", builder.pool));
        return advance(parts, lease, &builder, BuilderState::Abandoned, change)
            .await
            .map(drop);
    };
    if tried >= pool.launch.attempts {
        let change = because(format!("{tried} launches were refused"));
        return advance(parts, lease, &builder, BuilderState::Abandoned, change)
            .await
            .map(drop);
    }
    let nth = usize::try_from(tried).unwrap_or(usize::MAX);
    let Some(offering) = request::offering(&pool.offerings, nth) else {
        let change = because(format!("pool {} has no offering", builder.pool));
        return advance(parts, lease, &builder, BuilderState::Abandoned, change)
            .await
            .map(drop);
    };
    let host_key = ClientKey::generate(&builder.id.to_string()).map_err(Error::Keys)?;
    let public = host_key.public_openssh().map_err(Error::Keys)?;
    let launch = NewLaunch {
        id: LaunchId(Uuid::now_v7()),
        params_hash: request::parameters_hash(&builder.image, &offering, &public),
        offering,
        host_key_public: public,
        host_key_secret: host_key.private_openssh().map_err(Error::Keys)?,
    };
    let now = clock::now();
    let deadline = now.plus(parts.deadlines(&builder.pool).launch);
    let builder = parts
        .store
        .begin_launch(lease, &builder, &launch, deadline, now)
        .await?;
    call(parts, lease, &builder).await
}

/// Makes the call that a row announces, and writes down what came of it.
async fn call(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let Some(launch) = &builder.launch else {
        return Err(Error::Contradiction(format!(
            "builder {} is {} without a launch",
            builder.id, builder.state
        )));
    };
    let request = request::launch_request(&parts.fleet, builder, launch, &parts.key)?;
    let Some(cloud) = parts.clouds.get(&builder.cloud) else {
        return Err(Error::Contradiction(format!(
            "there is no cloud `{}` in fleet.yaml",
            builder.cloud
        )));
    };
    let (to, change) = match cloud.launch(&request).await {
        Ok(instance) => (
            BuilderState::Pending,
            Change {
                reason: format!("the cloud gave instance {} ({})", instance.id, launch.offering),
                instance_id: Some(instance.id),
                launch_outcome: Some("given".to_owned()),
                ..Change::default()
            },
        ),
        Err(error) if error.may_have_acted() => {
            if builder.state == BuilderState::Resolving {
                debug!(builder.id = %builder.id, "Still no clear answer: {error}");
                return Ok(());
            }
            (BuilderState::Resolving, because(error.to_string()))
        }
        Err(error @ (cloud::Error::NoCapacity { .. } | cloud::Error::Throttled { .. })) => (
            BuilderState::Planned,
            Change {
                launch_outcome: Some(error.to_string()),
                ..because(error.to_string())
            },
        ),
        Err(error) => {
            warn!(builder.id = %builder.id, "The launch of builder {} was refused: {error}", builder.id);
            (
                BuilderState::Abandoned,
                Change {
                    launch_outcome: Some(error.to_string()),
                    ..because(error.to_string())
                },
            )
        }
    };
    if builder.state == BuilderState::Resolving && to != BuilderState::Pending {
        return doubt(builder);
    }
    advance(parts, lease, builder, to, change).await.map(drop)
}

/// A refusal of the repeated question does not prove that the first one was refused as well.
fn doubt(builder: &Builder) -> Result<(), Error> {
    debug!(builder.id = %builder.id, "The repeated launch was refused; the listing has to tell.");
    Ok(())
}

/// A launch that nobody waits for any more: its controller was killed between the row and the answer.
pub(super) async fn interrupted(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let change = because("the controller was interrupted while it asked");
    advance(parts, lease, builder, BuilderState::Resolving, change)
        .await
        .map(drop)
}

/// Repeats the question with the same token and the same parameters: if a machine was made, it is the
/// answer. Observing adopts it by its tag as well.
pub(super) async fn resolve(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let in_doubt = clock::now().since(builder.entered_at);
    if in_doubt > RESOLVING_AT_LEAST {
        let listed = match parts.clouds.get(&builder.cloud) {
            Some(cloud) => cloud
                .list(parts.fleet.fleet)
                .await
                .map_err(|source| Error::Cloud {
                    cloud: builder.cloud.clone(),
                    source,
                })?,
            None => Vec::new(),
        };
        if !listed
            .iter()
            .any(|instance| instance.builder() == Some(builder.id))
        {
            let change = because("no instance with its tag in ten minutes");
            return advance(parts, lease, builder, BuilderState::Abandoned, change)
                .await
                .map(drop);
        }
    }
    call(parts, lease, builder).await?;
    tokio::time::sleep(PAUSE_BETWEEN_QUESTIONS).await;
    Ok(())
}
