//! Settings from the environment: `VERDIGRIS_SECTION__KEY`.
//!
//! A variable is a text. What it is taken for follows from the setting's default, never from how the text looks: a worker
//! named `007` is no number, and neither is a password of digits.

use std::ffi::OsString;

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Num, Value},
};

use super::mistakes::Mistakes;

const PREFIX: &str = "VERDIGRIS_";

/// One variable, as the settings file that it stands for.
struct Variable {
    name: String,
    /// Section and key, in small letters.
    path: Vec<String>,
    value: Value,
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = self.path.iter().rev().fold(self.value.clone(), |value, key| {
            Value::from(Dict::from([(key.clone(), value)]))
        });
        Ok(Map::from([(
            Profile::Default,
            nested.into_dict().unwrap_or_default(),
        )]))
    }
}

/// Whether this is the name of a variable that [`merge`] read.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Lays the variables over the settings read so far. `defaults` tells which settings are numbers, switches and tables. What
/// cannot be read is added to `mistakes`.
pub(super) fn merge(
    mut figment: Figment,
    defaults: &Figment,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    mistakes: &mut Mistakes,
) -> Figment {
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        if let Some(words) = no_setting(name, defaults) {
            mistakes.of_variable(name, &words);
            continue;
        }
        let Some((name, path)) = setting_of(name) else {
            continue;
        };
        let Some(text) = value.to_str() else {
            mistakes.of_variable(name, "it is no UTF-8");
            continue;
        };
        match value_of(text, defaults.find_value(&path.join(".")).ok().as_ref()) {
            Ok(value) => {
                figment = figment.merge(Variable {
                    name: name.to_owned(),
                    path,
                    value,
                });
            }
            Err(words) => mistakes.of_variable(name, &words),
        }
    }
    figment
}

/// What is wrong with the name of a variable that means a section as a whole, or a setting with one `_` too few.
fn no_setting(name: &str, defaults: &Figment) -> Option<String> {
    let rest = name
        .strip_prefix(PREFIX)
        .filter(|rest| !rest.contains("__"))?
        .to_lowercase();
    let sections = defaults.extract::<Dict>().ok()?;
    sections.iter().find_map(|(section, keys)| {
        let key = rest.strip_prefix(section.as_str())?;
        let keys = keys.as_dict()?;
        let key = match key.strip_prefix('_') {
            None if key.is_empty() => keys.keys().next()?,
            Some(key) => keys.keys().find(|known| *known == key)?,
            None => return None,
        };
        let variable = format!("{PREFIX}{section}__{key}").to_uppercase();
        Some(if rest == *section {
            format!("[{section}] is a section; each of its settings has a variable, such as {variable}")
        } else {
            format!("two `_` stand between a section and its setting, as in {variable}")
        })
    })
}

/// The path of the setting that a variable means. `VERDIGRIS_CACHE` and the like belong to the tools around the farm: a
/// setting has a section.
fn setting_of(name: &str) -> Option<(&str, Vec<String>)> {
    let path = name.strip_prefix(PREFIX)?;
    if !path.contains("__") {
        return None;
    }
    let path = path.split("__").map(str::to_lowercase).collect();
    Some((name, path))
}

/// A variable's text as the kind of value that the setting has by default.
fn value_of(text: &str, default: Option<&Value>) -> Result<Value, String> {
    match default {
        Some(Value::Num(..)) => {
            let (natural, whole) = (text.trim().parse::<u64>(), text.trim().parse::<i64>());
            natural
                .map(Num::U64)
                .or(whole.map(Num::I64))
                .map(Value::from)
                .map_err(|_| format!("`{text}` is no whole number"))
        }
        Some(Value::Bool(..)) => text
            .trim()
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| format!("`{text}` is neither true nor false")),
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::from(items.map(Value::from).collect::<Vec<_>>()))
        }
        Some(Value::Dict(..)) => match text.parse::<Value>() {
            Ok(value @ Value::Dict(..)) => Ok(value),
            _ => Err(format!("`{text}` is no table, such as {{name = \"value\"}}")),
        },
        _ => Ok(Value::from(text)),
    }
}

#[cfg(test)]
mod tests;
