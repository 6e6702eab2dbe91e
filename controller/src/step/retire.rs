//! The end of a machine: its cloud is told, until it says that it has ended it.

use std::{pin::pin, time::Duration};

use cloud::{Cloud, End};
use model::{
    BuilderState, console,
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
    if let Some(words) = alarm(&asked, instance_id, waited) {
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

/// What operators have to know of a machine that goes on costing: a refusal at once, silence after a while.
fn alarm(asked: &Result<End, cloud::Error>, instance_id: &str, waited: Duration) -> Option<String> {
    match asked {
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
            let told = alarm(&asked, "i-1", Duration::from_secs(seconds));
            assert_eq!(told.as_deref(), expected, "{asked:?} after {seconds} s");
        }
    }
}
