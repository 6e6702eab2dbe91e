//! What a run did, task by task, and its text in the manner of Ansible's recap.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Whether to change the host, or only to tell what would be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Make it so.
    Apply,
    /// Change nothing; report what would be, with diffs.
    Check,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it should be.
    Ok,
    /// Something was changed, or would be in check mode.
    Changed,
    /// Its condition did not hold, or it cannot run in check mode.
    Skipped,
    /// It failed, and the run with it.
    Failed,
    /// It failed, and the playbook says that this does not matter.
    Ignored,
}

/// One task's part of the report.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// The play's name.
    pub play: String,
    /// The task's name, else that of its module.
    pub name: String,
    /// The line of the task in the playbook.
    pub line: u64,
    /// The module.
    pub module: Cow<'static, str>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was changed, in words: `mode 644 -> 755`. Empty under `no_log`.
    pub changes: Vec<String>,
    /// What `debug` and `assert` say, or why it failed.
    pub message: Option<String>,
    /// What would change in files, as a unified diff; only in check mode.
    pub diff: Option<String>,
    /// How long it took.
    pub duration: Duration,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The playbook's file name.
    pub playbook: String,
    /// The host, as `user@address:port`.
    pub host: String,
    /// Whether anything could be changed.
    pub mode: Mode,
    /// The tasks, in order.
    pub tasks: Vec<TaskReport>,
    /// How long it all took.
    pub duration: Duration,
}

impl Report {
    /// How many tasks ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.tasks.iter().filter(|task| task.outcome == outcome).count()
    }

    /// How many tasks changed something, or would in check mode.
    pub fn changed(&self) -> usize {
        self.count(Outcome::Changed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ok => "ok",
            Self::Changed => "changed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Ignored => "ignored",
        })
    }
}

/// How the task ended, and below that what it did and said; the last line has no end.
impl fmt::Display for TaskReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>8}: {}", self.outcome.to_string(), self.name)?;
        let said = self.message.iter().chain(&self.diff);
        let lines = said.flat_map(|text| text.lines());
        for line in self.changes.iter().map(String::as_str).chain(lines) {
            write!(formatter, "\n          {line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut play = None;
        for task in &self.tasks {
            if play != Some(&task.play) {
                writeln!(formatter, "PLAY [{}]", task.play)?;
                play = Some(&task.play);
            }
            writeln!(formatter, "{task}")?;
        }
        formatter.write_str(&self.recap())
    }
}

impl Report {
    /// The last line: how many tasks ended how, and in what time.
    pub fn recap(&self) -> String {
        let mode = if self.mode == Mode::Check {
            " (check mode: nothing was changed)"
        } else {
            ""
        };
        format!(
            "{} on {}: ok={} changed={} skipped={} failed={} ignored={} in {:.2} s{mode}",
            self.playbook,
            self.host,
            self.count(Outcome::Ok) + self.changed(),
            self.changed(),
            self.count(Outcome::Skipped),
            self.count(Outcome::Failed),
            self.count(Outcome::Ignored),
            self.duration.as_secs_f64(),
        )
    }
}

#[cfg(test)]
mod tests;
