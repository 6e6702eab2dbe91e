//! Tests: what stands behind `is`. Of something undefined only `defined` and `undefined` can be asked.

use std::cmp::Ordering;

use super::given::Given;
use super::operators;
use super::version;
use crate::value::Value;

/// Whether the test holds, or the undefined value that it was given.
pub(super) fn apply(name: &str, value: &Value, given: &Given) -> Result<Value, String> {
    let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    if let Value::Broken(why) = value {
        return Err(why.clone());
    }
    let is_missing = matches!(value, Value::Undefined(_) | Value::NoElse);
    match name {
        "defined" => return Ok(Value::Bool(!is_missing)),
        "undefined" => return Ok(Value::Bool(is_missing)),
        _ if is_missing => return Ok(value.clone()),
        _ => {}
    }
    if let Some(missing) = given.undefined() {
        return Ok(missing.clone());
    }
    let holds = holds(name, value, given).map_err(|why| format!("test {name}: {why}"))?;
    Ok(Value::Bool(holds))
}

fn holds(name: &str, value: &Value, given: &Given) -> Result<bool, String> {
    let other = || {
        given
            .positional
            .first()
            .or_else(|| given.named.values().next())
            .unwrap_or(&Value::Null)
    };
    let order = |wanted: &[Ordering]| {
        let order = operators::order(value, other())?;
        Ok(order.is_some_and(|order| wanted.contains(&order)))
    };
    match name {
        "none" => Ok(value.is_null()),
        "true" => Ok(*value == Value::Bool(true)),
        "false" => Ok(*value == Value::Bool(false)),
        "boolean" => Ok(matches!(value, Value::Bool(_))),
        "integer" => Ok(matches!(value, Value::Int(_))),
        "float" => Ok(matches!(value, Value::Float(_))),
        "number" => Ok(matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_))),
        "string" => Ok(matches!(value, Value::Text(_))),
        "mapping" => Ok(matches!(value, Value::Map(_))),
        "sequence" | "iterable" => Ok(matches!(value, Value::Text(_) | Value::List(_) | Value::Map(_))),
        "truthy" => value.is_true(),
        "falsy" => Ok(!value.is_true()?),
        "lower" => is_case(value, char::is_lowercase, char::is_uppercase),
        "upper" => is_case(value, char::is_uppercase, char::is_lowercase),
        "odd" => remainder(value, &Value::Int(2), 1),
        "even" => remainder(value, &Value::Int(2), 0),
        "divisibleby" => remainder(value, other(), 0),
        "eq" | "equalto" | "==" => operators::equal(value, other()),
        "ne" | "!=" => Ok(!operators::equal(value, other())?),
        "lt" | "lessthan" | "<" => order(&[Ordering::Less]),
        "le" | "<=" => order(&[Ordering::Less, Ordering::Equal]),
        "gt" | "greaterthan" | ">" => order(&[Ordering::Greater]),
        "ge" | ">=" => order(&[Ordering::Greater, Ordering::Equal]),
        "in" => operators::contains(other(), value),
        "contains" => operators::contains(value, other()),
        "all" => every(value, true),
        "any" => Ok(!every(value, false)?),
        "changed" => Ok(of_result(value, "changed")? || any_result_changed(value)),
        "failed" => of_result(value, "failed"),
        "succeeded" | "success" => Ok(!of_result(value, "failed")?),
        "skipped" => of_result(value, "skipped"),
        "version" | "version_compare" => {
            let against = given.parameter(0, "version").unwrap_or(&Value::Null);
            let operator = given
                .parameter(1, "operator")
                .map_or(Ok("eq".to_owned()), Value::to_text)?;
            if given
                .parameter(2, "version_type")
                .is_some_and(|kind| *kind != Value::from("loose"))
            {
                return Err("it compares as version_type='loose' only".to_owned());
            }
            if !value.is_true()? || !against.is_true()? {
                return Err("what is empty is no version".to_owned());
            }
            version::holds(&value.to_text()?, &against.to_text()?, &operator)
        }
        _ => Err("it is not supported".to_owned()),
    }
}

/// Letters of one case and none of the other.
fn is_case(value: &Value, is_wanted: fn(char) -> bool, is_other: fn(char) -> bool) -> Result<bool, String> {
    let text = value.to_text()?;
    Ok(text.chars().any(is_wanted) && !text.chars().any(is_other))
}

fn remainder(value: &Value, divisor: &Value, wanted: i64) -> Result<bool, String> {
    let rest = operators::calculated(minijinja::machinery::ast::BinOpKind::Rem, value, divisor)?;
    operators::equal(&rest, &Value::Int(wanted))
}

/// Whether all elements are true, or all false.
fn every(value: &Value, wanted: bool) -> Result<bool, String> {
    for element in operators::elements(value)? {
        if element.is_true()? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A flag of a registered result.
fn of_result(value: &Value, flag: &str) -> Result<bool, String> {
    match value {
        Value::Map(entries) => entries.get(flag).map_or(Ok(false), Value::is_true),
        other => Err(format!("{} is no result of a task", other.kind())),
    }
}

/// A result that says nothing itself of whether it changed something may have others in it that do.
fn any_result_changed(value: &Value) -> bool {
    if value.get("changed").is_some() {
        return false;
    }
    let Some(Value::List(results)) = value.get("results") else {
        return false;
    };
    let is_changed = |one: &Value| one.get("changed").is_some_and(|flag| flag.is_true() == Ok(true));
    results.iter().any(is_changed)
}
