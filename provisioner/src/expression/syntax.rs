//! What is no Jinja, in words for whoever wrote it: the parser behind this speaks of its own parts.

use minijinja::{Error, ErrorKind};

/// What the parser says holds this, and what is said for it. The first that fits.
const SAID: &[(&str, &str)] = &[
    (
        "input after expression",
        "something is left over behind the expression; is an operator missing, such as `==`, `and` or `~`?",
    ),
    ("empty subscript", "the brackets `[ ]` hold nothing"),
    (
        "non-keyword arg",
        "a parameter without a name stands behind one with a name",
    ),
    ("Too many arguments", "there are too many parameters"),
    ("end of string", "a text in quotation marks is not closed"),
    ("end of comment", "the comment `{#` is not closed by `#}`"),
    ("end of raw block", "`{% raw %}` is not closed by `{% endraw %}`"),
    (
        "unexpected character",
        "a character stands here that means nothing in an expression; a text stands in quotation marks",
    ),
    ("'_' may not occur", "a number ends with `_`"),
    (
        "invalid float",
        "a number is written in a way that is not understood",
    ),
    ("invalid integer", "a number is too large"),
    ("recursion", "there are too many brackets in each other"),
    (
        "reserved variable name",
        "a variable cannot be called like a word of the language, such as `true` or `loop`",
    ),
    ("inside a loop", "`break` and `continue` stand inside a loop"),
    ("statement", "there is no such statement between `{%` and `%}`"),
];

/// What is wrong.
pub(super) fn explained(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::SyntaxError, Some(said)) => words(said),
        _ => "it cannot be read as an expression".to_owned(),
    }
}

fn words(said: &str) -> String {
    if let Some((_, words)) = SAID.iter().find(|(sign, _)| said.contains(sign)) {
        return (*words).to_owned();
    }
    let Some(found) = said.strip_prefix("unexpected ") else {
        return "it cannot be read as an expression".to_owned();
    };
    let (found, expected) = found.split_once(", expected ").unwrap_or((found, "expression"));
    let expected = match expected {
        "end of variable block" => "`}}`, or an operator such as `|`, `==` or `~`".to_owned(),
        other => part(other),
    };
    format!("expected {expected}, found {}", part(found))
}

/// A part of the language, as people write it.
fn part(name: &str) -> String {
    let shown = match name {
        "start of variable block" => "`{{`",
        "end of variable block" => "`}}`",
        "start of block" => "`{%`",
        "end of block" => "`%}`",
        "identifier" => "a name",
        "identifier or integer" => "a name or a number",
        "string" => "a text",
        "integer" | "float" => "a number",
        "end of input" => "the end",
        "template-data" => "something outside of the braces",
        "expression" => "a value",
        "assignment operator" => "`=`",
        "comma" => "`,`",
        "keyword" | "block keyword" => "a word of the language",
        "missing keyword" => "`missing`",
        // A mark is shown as it is written.
        other if other.starts_with('`') => other,
        other => return format!("`{other}`"),
    };
    shown.to_owned()
}

#[cfg(test)]
mod tests {
    use crate::expression::{check_expression, check_template};

    #[test]
    fn what_is_wrong_with_a_template_is_told_in_our_words() {
        for (text, expected) in [
            (
                "{{ a b }}",
                "expected `}}`, or an operator such as `|`, `==` or `~`, found a name",
            ),
            ("{{ }}", "expected a value, found `}}`"),
            ("{{ a | }}", "expected a name, found `}}`"),
            ("{{ a. }}", "expected a name or a number, found `}}`"),
            (
                "{{ a",
                "expected `}}`, or an operator such as `|`, `==` or `~`, found the end",
            ),
            ("{{ a[] }}", "expected a value, found `]`"),
            ("{{ [a b] }}", "expected `,`, found a name"),
            ("{{ {a 1} }}", "expected `:`, found a number"),
            (
                "{{ f(a=1, 2) }}",
                "a parameter without a name stands behind one with a name",
            ),
            ("{{ (a }}", "expected `)`, found `}`"),
            ("{{ a + * b }}", "expected a value, found `*`"),
            (
                "{{ a ? b }}",
                "a character stands here that means nothing in an expression",
            ),
            (
                "{{ 99999999999999999999999999999999999999999 }}",
                "a number is too large",
            ),
            ("{# a", "the comment `{#` is not closed by `#}`"),
            ("{% if %}", "expected a value, found `%}`"),
            ("{% for x a %}", "expected `in`, found a name"),
            ("{% wrong %}", "there is no such statement between `{%` and `%}`"),
            ("{% raw %}a", "`{% raw %}` is not closed by `{% endraw %}`"),
        ] {
            let said = check_template(text).unwrap_err();
            let words = said.strip_prefix(&format!("`{text}`: ")).unwrap_or(&said);
            assert!(words.starts_with(expected), "{text}: {words}");
            for theirs in ["unexpected", "syntax", "identifier", "block", "token", "keyword"] {
                assert!(!words.contains(theirs), "{said}");
            }
        }
        for (text, expected) in [
            ("a and", "expected a value, found the end"),
            ("", "expected a value, found the end"),
            ("a b", "something is left over behind the expression"),
        ] {
            let said = check_expression(text).unwrap_err();
            assert_eq!(
                said.split_once(": ").unwrap().1.get(..expected.len()),
                Some(expected)
            );
        }
    }
}
