//! What comes back over the control socket: answers, each for the call that waits for it, and news of machines that
//! ended by themselves.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::Interest,
    net::UnixStream,
    sync::{broadcast, watch},
};

use super::{
    MachineEvent, Waiting,
    protocol::{self, Reply},
};

/// Hands answers to those who wait for them, until the socket closes.
pub(super) async fn read_replies(
    socket: Arc<UnixStream>,
    waiting: Arc<Mutex<Waiting>>,
    events: broadcast::Sender<MachineEvent>,
    closing: watch::Sender<bool>,
) {
    loop {
        match receive::<Reply>(&socket).await {
            Ok(Some((Reply::Answer { number, result }, descriptor))) => {
                if let Some(sender) = lock(&waiting).remove(&number) {
                    // Who no longer waits has timed out; the descriptor closes here.
                    sender.send(result.map(|answer| (answer, descriptor))).ok();
                }
            }
            Ok(Some((Reply::Ended { id, state }, _))) => {
                tracing::info!(id, ?state, "A machine ended by itself.");
                // Nobody may be listening.
                events
                    .send(MachineEvent {
                        instance_id: id,
                        state,
                    })
                    .ok();
            }
            Ok(None) => break,
            Err(error) => {
                tracing::error!(%error, "The control socket of the hypervisor failed.");
                break;
            }
        }
    }
    closing.send_replace(true);
    // Dropping the senders wakes everyone with `Gone`.
    lock(&waiting).clear();
}

pub(super) async fn receive<T: serde::de::DeserializeOwned>(
    socket: &UnixStream,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    socket
        .async_io(Interest::READABLE, || protocol::receive(socket))
        .await
}

/// The calls that wait. A thread that died with the lock held left them whole.
pub(super) fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
