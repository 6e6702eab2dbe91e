//! The end of a machine: its cloud is told, until it says that it has ended it.

use std::{pin::pin, time::Duration};

use cloud::{Cloud, End, Instance};
use model::{
    BuilderState, console,
    fleet::CloudProfile,
    step::{Move, pause_between_ends},
};
use store::{Builder, Console, Lease};
use tracing::{debug, info, warn};

use super::{Turn, advance};
use crate::{Context, Error};

/// From when on it is told of a machine that it does not end.
const ALARM_AFTER: Duration = Duration::from_secs(900);
/// How long the end of a machine that was never ready waits for its console, and for how long that is tried.
const HEAD_START: Duration = Duration::from_secs(2);
const READING: Duration = Duration::from_secs(5);
/// What stands in a builder's reason once its machine's protection was to be lifted.
const PROTECTION: &str = "its protection from being ended";
/// How much of it the log tells.
const CONSOLE_LINES: usize = 20;

/// Whether a machine's console is read before the machine ends: once, where it never got ready and the cloud answers. With it goes
/// the only trace of why. A fixed host has none, and does not end.
const fn is_read(builder: &Builder, turn: &Turn) -> bool {
    turn.is_first && turn.cloud_answers && builder.ready_at.is_none() && builder.host.is_none()
}

/// Keeps the end of a console, and tells it in the log.
async fn keep_console(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    (cloud, instance_id): (&dyn Cloud, &str),
    turn: &Turn,
) {
    let reading = turn.consoles.read((&builder.cloud, cloud), instance_id, READING);
    let raw = match reading.await {
        Some(Ok(raw)) => raw,
        Some(Err(error)) => {
            return debug!(builder.id = %builder.id, "No console of instance {instance_id}: {error}");
        }
        None => {
            return debug!(builder.id = %builder.id, "Too many consoles are read: not that of {instance_id}.");
        }
    };
    let console = Console {
        at: context.clock.now(),
        text: console::end(&raw),
    };
    let last = console::last_lines(&console.text, CONSOLE_LINES).join(" | ");
    info!(builder.id = %builder.id, "The console of instance {instance_id} ends with: {last}");
    if let Err(error) = context.store.keep_console(lease, builder.id, &console).await {
        warn!(builder.id = %builder.id, "The console of instance {instance_id} is not kept: {error}");
    }
}

/// Tells the cloud to end a machine, after its console was read where that is done, or soon enough where it takes long.
async fn end(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    (cloud, instance_id): (&dyn Cloud, &str),
    turn: &Turn,
) -> Result<End, cloud::Error> {
    if !is_read(builder, turn) {
        return cloud.terminate(instance_id).await;
    }
    let mut reading = pin!(keep_console(context, lease, builder, (cloud, instance_id), turn));
    if context.clock.within(HEAD_START, reading.as_mut()).await.is_some() {
        return cloud.terminate(instance_id).await;
    }
    let ((), asked) = tokio::join!(reading, cloud.terminate(instance_id));
    asked
}

/// Asks the cloud for the end. That it has come is for the observation to see, so this step only asks, and leaves more time
/// between one question and the next the longer it takes. What the cloud refuses is added to the builder's reason: the machine
/// goes on costing.
pub(super) async fn terminate(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    turn: &Turn,
) -> Result<Duration, Error> {
    let Some(instance_id) = &builder.instance_id else {
        return Err(Error::Contradiction(format!(
            "builder {} is terminating without an instance",
            builder.id
        )));
    };
    let Some(cloud) = context.clouds.get(&builder.cloud) else {
        return Err(Error::Contradiction(format!(
            "there is no cloud `{}` in fleet.yaml",
            builder.cloud
        )));
    };
    let waited = context.clock.now().since(builder.entered_at);
    let asked = end(context, lease, builder, (cloud.as_ref(), instance_id), turn).await;
    let mut is_lifted = was_lifted(builder);
    let asked = match asked {
        Err(error) if is_protected(&error) && !is_lifted => {
            let machine = (cloud.as_ref(), instance_id.as_str());
            match lift(context, lease, builder, machine).await? {
                Some(asked) => {
                    is_lifted = true;
                    asked
                }
                None => Err(error),
            }
        }
        asked => asked,
    };
    if let Some(words) = alarm(&asked, instance_id, (waited, is_lifted)) {
        context.store.annotate_builder(lease, builder, &words).await?;
    }
    let end = asked.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    match end {
        End::Asked => Ok(pause_between_ends(waited)),
        End::Over => {
            let step = Move::new(BuilderState::Terminated, format!("{instance_id} is given back"));
            advance(context, lease, builder, step).await?;
            Ok(Duration::ZERO)
        }
    }
}

/// Whether a cloud says that somebody protected the machine.
fn is_protected(error: &cloud::Error) -> bool {
    matches!(error, cloud::Error::Refused { code, .. } if code == "OperationNotPermitted")
}

/// Whether that was tried before, and the cloud has answered.
fn was_lifted(builder: &Builder) -> bool {
    builder
        .reason
        .as_deref()
        .is_some_and(|reason| reason.contains(PROTECTION))
}

/// Takes the protection of a machine away and asks for its end once more; what comes of it, or `None` where the machine is not surely
/// this builder's, or its cloud knows no such thing. It is on record before it is done, and done once: whoever protects the machine
/// after that is left to people.
async fn lift(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    (cloud, instance_id): (&dyn Cloud, &str),
) -> Result<Option<Result<End, cloud::Error>>, Error> {
    let spec = context.fleet.clouds.get(&builder.cloud);
    if spec.is_none_or(|spec| spec.profile != CloudProfile::Aws) {
        return Ok(None);
    }
    let failed = |source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    };
    let found = cloud.describe(&[instance_id.to_owned()]).await.map_err(failed)?;
    let is_ours = |it: &Instance| {
        it.id == instance_id && it.belongs_to(context.fleet.fleet) && it.builder() == Some(builder.id)
    };
    if !found.iter().any(is_ours) {
        return Ok(None);
    }
    let words = format!("{instance_id} is protected by somebody, which is being changed");
    context.store.annotate_builder(lease, builder, &words).await?;
    match cloud.unprotect(instance_id).await {
        Ok(()) => {}
        Err(error @ cloud::Error::Refused { .. }) => return Ok(Some(Err(error))),
        Err(error) => return Err(failed(error)),
    }
    info!(builder.id = %builder.id, "Instance {instance_id} was protected by somebody: {PROTECTION} is lifted.");
    let words = format!("{instance_id} was protected by somebody: {PROTECTION} is lifted");
    context.store.annotate_builder(lease, builder, &words).await?;
    Ok(Some(cloud.terminate(instance_id).await))
}

/// What operators have to know of a machine that goes on costing: a refusal at once, silence after a while.
fn alarm(
    asked: &Result<End, cloud::Error>,
    instance_id: &str,
    (waited, is_lifted): (Duration, bool),
) -> Option<String> {
    match asked {
        Err(error @ cloud::Error::Refused { .. }) if is_lifted => Some(format!(
            "{instance_id} is not ended, though {PROTECTION} was to be lifted: {error}"
        )),
        Err(error @ cloud::Error::Refused { .. }) => Some(format!("{instance_id} is not ended: {error}")),
        Ok(End::Asked) if waited > ALARM_AFTER => Some(format!(
            "the cloud has not ended {instance_id} since it was told to"
        )),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_told_of_a_refusal_at_once_and_of_silence_after_a_quarter_of_an_hour() {
        let refused = || cloud::Error::Refused {
            code: "OperationNotPermitted".to_owned(),
            message: "termination protection".to_owned(),
        };
        let unclear = || cloud::Error::Unclear {
            what: "it did not answer in time".to_owned(),
        };
        let refusal = "i-1 is not ended: the cloud refuses: OperationNotPermitted: termination protection";
        let silence = "the cloud has not ended i-1 since it was told to";
        for (asked, seconds, expected) in [
            (Ok(End::Asked), 0, None),
            (Ok(End::Asked), 900, None),
            (Ok(End::Asked), 901, Some(silence)),
            (Ok(End::Over), 901, None),
            (Err(refused()), 0, Some(refusal)),
            (Err(refused()), 5000, Some(refusal)),
            // That a cloud does not answer is told of the cloud.
            (Err(unclear()), 5000, None),
        ] {
            let told = alarm(&asked, "i-1", (Duration::from_secs(seconds), false));
            assert_eq!(told.as_deref(), expected, "{asked:?} after {seconds} s");
        }
        let again = alarm(&Err(refused()), "i-1", (Duration::ZERO, true)).unwrap();
        let words =
            "i-1 is not ended, though its protection from being ended was to be lifted: the cloud refuses: ";
        assert!(again.starts_with(words), "{again}");
    }
}
