//! A module's arguments, taken out by type: after evaluation where the module runs, and as they are written when the playbook
//! is loaded. Then some are not known yet, and a value that passes stands in for them.

use std::collections::BTreeSet;

use crate::outcome::Problem;
use crate::value::{Map, Value};
use crate::words;

/// The largest number of a user or group; the one above means none.
const LARGEST_ID: u64 = 4_294_967_294;

/// The arguments of one call.
pub(crate) struct Arguments {
    module: &'static str,
    values: Map,
    /// Parameters whose values nobody knows yet.
    unknown: BTreeSet<String>,
}

impl Arguments {
    pub(crate) fn new(module: &'static str, values: Map) -> Self {
        Self {
            module,
            values,
            unknown: BTreeSet::new(),
        }
    }

    /// The same arguments without these, which are known only when the module runs.
    pub(crate) fn without(mut self, unknown: BTreeSet<String>) -> Self {
        self.unknown.extend(unknown);
        self
    }

    /// Whether all of these are known, so that it can be said whether they fit together.
    pub(crate) fn are_known(&self, names: &[&str]) -> bool {
        names.iter().all(|name| !self.unknown.contains(*name))
    }

    /// All mistakes that `read` finds in what is known, each with the parameter that it is about, if it is one.
    pub(crate) fn mistakes(mut self, read: impl Fn(&Self) -> Result<(), Problem>) -> Vec<Problem> {
        let mut found = Vec::new();
        while let Err(problem) = read(&self) {
            let is_next = match &problem.parameter {
                Some(name) => self.unknown.insert(name.clone()),
                None => false,
            };
            found.push(problem);
            if !is_next {
                break;
            }
        }
        found
    }

    /// The module's name.
    pub(crate) fn module(&self) -> &'static str {
        self.module
    }

    /// All values, as given.
    pub(crate) fn values(&self) -> &Map {
        &self.values
    }

    /// The value unless it is missing or null.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        let value = self.values.get(name).filter(|value| !value.is_null());
        value.filter(|_| !self.unknown.contains(name))
    }

    /// A parameter that is not what it has to be.
    pub(crate) fn wrong(&self, name: &str, expected: &str) -> Problem {
        let value = self
            .values
            .get(name)
            .map_or_else(|| "missing".to_owned(), ToString::to_string);
        let shown: String = value.chars().take(100).collect();
        let module = self.module;
        self.about(
            name,
            format!("the parameter {name} of {module} is {shown}, expected {expected}"),
        )
    }

    /// What is wrong with a parameter, in these words.
    pub(crate) fn about(&self, name: &str, message: String) -> Problem {
        Problem {
            parameter: Some(name.to_owned()),
            ..Problem::new(message)
        }
    }

    /// A text; a number is taken as its digits, true and false as Python writes them.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(one @ (Value::Int(_) | Value::Float(_) | Value::Bool(_))) => {
                one.to_text().map(Some).map_err(Problem::new)
            }
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    /// A text, and nothing that could be turned into one.
    pub(crate) fn only_text(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.value(name) {
            Some(Value::Text(_)) | None => self.text(name),
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&self, name: &str) -> Result<String, Problem> {
        if self.unknown.contains(name) {
            return Ok("/unknown".to_owned());
        }
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.wrong(name, "text"))
    }

    /// A text, empty if it is missing: the form scripts take.
    pub(crate) fn word(&self, name: &str) -> Result<String, Problem> {
        Ok(self.text(name)?.unwrap_or_default())
    }

    /// An absolute path other than the root directory.
    pub(crate) fn path(&self, name: &str) -> Result<String, Problem> {
        let path = self.required(name)?;
        let is_deep = path.split('/').any(|part| !part.is_empty() && part != ".");
        let climbs = path.split('/').any(|part| part == "..");
        if path.starts_with('/') && is_deep && !climbs && !path.contains(['\n', '\0']) {
            Ok(path)
        } else {
            Err(self.wrong(name, "an absolute path"))
        }
    }

    /// True or false; texts such as `yes` too, as in Ansible.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Int(number @ 0..=1)) => Ok(*number == 1),
            Some(Value::Text(text)) => match text.to_lowercase().as_str() {
                "yes" | "true" | "on" | "1" | "y" | "t" => Ok(true),
                "no" | "false" | "off" | "0" | "n" | "f" => Ok(false),
                _ => Err(self.wrong(name, "true or false")),
            },
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A flag as scripts take it.
    pub(crate) fn bit(&self, name: &str, default: bool) -> Result<String, Problem> {
        Ok(u8::from(self.flag(name, default)?).to_string())
    }

    /// A whole number up to `most`.
    pub(crate) fn number(&self, name: &str, default: u64, most: u64) -> Result<u64, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| *number <= most);
        number.ok_or_else(|| self.wrong(name, &format!("a whole number from 0 to {most}")))
    }

    /// A list of texts, or one text with commas.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, Problem> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => items
                .iter()
                .map(|item| match item {
                    Value::Text(text) => Ok(text.clone()),
                    one @ (Value::Int(_) | Value::Float(_) | Value::Bool(_)) => {
                        one.to_text().map_err(Problem::new)
                    }
                    _ => Err(self.wrong(name, "a list of texts")),
                })
                .collect(),
            Some(_) => {
                let text = self.word(name)?;
                Ok(text
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect())
            }
        }
    }

    /// One of several words.
    pub(crate) fn choice(&self, name: &str, default: &str, known: &[&str]) -> Result<String, Problem> {
        let word = self.text(name)?.unwrap_or_else(|| default.to_owned());
        if known.contains(&word.as_str()) {
            Ok(word)
        } else {
            Err(self.wrong(name, &known.join(", ")))
        }
    }

    /// A mode as `stat` prints it: octal without a leading zero; empty if it is missing.
    pub(crate) fn mode(&self, name: &str) -> Result<String, Problem> {
        match self.value(name) {
            None => Ok(String::new()),
            Some(Value::Text(text)) => words::mode(text)
                .map(|bits| format!("{bits:o}"))
                .ok_or_else(|| self.wrong(name, "an octal mode such as \"0644\"")),
            Some(_) => Err(self.wrong(name, "an octal mode in quotes such as \"0644\"")),
        }
    }

    /// The number of a user or group, empty if it is missing.
    pub(crate) fn id(&self, name: &str) -> Result<String, Problem> {
        let word = self.word(name)?;
        let is_id = word.bytes().all(|byte| byte.is_ascii_digit())
            && word.parse::<u64>().is_ok_and(|number| number <= LARGEST_ID);
        if word.is_empty() || is_id {
            Ok(word)
        } else {
            Err(self.wrong(name, &format!("a whole number from 0 to {LARGEST_ID}")))
        }
    }

    /// Owner or group: a name or number, empty if it is missing.
    pub(crate) fn owner(&self, name: &str) -> Result<String, Problem> {
        let word = self.word(name)?;
        if word != "-" && Self::is_account(&word) {
            Ok(word)
        } else {
            Err(self.wrong(name, "the name of a user or group"))
        }
    }

    /// Whether a user or group may be called so; a single dash and nothing mean none.
    pub(crate) fn is_account(word: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
        word.bytes().all(allowed) && (word == "-" || !word.starts_with('-'))
    }
}

#[cfg(test)]
mod tests;
