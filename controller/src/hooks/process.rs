//! A hook's program: in a process group of its own, with a clean environment, and limits of time and output. Nothing of the group
//! outlives it.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use async_trait::async_trait;
use model::hook::End;
use runtime::clock::Clock;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    process::{Child, Command},
};

/// Where hooks look for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of the end of its output is kept, in bytes.
const KEPT: usize = 3800;
/// How long the rest of its output is waited for, when it has ended and something outside its group still holds the other end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// One try of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its environment, besides what every hook has.
    pub environment: Vec<(&'static str, String)>,
    /// What it is given to read.
    pub input: String,
    /// How long it may take.
    pub limit: Duration,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub end: End,
    /// The end of what it wrote.
    pub tail: String,
}

/// How hooks are run: as processes, or in tests and simulations not at all.
#[async_trait]
pub trait HookRunner: Send + Sync + std::fmt::Debug {
    /// Runs one try to its end. Where nobody waits for it any more, it ends as well.
    async fn run(&self, order: &Order, clock: &Clock) -> Tried;
}

/// Runs hooks as processes of this machine.
#[derive(Debug)]
pub(crate) struct Processes;

#[async_trait]
impl HookRunner for Processes {
    async fn run(&self, order: &Order, clock: &Clock) -> Tried {
        let mut tail = Tail::default();
        let end = match start(order) {
            Ok(started) => {
                let whole = started.watch(&order.input, &mut tail);
                match clock.within(order.limit, whole).await {
                    Some(Ok(status)) => end_of(status),
                    Some(Err(error)) => End::NotRun(error.to_string()),
                    None => End::Late(order.limit),
                }
            }
            Err(error) => End::NotRun(in_words(&error)),
        };
        Tried {
            end,
            tail: tail.text(),
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::NotRun(status.to_string()),
    }
}

/// Why a program was not started, without the number of the system's error.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such program, or nothing that can interpret it".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be executed".to_owned(),
        _ => error.to_string(),
    }
}

/// Ends the group when it goes out of scope, also when whoever waits for the program is gone.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // It has ended already, as it should have.
        kill_process_group(self.0, Signal::KILL).ok();
    }
}

/// A program that runs.
struct Started {
    group: Option<Group>,
    child: Child,
    output: pipe::Receiver,
}

fn start(order: &Order) -> io::Result<Started> {
    let Some((program, arguments)) = order.command.split_first() else {
        return Err(io::Error::other("no program is named"));
    };
    // Both outputs go into one pipe, so that what is kept has the order in which it was written.
    let (sender, output) = pipe::pipe()?;
    let stdout = sender.into_blocking_fd()?;
    let stderr = stdout.try_clone()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr))
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    // With it go this process's own ends of the pipe.
    drop(command);
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    Ok(Started {
        group: pid.and_then(Pid::from_raw).map(Group),
        child,
        output,
    })
}

impl Started {
    /// Waits until it ends, and ends what it left behind.
    async fn watch(self, input: &str, tail: &mut Tail) -> io::Result<ExitStatus> {
        let Self {
            group,
            mut child,
            mut output,
        } = self;
        let stdin = child.stdin.take();
        let status = {
            // Whether it reads what it is given is its own affair.
            let feeding = async {
                if let Some(mut stdin) = stdin {
                    stdin.write_all(input.as_bytes()).await.ok();
                }
            };
            let talking = async { tokio::join!(feeding, tail.read(&mut output)) };
            tokio::pin!(talking);
            tokio::select! {
                status = child.wait() => status?,
                _ = &mut talking => child.wait().await?,
            }
        };
        drop(group);
        tokio::time::timeout(LAST_WORDS, tail.read(&mut output))
            .await
            .ok();
        Ok(status)
    }
}

/// The end of an output.
#[derive(Debug, Default)]
struct Tail {
    kept: Vec<u8>,
    left_out: usize,
}

impl Tail {
    /// Reads to the end, and keeps the last bytes.
    async fn read(&mut self, output: &mut pipe::Receiver) {
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = output.read(&mut piece).await {
            self.kept.extend(piece.iter().take(read));
            let over = self.kept.len().saturating_sub(KEPT);
            self.kept.drain(..over);
            self.left_out = self.left_out.saturating_add(over);
        }
    }

    /// As a text that moves no terminal.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let plain: String = text
            .chars()
            .filter(|c| matches!(c, '\n' | '\t') || !c.is_control())
            .collect();
        match self.left_out {
            0 => plain.trim_end().to_owned(),
            bytes => format!("[{bytes} bytes before this are not kept]\n{}", plain.trim_end()),
        }
    }
}

#[cfg(test)]
mod tests;
