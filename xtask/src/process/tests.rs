use super::*;

fn sh(script: &str) -> Tool {
    Tool::new("sh").args(["-c", script])
}

/// Writes a program. Another process writes it: while this one has it open, nobody can run it.
pub(crate) fn program(path: &Path, text: &str) {
    let draft = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(draft.path(), text).unwrap();
    let install = Tool::new("install").args(["-D", "--mode=755"]).arg(draft.path());
    install.arg(path).output().unwrap();
}

#[test]
fn a_failed_program_is_named_with_its_last_words() {
    let error = sh("echo first; echo it broke >&2; exit 3").output().unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(text.contains("it broke"), "{text}");
    assert!(!text.contains("\n    first"), "{text}");
}

#[test]
fn a_missing_program_says_what_installs_it() {
    let error = Tool::new("verdigris-has-no-such-program").output().unwrap_err();
    assert!(format!("{error:#}").contains("cargo xtask setup"), "{error:#}");
    assert!(!Tool::new("verdigris-has-no-such-program").succeeds());
    assert_eq!(find("verdigris-has-no-such-program"), None);
}

#[test]
fn a_watched_program_shows_both_outputs_and_keeps_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut lines = Vec::new();
    let error = sh("echo one; echo two >&2; exit 1")
        .watch(&log, |line| lines.push(line.to_owned()))
        .unwrap_err();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    assert!(format!("{error:#}").contains("two"), "{error:#}");
    sh("printf 'no end of line, \\377'").log(&log).unwrap();
    assert_eq!(
        std::fs::read_to_string(&log).unwrap(),
        "one\ntwo\nno end of line, \u{fffd}\n",
        "the next program's output follows"
    );
}

#[test]
fn commands_are_shown_as_one_would_type_them() {
    for (word, shown) in [
        ("plain-word_1.2/3:4=5+6,7@8%9", "plain-word_1.2/3:4=5+6,7@8%9"),
        ("two words", "'two words'"),
        ("it's", r"'it'\''s'"),
        ("", "''"),
        ("$HOME", "'$HOME'"),
        ("grün", "'grün'"),
    ] {
        assert_eq!(Tool::new("echo").arg(word).shown(), format!("echo {shown}"));
        // The shell reads the word back.
        let read = sh(&format!("printf %s {shown}")).output().unwrap();
        assert_eq!(read, word);
    }
}

#[test]
fn rights_that_the_caller_lacks_are_asked_for() {
    for (is_root, elevated, unshared) in [
        (
            true,
            "mount x",
            "unshare --mount --propagation private --pid --fork --kill-child -- mount x",
        ),
        (
            false,
            "sudo mount x",
            "unshare --user --map-root-user --map-auto --mount --propagation private --pid --fork --kill-child -- \
             mount x",
        ),
    ] {
        assert_eq!(Tool::elevated("mount", is_root).arg("x").shown(), elevated);
        assert_eq!(Tool::unshared("mount", is_root).arg("x").shown(), unshared);
    }
}

#[test]
fn a_program_has_its_input_directory_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input");
    std::fs::write(&file, "from a file").unwrap();
    let said = sh("cat; echo; pwd; echo $GREETING")
        .input(&file)
        .unwrap()
        .dir(dir.path())
        .env("GREETING", "hello")
        .output()
        .unwrap();
    let place = dir.path().canonicalize().unwrap();
    assert_eq!(said, format!("from a file\n{}\nhello\n", place.display()));
    assert_eq!(
        Tool::new("cat").output().unwrap(),
        "",
        "nothing waits for a person"
    );
    let error = Tool::new("cat").input(&dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn the_ways_to_run_a_program_tell_its_end() {
    for (code, ends_well) in [(0, true), (7, false)] {
        let exit = || sh(&format!("exit {code}"));
        assert_eq!(exit().status().unwrap().code(), Some(code));
        assert_eq!(exit().succeeds(), ends_well);
        assert_eq!(exit().show().is_ok(), ends_well);
        assert_eq!(exit().output().is_ok(), ends_well);
    }
    let killed = sh("kill -9 $$").show().unwrap_err().to_string();
    assert_eq!(killed, "`sh -c 'kill -9 $$'` ended with signal: 9 (SIGKILL)");
    let binary = sh("printf '\\377'").output().unwrap_err().to_string();
    assert!(binary.contains("no UTF-8"), "{binary}");
}

#[test]
fn programs_of_the_administrator_are_found_too() {
    assert!(find("sh").is_some_and(|path| path.is_absolute()));
    let sbin = Tool::new("sh").args(["-c", "echo $PATH"]).output().unwrap();
    assert!(sbin.trim_end().ends_with(":/usr/sbin:/sbin"), "{sbin}");
}

#[test]
fn an_error_is_as_long_as_a_person_reads() {
    let error = sh("seq 100; exit 1; : ".repeat(40).as_str())
        .watch(Path::new("/dev/null"), |_| {})
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.starts_with("the whole output is in /dev/null: `sh -c 'seq 100;"),
        "{text}"
    );
    assert!(
        text.contains(" ...` ended with exit status: 1:\n    86\n    87\n"),
        "{text}"
    );
    assert!(text.ends_with("\n    100"), "{text}");
    for (text, most, expected) in [
        ("a\nb\nc\n\n", 2, &["b", "c"][..]),
        ("a\n\nc", 9, &["a", "", "c"]),
        ("", 2, &[]),
        ("a", 0, &[]),
    ] {
        assert_eq!(last_lines(text, most), expected);
    }
}
