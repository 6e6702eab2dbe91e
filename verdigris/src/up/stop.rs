//! How `verdigris up` ends: at once when nothing is built, else after a word and, at the first Ctrl-C, after what runs.

use std::{path::PathBuf, time::Duration};

use model::{
    BuildId, ChrootName,
    fleet::{CredentialsSource, FleetSpec},
};
use runtime::{CancellationToken, clock};
use store::{Allocation, Store};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::{lock::say_stopping, say};

/// How often it is looked at whether what runs has ended.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How many builds are named.
const MOST_NAMED: usize = 20;

/// Stops the farm at signals. The first Ctrl-C lets what runs end, and begins nothing new; the second stops at once, as
/// SIGTERM does, which is what services are stopped with.
pub(super) fn stop_at_signals(
    stop: CancellationToken,
    quiesce: CancellationToken,
    store: Store,
    lock: PathBuf,
) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Lives as long as the process: it has nothing to finish.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {
                info!("Interrupted.");
                quiesce.cancel();
                if let Err(error) = say_stopping(&lock) {
                    warn!("Other commands are not told that the farm is stopping: {error}");
                }
                let_builds_end(&store, &mut interrupt, &mut terminate).await;
            }
            _ = terminate.recv() => info!("Told to stop."),
        }
        stop.cancel();
    });
    Ok(())
}

/// Says what runs and waits for it, until one more signal.
async fn let_builds_end(store: &Store, interrupt: &mut Signal, terminate: &mut Signal) {
    match store.accepted_allocations(None).await {
        Ok(running) if running.is_empty() => return,
        Ok(running) => say(&waiting_words(&running)),
        Err(error) => say(&format!(
            "\nThe database does not say what runs: {error}. The farm begins nothing new, and stops when nothing runs any more. \
             Ctrl-C again stops it at once."
        )),
    }
    loop {
        tokio::select! {
            _ = interrupt.recv() => break say("Stopping at once."),
            _ = terminate.recv() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // A database that does not answer is waited for as builds are: the next signal ends it.
        if store
            .accepted_allocations(None)
            .await
            .is_ok_and(|running| running.is_empty())
        {
            break say("All builds have ended.");
        }
    }
}

fn waiting_words(running: &[Allocation]) -> String {
    let count = running.len();
    let runs = if count == 1 {
        "1 build runs"
    } else {
        &format!("{count} builds run")
    };
    let mut words = format!(
        "\n{runs}. The farm begins nothing new and stops when that has ended. Ctrl-C again stops it at once: builds that \
         this ends are tried again after the next start, and lose no try."
    );
    for allocation in running.iter().take(MOST_NAMED) {
        let attempt = &allocation.attempt;
        let seconds = attempt
            .started_at
            .map_or(0, |started| clock::now().since(started).as_secs());
        words.push_str(&format!(
            "\n  build {} of {}/{} for {}, since {seconds} s",
            attempt.build, attempt.owner, attempt.project_name, attempt.chroot
        ));
    }
    if count > MOST_NAMED {
        words.push_str(&format!("\n  and {} more", count - MOST_NAMED));
    }
    words
}

/// Gives back what was being built when the farm last ended, in whatever way: its machines ended with it.
pub(super) async fn recover(store: &Store, fleet: &FleetSpec) -> anyhow::Result<()> {
    let embedded = fleet
        .clouds
        .iter()
        .filter(|(_, cloud)| cloud.credentials.source == CredentialsSource::Embedded);
    let embedded: Vec<String> = embedded.map(|(name, _)| name.clone()).collect();
    let lost: Vec<(BuildId, ChrootName)> = store.lose_to_stop(fleet.fleet, &embedded, clock::now()).await?;
    for (build, chroot) in lost {
        warn!(
            "Build {build} for {chroot} was stopped with the farm: it is tried again, and the lost try does not count."
        );
    }
    Ok(())
}
