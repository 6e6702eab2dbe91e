use super::*;

#[test]
fn every_word_is_quoted() {
    let command = Command::new("printf").arguments(["%s", "", "a b", "it's", "''", "$(id)`id`\n;&|"]);
    let text = command.to_shell_text().expect("text");
    assert_eq!(
        text,
        "exec 'printf' '%s' '' 'a b' 'it'\\''s' ''\\'''\\''' '$(id)`id`\n;&|'"
    );
}

#[test]
fn the_environment_goes_through_env() {
    let command = Command::new("true").environment("B", "x y").environment("A", "'");
    assert_eq!(
        command.to_shell_text().expect("text"),
        "exec env 'A='\\''' 'B=x y' 'true'"
    );
}

#[test]
fn a_wrapper_comes_first_and_the_environment_is_set_inside() {
    let command = Command::new("id")
        .environment("A", "b")
        .through(["sudo", "-n", "--"]);
    assert_eq!(
        command.to_shell_text().expect("text"),
        "exec 'sudo' '-n' '--' env 'A=b' 'id'"
    );
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let cases = [
        Command::new(""),
        Command::new("-c").argument("true"),
        Command::new("echo").argument("a\0b"),
        Command::new("true").environment("A B", ""),
        Command::new("true").environment("1A", ""),
        Command::new("true").environment("", ""),
        Command::new("true").environment("A", "\0"),
        Command::new("echo").argument("x".repeat(MAX_TEXT)),
    ];
    for command in cases {
        let error = command.to_shell_text().expect_err("refused");
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
}

#[test]
fn a_script_takes_values_as_arguments_and_errors_show_the_label_alone() {
    let command = Command::script("the test", "echo \"$1\"", ["secret"]);
    assert_eq!(
        command.to_shell_text().expect("text"),
        "exec 'sh' '-c' 'echo \"$1\"' 'sh' 'secret'"
    );
    let error = command
        .argument("\0")
        .to_shell_text()
        .expect_err("refused")
        .to_string();
    assert_eq!(
        error,
        "the command the test is not usable: an argument or variable holds a NUL byte"
    );
}
