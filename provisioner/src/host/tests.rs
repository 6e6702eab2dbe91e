//! What a task asks of the machine, and what becomes of what the machine answers.

pub(crate) mod fake;
pub(crate) mod here;

use std::time::Duration;

use shell::{Command, Exit};
use tokio::time::Instant;

use super::*;
use fake::{Fake, lost, output};

fn host(remote: &Fake) -> Host<'_> {
    Host {
        remote,
        sudo: false,
        check: false,
        deadline: Instant::now() + Duration::from_secs(1000),
        limit: Duration::from_secs(60),
    }
}

fn problem(failure: Failure) -> Problem {
    match failure {
        Failure::Problem(problem) => *problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_script_is_told_whether_it_only_checks_and_its_changes_are_read() {
    for (check, word) in [(false, "0"), (true, "1")] {
        let fake = Fake::new([output(
            0,
            "changed mode 644 -> 600\nnoise\ndest /a b\nchanged owner\n",
            "",
        )]);
        let host = Host { check, ..host(&fake) };
        let lines = host
            .script("file", "text", &["a b", ""], b"in".to_vec())
            .await
            .expect("lines");
        assert_eq!(lines.changes(), ["mode 644 -> 600", "owner"]);
        assert_eq!((lines.after("dest"), lines.after("des")), (Some("/a b"), None));
        assert_eq!(fake.asked(), [format!("[file] {word} 'a b' '' <in")]);
    }
}

#[tokio::test]
async fn a_script_that_fails_is_no_result_of_the_playbooks() {
    let fake = Fake::new([output(64, "changed x\n", "there is no user x\n")]);
    let failure = host(&fake).script("user", "text", &[], Vec::new()).await.err();
    let problem = problem(failure.expect("a failure"));
    assert_eq!(problem.message, "the module's script failed");
    assert_eq!(
        (problem.status, problem.stderr.as_str()),
        (Some(64), "there is no user x")
    );
    assert!(problem.values.is_empty(), "{:?}", problem.values);
}

#[tokio::test]
async fn sudo_goes_before_the_whole_command() {
    let fake = Fake::new([output(0, "", "")]);
    let host = Host {
        sudo: true,
        ..host(&fake)
    };
    let command = Command::new("id").environment("A", "b c");
    host.run(command, Vec::new()).await.expect("an output");
    assert_eq!(fake.asked(), ["sudo -n -- env 'A=b c' id"]);
}

#[tokio::test]
async fn a_command_may_take_what_is_left_of_the_run_at_most() {
    for (limit, left, expected) in [(60, 1000, 60), (600, 90, 90)] {
        let fake = Fake::new([output(0, "", "")]);
        let host = Host {
            deadline: Instant::now() + Duration::from_secs(left),
            limit: Duration::from_secs(limit),
            ..host(&fake)
        };
        host.run(Command::new("true"), Vec::new())
            .await
            .expect("an output");
        let got = fake.limits()[0].as_secs_f64();
        assert!(
            (f64::from(expected) - got).abs() < 1.0,
            "{got} s for {limit} and {left}"
        );
    }
}

#[tokio::test]
async fn nothing_is_asked_once_the_time_of_the_run_is_over() {
    let fake = Fake::new([]);
    let host = Host {
        deadline: Instant::now(),
        ..host(&fake)
    };
    let failure = host.run(Command::new("true"), Vec::new()).await.err();
    assert!(matches!(failure, Some(Failure::Deadline)), "{failure:?}");
    assert!(fake.asked().is_empty());
}

fn timeout() -> shell::Error {
    shell::Error::Timeout {
        what: "x".to_owned(),
        limit: Duration::from_secs(60),
        bytes_received: 0,
    }
}

#[tokio::test]
async fn a_limit_that_passes_is_the_tasks_fault_unless_it_is_that_of_the_run() {
    let fake = Fake::new([Err(timeout())]);
    let failure = host(&fake).run(Command::new("x"), Vec::new()).await.err();
    assert_eq!(
        problem(failure.expect("late")).message,
        "it did not end within 60 s"
    );

    let fake = Fake::new([Err(timeout())]);
    let host = Host {
        deadline: Instant::now() + Duration::from_secs(1),
        ..host(&fake)
    };
    let failure = host.run(Command::new("x"), Vec::new()).await.err();
    assert!(matches!(failure, Some(Failure::Deadline)), "{failure:?}");
}

#[tokio::test]
async fn an_end_without_a_status_is_a_lost_connection_and_never_a_result() {
    let fake = Fake::new([lost("half of it")]);
    let failure = host(&fake)
        .run(Command::new("x").labelled("the label"), Vec::new())
        .await
        .err();
    let Some(Failure::Connection(error)) = failure else {
        panic!("{failure:?}")
    };
    assert_eq!(
        error.to_string(),
        "the connection was lost during the label, 0 bytes received: no exit status came"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_the_tasks_fault_and_all_else_the_connections() {
    let refused = shell::Error::Refused {
        what: "a channel".to_owned(),
        why: "too many".to_owned(),
    };
    let fake = Fake::new([Err(refused)]);
    let failure = host(&fake).run(Command::new("x"), Vec::new()).await.err();
    assert!(
        matches!(failure, Some(Failure::Connection(shell::Error::Refused { .. }))),
        "{failure:?}"
    );
    let fake = Fake::new([]);
    let failure = host(&fake)
        .run(Command::new("x").argument("\0"), Vec::new())
        .await
        .err();
    assert_eq!(
        problem(failure.expect("refused")).message,
        "the command x is not usable: an argument or variable holds a NUL byte"
    );
}

#[tokio::test]
async fn a_command_that_a_signal_ended_is_a_result() {
    let killed = Output {
        exit: Exit::Signal("KILL".to_owned()),
        stdout: Vec::new(),
        stderr: Vec::new(),
        truncated: false,
    };
    let fake = Fake::new([Ok(killed)]);
    let output = host(&fake)
        .run(Command::new("x"), Vec::new())
        .await
        .expect("a result");
    assert_eq!(output.exit, Exit::Signal("KILL".to_owned()));
}
