//! The logs of attempts: pieces by offset, and following one while it grows. The file is written by a worker
//! and only ever grows, so an offset in bytes stays true for as long as the log is there.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    time::Duration,
};

use futures_util::{StreamExt as _, stream, stream::BoxStream};
use model::AttemptId;
use store::Attempt;
use tokio::sync::OwnedSemaphorePermit;

use crate::{files::beneath::open_beneath, http::error::ApiError, state::ApiState, view::LogChunk};

/// Where workers keep what belongs to an attempt, below the results.
const ATTEMPTS: &str = ".attempts";

/// The name of the log, there and among the results.
pub(crate) const LOG: &str = "builder-live.log";

/// How much of a log is given when nobody says, in bytes.
pub(crate) const USUAL_PIECE: u64 = 64 << 10;

/// The most of a log that is given at once, in bytes.
const LARGEST_PIECE: u64 = 1 << 20;

/// How often a log is looked at for more.
const POLL: Duration = Duration::from_millis(200);

/// After so many looks without more, the database is asked whether the attempt has ended.
const LOOKS_PER_QUESTION: u32 = 3;

/// A piece of a log.
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) next_offset: u64,
    pub(crate) size: u64,
    pub(crate) text: String,
}

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

/// Reads at most `limit` bytes from `offset` on, but not into the middle of a character.
fn read_piece(file: Option<&mut File>, offset: i64, limit: u64) -> io::Result<Piece> {
    let Some(file) = file else {
        return Ok(Piece {
            offset: 0,
            next_offset: 0,
            size: 0,
            text: String::new(),
        });
    };
    let size = file.metadata()?.len();
    let offset = match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit.clamp(1, LARGEST_PIECE)).read_to_end(&mut bytes)?;
    let whole = whole_characters(&bytes);
    let kept = bytes.get(..whole).unwrap_or_default();
    let next_offset = offset.saturating_add(u64::try_from(kept.len()).unwrap_or(u64::MAX));
    Ok(Piece {
        offset,
        next_offset,
        size,
        text: String::from_utf8_lossy(kept).into_owned(),
    })
}

/// How many bytes make whole characters: a character that is cut at the end is left for the next piece,
/// unless it is all there is.
fn whole_characters(bytes: &[u8]) -> usize {
    let cut = match std::str::from_utf8(bytes) {
        Ok(_) => return bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => {
            // Something else is broken further up; look at the last character only.
            let start = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
            match std::str::from_utf8(bytes.get(start..).unwrap_or_default()) {
                Err(error) if error.error_len().is_none() => start,
                _ => return bytes.len(),
            }
        }
    };
    if cut == 0 { bytes.len() } else { cut }
}

/// A piece of an attempt's log.
pub(crate) async fn read(
    state: &ApiState,
    attempt: &Attempt,
    offset: i64,
    limit: u64,
) -> Result<Piece, ApiError> {
    let (state, id) = (state.clone(), attempt.id);
    tokio::task::spawn_blocking(move || read_piece(open(&state, id)?.as_mut(), offset, limit))
        .await
        .map_err(|error| ApiError::Internal(format!("reading a log: {error}")))?
        .map_err(|error| ApiError::Internal(format!("cannot read the log of {id}: {error}")))
}

/// Follows an attempt's log from `start` on, until the attempt has ended and all of it was given, or the
/// server stops.
pub(crate) fn follow(
    state: &ApiState,
    attempt: &Attempt,
    start: u64,
) -> Result<BoxStream<'static, LogChunk>, ApiError> {
    let permit = state.log_streams().clone().try_acquire_owned().map_err(|_| {
        ApiError::Unavailable("Too many logs are being followed at the moment. Please try again.".to_owned())
    })?;
    let follower = Follower {
        state: state.clone(),
        id: attempt.id,
        file: None,
        offset: start,
        ended: attempt.state.is_final().then(|| attempt.state.to_string()),
        looks: 0,
        done: false,
        _permit: permit,
    };
    Ok(stream::unfold(follower, Follower::next).boxed())
}

struct Follower {
    state: ApiState,
    id: AttemptId,
    file: Option<File>,
    offset: u64,
    /// The attempt's last state, once it has one. What was written before it was set is then on disk.
    ended: Option<String>,
    looks: u32,
    done: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    async fn next(mut self) -> Option<(LogChunk, Self)> {
        if self.done {
            return None;
        }
        loop {
            let ended = self.ended.clone();
            let piece = match self.look().await {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::warn!(attempt = %self.id, %error, "A log cannot be followed any further.");
                    return None;
                }
            };
            if !piece.text.is_empty() {
                self.looks = 0;
                self.offset = piece.next_offset;
                let PieceText {
                    offset,
                    next_offset,
                    text,
                } = piece;
                return Some((
                    LogChunk {
                        offset,
                        next_offset,
                        text,
                        state: None,
                    },
                    self,
                ));
            }
            if ended.is_some() {
                self.done = true;
                let offset = self.offset;
                return Some((
                    LogChunk {
                        offset,
                        next_offset: offset,
                        text: String::new(),
                        state: ended,
                    },
                    self,
                ));
            }
            tokio::select! {
                () = self.state.shutdown().cancelled() => return None,
                () = tokio::time::sleep(POLL) => {}
            }
            self.ask().await;
        }
    }

    /// Reads what is new.
    async fn look(&mut self) -> io::Result<PieceText> {
        let (state, id, offset, file) = (self.state.clone(), self.id, self.offset, self.file.take());
        let looked = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => Some(file),
                None => open(&state, id)?,
            };
            let piece = read_piece(
                file.as_mut(),
                i64::try_from(offset).unwrap_or(i64::MAX),
                USUAL_PIECE,
            )?;
            io::Result::Ok((file, piece))
        });
        let (file, piece) = looked.await.map_err(io::Error::other)??;
        self.file = file;
        Ok(PieceText {
            offset: piece.offset,
            next_offset: piece.next_offset,
            text: piece.text,
        })
    }

    /// Asks the database now and then whether the attempt has ended.
    async fn ask(&mut self) {
        self.looks = self.looks.saturating_add(1);
        if !self.looks.is_multiple_of(LOOKS_PER_QUESTION) {
            return;
        }
        match self.state.store().attempt(self.id).await {
            Ok(Some(attempt)) => self.ended = attempt.state.is_final().then(|| attempt.state.to_string()),
            Ok(None) => self.ended = Some("deleted".to_owned()),
            Err(error) => {
                tracing::debug!(attempt = %self.id, %error, "The state of an attempt is not known now.")
            }
        }
    }
}

struct PieceText {
    offset: u64,
    next_offset: u64,
    text: String,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{read_piece, whole_characters};

    #[test]
    fn a_piece_never_ends_inside_a_character() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all("aüb€".as_bytes()).unwrap();
        let mut piece = |offset, limit| {
            let piece = read_piece(Some(&mut file), offset, limit).unwrap();
            (piece.offset, piece.next_offset, piece.text)
        };
        assert_eq!(piece(0, 2), (0, 1, "a".to_owned()));
        assert_eq!(piece(1, 2), (1, 3, "ü".to_owned()));
        assert_eq!(piece(3, 3), (3, 4, "b".to_owned()));
        assert_eq!(piece(0, 100), (0, 7, "aüb€".to_owned()));
        assert_eq!(piece(-3, 100), (4, 7, "€".to_owned()));
        assert_eq!(piece(99, 100), (7, 7, String::new()));
    }

    #[test]
    fn broken_bytes_do_not_stop_a_log() {
        assert_eq!(whole_characters(b"a\xFFb"), 3);
        assert_eq!(whole_characters(b"\xE2\x82"), 2);
        assert_eq!(whole_characters(b"\xFFa\xE2\x82"), 2);
    }
}
