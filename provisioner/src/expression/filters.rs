//! Filters. One that is given something undefined, or has a parameter that is, gives that on; a filter such as `default`
//! that looks for it comes later in the chain, and whatever uses the value in the end complains.

mod collections;
mod texts;

use super::given::Given;
use super::operators;
use crate::value::Value;

use collections::Order;

/// Applies one filter.
pub(super) fn apply(name: &str, value: Value, given: &Given) -> Result<Value, String> {
    let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    if let Value::NoElse | Value::Broken(_) = value {
        value.present()?;
    }
    match name {
        "default" | "d" => return default(value, given),
        "mandatory" => return mandatory(value, given),
        _ => {}
    }
    if let Value::Undefined(_) = value {
        return Ok(value);
    }
    if name == "ternary" {
        return ternary(&value, given);
    }
    if let Some(missing) = given.undefined() {
        return Ok(missing.clone());
    }
    applied(name, value, given).map_err(|why| format!("filter {name}: {why}"))
}

fn applied(name: &str, value: Value, given: &Given) -> Result<Value, String> {
    match name {
        "abs" | "basename" | "bool" | "dirname" | "float" | "from_json" | "int" | "lower" | "quote"
        | "replace" | "split" | "string" | "to_json" | "trim" | "upper" => of_one_value(name, &value, given),
        _ => of_collections(name, value, given),
    }
}

/// Filters of texts and numbers.
fn of_one_value(name: &str, value: &Value, given: &Given) -> Result<Value, String> {
    let text = |text: String| Ok(Value::Text(text));
    match name {
        "abs" => match operators::order(value, &Value::Int(0))? {
            Some(std::cmp::Ordering::Less) => operators::negated(value),
            _ => operators::negated(&operators::negated(value)?),
        },
        "basename" => texts::file_name(value),
        "bool" => Ok(Value::Bool(texts::truth(value))),
        "dirname" => texts::folder_name(value),
        "float" => Ok(texts::fraction(value).map_or_else(
            || {
                given
                    .parameter(0, "default")
                    .cloned()
                    .unwrap_or(Value::Float(0.0))
            },
            Value::Float,
        )),
        "from_json" => texts::from_json(value),
        "int" => {
            let base = given.whole(1, "base")?.unwrap_or(10);
            let number = texts::whole(value, base)?;
            Ok(number.map_or_else(
                || given.parameter(0, "default").cloned().unwrap_or(Value::Int(0)),
                Value::Int,
            ))
        }
        "lower" => text(value.to_text()?.to_lowercase()),
        "quote" => texts::quoted(value),
        "replace" => {
            let (old, new) = (given.text_or(0, "old", "")?, given.text_or(1, "new", "")?);
            let whole = value.to_text()?;
            text(
                match given
                    .whole(2, "count")?
                    .and_then(|count| usize::try_from(count).ok())
                {
                    Some(count) => whole.replacen(&old, &new, count),
                    None => whole.replace(&old, &new),
                },
            )
        }
        "split" => texts::split(value, given.parameter(0, "sep"), given.whole(1, "maxsplit")?),
        "string" => text(value.to_text()?),
        "to_json" => text(value.to_json_text()?),
        "trim" => {
            let whole = value.to_text()?;
            text(
                match given.parameter(0, "chars").filter(|value| !value.is_null()) {
                    None => whole.trim().to_owned(),
                    Some(characters) => {
                        let characters = characters.to_text()?;
                        whole
                            .trim_matches(|letter| characters.contains(letter))
                            .to_owned()
                    }
                },
            )
        }
        "upper" => text(value.to_text()?.to_uppercase()),
        _ => Err("it is not supported".to_owned()),
    }
}

/// Filters of lists and mappings, and of texts as lists of their letters.
fn of_collections(name: &str, value: Value, given: &Given) -> Result<Value, String> {
    let text = |text: String| Ok(Value::Text(text));
    match name {
        "combine" => collections::combined(&value, given),
        "dict2items" => {
            let (key, entry) = (
                given.text_or(0, "key_name", "key")?,
                given.text_or(1, "value_name", "value")?,
            );
            collections::items(value, &key, &entry)
        }
        "first" => collections::end(&value, "first"),
        "flatten" => {
            let levels = given.whole(0, "levels")?;
            let skips = given
                .parameter(1, "skip_nulls")
                .map_or(Ok(true), Value::is_true)?;
            Ok(Value::List(collections::flat(
                &operators::elements(&value)?,
                levels,
                skips,
            )))
        }
        "items2dict" => {
            let (key, entry) = (
                given.text_or(0, "key_name", "key")?,
                given.text_or(1, "value_name", "value")?,
            );
            collections::mapping(&value, &key, &entry)
        }
        "join" => {
            let items = collections::attributes(
                operators::elements(&value)?,
                given.parameter(1, "attribute"),
                None,
            )?;
            let words = items.iter().map(Value::to_text).collect::<Result<Vec<_>, _>>()?;
            text(words.join(&given.text_or(0, "d", "")?))
        }
        "last" => collections::end(&value, "last"),
        "length" | "count" => match value {
            Value::Text(_) | Value::List(_) | Value::Map(_) => {
                let count = operators::elements(&value)?.len();
                Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
            }
            other => Err(format!("{} has no length", other.kind())),
        },
        "list" => Ok(Value::List(operators::elements(&value)?)),
        "map" => collections::mapped(&value, given),
        "max" | "min" => collections::extreme(&value, name == "max", &Order::of(given, [1, 0, usize::MAX])?),
        "reject" | "select" => collections::chosen(&value, given, name == "select", false),
        "rejectattr" | "selectattr" => collections::chosen(&value, given, name == "selectattr", true),
        "reverse" => match value {
            Value::Text(whole) => text(whole.chars().rev().collect()),
            other => Ok(Value::List(
                operators::elements(&other)?.into_iter().rev().collect(),
            )),
        },
        "sort" => collections::sorted(&value, &Order::of(given, [2, 1, 0])?),
        "sum" => collections::sum(&value, given),
        "unique" => collections::unique(&value, given.parameter(0, "case_sensitive")),
        _ => Err("it is not supported".to_owned()),
    }
}

fn default(value: Value, given: &Given) -> Result<Value, String> {
    let otherwise = || {
        given
            .parameter(0, "default_value")
            .cloned()
            .unwrap_or(Value::Text(String::new()))
    };
    match value {
        Value::Undefined(_) => Ok(otherwise()),
        value if given.flag(1, "boolean")? && !value.is_true()? => Ok(otherwise()),
        value => Ok(value),
    }
}

fn mandatory(value: Value, given: &Given) -> Result<Value, String> {
    match (
        value,
        given.parameter(0, "msg").filter(|message| !message.is_null()),
    ) {
        (Value::Undefined(_), Some(message)) => Err(message.to_text()?),
        (Value::Undefined(why), None) => Err(format!("{why}, but mandatory")),
        (value, _) => Ok(value),
    }
}

fn ternary(value: &Value, given: &Given) -> Result<Value, String> {
    let choice = |place, name| given.parameter(place, name).cloned().unwrap_or_default();
    let if_none = choice(2, "none_val");
    if value.is_null() && !if_none.is_null() {
        return Ok(if_none);
    }
    Ok(if value.is_true()? {
        choice(0, "true_val")
    } else {
        choice(1, "false_val")
    })
}
