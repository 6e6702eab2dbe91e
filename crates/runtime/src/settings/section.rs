//! One section of the settings, read so that a mistake hides no other.

use figment::{
    Error, Figment,
    error::Kind,
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

use super::{mistakes::Mistakes, words};

/// The only key of the table that the library makes of a date.
const DATE: &str = "$__toml_private_datetime";

/// A section, with the defaults of the settings that cannot be read. Each setting is read by itself, and so is each item of a list
/// or a table: a mistake in one hides none in another.
pub(super) fn read<T: DeserializeOwned + Default>(
    figment: &Figment,
    name: &str,
    mistakes: &mut Mistakes,
) -> T {
    let settings = match figment.find_value(name) {
        Ok(Value::Dict(_, settings)) => settings,
        Ok(other) => {
            let found = words::actual(&other.to_actual());
            let mut error = Error::from(format!(
                "its settings stand below the line `[{name}]`, found {found}"
            ));
            error.metadata = figment.find_metadata(name).cloned();
            error.path = vec![name.to_owned()];
            words::tell(&error, mistakes);
            return T::default();
        }
        Err(errors) => {
            errors.into_iter().for_each(|error| words::tell(&error, mistakes));
            return T::default();
        }
    };
    let mut good = Dict::new();
    for (key, value) in settings {
        let place = figment.find_metadata(&format!("{name}.{key}"));
        let mut tell = |mut error: Error| {
            error.metadata = place.cloned();
            error.path.insert(0, name.to_owned());
            words::tell(&error, mistakes);
        };
        if value.as_dict().is_some_and(|table| table.contains_key(DATE)) {
            let mut error =
                Error::from("a date means nothing here; a text stands in quotation marks".to_owned());
            error.path = vec![key];
            tell(error);
        } else if let Some(value) = readable::<T>(&key, value, &mut tell) {
            good.insert(key, value);
        }
    }
    Value::from(good).deserialize().unwrap_or_default()
}

/// The words that a setting takes, if it takes only some.
fn choices<T: DeserializeOwned>(key: &str) -> Option<&'static [&'static str]> {
    // No word of ours is empty.
    let alone = Value::from(Dict::from([(key.to_owned(), Value::from(""))]));
    match alone.deserialize::<T>().err()?.kind {
        Kind::UnknownVariant(_, known) => Some(known),
        _ => None,
    }
}

/// What can be read of one setting of a section.
fn readable<T: DeserializeOwned>(key: &str, value: Value, tell: &mut impl FnMut(Error)) -> Option<Value> {
    let mistake_in = |value: &Value| {
        let alone = Value::from(Dict::from([(key.to_owned(), value.clone())]));
        alone.deserialize::<T>().err()
    };
    let errors = match mistake_in(&value) {
        None => return Some(value),
        Some(errors) => errors,
    };
    if let (None, Some(known)) = (value.as_str(), choices::<T>(key)) {
        let found = words::actual(&value.to_actual());
        let mut error = Error::from(format!("expected one of {}, found {found}", words::quoted(known)));
        error.path = vec![key.to_owned()];
        tell(error);
        return None;
    }
    // The path goes on below the setting when it is an item that cannot be read.
    match value {
        Value::Array(_, items) if errors.path.len() > 1 => {
            let mut good = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                match mistake_in(&Value::from(vec![item.clone()])) {
                    None => good.push(item),
                    Some(mut error) => {
                        error.path = vec![key.to_owned(), format!("[{index}]")];
                        tell(error);
                    }
                }
            }
            Some(Value::from(good))
        }
        Value::Dict(_, items) if errors.path.len() > 1 => {
            let mut good = Dict::new();
            for (name, item) in items {
                match mistake_in(&Value::from(Dict::from([(name.clone(), item.clone())]))) {
                    None => drop(good.insert(name, item)),
                    Some(error) => tell(error),
                }
            }
            Some(Value::from(good))
        }
        _ => {
            errors.into_iter().for_each(tell);
            None
        }
    }
}

#[cfg(test)]
mod tests;
