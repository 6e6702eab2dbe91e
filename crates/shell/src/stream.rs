//! Commands whose output is followed while they run: the log of a build.

use std::time::Duration;

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::time::{Instant, timeout_at};

use crate::event::{Chunk, Exit};
use crate::session::{Reading, abandon};
use crate::{Command, Connection, Error};

/// A running command.
///
/// Keep calling [`Stream::next`]: what is not taken stays in a bounded buffer (256 chunks), and once that is full
/// everything on the same connection waits. A slow consumer wants a connection of its own.
pub struct Stream {
    reading: Reading,
    writing: ChannelWriteHalf<Msg>,
    label: String,
    limit: Duration,
    deadline: Instant,
    end: Box<dyn Fn() -> String + Send + Sync>,
    ended: bool,
}

impl Connection {
    /// Starts a command without input, to be followed. `limit` bounds its whole life.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::Lost`], [`Error::Invalid`].
    pub async fn stream(&self, command: &Command, limit: Duration) -> Result<Stream, Error> {
        let deadline = Instant::now() + limit;
        let (reading, writing) = self.start(command).await?;
        // A channel that is gone already is noticed by the first read.
        writing.eof().await.ok();
        Ok(Stream {
            reading: Reading::new(reading, command.label()),
            writing,
            label: command.label().to_owned(),
            limit,
            deadline,
            end: Box::new(self.end_note()),
            ended: false,
        })
    }
}

impl Stream {
    /// The next piece of output, or how the command ended; after that, always the end again. Safe to drop while
    /// waiting (in a `select!`): nothing is lost.
    ///
    /// # Errors
    /// [`Error::Timeout`] after the limit, when the channel has been closed; [`Error::Refused`] if the server
    /// did not start the command. A lost connection is `Err(Error::Lost)`, with the count of bytes that had come.
    pub async fn next(&mut self) -> Result<Progress, Error> {
        if !self.ended {
            match timeout_at(self.deadline, self.reading.next()).await {
                Ok(Ok(Some(chunk))) => return Ok(Progress::Chunk(chunk)),
                Ok(Ok(None)) => self.ended = true,
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    abandon(&self.writing).await;
                    return Err(Error::Timeout {
                        what: self.label.clone(),
                        limit: self.limit,
                        bytes_received: self.reading.received(),
                    });
                }
            }
        }
        match self.reading.exit() {
            Exit::Lost => Err(Error::Lost {
                what: self.label.clone(),
                bytes_received: self.reading.received(),
                why: (self.end)(),
            }),
            exit => Ok(Progress::End(exit)),
        }
    }

    /// How many bytes of output have come so far.
    pub fn bytes_received(&self) -> u64 {
        self.reading.received()
    }

    /// Stops following: asks the command to die and closes the channel. Takes at most a second.
    pub async fn stop(self) {
        abandon(&self.writing).await;
    }
}

/// What [`Stream::next`] brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Some output.
    Chunk(Chunk),
    /// The command ended by itself or by a signal; never [`Exit::Lost`].
    End(Exit),
}
