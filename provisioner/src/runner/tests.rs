//! What becomes of tasks: conditions, loops, tries, results and failures, on a machine that gives prepared answers.

mod order;
mod parts;
mod results;

use std::time::Duration;

use crate::error::Error;
use crate::host::tests::fake::{Fake, lost, output};
use crate::host::tests::here::{play, play_whole};
use crate::report::{Mode, Outcome, Report};

/// The machine's answers to commands, by their status alone.
fn statuses(statuses: &[u32]) -> Fake {
    Fake::new(statuses.iter().map(|status| output(*status, "", "")))
}

/// How each task ended, and what it says.
fn told(report: &Report) -> Vec<String> {
    let tasks = report.tasks.iter();
    tasks
        .map(|task| match &task.message {
            Some(message) => format!("{}: {message}", task.outcome),
            None => task.outcome.to_string(),
        })
        .collect()
}

#[tokio::test]
async fn sudo_is_used_where_it_is_wished_and_never_by_root() {
    let cases = [
        ("root", "true", "", false),
        ("admin", "true", "", true),
        ("admin", "false", "", false),
        ("admin", "true", "become: false", false),
        ("admin", "false", "become: true", true),
    ];
    for (user, whole, task, expected) in cases {
        let fake = statuses(&[0]).of_user(user);
        let text = format!(
            "- hosts: all\n  gather_facts: false\n  become: {whole}\n  tasks:\n  - command: id\n    {task}\n"
        );
        play_whole(&fake, &text, Mode::Apply, Duration::from_secs(60))
            .await
            .expect("ran");
        let has_sudo = fake.asked()[0].starts_with("sudo -n -- ");
        assert_eq!(has_sudo, expected, "{user}, become: {whole}, {task:?}");
    }
}

#[tokio::test]
async fn a_task_is_tried_until_it_is_well_and_no_more_often_than_permitted() {
    let task =
        |rest: &str| format!("- command: x\n  register: r\n  delay: 0\n  ignore_errors: true\n  {rest}");
    let cases: &[(&str, &[u32], &str)] = &[
        ("retries: 3", &[0], "changed"),
        ("retries: 3", &[1, 1, 0], "changed"),
        ("retries: 2", &[1, 2, 3], "ignored: non-zero return code"),
        ("until: r.rc == 0", &[1, 1, 1, 0], "changed"),
        ("until: r.rc == 0", &[1, 1, 1, 1], "ignored: non-zero return code"),
        // What until asks for decides, not whether the command went well.
        ("until: r.rc == 3", &[0, 3], "ignored: non-zero return code"),
        (
            "until: r.rc == 3\n  failed_when: false\n  retries: 1",
            &[0, 3],
            "changed",
        ),
        ("until: r.attempts == 2", &[0, 0], "changed"),
        (
            "until: r.none == 2",
            &[0],
            "ignored: until: `r.none == 2`: a mapping has no member `none`",
        ),
    ];
    for (rest, answers, expected) in cases {
        let fake = statuses(answers);
        let report = play(&fake, &task(rest), Mode::Apply).await.expect("ran");
        assert_eq!(told(&report), [*expected], "{rest}");
        assert_eq!(fake.asked().len(), answers.len(), "{rest}");
    }
}

#[tokio::test]
async fn what_never_came_true_is_said_with_the_number_of_tries() {
    let error = play(
        &statuses(&[0, 0]),
        "- name: Wait\n  command: x\n  register: r\n  until: r.rc == 7\n  retries: 1\n  delay: 0",
        Mode::Apply,
    )
    .await
    .expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"Wait\" (p.yml:5): command failed: until did not hold after 2 tries (status 0)"
    );
}

#[tokio::test]
async fn a_pause_that_would_outlast_the_run_is_not_begun() {
    let text =
        "- hosts: all\n  gather_facts: false\n  tasks:\n  - command: x\n    retries: 5\n    delay: 600\n";
    let limit = Duration::from_secs(60);
    let fake = statuses(&[1]);
    let run = play_whole(&fake, text, Mode::Apply, limit);
    let error = tokio::time::timeout(Duration::from_secs(20), run).await;
    assert_eq!(
        error.expect("at once").expect_err("too late").to_string(),
        "play \"\", task \"command\" (p.yml:4): the playbook did not end within 60s"
    );
}

#[tokio::test]
async fn a_lost_connection_ends_the_run_whatever_the_task_says() {
    let fake = Fake::new([output(0, "", ""), lost("")]);
    let tasks = "- command: a\n- name: Second\n  command: b\n  ignore_errors: true\n  failed_when: false\n  retries: 5\n- command: c";
    let error = play(&fake, tasks, Mode::Apply).await.expect_err("lost");
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"Second\" (p.yml:6): the connection failed"
    );
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn what_follows_from_how_a_task_ends() {
    let cases: &[(&str, &[u32], &[&str])] = &[
        ("- command: a\n- command: b", &[0, 0], &["changed", "changed"]),
        (
            "- command: a\n  ignore_errors: true\n- debug: { msg: on }",
            &[3],
            &["ignored: non-zero return code", "ok: on"],
        ),
        ("- command: a\n  changed_when: false", &[0], &["ok"]),
        (
            "- command: a\n  register: r\n  changed_when: r.rc == 0",
            &[0],
            &["changed"],
        ),
        (
            "- command: a\n  register: r\n  failed_when: r.rc > 3",
            &[3],
            &["changed"],
        ),
        (
            "- command: a\n  failed_when: [true, true]\n  ignore_errors: true",
            &[0],
            &["ignored: failed_when says so"],
        ),
        ("- command: a\n  failed_when: [true, false]", &[0], &["changed"]),
        (
            "- command: a\n  changed_when: nope\n  failed_when: false\n  ignore_errors: true",
            &[0],
            &["ignored: changed_when: `nope` is undefined"],
        ),
        (
            "- command: a\n  failed_when: nope\n  ignore_errors: true",
            &[0],
            &["ignored: failed_when: `nope` is undefined"],
        ),
        (
            "- command: a\n  when: nope\n  ignore_errors: true",
            &[],
            &["ignored: when: `nope` is undefined"],
        ),
        ("- command: a\n  when: [true, 1 == 2, nope]", &[], &["skipped"]),
        (
            "- command: a\n  when: \"'yes'\"\n  ignore_errors: true",
            &[],
            &["ignored: when: `'yes'` is text, not true or false: write a comparison, or `| bool`"],
        ),
        (
            "- command: \"{{ nope }}\"\n  ignore_errors: true",
            &[],
            &["ignored: `{{ nope }}`: `nope` is undefined"],
        ),
        (
            "- command: { cmd: a, stdin: \"{{ nope | default(omit) }}\" }",
            &[0],
            &["changed"],
        ),
    ];
    for (tasks, answers, expected) in cases {
        let fake = statuses(answers);
        let report = play(&fake, tasks, Mode::Apply).await;
        let report = report.unwrap_or_else(|error| panic!("{tasks}\n{error}"));
        assert_eq!(told(&report), *expected, "{tasks}");
        assert_eq!(fake.asked().len(), answers.len(), "{tasks}");
    }
}

#[tokio::test]
async fn a_failed_task_ends_the_run_with_what_was_done_until_then() {
    let answers = [
        output(0, "", ""),
        output(9, "out", &format!("{}the end\n", "x".repeat(3000))),
    ];
    let fake = Fake::new(answers);
    let tasks = "- command: a\n- name: Second\n  command: b\n- command: c";
    let error = play(&fake, tasks, Mode::Apply).await.expect_err("it fails");
    let Error::TaskFailed(failure) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (
            failure.place.as_str(),
            &*failure.module,
            failure.message.as_str(),
            failure.status
        ),
        (
            "play \"P\", task \"Second\" (p.yml:6)",
            "command",
            "non-zero return code",
            Some(9)
        )
    );
    assert_eq!(failure.stderr.len(), 2000);
    assert!(failure.stderr.ends_with("xthe end"), "{}", failure.stderr);
    assert_eq!(told(&failure.report), ["changed", "failed: non-zero return code"]);
}

#[tokio::test]
async fn no_log_hides_words_and_keeps_the_status() {
    let fake = Fake::new([output(9, "secret", "secret")]);
    let tasks = "- command: { cmd: login, stdin: secret }\n  no_log: true\n  register: r";
    let error = play(&fake, tasks, Mode::Apply).await.expect_err("it fails");
    assert_eq!(
        error.to_string(),
        "play \"P\", task \"command\" (p.yml:5): command failed: hidden by no_log (status 9)"
    );
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    // A template that fails may hold the secret as well.
    let error = play(
        &Fake::new([]),
        "- debug: { msg: \"{{ 'secret' | int(base='x') }}\" }\n  no_log: true",
        Mode::Apply,
    )
    .await;
    let error = error.expect_err("it fails");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn check_mode_is_the_tasks_and_a_variable() {
    let cases = [(Mode::Apply, "false"), (Mode::Check, "true")];
    for (mode, expected) in cases {
        let report = play(
            &Fake::new([]),
            "- debug: { msg: \"{{ ansible_check_mode }}\" }",
            mode,
        )
        .await;
        let report = report.expect("ran");
        assert_eq!(told(&report), [format!("ok: {expected}")]);
        assert_eq!((report.mode, report.host.as_str()), (mode, "root@192.0.2.1:22"));
    }
    // Only what changes nothing is asked in check mode, or is told that it is.
    let fake = Fake::new([output(0, "changed file /x\n", "")]);
    let report = play(
        &fake,
        "- file: { path: /x, state: touch }\n- command: a",
        Mode::Check,
    )
    .await;
    let outcomes: Vec<Outcome> = report
        .expect("checked")
        .tasks
        .iter()
        .map(|task| task.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Changed, Outcome::Skipped]);
    assert_eq!(fake.asked(), ["[file] 1 touch /x '' '' '' '' 0 0"]);
}
