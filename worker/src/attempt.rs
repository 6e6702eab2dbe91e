//! One attempt, from its allocation to its outcome. Every part can be repeated: after a lost connection or
//! a killed worker the builder is asked how the build stands, and the rest follows from its answer.

use std::{sync::Arc, time::Duration};

use runtime::{Backoff, clock, supervisor::error_chain};
use store::{Allocation, AllocationState, Outcome, Renewal, RepositoryKey};
use tokio::{fs::File, time::Instant};
use tracing::{debug, info, warn};

use crate::{
    collect::{Collection, end_of},
    context::Context,
    error::Error,
    journal::Journal,
    leases::{Held, Leases},
    log::LiveLog,
    session::{BuildOnBuilder, BuilderSession, Status, Verdict, VerdictWord},
    task,
    wording::Wording,
};

/// How long a builder may be out of reach before its attempt is given up: with a build on it, and before.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_BEFORE_THE_START: Duration = Duration::from_secs(15);
/// How much longer than the build's own time an attempt may take: for sources, results, and lost connections.
const TIME_AROUND_THE_BUILD: Duration = Duration::from_secs(3600);
/// Before work is taken up again that found the farm's disk full.
const PAUSE_ON_A_FULL_DISK: Duration = Duration::from_secs(2);
/// Before a log is followed again that ended though its build runs.
const PAUSE_BETWEEN_FOLLOWS: Duration = Duration::from_millis(500);
/// How often a repository is looked for that is not there yet.
const PAUSE_FOR_THE_REPOSITORY: Duration = Duration::from_millis(200);
/// How long a cancelled build may take to be killed and to give its logs away.
const TIME_TO_CANCEL: Duration = Duration::from_secs(60);

/// Drives it to its end; whether that is written down. What cannot be is left to the controller, which gives the
/// builder up when its worker is silent.
pub(crate) async fn drive(context: &Context, leases: &Arc<Leases>, allocation: &Allocation) -> bool {
    let id = allocation.attempt.id;
    let stands = if allocation.attempt.cancel_requested {
        Renewal::CancelWanted
    } else {
        Renewal::Held
    };
    let held = leases.hold(allocation.epoch, stands);
    let attempt = Attempt {
        context,
        allocation,
        held: &held,
        journal: &Journal::new(Wording::new(context, allocation)),
        limit: time_limit(allocation),
    };
    let mut log = None;
    let outcome = tokio::select! {
        biased;
        () = held.lost() => None,
        outcome = attempt.run(&mut log) => outcome,
    };
    let Some(outcome) = outcome else {
        attempt.collection().keep_last_account(log.as_ref()).await;
        info!(attempt.id = %id, "Attempt {id} is no longer ours.");
        return true;
    };
    let outcome = Wording::new(context, allocation).outcome(outcome);
    conclude(context, allocation, &outcome).await
}

/// Writes the end down, or, where the database finds something wrong with it, that it was refused; whether either is written.
async fn conclude(context: &Context, allocation: &Allocation, outcome: &Outcome) -> bool {
    let id = allocation.attempt.id;
    match hand_in(context, allocation, outcome).await {
        Ok(()) => true,
        Err(error) => {
            warn!(attempt.id = %id, "The end of attempt {id} was refused: {}", error_chain(&error));
            // What is wrong with it would be wrong again: at least the attempt must end.
            let failure = Error::Store(error).outcome();
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
                info!(attempt.id = %id, "Attempt {id} ended: {}.", describe(outcome));
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

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Collected { packages, .. } => format!("{} packages collected", packages.len()),
        Outcome::Failed { blame, reason, .. } => format!("failed ({blame}): {reason}"),
        Outcome::Refused { reason, .. } => format!("failed for good (service): {reason}"),
        Outcome::Skipped { reason, .. } => format!("skipped: {reason}"),
        Outcome::Canceled { .. } => "canceled".to_owned(),
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

/// How well a builder was reached so far.
struct Reach {
    /// Since when it is out of reach.
    lost: Option<Instant>,
    /// Whether a build of ours is, or was, on it.
    has_build: bool,
    /// Whether nobody has connected for this allocation yet.
    is_first: bool,
    /// What the builder made of the build, once it has said so.
    verdict: Option<Verdict>,
    pauses: Backoff,
}

impl Reach {
    fn new(has_build: bool) -> Self {
        Self {
            lost: None,
            has_build,
            is_first: true,
            verdict: None,
            pauses: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
        }
    }

    fn made(&mut self, has_build: bool) {
        self.lost = None;
        self.has_build = self.has_build || has_build;
        self.is_first = false;
        self.pauses.reset();
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

/// An attempt that a worker drives.
struct Attempt<'a> {
    context: &'a Context,
    allocation: &'a Allocation,
    held: &'a Held,
    journal: &'a Journal,
    limit: Instant,
}

impl Attempt<'_> {
    /// Its outcome; none when the builder says that the attempt is another's. The log is handed out, since this may be dropped
    /// in the middle.
    async fn run(&self, log: &mut Option<LiveLog>) -> Option<Outcome> {
        let attempt = &self.allocation.attempt;
        self.journal.begin(attempt);
        self.journal.note("A worker has taken it up.");
        let limits = &self.context.limits;
        let opened = LiveLog::open(self.context.publisher.root(), attempt.id, limits.log_bytes).await;
        let log = match opened {
            Ok(opened) => log.insert(opened),
            Err(error) => return Some(self.cut_short(None, &error).await),
        };
        self.held.note_log(log.size());
        // One token for all of it: connecting, upload, log and collection end in the middle when the user wishes it.
        let outcome = tokio::select! {
            biased;
            _ = self.held.ended() => self.cancel(log).await,
            outcome = self.follow_to_the_end(log) => outcome,
        };
        match outcome {
            Ok(outcome) => Some(self.collection().keep_account(Some(log), outcome).await),
            Err(Error::Fenced) => None,
            Err(error) => Some(self.cut_short(Some(log), &error).await),
        }
    }

    /// How an attempt ends that cannot go on.
    async fn cut_short(&self, log: Option<&LiveLog>, error: &Error) -> Outcome {
        self.journal
            .note(&format!("It cannot go on: {}", error_chain(error)));
        self.collection().keep_account(log, error.outcome()).await
    }

    fn collection(&self) -> Collection<'_> {
        Collection::new(self.context, self.allocation, self.journal)
    }

    async fn connect(&self) -> Result<Box<dyn BuilderSession>, Error> {
        let Allocation { builder, attempt, .. } = self.allocation;
        let session = self.context.sessions.open(builder, attempt.id).await?;
        self.journal.note("Connected to the builder.");
        Ok(session)
    }

    /// Connects, as often as it takes, until there is an outcome.
    async fn follow_to_the_end(&self, log: &mut LiveLog) -> Result<Outcome, Error> {
        let id = self.allocation.attempt.id;
        let mut reach = Reach::new(log.size() > 0);
        loop {
            let (error, pause) = match self.visit(log, &mut reach).await {
                Ok(outcome) => return Ok(outcome),
                Err(error @ Error::Connection(_)) => (error, reach.failed()),
                // Room is for an operator to make, and no reason to build everything anew.
                Err(error) if error.is_full_disk() => {
                    warn!(attempt.id = %id, "Waiting for room on the disk: {}", error_chain(&error));
                    (error, Some(PAUSE_ON_A_FULL_DISK))
                }
                Err(error) => return Err(error),
            };
            let Some(pause) = pause.filter(|_| Instant::now() < self.limit) else {
                return last_word(reach.verdict.as_ref(), error);
            };
            let why = error_chain(&error);
            self.journal.note(&format!("Will connect again: {why}"));
            debug!(attempt.id = %id, "Will connect again: {why}");
            let next = Instant::now() + pause;
            tokio::time::sleep_until(next.min(self.limit)).await;
            // What it waited for in vain is why it ends, and no fault of the builder's.
            if next >= self.limit {
                return last_word(reach.verdict.as_ref(), error);
            }
        }
    }

    /// One connection's worth of work.
    async fn visit(&self, log: &mut LiveLog, reach: &mut Reach) -> Result<Outcome, Error> {
        let session = self.connect().await?;
        // Nobody has been on the builder of an allocation that was taken up just now: there is no build to ask about.
        let is_first =
            std::mem::take(&mut reach.is_first) && self.allocation.state == AllocationState::Offered;
        let is_new = is_first || session.status().await?.state == BuildOnBuilder::Unknown;
        reach.made(!is_new);
        if is_new {
            self.start(&*session).await?;
            reach.made(true);
        }
        let collection = self.collection();
        let verdict = self.follow(&*session, log, &collection).await?;
        self.journal.note(&described(&verdict));
        reach.verdict = Some(verdict.clone());
        let collected = collection.collect(&*session, &verdict);
        let outcome = match tokio::time::timeout_at(self.limit, collected).await {
            Ok(outcome) => outcome?,
            Err(_) => {
                let why = "its results were not handed over in its time".to_owned();
                return Err(Error::Builder(why));
            }
        };
        session.close().await;
        Ok(outcome)
    }

    /// Uploads the source and starts the build.
    async fn start(&self, session: &dyn BuilderSession) -> Result<(), Error> {
        let source = &self.allocation.attempt.source;
        let path = task::source_path(&self.context.sources, source);
        let file = File::open(&path).await.map_err(|cause| Error::File {
            what: format!("reading the source {}", source.file_name),
            source: cause,
        })?;
        session.upload(source, file).await?;
        self.journal
            .note(&format!("Uploaded {}, {} bytes.", source.file_name, source.size));
        // A new project's first repository is written meanwhile.
        self.await_repositories().await?;
        let task = task::task(self.context, self.allocation);
        session.start(self.allocation.epoch, &task).await?;
        self.journal.note("Started the build.");
        Ok(())
    }

    /// A build may use the repositories of its own project, so that it begins when they are there, which for a new
    /// project takes a moment, and longer on a full disk.
    async fn await_repositories(&self) -> Result<(), Error> {
        let attempt = &self.allocation.attempt;
        let mut notifications = self.context.store.notifications();
        for directory in task::directories(&attempt.directory) {
            let key = RepositoryKey {
                project: attempt.project,
                directory: &directory,
                chroot: &attempt.chroot,
            };
            while !self.context.store.is_published(key).await? {
                if Instant::now() > self.limit {
                    return Err(Error::Lost(format!(
                        "the repository of {}/{directory} for {} has not been published yet",
                        attempt.owner, attempt.chroot
                    )));
                }
                tokio::time::timeout(PAUSE_FOR_THE_REPOSITORY, notifications.next())
                    .await
                    .ok();
            }
        }
        Ok(())
    }

    /// Copies the log until the build has ended; what the builder makes of it.
    async fn follow(
        &self,
        session: &dyn BuilderSession,
        log: &mut LiveLog,
        collection: &Collection<'_>,
    ) -> Result<Verdict, Error> {
        loop {
            let left = self.limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Builder(
                    "the build neither ended in its time nor was it ended by its builder".to_owned(),
                ));
            }
            let mut stream = session.follow(log.size(), left).await?;
            while let Some(bytes) = stream.next().await? {
                log.append(bytes).await?;
                self.held.note_log(log.size());
            }
            // Two programs that start on the builder: side by side, since the build is over as a rule.
            let (status, ()) = tokio::join!(session.status(), collection.ask_early(session));
            if let Some(verdict) = verdict_of(status?)? {
                return Ok(verdict);
            }
            tokio::time::sleep(PAUSE_BETWEEN_FOLLOWS).await;
        }
    }

    /// Kills the build and keeps its logs. Of a builder out of reach nothing can be killed: it is drained, which ends it.
    async fn cancel(&self, log: &mut LiveLog) -> Result<Outcome, Error> {
        let killed = tokio::time::timeout(TIME_TO_CANCEL, self.kill(log)).await;
        let result_directory = match killed {
            Ok(Ok(kept)) => kept,
            Ok(Err(Error::Fenced)) => return Err(Error::Fenced),
            Ok(Err(error)) => {
                debug!("A cancelled build was not killed: {}", error_chain(&error));
                None
            }
            Err(_) => None,
        };
        Ok(Outcome::Canceled { result_directory })
    }

    async fn kill(&self, log: &mut LiveLog) -> Result<Option<String>, Error> {
        let is_untouched =
            self.allocation.state == AllocationState::Offered && self.allocation.attempt.cancel_requested;
        if is_untouched {
            return Ok(None);
        }
        let session = self.connect().await?;
        if session.status().await?.state == BuildOnBuilder::Unknown {
            return Ok(None);
        }
        session.cancel(self.allocation.epoch).await?;
        self.journal.note("Killed the build, as its user wished.");
        let mut stream = session.follow(log.size(), TIME_TO_CANCEL).await?;
        while let Some(bytes) = stream.next().await? {
            log.append(bytes).await?;
        }
        self.held.note_log(log.size());
        let kept = self.collection().keep_logs(&*session).await?;
        session.close().await;
        Ok(kept)
    }
}

/// What a builder says of a build, for people.
fn described(verdict: &Verdict) -> String {
    let word = match verdict.result {
        VerdictWord::Succeeded => "succeeded",
        VerdictWord::Failed => "failed",
        VerdictWord::Skipped => "skipped",
        VerdictWord::Cancelled => "cancelled",
    };
    let blame = verdict
        .blame
        .as_deref()
        .map_or_else(String::new, |blame| format!(" (answerable: {blame})"));
    let reason = match verdict.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    format!("The builder says: {word}{blame}{reason}")
}

/// How an attempt ends whose builder is given up: what it said of a build that failed stands, though it went away before its
/// logs were here.
fn last_word(verdict: Option<&Verdict>, error: Error) -> Result<Outcome, Error> {
    verdict.and_then(end_of).unwrap_or(Err(error))
}

/// What a builder says of a build whose log ended: a verdict, or nothing while it goes on.
fn verdict_of(status: Status) -> Result<Option<Verdict>, Error> {
    match (status.state, status.verdict) {
        (BuildOnBuilder::Finished, Some(verdict)) => Ok(Some(verdict)),
        (BuildOnBuilder::Running, _) => Ok(None),
        (BuildOnBuilder::Finished, None) => Err(Error::Builder(
            "a build that is finished without a verdict".to_owned(),
        )),
        (BuildOnBuilder::Lost | BuildOnBuilder::Unknown, _) => Err(Error::Builder(
            "the build process vanished from its builder".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tables;
#[cfg(test)]
mod tests;
