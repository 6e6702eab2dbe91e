//! One attempt, from its allocation to its outcome. Every part can be repeated: after a lost connection or
//! a killed worker the builder is asked how the build stands, and the rest follows from its answer.

use std::time::Duration;

use model::Blame;
use runtime::{Backoff, clock, supervisor::chain};
use shell::{Chunk, Progress};
use store::{Allocation, Outcome};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    Error, Parts,
    builder::{Builder, Status, Verdict},
    collect,
    log::LiveLog,
};

/// How long a busy builder is believed to be so without a sign of its worker.
pub(crate) const BUILDER_DEADLINE: Duration = Duration::from_secs(90);
/// How often a worker shows that it is there, and learns of a wish to cancel.
const RENEW_EVERY: Duration = Duration::from_millis(700);
/// How long a builder may be out of reach before its attempt is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why following an attempt ended.
enum End {
    /// The builder has a verdict.
    Finished(Verdict),
    /// Its user wants it to end.
    Cancelled,
    /// The build process is gone without a verdict.
    BuildLost,
    /// The allocation is no longer ours.
    Fenced,
}

/// Drives it to its end. What cannot be written down is left to the controller, which gives the builder up
/// when its worker is silent.
pub(crate) async fn drive(parts: &Parts, allocation: &Allocation) {
    let id = allocation.attempt.id;
    let outcome = match follow_to_the_end(parts, allocation).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => return info!(attempt.id = %id, "Attempt {id} is no longer ours."),
        Err(error) => failure_of(&error),
    };
    let mut pauses = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match parts
            .store
            .finish_attempt(allocation.epoch, &parts.name, &outcome, clock::now())
            .await
        {
            Ok(()) => return info!(attempt.id = %id, "Attempt {id} ended: {}.", words(&outcome)),
            Err(store::Error::Unavailable { .. }) => tokio::time::sleep(pauses.pause()).await,
            Err(error) => {
                return warn!(attempt.id = %id, "The end of attempt {id} was refused: {}", chain(&error));
            }
        }
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Collected { packages, .. } => format!("{} packages collected", packages.len()),
        Outcome::Failed { blame, reason, .. } => format!("failed ({blame}): {reason}"),
        Outcome::Skipped { reason } => format!("skipped: {reason}"),
        Outcome::Canceled => "canceled".to_owned(),
    }
}

/// Whose fault an error on our side of the wire is.
fn failure_of(error: &Error) -> Outcome {
    let blame = match error {
        Error::Connection(_) | Error::Builder(_) => Blame::Infrastructure,
        Error::Refused(_) => Blame::Package,
        Error::Repository(cause) if cause.is_bad_package() => Blame::Package,
        Error::Store(_) | Error::Repository(_) | Error::File { .. } | Error::Lost(_) => Blame::Service,
    };
    Outcome::Failed {
        blame,
        reason: chain(error),
        evidence: None,
        result_directory: None,
    }
}

/// Connects, as often as it takes, until there is an outcome. `None` when the allocation was taken away.
async fn follow_to_the_end(parts: &Parts, allocation: &Allocation) -> Result<Option<Outcome>, Error> {
    let mut log = LiveLog::open(
        parts.publisher.root(),
        allocation.attempt.id,
        parts.limits.log_bytes,
    )
    .await?;
    let mut pauses = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let mut out_of_reach: Option<Instant> = None;
    loop {
        let error = match visit(parts, allocation, &mut log).await {
            Ok(outcome) => return Ok(outcome),
            Err(error @ Error::Connection(_)) => error,
            Err(error) => return Err(error),
        };
        let since = *out_of_reach.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Err(error);
        }
        debug!(attempt.id = %allocation.attempt.id, "Will connect again: {}", chain(&error));
        match renew(parts, allocation, log.size()).await? {
            Some(false) => {}
            // Out of reach, nothing can be killed: the builder is drained, which ends it.
            Some(true) => return Ok(Some(Outcome::Canceled)),
            None => return Ok(None),
        }
        tokio::time::sleep(pauses.pause()).await;
    }
}

/// One connection's worth of work.
async fn visit(parts: &Parts, allocation: &Allocation, log: &mut LiveLog) -> Result<Option<Outcome>, Error> {
    let builder = Builder::connect(parts, allocation).await?;
    let status = builder.status().await?;
    if status.state == "unknown" {
        if allocation.attempt.cancel_requested {
            return Ok(Some(Outcome::Canceled));
        }
        builder.start(parts, allocation).await?;
    }
    let end = match follow(parts, allocation, &builder, log).await? {
        End::Cancelled => {
            builder.cancel().await?;
            builder.close().await;
            return Ok(Some(Outcome::Canceled));
        }
        End::Fenced => return Ok(None),
        end => end,
    };
    let outcome = match end {
        End::Finished(verdict) => {
            let collecting = collect::collect(parts, allocation, &builder, &verdict);
            match keep_renewing(parts, allocation, log.size(), collecting).await? {
                Some(outcome) => outcome,
                None => return Ok(None),
            }
        }
        End::BuildLost | End::Cancelled | End::Fenced => Outcome::Failed {
            blame: Blame::Infrastructure,
            reason: "the build process vanished from its builder".to_owned(),
            evidence: None,
            result_directory: None,
        },
    };
    builder.close().await;
    Ok(Some(outcome))
}

/// Copies the log until the build has ended.
async fn follow(
    parts: &Parts,
    allocation: &Allocation,
    builder: &Builder,
    log: &mut LiveLog,
) -> Result<End, Error> {
    let limit = Duration::from_secs(allocation.attempt.options.timeout_seconds.saturating_add(3600));
    let mut stream = builder.follow(log.size(), limit).await?;
    let mut renewed: Option<Instant> = None;
    loop {
        if renewed.is_none_or(|last| last.elapsed() >= RENEW_EVERY) {
            match renew(parts, allocation, log.size()).await? {
                Some(true) => return Ok(End::Cancelled),
                Some(false) => renewed = Some(Instant::now()),
                None => return Ok(End::Fenced),
            }
        }
        let progress = match tokio::time::timeout(RENEW_EVERY, stream.next()).await {
            Ok(progress) => progress.map_err(Error::Connection)?,
            Err(_) => continue,
        };
        match progress {
            Progress::Chunk(Chunk::Stdout(bytes)) => log.append(&bytes).await?,
            Progress::Chunk(Chunk::Stderr(bytes)) => {
                debug!(
                    "verdigris-builder says: {}",
                    String::from_utf8_lossy(&bytes).trim()
                );
            }
            Progress::End(_) => {
                let status = builder.status().await?;
                if let Some(end) = end_of(status)? {
                    return Ok(end);
                }
                stream = builder.follow(log.size(), limit).await?;
            }
        }
    }
}

fn end_of(status: Status) -> Result<Option<End>, Error> {
    match (status.state.as_str(), status.verdict) {
        ("finished", Some(verdict)) => Ok(Some(End::Finished(verdict))),
        ("lost" | "unknown", _) => Ok(Some(End::BuildLost)),
        ("running", _) => Ok(None),
        (state, _) => Err(Error::Builder(format!(
            "a build in the state `{state}` without a verdict"
        ))),
    }
}

/// Shows that the worker is there. Whether a cancel is wanted; `None` when the allocation is no longer
/// ours. A database that is away is no reason to stop: the build goes on.
async fn renew(parts: &Parts, allocation: &Allocation, log_bytes: u64) -> Result<Option<bool>, Error> {
    let now = clock::now();
    let size = i64::try_from(log_bytes).unwrap_or(i64::MAX);
    let deadline = now.plus(BUILDER_DEADLINE);
    match parts
        .store
        .renew_allocation(allocation.epoch, &parts.name, size, deadline, now)
        .await
    {
        Ok(renewal) => Ok(Some(renewal.cancel_requested)),
        Err(store::Error::Conflict { .. }) => Ok(None),
        Err(error @ store::Error::Unavailable { .. }) => {
            warn!("Cannot renew an allocation: {}", chain(&error));
            Ok(Some(false))
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows that the worker is there while something long is done. `None` when the allocation was lost.
async fn keep_renewing<F>(
    parts: &Parts,
    allocation: &Allocation,
    log_bytes: u64,
    work: F,
) -> Result<Option<Outcome>, Error>
where
    F: Future<Output = Result<Outcome, Error>>,
{
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done.map(Some),
            () = tokio::time::sleep(RENEW_EVERY) => {
                if renew(parts, allocation, log_bytes).await?.is_none() {
                    return Ok(None);
                }
            }
        }
    }
}
