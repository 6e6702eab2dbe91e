//! One command on one channel: its input is written and its output read at the same time, and its end judged.
//!
//! Three facts of the protocol shape this module. Writing all input before reading hangs once both windows are
//! full, so both sides run together. A command may exit without reading its input, and then the writer waits for
//! a window that never comes, so the end of the reading side ends the call. And a dead connection ends a channel
//! quietly, without an exit status, so the absence of one is [`Exit::Lost`] and never success.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    Command, Connection, Error,
    event::{Chunk, Exit},
};

/// How much of a source is read at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What a command reads on its standard input.
#[derive(Default)]
pub enum Input<'a> {
    /// Nothing: it sees the end at once.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// Everything this yields, read as fast as the command takes it.
    Reader(&'a mut (dyn AsyncRead + Send + Unpin)),
}

impl From<Vec<u8>> for Input<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Input<'_> {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

/// Limits of one [`Connection::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// How long the whole may take. 60 s.
    pub deadline: Duration,
    /// How many bytes of each of the two outputs are kept; the rest is read and thrown away. 1 MiB.
    pub output_limit: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            output_limit: 1024 * 1024,
        }
    }
}

impl RunOptions {
    /// The usual output limit with another deadline.
    pub fn within(deadline: Duration) -> Self {
        Self {
            deadline,
            ..Self::default()
        }
    }
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended. Look at this first.
    pub exit: Exit,
    /// The beginning of its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// Whether either output was longer than the limit.
    pub truncated: bool,
}

impl Output {
    /// The output itself if the command succeeded, else the error that says how it did not.
    ///
    /// # Errors
    /// [`Error::Lost`] and [`Error::Failed`], naming `what`.
    pub fn require_success(self, what: &str) -> Result<Self, Error> {
        match self.exit {
            Exit::Code(0) => Ok(self),
            Exit::Lost => Err(Error::Lost {
                what: what.to_owned(),
                bytes_received: count(self.stdout.len()).saturating_add(count(self.stderr.len())),
                why: "no exit status came".to_owned(),
            }),
            exit => Err(Error::Failed {
                what: what.to_owned(),
                exit,
                stderr: tail(&self.stderr),
            }),
        }
    }

    /// Standard output as text; bytes that are not UTF-8 are replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 are replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The end of standard error for an error: at most 2000 characters, without blanks behind.
    pub fn stderr_tail(&self) -> String {
        tail(&self.stderr)
    }
}

impl Connection {
    /// Runs a command to its end and gives its output, whatever its exit.
    ///
    /// A command that leaves a process behind which holds its output open does not end before that does: start
    /// such with output redirected. At the deadline the channel is closed and the command asked to die, which
    /// an sshd does not grant to root's sessions; it may go on.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::Lost`] if it could not be started, [`Error::Local`] if the
    /// input could not be read, [`Error::Invalid`]. A connection lost later is [`Exit::Lost`] in the output.
    pub async fn run(
        &self,
        command: &Command,
        input: Input<'_>,
        options: RunOptions,
    ) -> Result<Output, Error> {
        let deadline = Instant::now() + options.deadline;
        let (reading, writing) = self.start(command).await?;
        let mut reading = Reading::new(reading, command.label());
        let feeding = feed(&writing, input, command.label());
        let collecting = async {
            let mut collected = Collected::new(options.output_limit);
            while let Some(chunk) = reading.next().await? {
                collected.take(chunk);
            }
            Ok(collected)
        };
        let result = timeout_at(deadline, until_read(collecting, feeding)).await;
        let exit = reading.exit();
        match result {
            Ok(Ok(collected)) => Ok(collected.into_output(exit)),
            Ok(Err(error)) => {
                abandon(&writing).await;
                Err(error)
            }
            Err(_) => {
                abandon(&writing).await;
                Err(Error::Timeout {
                    what: command.label().to_owned(),
                    limit: options.deadline,
                    bytes_received: reading.received(),
                })
            }
        }
    }

    /// Opens a channel and asks for the command; its refusal shows when reading.
    pub(crate) async fn start(
        &self,
        command: &Command,
    ) -> Result<(ChannelReadHalf, ChannelWriteHalf<Msg>), Error> {
        let text = command.to_shell_text()?;
        let limit = self.timeouts().channel;
        let opening = async {
            let channel = self.handle.channel_open_session().await?;
            channel.exec(true, text).await?;
            Ok(channel.split())
        };
        match timeout(limit, opening).await {
            Ok(Ok(halves)) => Ok(halves),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(Error::Refused {
                what: format!("a channel for {}", command.label()),
                why: format!("{reason:?}"),
            }),
            Ok(Err(russh::Error::Disconnect | russh::Error::SendError | russh::Error::RecvError)) => {
                Err(Error::Lost {
                    what: command.label().to_owned(),
                    bytes_received: 0,
                    why: self.end(),
                })
            }
            Ok(Err(error)) => Err(Error::Protocol {
                what: format!("opening a channel for {}", command.label()),
                cause: Box::new(error),
            }),
            Err(_) => Err(Error::Timeout {
                what: format!("opening a channel for {}", command.label()),
                limit,
                bytes_received: 0,
            }),
        }
    }
}

/// The reading side of a channel: chunks until the end, then how it ended.
pub(crate) struct Reading {
    half: ChannelReadHalf,
    label: String,
    exit: Exit,
    received: u64,
}

impl Reading {
    pub(crate) fn new(half: ChannelReadHalf, label: &str) -> Self {
        Self {
            half,
            label: label.to_owned(),
            exit: Exit::Lost,
            received: 0,
        }
    }

    /// The next piece of output; `None` at the end of the channel. Data may come after the exit status.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        while let Some(message) = self.half.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    self.received = self.received.saturating_add(count(data.len()));
                    return Ok(Some(Chunk::Stdout(data)));
                }
                ChannelMsg::ExtendedData { data, ext: 1 } => {
                    self.received = self.received.saturating_add(count(data.len()));
                    return Ok(Some(Chunk::Stderr(data)));
                }
                ChannelMsg::ExitStatus { exit_status } => self.exit = Exit::Code(exit_status),
                ChannelMsg::ExitSignal { signal_name, .. } => self.exit = Exit::Signal(name_of(&signal_name)),
                ChannelMsg::Failure => {
                    return Err(Error::Refused {
                        what: self.label.clone(),
                        why: "it does not start this command".to_owned(),
                    });
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// How the command ended: [`Exit::Lost`] unless the server has said otherwise.
    pub(crate) fn exit(&self) -> Exit {
        self.exit.clone()
    }

    /// How many bytes of output have come.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }
}

fn name_of(signal: &Sig) -> String {
    match signal {
        // OpenSSH says this of every signal that RFC 4254 does not name, such as XCPU.
        Sig::Custom(name) if name.ends_with("@openssh.com") => "unknown".to_owned(),
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

/// Runs both until the reading one ends. The writing one may end before, which is well unless our own source
/// failed: a refused write shows in the exit status.
pub(crate) async fn until_read<T>(
    reading: impl Future<Output = Result<T, Error>>,
    writing: impl Future<Output = Result<(), Error>>,
) -> Result<T, Error> {
    let mut reading = pin!(reading);
    let mut writing = pin!(writing);
    let mut is_writing = true;
    loop {
        tokio::select! {
            result = &mut reading => return result,
            written = &mut writing, if is_writing => {
                is_writing = false;
                written?;
            }
        }
    }
}

/// Writes the input and then its end.
async fn feed(writing: &ChannelWriteHalf<Msg>, input: Input<'_>, label: &str) -> Result<(), Error> {
    let sent = match input {
        Input::Empty => Ok(()),
        Input::Bytes(bytes) => writing.data_bytes(bytes).await,
        Input::Reader(reader) => {
            while let Some(chunk) = read_chunk(reader, CHUNK, label).await? {
                if writing.data_bytes(chunk).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        }
    };
    if sent.is_ok() {
        // A channel that is gone is noticed by the reading side.
        writing.eof().await.ok();
    }
    Ok(())
}

/// Reads up to `limit` bytes; `None` at the end of the source.
pub(crate) async fn read_chunk(
    reader: &mut (dyn AsyncRead + Send + Unpin),
    limit: usize,
    label: &str,
) -> Result<Option<Bytes>, Error> {
    let mut buffer = BytesMut::with_capacity(limit.min(CHUNK));
    let mut part = reader.take(count(limit.min(CHUNK)));
    let read = part.read_buf(&mut buffer).await.map_err(|cause| Error::Local {
        what: label.to_owned(),
        cause,
    })?;
    Ok((read > 0).then(|| buffer.freeze()))
}

/// The longest time for which our own side of a channel is waited for at its end.
const ENDING: Duration = Duration::from_secs(1);

/// Ends a channel whose command did not end by itself.
pub(crate) async fn abandon(writing: &ChannelWriteHalf<Msg>) {
    // May fail because the connection is gone, which is then the end we want. So may what follows.
    timeout(ENDING, writing.signal(Sig::KILL)).await.ok();
    hang_up(writing).await;
}

/// Ends a channel whose command ends by itself when its input does, and has to clear up then.
pub(crate) async fn hang_up(writing: &ChannelWriteHalf<Msg>) {
    timeout(ENDING, writing.close()).await.ok();
}

/// Output kept up to a limit.
struct Collected {
    limit: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    truncated: bool,
}

impl Collected {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
        }
    }

    fn take(&mut self, chunk: Chunk) {
        let (target, bytes) = match chunk {
            Chunk::Stdout(bytes) => (&mut self.stdout, bytes),
            Chunk::Stderr(bytes) => (&mut self.stderr, bytes),
        };
        let room = self.limit.saturating_sub(target.len());
        match bytes.get(..room) {
            Some(fitting) if fitting.len() < bytes.len() => {
                target.extend_from_slice(fitting);
                self.truncated = true;
            }
            _ => target.extend_from_slice(&bytes),
        }
    }

    fn into_output(self, exit: Exit) -> Output {
        Output {
            exit,
            stdout: self.stdout,
            stderr: self.stderr,
            truncated: self.truncated,
        }
    }
}

/// The end of an output as text, at most 2000 characters, for an error.
pub(crate) fn tail(bytes: &[u8]) -> String {
    const LIMIT: usize = 2000;
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(LIMIT);
    text.chars().skip(skip).collect()
}

/// A length as `u64`, which holds every `usize` of the machines we run on.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
