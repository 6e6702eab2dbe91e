//! What becomes of a task: of each element of its loop, and of all of them together.

use std::time::Duration;

use crate::outcome::{Done, Problem};
use crate::playbook::{Play, Task};
use crate::report::{Outcome, TaskReport};
use crate::value::{Map, Value, map};

/// What became of one element of a loop, or of a task without one.
pub(super) struct Item {
    pub(super) outcome: Outcome,
    pub(super) done: Done,
    pub(super) problem: Option<Problem>,
    /// What `register` gets.
    pub(super) result: Map,
}

impl Item {
    pub(super) fn skipped(value: Option<Value>) -> Self {
        let mut result = map([("changed", Value::Bool(false)), ("skipped", Value::Bool(true))]);
        result.extend(value.map(|value| ("item".to_owned(), value)));
        Self {
            outcome: Outcome::Skipped,
            done: Done::default(),
            problem: None,
            result,
        }
    }

    pub(super) fn failed(task: &Task, value: Option<Value>, problem: Problem) -> Self {
        let mut result = map([
            ("changed", Value::Bool(false)),
            ("failed", Value::Bool(true)),
            ("msg", Value::from(problem.message.as_str())),
        ]);
        result.extend(value.map(|value| ("item".to_owned(), value)));
        Self {
            outcome: failure(task),
            done: Done::default(),
            problem: Some(problem),
            result,
        }
    }

    /// The same, but failed: every try is used up.
    pub(super) fn into_failed(mut self, task: &Task, message: String) -> Self {
        self.outcome = failure(task);
        self.result.insert("failed".to_owned(), Value::Bool(true));
        let status = match self.result.get("rc") {
            Some(Value::Int(status)) => Some(*status),
            _ => None,
        };
        let stderr = self.result.get("stderr").and_then(Value::as_text);
        let problem = Problem {
            message,
            status,
            stderr: stderr.unwrap_or_default().to_owned(),
            ..Problem::new(String::new())
        };
        self.problem.get_or_insert(problem);
        self
    }
}

/// What a module's own result has for `register`, before the task's conditions are asked.
pub(super) fn result(done: &mut Done, problem: Option<&Problem>) -> Map {
    let mut entries = std::mem::take(&mut done.values);
    entries.insert("changed".to_owned(), Value::Bool(done.is_changed()));
    entries.insert("failed".to_owned(), Value::Bool(problem.is_some()));
    if done.skipped {
        entries.insert("skipped".to_owned(), Value::Bool(true));
    }
    // A command says nothing itself; whatever else a module says stays as it is.
    let is_silent = match entries.get("msg") {
        Some(said) => entries.contains_key("rc") && said.as_text() == Some(""),
        None => true,
    };
    if let (Some(problem), true) = (problem, is_silent) {
        entries.insert("msg".to_owned(), Value::from(problem.message.as_str()));
    }
    entries
}

/// How a task that failed ends.
pub(super) fn failure(task: &Task) -> Outcome {
    if task.ignore_errors {
        Outcome::Ignored
    } else {
        Outcome::Failed
    }
}

/// The elements of a task: one without a value for a task that has no loop.
pub(super) enum Elements {
    One,
    Each(Vec<Value>),
    /// They cannot be had, and the task is not wanted.
    Skipped,
}

/// The value `register` stores: of a loop, a list of results and their sum. As in Ansible, what was skipped or went well
/// has no `failed` there.
pub(super) fn registered(is_loop: bool, items: &[Item]) -> Value {
    if !is_loop {
        return Value::Map(items.first().map(|item| item.result.clone()).unwrap_or_default());
    }
    let is_failed = |item: &Item| matches!(item.outcome, Outcome::Failed | Outcome::Ignored);
    let is_changed = |item: &Item| item.result.get("changed") == Some(&Value::Bool(true));
    let is_skipped = items.iter().all(|item| item.outcome == Outcome::Skipped);
    let results = items.iter().map(|item| Value::Map(item.result.clone())).collect();
    let mut whole = map([
        ("results", Value::List(results)),
        ("changed", Value::Bool(items.iter().any(is_changed))),
        ("skipped", Value::Bool(is_skipped)),
    ]);
    let mut message = "All items completed";
    if items.iter().any(is_failed) {
        whole.insert("failed".to_owned(), Value::Bool(true));
        message = "One or more items failed";
    }
    if items.is_empty() {
        whole.insert("skipped_reason".to_owned(), Value::from("No items in the list"));
    } else {
        let message = if is_skipped { "All items skipped" } else { message };
        whole.insert("msg".to_owned(), Value::from(message));
    }
    Value::Map(whole)
}

/// Sums up the elements: one failed makes the task failed, one changed makes it changed.
pub(super) fn task_report(play: &Play, task: &Task, items: &mut [Item], duration: Duration) -> TaskReport {
    let order = [Outcome::Failed, Outcome::Ignored, Outcome::Changed, Outcome::Ok];
    let worst = order
        .into_iter()
        .find(|outcome| items.iter().any(|item| item.outcome == *outcome));
    let mut report = TaskReport {
        play: play.name.clone(),
        name: task.name.clone(),
        line: task.line,
        module: task.module.name.into(),
        outcome: worst.unwrap_or(Outcome::Skipped),
        changes: Vec::new(),
        message: None,
        diff: None,
        duration,
    };
    if !task.no_log {
        for item in items {
            report.changes.append(&mut item.done.changes);
            let why = item.problem.as_ref().map(|problem| problem.message.clone());
            if let Some(message) = item.done.message.take().or(why) {
                let whole = report.message.get_or_insert_default();
                if !whole.is_empty() {
                    whole.push('\n');
                }
                whole.push_str(&message);
            }
            if let Some(diff) = item.done.diff.take() {
                report.diff.get_or_insert_default().push_str(&diff);
            }
        }
    }
    report
}
