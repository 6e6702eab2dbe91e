//! `Filter.N.Name` and `Filter.N.Value.M`: values of one filter are alternatives, filters add up; `*` and `?`
//! stand for any text and any character, a backslash takes that meaning away.

use std::collections::BTreeMap;

use super::{error::ApiError, parameters::Parameters};

/// EC2's limit of values in one request.
const MOST: usize = 200;

/// The longest value; the time of a comparison grows with it.
const LONGEST: usize = 1024;

/// The filters of one request.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    filters: Vec<(String, Vec<String>)>,
}

impl Filters {
    /// Reads the filters and refuses names that are not among `known`; `tag:` in it admits every `tag:KEY`.
    pub(crate) fn parse(parameters: &Parameters, known: &[&str]) -> Result<Self, ApiError> {
        let mut filters = Vec::new();
        let mut values_seen = 0;
        for filter in parameters.structures("Filter")? {
            let name = filter.required("Name")?.to_owned();
            let admitted =
                known.contains(&name.as_str()) || (name.starts_with("tag:") && known.contains(&"tag:"));
            if !admitted {
                let message = format!("The filter '{name}' is invalid");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
            let values = filter.list("Value")?;
            values_seen += values.len();
            if values_seen > MOST {
                let message = format!("The maximum number of filter values is {MOST}");
                return Err(ApiError::new("FilterLimitExceeded", message));
            }
            if let Some(long) = values.iter().find(|value| value.len() > LONGEST) {
                let reason = format!("A filter value can have at most {LONGEST} bytes.");
                return Err(ApiError::invalid(&filter.name("Value"), long, &reason));
            }
            filters.push((name, values));
        }
        Ok(Self { filters })
    }

    /// Whether a thing passes, given what it has under each name.
    pub(crate) fn pass(&self, values_of: impl Fn(&str) -> Vec<String>) -> bool {
        self.filters.iter().all(|(name, wanted)| {
            let values = values_of(name);
            wanted
                .iter()
                .any(|pattern| values.iter().any(|value| matches(pattern, value)))
        })
    }
}

/// What the tags of a resource answer to the filters `tag:KEY`, `tag-key` and `tag-value`.
pub(crate) fn tag_values(tags: Option<&BTreeMap<String, String>>, name: &str) -> Vec<String> {
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
mod tests {
    use std::collections::BTreeMap;

    use super::{Filters, matches, tag_values};
    use crate::api::parameters::Parameters;

    #[test]
    fn wildcards_match_as_in_ec2() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.micro", "t3.micro", true),
            ("t3", "t3.micro", false),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            ("a*b*c*", "aXbYc", true),
            ("ü?", "üö", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_in_bounded_time() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!matches(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn values_are_alternatives_and_filters_add_up() {
        let form = "Filter.1.Name=tag:role&Filter.1.Value.1=x&Filter.1.Value.2=build*&Filter.2.Name=tag-key&Filter.2.Value.1=role";
        let filters = Filters::parse(&Parameters::parse(&[form]).unwrap(), &["tag:", "tag-key"]).unwrap();
        let tags = BTreeMap::from([("role".to_owned(), "builder".to_owned())]);
        assert!(filters.pass(|name| tag_values(Some(&tags), name)));
        assert!(!filters.pass(|name| tag_values(None, name)));
        let unknown = Parameters::parse(&["Filter.1.Name=colour&Filter.1.Value.1=x"]).unwrap();
        let error = Filters::parse(&unknown, &["tag:"]).unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("InvalidParameterValue", "The filter 'colour' is invalid")
        );
    }
}
