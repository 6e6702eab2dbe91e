//! Runs one attempt on one builder, and publishes what comes of it.
//!
//! A worker takes up allocations that the controller offers, stages the source on the builder, starts the
//! build there *detached*, follows its log by offset, collects the results by a checked manifest, signs them,
//! and puts them into the project's repository. A worker that is killed finds its attempts again by its
//! name, and the build on the builder has gone on meanwhile. Now and then it takes off the disk what nothing refers to. Builders are hostile: nothing that one says is
//! believed without a check.
//!
//! It holds no cloud credentials and serves nobody. Start with [`Worker::run`] and `attempt`.

mod archive;
mod attempt;
mod builder;
mod collect;
mod log;
mod prune;
mod publish;
mod signer;
mod sweep;
mod task;
#[cfg(test)]
mod testing;

use std::{collections::BTreeSet, panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use model::Epoch;
use repository::{KeyAlgorithm, Passphrase, Publisher};
use runtime::{CancellationToken, clock, supervisor::chain};
use shell::ClientKey;
pub use signer::UnlockedKeys;
use store::{Allocation, Store};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

/// How often a worker looks for something to do.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a worker may be silent before another takes over its attempts.
const SILENCE: Duration = Duration::from_secs(30);

/// What a worker works with.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The tree of published results.
    pub publisher: Arc<Publisher>,
    /// Where uploaded sources are, by digest.
    pub sources: PathBuf,
    /// What opens builders.
    pub key: Arc<ClientKey>,
    /// What unlocks the projects' signing keys.
    pub passphrase: Arc<Passphrase>,
    /// The keys that were unlocked already.
    pub unlocked: UnlockedKeys,
    /// The algorithm of the keys that it makes.
    pub key_algorithm: KeyAlgorithm,
    /// The farm's host in the user ids of signing keys, such as `copr.example.org`.
    pub host_name: String,
    /// The farm's address as builders reach it, without a slash at its end.
    pub builder_url: String,
    /// This worker's name: the same after a restart.
    pub name: String,
    /// How many attempts it drives at once.
    pub parallel: usize,
    /// What one attempt may leave behind.
    pub limits: Limits,
}

/// What one attempt may leave behind.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest log, in bytes.
    pub log_bytes: u64,
    /// The largest sum of results, in bytes.
    pub result_bytes: u64,
    /// The most files.
    pub result_files: usize,
    /// Collecting is refused when less than this would stay free, in bytes.
    pub min_free_bytes: u64,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What stops a worker's work on an attempt or a publication.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is away.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The builder cannot be reached, or the connection to it was lost: try to connect again.
    #[error("the connection to the builder")]
    Connection(#[source] shell::Error),
    /// The builder knows of a later allocation: this one is over.
    #[error("a later allocation of the attempt has been on its builder")]
    Fenced,
    /// The builder finds fault with what we ask of it.
    #[error("the builder refuses the task: {0}")]
    Task(String),
    /// The builder says or does what no builder of ours does.
    #[error("the builder misbehaves: {0}")]
    Builder(String),
    /// What the builder hands over is refused.
    #[error("{0}")]
    Refused(String),
    /// A package or the repository.
    #[error(transparent)]
    Repository(#[from] repository::Error),
    /// A file of ours.
    #[error("{what}")]
    File {
        /// What was being done, and to which file.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A blocking task of ours was lost.
    #[error("an inner task was lost: {0}")]
    Lost(String),
}

impl Error {
    /// Whether there is no room on a disk of the farm's own: it may pass.
    fn is_full_disk(&self) -> bool {
        let is_full = |source: &std::io::Error| {
            [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded].contains(&source.kind())
        };
        match self {
            Self::File { source, .. } | Self::Repository(repository::Error::Io(source)) => is_full(source),
            Self::Store(error) => matches!(error, store::Error::NoSpace { .. }),
            _ => false,
        }
    }
}

impl From<shell::Error> for Error {
    /// By what the caller does about it: connect again, look at our own disk, or give the builder up.
    fn from(error: shell::Error) -> Self {
        match error {
            shell::Error::Local { what, cause } => Self::File {
                what: format!("the local side of {what}"),
                source: cause,
            },
            error if error.is_worth_retrying() => Self::Connection(error),
            error => Self::Builder(chain(&error)),
        }
    }
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    context: Arc<Context>,
    attempts: JoinSet<(Epoch, bool)>,
    driven: BTreeSet<Epoch>,
    /// Allocations whose end could not be written down: left alone until the controller takes them away.
    abandoned: BTreeSet<Epoch>,
}

impl Worker {
    /// A worker that has not begun.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            attempts: JoinSet::new(),
            driven: BTreeSet::new(),
            abandoned: BTreeSet::new(),
        }
    }

    /// Drives attempts and publications until told to stop. Attempts that are under way then stay on
    /// their builders; this worker, or another, takes them up again.
    ///
    /// # Errors
    /// Never for what may pass: a database that is away is waited for.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut beside = JoinSet::new();
        beside.spawn(publish::run(Arc::clone(&self.context), stop.clone()));
        beside.spawn(sweep::run(Arc::clone(&self.context), stop.clone()));
        let mut news = self.context.store.news();
        while !stop.is_cancelled() {
            if let Err(error) = self.look(&stop).await {
                warn!("Cannot look for work: {}", chain(&error));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = news.next() => {}
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                // Nothing would be published any more: better to end, and be started again.
                Some(Err(cause)) = beside.join_next() => return Err(Error::Lost(cause.to_string())),
            }
        }
        self.attempts.shutdown().await;
        while let Some(ended) = beside.join_next().await {
            ended.map_err(|cause| Error::Lost(cause.to_string()))?;
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(Epoch, bool), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted because the worker ends.
        let Ok((epoch, is_settled)) = ended else { return };
        self.driven.remove(&epoch);
        if !is_settled {
            self.abandoned.insert(epoch);
        }
    }

    /// Takes up what is offered, what is ours from before a restart, and what a silent worker left.
    async fn look(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let store = self.context.store.clone();
        let accepted = store.accepted_allocations(None).await?;
        self.abandoned
            .retain(|epoch| accepted.iter().any(|allocation| allocation.epoch == *epoch));
        for allocation in accepted {
            let is_known =
                self.driven.contains(&allocation.epoch) || self.abandoned.contains(&allocation.epoch);
            if is_known || self.driven.len() >= self.context.parallel {
                continue;
            }
            let now = clock::now();
            let holder = allocation.worker.clone().unwrap_or_default();
            let is_ours = holder == self.context.name;
            if is_ours || now.since(allocation.renewed_at) > SILENCE {
                let stale_before = now.minus(SILENCE);
                let taken = store
                    .take_over_allocation(allocation.epoch, &holder, &self.context.name, stale_before, now)
                    .await;
                match taken {
                    Ok(()) => self.drive(allocation, stop),
                    Err(store::Error::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let free = self.context.parallel.saturating_sub(self.driven.len());
        for allocation in store
            .offered_allocations(u64::try_from(free).unwrap_or(u64::MAX))
            .await?
        {
            let now = clock::now();
            let deadline = now.plus(attempt::BUILDER_DEADLINE);
            match store
                .accept_allocation(allocation.epoch, &self.context.name, deadline, now)
                .await
            {
                Ok(()) => self.drive(allocation, stop),
                Err(store::Error::Conflict { .. }) => debug!("Another worker was quicker."),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn drive(&mut self, allocation: Allocation, stop: &CancellationToken) {
        let epoch = allocation.epoch;
        self.driven.insert(epoch);
        info!(
            attempt.id = %allocation.attempt.id, builder.id = %allocation.builder.id,
            "Build {} ({}) goes to builder {}.", allocation.attempt.build, allocation.attempt.chroot,
            allocation.builder.id
        );
        let (context, stop) = (Arc::clone(&self.context), stop.clone());
        self.attempts.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => (epoch, true),
                driven = AssertUnwindSafe(attempt::drive(&context, &allocation)).catch_unwind() => {
                    (epoch, driven.unwrap_or_else(|_| {
                        error!("A fault of this program: what drives attempt {} panicked.", allocation.attempt.id);
                        false
                    }))
                }
            }
        });
    }
}

/// Runs blocking work away from the threads that wait for the network.
async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::Lost(cause.to_string()))?
}
