//! Mistakes in settings, in words for operators: where, what was found, what would be right.

use figment::{
    Error,
    error::{Actual, Kind},
};

use model::nearest::did_you_mean;

use super::{
    environment::is_variable,
    mistakes::{At, Mistakes, joined},
};

/// What is said of a text that no process can listen on.
pub const NO_LISTENER: &str = "no address with a port, such as 127.0.0.1:5080 or [::]:5080";

/// Adds a mistake: the environment's variable, or place, `[section] key`, and what is wrong with it. The error's path begins with
/// the section.
pub(super) fn tell(error: &Error, mistakes: &mut Mistakes) {
    let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let key = match path.as_slice() {
        [] => String::new(),
        [section] => format!("[{section}]: "),
        [section, keys @ ..] => format!("[{section}] {}: ", joined(keys)),
    };
    told(error, &path, &key, mistakes);
}

/// The same of a file without sections.
pub(super) fn tell_flat(error: &Error, mistakes: &mut Mistakes) {
    let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let key = match path.as_slice() {
        [] => String::new(),
        keys => format!("{}: ", joined(keys)),
    };
    told(error, &path, &key, mistakes);
}

fn told(error: &Error, path: &[&str], key: &str, mistakes: &mut Mistakes) {
    let words = kind(&error.kind);
    let metadata = error.metadata.as_ref().map(|metadata| metadata.name.as_ref());
    let at = match error.kind {
        Kind::UnknownField(..) => At::Key,
        _ => At::Value,
    };
    match metadata.filter(|name| is_variable(name)) {
        Some(name) => mistakes.of_variable(name, &words),
        None => mistakes.of_setting(path, key, at, &words),
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            format!("expected {}, found {}", expected(wanted), actual(found))
        }
        Kind::UnknownField(name, known) => {
            let hint = did_you_mean(name, *known);
            format!("there is no setting `{name}`{hint}")
        }
        Kind::UnknownVariant(name, known) => format!("`{name}` is none of {}", quoted(known)),
        Kind::ISizeOutOfRange(number) => format!("{number} is out of range"),
        Kind::USizeOutOfRange(number) => format!("{number} is out of range"),
        Kind::Message(words) if words.contains("socket address") => {
            format!("it is {NO_LISTENER}")
        }
        Kind::Message(words) => words.clone(),
        Kind::MissingField(name) => format!("the setting `{name}` is missing"),
        Kind::DuplicateField(name) => format!("the setting `{name}` stands twice"),
        Kind::InvalidLength(count, _) => format!("{count} entries are too few or too many here"),
        Kind::Unsupported(_) | Kind::UnsupportedKey(..) => "this is not understood here".to_owned(),
    }
}

/// Words, each in backquotes.
pub(super) fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What was expected, from the words of the type that was to be read.
fn expected(wanted: &str) -> String {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" | "nonzero u32" | "nonzero usize" => {
            "a whole number that is not negative and not too large".to_owned()
        }
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "path string" => "a path".to_owned(),
        "socket address" => "an address with a port".to_owned(),
        "a map" => "a table".to_owned(),
        "a sequence" => "a list, such as [\"a\", \"b\"]".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "unit" | "unit variant" => "one word".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("enum ") => "one word".to_owned(),
        // What our own types say is in words already.
        other => other.to_owned(),
    }
}

/// What was found.
pub(super) fn actual(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Char(letter) => format!("`{letter}`"),
        Actual::Str(text) => format!("`{text}`"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use figment::{Metadata, Profile};

    use super::*;

    fn told(of: Kind) -> String {
        kind(&of)
    }

    #[test]
    fn what_was_found_and_what_would_be_right_are_told_without_names_of_types() {
        for (found, wanted, words) in [
            (
                Actual::Bool(true),
                "u16",
                "expected a whole number that is not negative and not too large, found `true`",
            ),
            (
                Actual::Signed(-1),
                "usize",
                "expected a whole number that is not negative and not too large, found the number -1",
            ),
            (
                Actual::Float(1.5),
                "i64",
                "expected a whole number, found the number 1.5",
            ),
            (
                Actual::Unsigned(7),
                "a string",
                "expected a text, found the number 7",
            ),
            (Actual::Char('x'), "path string", "expected a path, found `x`"),
            (
                Actual::Seq,
                "socket address",
                "expected an address with a port, found a list",
            ),
            (
                Actual::Str("x".to_owned()),
                "struct HttpSettings",
                "expected a table, found `x`",
            ),
            (Actual::Map, "a string", "expected a text, found a table"),
            (
                Actual::Str("10.0.0.0/8".to_owned()),
                "a sequence",
                "expected a list, such as [\"a\", \"b\"], found `10.0.0.0/8`",
            ),
            (
                Actual::Unsigned(1),
                "a boolean",
                "expected true or false, found the number 1",
            ),
            // What our own types say is in words already.
            (
                Actual::Str("x".to_owned()),
                "a size",
                "expected a size, found `x`",
            ),
        ] {
            assert_eq!(told(Kind::InvalidType(found.clone(), wanted.to_owned())), words);
            assert_eq!(told(Kind::InvalidValue(found, wanted.to_owned())), words);
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_told_with_those_that_are() {
        let known = &["text", "json"];
        assert_eq!(
            told(Kind::UnknownVariant("xml".to_owned(), known)),
            "`xml` is none of `text`, `json`"
        );
        assert_eq!(
            told(Kind::UnknownField("jsn".to_owned(), known)),
            "there is no setting `jsn`, did you mean `json`?"
        );
        assert_eq!(
            told(Kind::UnknownField("colour".to_owned(), known)),
            "there is no setting `colour`"
        );
    }

    #[test]
    fn messages_of_our_own_types_stay_and_those_of_the_library_do_not() {
        for (said, words) in [
            ("`12` is not a size with a unit", "`12` is not a size with a unit"),
            (
                "invalid socket address syntax",
                "it is no address with a port, such as 127.0.0.1:5080 or [::]:5080",
            ),
        ] {
            assert_eq!(told(Kind::Message(said.to_owned())), words);
        }
    }

    #[test]
    fn the_place_is_a_variable_or_section_and_key() {
        let error = |metadata: Option<&str>, path: &[&str]| {
            let mut error = Error::from("x".to_owned());
            error.metadata = metadata.map(|name| Metadata::named(name.to_owned()));
            error.profile = Some(Profile::Default);
            error.path = path.iter().map(|part| (*part).to_owned()).collect();
            let mut mistakes = Mistakes::new("f", None);
            tell(&error, &mut mistakes);
            let said = mistakes.into_error().unwrap().to_string();
            said.lines().nth(1).unwrap().trim().to_owned()
        };
        for (metadata, path, expected) in [
            (
                Some("VERDIGRIS_HTTP__LISTEN"),
                &["http", "listen"][..],
                "VERDIGRIS_HTTP__LISTEN: x",
            ),
            (
                Some("TOML source string"),
                &["http", "listen"],
                "[http] listen: x",
            ),
            (None, &["http", "old"], "[http] old: x"),
            (None, &["http", "mirrors", "old"], "[http] mirrors.old: x"),
            (None, &["http", "proxies", "[1]"], "[http] proxies[1]: x"),
            (None, &["http"], "[http]: x"),
            (None, &[], "x"),
        ] {
            assert_eq!(error(metadata, path), expected, "{path:?}");
        }
    }

    #[test]
    fn what_is_missing_or_stands_twice_is_named_in_our_words() {
        assert_eq!(
            told(Kind::MissingField("url".into())),
            "the setting `url` is missing"
        );
        assert_eq!(
            told(Kind::DuplicateField("url")),
            "the setting `url` stands twice"
        );
        let length = told(Kind::InvalidLength(3, "tuple of 2".to_owned()));
        assert_eq!(length, "3 entries are too few or too many here");
    }

    #[test]
    fn no_type_of_this_program_is_named() {
        for wanted in ["enum LogFormat", "unit", "unit variant", "struct X", "f64"] {
            let words = told(Kind::InvalidType(Actual::Unsigned(3), wanted.to_owned()));
            for theirs in ["enum", "unit", "struct", "f64", "variant"] {
                assert!(!words.contains(theirs), "{words}");
            }
        }
    }
}
