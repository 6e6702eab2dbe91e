use super::*;

#[test]
fn a_failed_program_is_named_with_its_last_words() {
    let error = Tool::new("sh")
        .args(["-c", "echo first; echo it broke >&2; exit 3"])
        .output()
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(text.contains("it broke"), "{text}");
    assert!(!text.contains("\n    first"), "{text}");
}

#[test]
fn a_missing_program_says_what_installs_it() {
    let error = Tool::new("verdigris-has-no-such-program").output().unwrap_err();
    assert!(format!("{error:#}").contains("cargo xtask setup"), "{error:#}");
}

#[test]
fn a_watched_program_shows_both_outputs_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut lines = Vec::new();
    let tool = Tool::new("sh").args(["-c", "echo one; echo two >&2; exit 1"]);
    let error = tool.watch(&log, |line| lines.push(line.to_owned())).unwrap_err();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    assert!(format!("{error:#}").contains("two"), "{error:#}");
}

#[test]
fn commands_are_shown_as_one_would_type_them() {
    let tool = Tool::new("echo").args(["plain-word", "two words", "it's", ""]);
    assert_eq!(tool.shown(), r"echo plain-word 'two words' 'it'\''s' ''");
}
