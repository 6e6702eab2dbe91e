use super::*;

fn output(exit: Exit, stdout: &[u8], stderr: &[u8]) -> Output {
    Output {
        exit,
        stdout: stdout.to_vec(),
        stderr: stderr.to_vec(),
        truncated: false,
    }
}

/// As Ansible registers it: line ends at the end are gone, blanks are not, and a status is a number.
#[test]
fn what_a_command_leaves_for_register() {
    let cases: &[(Exit, &[u8], &[u8], &str)] = &[
        (
            Exit::Code(0),
            b"a\n\n b \n\r\n\n",
            b"",
            r#"{"rc": 0, "stdout_lines": ["a", "", " b "], "stderr_lines": [], "stdout": "a\n\n b ", "stderr": "", "msg": ""}"#,
        ),
        (
            Exit::Code(255),
            b"",
            b"\xff\n",
            r#"{"rc": 255, "stdout_lines": [], "stderr_lines": ["\ufffd"], "stdout": "", "stderr": "\ufffd", "msg": ""}"#,
        ),
        (
            Exit::Signal("KILL".to_owned()),
            b"",
            b"",
            r#"{"rc": -1, "stdout_lines": [], "stderr_lines": [], "stdout": "", "stderr": "", "msg": ""}"#,
        ),
    ];
    for (exit, stdout, stderr, expected) in cases {
        let values = Value::Map(output_values(&output(exit.clone(), stdout, stderr)));
        assert_eq!(values.to_json_text().as_deref(), Ok(*expected));
    }
}

#[test]
fn a_problem_has_the_status_and_the_end_of_the_errors() {
    let text = format!("{}é\n \n", "a".repeat(2500));
    let problem = Problem::from_output(
        "it failed".to_owned(),
        &output(Exit::Code(3), b"", text.as_bytes()),
    );
    assert_eq!((problem.message.as_str(), problem.status), ("it failed", Some(3)));
    assert_eq!(problem.stderr, format!("{}é", "a".repeat(1999)));
    let killed = Problem::from_output(String::new(), &output(Exit::Signal("TERM".to_owned()), b"", b""));
    assert_eq!((killed.status, killed.stderr.as_str()), (None, ""));
}

#[test]
fn what_has_changes_is_changed_and_so_is_a_command_that_ran() {
    let ran = Done {
        changed: true,
        ..Done::default()
    };
    let told = Done::changes(vec!["x".to_owned()]);
    let all = [Done::default(), Done::changes(Vec::new()), told, ran];
    assert_eq!(all.map(|done| done.is_changed()), [false, false, true, true]);
}
