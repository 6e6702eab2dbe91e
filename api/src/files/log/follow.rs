//! Following logs while they grow. However many follow a log, one task reads its file and asks the database for its end;
//! a follower reads the file himself only while he is behind.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use model::AttemptId;
use runtime::CancellationToken;
use tokio::sync::watch;

use super::pieces::{Piece, is_begun_character, whole_characters};
use crate::http::clients::Place;

/// How often a log is looked at for more, usually.
const POLL: Duration = Duration::from_millis(200);

/// The number of looks at a log that does not grow after which the database is asked whether the attempt has ended.
const LOOKS_PER_QUESTION: u32 = 3;

/// How many pieces are kept for followers who are a little behind.
const PIECES_KEPT: usize = 4;

/// Where a log and its end are learnt.
pub(crate) trait Source: Clone + Send + Sync + 'static {
    /// Some bytes from `offset` on, none at the end, and how long the log is.
    fn read(&self, offset: u64) -> impl Future<Output = io::Result<(Vec<u8>, u64)>> + Send;

    /// The state with which the attempt ended, once it has. What was written before is then in the log.
    fn ended(&self) -> impl Future<Output = Option<String>> + Send;
}

/// What a follower gets next: more of the log, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogEvent {
    /// More of the log.
    Piece(Piece),
    /// The attempt has ended in this state, and all of its log was given.
    End { offset: u64, state: String },
}

/// The end of a log as its reader last saw it.
#[derive(Clone, Debug, Default)]
struct Tail {
    size: u64,
    /// The newest pieces, without a gap between them; the last one ends where the reader is.
    pieces: VecDeque<(u64, Bytes)>,
    ended: Option<String>,
    /// The log cannot be read.
    is_lost: bool,
}

impl Tail {
    /// What is known from `offset` on.
    fn from(&self, offset: u64) -> Option<Bytes> {
        self.pieces.iter().find_map(|(start, bytes)| {
            let skipped = usize::try_from(offset.checked_sub(*start)?).ok()?;
            (skipped < bytes.len()).then(|| bytes.slice(skipped..))
        })
    }
}

/// The logs that are followed now.
#[derive(Debug)]
pub(crate) struct FollowedLogs {
    poll: Duration,
    logs: Mutex<HashMap<AttemptId, watch::Sender<Tail>>>,
}

impl Default for FollowedLogs {
    fn default() -> Self {
        Self::new(POLL)
    }
}

impl FollowedLogs {
    /// Logs that are looked at every so often.
    fn new(poll: Duration) -> Self {
        Self {
            poll,
            logs: Mutex::default(),
        }
    }

    /// Follows a log from `start` on, until its attempt has ended and all of it was given, or the server stops.
    pub(crate) fn follow<S: Source>(
        self: &Arc<Self>,
        id: AttemptId,
        source: S,
        start: u64,
        shutdown: CancellationToken,
        place: Place,
    ) -> BoxStream<'static, LogEvent> {
        let follower = Follower {
            tail: self.tail(id, &source, &shutdown),
            source,
            offset: start,
            is_done: false,
            shutdown,
            _place: place,
        };
        stream::unfold(follower, Follower::next).boxed()
    }

    /// The end of a log, read by the one task that does so.
    fn tail<S: Source>(
        self: &Arc<Self>,
        id: AttemptId,
        source: &S,
        shutdown: &CancellationToken,
    ) -> watch::Receiver<Tail> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = logs.get(&id) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Tail::default());
        logs.insert(id, sender.clone());
        let reader = Reader {
            logs: Arc::clone(self),
            id,
            source: source.clone(),
            sender,
        };
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            shutdown.run_until_cancelled_owned(reader.run()).await;
        });
        receiver
    }
}

/// The one who reads a log for all its followers.
struct Reader<S> {
    logs: Arc<FollowedLogs>,
    id: AttemptId,
    source: S,
    sender: watch::Sender<Tail>,
}

impl<S> Drop for Reader<S> {
    /// Whatever ends the reader: the next follower starts a new one.
    fn drop(&mut self) {
        let mut logs = self.logs.logs.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever gave the log up before may have been followed by another reader of it.
        if logs
            .get(&self.id)
            .is_some_and(|sender| sender.same_channel(&self.sender))
        {
            logs.remove(&self.id);
        }
    }
}

impl<S: Source> Reader<S> {
    async fn run(self) {
        // Nothing is kept of what was there before: its first followers read that themselves.
        let Ok((_, mut offset)) = self.source.read(u64::MAX).await else {
            return self.lose();
        };
        let mut looks: u32 = 0;
        let mut ended = self.source.ended().await;
        self.sender.send_modify(|tail| tail.size = offset);
        while !self.is_alone() {
            let (bytes, size) = match self.source.read(offset).await {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(attempt = %self.id, %error, "A log cannot be followed any further.");
                    return self.lose();
                }
            };
            let whole = whole_characters(&bytes);
            let mut bytes = Bytes::from(bytes);
            bytes.truncate(whole);
            // Half a character is waited for, unless there will be no more.
            let is_more = !bytes.is_empty() && (ended.is_some() || !is_begun_character(&bytes));
            if is_more {
                looks = 0;
                let start = offset;
                offset = offset.saturating_add(length(&bytes));
                self.sender.send_modify(|tail| {
                    tail.size = size.max(offset);
                    tail.pieces.push_back((start, bytes));
                    if tail.pieces.len() > PIECES_KEPT {
                        tail.pieces.pop_front();
                    }
                });
                // Followers get to see it before it is pushed out by what comes next.
                tokio::task::yield_now().await;
                continue;
            }
            if ended.is_some() {
                self.sender.send_modify(|tail| tail.ended = ended.take());
                return;
            }
            tokio::time::sleep(self.logs.poll).await;
            looks = looks.saturating_add(1);
            if looks.is_multiple_of(LOOKS_PER_QUESTION) {
                ended = self.source.ended().await;
            }
        }
    }

    /// Whether nobody follows any more. Then this log is given up before anybody new can join.
    fn is_alone(&self) -> bool {
        let mut logs = self.logs.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alone = self.sender.receiver_count() == 0;
        if is_alone {
            logs.remove(&self.id);
        }
        is_alone
    }

    fn lose(&self) {
        self.sender.send_modify(|tail| tail.is_lost = true);
    }
}

struct Follower<S> {
    tail: watch::Receiver<Tail>,
    source: S,
    offset: u64,
    is_done: bool,
    shutdown: CancellationToken,
    _place: Place,
}

impl<S: Source> Follower<S> {
    async fn next(mut self) -> Option<(LogEvent, Self)> {
        if self.is_done {
            return None;
        }
        loop {
            let tail = self.tail.borrow_and_update().clone();
            if let Some(piece) = self.more(&tail).await {
                self.offset = piece.next_offset;
                return Some((LogEvent::Piece(piece), self));
            }
            if let Some(state) = tail.ended {
                self.is_done = true;
                let offset = self.offset;
                return Some((LogEvent::End { offset, state }, self));
            }
            if tail.is_lost {
                return None;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                changed = self.tail.changed() => changed.ok()?,
            }
        }
    }

    /// The next piece, if there is one: of what the reader keeps, or, by one who is further behind, of the file.
    async fn more(&self, tail: &Tail) -> Option<Piece> {
        if let Some(bytes) = tail.from(self.offset) {
            return Some(Piece::new(self.offset, &bytes, tail.size));
        }
        if self.offset >= tail.size {
            return None;
        }
        let (mut bytes, size) = self.source.read(self.offset).await.ok()?;
        bytes.truncate(whole_characters(&bytes));
        let is_more = !bytes.is_empty() && (tail.ended.is_some() || !is_begun_character(&bytes));
        is_more.then(|| Piece::new(self.offset, &bytes, size))
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
