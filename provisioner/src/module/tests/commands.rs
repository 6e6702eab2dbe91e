//! command and shell.

use std::time::Duration;

use crate::host::tests::fake::{Fake, output};
use crate::host::tests::here::{Here, play};
use crate::report::{Mode, Outcome};

/// What a command is turned into, when the machine answers each question with success.
async fn asked(task: &str) -> Vec<String> {
    let fake = Fake::new([output(0, "", "")]);
    let report = play(&fake, task, Mode::Apply).await;
    report.unwrap_or_else(|error| panic!("{task}\n{error}"));
    fake.asked()
}

#[tokio::test]
async fn words_stay_words_and_the_limit_is_the_remote_ones_too() {
    let cases = [
        ("- command: echo 'a b' c", "[command] '' 600 echo 'a b' c"),
        (
            "- command: { argv: [echo, 1, true, null, 1.5] }",
            "[command] '' 600 echo 1 True '' 1.5",
        ),
        (
            "- command: { cmd: make, chdir: /srv/x }",
            "[command] /srv/x 600 make",
        ),
        (
            "- command: { cmd: cat, stdin: a b }",
            "[command] '' 600 cat <a b\n",
        ),
        ("- command: make\n  timeout: 7", "[command] '' 7 make"),
        ("- command: make\n  timeout: 0", "[command] '' 600 make"),
        (
            "- command: make\n  environment: { B: \"{{ 5 }}\", A: x y }",
            "env 'A=x y' B=5 [command] '' 600 make",
        ),
        (
            "- shell: echo $HOME | wc",
            "[shell] '' 600 /bin/sh -c 'echo $HOME | wc'",
        ),
        (
            "- command: { cmd: echo $HOME, expand_argument_vars: false }",
            "[command] '' 600 echo $HOME",
        ),
    ];
    for (task, expected) in cases {
        assert_eq!(asked(task).await, [expected], "{task}");
    }
}

/// A line of the playbook may go on in the next behind a backslash, in the form without parameters only.
#[tokio::test]
async fn words_are_split_as_ansible_does() {
    let cases = [
        (
            "- command: |\n    echo a \\\n      b",
            "[command] '' 600 echo a b",
        ),
        ("- command: \"echo a\\\\\\nb\"", "[command] '' 600 echo a\nb"),
        (
            "- command: { cmd: \"echo a \\\\\\n b\" }",
            "[command] '' 600 echo a \n b",
        ),
        ("- command: \"echo 'a \\\\ b'\"", "[command] '' 600 echo 'a \\ b'"),
        (
            r#"- command: { cmd: 'echo "a\$b" "c\`d" "e\"f" "g\\h"', expand_argument_vars: false }"#,
            r#"[command] '' 600 echo a\$b c\`d e"f g\h"#,
        ),
        ("- command: \"echo a#b # c\"", "[command] '' 600 echo a#b # c"),
    ];
    for (task, expected) in cases {
        assert_eq!(asked(task).await, [expected], "{task}");
    }
}

#[tokio::test]
async fn what_ansible_would_expand_is_refused() {
    for word in ["$HOME", "a$b", "~root", "~/x"] {
        for task in [
            format!("- command: echo {word}"),
            format!("- command: {{ argv: [echo, \"{word}\"] }}"),
        ] {
            let error = play(&Fake::new([]), &task, Mode::Apply)
                .await
                .expect_err("refused");
            let expected = format!(
                "the word {word:?} would be expanded by Ansible: say expand_argument_vars: false if it is meant as it stands, \
                 or use shell"
            );
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let cases = [
        ("- command: { argv: [] }", "there is no command"),
        ("- command: { argv: ls }", "argv is a list of words"),
        ("- command: { argv: [[a]] }", "argv holds a list, not a word"),
        (
            "- command: { argv: [{ a: b }] }",
            "argv holds a mapping, not a word",
        ),
        ("- command: { cmd: \"  \" }", "there is no command"),
        (
            "- command: { cmd: \"echo 'a\" }",
            "a ' in the command line is never closed",
        ),
        (
            "- shell: { cmd: \"\" }",
            "the parameter cmd of shell is \"\", expected text",
        ),
    ];
    for (task, expected) in cases {
        let error = play(&Fake::new([]), task, Mode::Apply).await.expect_err(task);
        let text = error.to_string();
        assert!(text.ends_with(&format!(" failed: {expected}")), "{task}: {text}");
    }
}

/// The outcome of a task, and what it says.
async fn outcome(here: &Here, task: &str, mode: Mode) -> (Outcome, String) {
    let report = here.play(task, mode).await;
    let mut report = report.unwrap_or_else(|error| panic!("{task}\n{error}"));
    let task = report.tasks.pop().expect("a task");
    (task.outcome, here.short(&task.message.unwrap_or_default()))
}

/// Patterns, paths in the folder of the command, and links to nothing count as they do in Ansible.
#[tokio::test]
async fn creates_and_removes_decide_whether_it_is_run() {
    let here = Here::new();
    here.write("made", "");
    here.write("x-1.rpm", "");
    here.write("a b", "");
    std::os::unix::fs::symlink("none", here.path("broken")).expect("a link");
    let cases = [
        ("creates: ~/made", false),
        ("creates: ~/none", true),
        ("creates: ~/broken", false),
        ("creates: ~/*.rpm", false),
        ("creates: ~/*.deb", true),
        ("creates: \"~/a b\"", false),
        ("creates: \"~/a *\"", false),
        ("creates: made, chdir: ~/", false),
        ("creates: made, chdir: /", true),
        ("removes: ~/made", true),
        ("removes: ~/none", false),
        ("removes: \"~/[lmn]ade\"", true),
        ("removes: made, chdir: /", false),
        ("creates: ~/none, removes: ~/made", true),
        ("creates: ~/none, removes: ~/none", false),
    ];
    for (parameters, runs) in cases {
        for module in ["command", "shell"] {
            let task = format!("- {module}: {{ cmd: \"true\", {parameters} }}");
            let expected = if runs { Outcome::Changed } else { Outcome::Ok };
            assert_eq!(outcome(&here, &task, Mode::Apply).await.0, expected, "{task}");
            // It is known then what would be done.
            assert_eq!(outcome(&here, &task, Mode::Check).await.0, expected, "{task}");
        }
    }
    let said = outcome(&here, "- command: { cmd: x, creates: ~/made }", Mode::Apply)
        .await
        .1;
    assert_eq!(said, "skipped, since ~/made exists");
    let said = outcome(&here, "- command: { cmd: x, removes: ~/none }", Mode::Apply)
        .await
        .1;
    assert_eq!(said, "skipped, since ~/none does not exist");
    assert_eq!(
        here.failure("- command: { cmd: x, creates: y, chdir: ~/none }")
            .await,
        "the folder ~/none cannot be entered"
    );
}

#[tokio::test]
async fn check_mode_runs_nothing_unless_the_task_says_so() {
    let fake = Fake::new([]);
    let report = play(&fake, "- command: make", Mode::Check)
        .await
        .expect("checked");
    assert_eq!(report.tasks[0].outcome, Outcome::Skipped);
    let fake = Fake::new([output(0, "", "")]);
    let report = play(&fake, "- command: make\n  check_mode: false", Mode::Check)
        .await
        .expect("checked");
    assert_eq!(report.tasks[0].outcome, Outcome::Changed);
    let fake = Fake::new([]);
    let report = play(&fake, "- command: make\n  check_mode: true", Mode::Apply)
        .await
        .expect("ran");
    assert_eq!(report.tasks[0].outcome, Outcome::Skipped);
}

#[tokio::test]
async fn a_command_that_runs_out_of_time_is_ended_by_the_machine_itself() {
    let fake = Fake::new([output(124, "half", "")]);
    let error = play(&fake, "- command: make\n  timeout: 7", Mode::Apply).await;
    let text = error.expect_err("too slow").to_string();
    assert!(
        text.ends_with("command failed: it did not end within 7 s (status 124)"),
        "{text}"
    );
    // Our own limit is the longer one, so that the remote one is reached first.
    assert_eq!(fake.limits(), [Duration::from_secs(17)]);
}

#[tokio::test]
async fn what_a_command_printed_is_registered() {
    let tasks = "- command: make\n  register: r\n  ignore_errors: true\n- debug: { msg: \"{{ [r.rc, r.stdout, r.stdout_lines, \
                 r.stderr, r.stderr_lines, r.changed, r.failed] | to_json }}\" }";
    let cases = [
        (
            output(0, "a\r\n\nb\n\n", ""),
            r#"[0, "a\r\n\nb", ["a", "", "b"], "", [], true, false]"#,
        ),
        (
            output(3, " x ", "e1\ne2\n"),
            r#"[3, " x ", [" x "], "e1\ne2", ["e1", "e2"], true, true]"#,
        ),
    ];
    for (answer, expected) in cases {
        let report = play(&Fake::new([answer]), tasks, Mode::Apply).await.expect("ran");
        assert_eq!(report.tasks[1].message.as_deref(), Some(expected));
        assert_eq!(
            report.tasks[0].message.as_deref().unwrap_or(""),
            match expected.as_bytes()[1] {
                b'0' => "",
                _ => "non-zero return code",
            }
        );
    }
}

/// A program that cannot be started has changed nothing; one that ends with the status that says so has run.
#[tokio::test]
async fn a_program_that_is_not_there_is_told_from_one_that_ended_so() {
    let here = Here::new();
    here.write("plain", "exit 0");
    here.program("ends", "exit 127");
    here.program("ends-too", "exit 126");
    let none = "cannot be run: it is not there, or is no program";
    let cases = [
        (
            "nonexistent_cmd a",
            false,
            2,
            format!("the program nonexistent_cmd {none}"),
        ),
        ("~/none", false, 2, format!("the program ~/none {none}")),
        ("~/plain", false, 13, format!("the program ~/plain {none}")),
        ("/", false, 13, format!("the program / {none}")),
        // A word that only the shell knows.
        ("set x", false, 2, format!("the program set {none}")),
        ("ends", true, 127, "non-zero return code".to_owned()),
        ("ends-too", true, 126, "non-zero return code".to_owned()),
    ];
    for (command, changed, status, said) in cases {
        let tasks = format!(
            "- command: {command}\n  register: r\n  ignore_errors: true\n- debug: {{ msg: \"{{{{ [r.changed, r.rc, r.stderr, r.msg] \
             | to_json }}}}\" }}"
        );
        let report = here.play(&tasks, Mode::Apply).await.expect("ran");
        let message = report.tasks[1].message.clone().unwrap_or_default();
        let expected = format!(r#"[{changed}, {status}, "", "{said}"]"#);
        assert_eq!(here.short(&message), expected, "{command}");
    }
}

#[tokio::test]
async fn output_that_is_no_text_fails_the_task_and_says_where() {
    let cases = [
        (
            &b"a\xff"[..],
            &b""[..],
            false,
            Some("output is no UTF-8: see its byte 1"),
        ),
        (b"", b"\xc3", false, Some("error is no UTF-8: see its byte 0")),
        ("ü".as_bytes(), "ü".as_bytes(), false, None),
        // Cut off in the middle of a character.
        (b"a\xc3", b"", true, None),
        (b"\xff\xc3", b"", true, Some("output is no UTF-8: see its byte 0")),
    ];
    for (stdout, stderr, truncated, expected) in cases {
        let answer = shell::Output {
            exit: shell::Exit::Code(0),
            stdout: stdout.into(),
            stderr: stderr.into(),
            truncated,
        };
        let ran = play(&Fake::new([Ok(answer)]), "- shell: x", Mode::Apply).await;
        match expected {
            None => drop(ran.expect("ran")),
            Some(expected) => {
                let text = ran.expect_err("failed").to_string();
                let expected = format!("shell failed: the command's standard {expected}");
                assert!(text.ends_with(&expected), "{text}");
            }
        }
    }
}
