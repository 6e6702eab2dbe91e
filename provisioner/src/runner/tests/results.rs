//! Loops, and what `register` keeps.

use super::*;

/// The messages of the last task, which is a `debug`.
async fn message(fake: &Fake, tasks: &str) -> String {
    let report = play(fake, tasks, Mode::Apply).await;
    let mut report = report.unwrap_or_else(|error| panic!("{tasks}\n{error}"));
    report
        .tasks
        .pop()
        .and_then(|task| task.message)
        .expect("a message")
}

const SHOW: &str = "\n- debug: { msg: \"{{ r | to_json }}\" }";

#[tokio::test]
async fn every_end_of_a_task_has_its_own_result() {
    const OUT: &str =
        r#""rc": 0, "stdout_lines": [], "stderr_lines": [], "stdout": "", "stderr": "", "msg": """#;
    let cases: &[(&str, &[u32], String)] = &[
        ("command: a", &[0], format!("{{{OUT}, \"changed\": true, \"failed\": false}}")),
        (
            "command: a\n  when: false",
            &[],
            r#"{"changed": false, "skipped": true}"#.to_owned(),
        ),
        (
            "command: a\n  when: nope\n  ignore_errors: true",
            &[],
            r#"{"changed": false, "failed": true, "msg": "when: `nope` is undefined"}"#.to_owned(),
        ),
        (
            "debug: {}",
            &[],
            r#"{"msg": "Hello world!", "changed": false, "failed": false}"#.to_owned(),
        ),
        (
            "command: a\n  loop: []",
            &[],
            r#"{"results": [], "changed": false, "skipped": true, "skipped_reason": "No items in the list"}"#.to_owned(),
        ),
        (
            "command: a\n  loop: [1]\n  when: false",
            &[],
            r#"{"results": [{"changed": false, "skipped": true, "item": 1}], "changed": false, "skipped": true, "msg": "All items skipped"}"#
                .to_owned(),
        ),
        (
            "debug: { msg: \"{{ item }}\" }\n  loop: [a]",
            &[],
            r#"{"results": [{"msg": "a", "changed": false, "failed": false, "item": "a"}], "changed": false, "skipped": false, "msg": "All items completed"}"#
                .to_owned(),
        ),
    ];
    for (task, answers, expected) in cases {
        let tasks = format!("- {task}\n  register: r{SHOW}");
        assert_eq!(message(&statuses(answers), &tasks).await, *expected, "{task}");
    }
}

#[tokio::test]
async fn a_loop_goes_through_all_elements_and_fails_when_one_did() {
    let fake = statuses(&[0, 3, 0]);
    let tasks = "- command: \"run {{ item }}\"\n  loop: [a, b c, \"{{ 1 + 1 }}\"]\n  register: r\n  ignore_errors: true\n- debug:\n    \
                 msg: \"{{ [r.failed, r.changed, r.msg] | to_json }} {{ r.results | map(attribute='rc') | join(',') }}\"";
    assert_eq!(
        message(&fake, tasks).await,
        "[true, true, \"One or more items failed\"] 0,3,0"
    );
    let words = ["run a", "run b c", "run 2"].map(|words| format!("[command] '' 600 {words}"));
    assert_eq!(fake.asked(), words);
}

#[tokio::test]
async fn each_element_has_its_own_condition_and_its_own_tries() {
    let fake = statuses(&[1, 0, 0]);
    let tasks = "- command: x\n  loop: [1, 2, 3]\n  when: item != 2\n  retries: 1\n  delay: 0\n  register: r\n- debug: { msg: \"{{ \
                 r.results | map(attribute='attempts', default='-') | join(',') }}\" }";
    assert_eq!(message(&fake, tasks).await, "2,-,1");
}

#[tokio::test]
async fn a_loop_over_what_is_no_list_matters_only_where_it_would_run() {
    let cases = [
        ("loop: abc", "failed: loop is \"abc\", expected a list"),
        ("loop: { a: 1 }", "failed: loop is {\"a\":1}, expected a list"),
        (
            "loop: \"{{ nope }}\"",
            "failed: `{{ nope }}`: `nope` is undefined",
        ),
        ("loop: \"{{ nope }}\"\n  when: nope is defined", "skipped"),
        (
            "loop: \"{{ range(1001) | list }}\"",
            "failed: loop has more than 1000 elements",
        ),
    ];
    for (rest, expected) in cases {
        let report = play(&Fake::new([]), &format!("- debug: {{}}\n  {rest}"), Mode::Apply).await;
        let told = match report {
            Ok(report) => told(&report),
            Err(Error::TaskFailed(failure)) => told(&failure.report),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(told, [expected], "{rest}");
    }
    let many = "- debug: {}\n  loop: \"{{ range(1000) | list }}\"";
    assert!(play(&Fake::new([]), many, Mode::Apply).await.is_ok());
}

#[tokio::test]
async fn the_report_of_a_loop_says_what_each_element_said_and_changed() {
    let fake = Fake::new([
        output(0, "changed file /a\n", ""),
        output(0, "", ""),
        output(0, "changed file /c\nchanged mode 644 -> 600\n", ""),
    ]);
    let tasks = "- file: { path: \"/{{ item }}\", state: touch, mode: \"0600\" }\n  loop: [a, b, c]\n- debug: { msg: \"{{ item }}\" }\n  \
                 loop: [1, 2]\n- command: x\n  when: false";
    let report = play(&fake, tasks, Mode::Apply).await.expect("ran");
    assert_eq!(told(&report), ["changed", "ok: 1\n2", "skipped"]);
    assert_eq!(report.tasks[0].changes, ["file /a", "file /c", "mode 644 -> 600"]);
}

#[tokio::test]
async fn a_result_is_seen_by_the_tasks_own_conditions_and_by_all_that_follow() {
    let fake = Fake::new([output(0, "3\n", ""), output(0, "4\n", "")]);
    let text = "- hosts: all\n  gather_facts: false\n  tasks:\n  - command: count\n    loop: [1, 2]\n    register: r\n    changed_when: \
                r.stdout == '4'\n- hosts: all\n  gather_facts: false\n  vars: { all: \"{{ r.results }}\" }\n  tasks:\n  - debug: { msg: \
                \"{{ all | map(attribute='changed') | list }}\" }\n";
    let limit = Duration::from_secs(60);
    let report = play_whole(&fake, text, Mode::Apply, limit).await.expect("ran");
    assert_eq!(told(&report), ["changed", "ok: [false,true]"]);
}
