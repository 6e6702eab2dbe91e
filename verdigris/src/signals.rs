//! The signals that end a process in order.

use runtime::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Cancels the token at the first SIGINT or SIGTERM.
pub(crate) fn stop_at_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Lives as long as the process: it has nothing to finish.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => info!("Interrupted."),
            _ = terminate.recv() => info!("Told to stop."),
        }
        stop.cancel();
    });
    Ok(())
}
