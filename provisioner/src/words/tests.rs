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
    for text in [
        "^#?PermitRootLogin( |=)",
        "[0-9]+\\.[a-z][a-z]$",
        "\\{x",
        "\\$x",
        "a\\*?b",
        "[*+?]",
        "[]a]b",
        "[^]a]*",
        "[[]x",
        "[{]",
        "(a|b)*c",
        "a+|b?",
        "x.*y",
    ] {
        assert_eq!(check_regexp(text), Ok(()), "{text}");
    }
    let cases = [
        ("a{2}", "a repetition in braces"),
        ("[[:alpha:]]", "a class such as [:alpha:]"),
        ("[a[.x.]]", "a class such as [:alpha:]"),
        ("\\d+", "a backslash before a letter or digit"),
        ("\\1", "a backslash before a letter or digit"),
        ("x\\", "a backslash before a letter or digit"),
        ("[\\]]", "a backslash in brackets"),
        ("[a", "a bracket that is not closed"),
        ("[]", "a bracket that is not closed"),
        ("(?i)x", "(?...)"),
        ("a.*?b", "a lazy or repeated repetition"),
        ("a++b", "a lazy or repeated repetition"),
        ("a**", "a lazy or repeated repetition"),
        ("(a)?+", "a lazy or repeated repetition"),
        ("*a", "a repetition of nothing"),
        ("^*a", "a repetition of nothing"),
        ("(+a)", "a repetition of nothing"),
        ("a|?", "a repetition of nothing"),
    ];
    for (text, what) in cases {
        let expected = format!(
            "regexp {text:?}: {what} is not supported; use what POSIX and Python share, such as [0-9]"
        );
        assert_eq!(check_regexp(text), Err(expected));
    }
    assert!(check_regexp("").is_err());
}

#[test]
fn a_backslash_alone_at_the_end_of_a_line_goes_with_the_line_end() {
    let cases = [
        ("a \\\n  b", "a   b"),
        ("a \\\n\\\nb", "a b"),
        ("a\\\nb", "a\\\nb"),
        ("a \\ b", "a \\ b"),
        ("a '\\\nb' c \\\nd", "a '\\\nb' c d"),
        ("\"a \\\" \\\n\" \\\nb", "\"a \\\" \\\n\" b"),
        ("it\\'s \\\nb", "it\\'s b"),
        ("a \\", "a \\"),
    ];
    for (line, expected) in cases {
        assert_eq!(without_continuations(line), expected, "{line:?}");
    }
}

#[test]
fn names_of_variables() {
    for text in ["a", "_", "a_1", "A"] {
        assert!(is_identifier(text), "{text}");
    }
    for text in ["", "1", "1a", "a-b", "a b", "ä", "a.b"] {
        assert!(!is_identifier(text), "{text}");
    }
}

#[test]
fn digits_of_any_script_count_as_python_counts_them() {
    for (text, plain) in [
        ("12", "12"),
        (" -１２\u{1c}\n", "-12"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("०९", "09"),
        // The mathematical digits are five rows of ten without a gap.
        ("𝟎𝟗𝟘𝟡𝟢𝟫𝟬𝟵𝟶𝟿", "0909090909"),
        ("²①Ⅷ½一", "²①Ⅷ½一"),
        ("１ ２", "1 2"),
    ] {
        assert_eq!(plain_number(text), plain, "{text:?}");
    }
}

#[test]
fn unicode_has_its_digits_in_rows_of_ten() {
    let digits: Vec<char> = ('\0'..=char::MAX)
        .filter(|letter| letter.general_category() == GeneralCategory::DecimalNumber)
        .collect();
    let rows = digits.chunk_by(|one, next| u32::from(*one) + 1 == u32::from(*next));
    assert!(digits.len() > 600);
    for row in rows {
        assert_eq!(row.len() % 10, 0, "{:?} to {:?}", row.first(), row.last());
    }
}
