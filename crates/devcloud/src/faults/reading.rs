//! Reads what the control endpoint is told, and says what is wrong with it and where.

use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};

/// What a body of the control endpoint may be.
pub(crate) trait Document: DeserializeOwned {
    /// Where only a mapping may stand, `[]` for any element and `{}` for any member. Serde takes a list there too, as
    /// the members in their order.
    const MAPPINGS: &'static [&'static str];
    /// The member that says of which kind the whole is. Serde does not know the way into such a mapping.
    const TAG: Option<&'static str>;
}

/// Reads one document of JSON.
///
/// # Errors
/// One sentence, with the way to what is wrong before it (`rules[1].effect`).
pub(crate) fn read<T: Document>(body: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let way = value.as_ref().and_then(|value| way_to_list::<T>(value, "", ""));
    if let Some(way) = way {
        return Err(said(&way, "it is a list, not a mapping"));
    }
    let read = read.map_err(|error| {
        let way = error.path().to_string();
        refused::<T>(&way, error.inner(), value.as_ref())
    })?;
    reader
        .end()
        .map_err(|error| refused::<T>(".", &error, value.as_ref()))?;
    Ok(read)
}

/// The way to the first list that stands in the place of a mapping. `pattern` is `way` as [`Document::MAPPINGS`] has it.
fn way_to_list<T: Document>(value: &Value, way: &str, pattern: &str) -> Option<String> {
    match value {
        Value::Array(_) if T::MAPPINGS.contains(&pattern) => Some(way.to_owned()),
        Value::Array(list) => (0..).zip(list).find_map(|(place, value): (usize, _)| {
            way_to_list::<T>(value, &format!("{way}[{place}]"), &format!("{pattern}[]"))
        }),
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let known = |name: &str| {
                let pattern = format!("{pattern}.{name}");
                let pattern = pattern.trim_start_matches('.').to_owned();
                T::MAPPINGS
                    .iter()
                    .any(|known| known.starts_with(&pattern))
                    .then_some(pattern)
            };
            let pattern = known(name).or_else(|| known("{}"))?;
            way_to_list::<T>(value, format!("{way}.{name}").trim_start_matches('.'), &pattern)
        }),
        _ => None,
    }
}

/// Why the library refused a body. `body` is the same as a value, if it is JSON at all.
fn refused<T: Document>(way: &str, error: &serde_json::Error, body: Option<&Value>) -> String {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    // The library's own place, which is the end of what it had read by then.
    let place = format!(" at line {line} column {column}");
    let text = whole.strip_suffix(place.as_str()).unwrap_or(&whole);
    match error.classify() {
        Category::Data => {
            let (way, sentence) = sentence(way, text);
            let member = body
                .filter(|_| way == ".")
                .and_then(|body| member::<T>(body, text));
            said(member.as_deref().unwrap_or(way), &sentence)
        }
        // The library says the same of a number where only a text or a mapping can be.
        _ if body.is_some() => said(way, "it is neither a text nor a mapping"),
        Category::Eof => "it is no JSON: it ends too early".to_owned(),
        Category::Syntax | Category::Io => format!("it is no JSON: see line {line}, column {column}"),
    }
}

fn said(way: &str, sentence: &str) -> String {
    match way {
        "." | "?" | "" => sentence.to_owned(),
        _ => format!("{way}: {sentence}"),
    }
}

/// The member of a tagged mapping that is refused with this text: the one that is refused so with nothing beside it.
fn member<T: Document>(body: &Value, text: &str) -> Option<String> {
    let tag = T::TAG?;
    let members = body.as_object().filter(|members| members.contains_key(tag))?;
    let is_refused = |name: &str| {
        let alone = members
            .iter()
            .filter(|(other, _)| [tag, name].contains(&other.as_str()));
        let alone = alone.map(|(name, value)| (name.clone(), value.clone())).collect();
        T::deserialize(Value::Object(alone)).is_err_and(|error| error.to_string() == text)
    };
    members
        .keys()
        .find(|name| *name != tag && is_refused(name))
        .cloned()
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
        "map" | "a map" => "a mapping",
        "sequence" | "a sequence" => "a list",
        "a string" | "variant identifier" => "a text",
        "unit" => "null",
        "unit variant" => "a mere name",
        "u8" | "u32" | "u64" | "usize" => "a whole number from 0",
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
                "count: it is \"two\", not a whole number from 0".to_owned(),
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

    /// Serde reads a list as the members of a mapping in their order. Nobody means that.
    #[test]
    fn a_list_in_the_place_of_a_mapping_is_refused_with_the_way_to_it() {
        for (body, reason) in [
            ("[]", "it is a list, not a mapping"),
            (r#"["no-ssh"]"#, "it is a list, not a mapping"),
            (r#"["flood"]"#, "it is a list, not a mapping"),
            (r#"["no-ssh", 2]"#, "it is a list, not a mapping"),
            (r#"[{"fault": "no-ssh"}]"#, "it is a list, not a mapping"),
            (r#"{"fault": ["no-ssh"]}"#, "fault: it is a list, not a text"),
            (r#"{"fault": 8}"#, "fault: it is 8, not a text"),
            (
                r#"{"fault": "heal", "instance": ["i-1"]}"#,
                "instance: it is a list, not a text",
            ),
        ] {
            assert_eq!(of_fault(body), reason, "{body}");
        }
        assert_eq!(of_plan("[7, []]"), "it is a list, not a mapping");
        for (rule, reason) in [
            (
                r#"["RunInstances", 0, 1, 100, "no-ssh"]"#,
                "rules[1]: it is a list, not a mapping",
            ),
            (
                r#"{"action": "RunInstances", "effect": {"pause": [5]}}"#,
                "rules[1].effect.pause: it is a list, not a mapping",
            ),
            (
                r#"{"action": "RunInstances", "effect": {"pause": []}}"#,
                "rules[1].effect.pause: it is a list, not a mapping",
            ),
            (
                r#"{"action": "RunInstances", "effect": ["no-ssh"]}"#,
                "rules[1].effect: it is neither a text nor a mapping",
            ),
            (
                r#"{"action": "RunInstances", "effect": {"no-ssh": {}}}"#,
                "rules[1].effect.no-ssh: it is a mapping, not null",
            ),
            (
                r#"{"action": "RunInstances", "effect": "pause"}"#,
                "rules[1].effect.pause: it is a mere name, not a mapping",
            ),
            (
                r#"{"action": ["RunInstances"], "effect": "no-ssh"}"#,
                "rules[1].action: it is a list, not a text",
            ),
        ] {
            let body = format!(r#"{{"rules": [{{"action": "RunInstances", "effect": "no-ssh"}}, {rule}]}}"#);
            assert_eq!(of_plan(&body), reason, "{body}");
        }
    }
}
