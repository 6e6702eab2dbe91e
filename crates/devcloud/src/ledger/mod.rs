//! The ledger: the truth about what the cloud has promised and made.
//!
//! Everything a client can be told is in one [`State`], kept in `ledger.json` of the state directory. A change is
//! a closure over the state; it is written (temporary file, fsync, rename) before anyone can see it, and changes
//! that arrive together share one write. A closure that refuses leaves no trace. Readers take snapshots and never
//! wait. Instances that are forgotten go, with their history, to the append-only `archive.jsonl`.

mod faults;
mod images;
mod state;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread,
};

use tokio::sync::{mpsc, oneshot};

pub use faults::{End, InstanceFaults, Interruption, Linger, Mishap, MishapKind, TagEdit};
pub use images::{ImageState, MadeImage};
pub use state::{
    HistoryEntry, Instance, InstanceState, KeyPair, LaunchToken, MetadataOptions, Permission, SecurityGroup,
    ShutdownBehavior, State, StateReason,
};

use crate::Error;
use store::Store;

/// How many changes may wait for the writer before callers wait too.
const QUEUE: usize = 256;

/// A handle to the ledger; clones share it.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    published: Arc<RwLock<Arc<State>>>,
    changes: Mutex<Option<mpsc::Sender<Box<dyn Change>>>>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
    directory: PathBuf,
}

impl Ledger {
    /// Opens the ledger in `directory`, or makes an empty one in an empty directory, and locks it for as long as
    /// the handle lives.
    ///
    /// # Errors
    /// [`Error::StateInUse`], [`Error::CorruptLedger`], [`Error::MissingLedger`] or [`Error::File`]; none of them
    /// has changed anything but the lock file.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let store = Store::open(directory)?;
        let state = Arc::new(store.read()?);
        let published = Arc::new(RwLock::new(Arc::clone(&state)));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn({
                let published = Arc::clone(&published);
                move || write_changes(&store, &published, receiver)
            })
            .map_err(Error::file("start the writer of", directory))?;
        Ok(Self {
            shared: Arc::new(Shared {
                published,
                changes: Mutex::new(Some(sender)),
                writer: Mutex::new(Some(writer)),
                directory: directory.to_owned(),
            }),
        })
    }

    /// The directory that the ledger was opened in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The state as it was last written.
    #[must_use]
    pub fn snapshot(&self) -> Arc<State> {
        Arc::clone(
            &self
                .shared
                .published
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Every instance that the cloud still knows, terminated ones included, by id.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.snapshot().instances.values().cloned().collect()
    }

    /// Applies `change` and returns when it is on the disk. An error of the closure leaves the state as it was.
    ///
    /// # Errors
    /// What the closure returns, or [`Error::LedgerWrite`] or [`Error::Ending`] turned into its error type.
    pub async fn commit<T, E, F>(&self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let sender = self
            .shared
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let job = Box::new(Job {
            change: Some(change),
            outcome: None,
            reply,
        });
        let sender = sender.ok_or(Error::Ending)?;
        sender.send(job).await.map_err(|_| Error::Ending)?;
        drop(sender);
        answer.await.map_err(|_| Error::Ending)?
    }

    /// Writes what is queued, takes no more, and releases the lock of the directory.
    pub async fn close(&self) {
        self.shared
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let writer = self
            .shared
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let joined = tokio::task::spawn_blocking(move || writer.join().is_ok()).await;
            if !matches!(joined, Ok(true)) {
                tracing::error!("The writer of the ledger ended badly.");
            }
        }
    }
}

/// A change with its caller, its types forgotten.
trait Change: Send {
    /// Runs the closure; whether it changed the state.
    fn apply(&mut self, state: &mut State) -> bool;
    /// Tells the caller, with the error of the write if there was one.
    fn finish(self: Box<Self>, failure: Option<&Arc<std::io::Error>>);
}

struct Job<T, E, F> {
    change: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Change for Job<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&mut State) -> Result<T, E> + Send,
{
    fn apply(&mut self, state: &mut State) -> bool {
        let Some(change) = self.change.take() else {
            return false;
        };
        let mut changed = state.clone();
        let outcome = change(&mut changed);
        let applied = outcome.is_ok();
        if applied {
            *state = changed;
        }
        self.outcome = Some(outcome);
        applied
    }

    fn finish(self: Box<Self>, failure: Option<&Arc<std::io::Error>>) {
        let answer = match (self.outcome, failure) {
            (Some(Ok(_)), Some(error)) => Err(Error::LedgerWrite(Arc::clone(error)).into()),
            (Some(outcome), _) => outcome,
            (None, _) => Err(Error::Ending.into()),
        };
        // A caller that has gone away does not want the answer; the change stands all the same.
        self.reply.send(answer).ok();
    }
}

fn write_changes(
    store: &Store,
    published: &RwLock<Arc<State>>,
    mut changes: mpsc::Receiver<Box<dyn Change>>,
) {
    while let Some(first) = changes.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < QUEUE
            && let Ok(next) = changes.try_recv()
        {
            batch.push(next);
        }
        let before = Arc::clone(&published.read().unwrap_or_else(PoisonError::into_inner));
        let mut state = State::clone(&before);
        let mut changed = false;
        for change in &mut batch {
            changed |= change.apply(&mut state);
        }
        let mut failure = None;
        if changed && state != *before {
            match store.write(&before, &state) {
                Ok(()) => *published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state),
                Err(error) => {
                    tracing::error!(%error, "The ledger could not be written; the change is refused.");
                    failure = Some(Arc::new(error));
                }
            }
        }
        for change in batch {
            change.finish(failure.as_ref());
        }
    }
}

#[cfg(test)]
mod tests;
