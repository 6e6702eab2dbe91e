//! The end of a builder: out of service, then terminated, until the cloud says that it is.

use std::time::Duration;

use cloud::Cloud;
use model::BuilderState;
use store::{Builder, Lease};
use tracing::{debug, info};

use super::{advance, because};
use crate::{Context, Error};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// From when on it is told of a machine that it does not end.
const ALARM_AFTER: Duration = Duration::from_secs(900);
/// How much is told of the console of a machine that was never ready.
const CONSOLE_LINES: usize = 20;

/// Logs what a machine that was never ready wrote to its console: with it goes the only trace of why.
async fn tell_console(cloud: &dyn Cloud, builder: &Builder, instance_id: &str) {
    match cloud.console_output(instance_id).await {
        Ok(text) => {
            let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let last = lines
                .get(lines.len().saturating_sub(CONSOLE_LINES)..)
                .unwrap_or_default();
            info!(
                builder.id = %builder.id,
                "The console of instance {instance_id} ends with: {}", last.join(" | ")
            );
        }
        Err(error) => debug!(builder.id = %builder.id, "No console of instance {instance_id}: {error}"),
    }
}

/// There are no hooks to wait for.
pub(super) async fn drained(context: &Context, lease: &Lease, builder: &Builder) -> Result<(), Error> {
    let reason = builder.reason.clone().unwrap_or_else(|| "drained".to_owned());
    advance(
        context,
        lease,
        builder,
        BuilderState::Terminating,
        because(reason),
    )
    .await
    .map(drop)
}

/// Asks the cloud for the end; `is_first` says whether this controller has not done so before. That it has come is for the
/// observation to see, so this step only asks, and leaves more time between one question and the next the longer it takes.
/// What the cloud refuses is added to the builder's reason: the machine goes on costing.
pub(super) async fn terminate(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    is_first: bool,
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
    // It stays to be had for a while; nothing waits for it.
    let telling = async {
        if is_first && builder.ready_at.is_none() {
            tell_console(cloud.as_ref(), builder, instance_id).await;
        }
    };
    let ((), asked) = tokio::join!(telling, cloud.terminate(instance_id));
    match &asked {
        Err(error @ cloud::Error::Refused { .. }) => {
            let words = format!("{instance_id} is not ended: {error}");
            context.store.annotate_builder(lease, builder, &words).await?;
        }
        Ok(()) if waited > ALARM_AFTER => {
            let words = format!("the cloud has not ended {instance_id} since it was told to");
            context.store.annotate_builder(lease, builder, &words).await?;
        }
        Ok(()) | Err(_) => {}
    }
    asked.map_err(|source| Error::Cloud {
        cloud: builder.cloud.clone(),
        source,
    })?;
    Ok((waited / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE))
}
