//! What is shown of a run: a line for each task as soon as it has ended, or one JSON document at the end.

use std::{
    process::ExitCode,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use provisioner::{Error, Mode, Outcome, Report, TaskReport};
use runtime::supervisor::error_chain;
use serde_json::{Value, json};

use super::{Arguments, Wanted};
use crate::{say, without_numbers};

/// A run that began well and did not end well.
const FAILED: u8 = 3;

/// A run that is being shown.
pub(super) struct Shown {
    as_json: bool,
    with_diffs: bool,
    begun: Instant,
    /// What ended until now, with the playbook, the machine and the mode.
    report: Mutex<Report>,
}

impl Shown {
    pub(super) fn begin(arguments: &Arguments, wanted: &Wanted) -> Self {
        Self {
            as_json: arguments.json,
            with_diffs: arguments.diff,
            begun: Instant::now(),
            report: Mutex::new(Report {
                playbook: wanted.playbook.clone(),
                host: wanted.target.endpoint.to_string(),
                mode: wanted.mode,
                tasks: Vec::new(),
                duration: std::time::Duration::ZERO,
            }),
        }
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a task has ended.
    pub(super) fn has_begun(&self) -> bool {
        !self.report().tasks.is_empty()
    }

    /// Takes a task that has ended.
    pub(super) fn task(&self, task: &TaskReport) {
        let mut task = task.clone();
        if !self.with_diffs {
            task.diff = None;
        }
        let mut report = self.report();
        if !self.as_json {
            if report.tasks.last().is_none_or(|last| last.play != task.play) {
                say(&format!("PLAY [{}]", task.play));
            }
            say(&task.to_string());
        }
        report.tasks.push(task);
    }

    /// Says how it all ended.
    pub(super) fn end(&self, played: &Result<Report, Error>) {
        self.last_words(played.as_ref().err().map(words).as_deref());
    }

    /// Says that it was given up before its end; the status for that.
    pub(super) fn interrupted(&self) -> ExitCode {
        self.last_words(Some("interrupted: the machine may be changed in part"));
        ExitCode::from(FAILED)
    }

    fn last_words(&self, error: Option<&str>) {
        let mut report = self.report();
        report.duration = self.begun.elapsed();
        if self.as_json {
            let document = document(&report, error);
            say(&format!("{document:#}"));
            return;
        }
        if let Some(error) = error {
            say(error);
        }
        // A machine that was not reached has nothing to count.
        if error.is_none() || !report.tasks.is_empty() {
            say(&report.recap());
        }
    }
}

/// Why a run did not go well.
fn words(error: &Error) -> String {
    match error {
        Error::Unreachable(shell::Error::HostKeyMismatch { .. }) => {
            format!("{error}: it is another machine, or was made anew. Nothing was done there")
        }
        error => without_numbers(&error_chain(error)),
    }
}

/// The status that the command ends with.
pub(super) fn code(played: &Result<Report, Error>, has_begun: bool) -> ExitCode {
    match played {
        Ok(_) => ExitCode::SUCCESS,
        Err(Error::TaskFailed(_) | Error::Connection { .. } | Error::Deadline { .. }) => {
            ExitCode::from(FAILED)
        }
        Err(Error::Ansible(_)) if has_begun => ExitCode::from(FAILED),
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is printed where nothing could be played at all.
pub(super) fn refusal(error: &anyhow::Error) {
    let words = without_numbers(&format!("{error:#}"));
    say(&format!("{:#}", json!({ "error": words })));
}

fn document(report: &Report, error: Option<&str>) -> Value {
    let tasks = report.tasks.iter().map(|task| {
        json!({
            "play": task.play, "name": task.name, "line": task.line, "module": task.module,
            "outcome": task.outcome.to_string(), "changes": task.changes, "message": task.message, "diff": task.diff,
            "seconds": task.duration.as_secs_f64(),
        })
    });
    json!({
        "playbook": report.playbook, "host": report.host, "check": report.mode == Mode::Check,
        "ok": report.count(Outcome::Ok) + report.changed(), "changed": report.changed(),
        "skipped": report.count(Outcome::Skipped), "failed": report.count(Outcome::Failed),
        "ignored": report.count(Outcome::Ignored), "seconds": report.duration.as_secs_f64(),
        "tasks": tasks.collect::<Vec<Value>>(), "error": error,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use provisioner::{Error, Mode, Outcome, Report, TaskReport};
    use serde_json::json;

    use super::{ExitCode, code, document, words};

    fn report(outcomes: &[Outcome]) -> Report {
        let task = |outcome: &Outcome| TaskReport {
            play: "P".to_owned(),
            name: "T".to_owned(),
            line: 4,
            module: "copy".into(),
            outcome: *outcome,
            changes: vec!["mode 644 -> 600".to_owned()],
            message: None,
            diff: Some("+x\n".to_owned()),
            duration: Duration::from_millis(250),
        };
        Report {
            playbook: "p.yml".to_owned(),
            host: "root@h:22".to_owned(),
            mode: Mode::Check,
            tasks: outcomes.iter().map(task).collect(),
            duration: Duration::from_millis(1500),
        }
    }

    #[test]
    fn a_document_counts_as_a_recap_does() {
        use Outcome::{Changed, Failed, Ignored, Ok, Skipped};
        let document = document(
            &report(&[Ok, Changed, Changed, Skipped, Ignored, Failed]),
            Some("why"),
        );
        let counts = ["ok", "changed", "skipped", "failed", "ignored"].map(|name| document[name].clone());
        assert_eq!(counts, [3, 2, 1, 1, 1].map(|count| json!(count)));
        assert_eq!(document["check"], true);
        assert_eq!(document["error"], "why");
        let expected = json!({
            "play": "P", "name": "T", "line": 4, "module": "copy", "outcome": "changed",
            "changes": ["mode 644 -> 600"], "message": null, "diff": "+x\n", "seconds": 0.25,
        });
        assert_eq!(document["tasks"][1], expected);
    }

    #[test]
    fn a_status_tells_whether_the_machine_may_be_changed() {
        let place = || "play \"P\", task \"T\" (p.yml:4)".to_owned();
        let stranger = || shell::Error::HostKeyMismatch {
            endpoint: "root@h:22".to_owned(),
            expected: "SHA256:a".to_owned(),
            got: "SHA256:b".to_owned(),
        };
        let (good, refused, broken) = (ExitCode::SUCCESS, ExitCode::FAILURE, ExitCode::from(3));
        for (played, expected) in [
            (Ok(report(&[])), good),
            (Err(Error::Unreachable(stranger())), refused),
            (Err(Error::Mistakes(Vec::new())), refused),
            (
                Err(Error::Deadline {
                    place: place(),
                    limit: Duration::from_secs(1),
                }),
                broken,
            ),
            (
                Err(Error::Connection {
                    place: place(),
                    cause: stranger(),
                }),
                broken,
            ),
        ] {
            assert_eq!(code(&played, false), expected, "{played:?}");
        }
        let odd = || Err(Error::Ansible("odd".to_owned()));
        assert_eq!((code(&odd(), false), code(&odd(), true)), (refused, broken));
        let said = words(&Error::Unreachable(stranger()));
        assert!(
            said.starts_with(
                "root@h:22 shows the host key SHA256:b, expected SHA256:a: it is another machine"
            ),
            "{said}"
        );
    }
}
