//! Takes rows away that nobody needs any more: those of deleted projects soon after their deletion, and now and then what ended
//! long ago. In pieces, with a rest after each, so that others write meanwhile; what one worker leaves undone the next look of
//! any other goes on with.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use model::ProjectId;
use runtime::{CancellationToken, clock, supervisor::error_chain};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{Context, Error};

/// How often deleted projects are looked for when nobody tells of any.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// What happens together is looked at together.
const PAUSE_AFTER_NOTIFICATION: Duration = Duration::from_millis(500);
/// How often what ended long ago is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// The least rest after a piece.
const REST: Duration = Duration::from_millis(5);

/// Clears and prunes until told to stop.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut notifications = context.store.notifications();
    let mut pruned: Option<Instant> = None;
    while !stop.is_cancelled() {
        let is_due = pruned.is_none_or(|last| last.elapsed() >= PRUNE_EVERY);
        let work = async {
            clear(&context, &stop).await?;
            if is_due {
                pruned = Some(Instant::now());
                prune(&context, &stop).await?;
            }
            Ok::<(), Error>(())
        };
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!("Cannot take away what is over: {}", error_chain(&error)),
            Err(_) => error!("A fault of this program: what takes away what is over panicked."),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = notifications.next() => tokio::time::sleep(PAUSE_AFTER_NOTIFICATION).await,
        }
    }
}

async fn clear(context: &Context, stop: &CancellationToken) -> Result<(), Error> {
    for project in context.store.projects_to_clear().await? {
        // One that cannot be cleared keeps no other from it.
        if let Err(error) = clear_project(context, project, stop).await {
            warn!(
                "Cannot take away the rows of project {project}: {}",
                error_chain(&error)
            );
        }
    }
    Ok(())
}

async fn clear_project(context: &Context, id: ProjectId, stop: &CancellationToken) -> Result<(), Error> {
    let mut pieces: u64 = 0;
    while !stop.is_cancelled() {
        let began = Instant::now();
        if !context.store.clear_project(id, clock::now()).await? {
            info!("The rows of project {id} are gone, in {pieces} pieces.");
            break;
        }
        pieces = pieces.saturating_add(1);
        rest(began).await;
    }
    Ok(())
}

async fn prune(context: &Context, stop: &CancellationToken) -> Result<(), Error> {
    let before = clock::now().minus(context.keep_history);
    let mut rows: u64 = 0;
    while !stop.is_cancelled() {
        let began = Instant::now();
        match context.store.prune(before).await? {
            0 => break,
            more => rows = rows.saturating_add(more),
        }
        rest(began).await;
    }
    if rows > 0 {
        info!("Took {rows} rows away of what ended, or happened, before {before}.");
    }
    Ok(())
}

/// As long as the piece took: others have half of the time of the one that writes.
async fn rest(began: Instant) {
    tokio::time::sleep(began.elapsed().max(REST)).await;
}

#[cfg(test)]
mod tests;
