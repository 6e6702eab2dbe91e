//! The arguments of a request body, read as leniently as Copr reads them: numbers may be strings, booleans
//! may be Python's words, a null is the same as nothing, a list may be one text, unknown keys are ignored.
//! Every mistake is collected, so that a client sees all of them at once.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::http::{error::ApiError, parameters::read_flag};

/// How mistakes are worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MistakeStyle {
    /// One `field: message` a line, as Copr does nearly everywhere.
    Lines,
    /// `Bad request parameters: {'field': ['message']}`, as Copr does for builds.
    Dictionary,
}

/// The arguments that are left to be read, and the mistakes found so far.
#[derive(Debug)]
pub(crate) struct Fields {
    values: BTreeMap<String, Value>,
    mistakes: BTreeMap<String, Vec<String>>,
    style: MistakeStyle,
}

impl Fields {
    /// From an object; nulls are as good as not there.
    pub(crate) fn new(object: serde_json::Map<String, Value>, style: MistakeStyle) -> Self {
        Self {
            values: object.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            mistakes: BTreeMap::new(),
            style,
        }
    }

    /// Notes a mistake.
    pub(crate) fn reject(&mut self, name: &str, message: impl Into<String>) {
        self.mistakes
            .entry(name.to_owned())
            .or_default()
            .push(message.into());
    }

    /// Whether no mistake was found so far.
    pub(crate) fn is_good(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// Whether the field is there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A text; numbers and booleans are taken as their text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.values.remove(name)?;
        let text = scalar(&value);
        if text.is_none() {
            self.reject(name, "Not a valid string.");
        }
        text
    }

    /// A text that has to be there and to hold something.
    pub(crate) fn required_text(&mut self, name: &str) -> String {
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() && !self.mistakes.contains_key(name) {
            self.reject(name, "This field is required.");
        }
        text
    }

    /// A boolean, or one of the words that Python, forms and shells write for one.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.values.remove(name)?;
        let flag = match &value {
            Value::Bool(flag) => Some(*flag),
            other => scalar(other).as_deref().and_then(read_flag),
        };
        if flag.is_none() {
            self.reject(name, "Not a valid boolean.");
        }
        flag
    }

    /// A whole number, possibly as text; an empty text is nothing.
    pub(crate) fn number(&mut self, name: &str) -> Option<i64> {
        let value = self.values.remove(name)?;
        if value.as_str().is_some_and(str::is_empty) {
            return None;
        }
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.reject(name, "Not a valid integer value.");
        }
        number
    }

    /// A list of texts; one text is split at white space and commas. Empty texts are none: copr-cli takes all repositories away
    /// with `--repos ""`, which it sends as a list of one.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let texts = match self.values.remove(name)? {
            Value::Array(items) => items
                .iter()
                .map(scalar)
                .filter(|text| text.as_ref().is_none_or(|text| !text.trim().is_empty()))
                .collect::<Option<Vec<_>>>(),
            Value::String(text) => Some(
                text.split(|c: char| c.is_whitespace() || c == ',')
                    .filter(|word| !word.is_empty())
                    .map(ToOwned::to_owned)
                    .collect(),
            ),
            _ => None,
        };
        if texts.is_none() {
            self.reject(name, "Not a valid list of strings.");
        }
        texts
    }

    /// A list of whole numbers.
    pub(crate) fn numbers(&mut self, name: &str) -> Vec<i64> {
        let Some(texts) = self.texts(name) else {
            return Vec::new();
        };
        let numbers: Option<Vec<i64>> = texts.iter().map(|text| text.trim().parse().ok()).collect();
        numbers.unwrap_or_else(|| {
            self.reject(name, "Not a valid list of integers.");
            Vec::new()
        })
    }

    /// The mistakes as an answer, or nothing when there are none.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.mistakes.is_empty() {
            return Ok(());
        }
        Err(ApiError::Invalid(match self.style {
            MistakeStyle::Lines => self
                .mistakes
                .iter()
                .flat_map(|(name, messages)| messages.iter().map(move |message| format!("{name}: {message}")))
                .collect::<Vec<_>>()
                .join("\n"),
            MistakeStyle::Dictionary => {
                let entries: Vec<String> = self
                    .mistakes
                    .iter()
                    .map(|(name, messages)| {
                        let list: Vec<String> = messages.iter().map(|text| python_text(text)).collect();
                        format!("{}: [{}]", python_text(name), list.join(", "))
                    })
                    .collect();
                format!("Bad request parameters: {{{}}}", entries.join(", "))
            }
        }))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text as Python's `repr` shows it.
fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests;
