//! What a call of a module comes to: what it did, or why it failed.

use shell::{Exit, Output};

use crate::value::{Map, Value};

/// What a module did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) changes: Vec<String>,
    /// Changed although there is nothing to say about it: a command that was run.
    pub(crate) changed: bool,
    pub(crate) skipped: bool,
    pub(crate) message: Option<String>,
    pub(crate) diff: Option<String>,
    /// Values for `register`, beside `changed`, `failed` and `skipped`.
    pub(crate) values: Map,
    /// Variables that `set_fact` sets.
    pub(crate) facts: Map,
}

impl Done {
    /// A result whose changes are those the script told.
    pub(crate) fn changes(changes: Vec<String>) -> Self {
        Self {
            changes,
            ..Self::default()
        }
    }

    /// Whether something was changed.
    pub(crate) fn is_changed(&self) -> bool {
        self.changed || !self.changes.is_empty()
    }
}

/// Why a module failed; the task fails with it unless the playbook says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) status: Option<i64>,
    pub(crate) stderr: String,
    /// Whether something may have been changed all the same: by a command that ran.
    pub(crate) changed: bool,
    /// In a box, since every fallible function hands problems around.
    pub(crate) values: Box<Map>,
    /// The parameter that is wrong, if it is that.
    pub(crate) parameter: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: String) -> Self {
        Self {
            message,
            status: None,
            stderr: String::new(),
            changed: false,
            values: Box::default(),
            parameter: None,
        }
    }

    pub(crate) fn from_output(message: String, output: &Output) -> Self {
        let status = match output.exit {
            Exit::Code(code) => Some(i64::from(code)),
            _ => None,
        };
        Self {
            message,
            status,
            stderr: output.stderr_tail(),
            changed: true,
            values: Box::new(output_values(output)),
            parameter: None,
        }
    }
}

/// Why there is no result: the task's own fault, or one that ends the run.
#[derive(Debug)]
pub(crate) enum Failure {
    Problem(Box<Problem>),
    Connection(shell::Error),
    Deadline,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// What `register` gets of a command.
pub(crate) fn output_values(output: &Output) -> Map {
    let trimmed = |text: String| text.trim_end_matches(['\r', '\n']).to_owned();
    let (stdout, stderr) = (trimmed(output.stdout_text()), trimmed(output.stderr_text()));
    let lines = |text: &str| text.lines().map(Value::from).collect::<Vec<_>>();
    let status = match &output.exit {
        Exit::Code(code) => i64::from(*code),
        // As Python's subprocess reports death by signal, in sign at least.
        _ => -1,
    };
    let mut values = Map::new();
    values.insert("rc".to_owned(), Value::Int(status));
    values.insert("stdout_lines".to_owned(), Value::List(lines(&stdout)));
    values.insert("stderr_lines".to_owned(), Value::List(lines(&stderr)));
    values.insert("stdout".to_owned(), Value::Text(stdout));
    values.insert("stderr".to_owned(), Value::Text(stderr));
    values.insert("msg".to_owned(), Value::from(""));
    values
}

#[cfg(test)]
mod tests;
