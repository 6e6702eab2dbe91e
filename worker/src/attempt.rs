//! One attempt, from its allocation to its outcome. Every part can be repeated: after a lost connection or
//! a killed worker the builder is asked how the build stands, and the rest follows from its answer.

use std::time::Duration;

use model::Blame;
use runtime::{Backoff, clock, supervisor::chain};
use shell::{Chunk, Progress};
use store::{Allocation, AllocationState, Outcome};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    Context, Error,
    builder::{Builder, Status, Verdict},
    collect,
    log::LiveLog,
    task,
};

/// How long a busy builder is believed to be so without a sign of its worker.
pub(crate) const BUILDER_DEADLINE: Duration = Duration::from_secs(90);
/// How often a worker shows that it is there, and learns of a wish to cancel.
const RENEW_EVERY: Duration = Duration::from_millis(700);
/// How long a builder may be out of reach before its attempt is given up: with a build on it, and before.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_BEFORE_THE_START: Duration = Duration::from_secs(15);
/// How much longer than the build's own time an attempt may take: for sources, results, and lost connections.
const TIME_AROUND_THE_BUILD: Duration = Duration::from_secs(3600);
/// Before work is taken up again that found the farm's disk full.
const PAUSE_ON_A_FULL_DISK: Duration = Duration::from_secs(2);
/// Before a log is followed again that ended though its build runs.
const PAUSE_BETWEEN_FOLLOWS: Duration = Duration::from_millis(500);

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

/// Drives it to its end; whether that is written down. What cannot be is left to the controller, which gives the
/// builder up when its worker is silent.
pub(crate) async fn drive(context: &Context, allocation: &Allocation) -> bool {
    let id = allocation.attempt.id;
    let outcome = match follow_to_the_end(context, allocation).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) | Err(Error::Fenced) => {
            info!(attempt.id = %id, "Attempt {id} is no longer ours.");
            return true;
        }
        Err(error) => failure_of(&error),
    };
    match hand_in(context, allocation, &outcome).await {
        Ok(()) => true,
        Err(error) => {
            warn!(attempt.id = %id, "The end of attempt {id} was refused: {}", chain(&error));
            // What the database finds wrong with it would be wrong again: at least the attempt must end.
            let failure = failure_of(&Error::Store(error));
            hand_in(context, allocation, &failure).await.is_ok()
        }
    }
}

/// Writes the end down, as soon as the database is there. That it is no longer ours to end is fine.
async fn hand_in(context: &Context, allocation: &Allocation, outcome: &Outcome) -> Result<(), store::Error> {
    let id = allocation.attempt.id;
    let mut pauses = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        let finished = context
            .store
            .finish_attempt(allocation.epoch, &context.name, outcome, clock::now());
        match finished.await {
            Ok(()) => {
                info!(attempt.id = %id, "Attempt {id} ended: {}.", words(outcome));
                return Ok(());
            }
            Err(error) if error.is_temporary() => tokio::time::sleep(pauses.pause()).await,
            Err(store::Error::Conflict { what }) => {
                info!(attempt.id = %id, "Attempt {id} was ended by another: {what}");
                return Ok(());
            }
            Err(error) => return Err(error),
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
        Error::Repository(repository::Error::Manifest(_)) => Blame::Infrastructure,
        Error::Refused(_) => Blame::Package,
        Error::Repository(cause) if cause.is_bad_package() => Blame::Package,
        Error::Store(_)
        | Error::Repository(_)
        | Error::File { .. }
        | Error::Lost(_)
        | Error::Task(_)
        | Error::Fenced => Blame::Service,
    };
    Outcome::Failed {
        blame,
        reason: chain(error),
        evidence: None,
        result_directory: None,
    }
}

/// How well a builder was reached so far.
struct Reach {
    /// Since when it is out of reach.
    lost: Option<Instant>,
    /// Whether a build of ours is, or was, on it.
    has_build: bool,
    /// Whether nobody has connected for this allocation yet.
    is_first: bool,
    pauses: Backoff,
}

impl Reach {
    fn new(has_build: bool) -> Self {
        Self {
            lost: None,
            has_build,
            is_first: true,
            pauses: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
        }
    }

    fn made(&mut self, has_build: bool) {
        *self = Self {
            is_first: false,
            ..Self::new(self.has_build || has_build)
        };
    }

    /// How long to wait before the next try; `None` when there were enough.
    fn failed(&mut self) -> Option<Duration> {
        let since = *self.lost.get_or_insert_with(Instant::now);
        let patience = if self.has_build {
            PATIENCE
        } else {
            PATIENCE_BEFORE_THE_START
        };
        (since.elapsed() <= patience).then(|| self.pauses.pause())
    }
}

/// When an attempt's time is over, whatever its builder says.
fn time_limit(allocation: &Allocation) -> Instant {
    let attempt = &allocation.attempt;
    let whole = Duration::from_secs(attempt.options.timeout_seconds).saturating_add(TIME_AROUND_THE_BUILD);
    let now = clock::now();
    let used = now.since(attempt.started_at.unwrap_or(now));
    Instant::now() + whole.saturating_sub(used)
}

/// Connects, as often as it takes, until there is an outcome. `None` when the allocation was taken away.
async fn follow_to_the_end(context: &Context, allocation: &Allocation) -> Result<Option<Outcome>, Error> {
    let mut log = LiveLog::open(
        context.publisher.root(),
        allocation.attempt.id,
        context.limits.log_bytes,
    )
    .await?;
    let limit = time_limit(allocation);
    let mut reach = Reach::new(log.size() > 0);
    loop {
        let (error, pause) = match visit(context, allocation, &mut log, (&mut reach, limit)).await {
            Ok(outcome) => return Ok(outcome),
            Err(error @ Error::Connection(_)) => (error, reach.failed()),
            // Room is for an operator to make, and no reason to build everything anew.
            Err(error) if error.is_full_disk() => {
                warn!(attempt.id = %allocation.attempt.id, "Waiting for room on the disk: {}", chain(&error));
                (error, Some(PAUSE_ON_A_FULL_DISK))
            }
            Err(error) => return Err(error),
        };
        let Some(pause) = pause.filter(|_| Instant::now() < limit) else {
            return Err(error);
        };
        debug!(attempt.id = %allocation.attempt.id, "Will connect again: {}", chain(&error));
        match renew(context, allocation, log.size()).await? {
            Some(false) => {}
            // Out of reach, nothing can be killed: the builder is drained, which ends it.
            Some(true) => return Ok(Some(Outcome::Canceled)),
            None => return Ok(None),
        }
        tokio::time::sleep(pause).await;
    }
}

/// One connection's worth of work.
async fn visit(
    context: &Context,
    allocation: &Allocation,
    log: &mut LiveLog,
    (reach, limit): (&mut Reach, Instant),
) -> Result<Option<Outcome>, Error> {
    let builder = Builder::connect(context, allocation).await?;
    // Nobody has been on the builder of an allocation that was taken up just now: nothing is there to ask about.
    let is_first = std::mem::take(&mut reach.is_first) && allocation.state == AllocationState::Offered;
    let is_new = is_first || builder.status().await?.state == "unknown";
    reach.made(!is_new);
    if is_new {
        if allocation.attempt.cancel_requested {
            return Ok(Some(Outcome::Canceled));
        }
        match await_repository(context, allocation, limit).await? {
            None => {}
            Some(End::Cancelled) => return Ok(Some(Outcome::Canceled)),
            Some(_) => return Ok(None),
        }
        builder.start(context, allocation).await?;
        reach.made(true);
    }
    let outcome = match follow(context, allocation, (&builder, limit), log).await? {
        End::Cancelled => {
            builder.cancel(allocation.epoch).await?;
            Outcome::Canceled
        }
        End::Fenced => return Ok(None),
        End::Finished(verdict) => {
            let collecting = collect::collect(context, allocation, &builder, &verdict);
            let collecting = keep_renewing(context, allocation, log.size(), collecting);
            match tokio::time::timeout_at(limit, collecting).await {
                Ok(collected) => match collected? {
                    Some(outcome) => outcome,
                    None => return Ok(None),
                },
                Err(_) => failure_of(&Error::Builder(
                    "its results were not handed over in its time".to_owned(),
                )),
            }
        }
        End::BuildLost => failure_of(&Error::Builder(
            "the build process vanished from its builder".to_owned(),
        )),
    };
    builder.close().await;
    Ok(Some(outcome))
}

/// A build may use the repositories of its own project, so that it begins when they are there, which for a new
/// project takes a moment, and longer on a full disk. What ended the waiting, if it was not that.
async fn await_repository(
    context: &Context,
    allocation: &Allocation,
    limit: Instant,
) -> Result<Option<End>, Error> {
    let attempt = &allocation.attempt;
    for directory in task::directories(&attempt.directory) {
        let key = (attempt.project, &directory, &attempt.chroot);
        while !context.store.is_published(key).await? {
            if Instant::now() > limit {
                return Err(Error::Lost(format!(
                    "the repository of {}/{directory} for {} has not been published yet",
                    attempt.owner, attempt.chroot
                )));
            }
            match renew(context, allocation, 0).await? {
                Some(false) => {}
                Some(true) => return Ok(Some(End::Cancelled)),
                None => return Ok(Some(End::Fenced)),
            }
            tokio::time::sleep(PAUSE_BETWEEN_FOLLOWS).await;
        }
    }
    Ok(None)
}

/// Copies the log until the build has ended.
async fn follow(
    context: &Context,
    allocation: &Allocation,
    (builder, limit): (&Builder, Instant),
    log: &mut LiveLog,
) -> Result<End, Error> {
    let left = || limit.saturating_duration_since(Instant::now());
    let mut stream = builder.follow(log.size(), left()).await?;
    let mut renewed: Option<Instant> = None;
    loop {
        if left().is_zero() {
            return Err(Error::Builder(
                "the build neither ended in its time nor was it ended by its builder".to_owned(),
            ));
        }
        if renewed.is_none_or(|last| last.elapsed() >= RENEW_EVERY) {
            match renew(context, allocation, log.size()).await? {
                Some(true) => return Ok(End::Cancelled),
                Some(false) => renewed = Some(Instant::now()),
                None => return Ok(End::Fenced),
            }
        }
        let progress = match tokio::time::timeout(RENEW_EVERY, stream.next()).await {
            Ok(progress) => progress?,
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
                tokio::time::sleep(PAUSE_BETWEEN_FOLLOWS).await;
                stream = builder.follow(log.size(), left()).await?;
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
/// ours. A database that is away or full is no reason to stop: the build goes on.
async fn renew(context: &Context, allocation: &Allocation, log_bytes: u64) -> Result<Option<bool>, Error> {
    let now = clock::now();
    let size = i64::try_from(log_bytes).unwrap_or(i64::MAX);
    let deadline = now.plus(BUILDER_DEADLINE);
    match context
        .store
        .renew_allocation(allocation.epoch, &context.name, size, deadline, now)
        .await
    {
        Ok(renewal) => Ok(Some(renewal.cancel_requested)),
        Err(store::Error::Conflict { .. }) => Ok(None),
        Err(error) if error.is_temporary() => {
            warn!("Cannot renew an allocation: {}", chain(&error));
            Ok(Some(false))
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows that the worker is there while something long is done, which a wish to cancel ends. `None` when the allocation was
/// lost.
async fn keep_renewing<F>(
    context: &Context,
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
                match renew(context, allocation, log_bytes).await? {
                    Some(false) => {}
                    Some(true) => return Ok(Some(Outcome::Canceled)),
                    None => return Ok(None),
                }
            }
        }
    }
}
