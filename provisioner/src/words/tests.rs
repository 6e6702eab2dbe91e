use super::*;

#[test]
fn modes_are_octal() {
    for (text, bits) in [
        ("0644", 0o644),
        ("644", 0o644),
        ("1777", 0o1777),
        ("00755", 0o755),
    ] {
        assert_eq!(mode(text), Some(bits));
    }
    for text in ["", "a{2}", "8", "0888", "u+x", "77777", "-644", "+644", "64"] {
        assert_eq!(mode(text), None, "{text}");
    }
}

#[test]
fn command_lines_split_as_in_a_shell() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  a  b ", &["a", "b"]),
        ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
        ("a'b'\"c\"", &["abc"]),
        ("'' \"\"", &["", ""]),
        (r#""\"\\\n" \' '\'"#, &["\"\\\\n", "'", "\\"]),
        ("a\\\nb $HOME", &["a\nb", "$HOME"]),
    ];
    for (line, words) in cases {
        assert_eq!(split(line).expect("words"), *words, "{line}");
    }
    assert_eq!(
        split("a 'b").expect_err("open"),
        "a ' in the command line is never closed"
    );
    assert!(split("a \\").is_err());
}

#[test]
fn regular_expressions_that_differ_between_python_and_posix_are_refused() {
    for text in ["^#?PermitRootLogin( |=)", "[0-9]+\\.[a-z][a-z]$", "\\{x", "\\$x"] {
        assert_eq!(check_regexp(text), Ok(()), "{text}");
    }
    for text in ["", "a{2}", "[[:alpha:]]", "\\d+", "(?i)x", "a.*?b", "\\1", "x\\"] {
        assert!(check_regexp(text).is_err(), "{text}");
    }
}
