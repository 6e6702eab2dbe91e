//! Asking a cloud for a machine: the row first, then the call.

use std::time::Duration;

use cloud::{Cloud, Instance};
use model::{BuilderState, LaunchId};
use runtime::clock;
use shell::ClientKey;
use store::{Builder, Change, LaunchAttempt, Lease, NewLaunch};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{advance, because};
use crate::{Error, Parts, request};

/// How long to leave a cloud alone that asked for fewer calls or had nothing to give.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(3);
/// How long a launch without a clear answer is asked about before it may count as never made.
const RESOLVING_AT_LEAST: Duration = Duration::from_secs(600);
const PAUSE_BETWEEN_QUESTIONS: Duration = Duration::from_secs(3);

/// Commits token and parameters, then calls; or says for how long a cloud that refused is to be left alone.
pub(super) async fn launch(parts: &Parts, lease: &Lease, builder: Builder) -> Result<Duration, Error> {
    let refused_for = clock::now().since(builder.entered_at);
    if builder.launches > 0 && refused_for < PAUSE_AFTER_REFUSAL {
        return Ok(PAUSE_AFTER_REFUSAL.saturating_sub(refused_for));
    }
    let offering = match next_offering(parts, &builder) {
        Ok(offering) => offering,
        Err(why) => {
            advance(parts, lease, &builder, BuilderState::Abandoned, because(why)).await?;
            return Ok(Duration::ZERO);
        }
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
    call(parts, lease, &builder).await?;
    Ok(Duration::ZERO)
}

/// What a builder's next launch asks for, or why there is none.
fn next_offering(parts: &Parts, builder: &Builder) -> Result<String, String> {
    let tried = builder.launches;
    let pool = parts.fleet.pools.get(&builder.pool);
    let pool = pool.ok_or_else(|| format!("pool {} is no longer in fleet.yaml", builder.pool))?;
    if tried >= pool.launch.attempts {
        return Err(format!("{tried} launches were refused"));
    }
    let nth = usize::try_from(tried).unwrap_or(usize::MAX);
    request::offering(&pool.offerings, nth).ok_or_else(|| format!("pool {} has no offering", builder.pool))
}

/// Makes the call that a row announces, and writes down what came of it.
async fn call(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let (launch, answer) = ask(parts, builder).await?;
    let (to, change) = match answer {
        Ok(instance) => given(launch, instance),
        Err(error) if error.may_have_acted() => (BuilderState::Resolving, because(error.to_string())),
        Err(error @ (cloud::Error::NoCapacity { .. } | cloud::Error::Throttled { .. })) => {
            (BuilderState::Planned, refused(&error))
        }
        Err(error) => {
            warn!(builder.id = %builder.id, "The launch of builder {} was refused: {error}", builder.id);
            (BuilderState::Abandoned, refused(&error))
        }
    };
    advance(parts, lease, builder, to, change).await.map(drop)
}

/// The cloud's answer to the launch that is on record.
async fn ask<'a>(
    parts: &Parts,
    builder: &'a Builder,
) -> Result<(&'a LaunchAttempt, Result<Instance, cloud::Error>), Error> {
    let Some(launch) = &builder.launch else {
        return Err(Error::Contradiction(format!(
            "builder {} is {} without a launch",
            builder.id, builder.state
        )));
    };
    let request = request::launch_request(&parts.fleet, builder, launch, &parts.key)?;
    Ok((launch, cloud_of(parts, builder)?.launch(&request).await))
}

fn cloud_of<'a>(parts: &'a Parts, builder: &Builder) -> Result<&'a dyn Cloud, Error> {
    let found = parts.clouds.get(&builder.cloud).map(AsRef::as_ref);
    found.ok_or_else(|| Error::Contradiction(format!("there is no cloud `{}` in fleet.yaml", builder.cloud)))
}

fn given(launch: &LaunchAttempt, instance: Instance) -> (BuilderState, Change) {
    let change = Change {
        reason: format!("the cloud gave instance {} ({})", instance.id, launch.offering),
        instance_id: Some(instance.id),
        launch_outcome: Some("given".to_owned()),
        ..Change::default()
    };
    (BuilderState::Pending, change)
}

fn refused(error: &cloud::Error) -> Change {
    Change {
        launch_outcome: Some(error.to_string()),
        ..because(error.to_string())
    }
}

/// A launch that nobody waits for any more: its controller was killed between the row and the answer.
pub(super) async fn interrupted(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let change = because("the controller was interrupted while it asked");
    advance(parts, lease, builder, BuilderState::Resolving, change)
        .await
        .map(drop)
}

/// Repeats the question with the same token and the same parameters: if a machine was made, it is the
/// answer. Observing adopts it by its tag as well. A refusal does not prove that the first question was
/// refused as well, so that only ten minutes without a machine of that tag end the doubt.
pub(super) async fn resolve(parts: &Parts, lease: &Lease, builder: &Builder) -> Result<Duration, Error> {
    let (launch, answer) = ask(parts, builder).await?;
    let (to, change) = match answer {
        Ok(instance) => given(launch, instance),
        Err(error @ cloud::Error::Ended) => (BuilderState::Abandoned, refused(&error)),
        Err(error) if !error.may_have_acted() && is_nowhere(parts, builder).await? => {
            let change = because("no instance with its tag in ten minutes");
            (BuilderState::Abandoned, change)
        }
        Err(error) => {
            debug!(builder.id = %builder.id, "It is not known yet what became of the launch: {error}");
            return Ok(PAUSE_BETWEEN_QUESTIONS);
        }
    };
    advance(parts, lease, builder, to, change).await?;
    Ok(Duration::ZERO)
}

/// Whether its time of doubt is over and the cloud lists no machine for it.
async fn is_nowhere(parts: &Parts, builder: &Builder) -> Result<bool, Error> {
    if clock::now().since(builder.entered_at) <= RESOLVING_AT_LEAST {
        return Ok(false);
    }
    let listed = cloud_of(parts, builder)?.list(parts.fleet.fleet).await;
    let listed = listed.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    Ok(listed
        .iter()
        .all(|instance| instance.builder() != Some(builder.id)))
}
