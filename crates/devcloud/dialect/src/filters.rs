//! `Filter.N.Name` and `Filter.N.Value.M`: values of one filter are alternatives, filters add up; `*` and `?`
//! stand for any text and any character, a backslash takes that meaning away.

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
        for filter in &filters {
            let name = filter.name.as_str();
            let admitted = known.contains(&name) || name.starts_with("tag:") && known.contains(&"tag:");
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
        }
        let filters = filters.into_iter().map(|filter| {
            let values = filter.value.into_iter().map(|value| value.0).collect();
            (filter.name, values)
        });
        Ok(Self {
            filters: filters.collect(),
        })
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
mod tests {
    use std::collections::BTreeMap;

    use super::{Filters, matches, tag_values};
    use crate::{ApiError, Form, request::DescribeTags};

    fn filters(form: &str, known: &[&str]) -> Result<Filters, ApiError> {
        let request: DescribeTags = Form::parse(&[form])?.decode()?;
        Filters::check(request.filter, known)
    }

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
        let filters = filters(form, &["tag:", "tag-key"]).unwrap();
        let tags = BTreeMap::from([("role".to_owned(), "builder".to_owned())]);
        assert!(filters.pass(|name| tag_values(Some(&tags), name)));
        assert!(!filters.pass(|name| tag_values(None, name)));
    }

    #[test]
    fn unknown_names_and_too_much_to_compare_are_refused() {
        let error = filters("Filter.1.Name=colour&Filter.1.Value.1=x", &["tag:"]).unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("InvalidParameterValue", "The filter 'colour' is invalid")
        );
        let long = format!("Filter.1.Name=tag:a&Filter.1.Value.1={}", "*".repeat(1025));
        assert_eq!(
            filters(&long, &["tag:"]).unwrap_err().code,
            "InvalidParameterValue"
        );
        let values: Vec<String> = (1..=201).map(|n| format!("&Filter.1.Value.{n}=x")).collect();
        let many = format!("Filter.1.Name=tag:a{}", values.concat());
        assert_eq!(filters(&many, &["tag:"]).unwrap_err().code, "FilterLimitExceeded");
    }
}
