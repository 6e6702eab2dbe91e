//! What operators are told of hooks.

use std::{collections::BTreeSet, time::Duration};

use model::{BuilderId, Timestamp};
use serde_json::{Value, json};
use store::{HookRun, HookState};

/// For how long `fleet status` shows a failure.
pub(super) const SHOWN_FOR: Duration = Duration::from_secs(3600);

/// A run, for programs.
pub(super) fn as_json(run: &HookRun) -> Value {
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "builder": run.builder, "hook": run.point, "command": run.spec.cmd, "state": run.state, "attempt": run.attempt,
        "attempts": run.spec.attempts, "started_at": moment(run.started_at), "ended_at": moment(run.ended_at),
        "failed_at": moment(run.failed_at), "outcome": run.outcome, "tail": run.tail,
    })
}

/// A run that failed, in a line: its command, how it ended, and the last that it said.
pub(super) fn in_words(run: &HookRun) -> String {
    let is = match run.state {
        HookState::Waiting | HookState::Running => "fails",
        _ => "failed",
    };
    format!("hook {} {is}: {}: {}", run.point, run.spec.words(), end(run))
}

fn end(run: &HookRun) -> String {
    let outcome = run.outcome.as_deref().unwrap_or("nobody said how it ended");
    let last = run.tail.as_deref().and_then(|tail| tail.lines().last());
    match last {
        Some(line) => format!("{outcome} ({line})"),
        None => outcome.to_owned(),
    }
}

/// The last failure of a builder's hooks, of those that failed last first.
pub(super) fn last_of(runs: &[HookRun], builder: BuilderId) -> Option<&HookRun> {
    runs.iter()
        .filter(|run| run.builder == builder)
        .max_by_key(|run| run.failed_at)
        .filter(|run| run.failed_at.is_some())
}

/// What fails, of those that failed last first: a line for each command.
pub(super) fn failures(runs: &[HookRun]) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut lines = Vec::new();
    for run in runs {
        if !told.insert((run.point, &run.spec.cmd)) {
            continue;
        }
        let same = |it: &&HookRun| it.point == run.point && it.spec.cmd == run.spec.cmd;
        let builders: BTreeSet<BuilderId> = runs.iter().filter(same).map(|it| it.builder).collect();
        let of = match builders.len() {
            1 => format!("of {}", run.builder),
            count => format!("of {count} builders, the last one {}", run.builder),
        };
        let (point, command) = (run.point, run.spec.words());
        lines.push(format!("hook {point} {of}: {command}: {}", end(run)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use model::fleet::HookPoint;

    use super::{
        super::testing::{NOW, id},
        *,
    };

    fn run(builder: u32, seconds_ago: Option<u64>, command: &[&str]) -> HookRun {
        HookRun {
            id: uuid::Uuid::nil(),
            builder: id(builder),
            point: HookPoint::AfterTerminate,
            place: 0,
            spec: serde_json::from_value(json!({"cmd": command})).unwrap(),
            state: HookState::Failed,
            attempt: 3,
            due_at: NOW,
            started_at: None,
            ended_at: None,
            failed_at: seconds_ago.map(|ago| NOW.minus(Duration::from_secs(ago))),
            outcome: Some("exit code 1".to_owned()),
            tail: Some("first\nno such account".to_owned()),
        }
    }

    #[test]
    fn a_command_that_fails_for_many_builders_is_told_once() {
        let runs = [
            run(2, Some(5), &["/a", "-v"]),
            run(1, Some(9), &["/a", "-v"]),
            run(1, Some(10), &["/b"]),
        ];
        let [one, two] = [id(1), id(2)];
        assert_eq!(
            failures(&runs),
            [
                format!(
                    "hook after_terminate of 2 builders, the last one {two}: /a -v: exit code 1 (no such account)"
                ),
                format!("hook after_terminate of {one}: /b: exit code 1 (no such account)"),
            ]
        );
        assert_eq!(last_of(&runs, one), Some(&runs[1]));
        assert_eq!(last_of(&runs, id(3)), None);
        assert_eq!(last_of(&[run(1, None, &["/a"])], one), None, "it has not failed");
    }

    #[test]
    fn a_failure_is_told_with_its_command_and_its_end() {
        let mut it = run(1, Some(1), &["/a"]);
        let words = "hook after_terminate failed: /a: exit code 1 (no such account)";
        assert_eq!(in_words(&it), words);
        it.state = HookState::Waiting;
        (it.outcome, it.tail) = (None, None);
        let words = "hook after_terminate fails: /a: nobody said how it ended";
        assert_eq!(in_words(&it), words);
        let json = as_json(&it);
        assert_eq!(
            (&json["hook"], &json["state"], &json["command"]),
            (&json!("after_terminate"), &json!("waiting"), &json!(["/a"]))
        );
        assert_eq!(json["failed_at"], "2026-11-29T11:59:59Z");
    }
}
