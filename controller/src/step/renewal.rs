//! The host key of a machine that was given one in its user data: whoever may read that knows the key, in the cloud's API, in the
//! metadata service, or on the machine's disk. So the machine makes another one at the first connection, whose secret half never
//! leaves it, and has to prove that from then on.
//!
//! The new key is on record before the machine uses it, and the old one counts until the new one was seen: a controller that is
//! interrupted anywhere, and another that goes on, find the machine by one of the two, and begin from the beginning where it is the
//! old one.

use std::time::Duration;

use runtime::{Backoff, supervisor::error_chain};
use shell::HostKey;
use store::{Builder, Lease};
use tracing::{debug, info};

use super::time_left;
use crate::{
    Context, Error, Machine,
    place::{next_key, place_of},
};

/// How long each of the two commands may take. They take some hundredths of a second.
const COMMAND: Duration = Duration::from_secs(20);
/// How long the machine's sshd may take to show the new key.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one try to connect may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What came of it.
pub(super) struct Renewed {
    pub(super) builder: Builder,
    /// The machine, on a connection on which it has proved its new key; or why it has none, in words for operators. It is not
    /// used with the old one, since it would be given builds and others may be taken for it.
    pub(super) machine: Result<Box<dyn Machine>, String>,
}

/// Has a machine show a key of its own in the place of the given one. `shown`: what it has shown now.
pub(super) async fn renew(
    context: &Context,
    lease: &Lease,
    builder: Builder,
    (machine, shown): (Box<dyn Machine>, &HostKey),
) -> Result<Renewed, Error> {
    if next_key(&builder).map_err(Error::Keys)?.as_ref() == Some(shown) {
        return pin(context, lease, &builder, machine).await;
    }
    let failed = |builder: Builder, words: String| {
        let words = format!("it does not replace the host key that its user data holds: {words}");
        Ok(Renewed {
            builder,
            machine: Err(words),
        })
    };
    let limit = time_left(context, &builder).unwrap_or_default().min(COMMAND);
    let made = match machine.make_host_key(limit).await {
        Ok(made) => made,
        Err(words) => {
            machine.close().await;
            return failed(builder, words);
        }
    };
    let (line, now) = (made.to_string(), context.clock.now());
    let builder = context
        .store
        .begin_key_change(lease, &builder, &line, now)
        .await?;
    let said = machine.replace_host_key(&made, limit).await;
    machine.close().await;
    match open_again(context, &builder, &made, said).await? {
        Ok(machine) => pin(context, lease, &builder, machine).await,
        Err(words) => failed(builder, words),
    }
}

/// Keeps the key that the machine has just proved as its only one.
async fn pin(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    machine: Box<dyn Machine>,
) -> Result<Renewed, Error> {
    let now = context.clock.now();
    let builder = context.store.end_key_change(lease, builder, now).await?;
    info!(builder.id = %builder.id, "Builder {} shows a host key of its own making.", builder.id);
    Ok(Renewed {
        builder,
        machine: Ok(machine),
    })
}

/// Connects anew to a machine that was told to show that key, and said so; the inner error: why it does not, in words. sshd takes a
/// moment for it, in which it may show the old one or be away.
async fn open_again(
    context: &Context,
    builder: &Builder,
    made: &HostKey,
    said: Result<(), String>,
) -> Result<Result<Box<dyn Machine>, String>, Error> {
    let Some((endpoint, _)) = place_of(context, builder) else {
        return Err(Error::Contradiction(format!(
            "builder {} is {} without an address or a host key",
            builder.id, builder.state
        )));
    };
    let until = context.clock.now().plus(PATIENCE);
    let mut pauses = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        let left = until.since(context.clock.now());
        let left = time_left(context, builder).unwrap_or_default().min(left);
        let last = match context.reach.open(&endpoint, made, left.min(HANDSHAKE)).await {
            Ok(machine) => return Ok(Ok(machine)),
            Err(error) => error_chain(&error),
        };
        // What it said may have been lost on the way; where it said that it failed, there is nothing to wait for.
        if let Err(words) = said {
            return Ok(Err(words));
        }
        if left.is_zero() {
            let seconds = PATIENCE.as_secs();
            return Ok(Err(format!(
                "its sshd did not show the new one within {seconds} s: {last}"
            )));
        }
        debug!(builder.id = %builder.id, "Not with its new host key yet: {last}");
        context.clock.sleep(pauses.pause().min(left)).await;
    }
}
