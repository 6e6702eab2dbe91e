//! Expressions: Jinja, as Ansible evaluates it, within the subset.
//!
//! A text that is one `{{ expression }}` keeps the type of its value, as in Ansible; any other text is rendered.
//! What would come out differently in Python (a list inside a text) is an error rather than a difference.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde_json::Value as Json;

/// The variables an expression sees.
pub(crate) type Variables = BTreeMap<String, Value>;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // The delimiters are the usual ones, which is the only thing that could be wrong.
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .trim_blocks(true)
        .build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_formatter(|output, state, value| match value.kind() {
        ValueKind::Bool => output
            .write_str(if value.is_true() { "True" } else { "False" })
            .map_err(Error::from),
        ValueKind::None => Ok(()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("{} inside a text: use the filter join or to_json", value.kind()),
        )),
        _ => minijinja::escape_formatter(output, state, value),
    });
    environment.add_filter("bool", filter_bool);
    environment.add_filter("int", filter_int);
    environment.add_filter("to_json", filter_to_json);
    environment.add_filter("from_json", filter_from_json);
    environment.add_filter("quote", |text: String| shell_quoted(&text));
    environment.add_filter("basename", |text: String| {
        text.rsplit('/').next().map(str::to_owned).unwrap_or_default()
    });
    environment.add_filter("dirname", |text: String| {
        text.rsplit_once('/')
            .map(|(directory, _)| directory.to_owned())
            .unwrap_or_default()
    });
    environment.add_test("version", test_version);
    environment.add_test("success", |result: Value| !flag(&result, "failed"));
    environment.add_test("succeeded", |result: Value| !flag(&result, "failed"));
    environment.add_test("failed", |result: Value| flag(&result, "failed"));
    environment.add_test("changed", |result: Value| flag(&result, "changed"));
    environment.add_test("skipped", |result: Value| flag(&result, "skipped"));
    environment
}

/// Checks the syntax of a text that may hold `{{ }}`.
pub(crate) fn check_template(text: &str) -> Result<(), String> {
    match whole_expression(text) {
        Some(inner) => check_expression(inner),
        None if is_plain(text) => Ok(()),
        None => ENVIRONMENT
            .template_from_str(text)
            .map(drop)
            .map_err(|error| explained(&error, text)),
    }
}

/// Checks the syntax of a bare expression.
pub(crate) fn check_expression(text: &str) -> Result<(), String> {
    ENVIRONMENT
        .compile_expression(text)
        .map(drop)
        .map_err(|error| explained(&error, text))
}

/// Evaluates all texts in a value.
pub(crate) fn evaluate(value: &Json, variables: &Variables) -> Result<Json, String> {
    match value {
        Json::String(text) => evaluate_text(text, variables),
        Json::Array(items) => items.iter().map(|item| evaluate(item, variables)).collect(),
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), evaluate(value, variables)?)));
            Ok(Json::Object(entries.collect::<Result<_, String>>()?))
        }
        other => Ok(other.clone()),
    }
}

/// Evaluates one text to a value of any type.
pub(crate) fn evaluate_text(text: &str, variables: &Variables) -> Result<Json, String> {
    if is_plain(text) {
        return Ok(Json::String(text.to_owned()));
    }
    match whole_expression(text) {
        Some(inner) => evaluate_expression(inner, variables),
        None => ENVIRONMENT
            .render_str(text, context(variables))
            .map(Json::String)
            .map_err(|error| explained(&error, text)),
    }
}

/// Evaluates a bare expression.
pub(crate) fn evaluate_expression(text: &str, variables: &Variables) -> Result<Json, String> {
    let value = ENVIRONMENT
        .compile_expression(text)
        .and_then(|expression| expression.eval(context(variables)))
        .map_err(|error| explained(&error, text))?;
    if value.is_undefined() {
        return Err(format!("`{}` is undefined", text.trim()));
    }
    serde_json::to_value(&value).map_err(|error| format!("`{}`: {error}", text.trim()))
}

/// Whether all conditions hold. Each must be true or false: Ansible 2.19 refuses others too.
pub(crate) fn holds(conditions: &[String], variables: &Variables) -> Result<bool, String> {
    for condition in conditions {
        match evaluate_expression(condition, variables)? {
            Json::Bool(true) => {}
            Json::Bool(false) => return Ok(false),
            other => return Err(format!("`{condition}` is {other}, not true or false")),
        }
    }
    Ok(true)
}

/// A JSON value as one that expressions can use.
pub(crate) fn variable(value: &Json) -> Value {
    Value::from(Serde(value))
}

fn context(variables: &Variables) -> Value {
    Value::from_object(variables.clone())
}

fn is_plain(text: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|opening| text.contains(opening))
}

/// The inside of a text that is nothing but one `{{ }}`.
fn whole_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}") && !inner.starts_with('-')).then_some(inner)
}

fn explained(error: &Error, text: &str) -> String {
    let kind = error.kind().to_string();
    let what = match (error.kind(), error.detail()) {
        // The detail is a sentence already.
        (ErrorKind::UndefinedError, Some(detail)) => detail.to_owned(),
        (_, Some(detail)) => format!("{kind}: {detail}"),
        (_, None) => kind,
    };
    let shown: String = text.trim().chars().take(200).collect();
    format!("`{shown}`: {what}")
}

fn flag(result: &Value, name: &str) -> bool {
    result.get_attr(name).is_ok_and(|value| value.is_true())
}

fn filter_bool(value: Value) -> bool {
    match value.as_str() {
        Some(text) => matches!(
            text.to_lowercase().as_str(),
            "yes" | "on" | "1" | "true" | "y" | "t"
        ),
        None => value.is_true(),
    }
}

fn filter_int(value: Value, default: Option<i64>) -> i64 {
    let parsed = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(i64::from(value.is_true())),
        None => i64::try_from(value).ok(),
    };
    parsed.or(default).unwrap_or_default()
}

fn filter_to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    options.assert_all_used()?;
    let text = serde_json::to_value(&value).map(|json| python_json(&json));
    text.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

fn filter_from_json(text: String) -> Result<Value, Error> {
    serde_json::from_str::<Json>(&text)
        .map(|json| variable(&json))
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("from_json: {error}")))
}

/// JSON as Python writes it: with a space after comma and colon.
pub(crate) fn python_json(value: &Json) -> String {
    match value {
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(python_json).collect::<Vec<_>>().join(", ")
        ),
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", Json::String(key.clone()), python_json(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A word for a shell command line, quoted only if it must be, as Python's `shlex.quote`.
fn shell_quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

fn test_version(have: String, other: String, operator: Option<String>) -> Result<bool, Error> {
    let order = compare_versions(&have, &other);
    match operator.as_deref().unwrap_or("==") {
        "<" | "lt" => Ok(order.is_lt()),
        "<=" | "le" => Ok(order.is_le()),
        ">" | "gt" => Ok(order.is_gt()),
        ">=" | "ge" => Ok(order.is_ge()),
        "==" | "=" | "eq" => Ok(order.is_eq()),
        "!=" | "<>" | "ne" => Ok(order.is_ne()),
        other => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("{other:?} is no comparison of versions"),
        )),
    }
}

/// Numbers by value, words by letters, piece by piece.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let (one, other) = (version_pieces(one), version_pieces(other));
    one.cmp(&other)
}

/// Words sort before numbers, so that `1.0rc1` comes before `1.0.1`.
fn version_pieces(version: &str) -> Vec<(u64, String)> {
    let mut pieces: Vec<(u64, String)> = Vec::new();
    let mut piece = String::new();
    for character in version.chars().chain(['.']) {
        let is_digit = character.is_ascii_digit();
        let was_digit = piece.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        if !piece.is_empty() && (!character.is_ascii_alphanumeric() || is_digit != was_digit) {
            let done = std::mem::take(&mut piece);
            pieces.push(match done.parse::<u64>() {
                Ok(number) => (number.saturating_add(1), String::new()),
                Err(_) => (0, done),
            });
        }
        if character.is_ascii_alphanumeric() {
            piece.push(character);
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
