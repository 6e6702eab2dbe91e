//! What a worker works with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use repository::{KeyAlgorithm, Passphrase, Publisher};
use store::Store;

use crate::{session::Sessions, unlocked::UnlockedKeys};

/// All that a worker needs: database, results, and a way to its builders.
#[derive(Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The tree of published results.
    pub publisher: Arc<Publisher>,
    /// Where uploaded sources are, by digest.
    pub sources: PathBuf,
    /// Opens sessions with builders.
    pub sessions: Arc<dyn Sessions>,
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
    /// For how long the database keeps what ended.
    pub keep_history: Duration,
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
