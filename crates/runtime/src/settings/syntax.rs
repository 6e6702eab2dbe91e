//! Texts that are no TOML, in words for operators: where, what is wrong there, and the line.

use crate::text::shown;

/// What the parser says holds one of these, and what is said for it. The first that fits.
const SYNTAX: &[(&[&str], &str)] = &[
    (
        &["duplicate key"],
        "this key or section stands twice; keep one of them",
    ),
    (
        &["table header"],
        "a section's name stands in `[ ]` on a line of its own, such as [http]",
    ),
    (
        &["inline table"],
        "a table in `{ }` is not closed, or lacks a comma",
    ),
    (&["array"], "a list in `[ ]` is not closed, or lacks a comma"),
    (
        &["escape"],
        "inside double quotation marks `\\` begins an escape, and this is none; `\\\\` is the character itself",
    ),
    (
        &["string"],
        "a text stands in quotation marks, which are closed on the same line",
    ),
    (
        &[
            "key with no value",
            "expected `=`",
            "invalid key",
            "expected key",
            "invalid bare key",
            "expected `.`, `=`",
        ],
        "a key is a word, followed by ` = ` and its value",
    ),
    (
        &["expected newline", "end of line"],
        "something follows the value; a text stands in quotation marks, and each setting on a line of its own",
    ),
];

/// What is wrong with a text, if it is no TOML; `name` stands for it.
pub(super) fn mistake(text: &str, name: &str) -> Option<String> {
    let error = text.parse::<toml::Table>().err()?;
    let said = error.message();
    let fitting = SYNTAX
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)));
    let words = fitting.map_or(
        "this is no value; a text stands in quotation marks, and numbers, true and false do not",
        |(_, words)| words,
    );
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let (line, column) = position(text, at);
    Some(format!(
        "{name}:{line}:{column}: {words}{}",
        shown(&without_passwords(text), line, column)
    ))
}

/// Line and column of a byte of a text, both from one.
pub(super) fn position(text: &str, at: usize) -> (u64, u64) {
    let before = text.get(..at).unwrap_or_default();
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).saturating_add(1);
    let column = before.chars().rev().take_while(|c| *c != '\n').count();
    (count(before.matches('\n').count()), count(column))
}

/// The text with stars in place of what stands between `://` and an `@` on the same line: the user and the password of a database
/// whose line has a mistake. The places of all else stay.
pub(super) fn without_passwords(text: &str) -> String {
    let covered = text.split_inclusive('\n').map(|line| {
        let Some((scheme, rest)) = line.split_once("://") else {
            return line.to_owned();
        };
        match rest.rsplit_once('@') {
            Some((secret, place)) => {
                let stars = "*".repeat(secret.chars().count());
                format!("{scheme}://{stars}@{place}")
            }
            None => line.to_owned(),
        }
    });
    covered.collect()
}

#[cfg(test)]
mod tests {
    use super::mistake;

    #[test]
    fn a_line_is_shown_without_the_password_in_it() {
        let text = "[database]\nurl = \"postgres://farm:sek@ret@db/farm\n";
        let said = mistake(text, "f").unwrap();
        assert!(!said.contains("sek") && !said.contains("ret@"), "{said}");
        assert!(said.contains("url = \"postgres://************@db/farm"), "{said}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place_and_without_the_parsers_words() {
        assert_eq!(mistake("[http]\nlisten = \"127.0.0.1:1\" # ours\n", "f"), None);
        for (text, expected) in [
            ("[http\nlisten = 1\n", "f:1:6: a section's name stands in `[ ]`"),
            (
                "[http]\nlisten = \"a\"\nlisten = \"b\"\n",
                "f:3:1: this key or section stands twice",
            ),
            ("[http]\n[http]\n", "f:2:1: this key or section stands twice"),
            (
                "[http]\nlisten = \"a\n",
                "f:2:12: a text stands in quotation marks",
            ),
            ("listen = 127.0.0.1:1\n", "f:1:"),
            ("listen = here\n", "f:1:10: "),
            ("listen = = 1\n", "f:1:10: "),
            ("listen\n", "f:1:7: a key is a word"),
            ("listen 5\n", "f:1:8: a key is a word"),
            ("a = [1, 2 b\n", "f:1:11: a list in `[ ]` is not closed"),
            ("a = { b = 1\n", "f:1:12: a table in `{ }` is not closed"),
            ("a = \"\\q\"\n", "f:1:8: inside double quotation marks"),
            ("a = 1 2\n", "f:1:7: something follows the value"),
        ] {
            let said = mistake(text, "f").unwrap();
            assert!(said.starts_with(expected), "{text}\n{said}");
            let words = said.lines().next().unwrap();
            for theirs in ["TOML", "pars", "expected", "literal", "bare"] {
                assert!(!words.contains(theirs), "{said}");
            }
            assert!(said.ends_with('^'), "{said}");
        }
    }
}
