//! Mistakes in settings, in words for operators: where, what was found, what would be right.

use figment::{
    Error,
    error::{Actual, Kind},
};

use model::nearest::did_you_mean;

use super::environment::is_variable;

/// One mistake in one line: the environment's variable, or `[section] key`, and what is wrong with it.
pub(super) fn mistake(error: &Error) -> String {
    let variable = error
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.as_ref())
        .filter(|name| is_variable(name));
    // figment 0.10.19 puts what `extract_inner` was asked for behind the path inside it.
    let place = match (variable, error.path.split_last()) {
        (Some(name), _) => format!("{name}: "),
        (None, Some((section, []))) => format!("[{section}]: "),
        (None, Some((section, keys))) => format!("[{section}] {}: ", keys.join(".")),
        (None, None) => String::new(),
    };
    format!("{place}{}", kind(&error.kind))
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
            "is no address with a port, as 127.0.0.1:5080 or [::]:5080".to_owned()
        }
        Kind::Message(words) => words.clone(),
        other => other.to_string(),
    }
}

fn quoted(names: &[&str]) -> String {
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
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

fn actual(found: &Actual) -> String {
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
