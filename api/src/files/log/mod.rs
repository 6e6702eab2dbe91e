//! The logs of attempts: pieces by offset, and following one while it grows.

pub(crate) mod follow;
pub(crate) mod pieces;

use std::{
    fs::File,
    io,
    sync::{Arc, OnceLock},
};

use futures_util::stream::BoxStream;
use model::AttemptId;
use store::Attempt;

use self::{
    follow::{LogEvent, Source},
    pieces::{Piece, USUAL_PIECE},
};
use super::beneath::open_beneath;
use crate::{
    http::{
        clients::{Client, Full},
        error::ApiError,
    },
    state::ApiState,
};

/// Where workers keep what belongs to an attempt, below the results.
const ATTEMPTS: &str = ".attempts";

/// The name of the log, there and among the results.
pub(crate) const LOG: &str = "builder-live.log";

/// The log that a worker writes while the attempt runs.
pub(crate) fn live_path(attempt: AttemptId) -> Vec<String> {
    vec![
        ATTEMPTS.to_owned(),
        attempt.0.simple().to_string(),
        LOG.to_owned(),
    ]
}

/// Opens the log of an attempt; none before it has one.
fn open(state: &ApiState, id: AttemptId) -> io::Result<Option<File>> {
    match open_beneath(&state.settings().results_root, &live_path(id)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A piece of an attempt's log.
pub(crate) async fn read(
    state: &ApiState,
    attempt: &Attempt,
    offset: i64,
    limit: u64,
) -> Result<Piece, ApiError> {
    let (state, id) = (state.clone(), attempt.id);
    tokio::task::spawn_blocking(move || pieces::read(open(&state, id)?.as_ref(), offset, limit))
        .await
        .map_err(|error| ApiError::Internal(format!("reading a log: {error}")))?
        .map_err(|error| ApiError::Internal(format!("cannot read the log of {id}: {error}")))
}

/// Follows an attempt's log from `start` on, until the attempt has ended and all of it was given, or the server stops.
pub(crate) fn follow(
    state: &ApiState,
    attempt: &Attempt,
    start: u64,
    client: Option<Client>,
) -> Result<BoxStream<'static, LogEvent>, ApiError> {
    let place = state.log_streams().take(client).map_err(|full| match full {
        Full::All => ApiError::Unavailable(
            "Too many logs are being followed at the moment. Please try again later.".to_owned(),
        ),
        Full::Client => ApiError::TooMany(
            "Too many logs are being followed from this address. Please close some, or try again later."
                .to_owned(),
        ),
    })?;
    let source = StoredLog {
        state: state.clone(),
        id: attempt.id,
        file: Arc::default(),
    };
    let shutdown = state.shutdown().clone();
    Ok(state
        .followed_logs()
        .follow(attempt.id, source, start, shutdown, place))
}

/// The log of an attempt on disk, and its end in the database.
#[derive(Clone)]
struct StoredLog {
    state: ApiState,
    id: AttemptId,
    /// Open, once there is one.
    file: Arc<OnceLock<File>>,
}

impl Source for StoredLog {
    async fn read(&self, offset: u64) -> io::Result<(Vec<u8>, u64)> {
        let own = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            if own.file.get().is_none()
                && let Some(file) = open(&own.state, own.id)?
            {
                // Another follower may have been first; both files are the same.
                own.file.set(file).ok();
            }
            let Some(file) = own.file.get() else {
                return Ok((Vec::new(), 0));
            };
            let size = file.metadata()?.len();
            let bytes = match size.saturating_sub(offset) {
                0 => Vec::new(),
                _ => pieces::read_at(file, offset, USUAL_PIECE)?,
            };
            io::Result::Ok((bytes, size))
        });
        read.await.map_err(io::Error::other)?
    }

    async fn ended(&self) -> Option<String> {
        match self.state.store().attempt(self.id).await {
            Ok(Some(attempt)) => attempt.state.is_final().then(|| attempt.state.to_string()),
            Ok(None) => Some("deleted".to_owned()),
            Err(error) => {
                tracing::debug!(attempt = %self.id, %error, "The state of an attempt is not known now.");
                None
            }
        }
    }
}
