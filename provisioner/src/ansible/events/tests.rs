use serde_json::{Value, json};

use super::*;

fn line(event: &str, more: Value) -> String {
    let mut line = json!({
        "event": event, "play": "P", "task": "T", "path": "/tmp/x/playbooks/p.yml:7", "module": "ansible.builtin.copy",
    });
    let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) else {
        panic!("no objects");
    };
    line.extend(more.clone());
    Value::Object(line.clone()).to_string()
}

#[test]
fn a_task_is_what_its_last_line_says() {
    let mut events = Events::of("/tmp/x/playbooks");
    assert!(events.take("[WARNING]: not ours").is_none());
    assert!(events.take("{\"event\": \"begin\"}").is_none());
    assert_eq!(events.place, None);
    assert!(events.take(&line("begin", json!({}))).is_none());
    assert_eq!(events.place.as_deref(), Some("play \"P\", task \"T\" (p.yml:7)"));
    let ended =
        json!({ "outcome": "changed", "message": "", "diff": "--- a\n", "seconds": 0.25, "status": null });
    let task = events.take(&line("end", ended)).expect("a task").clone();
    assert_eq!(
        (task.play.as_str(), task.name.as_str(), task.line, &*task.module),
        ("P", "T", 7, "copy")
    );
    assert_eq!(
        (task.outcome, task.message, task.diff.as_deref()),
        (Outcome::Changed, None, Some("--- a\n"))
    );
    assert_eq!(task.duration, Duration::from_millis(250));
    assert_eq!((events.tasks.len(), &events.failed), (1, &None));
    for (word, expected) in [
        ("ok", Outcome::Ok),
        ("skipped", Outcome::Skipped),
        ("ignored", Outcome::Ignored),
        ("failed", Outcome::Failed),
        ("unreachable", Outcome::Failed),
    ] {
        let task = events
            .take(&line("end", json!({ "outcome": word })))
            .expect("a task");
        assert_eq!(task.outcome, expected);
        let failed = events.failed.as_ref().map(|failed| failed.is_unreachable);
        assert_eq!(failed.is_some(), expected == Outcome::Failed, "{word}");
        assert_eq!(failed == Some(true), word == "unreachable");
    }
    assert!(events.take(&line("end", json!({ "outcome": "odd" }))).is_none());
}

#[test]
fn a_play_for_other_machines_is_known_by_its_name() {
    let mut events = Events::of("/tmp/x/playbooks");
    assert_eq!(events.not_for_us, None);
    assert!(events.take(&line("nobody", json!({}))).is_none());
    assert_eq!((events.not_for_us.as_deref(), events.place), (Some("P"), None));
}

#[test]
fn a_failure_is_one_readable_line() {
    let long = "x".repeat(MAX_LINE + 9);
    for (message, stderr, expected) in [
        (
            "non-zero return code",
            "one\ncannot do it\n\n",
            "non-zero return code: cannot do it",
        ),
        ("cannot do it, sorry", "cannot do it", "cannot do it, sorry"),
        ("one\n  two\n\nthree", "", "one; two; three"),
        ("", "only here\n", "only here"),
        ("", "", "it says nothing"),
        ("a\u{1b}[31mb", "", "a [31mb"),
        (&long, "", &format!("{}…", &"x".repeat(MAX_LINE))),
    ] {
        let failed = Failed {
            place: String::new(),
            module: "command".to_owned(),
            message: message.to_owned(),
            status: Some(1),
            stderr: stderr.to_owned(),
            is_unreachable: false,
        };
        assert_eq!(failed.words(), expected, "{message:?} {stderr:?}");
    }
}
