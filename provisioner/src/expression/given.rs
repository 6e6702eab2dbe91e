//! The arguments of a filter or test, taken out by place or name.

use std::collections::BTreeMap;

use crate::value::Value;

/// The arguments of a filter or test.
#[derive(Default)]
pub(super) struct Given {
    pub(super) positional: Vec<Value>,
    pub(super) named: BTreeMap<String, Value>,
}

impl Given {
    /// The parameter at this place or of this name.
    pub(super) fn parameter(&self, place: usize, name: &str) -> Option<&Value> {
        self.positional.get(place).or_else(|| self.named.get(name))
    }

    pub(super) fn flag(&self, place: usize, name: &str) -> Result<bool, String> {
        self.parameter(place, name).map_or(Ok(false), Value::is_true)
    }

    pub(super) fn whole(&self, place: usize, name: &str) -> Result<Option<i64>, String> {
        match self.parameter(place, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(other) => Err(format!(
                "the parameter {name} is {}, not a whole number",
                other.kind()
            )),
        }
    }

    /// A text, or what it is where it is not given.
    pub(super) fn text_or(&self, place: usize, name: &str, otherwise: &str) -> Result<String, String> {
        match self.parameter(place, name) {
            None => Ok(otherwise.to_owned()),
            Some(value) => value.to_text(),
        }
    }

    /// What comes behind the first parameters.
    pub(super) fn behind(&self, count: usize) -> Self {
        Self {
            positional: self.positional.get(count..).unwrap_or_default().to_vec(),
            named: self.named.clone(),
        }
    }

    /// The first parameter that is not there.
    pub(super) fn undefined(&self) -> Option<&Value> {
        let all = self.positional.iter().chain(self.named.values());
        all.into_iter()
            .find(|value| matches!(value, Value::Undefined(_) | Value::Broken(_) | Value::NoElse))
    }
}
