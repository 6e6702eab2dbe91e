//! What an open shell is told, by real shells of this machine, and where an output ends.

use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use super::*;

const MARK: &str = "00112233445566778899aabbccddeeff";

/// Both outputs of a shell that reads these texts.
fn ran(shell: &[&str], text: &str) -> (String, String) {
    let (program, arguments) = shell.split_first().expect("a program");
    let mut child = Process::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("its output");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

/// The shells that are `sh` where builders run: of Debian, and of Fedora.
const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

#[test]
fn each_script_has_its_values_and_its_input_and_leaves_nothing_behind() {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let noisy =
        "set -eu\numask 077\ncd /\nexport LEFT=1\ntrap 'echo over' EXIT\nprintf '<%s>' \"$@\"\ncat\nexit 7";
    let next = "umask; echo \"${LEFT-nothing} $#\"; cat; cd ..; false";
    let document = "while IFS= read -r line; do echo \"[$line]\"; done <<END\n$1\nEND";
    let text = [
        definition(0, noisy),
        call(
            0,
            &words(&["a b", "it's", "$HOME `id`", "ü\u{81}", ""]),
            "in\nput",
            MARK,
        ),
        "umask 022\n".to_owned(),
        definition(1, next),
        call(1, &[], "", MARK),
        definition(2, document),
        call(2, &words(&["one\ntwo"]), "", MARK),
    ]
    .concat();
    for shell in SHELLS {
        let (stdout, stderr) = ran(shell, &text);
        let expected = format!(
            "<a b><it's><$HOME `id`><ü\u{81}><>in\nputover\n{MARK} 7\n0022\nnothing 0\n{MARK} 1\n[one]\n[two]\n{MARK} 0\n"
        );
        assert_eq!(stdout, expected, "{shell:?}: {stderr}");
        assert_eq!(stderr, format!("{MARK}\n").repeat(3), "{shell:?}");
    }
}

#[test]
fn a_script_that_does_not_read_its_input_is_not_told_of() {
    let input = "x".repeat(MAX_INPUT);
    let text = definition(0, "exit 3") + &call(0, &[], &input, MARK).repeat(3);
    for shell in SHELLS {
        let (stdout, stderr) = ran(shell, &text);
        assert_eq!(stdout, format!("{MARK} 3\n").repeat(3), "{shell:?}");
        assert_eq!(stderr, format!("{MARK}\n").repeat(3), "{shell:?}");
    }
}

#[test]
fn only_a_short_text_goes_with_a_call() {
    assert_eq!(as_words(b""), Some(""));
    assert_eq!(as_words("ü\n".as_bytes()), Some("ü\n"));
    assert_eq!(as_words(b"a\0b"), None);
    assert_eq!(as_words(b"\xff"), None);
    assert!(as_words(&vec![b'a'; MAX_INPUT]).is_some());
    assert_eq!(as_words(&vec![b'a'; MAX_INPUT + 1]), None);
}

#[test]
fn an_output_ends_where_the_mark_begins_however_it_is_cut() {
    for (printed, end) in [
        ("", "0"),
        ("a line\n", "12"),
        ("no end of line", "0"),
        ("001122334455", "1"),
        ("00112233445566778899aabbccddeefe\n0011", "1"),
    ] {
        let whole = format!("{printed}{MARK} {end}\n");
        for size in 1..=whole.len() {
            let mut side = Side::new(MARK, 1000);
            for part in whole.as_bytes().chunks(size) {
                assert_eq!(side.end, None, "{whole:?} in pieces of {size}");
                side.take(part);
            }
            assert_eq!(
                side.end.as_deref(),
                Some(format!(" {end}").as_str()),
                "{whole:?}, {size}"
            );
            assert_eq!(
                side.finish(),
                (printed.as_bytes().to_vec(), false),
                "{whole:?}, {size}"
            );
        }
    }
}

#[test]
fn no_more_than_the_limit_is_kept_and_the_end_is_found_all_the_same() {
    let mut sides = Sides::new(MARK, 5);
    sides.take(Chunk::Stdout("0123456789".repeat(100).into()));
    sides.take(Chunk::Stderr("five!".into()));
    assert!(!sides.are_over());
    sides.take(Chunk::Stderr(format!("{MARK}\n").into()));
    assert_eq!((sides.are_over(), sides.status()), (false, None));
    sides.take(Chunk::Stdout(format!("{MARK} 4\n").into()));
    assert_eq!((sides.are_over(), sides.status()), (true, Some(4)));
    let output = sides.into_output(Exit::Code(4));
    assert_eq!(
        (output.stdout_text().as_str(), output.stderr_text().as_str()),
        ("01234", "five!")
    );
    assert!(output.truncated);
}

#[test]
fn what_came_before_a_shell_died_is_kept_whole() {
    let mut sides = Sides::new(MARK, 1000);
    sides.take(Chunk::Stderr("sudo: a password is required\n".into()));
    sides.take(Chunk::Stdout("0011".into()));
    assert_eq!(sides.status(), None);
    let output = sides.into_output(Exit::Code(1));
    assert_eq!(output.stderr_text(), "sudo: a password is required\n");
    assert_eq!(output.stdout_text(), "0011");
}
