//! `Filter.N.Name` and `Filter.N.Value.M`: values of one filter are alternatives, filters add up; `*` and `?`
//! stand for any text and any character, a backslash takes that meaning away.
//!
//! A filter without values has no alternative, so nothing passes it. EC2 does the same: it answers
//! `Filter.1.Name=vpc-id` alone with an empty list (seen at Amazon, in moto's pull request 8570).

use std::collections::BTreeMap;

use crate::{ApiError, request::Filter};

/// EC2's limit of values in one request.
const MOST: usize = 200;

/// The filters of one request.
#[derive(Debug, Default)]
pub struct Filters {
    filters: Vec<(String, Vec<String>)>,
}

impl Filters {
    /// Checks filters and refuses names that are not among `known`; `tag:` in it admits every `tag:KEY`.
    ///
    /// # Errors
    /// `InvalidParameterValue`, `FilterLimitExceeded`.
    pub fn check(filters: Vec<Filter>, known: &[&str]) -> Result<Self, ApiError> {
        let mut values_seen = 0;
        let mut checked = Vec::new();
        for filter in filters {
            // EC2's word for a name that is missing or empty.
            let name = filter.name.unwrap_or_else(|| "null".to_owned());
            let admitted =
                known.contains(&name.as_str()) || name.starts_with("tag:") && known.contains(&"tag:");
            if !admitted {
                return Err(ApiError::new(
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                ));
            }
            values_seen += filter.value.len();
            if values_seen > MOST {
                let message = format!("The maximum number of filter values is {MOST}");
                return Err(ApiError::new("FilterLimitExceeded", message));
            }
            let values = filter.value.into_iter().map(|value| value.0).collect();
            checked.push((name, values));
        }
        Ok(Self { filters: checked })
    }

    /// Whether a thing passes, given what it has under each name.
    #[must_use]
    pub fn pass(&self, values_of: impl Fn(&str) -> Vec<String>) -> bool {
        self.filters.iter().all(|(name, wanted)| {
            let values = values_of(name);
            wanted
                .iter()
                .any(|pattern| values.iter().any(|value| matches(pattern, value)))
        })
    }
}

/// What the tags of a resource answer to the filters `tag:KEY`, `tag-key` and `tag-value`.
#[must_use]
pub fn tag_values(tags: Option<&BTreeMap<String, String>>, name: &str) -> Vec<String> {
    let Some(tags) = tags else { return Vec::new() };
    match name.strip_prefix("tag:") {
        Some(key) => tags.get(key).cloned().into_iter().collect(),
        None if name == "tag-key" => tags.keys().cloned().collect(),
        None if name == "tag-value" => tags.values().cloned().collect(),
        None => Vec::new(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Literal(char),
}

/// Whether `text` is what `pattern` describes. The time is bounded by the product of their lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Literal(characters.next().unwrap_or('\\')),
            other => Part::Literal(other),
        });
    }
    // `reached` holds, for every prefix of the pattern, whether it describes the text read so far.
    let mut reached: Vec<bool> = Vec::with_capacity(parts.len() + 1);
    reached.push(true);
    for part in &parts {
        let before = reached.last().copied().unwrap_or(false);
        reached.push(before && *part == Part::Any);
    }
    for character in text.chars() {
        let mut next = Vec::with_capacity(reached.len());
        next.push(false);
        for (part, pair) in parts.iter().zip(reached.windows(2)) {
            let (before, here) = (pair.first() == Some(&true), pair.last() == Some(&true));
            let ahead = next.last() == Some(&true);
            next.push(match part {
                Part::Any => ahead || here,
                Part::One => before,
                Part::Literal(literal) => before && *literal == character,
            });
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

#[cfg(test)]
mod tests;
