//! Reads what the control endpoint is told, and says what is wrong with it and where.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

/// Reads one document of JSON.
///
/// # Errors
/// One sentence, with the way to what is wrong before it (`rules[1].effect`).
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let way = error.path().to_string();
        said(&way, error.inner(), body)
    })?;
    reader.end().map_err(|error| said(".", &error, body))?;
    Ok(read)
}

fn said(way: &str, error: &serde_json::Error, body: &[u8]) -> String {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    // The library's own place, which is the end of what it had read by then.
    let place = format!(" at line {line} column {column}");
    let text = whole.strip_suffix(place.as_str()).unwrap_or(&whole);
    match error.classify() {
        Category::Data => {
            let (way, sentence) = sentence(way, text);
            if matches!(way, "." | "?" | "") {
                return sentence;
            }
            format!("{way}: {sentence}")
        }
        // The library says the same of a number where only a text or a mapping can be.
        _ if serde_json::from_slice::<IgnoredAny>(body).is_ok() => {
            format!("{way}: it is neither a text nor a mapping")
        }
        Category::Eof => "it is no JSON: it ends too early".to_owned(),
        Category::Syntax | Category::Io => format!("it is no JSON: see line {line}, column {column}"),
    }
}

/// The way to what is wrong, and our words for those of the library. What is new in it is said as it says it.
fn sentence<'a>(way: &'a str, text: &str) -> (&'a str, String) {
    if let Some((name, known)) = named(text, "unknown field ") {
        // The way ends with the name itself.
        let above = way.strip_suffix(name.trim_matches('`')).unwrap_or(way);
        let above = above.strip_suffix('.').unwrap_or(above);
        return (above, format!("there is no member {name}{known}"));
    }
    if let Some((name, known)) = named(text, "unknown variant ") {
        return (way, format!("there is no {name}{known}"));
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        return (way, format!("the member {name} is missing"));
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        return (way, format!("the member {name} is there twice"));
    }
    let kinds = text
        .strip_prefix("invalid type: ")
        .or(text.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    match kinds {
        Some((found, expected)) => (way, format!("it is {}, not {}", kind(found), kind(expected))),
        None => (way, text.to_owned()),
    }
}

/// The name behind `prefix`, and those that there are.
fn named<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, String)> {
    let (name, known) = text.strip_prefix(prefix)?.split_once(", ")?;
    let known = match known.strip_prefix("expected ") {
        Some(known) => match known.strip_prefix("one of ") {
            Some(several) => format!(": there are {several}"),
            None if known.contains(" or ") => format!(": there are {}", known.replace(" or ", " and ")),
            None => format!(": there is {known}"),
        },
        None => String::new(),
    };
    Some((name, known))
}

/// A kind of value, or a value.
fn kind(text: &str) -> String {
    let shown = match text {
        "map" => "a mapping",
        "sequence" | "a sequence" => "a list",
        "a string" => "a text",
        "u8" | "u64" => "a whole number from 0",
        "a boolean" => "true or false",
        _ if text.starts_with("struct ") || text.starts_with("internally tagged enum ") => "a mapping",
        _ => {
            let value = ["integer ", "floating point ", "boolean ", "string "];
            let value = value.iter().find_map(|kind| text.strip_prefix(kind));
            value.unwrap_or(text).trim_matches('`')
        }
    };
    shown.to_owned()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::faults::{Fault, FaultPlan};

    /// Why a body is refused.
    fn of_fault(body: &str) -> String {
        read::<Fault>(body.as_bytes()).unwrap_err()
    }

    fn of_plan(body: &str) -> String {
        read::<FaultPlan>(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_fault_is_refused_in_words_that_say_what_there_is() {
        let kinds = "`partition`, `heal`, `freeze`, `thaw`, `power-cut`, `spot-loss`, `fail-run-instances`, `lose-answer`, \
                     `no-ssh`";
        for (body, reason) in [
            (
                r#"{"fault": "bogus"}"#,
                format!("fault: there is no `bogus`: there are {kinds}"),
            ),
            (
                r#"{"fault": "no-ssh", "colour": 1}"#,
                "there is no member `colour`: there is `count`".to_owned(),
            ),
            (
                r#"{"fault": "lose-answer", "colour": 1}"#,
                "there is no member `colour`: there are `count` and `hang`".to_owned(),
            ),
            (
                r#"{"fault": "heal"}"#,
                "the member `instance` is missing".to_owned(),
            ),
            (r#"{"count": 1}"#, "the member `fault` is missing".to_owned()),
            (
                r#"{"fault": "no-ssh", "count": "two"}"#,
                "it is \"two\", not a whole number from 0".to_owned(),
            ),
            (
                r#"{"fault": "no-ssh", "count": 1, "count": 2}"#,
                "the member `count` is there twice".to_owned(),
            ),
            ("7", "it is 7, not a mapping".to_owned()),
            ("", "it is no JSON: it ends too early".to_owned()),
            (
                r#"{"fault": "no-ssh""#,
                "it is no JSON: it ends too early".to_owned(),
            ),
            (
                r#"{"fault": no-ssh}"#,
                "it is no JSON: see line 1, column 12".to_owned(),
            ),
            (
                r#"{"fault": "no-ssh"} x"#,
                "it is no JSON: see line 1, column 21".to_owned(),
            ),
        ] {
            assert_eq!(of_fault(body), reason, "{body}");
        }
    }

    #[test]
    fn what_is_no_plan_is_refused_with_the_way_to_it() {
        let rule = |rest: &str| format!(r#"{{"rules": [{{"action": "RunInstances", {rest}}}]}}"#);
        for (body, reason) in [
            (r#"{"rules": 7}"#.to_owned(), "rules: it is 7, not a list"),
            (
                r#"{"rules": {}}"#.to_owned(),
                "rules: it is a mapping, not a list",
            ),
            (
                r#"{"rules": [null]}"#.to_owned(),
                "rules[0]: it is null, not a mapping",
            ),
            (
                rule(r#""effect": "no-ssh", "after": 1.5"#),
                "rules[0].after: it is 1.5, not a whole number from 0",
            ),
            (
                rule(r#""effect": {"pause": {"milliseconds": true}}"#),
                "rules[0].effect.pause.milliseconds: it is true, not a whole number from 0",
            ),
            (
                rule(r#""effect": 7"#),
                "rules[0].effect: it is neither a text nor a mapping",
            ),
        ] {
            assert_eq!(of_plan(&body), reason, "{body}");
        }
    }
}
