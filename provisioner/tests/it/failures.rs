//! What is said when something goes wrong.

use std::time::Duration;

use provisioner::{Error, Mode, Outcome};
use serde_json::{Map, json};

use crate::throwaway::{LONG, Throwaway, load_text, play_of};

async fn failure(host: &Throwaway, tasks: &str) -> String {
    host.play(&play_of(tasks), json!({}), Mode::Apply)
        .await
        .expect_err("it fails")
        .to_string()
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn a_failed_task_is_named_with_its_line_its_status_and_the_end_of_its_errors() {
    let host = Throwaway::start();
    let text = failure(&host, "- name: First\n  debug: { msg: x }\n- name: Second\n  shell: |\n    echo one >&2\n    echo two >&2\n    exit 7\n").await;
    insta::assert_snapshot!(text, @r#"
    play "P", task "Second" (p.yml:7): shell failed: non-zero return code (status 7)
    one
    two
    "#);
    let cases = [
        (
            "- copy: { content: x, dest: /no/where }",
            "the directory /no does not exist",
        ),
        (
            "- copy: { src: /no/where, dest: /srv/x }",
            "the source /no/where cannot be read",
        ),
        (
            "- copy: { content: x, dest: \"{{ 'relative' }}\" }",
            "the parameter dest of copy is \"relative\", expected an absolute path",
        ),
        (
            "- file: { path: \"{{ '/' }}\", state: absent }",
            "expected an absolute path",
        ),
        (
            "- file: { path: \"{{ '/srv/../..' }}\", state: absent }",
            "expected an absolute path",
        ),
        (
            "- file: { path: /srv/none, mode: \"0644\" }",
            "/srv/none does not exist",
        ),
        (
            "- file: { path: /srv/x, state: \"{{ 'directoy' }}\" }",
            "expected file, directory, absent, touch, link",
        ),
        ("- debug: { msg: \"{{ nothing }}\" }", "`nothing` is undefined"),
        (
            "- debug: { msg: x }\n  when: nothing",
            "when: `nothing` is undefined",
        ),
        (
            "- debug: { msg: x }\n  loop: \"{{ 'abc' }}\"",
            "loop is \"abc\", expected a list",
        ),
        (
            "- assert: { that: 1 == 2, fail_msg: Numbers }",
            "Numbers (`1 == 2` does not hold)",
        ),
        ("- fail: { msg: On purpose }", "fail failed: On purpose"),
        (
            "- user: { name: \"{{ 'a b' }}\" }",
            "expected the name of a user or group",
        ),
        (
            "- package: { name: \"{{ 'x;y' }}\" }",
            "is not the name of a package",
        ),
        (
            "- wait_for: { path: /srv/none, timeout: 1 }",
            "/srv/none was not started within 1 s",
        ),
        (
            "- command: sleep 600\n  timeout: 1",
            "it did not end within 1 s (status 124)",
        ),
        (
            "- command: \"{{ 'echo $HOME' }}\"",
            "would be expanded by Ansible",
        ),
        (
            "- command: no-such-program",
            "the program no-such-program cannot be run: it is not there, or is no program (status 2)",
        ),
        (
            "- command: \"true\"\n  register: r\n  until: r.rc == 1\n  retries: 1\n  delay: 0",
            "until did not hold after 2 tries",
        ),
        ("- command: \"true\"\n  failed_when: true", "failed_when says so"),
        (
            "- authorized_key: { user: nobody-here, key: ssh-ed25519 AAAA }",
            "there is no user nobody-here",
        ),
    ];
    for (tasks, expected) in cases {
        let text = failure(&host, tasks).await;
        assert!(
            text.starts_with("play \"P\", task ") && text.contains(expected),
            "{tasks}\n{text}"
        );
    }
}

#[tokio::test]
async fn the_report_of_a_failed_run_tells_what_was_done() {
    let host = Throwaway::start();
    let tasks =
        "- copy: { content: x, dest: /srv/x }\n- fail: { msg: no }\n- copy: { content: x, dest: /srv/y }";
    let error = host
        .play(&play_of(tasks), json!({}), Mode::Apply)
        .await
        .expect_err("it fails");
    let Error::TaskFailed(failure) = error else {
        panic!("{error}")
    };
    let outcomes: Vec<_> = failure.report.tasks.iter().map(|task| task.outcome).collect();
    assert_eq!(outcomes, [Outcome::Changed, Outcome::Failed]);
    assert!(!host.path("/srv/y").exists());
}

#[tokio::test]
async fn the_deadline_of_the_run_ends_it() {
    let host = Throwaway::start();
    let connection = host.connect().await;
    let provisioner = load_text(&play_of("- command: sleep 600")).expect("loaded");
    let limit = Duration::from_millis(500);
    let error = provisioner
        .run(&connection, "p.yml", &Map::new(), Mode::Apply, limit)
        .await
        .expect_err("too late");
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("(p.yml:5): the playbook did not end within 500ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_is_lost_is_no_failed_task() {
    let host = Throwaway::start();
    let error = host
        .play(
            &play_of("- shell: kill -9 $(ps -o ppid= -p $PPID)"),
            json!({}),
            Mode::Apply,
        )
        .await;
    assert!(matches!(error, Err(Error::Connection { .. })), "{error:?}");
}

#[tokio::test]
async fn an_unknown_playbook_is_refused_with_the_known_ones() {
    let host = Throwaway::start();
    let connection = host.connect().await;
    let provisioner = load_text(&play_of("- debug: { msg: x }")).expect("loaded");
    let error = provisioner
        .run(&connection, "q.yml", &Map::new(), Mode::Apply, LONG)
        .await
        .expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no playbook \"q.yml\"; there are p.yml"
    );
}

#[test]
fn a_misspelt_playbook_is_refused_at_load() {
    let error = load_text(&play_of("- name: T\n  copi: { dest: /a }"))
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.starts_with("p.yml:6:7: there is no module \"copi\"; did you mean \"copy\"?"),
        "{error}"
    );
}
