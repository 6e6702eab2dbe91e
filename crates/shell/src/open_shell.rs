//! Scripts one after the other in a shell that stays open on the machine. Each then costs no session of sshd, no login shell and no
//! start of `sh`, which together are more work for the machine than a small script itself.
//!
//! The shell reads commands from its standard input: each script once, as a function whose body is a subshell, and then its
//! calls. What a script printed ends where a mark begins that nobody else knows.

use std::{future::ready, mem, str};

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::command::push_quoted;
use crate::event::{Chunk, Exit};
use crate::session::{Reading, abandon, hang_up};
use crate::{Command, Connection, Error, Input, Output, RunOptions};

/// The longest input that goes with the call of a script; longer ones have a channel of their own.
const MAX_INPUT: usize = 32 * 1024;

/// Shells that stay open on one machine, one for each wrapper such as `sudo -n --`.
pub struct OpenShell<'a> {
    connection: &'a Connection,
    /// Those that wait for a script. One that is in use is not here, so that nobody finds it if that use is given up half-way.
    free: Mutex<Vec<Channel>>,
}

/// An open shell and what it knows.
struct Channel {
    wrapper: Vec<String>,
    reading: Reading,
    writing: ChannelWriteHalf<Msg>,
    mark: String,
    /// The scripts it has been given, each a function that is called by its place here.
    known: Vec<&'static str>,
}

impl Connection {
    /// A way to run many scripts: shells are opened when the first ones are run.
    pub fn open_shell(&self) -> OpenShell<'_> {
        OpenShell {
            connection: self,
            free: Mutex::default(),
        }
    }
}

impl OpenShell<'_> {
    /// The connection that it is on.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// Runs a command as [`Connection::run`] does. A script that is contained ([`Command::contained`]), in the environment of the
    /// login and with a short text as its input, runs in a shell that is open already. There, a script that a signal killed has
    /// the status 128 and the signal's number.
    ///
    /// # Errors
    /// As [`Connection::run`].
    pub async fn run(&self, command: &Command, input: Vec<u8>, options: RunOptions) -> Result<Output, Error> {
        let (Some((text, values)), Some(words)) = (command.as_contained(), as_words(&input)) else {
            return self.connection.run(command, Input::from(input), options).await;
        };
        // Refuses what no command may hold.
        command.to_shell_text()?;
        let deadline = Instant::now() + options.deadline;
        let mut channel = match self.take(command.wrapper()).await {
            Some(channel) => channel,
            None => self.open(command).await?,
        };
        let frame = channel.frame(text, values, words);
        let before = channel.reading.received();
        let mut sides = Sides::new(&channel.mark, options.output_limit);
        let working = async {
            // A channel that is gone is noticed by the reading side.
            channel.writing.data_bytes(frame.into_bytes()).await.ok();
            while !sides.are_over() {
                match channel.reading.next().await? {
                    Some(chunk) => sides.take(chunk),
                    None => break,
                }
            }
            Ok(())
        };
        match timeout_at(deadline, working).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                abandon(&channel.writing).await;
                return Err(error);
            }
            Err(_) => {
                abandon(&channel.writing).await;
                return Err(Error::Timeout {
                    what: command.label().to_owned(),
                    limit: options.deadline,
                    bytes_received: channel.reading.received().saturating_sub(before),
                });
            }
        }
        if let Some(status) = sides.status() {
            self.free.lock().await.push(channel);
            return Ok(sides.into_output(Exit::Code(status)));
        }
        // The shell ended before the script did, so that its own success is nobody's.
        let exit = match channel.reading.exit() {
            Exit::Code(0) => Exit::Lost,
            exit => exit,
        };
        Ok(sides.into_output(exit))
    }

    /// Ends the shells. Whoever keeps the connection calls this, or they stay as long as that.
    pub async fn close(self) {
        for channel in self.free.into_inner() {
            // A shell ends by itself at the end of its input.
            channel.writing.eof().await.ok();
            hang_up(&channel.writing).await;
        }
    }

    /// One that lives: what ended between two scripts has failed neither of them.
    async fn take(&self, wrapper: &[String]) -> Option<Channel> {
        loop {
            let mut channel = {
                let mut free = self.free.lock().await;
                let place = free.iter().position(|channel| channel.wrapper == wrapper)?;
                free.swap_remove(place)
            };
            if channel.is_alive().await {
                return Some(channel);
            }
            hang_up(&channel.writing).await;
        }
    }

    async fn open(&self, command: &Command) -> Result<Channel, Error> {
        let wrapper = command.wrapper().to_vec();
        let shell = Command::new("sh")
            .through(wrapper.clone())
            .labelled(command.label());
        let (reading, writing) = self.connection.start(&shell).await?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|cause| Error::Local {
            what: command.label().to_owned(),
            cause: cause.into(),
        })?;
        Ok(Channel {
            wrapper,
            reading: Reading::new(reading, command.label()),
            writing,
            mark: hex::encode(secret),
            known: Vec::new(),
        })
    }
}

impl Channel {
    /// Whether its end has not come yet. What comes between two scripts is neither's output.
    async fn is_alive(&mut self) -> bool {
        loop {
            tokio::select! {
                biased;
                come = self.reading.next() => match come {
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return false,
                },
                () = ready(()) => return true,
            }
        }
    }

    /// What the shell reads to run a script and to tell that it has ended.
    fn frame(&mut self, script: &'static str, values: &[String], input: &str) -> String {
        let known = self.known.iter().position(|known| *known == script);
        let place = known.unwrap_or(self.known.len());
        let mut text = String::new();
        if known.is_none() {
            self.known.push(script);
            text = definition(place, script);
        }
        text.push_str(&call(place, values, input, &self.mark));
        text
    }
}

/// A script as a function. The parentheses are a subshell, so that nothing of it is left: no variable, folder, mask or trap.
fn definition(place: usize, script: &str) -> String {
    format!("script{place}() (\n{script}\n)\n")
}

/// A call of it. Input is never that of the shell itself, of which the script would read the next calls.
fn call(place: usize, values: &[String], input: &str, mark: &str) -> String {
    let mut text = String::new();
    if !input.is_empty() {
        text.push_str("printf %s");
        push_quoted(&mut text, input);
        // It may complain that nobody reads.
        text.push_str(" 2>/dev/null | ");
    }
    text.push_str(&format!("script{place}"));
    for value in values {
        push_quoted(&mut text, value);
    }
    if input.is_empty() {
        text.push_str(" </dev/null");
    }
    text.push_str(&format!(
        "\nprintf '%s %s\\n' {mark} \"$?\"; printf '%s\\n' {mark} >&2\n"
    ));
    text
}

/// An input that can stand in a command: a short text without NUL.
fn as_words(input: &[u8]) -> Option<&str> {
    let is_short = input.len() <= MAX_INPUT && !input.contains(&0);
    str::from_utf8(input).ok().filter(|_| is_short)
}

/// Both outputs of a script.
struct Sides {
    stdout: Side,
    stderr: Side,
}

impl Sides {
    fn new(mark: &str, limit: usize) -> Self {
        Self {
            stdout: Side::new(mark, limit),
            stderr: Side::new(mark, limit),
        }
    }

    fn take(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => self.stdout.take(&bytes),
            Chunk::Stderr(bytes) => self.stderr.take(&bytes),
        }
    }

    fn are_over(&self) -> bool {
        self.stdout.end.is_some() && self.stderr.end.is_some()
    }

    /// The script's status, once both outputs are over.
    fn status(&self) -> Option<u32> {
        self.stderr.end.as_ref()?;
        self.stdout.end.as_ref()?.trim().parse().ok()
    }

    fn into_output(self, exit: Exit) -> Output {
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        Output {
            exit,
            truncated: stdout.1 || stderr.1,
            stdout: stdout.0,
            stderr: stderr.0,
        }
    }
}

/// One output up to the mark, kept up to a limit.
struct Side {
    mark: Vec<u8>,
    /// What may be the beginning of the mark, or what has come of the line that it begins.
    open: Vec<u8>,
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
    /// What stands behind the mark, up to the end of its line.
    end: Option<String>,
}

impl Side {
    fn new(mark: &str, limit: usize) -> Self {
        Self {
            mark: mark.as_bytes().to_vec(),
            open: Vec::new(),
            kept: Vec::new(),
            limit,
            truncated: false,
            end: None,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
        let length = self.mark.len();
        let Some(at) = self.open.windows(length).position(|part| part == self.mark) else {
            // All but what may be the beginning of the mark.
            let sure = self.open.len().saturating_sub(length.saturating_sub(1));
            let rest = self.open.split_off(sure);
            let sure = mem::replace(&mut self.open, rest);
            self.keep(&sure);
            return;
        };
        let line = self.open.split_off(at);
        let before = mem::replace(&mut self.open, line);
        self.keep(&before);
        let behind = self.open.get(length..).unwrap_or_default();
        if let Some(end) = behind.iter().position(|byte| *byte == b'\n') {
            let words = behind.get(..end).unwrap_or_default();
            self.end = Some(String::from_utf8_lossy(words).into_owned());
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.kept.len());
        let fitting = bytes.get(..room).unwrap_or(bytes);
        self.truncated |= fitting.len() < bytes.len();
        self.kept.extend_from_slice(fitting);
    }

    /// What is kept, and whether more came.
    fn finish(mut self) -> (Vec<u8>, bool) {
        if self.end.is_none() {
            let rest = mem::take(&mut self.open);
            self.keep(&rest);
        }
        (self.kept, self.truncated)
    }
}

#[cfg(test)]
mod tests;
