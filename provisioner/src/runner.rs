//! Running a playbook: plays, tasks, conditions, loops, retries, and what follows from how a task ends.

mod item;
mod scope;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::arguments::Arguments;
use crate::error::{Error, TaskFailure};
use crate::expression;
use crate::host::{Host, Remote};
use crate::module;
use crate::outcome::{Done, Failure, Problem};
use crate::playbook::{Play, Playbook, Task, elements};
use crate::report::{Mode, Outcome, Report, TaskReport};
use crate::target::{Progress, Request};
use crate::value::{Map, Value};

use item::{Elements, Item, registered, task_report};
use scope::Scope;
pub(crate) use scope::evaluated_vars;

/// How long one try of a task may take unless it says `timeout`.
const TASK_LIMIT: Duration = Duration::from_secs(600);

/// One run of one playbook on one host.
pub(crate) struct Run<'a> {
    remote: &'a dyn Remote,
    playbook: &'a Playbook,
    scope: Scope,
    mode: Mode,
    limit: Duration,
    deadline: Instant,
    started: Instant,
    progress: Option<Progress<'a>>,
    part: Option<&'a str>,
    tasks: Vec<TaskReport>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        remote: &'a dyn Remote,
        playbook: &'a Playbook,
        vars: Map,
        request: &Request<'a>,
    ) -> Self {
        let (mode, limit) = (request.mode, request.limit);
        let started = Instant::now();
        let (deadline, scope) = (started + limit, Scope::new(vars, mode));
        Self {
            remote,
            playbook,
            scope,
            mode,
            limit,
            deadline,
            started,
            progress: request.progress,
            part: request.part,
            tasks: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self) -> Result<Report, Error> {
        for play in &self.playbook.plays {
            self.scope.start_play(play);
            let part = self.part;
            for task in play.tasks.iter().filter(|task| task.is_in(part)) {
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
            host: self.remote.endpoint().to_string(),
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

    /// Runs a task with all elements of its loop and records what became of it.
    async fn task(&mut self, play: &Play, task: &Task) -> Result<(), Error> {
        let started = Instant::now();
        let mut items = Vec::new();
        let mut is_loop = false;
        match self.elements(task) {
            Ok(Elements::One) => items.push(self.item(play, task, None).await?),
            Ok(Elements::Skipped) => items.push(Item::skipped(None)),
            Ok(Elements::Each(values)) => {
                is_loop = true;
                for value in values {
                    items.push(self.item(play, task, Some(value)).await?);
                }
            }
            Err(problem) => {
                let mut item = Item::failed(task, None, problem);
                item.result.shift_remove("changed");
                items.push(item);
            }
        }
        if let Some(name) = &task.register {
            self.scope.set(name, registered(is_loop, &items));
        }
        let report = task_report(play, task, &mut items, started.elapsed());
        let failure = items.into_iter().find_map(|item| item.problem);
        let failed = report.outcome == Outcome::Failed;
        if let Some(progress) = self.progress {
            progress(&report);
        }
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
            module: task.module.name.into(),
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
    fn elements(&mut self, task: &Task) -> Result<Elements, Problem> {
        let Some(template) = &task.items else {
            return Ok(Elements::One);
        };
        self.scope.start_item(task, None);
        match expression::evaluate(template, self.scope.variables()) {
            Ok(items) => elements(items).map(Elements::Each),
            Err(message) => match expression::holds(&task.when, self.scope.variables()) {
                Ok(false) => Ok(Elements::Skipped),
                _ => Err(Problem::new(message)),
            },
        }
    }

    /// One element: its condition, then the module as often as `until` or `retries` want.
    async fn item(&mut self, play: &Play, task: &Task, value: Option<Value>) -> Result<Item, Error> {
        self.scope.start_item(task, value.as_ref());
        match expression::holds(&task.when, self.scope.variables()) {
            Ok(true) => {}
            Ok(false) => return Ok(Item::skipped(value)),
            Err(message) => {
                return Ok(Item::failed(
                    task,
                    value,
                    Problem::new(format!("when: {message}")),
                ));
            }
        }
        let tries = task.tries();
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
            let shown = (tries > 1).then_some(attempt);
            let mut item = self.judge(task, result, value.as_ref(), shown);
            if tries <= 1 || item.done.skipped {
                return Ok(item);
            }
            let is_enough = match &task.until {
                Some(until) => expression::holds(until, self.scope.variables()),
                None => Ok(item.problem.is_none()),
            };
            match is_enough {
                Ok(true) => return Ok(item),
                Ok(false) if attempt >= tries => {
                    // Ansible counts the tries after the first, once they are used up.
                    let retries = Value::Int(i64::from(tries.saturating_sub(1)));
                    item.result.insert("attempts".to_owned(), retries);
                    let message = format!("until did not hold after {tries} tries");
                    return Ok(item.into_failed(task, message));
                }
                Ok(false) => {}
                Err(message) => {
                    return Ok(Item::failed(
                        task,
                        value,
                        Problem::new(format!("until: {message}")),
                    ));
                }
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
            // A parameter that is `omit` is not given.
            if value != Value::Omit {
                values.insert(name.clone(), value);
            }
        }
        let environment = Value::Map(task.environment.clone());
        let environment = match expression::evaluate(&environment, variables).map_err(Problem::new)? {
            Value::Map(entries) => entries,
            _ => Map::new(),
        };
        let wants_root = task.r#become.unwrap_or(play.r#become);
        let host = Host {
            remote: self.remote,
            sudo: wants_root && self.remote.endpoint().user != "root",
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

    /// From what the module says to what the task says: `changed_when`, then `failed_when` have the last word.
    fn judge(
        &mut self,
        task: &Task,
        result: Result<Done, Problem>,
        value: Option<&Value>,
        attempt: Option<u32>,
    ) -> Item {
        let (mut done, mut problem) = match result {
            Ok(done) => (done, None),
            Err(mut problem) => {
                let values = *std::mem::take(&mut problem.values);
                (
                    Done {
                        values,
                        changed: problem.changed,
                        ..Done::default()
                    },
                    Some(problem),
                )
            }
        };
        for (name, fact) in &done.facts {
            self.scope.set(name, fact.clone());
        }
        let mut changed = done.is_changed();
        let mut entries = item::result(&mut done, problem.as_ref());
        entries.extend(attempt.map(|attempt| ("attempts".to_owned(), Value::Int(i64::from(attempt)))));
        entries.extend(value.map(|value| ("item".to_owned(), value.clone())));
        self.scope.set_for_item(task, &entries);
        // A condition that cannot be evaluated fails the task, and the other one is not looked at. An empty list of
        // conditions says nothing.
        let given = |conditions: &Option<Vec<String>>| {
            conditions.clone().filter(|all| !all.is_empty() && !done.skipped)
        };
        let mut is_broken = false;
        if let Some(conditions) = given(&task.changed_when) {
            match expression::holds(&conditions, self.scope.variables()) {
                Ok(value) => changed = value,
                Err(message) => {
                    problem = Some(Problem::new(format!("changed_when: {message}")));
                    is_broken = true;
                }
            }
            entries.insert("changed".to_owned(), Value::Bool(changed));
            self.scope.set_for_item(task, &entries);
        }
        if let Some(conditions) = given(&task.failed_when).filter(|_| !is_broken) {
            problem = match expression::holds(&conditions, self.scope.variables()) {
                Ok(true) => Some(problem.unwrap_or_else(|| Problem::new("failed_when says so".to_owned()))),
                Ok(false) => None,
                Err(message) => Some(Problem::new(format!("failed_when: {message}"))),
            };
        }
        entries.insert("failed".to_owned(), Value::Bool(problem.is_some()));
        self.scope.set_for_item(task, &entries);
        let outcome = match (&problem, done.skipped) {
            (Some(_), _) => item::failure(task),
            (None, true) => Outcome::Skipped,
            (None, false) if changed => Outcome::Changed,
            (None, false) => Outcome::Ok,
        };
        Item {
            outcome,
            done,
            problem,
            result: entries,
        }
    }
}

#[cfg(test)]
mod tests;
