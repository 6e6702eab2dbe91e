//! The accounts of attempts that ended without a worker. Who drives an attempt leaves its account, whatever its end; one that is
//! killed leaves none, and where no other takes the attempt over, its end is the controller's alone. Any worker that comes later
//! then tells what the database knows, and keeps what was seen of the log: so the logs of every build are kept, and its results
//! are only named where there are some.
//!
//! What is to be done is found in the rows of the attempts, and the row is changed after the files are in their place: a worker
//! that is killed in between leaves it to the next.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use runtime::{CancellationToken, clock, supervisor::error_chain};
use store::Attempt;
use tracing::{error, info, warn};

use crate::{
    context::Context,
    error::{Error, blocking},
    journal::Journal,
    log::{self, LIVE_LOG},
    staged::Staged,
    wording::Wording,
};

/// How often such attempts are looked for.
const EVERY: Duration = Duration::from_secs(60);
/// How long ago an attempt has to have ended: a worker that lost it, and lives, tells of it within seconds, and knows more.
const GRACE: Duration = Duration::from_secs(60);
/// How many attempts are read at once.
const ATTEMPTS_AT_ONCE: u64 = 100;

/// Looks now and then until told to stop.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match AssertUnwindSafe(tell_all(&context, GRACE, &stop))
            .catch_unwind()
            .await
        {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => info!("Told of {count} attempts whose workers were gone when they ended."),
            Ok(Err(error)) => warn!(
                "Cannot look for attempts without an account: {}",
                error_chain(&error)
            ),
            Err(_) => error!("A fault of this program: what tells of attempts without a worker panicked."),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Tells of all attempts that ended so long ago; of how many. One of which cannot be told keeps no other from it.
async fn tell_all(context: &Context, grace: Duration, stop: &CancellationToken) -> Result<usize, Error> {
    let (before, mut count) = (clock::now().minus(grace), 0_usize);
    let mut after = None;
    loop {
        let (found, next) = context
            .store
            .attempts_without_results(before, after, ATTEMPTS_AT_ONCE)
            .await?;
        for attempt in &found {
            if stop.is_cancelled() {
                return Ok(count);
            }
            match tell(context, attempt).await {
                Ok(()) => count = count.saturating_add(1),
                Err(error) => warn!(
                    attempt.id = %attempt.id,
                    "The account of attempt {} was not written: {}", attempt.id, error_chain(&error)
                ),
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => return Ok(count),
        }
    }
}

async fn tell(context: &Context, attempt: &Attempt) -> Result<(), Error> {
    let staged = Staged::aside(context, attempt).await?;
    let path = staged.path.clone();
    let written = write(context, attempt, staged).await;
    if written.is_err() {
        // It is tried again, in another directory.
        blocking(move || Ok(std::fs::remove_dir_all(path).ok())).await?;
    }
    let store = &context.store;
    store.add_results(attempt.id, &written?, clock::now()).await?;
    Ok(())
}

async fn write(context: &Context, attempt: &Attempt, mut staged: Staged) -> Result<String, Error> {
    let log = log::directory(context.publisher.root(), attempt.id).join(LIVE_LOG);
    staged
        .add_what_is_here(context, seen(log).await?.as_deref())
        .await?;
    let journal = account(attempt, Wording::of_attempt(context, attempt));
    staged.put(context, &journal).await
}

/// A log in which there is something.
async fn seen(log: PathBuf) -> Result<Option<PathBuf>, Error> {
    blocking(move || {
        let is_seen = std::fs::metadata(&log).is_ok_and(|file| file.len() > 0);
        Ok(is_seen.then_some(log))
    })
    .await
}

/// What the database knows of an attempt that is over.
fn account(attempt: &Attempt, wording: Wording) -> Journal {
    let journal = Journal::new(wording);
    journal.begin(attempt);
    if let Some(at) = attempt.started_at {
        journal.note_at(at, "A worker has taken it up.");
    }
    let reason = attempt.reason.as_deref();
    let reason = reason.unwrap_or_else(|| attempt.state.as_str());
    journal.note_at(
        attempt.ended_at.unwrap_or_else(clock::now),
        &format!("It was ended: {reason}"),
    );
    journal.note("The worker that had it is gone, and left no account of its own.");
    journal
}

#[cfg(test)]
mod tests;
