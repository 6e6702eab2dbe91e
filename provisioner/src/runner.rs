//! Running a playbook: plays, tasks, conditions, loops, retries, and what follows from how a task ends.

mod scope;

use std::time::Duration;

use serde_json::{Map, Value, json};
use shell::Connection;
use tokio::time::{Instant, sleep};

use crate::arguments::Arguments;
use crate::error::{Error, TaskFailure};
use crate::expression;
use crate::host::Host;
use crate::module;
use crate::outcome::{Done, Failure, Problem};
use crate::playbook::{Play, Playbook, Task};
use crate::report::{Mode, Outcome, Report, TaskReport};

use scope::Scope;
pub(crate) use scope::evaluated_vars;

/// How long one try of a task may take unless it says `timeout`.
const TASK_LIMIT: Duration = Duration::from_secs(600);

/// The most elements of a loop.
const MAX_ITEMS: usize = 1000;

/// One run of one playbook on one host.
pub(crate) struct Run<'a> {
    connection: &'a Connection,
    playbook: &'a Playbook,
    scope: Scope,
    mode: Mode,
    limit: Duration,
    deadline: Instant,
    started: Instant,
    tasks: Vec<TaskReport>,
}

/// What became of one element of a loop, or of a task without one.
struct Item {
    outcome: Outcome,
    done: Done,
    problem: Option<Problem>,
    /// What `register` gets.
    result: Value,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        playbook: &'a Playbook,
        vars: Map<String, Value>,
        mode: Mode,
        limit: Duration,
    ) -> Self {
        let started = Instant::now();
        let (deadline, scope) = (started + limit, Scope::new(vars, mode));
        Self {
            connection,
            playbook,
            scope,
            mode,
            limit,
            deadline,
            started,
            tasks: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<Report, Error> {
        for play in &self.playbook.plays {
            let started = self.scope.start_play(play);
            if let Err(message) = started {
                return Err(self.play_failure(play, message));
            }
            for task in &play.tasks {
                self.task(play, task).await?;
            }
        }
        let report = self.report();
        tracing::debug!(
            playbook = report.playbook,
            host = report.host,
            changed = report.changed(),
            "A playbook ran."
        );
        Ok(report)
    }

    fn report(&self) -> Report {
        Report {
            playbook: self.playbook.file.clone(),
            host: self.connection.endpoint().to_string(),
            mode: self.mode,
            tasks: self.tasks.clone(),
            duration: self.started.elapsed(),
        }
    }

    fn place(&self, play: &Play, task: &Task) -> String {
        format!(
            "play {:?}, task {:?} ({}:{})",
            play.name, task.name, self.playbook.file, task.line
        )
    }

    fn play_failure(&self, play: &Play, message: String) -> Error {
        Error::TaskFailed(Box::new(TaskFailure {
            place: format!("play {:?} ({})", play.name, self.playbook.file),
            module: "vars",
            message,
            status: None,
            stderr: String::new(),
            report: self.report(),
        }))
    }

    /// Runs a task with all elements of its loop and records what became of it.
    async fn task(&mut self, play: &Play, task: &Task) -> Result<(), Error> {
        let started = Instant::now();
        let mut items = Vec::new();
        match self.loop_items(task) {
            Ok(None) => items.push(self.item(play, task, None).await?),
            Ok(Some(values)) => {
                for value in values {
                    items.push(self.item(play, task, Some(value)).await?);
                }
            }
            Err(problem) => items.push(Item::failed(task, problem)),
        }
        self.scope.end_item();
        if let Some(name) = &task.register {
            self.scope.set(name, registered(task, &items));
        }
        let failure = items.iter_mut().find_map(|item| item.problem.take());
        let report = task_report(play, task, &mut items, started.elapsed());
        let failed = report.outcome == Outcome::Failed;
        self.tasks.push(report);
        match failure {
            Some(problem) if failed => Err(self.failure(play, task, problem)),
            _ => Ok(()),
        }
    }

    fn failure(&self, play: &Play, task: &Task, problem: Problem) -> Error {
        let hidden = task.no_log;
        Error::TaskFailed(Box::new(TaskFailure {
            place: self.place(play, task),
            module: task.module.name,
            message: if hidden {
                "hidden by no_log".to_owned()
            } else {
                problem.message
            },
            status: problem.status,
            stderr: if hidden { String::new() } else { problem.stderr },
            report: self.report(),
        }))
    }

    /// The elements of the task's loop. If they cannot be had, it depends on the condition whether that matters.
    fn loop_items(&mut self, task: &Task) -> Result<Option<Vec<Value>>, Problem> {
        let Some(template) = &task.items else {
            return Ok(None);
        };
        self.scope.start_item(task, None).map_err(Problem::new)?;
        match expression::evaluate(template, self.scope.variables()) {
            Ok(Value::Array(items)) if items.len() <= MAX_ITEMS => Ok(Some(items)),
            Ok(Value::Array(_)) => Err(Problem::new(format!("loop has more than {MAX_ITEMS} elements"))),
            Ok(other) => Err(Problem::new(format!("loop is {other}, expected a list"))),
            Err(message) => match expression::holds(&task.when, self.scope.variables()) {
                Ok(false) => Ok(Some(Vec::new())),
                _ => Err(Problem::new(message)),
            },
        }
    }

    /// One element: its condition, then the module as often as `until` wants.
    async fn item(&mut self, play: &Play, task: &Task, value: Option<Value>) -> Result<Item, Error> {
        if let Err(message) = self.scope.start_item(task, value.as_ref()) {
            return Ok(Item::failed(task, Problem::new(message)));
        }
        match expression::holds(&task.when, self.scope.variables()) {
            Ok(true) => {}
            Ok(false) => return Ok(Item::skipped(value)),
            Err(message) => return Ok(Item::failed(task, Problem::new(format!("when: {message}")))),
        }
        let mut attempt: u32 = 1;
        loop {
            let result = match self.call(play, task).await {
                Ok(done) => Ok(done),
                Err(Failure::Problem(problem)) => Err(*problem),
                Err(Failure::Connection(cause)) => {
                    return Err(Error::Connection {
                        place: self.place(play, task),
                        cause,
                    });
                }
                Err(Failure::Deadline) => return Err(self.too_late(play, task)),
            };
            let item = self.judge(task, result, value.as_ref(), attempt);
            let Some(until) = task.until.as_ref().filter(|_| !item.done.skipped) else {
                return Ok(item);
            };
            self.scope.set_for_item(task, item.result.clone());
            match expression::holds(until, self.scope.variables()) {
                Ok(true) => return Ok(item),
                Ok(false) if attempt > task.retries => {
                    let message = format!("until did not hold after {attempt} tries");
                    return Ok(item.into_failed(task, message));
                }
                Ok(false) => {}
                Err(message) => return Ok(item.into_failed(task, format!("until: {message}"))),
            }
            attempt = attempt.saturating_add(1);
            let pause = Duration::from_secs(task.delay);
            if Instant::now() + pause >= self.deadline {
                return Err(self.too_late(play, task));
            }
            sleep(pause).await;
        }
    }

    fn too_late(&self, play: &Play, task: &Task) -> Error {
        Error::Deadline {
            place: self.place(play, task),
            limit: self.limit,
        }
    }

    async fn call(&self, play: &Play, task: &Task) -> Result<Done, Failure> {
        let variables = self.scope.variables();
        let mut values = Map::new();
        for (name, value) in &task.arguments {
            // Conditions are evaluated by the modules that have them.
            let is_condition = matches!(
                (task.module.name, name.as_str()),
                ("assert", "that") | ("debug", "var")
            );
            let value = match is_condition {
                true => value.clone(),
                false => expression::evaluate(value, variables).map_err(Problem::new)?,
            };
            values.insert(name.clone(), value);
        }
        let environment = Value::Object(task.environment.clone());
        let environment = match expression::evaluate(&environment, variables).map_err(Problem::new)? {
            Value::Object(entries) => entries,
            _ => Map::new(),
        };
        let wants_root = task.r#become.unwrap_or(play.r#become);
        let host = Host {
            connection: self.connection,
            sudo: wants_root && self.connection.endpoint().user != "root",
            check: task.check_mode.unwrap_or(self.mode == Mode::Check),
            deadline: self.deadline,
            limit: task
                .timeout
                .filter(|seconds| *seconds > 0)
                .map_or(TASK_LIMIT, Duration::from_secs),
        };
        let arguments = Arguments::new(task.module.name, values);
        module::call(task.module.kind, &arguments, &host, variables, &environment).await
    }

    /// From what the module says to what the task says: `failed_when` and `changed_when` have the last word.
    fn judge(
        &mut self,
        task: &Task,
        result: Result<Done, Problem>,
        value: Option<&Value>,
        attempt: u32,
    ) -> Item {
        let (mut done, mut problem) = match result {
            Ok(done) => (done, None),
            Err(mut problem) => {
                let values = std::mem::take(&mut problem.values);
                (
                    Done {
                        values,
                        changed: problem.status.is_some(),
                        ..Done::default()
                    },
                    Some(problem),
                )
            }
        };
        for (name, fact) in &done.facts {
            self.scope.set(name, fact.clone());
        }
        let mut entries = std::mem::take(&mut done.values);
        entries.insert("changed".to_owned(), json!(done.is_changed()));
        entries.insert("failed".to_owned(), json!(problem.is_some()));
        entries.insert("attempts".to_owned(), json!(attempt));
        if done.skipped {
            entries.insert("skipped".to_owned(), json!(true));
        }
        if let Some(problem) = &problem {
            entries.insert("msg".to_owned(), json!(problem.message));
        }
        entries.extend(value.map(|value| ("item".to_owned(), value.clone())));
        self.scope.set_for_item(task, Value::Object(entries.clone()));
        let mut changed = done.is_changed();
        if let (Some(conditions), false) = (&task.failed_when, done.skipped) {
            problem = match expression::holds(conditions, self.scope.variables()) {
                Ok(true) if !conditions.is_empty() => {
                    Some(problem.unwrap_or_else(|| Problem::new("failed_when says so".to_owned())))
                }
                Ok(_) => None,
                Err(message) => Some(Problem::new(format!("failed_when: {message}"))),
            };
        }
        if let (Some(conditions), false) = (&task.changed_when, done.skipped) {
            match expression::holds(conditions, self.scope.variables()) {
                Ok(value) => changed = value,
                Err(message) => problem = Some(Problem::new(format!("changed_when: {message}"))),
            }
        }
        entries.insert("changed".to_owned(), json!(changed));
        entries.insert("failed".to_owned(), json!(problem.is_some()));
        let outcome = match (&problem, done.skipped) {
            (Some(_), _) if task.ignore_errors => Outcome::Ignored,
            (Some(_), _) => Outcome::Failed,
            (None, true) => Outcome::Skipped,
            (None, false) if changed => Outcome::Changed,
            (None, false) => Outcome::Ok,
        };
        Item {
            outcome,
            done,
            problem,
            result: Value::Object(entries),
        }
    }
}

impl Item {
    fn skipped(value: Option<Value>) -> Self {
        let mut result = json!({ "changed": false, "skipped": true, "failed": false });
        if let (Some(entries), Some(value)) = (result.as_object_mut(), value) {
            entries.insert("item".to_owned(), value);
        }
        Self {
            outcome: Outcome::Skipped,
            done: Done::default(),
            problem: None,
            result,
        }
    }

    fn failed(task: &Task, problem: Problem) -> Self {
        let result = json!({ "changed": false, "failed": true, "msg": problem.message });
        let outcome = if task.ignore_errors {
            Outcome::Ignored
        } else {
            Outcome::Failed
        };
        Self {
            outcome,
            done: Done::default(),
            problem: Some(problem),
            result,
        }
    }

    fn into_failed(mut self, task: &Task, message: String) -> Self {
        self.outcome = if task.ignore_errors {
            Outcome::Ignored
        } else {
            Outcome::Failed
        };
        if let Some(entries) = self.result.as_object_mut() {
            entries.insert("failed".to_owned(), json!(true));
        }
        let text = |name: &str| {
            self.result
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (status, stderr) = (self.result.get("rc").and_then(Value::as_i64), text("stderr"));
        self.problem.get_or_insert(Problem {
            message,
            status,
            stderr,
            values: Map::new(),
        });
        self
    }
}

/// The value `register` stores: of a loop, a list of results and their sum.
fn registered(task: &Task, items: &[Item]) -> Value {
    if task.items.is_none() {
        return items.first().map(|item| item.result.clone()).unwrap_or_default();
    }
    let any = |outcome: Outcome| items.iter().any(|item| item.outcome == outcome);
    json!({
        "results": items.iter().map(|item| item.result.clone()).collect::<Vec<_>>(),
        "changed": items.iter().any(|item| item.result.get("changed") == Some(&Value::Bool(true))),
        "failed": any(Outcome::Failed) || any(Outcome::Ignored),
        "skipped": items.iter().all(|item| item.outcome == Outcome::Skipped),
    })
}

/// Sums up the elements: one failed makes the task failed, one changed makes it changed.
fn task_report(play: &Play, task: &Task, items: &mut [Item], duration: Duration) -> TaskReport {
    let order = [Outcome::Failed, Outcome::Ignored, Outcome::Changed, Outcome::Ok];
    let worst = order
        .into_iter()
        .find(|outcome| items.iter().any(|item| item.outcome == *outcome));
    let mut report = TaskReport {
        play: play.name.clone(),
        name: task.name.clone(),
        line: task.line,
        module: task.module.name,
        outcome: worst.unwrap_or(Outcome::Skipped),
        changes: Vec::new(),
        message: None,
        diff: None,
        duration,
    };
    if !task.no_log {
        for item in items {
            report.changes.append(&mut item.done.changes);
            let failed = item.result.get("msg").and_then(Value::as_str).map(str::to_owned);
            if let Some(message) = item.done.message.take().or(failed) {
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
