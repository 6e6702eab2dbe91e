//! A program in a process group of its own, with limits of time and output. Nothing of the group outlives it.

use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

/// The most bytes of one of the two outputs, and of one line.
const MAX_OUTPUT: u64 = 16 * 1024 * 1024;
const MAX_LINE: u64 = 512 * 1024;
/// How much of the end of its errors is kept.
const KEPT: usize = 16 * 1024;

/// How a program ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself; with the end of what it wrote to standard error.
    Exit(ExitStatus, String),
    /// Its time was over.
    Late,
    /// It wrote more than it may.
    Talkative,
}

/// Ends the group when it goes out of scope, also when whoever waits for the program is gone.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It has ended already, as it should have.
        kill_process_group(self.0, Signal::KILL).ok();
    }
}

/// Runs a program to its end; `line` is given each line of its standard output.
pub(super) async fn run(
    mut command: Command,
    deadline: Instant,
    line: &mut (dyn FnMut(&str) + Send),
) -> io::Result<Ended> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let group = pid.map(Group);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("it has no output"));
    };
    let mut errors = Vec::new();
    let ended = {
        let reading = async {
            let (lines, rest) = tokio::join!(lines(stdout, line), end_of(stderr, &mut errors));
            Ok::<bool, io::Error>(lines? && rest?)
        };
        tokio::pin!(reading);
        let whole = async {
            let status = tokio::select! {
                read = &mut reading => match read? {
                    true => return child.wait().await.map(Some),
                    false => return Ok(None),
                },
                status = child.wait() => status?,
            };
            // What the program left running holds its output open: its own end counts.
            drop(group);
            Ok::<_, io::Error>(reading.await?.then_some(status))
        };
        timeout_at(deadline, whole).await
    };
    let Ok(status) = ended else {
        return Ok(Ended::Late);
    };
    Ok(match status? {
        Some(status) => Ended::Exit(status, String::from_utf8_lossy(&errors).into_owned()),
        None => Ended::Talkative,
    })
}

/// Gives each line away; whether that was all.
async fn lines(stdout: impl AsyncRead + Unpin, line: &mut (dyn FnMut(&str) + Send)) -> io::Result<bool> {
    let mut whole = BufReader::new(stdout.take(MAX_OUTPUT));
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut whole).take(MAX_LINE).read_until(b'\n', &mut bytes).await?;
        if read == 0 {
            return Ok(whole.get_ref().limit() > 0);
        }
        line(String::from_utf8_lossy(&bytes).trim_end());
    }
}

/// Keeps the end; whether that was all.
async fn end_of(stderr: impl AsyncRead + Unpin, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut whole = stderr.take(MAX_OUTPUT);
    let mut piece = [0; 8192];
    loop {
        let read = whole.read(&mut piece).await?;
        if read == 0 {
            return Ok(whole.limit() > 0);
        }
        kept.extend(piece.iter().take(read));
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

#[cfg(test)]
mod tests;
