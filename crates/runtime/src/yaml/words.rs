//! Mistakes in YAML, in words for people who write such files: no type of this program's language, no option of a library.

use model::nearest::did_you_mean;
use serde_saphyr::Error;

/// What is said of a number that is too large, or none at all.
pub(super) const WITHOUT_END: &str = "expected a number that is not too large, or a text in quotation marks";

const TOO_LARGE: &str = "the file is too large, too deep, or repeats its anchors too often";

/// What the parser says holds one of these, and what is said for it. The first that fits.
const SYNTAX: &[(&[&str], &str)] = &[
    (&["recursion limit"], TOO_LARGE),
    (
        &["tab"],
        "a tab stands here, but lines are indented with spaces only",
    ),
    (
        &["unclosed quote", "document indicator"],
        "a text in quotation marks is not closed",
    ),
    (
        &["trailing content"],
        "something follows the closing quotation mark of a text; or is one above not closed?",
    ),
    (
        &["escape", "hexadecimal", "surrogate"],
        "inside double quotation marks `\\` begins an escape, and this is none; `\\\\` is the character itself",
    ),
    (
        &["flow ", "bracket", "[{"],
        "a list in `[ ]` or a map in `{ }` is not closed, or lacks a comma",
    ),
    (
        &["expected '-'", "sequence entr", "'-' must"],
        "the items of a list begin with `- `, one below the other",
    ),
    (
        &["expected key", "indent", "node content"],
        "this line is not indented like the others of its map or list",
    ),
    (
        &["mapping values", "placement of ':'", "':' must"],
        "a `:` stands where none may; is the line indented as it should be, is a `[` or `{` above not closed, or does the text \
         belong in quotation marks?",
    ),
    (&["simple key"], "a key is followed by `: ` and its value"),
    (&["comment"], "a comment begins with a space and `#`"),
    (
        &["unexpected character", "cannot start with"],
        "a text that begins with this character belongs in quotation marks",
    ),
    (
        &["tag", "anchor", "directive", "handle"],
        "`!`, `&`, `*` and `%` have a meaning at the start of a text; put it in quotation marks",
    ),
    (
        &["document"],
        "there is more than one document; take out the line `---`",
    ),
];

/// Whether the text is YAML: the mistake is in what it says then.
fn is_yaml(error: &Error) -> bool {
    !matches!(
        error.without_snippet(),
        Error::ExternalMessage { .. } | Error::Eof { .. } | Error::MultipleDocuments { .. }
    )
}

/// The mistake itself, of a value that an alias repeats as well.
pub(super) fn cause(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => cause(error),
        error => error,
    }
}

/// Whether only a value is wrong, so that the text can be read on behind it.
pub(super) fn is_of_value(error: &Error) -> bool {
    is_yaml(error)
        && !matches!(
            cause(error),
            Error::UnknownAnchor { .. }
                | Error::MergeValueNotMapOrSeqOfMaps { .. }
                | Error::UnsupportedTag { .. }
                | Error::RecursiveReferencesRequireWeakTypes { .. }
                | Error::Budget { .. }
                | Error::AliasReplayLimitExceeded { .. }
                | Error::AliasExpansionLimitExceeded { .. }
                | Error::AliasReplayStackDepthExceeded { .. }
        )
}

/// The key that the mistake is about, from the way that was read; nothing where it says no more than the place.
pub(super) fn key(error: &Error, way: &str) -> String {
    let known = match error.without_snippet() {
        // The last part is what is not known.
        Error::SerdeUnknownField { .. } => way.rsplit_once('.').map_or("", |(parent, _)| parent),
        // What follows is not known; at the top of the file that is all.
        error if is_yaml(error) && way != "?" => way.trim_end_matches(".?"),
        // The parser has read on for a while.
        _ => "",
    };
    if known.is_empty() || known == "." {
        String::new()
    } else {
        format!("{known}: ")
    }
}

/// Whether the parser is in the way of a tab, which it may tell of the line before.
pub(super) fn is_of_tab(error: &Error, text: &str) -> bool {
    what(error, text) == syntax("tab")
}

/// What is wrong.
pub(super) fn what(error: &Error, text: &str) -> String {
    match error.without_snippet() {
        Error::ExternalMessage { .. } if is_indented_by_tab(error, text) => syntax("tab"),
        Error::Message { msg, .. } => message(msg),
        Error::ExternalMessage { msg, .. } => syntax(msg),
        Error::AliasError { error, .. } => what(error, text),
        Error::Eof { .. } if text.trim().is_empty() => "the file is empty".to_owned(),
        Error::Eof { .. } => "the file ends too early".to_owned(),
        Error::MultipleDocuments { .. } => {
            "there is more than one document; take out the line `---`".to_owned()
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` stands twice here"),
        Error::DuplicateMappingKey { key: None, .. } => "a key stands twice here".to_owned(),
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("there is no key `{field}` here{}", instead(field, expected))
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            format!("`{variant}` is not known{}", instead(variant, expected))
        }
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Error::InvalidScalar { ty, .. } => format!("expected {}", kind(ty)),
        Error::Unexpected { expected, .. } => format!("expected {}", kind(expected)),
        Error::SerdeInvalidType {
            unexpected, expected, ..
        }
        | Error::SerdeInvalidValue {
            unexpected, expected, ..
        } => {
            format!("expected {}, found {}", kind(expected), found(unexpected))
        }
        Error::SerdeInvalidLength { len, .. } => format!("{len} entries are too few or too many here"),
        Error::NonFiniteFloat { .. } => WITHOUT_END.to_owned(),
        Error::InvalidBooleanStrict { .. } => "expected `true` or `false`".to_owned(),
        Error::NullIntoString { .. } => "expected a text, found nothing".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an anchor refers to itself".to_owned(),
        Error::UnknownAnchor { .. } => {
            "`*` refers to an anchor, and there is no `&` with this name above".to_owned()
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => "`<<` takes a map, or a list of maps".to_owned(),
        Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
            "what follows the tag `!!binary` is no text in base64".to_owned()
        }
        Error::UnsupportedTag { tag, .. } => format!("the tag `{tag}` is not understood here"),
        Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::TaggedEnumMismatch { .. }
        | Error::TaggedStructFieldName { .. } => {
            "a tag, which begins with `!`, is not understood here".to_owned()
        }
        Error::QuotingRequired { value, .. } => format!("write `{value}` in quotation marks"),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => "expected one word".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_LARGE.to_owned(),
        _ => "this is not understood here".to_owned(),
    }
}

fn is_indented_by_tab(error: &Error, text: &str) -> bool {
    let line = error.location().map_or(0, |place| place.line());
    line > 0 && tab(text, line).is_some_and(|(found, _)| found == line)
}

/// Line and column of the first tab that indents a line, from that line on.
pub(super) fn tab(text: &str, from: u64) -> Option<(u64, u64)> {
    let rows = (1..).zip(text.lines()).skip_while(|(row, _)| *row < from);
    let mut found = rows.filter_map(|(row, line)| {
        let indent = line.chars().take_while(|letter| letter.is_whitespace());
        let column = (1..).zip(indent).find(|(_, letter)| *letter == '\t')?.0;
        Some((row, column))
    });
    found.next()
}

/// What a value's own type says of it.
fn message(said: &str) -> String {
    match said.split_once(" is no id of that kind") {
        Some((value, _)) => format!(
            "{value} is no UUID, such as 019a0000-0000-7000-8000-000000000001; `uuidgen` prints a new one"
        ),
        None => said.to_owned(),
    }
}

fn syntax(said: &str) -> String {
    let fitting = SYNTAX
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| said.contains(sign)));
    fitting.map_or("this is no YAML", |(_, words)| words).to_owned()
}

/// What may stand instead of a word.
fn instead(word: &str, known: &[&str]) -> String {
    let near = did_you_mean(word, known);
    let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let end = if near.is_empty() { "." } else { "" };
    match all.as_slice() {
        [] => format!("{near}{end}"),
        all => format!("{near}{end} There is {}", all.join(", ")),
    }
}

/// What was expected, from the name that a type has in this program.
fn kind(name: &str) -> String {
    let range = |most: u64| format!("a whole number from 0 to {most}");
    match name {
        "u8" => range(u64::from(u8::MAX)),
        "u16" => range(u64::from(u16::MAX)),
        "u32" => range(u64::from(u32::MAX)),
        "u64" | "u128" | "usize" => "a whole number that is not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "an integer" => "a whole number".to_owned(),
        "floating point" | "f32" | "f64" => "a number".to_owned(),
        "boolean" | "a boolean" | "bool" => "`true` or `false`".to_owned(),
        "string" | "a string" | "string scalar" | "scalar" | "value" => "a text or a number".to_owned(),
        "sequence start" | "seq" | "a sequence" => "a list, such as `[a, b]`".to_owned(),
        "mapping start" | "map" | "a map" => "a map, such as `{key: value}`".to_owned(),
        "null" | "unit" => "nothing".to_owned(),
        "consumed event" | "single YAML node" | "tagged node" => "one value".to_owned(),
        name if name.starts_with("struct ") => "a map, such as `{key: value}`".to_owned(),
        // What our own types say: in words already.
        name => name.to_owned(),
    }
}

/// What was found, which a library calls by the name of a type and puts in backquotes or quotation marks.
fn found(name: &str) -> String {
    let value = name
        .split_once(['`', '"'])
        .map(|(_, value)| value.trim_end_matches(['`', '"']));
    match (name, value) {
        ("map", _) => "a map".to_owned(),
        ("sequence", _) => "a list".to_owned(),
        ("unit value" | "null", _) => "nothing".to_owned(),
        (_, Some(value)) => format!("`{value}`"),
        (name, None) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{found, instead, kind, message, syntax};

    #[test]
    fn a_type_of_this_program_is_told_as_what_an_operator_writes() {
        for (names, words) in [
            (&["u8"][..], "a whole number from 0 to 255"),
            (&["u16"], "a whole number from 0 to 65535"),
            (&["u32"], "a whole number from 0 to 4294967295"),
            (&["u64", "usize"], "a whole number that is not negative"),
            (&["i32", "i64", "isize", "an integer"], "a whole number"),
            (&["f32", "f64", "floating point"], "a number"),
            (&["bool", "boolean", "a boolean"], "`true` or `false`"),
            (&["string", "a string", "scalar"], "a text or a number"),
            (
                &["seq", "a sequence", "sequence start"],
                "a list, such as `[a, b]`",
            ),
            (
                &["map", "a map", "mapping start", "struct Pool"],
                "a map, such as `{key: value}`",
            ),
            (&["unit", "null"], "nothing"),
            (&["tagged node"], "one value"),
            (&["a pool's name"], "a pool's name"),
        ] {
            for name in names {
                assert_eq!(kind(name), words, "{name}");
            }
        }
    }

    #[test]
    fn what_was_found_is_told_as_it_stands_in_the_file() {
        for (name, words) in [
            ("string \"many\"", "`many`"),
            ("integer `-4`", "`-4`"),
            ("floating point `4.5`", "`4.5`"),
            ("boolean `true`", "`true`"),
            ("string \"\"", "``"),
            ("string \"a `b`\"", "`a `b`"),
            ("map", "a map"),
            ("sequence", "a list"),
            ("unit value", "nothing"),
            ("null", "nothing"),
            ("a word", "a word"),
        ] {
            assert_eq!(found(name), words, "{name}");
        }
    }

    #[test]
    fn what_may_stand_instead_is_named_and_the_nearest_first() {
        for (word, known, words) in [
            (
                "mx",
                &["max", "min"][..],
                ", did you mean `max`? There is `max`, `min`",
            ),
            ("colour", &["max", "min"], ". There is `max`, `min`"),
            ("colour", &["size"], ". There is `size`"),
            ("colour", &[], "."),
        ] {
            assert_eq!(instead(word, known), words, "{word}");
        }
    }

    #[test]
    fn what_the_parser_says_is_told_by_the_first_sign_in_it() {
        for (said, part) in [
            (
                "found a tab character where indentation is expected",
                "a tab stands here",
            ),
            ("unclosed quote", "quotation marks is not closed"),
            (
                "invalid trailing content after double-quoted scalar",
                "something follows the closing",
            ),
            ("unknown escape character", "begins an escape"),
            ("unclosed bracket '['", "a list in `[ ]`"),
            ("expected '-' indicator", "begin with `- `"),
            (
                "mapping values are not allowed in this context",
                "a `:` stands where none may",
            ),
            (
                "could not find expected ':' of a simple key",
                "a key is followed by",
            ),
            (
                "comments must be separated by whitespace",
                "begins with a space and `#`",
            ),
            ("unexpected character: `@`", "belongs in quotation marks"),
            ("while parsing a tag", "have a meaning at the start of a text"),
            ("did not find expected document start", "more than one document"),
            ("something new", "this is no YAML"),
        ] {
            assert!(syntax(said).contains(part), "{said}: {}", syntax(said));
        }
    }

    #[test]
    fn an_id_that_is_none_is_told_with_how_to_get_one_and_other_words_stay() {
        let said = model::FleetId::PREFIX
            .parse::<model::FleetId>()
            .unwrap_err()
            .to_string();
        assert_eq!(
            message(&said),
            "`flt_` is no UUID, such as 019a0000-0000-7000-8000-000000000001; `uuidgen` prints a new one"
        );
        assert_eq!(message("`5` is not a duration"), "`5` is not a duration");
    }
}
