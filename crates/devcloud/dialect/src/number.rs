//! Whole numbers in the only spelling that clients of EC2 send.

/// Reads a whole number. Rust's own reading also takes `+5` and `007`, which no client sends: a text of that kind is a
/// mistake, and is told as one.
#[must_use]
pub fn whole_number(text: &str) -> Option<i64> {
    let is_plain = match text.strip_prefix('-').unwrap_or(text).as_bytes() {
        [b'0'] => text == "0",
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn a_number_has_one_spelling() {
        for (text, number) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("65535", Some(65_535)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("06", None),
            ("-06", None),
            ("+6", None),
            ("--6", None),
            (" 6", None),
            ("6 ", None),
            ("6.0", None),
            ("6e2", None),
            ("0x6", None),
            ("1_000", None),
            ("\u{666}", None),
        ] {
            assert_eq!(whole_number(text), number, "{text:?}");
        }
    }
}
