//! What the real Ansible tells of a run, line by line, and what it comes to.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::report::{Outcome, TaskReport};

/// The most characters of a failure's line.
const MAX_LINE: usize = 600;

/// One line of `events.py`.
#[derive(Debug, Deserialize)]
struct Line {
    event: Kind,
    #[serde(flatten)]
    task: Task,
    #[serde(default)]
    outcome: Option<Word>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: Option<serde_json::Value>,
    #[serde(default)]
    stderr: String,
    #[serde(default)]
    diff: String,
    #[serde(default)]
    seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Begin,
    End,
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ok,
    Changed,
    Skipped,
    Failed,
    Ignored,
    Unreachable,
}

/// Which task it is.
#[derive(Clone, Debug, Deserialize)]
struct Task {
    play: String,
    task: String,
    /// File and line, as `/tmp/x/playbooks/p.yml:3`.
    path: String,
    module: String,
}

/// A task that ended the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Play, task and line.
    pub(super) place: String,
    pub(super) module: String,
    /// What the machine, or the module there, said.
    pub(super) message: String,
    pub(super) status: Option<i64>,
    pub(super) stderr: String,
    /// The machine was not reached for it.
    pub(super) is_unreachable: bool,
}

/// A run as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The folder whose name is not told.
    playbooks: String,
    /// The task that is under way, or was last.
    pub(super) place: Option<String>,
    pub(super) tasks: Vec<TaskReport>,
    /// The last task that failed.
    pub(super) failed: Option<Failed>,
    /// A play that is for other machines than this one.
    pub(super) not_for_us: Option<String>,
}

impl Events {
    /// For playbooks that lie in a folder.
    pub(super) fn of(playbooks: &str) -> Self {
        Self {
            playbooks: format!("{}/", playbooks.trim_end_matches('/')),
            ..Self::default()
        }
    }

    /// Takes a line; the task that has ended by it. `None` too for a line that is none of ours.
    pub(super) fn take(&mut self, line: &str) -> Option<&TaskReport> {
        let line: Line = serde_json::from_str(line).ok()?;
        if matches!(line.event, Kind::Nobody) {
            self.not_for_us = Some(line.task.play);
            return None;
        }
        let (place, number) = self.place(&line.task);
        self.place = Some(place.clone());
        if matches!(line.event, Kind::Begin) {
            return None;
        }
        let outcome = line.outcome?;
        let module = line.task.module.as_str();
        let module = module
            .strip_prefix("ansible.builtin.")
            .unwrap_or(module)
            .to_owned();
        if matches!(outcome, Word::Failed | Word::Unreachable) {
            self.failed = Some(Failed {
                place,
                module: module.clone(),
                message: line.message.clone(),
                status: line.status.as_ref().and_then(serde_json::Value::as_i64),
                stderr: line.stderr.clone(),
                is_unreachable: outcome == Word::Unreachable,
            });
        }
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        self.tasks.push(TaskReport {
            play: line.task.play,
            name: line.task.task,
            line: number,
            module: Cow::Owned(module),
            outcome: match outcome {
                Word::Ok => Outcome::Ok,
                Word::Changed => Outcome::Changed,
                Word::Skipped => Outcome::Skipped,
                Word::Ignored => Outcome::Ignored,
                Word::Failed | Word::Unreachable => Outcome::Failed,
            },
            changes: Vec::new(),
            message: some(line.message),
            diff: some(line.diff),
            duration: Duration::try_from_secs_f64(line.seconds).unwrap_or_default(),
        });
        self.tasks.last()
    }

    /// Play, task and line in words, and the line's number.
    fn place(&self, task: &Task) -> (String, u64) {
        let path = task.path.strip_prefix(&self.playbooks).unwrap_or(&task.path);
        let number = path.rsplit_once(':').and_then(|(_, line)| line.parse().ok());
        let place = format!("play {:?}, task {:?} ({path})", task.play, task.task);
        (place, number.unwrap_or(0))
    }
}

impl Failed {
    /// Why, in one line: the message, and the end of what was written to standard error where the message does not say it.
    pub(super) fn words(&self) -> String {
        let message = one_line(&self.message);
        let last = self.stderr.lines().rfind(|line| !line.trim().is_empty());
        match last.map(str::trim) {
            Some(last) if message.is_empty() => one_line(last),
            Some(last) if !message.contains(last) => one_line(&format!("{message}: {last}")),
            _ if message.is_empty() => "it says nothing".to_owned(),
            _ => message,
        }
    }
}

/// A text as one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    let plain = line.replace(|c: char| c.is_control(), " ");
    match plain.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default()),
        None => plain,
    }
}

#[cfg(test)]
mod tests;
