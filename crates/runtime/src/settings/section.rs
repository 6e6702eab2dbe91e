//! One section of the settings, read so that a mistake hides no other.

use figment::{
    Error, Figment,
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

use super::{lines, words};

/// A section, with the defaults of the settings that cannot be read. Each setting is read by itself, and so is each item of a list
/// or a table: a mistake in one hides none in another.
pub(super) fn read<T: DeserializeOwned + Default>(
    figment: &Figment,
    name: &str,
    mistakes: &mut Vec<String>,
) -> T {
    let Ok(Value::Dict(_, settings)) = figment.find_value(name) else {
        if let Err(errors) = figment.extract_inner::<T>(name) {
            mistakes.extend(lines(errors));
        }
        return T::default();
    };
    let mut good = Dict::new();
    for (key, value) in settings {
        let place = figment.find_metadata(&format!("{name}.{key}"));
        let mut tell = |mut error: Error| {
            error.metadata = place.cloned();
            error.path.push(name.to_owned());
            mistakes.push(format!("  {}", words::mistake(&error)));
        };
        if let Some(value) = readable::<T>(&key, value, &mut tell) {
            good.insert(key, value);
        }
    }
    Value::from(good).deserialize().unwrap_or_default()
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
    // The path goes on below the setting when it is an item that cannot be read.
    match value {
        Value::Array(_, items) if errors.path.len() > 1 => {
            let mut good = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                match mistake_in(&Value::from(vec![item.clone()])) {
                    None => good.push(item),
                    Some(mut error) => {
                        error.path = vec![key.to_owned(), index.to_string()];
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
