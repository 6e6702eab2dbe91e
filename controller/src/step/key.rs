//! The host key of a machine that has made it itself: it is found on the machine's console, and on record before anybody connects.

use std::time::Duration;

use runtime::Backoff;
use store::{Builder, Lease};
use tracing::{debug, info};

use super::{Turn, time_left};
use crate::{Context, Error, console};

/// How long one question for a console may take, with the wait for its turn.
const QUESTION: Duration = Duration::from_secs(20);
/// How often a console is looked at while its machine boots. Clouds post it late: EC2 some minutes after the boot.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Whether a builder has a machine that was to make its host key, of which nothing is known yet.
pub(super) fn is_unknown(builder: &Builder) -> bool {
    builder.host_key.is_none() && builder.host.is_none()
}

/// Looks at a builder's console until it tells the host key, and keeps that; the builder with it. The inner error says why there is
/// none in all the time that the machine has to boot.
pub(super) async fn find(
    context: &Context,
    lease: &Lease,
    builder: Builder,
    turn: &Turn,
) -> Result<Result<Builder, String>, Error> {
    let contradiction =
        |what: String| Error::Contradiction(format!("builder {} is {} {what}", builder.id, builder.state));
    let Some(instance_id) = &builder.instance_id else {
        return Err(contradiction("without an instance".to_owned()));
    };
    let Some(cloud) = context.clouds.get(&builder.cloud) else {
        return Err(contradiction(format!(
            "in cloud {}, which is not in fleet.yaml",
            builder.cloud
        )));
    };
    let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut why = "too many others were read meanwhile".to_owned();
    while let Some(left) = time_left(context, &builder) {
        let place = (builder.cloud.as_str(), cloud.as_ref());
        match turn.consoles.read(place, instance_id, left.min(QUESTION)).await {
            Some(Ok(text)) => match console::host_key(&text) {
                Ok(key) => {
                    let (line, now) = (key.to_string(), context.clock.now());
                    let kept = context
                        .store
                        .keep_key_of_console(lease, &builder, &line, now)
                        .await?;
                    info!(
                        builder.id = %builder.id,
                        "The console of instance {instance_id} shows the host key {}, which is kept.", key.fingerprint()
                    );
                    return Ok(Ok(kept));
                }
                Err(lack) => why = lack.to_string(),
            },
            Some(Err(error)) => why = format!("it could not be read: {error}"),
            None => {}
        }
        debug!(builder.id = %builder.id, "No host key on the console of instance {instance_id} yet: {why}");
        let pause = pauses
            .pause()
            .min(time_left(context, &builder).unwrap_or_default());
        context.clock.sleep(pause).await;
    }
    let seconds = context.clock.now().since(builder.entered_at).as_secs();
    Ok(Err(format!(
        "the console of {instance_id} showed no host key within {seconds} s: {why}"
    )))
}
