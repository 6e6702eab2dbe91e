//! assert, debug, fail, set_fact and wait_for.

use std::time::Duration;

use crate::host::tests::fake::{Fake, output};
use crate::host::tests::here::{Here, play};
use crate::report::{Mode, Outcome};

/// How the last of the tasks ends, and what it says. None of them asks the machine anything.
async fn said(tasks: &str) -> (Outcome, String) {
    let report = play(
        &Fake::new([]),
        &format!("{tasks}\n  ignore_errors: true"),
        Mode::Apply,
    )
    .await;
    let mut report = report.unwrap_or_else(|error| panic!("{tasks}\n{error}"));
    let last = report.tasks.pop().expect("a task");
    (last.outcome, last.message.unwrap_or_default())
}

#[tokio::test]
async fn what_modules_say_that_only_look_and_decide() {
    let cases = [
        ("- debug: {}", Outcome::Ok, "Hello world!"),
        ("- debug: { msg: [1, \"{{ 2 }}\"] }", Outcome::Ok, "[1,2]"),
        ("- debug: { msg: null }", Outcome::Ok, "null"),
        (
            "- debug: { var: false }",
            Outcome::Ignored,
            "the parameter var of debug is false, expected text",
        ),
        ("- debug: { var: 1 + 1 }", Outcome::Ok, "1 + 1: 2"),
        (
            "- debug: { var: x.y }",
            Outcome::Ok,
            "x.y: \"`x.y`: `x` is undefined\"",
        ),
        ("- assert: { that: 1 == 1 }", Outcome::Ok, "All assertions passed"),
        ("- assert: { that: [], success_msg: fine }", Outcome::Ok, "fine"),
        (
            "- assert: { that: [1 == 1, 1 == 2, 1 == 3] }",
            Outcome::Ignored,
            "Assertion failed (`1 == 2` does not hold)",
        ),
        (
            "- assert: { that: false, fail_msg: no }",
            Outcome::Ignored,
            "no (`false` does not hold)",
        ),
        (
            "- assert: { that: \"'x'\" }",
            Outcome::Ignored,
            "`'x'` is text, not true or false: write a comparison, or `| bool`",
        ),
        ("- fail: {}", Outcome::Ignored, "Failed as requested from task"),
        ("- fail: { msg: \"{{ 1 + 1 }}\" }", Outcome::Ignored, "2"),
        ("- fail: { msg: [a, 1] }", Outcome::Ignored, "[\"a\",1]"),
        (
            "- assert: { that: true, success_msg: [a, b] }",
            Outcome::Ok,
            "[\"a\",\"b\"]",
        ),
        (
            "- assert: { that: false, fail_msg: [a, 1] }",
            Outcome::Ignored,
            "the parameter fail_msg of assert is [\"a\",1], expected text",
        ),
        ("- set_fact: {}", Outcome::Ignored, "set_fact sets nothing"),
        (
            "- set_fact: { a: \"{{ [1] }}\", b: text }\n- debug: { msg: \"{{ a }} {{ b }}\" }",
            Outcome::Ok,
            "[1] text",
        ),
    ];
    for (tasks, outcome, message) in cases {
        assert_eq!(said(tasks).await, (outcome, message.to_owned()), "{tasks}");
    }
}

#[tokio::test]
async fn a_failed_assertion_names_the_first_condition_that_does_not_hold() {
    let task = "- assert: { that: [1 == 1, n == 2, 1 == 3], fail_msg: Wrong }\n  vars: { n: 1 }";
    let error = play(&Fake::new([]), task, Mode::Apply)
        .await
        .expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"assert\" (p.yml:5): assert failed: Wrong (`n == 2` does not hold)"
    );
}

#[tokio::test]
async fn waiting_is_asked_for_with_all_its_numbers_and_patience() {
    let cases = [
        ("path: /x", "[wait_for] 0 started /x 0 300 1 0", 600),
        (
            "port: 22, host: localhost, state: stopped",
            "[wait_for] 0 absent '' 22 300 1 0",
            600,
        ),
        (
            "path: /x, state: absent, timeout: 3000, sleep: 5, delay: 10",
            "[wait_for] 0 absent /x 0 3000 5 10",
            3040,
        ),
    ];
    for (parameters, expected, seconds) in cases {
        let fake = Fake::new([output(0, "", "")]);
        let text =
            format!("- hosts: all\n  gather_facts: false\n  tasks:\n  - wait_for: {{ {parameters} }}\n");
        let limit = Duration::from_secs(100_000);
        let report = crate::host::tests::here::play_whole(&fake, &text, Mode::Apply, limit).await;
        assert_eq!(report.expect("ran").changed(), 0);
        assert_eq!(fake.asked(), [expected]);
        assert_eq!(fake.limits(), [Duration::from_secs(seconds)], "{parameters}");
    }
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_refused() {
    const EITHER: &str = "wait_for needs either path or port";
    let cases = [
        ("{}", EITHER),
        ("{ path: /x, port: 22 }", EITHER),
        ("{ port: 0 }", EITHER),
        (
            "{ port: 65536 }",
            "the parameter port of wait_for is 65536, expected a whole number from 0 to 65535",
        ),
        (
            "{ port: ssh }",
            "the parameter port of wait_for is \"ssh\", expected a whole number from 0 to 65535",
        ),
        (
            "{ path: /x, timeout: \"18446744073709551615\" }",
            "the parameter timeout of wait_for is \"18446744073709551615\", expected a whole number from 0 to 86400",
        ),
        (
            "{ path: /x, timeout: -1 }",
            "the parameter timeout of wait_for is -1, expected a whole number from 0 to 86400",
        ),
        (
            "{ port: 22, host: example.com }",
            "wait_for looks at ports of the host itself only",
        ),
        (
            "{ path: /x, state: drained }",
            "the parameter state of wait_for is \"drained\", expected started, present, absent, stopped",
        ),
    ];
    for (parameters, expected) in cases {
        let task = format!("- wait_for: {parameters}");
        assert_eq!(
            said(&task).await,
            (Outcome::Ignored, expected.to_owned()),
            "{task}"
        );
    }
}

#[tokio::test]
async fn waiting_ends_when_the_path_comes_or_goes_and_says_what_did_not() {
    let here = Here::new();
    here.write("there", "");
    for parameters in [
        "path: ~/there",
        "path: ~/there, state: present",
        "path: ~/none, state: absent",
        "path: ~/none, state: stopped",
    ] {
        let task = format!("- wait_for: {{ {parameters}, timeout: 0 }}");
        assert!(here.changes(&task, Mode::Apply).await.is_empty(), "{task}");
    }
    for (parameters, expected) in [
        ("path: ~/none", "~/none was not started within 0 s"),
        (
            "path: ~/there, state: absent",
            "~/there was not absent within 0 s",
        ),
        ("port: 1", "port 1 was not started within 0 s"),
    ] {
        let text = here
            .failure(&format!("- wait_for: {{ {parameters}, timeout: 0 }}"))
            .await;
        assert_eq!(text, format!("the module's script failed\n{expected}"));
    }
    // It comes while it is waited for.
    here.program("sleep", "[ \"$1\" = 0 ] || : >\"${CALLS%/*}/files/late\"");
    let task = "- wait_for: { path: ~/late, timeout: 5 }";
    assert!(here.changes(task, Mode::Apply).await.is_empty());
    assert!(here.path("late").exists());
}

#[tokio::test]
async fn a_port_that_is_listened_on_is_found() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let here = Here::new();
    let task = format!("- wait_for: {{ port: {port}, timeout: 0 }}");
    assert!(here.changes(&task, Mode::Apply).await.is_empty());
    drop(listener);
    let task = format!("- wait_for: {{ port: {port}, state: stopped, timeout: 5 }}");
    assert!(here.changes(&task, Mode::Apply).await.is_empty());
}
