//! Asking a cloud for a machine: the row first, then the call.

use std::time::Duration;

use cloud::{Cloud, Instance};
use model::{BuilderState, LaunchId, Offering, Timestamp};
use shell::ClientKey;
use store::{Builder, Change, LaunchAnswer, LaunchAttempt, Lease, NewLaunch};
use tracing::{debug, warn};
use uuid::Uuid;

use super::{advance, because};
use crate::{Context, Error, request};

/// How long to leave a cloud alone that has none of the offerings, or that asked for fewer calls; the latter longer with
/// every time.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a launch without a clear answer is asked about before it may count as never made.
const RESOLVING_AT_LEAST: Duration = Duration::from_secs(600);
const PAUSE_BETWEEN_QUESTIONS: Duration = Duration::from_secs(3);

/// What a planned builder does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Asks for this offering.
    Ask(Offering),
    /// Waits for this long.
    Wait(Duration),
    /// Is given up.
    GiveUp(String),
}

/// Commits token and parameters, then calls; or says for how long a cloud that refused is to be left alone.
pub(super) async fn launch(context: &Context, lease: &Lease, builder: Builder) -> Result<Duration, Error> {
    let now = context.clock.now();
    let offering = match next(context, &builder, now) {
        Next::Ask(offering) => offering,
        Next::Wait(pause) => return Ok(pause),
        Next::GiveUp(why) => {
            warn!(builder.id = %builder.id, "Builder {} is given up: {why}.", builder.id);
            advance(context, lease, &builder, BuilderState::Abandoned, because(why)).await?;
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
    let deadline = now.plus(context.deadlines(&builder.pool).launch);
    let builder = context
        .store
        .begin_launch(lease, &builder, &launch, deadline, now)
        .await?;
    call(context, lease, &builder).await?;
    Ok(Duration::ZERO)
}

fn next(context: &Context, builder: &Builder, now: Timestamp) -> Next {
    let Some(pool) = context.fleet.pools.get(&builder.pool) else {
        return Next::GiveUp(format!("pool {} is no longer in fleet.yaml", builder.pool));
    };
    let Some(cloud) = context.fleet.clouds.get(&builder.cloud) else {
        return Next::GiveUp(format!("cloud {} is no longer in fleet.yaml", builder.cloud));
    };
    let offerings = pool.all_offerings(&cloud.network);
    next_of(&offerings, pool.launch.attempts, builder, now)
}

/// Each refusal leads to the next offering, round and round until all tries are over, but every offering has one. What was
/// only put off is asked for again.
fn next_of(offerings: &[Offering], tries: u32, builder: &Builder, now: Timestamp) -> Next {
    let count = u32::try_from(offerings.len()).unwrap_or(u32::MAX);
    let refused = builder.refusals;
    let Some(offering) = usize::try_from(refused.checked_rem(count).unwrap_or(0))
        .ok()
        .and_then(|nth| offerings.get(nth))
    else {
        return Next::GiveUp(format!("pool {} has no offering", builder.pool));
    };
    if refused >= tries.max(count) {
        let last = builder.reason.as_deref().unwrap_or("no reason was given");
        let launches = if refused == 1 {
            "its launch was"
        } else {
            "all its launches were"
        };
        return Next::GiveUp(format!(
            "{launches} refused, {refused} in all; the last one: {last}"
        ));
    }
    let last = builder.launch.as_ref().and_then(|launch| launch.answer);
    let is_put_off = last == Some(LaunchAnswer::Later);
    let pause = if is_put_off {
        let doubled = 1u32 << builder.postponements.saturating_sub(1).min(5);
        PAUSE_AFTER_REFUSAL.saturating_mul(doubled).min(LONGEST_PAUSE)
    } else if refused > 0 && refused.is_multiple_of(count.max(1)) {
        PAUSE_AFTER_REFUSAL
    } else {
        Duration::ZERO
    };
    let waited = now.since(builder.entered_at);
    if waited < pause {
        return Next::Wait(pause.saturating_sub(waited));
    }
    Next::Ask(offering.clone())
}

/// Makes the call that a row announces, and writes down what came of it.
async fn call(context: &Context, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let (launch, answer) = ask(context, builder).await?;
    let error = match answer {
        Ok(instance) => {
            let (to, change) = given(launch, instance);
            return advance(context, lease, builder, to, change).await.map(drop);
        }
        Err(error) => error,
    };
    let words = format!("{}: {error}", launch.offering);
    let (to, answer) = match &error {
        cloud::Error::Refused { .. } => (BuilderState::Planned, Some(LaunchAnswer::Refused)),
        cloud::Error::Throttled { .. } | cloud::Error::Unreachable { .. } => {
            (BuilderState::Planned, Some(LaunchAnswer::Later))
        }
        cloud::Error::Ended => (BuilderState::Abandoned, Some(LaunchAnswer::Nothing)),
        cloud::Error::Unclear { .. } => (BuilderState::Resolving, None),
    };
    let change = Change {
        launch_answer: answer,
        ..because(words)
    };
    advance(context, lease, builder, to, change).await?;
    match error {
        // For the cloud: others need not find out the same.
        source @ cloud::Error::Unreachable { .. } => Err(Error::Cloud {
            cloud: builder.cloud.clone(),
            source,
        }),
        _ => Ok(()),
    }
}

/// The cloud's answer to the launch that is on record.
async fn ask<'a>(
    context: &Context,
    builder: &'a Builder,
) -> Result<(&'a LaunchAttempt, Result<Instance, cloud::Error>), Error> {
    let Some(launch) = &builder.launch else {
        return Err(Error::Contradiction(format!(
            "builder {} is {} without a launch",
            builder.id, builder.state
        )));
    };
    let request = request::launch_request(&context.fleet, builder, launch, &context.key)?;
    Ok((launch, cloud_of(context, builder)?.launch(&request).await))
}

fn cloud_of<'a>(context: &'a Context, builder: &Builder) -> Result<&'a dyn Cloud, Error> {
    let found = context.clouds.get(&builder.cloud).map(AsRef::as_ref);
    found.ok_or_else(|| Error::Contradiction(format!("there is no cloud `{}` in fleet.yaml", builder.cloud)))
}

fn given(launch: &LaunchAttempt, instance: Instance) -> (BuilderState, Change) {
    let change = Change {
        reason: format!("the cloud gave instance {} ({})", instance.id, launch.offering),
        instance_id: Some(instance.id),
        launch_answer: Some(LaunchAnswer::Given),
        ..Change::default()
    };
    (BuilderState::Pending, change)
}

fn nothing(words: impl Into<String>) -> (BuilderState, Change) {
    let change = Change {
        launch_answer: Some(LaunchAnswer::Nothing),
        ..because(words)
    };
    (BuilderState::Abandoned, change)
}

/// A launch that nobody waits for any more: its controller was killed between the row and the answer.
pub(super) async fn interrupted(context: &Context, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let change = because("the controller was interrupted while it asked");
    advance(context, lease, builder, BuilderState::Resolving, change)
        .await
        .map(drop)
}

/// Repeats the question with the same token and the same parameters: if a machine was made, it is the
/// answer. Observing adopts it by its tag as well. A refusal does not prove that the first question was
/// refused as well, so that only ten minutes without a machine of that tag end the doubt.
pub(super) async fn resolve(context: &Context, lease: &Lease, builder: &Builder) -> Result<Duration, Error> {
    let waited = context.clock.now().since(builder.entered_at);
    let (launch, answer) = ask(context, builder).await?;
    let (to, change) = match answer {
        Ok(instance) => given(launch, instance),
        Err(error @ cloud::Error::Ended) => nothing(error.to_string()),
        Err(cloud::Error::Refused { .. }) if is_nowhere(context, builder, waited).await? => {
            nothing("no instance with its tag in ten minutes")
        }
        Err(source @ cloud::Error::Unreachable { .. }) => {
            return Err(Error::Cloud {
                cloud: builder.cloud.clone(),
                source,
            });
        }
        Err(error) => {
            debug!(builder.id = %builder.id, "It is not known yet what became of the launch: {error}");
            return Ok((waited / 2).clamp(PAUSE_BETWEEN_QUESTIONS, LONGEST_PAUSE));
        }
    };
    advance(context, lease, builder, to, change).await?;
    Ok(Duration::ZERO)
}

/// Whether its time of doubt is over and the cloud lists no machine for it.
async fn is_nowhere(context: &Context, builder: &Builder, waited: Duration) -> Result<bool, Error> {
    if waited <= RESOLVING_AT_LEAST {
        return Ok(false);
    }
    let listed = cloud_of(context, builder)?.list(context.fleet.fleet).await;
    let listed = listed.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    Ok(listed
        .iter()
        .all(|instance| instance.builder() != Some(builder.id)))
}

#[cfg(test)]
mod tests;
