use std::process::{Command as Process, Stdio};

use super::*;

/// What the script of some commands prints.
fn printed(commands: &[Command]) -> String {
    let script = runcmd(commands).expect("there is a script");
    let output = Process::new("sh")
        .arg("-c")
        .arg(String::from_utf8(script).unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn arguments(words: &[&str]) -> Command {
    Command::Arguments(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn commands_become_one_script_of_shell() {
    assert_eq!(runcmd(&[]), None);
    let commands = [
        Command::Shell("a=1; echo $a".to_owned()),
        arguments(&["echo", "it's", "$a"]),
    ];
    let script = String::from_utf8(runcmd(&commands).unwrap()).unwrap();
    assert_eq!(script, "#!/bin/sh\na=1; echo $a\n'echo' 'it'\\''s' '$a'\n");
    assert_eq!(printed(&commands), "1\nit's $a\n");
}

#[test]
fn a_list_of_arguments_reaches_its_program_as_it_was_written() {
    for word in [
        "plain",
        "two words",
        "",
        "it's",
        "'",
        "''",
        "\"",
        "$HOME",
        "`id`",
        "$(id)",
        "\\",
        "a\\'b",
        "*",
        "~",
        "a;b",
        "a&b",
        "a|b",
        "#a",
        "!a",
        "a\nb",
        "\ttab",
        "ü",
        "-n",
    ] {
        assert_eq!(
            printed(&[arguments(&["printf", "[%s]", word])]),
            format!("[{word}]")
        );
    }
    let many = arguments(&["printf", "[%s]", "a b", "", "c"]);
    assert_eq!(printed(&[many]), "[a b][][c]");
}

#[test]
fn a_command_that_fails_does_not_keep_the_next_from_running() {
    let commands = [
        Command::Shell("false".to_owned()),
        arguments(&["ls", "/no/such/place"]),
        Command::Shell("echo done".to_owned()),
    ];
    assert_eq!(printed(&commands), "done\n");
}
