//! What can go wrong in provisioning, sorted by who has to act.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use model::nearest::nearest;

use crate::Report;

/// Why a playbook could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator's files are wrong. All mistakes found are listed; nothing was done.
    #[error("{}", listed(.0))]
    Mistakes(Vec<Mistake>),
    /// A file or directory of the operator cannot be read, or the staging directory not be written.
    #[error("{} cannot be used: {why}", path.display())]
    File {
        path: PathBuf,
        /// What was tried.
        why: &'static str,
        /// The system's error.
        #[source]
        cause: std::io::Error,
    },
    /// There is no playbook of that name.
    #[error("there is no playbook {name:?}; there are {}", any(known))]
    UnknownPlaybook {
        /// The name asked for.
        name: String,
        /// Those that were loaded.
        known: Vec<String>,
    },
    /// A task failed: the machine is not what the playbook makes. Give it back, or retry the whole.
    #[error("{0}")]
    TaskFailed(Box<TaskFailure>),
    /// The machine was not reached, is another one, or does not let us in; nothing was done there.
    #[error(transparent)]
    Unreachable(shell::Error),
    /// The real Ansible is not there, or could not do anything with the playbook.
    #[error("{0}")]
    Ansible(String),
    /// The connection failed or was lost. Retry with a new one; the playbook is idempotent.
    #[error("{place}: the connection failed")]
    Connection {
        /// Play, task and line, as in [`TaskFailure`].
        place: String,
        /// What happened.
        #[source]
        cause: shell::Error,
    },
    /// The whole run took longer than it may.
    #[error("{place}: the playbook did not end within {limit:?}")]
    Deadline {
        /// Play, task and line where it was.
        place: String,
        /// The limit that was given.
        limit: Duration,
    },
}

fn any(known: &[String]) -> String {
    if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    }
}

fn listed(mistakes: &[Mistake]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One mistake in a file that an operator wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, relative to the directory it was loaded from.
    pub file: String,
    /// Line, from 1; 0 if the mistake has no place.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Mistake {
    /// A mistake of a file as a whole.
    pub(crate) fn of_file(file: impl Into<String>, message: String) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(formatter, "{}: {}", self.file, self.message)
        } else {
            write!(
                formatter,
                "{}:{}:{}: {}",
                self.file, self.line, self.column, self.message
            )
        }
    }
}

/// A task that failed, with all that helps to find out why.
#[derive(Clone, Debug)]
pub struct TaskFailure {
    /// Play, task and line: `play "...", task "..." (builder.yml:12)`.
    pub place: String,
    /// The module, such as `copy`.
    pub module: Cow<'static, str>,
    /// What went wrong.
    pub message: String,
    /// The exit status of the remote command, if it was one.
    pub status: Option<i64>,
    /// The end of its standard error, at most 2000 characters; empty under `no_log`.
    pub stderr: String,
    /// What had been done until then, this task included.
    pub report: Report,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} failed: {}",
            self.place, self.module, self.message
        )?;
        if let Some(status) = self.status {
            write!(formatter, " (status {status})")?;
        }
        if !self.stderr.is_empty() {
            write!(formatter, "\n{}", self.stderr)?;
        }
        Ok(())
    }
}

/// The name among `known` that `word` was probably meant to be, as a phrase to append: `; did you mean "x"?`.
pub(crate) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known)
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
