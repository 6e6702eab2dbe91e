use std::error::Error as _;

use super::*;
use crate::Mode;

const PLACE: &str = "play \"P\", task \"T\" (p.yml:7)";

fn mistake(line: u64, message: &str) -> Mistake {
    Mistake {
        file: "a.yml".to_owned(),
        line,
        column: 3,
        message: message.to_owned(),
    }
}

fn failed(status: Option<i64>, stderr: &str) -> Error {
    let report = Report {
        playbook: "p.yml".to_owned(),
        host: "root@h:22".to_owned(),
        mode: Mode::Apply,
        tasks: Vec::new(),
        duration: Duration::ZERO,
    };
    Error::TaskFailed(Box::new(TaskFailure {
        place: PLACE.to_owned(),
        module: "copy".into(),
        message: "no room".to_owned(),
        status,
        stderr: stderr.to_owned(),
        report,
    }))
}

fn unknown(known: &[&str]) -> Error {
    Error::UnknownPlaybook {
        name: "c.yml".to_owned(),
        known: known.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn every_error_names_what_and_where() {
    let file = Error::File {
        path: "/x/y".into(),
        why: "it cannot be read",
        cause: std::io::ErrorKind::NotFound.into(),
    };
    let late = Error::Deadline {
        place: PLACE.to_owned(),
        limit: Duration::from_secs(90),
    };
    let cases = [
        (
            Error::Mistakes(vec![mistake(2, "one"), mistake(0, "two")]),
            "a.yml:2:3: one\na.yml: two".to_owned(),
        ),
        (file, "/x/y cannot be used: it cannot be read".to_owned()),
        (
            unknown(&["a.yml", "b.yml"]),
            "there is no playbook \"c.yml\"; there are a.yml, b.yml".to_owned(),
        ),
        (
            unknown(&[]),
            "there is no playbook \"c.yml\"; there are none".to_owned(),
        ),
        (
            failed(Some(7), "line 1\nline 2"),
            format!("{PLACE}: copy failed: no room (status 7)\nline 1\nline 2"),
        ),
        (failed(None, ""), format!("{PLACE}: copy failed: no room")),
        (late, format!("{PLACE}: the playbook did not end within 90s")),
    ];
    for (error, expected) in cases {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_cause_is_kept_for_the_log() {
    let error = Error::Connection {
        place: "play \"P\"".to_owned(),
        cause: shell::Error::Refused {
            what: "a channel".to_owned(),
            why: "too many".to_owned(),
        },
    };
    assert_eq!(error.to_string(), "play \"P\": the connection failed");
    let cause = error.source().expect("a cause").to_string();
    assert_eq!(cause, "the server refuses a channel: too many");
}

#[test]
fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
    let known = ["copy", "command", "file"];
    for (word, expected) in [
        ("copi", "; did you mean \"copy\"?"),
        ("comand", "; did you mean \"command\"?"),
        ("debug", ""),
        ("", ""),
    ] {
        assert_eq!(suggestion(word, known), expected, "{word}");
    }
}
