//! From a builder's results to a signed set of packages in its place. The manifest says what there is; its
//! names, sizes and digests are checked before and while anything is written, and every RPM is read and
//! verified before it is signed. Whatever a build's end, its logs and the farm's own account of it are kept.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::Blame;
use repository::{
    Manifest,
    manifest::{ManifestEntry, ManifestLimits},
};
use runtime::{Backoff, clock, supervisor::error_chain};
use store::{Allocation, Outcome, Renewal};
use tokio::{fs::File, io::AsyncWriteExt as _, sync::OnceCell};
use tracing::{debug, warn};

use crate::{
    context::Context,
    error::{Error, blocking},
    journal::{self, Journal},
    log::LiveLog,
    packages::sign_all,
    session::{BuilderSession, LeftOut, Offer, Verdict, VerdictWord},
    signer::signing_key,
    staged::{Staged, limits},
};

/// How many files are fetched at once; sshd permits ten commands on a connection.
const FILES_AT_ONCE: usize = 4;

/// What collecting takes.
pub(crate) struct Collection<'a> {
    context: &'a Context,
    allocation: &'a Allocation,
    journal: &'a Journal,
    /// What the builder offers, once it has said so.
    offer: OnceCell<Offer>,
    /// Whether what is left out of it has been told.
    is_told: AtomicBool,
}

impl<'a> Collection<'a> {
    pub(crate) fn new(context: &'a Context, allocation: &'a Allocation, journal: &'a Journal) -> Self {
        Self {
            context,
            allocation,
            journal,
            offer: OnceCell::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// Collects what a finished build left and says what that means. An error is one that may pass, or that the attempt is no
    /// longer ours: then nothing is decided.
    pub(crate) async fn collect(
        &self,
        session: &dyn BuilderSession,
        verdict: &Verdict,
    ) -> Result<Outcome, Error> {
        let outcome = match end_of(verdict) {
            None => match self.everything(session).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) if error.may_pass() || matches!(error, Error::Fenced) => return Err(error),
                Err(error) => {
                    self.journal
                        .note(&format!("The results are refused: {}", error_chain(&error)));
                    error.outcome()
                }
            },
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => error.outcome(),
        };
        let logs = self.keep_logs(session).await?;
        Ok(with_results(outcome, logs))
    }

    /// The packages and logs of a build that succeeded, signed and in their place.
    async fn everything(&self, session: &dyn BuilderSession) -> Result<Outcome, Error> {
        let (context, attempt) = (self.context, &self.allocation.attempt);
        let offer = self.offer(session).await?;
        if let Some(one) = offer.refused.iter().find(|one| one.name.ends_with(".rpm")) {
            // It would be missing from a build that succeeded.
            return Err(Error::Refused(format!(
                "the result {} cannot be taken: {}",
                one.name, one.reason
            )));
        }
        let wanted = Manifest::parse(offer.files.to_string().as_bytes(), &limits(context))?;
        let wanted = wanted.entries().filter(|entry| entry.name != journal::NAME);
        let key = signing_key(context, attempt.project).await?;
        let staged = self.fetch(session, wanted.cloned().collect()).await?;
        let (path, build, manifest) = (
            staged.path.clone(),
            staged.build.clone(),
            Manifest::new(staged.entries.clone(), &limits(context))?,
        );
        let architecture = attempt.chroot.architecture().to_owned();
        let packages = blocking(move || sign_all(&path, &manifest, &key, &build, &architecture)).await?;
        self.journal.note(&format!("Signed {} packages.", packages.len()));
        let result_directory = self.place(staged).await?;
        if packages.iter().all(|package| package.is_source) {
            return Ok(Outcome::Failed {
                blame: Blame::Package,
                reason: "the build succeeded and made no binary package".to_owned(),
                evidence: None,
                is_suspect: false,
                result_directory: Some(result_directory),
            });
        }
        Ok(Outcome::Collected {
            result_directory,
            packages,
        })
    }

    /// Keeps the logs of a build, and none of its packages, as results are kept; where. A builder that offers something odd
    /// beside them gets its logs taken all the same.
    ///
    /// # Errors
    /// Those that may pass, and [`Error::Fenced`]; after any other there are no logs, which is told.
    pub(crate) async fn keep_logs(&self, session: &dyn BuilderSession) -> Result<Option<String>, Error> {
        let kept = async {
            let offer = self.offer(session).await?;
            let logs = logs_of(offer, &limits(self.context));
            self.place(self.fetch(session, logs).await?).await
        };
        match kept.await {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if error.may_pass() || matches!(error, Error::Fenced) => Err(error),
            Err(error) => {
                let id = self.allocation.attempt.id;
                warn!(attempt.id = %id, "The logs of a build were not taken: {}", error_chain(&error));
                Ok(None)
            }
        }
    }

    /// Where nothing came from the builder, there is the farm's own account all the same, with what was seen of the build's log
    /// while it ran. What an earlier attempt left stays, where this one has no log.
    pub(crate) async fn keep_account(&self, log: Option<&LiveLog>, outcome: Outcome) -> Outcome {
        let is_kept = match &outcome {
            Outcome::Collected { .. } => true,
            Outcome::Failed { result_directory, .. }
            | Outcome::Refused { result_directory, .. }
            | Outcome::Skipped { result_directory, .. }
            | Outcome::Canceled { result_directory } => result_directory.is_some(),
        };
        if is_kept {
            return outcome;
        }
        let mut pauses = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        loop {
            let placed = async { self.place(self.account(log).await?).await };
            match placed.await {
                Ok(directory) => return with_results(outcome, Some(directory)),
                // The end cannot be written down before the database is there again either.
                Err(Error::Store(error)) if error.is_temporary() => {
                    tokio::time::sleep(pauses.pause()).await;
                }
                Err(error) => {
                    self.not_kept(&error);
                    return outcome;
                }
            }
        }
    }

    /// Keeps the account of an attempt that another ended meanwhile, as the controller does whose builder is gone. Where the
    /// build goes on, or another worker has the attempt, nothing is done: who ends it leaves an account.
    pub(crate) async fn keep_last_account(&self, log: Option<&LiveLog>) {
        let kept = async {
            if let Some(reason) = self.ended_elsewhere().await? {
                self.journal.note(&format!("It was ended: {reason}"));
                let directory = self.account(log).await?.put(self.context, self.journal).await?;
                let (store, id) = (&self.context.store, self.allocation.attempt.id);
                store.add_results(id, &directory, clock::now()).await?;
            }
            Ok(())
        };
        if let Err(error) = kept.await {
            self.not_kept(&error);
        }
    }

    /// Why the attempt is over, if that is the end of its build in this chroot and nobody took it up after us.
    async fn ended_elsewhere(&self) -> Result<Option<String>, Error> {
        let Allocation { attempt, epoch, .. } = self.allocation;
        let of_build = self.context.store.attempts_of(attempt.build).await?;
        let mut of_chroot = of_build.iter().filter(|one| one.chroot == attempt.chroot);
        let is_last = of_chroot.all(|one| one.number <= attempt.number);
        let found = of_build.iter().find(|one| one.id == attempt.id);
        let ended = found.filter(|one| is_last && one.state.is_final() && one.epoch == Some(*epoch));
        Ok(ended.map(|one| {
            one.reason
                .clone()
                .unwrap_or_else(|| one.state.as_str().to_owned())
        }))
    }

    fn not_kept(&self, error: &Error) {
        let id = self.allocation.attempt.id;
        warn!(attempt.id = %id, "The account of a build was not kept among its results: {}", error_chain(error));
    }

    /// What is there without its builder.
    async fn account(&self, log: Option<&LiveLog>) -> Result<Staged, Error> {
        let mut staged = self.stage().await?;
        let seen = log.filter(|log| log.size() > 0).map(LiveLog::path);
        staged.add_what_is_here(self.context, seen).await?;
        Ok(staged)
    }

    async fn stage(&self) -> Result<Staged, Error> {
        Staged::make(self.context, &self.allocation.attempt, self.allocation.epoch).await
    }

    /// Asks for what there is before it is known whether the build is over; a builder that has nothing yet is asked again later.
    pub(crate) async fn ask_early(&self, session: &dyn BuilderSession) {
        let bytes = self.context.limits.result_bytes;
        if let Err(error) = self.offer.get_or_try_init(|| session.manifest(bytes)).await {
            debug!("Nothing to collect yet: {}", error_chain(&error));
        }
    }

    /// What the builder offers; what it leaves out is told.
    async fn offer(&self, session: &dyn BuilderSession) -> Result<&Offer, Error> {
        let bytes = self.context.limits.result_bytes;
        let offer = self.offer.get_or_try_init(|| session.manifest(bytes)).await?;
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let told = |what: &str, one: &LeftOut| format!("{what} {}: {}", one.name, one.reason);
            for one in &offer.passed_over {
                self.journal.note(&told("Passed over", one));
            }
            for one in &offer.refused {
                self.journal.note(&told("Not taken:", one));
            }
        }
        Ok(offer)
    }

    /// Files from the builder, each of the size and digest that its manifest says.
    async fn fetch(
        &self,
        session: &dyn BuilderSession,
        entries: Vec<ManifestEntry>,
    ) -> Result<Staged, Error> {
        let bytes = entries
            .iter()
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add);
        let free = free_bytes(self.context.publisher.root())?;
        if free < self.context.limits.min_free_bytes.saturating_add(bytes) {
            return Err(Error::File {
                what: format!("collecting {bytes} bytes of results with {free} bytes of disk free"),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        let mut staged = self.stage().await?;
        let path = staged.path.clone();
        let takes = entries.into_iter().map(|entry| {
            let path = &path;
            async move { take(session, path, &entry).await.map(|()| entry) }
        });
        // Most are small, so that the way there and back is most of the time.
        let taken = stream::iter(takes).buffer_unordered(FILES_AT_ONCE);
        staged.entries = taken.try_collect().await?;
        let count = staged.entries.len();
        self.journal
            .note(&format!("Fetched {count} files of {bytes} bytes."));
        Ok(staged)
    }

    /// Moves files into their place, if the attempt is still this worker's: another's results are not replaced.
    async fn place(&self, staged: Staged) -> Result<String, Error> {
        let (context, epoch) = (self.context, self.allocation.epoch);
        let stands = context.store.look_at_allocations(&context.name, &[epoch]).await?;
        if stands.get(&epoch).is_none_or(|stands| *stands == Renewal::Lost) {
            return Err(Error::Fenced);
        }
        staged.put(context, self.journal).await
    }
}

/// The kind of a verdict on a build whose program was killed, by whom the builder cannot tell.
const KILLED: &str = "killed";

/// What a verdict means where nothing has to be collected for it; nothing for a build that succeeded.
pub(crate) fn end_of(verdict: &Verdict) -> Option<Result<Outcome, Error>> {
    let reason = verdict.reason.clone();
    match verdict.result {
        VerdictWord::Succeeded => None,
        // A user's wish to cancel is heeded before this. It is how a build ends whose machine is shut down in good order.
        VerdictWord::Cancelled => Some(Err(Error::Builder(
            "the build was ended on its builder, and nobody here wished it".to_owned(),
        ))),
        VerdictWord::Skipped => Some(Ok(Outcome::Skipped {
            reason,
            result_directory: None,
        })),
        VerdictWord::Failed => match verdict.blame.as_deref().map(str::parse::<Blame>) {
            Some(Ok(blame)) => Some(Ok(Outcome::Failed {
                blame,
                reason,
                evidence: verdict.evidence.clone(),
                is_suspect: verdict.kind.as_deref() == Some(KILLED),
                result_directory: None,
            })),
            _ => Some(Err(Error::Builder(
                "a failure without a blame that is known".to_owned(),
            ))),
        },
    }
}

/// An outcome whose files are in a directory; one that has files already keeps its own.
pub(crate) fn with_results(mut outcome: Outcome, directory: Option<String>) -> Outcome {
    match &mut outcome {
        Outcome::Collected { .. } => {}
        Outcome::Failed { result_directory, .. }
        | Outcome::Refused { result_directory, .. }
        | Outcome::Skipped { result_directory, .. }
        | Outcome::Canceled { result_directory } => {
            if result_directory.is_none() {
                *result_directory = directory;
            }
        }
    }
    outcome
}

/// The entries of a manifest that are good and no packages, as many as the limits allow.
fn logs_of(offer: &Offer, limits: &ManifestLimits) -> Vec<ManifestEntry> {
    let mut taken: Vec<ManifestEntry> = Vec::new();
    for one in offer.files.as_array().into_iter().flatten() {
        let Ok(entry) = serde_json::from_value::<ManifestEntry>(one.clone()) else {
            continue;
        };
        if entry.name.ends_with(".rpm") || entry.name == journal::NAME {
            continue;
        }
        taken.push(entry);
        if Manifest::new(taken.clone(), limits).is_err() {
            taken.pop();
        }
    }
    taken
}

async fn take(session: &dyn BuilderSession, staged: &Path, entry: &ManifestEntry) -> Result<(), Error> {
    let path = staged.join(&entry.name);
    let failed = |source| Error::File {
        what: format!("writing {}", path.display()),
        source,
    };
    let mut file = File::create_new(&path).await.map_err(failed)?;
    let got = session.fetch(&entry.name, entry.size, &mut file).await?;
    file.flush().await.map_err(failed)?;
    if got.size != entry.size || got.sha256 != entry.sha256 {
        return Err(Error::Builder(format!(
            "{} is not what its manifest says",
            entry.name
        )));
    }
    Ok(())
}

fn free_bytes(path: &Path) -> Result<u64, Error> {
    let found = rustix::fs::statvfs(path).map_err(|cause| Error::File {
        what: format!("asking {} for free space", path.display()),
        source: cause.into(),
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests;
