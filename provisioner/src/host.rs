//! The host a playbook runs on, as modules see it: scripts with arguments, bounded in time and output.

use std::time::Duration;

use async_trait::async_trait;
use shell::{Command, Endpoint, Exit, OpenShell, Output, RunOptions};
use tokio::time::Instant;

use crate::outcome::{Failure, Problem};

/// How much output of one command is kept, of each of the two.
const OUTPUT_LIMIT: usize = 256 * 1024;

/// What reaches a machine: shells on a connection, or in tests something that answers in its place.
#[async_trait]
pub(crate) trait Remote: Sync {
    fn endpoint(&self) -> &Endpoint;

    /// Runs a command to its end, whatever its status; see [`OpenShell::run`].
    async fn run(
        &self,
        command: &Command,
        input: Vec<u8>,
        options: RunOptions,
    ) -> Result<Output, shell::Error>;
}

#[async_trait]
impl Remote for OpenShell<'_> {
    fn endpoint(&self) -> &Endpoint {
        self.connection().endpoint()
    }

    async fn run(
        &self,
        command: &Command,
        input: Vec<u8>,
        options: RunOptions,
    ) -> Result<Output, shell::Error> {
        self.run(command, input, options).await
    }
}

/// The machine with what one task asks for.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) remote: &'a dyn Remote,
    /// Whether commands go through `sudo`.
    pub(crate) sudo: bool,
    /// Whether nothing may be changed.
    pub(crate) check: bool,
    /// When the whole run must have ended.
    pub(crate) deadline: Instant,
    /// How long one command may take.
    pub(crate) limit: Duration,
}

impl Host<'_> {
    /// Runs one of the scripts of `scripts/`, all of which begin with the prelude and take as their first
    /// argument whether this is check mode. Gives the lines it printed.
    pub(crate) async fn script(
        &self,
        module: &'static str,
        text: &'static str,
        values: &[&str],
        input: Vec<u8>,
    ) -> Result<Lines, Failure> {
        self.lines(self.call(module, text, values).contained(), input)
            .await
    }

    /// The same for a script that may start programs which outlive it, such as a service of a package.
    pub(crate) async fn script_that_starts(
        &self,
        module: &'static str,
        text: &'static str,
        values: &[&str],
    ) -> Result<Lines, Failure> {
        self.lines(self.call(module, text, values), Vec::new()).await
    }

    fn call(&self, module: &'static str, text: &'static str, values: &[&str]) -> Command {
        let check = if self.check { "1" } else { "0" };
        Command::script(module, text, [check].into_iter().chain(values.iter().copied()))
    }

    async fn lines(&self, command: Command, input: Vec<u8>) -> Result<Lines, Failure> {
        let output = self.run(command, input).await?;
        if output.exit.is_success() {
            Ok(Lines(output.stdout_text()))
        } else {
            // The script is no command of the playbook's: what it printed is not registered.
            let mut problem = Problem::from_output("the module's script failed".to_owned(), &output);
            problem.values.clear();
            problem.changed = false;
            Err(problem.into())
        }
    }

    /// Runs a command to its end, whatever its status.
    pub(crate) async fn run(&self, command: Command, input: Vec<u8>) -> Result<Output, Failure> {
        let command = if self.sudo {
            command.through(["sudo", "-n", "--"])
        } else {
            command
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Deadline);
        }
        let limit = self.limit.min(left);
        let options = RunOptions {
            deadline: limit,
            output_limit: OUTPUT_LIMIT,
        };
        match self.remote.run(&command, input, options).await {
            Ok(Output { exit: Exit::Lost, .. }) => Err(Failure::Connection(shell::Error::Lost {
                what: command.label().to_owned(),
                bytes_received: 0,
                why: "no exit status came".to_owned(),
            })),
            Ok(output) => Ok(output),
            Err(shell::Error::Timeout { .. }) if limit == left => Err(Failure::Deadline),
            Err(shell::Error::Timeout { .. }) => {
                Err(Problem::new(format!("it did not end within {} s", limit.as_secs())).into())
            }
            Err(error @ shell::Error::Invalid { .. }) => Err(Problem::new(error.to_string()).into()),
            Err(error) => Err(Failure::Connection(error)),
        }
    }
}

/// What a script printed.
pub(crate) struct Lines(String);

impl Lines {
    /// What it changed, one text for each `changed` line.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix("changed "))
            .map(str::to_owned)
            .collect()
    }

    /// The rest of the first line that begins with `word`.
    pub(crate) fn after(&self, word: &str) -> Option<&str> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// Everything, as printed.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
pub(crate) mod tests;
