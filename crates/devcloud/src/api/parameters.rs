//! Parameters of the Query API: `Name`, `Name.1`, `Name.1.Member`, flat in a form.

use std::collections::BTreeMap;

use super::error::ApiError;
use crate::encoding::percent_decode;

/// More than any call of a real client has.
const MOST: usize = 5000;

/// Parameters below one prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
    /// What errors put before the names, with its last dot.
    prefix: String,
}

impl Parameters {
    /// Reads forms: the query string and the body of one request.
    pub(crate) fn parse(forms: &[&str]) -> Result<Self, ApiError> {
        let malformed = || ApiError::new("MalformedQueryString", "The query string contains a syntax error");
        let mut values = BTreeMap::new();
        let pairs = forms
            .iter()
            .flat_map(|form| form.split('&'))
            .filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode(name, true).ok_or_else(malformed)?;
            let value = percent_decode(value, true).ok_or_else(malformed)?;
            if values.len() >= MOST {
                return Err(ApiError::new(
                    "RequestLimitExceeded",
                    format!("More than {MOST} parameters"),
                ));
            }
            if values.insert(name.clone(), value).is_some() {
                let message = format!("The parameter {name} appears more than once");
                return Err(ApiError::new("InvalidParameterCombination", message));
            }
        }
        Ok(Self {
            values,
            prefix: String::new(),
        })
    }

    /// Refuses names whose first part is not among `known`.
    pub(crate) fn check_names(&self, known: &[&str]) -> Result<(), ApiError> {
        for name in self.values.keys() {
            let first = name.split('.').next().unwrap_or_default();
            if ![known, COMMON, SIGNATURE]
                .iter()
                .any(|names| names.contains(&first))
            {
                let message = format!("The parameter {first} is not recognized");
                return Err(ApiError::new("UnknownParameter", message));
            }
        }
        Ok(())
    }

    /// The full name of a parameter, for messages.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A value, if it is there and not empty.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A value as it came, which may be empty.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A value that has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.optional(name)
            .ok_or_else(|| ApiError::missing(&self.name(name)))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.optional(name) {
            None => Ok(None),
            Some("true" | "True" | "1") => Ok(Some(true)),
            Some("false" | "False" | "0") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid(
                &self.name(name),
                other,
                "It must be true or false.",
            )),
        }
    }

    /// A whole number within a range.
    pub(crate) fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => {
                let reason = format!("It must be a number from {least} to {most}.");
                Err(ApiError::invalid(&self.name(name), text, &reason))
            }
        }
    }

    /// One of some words.
    pub(crate) fn word<'a>(&'a self, name: &str, words: &[&str]) -> Result<Option<&'a str>, ApiError> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        if words.contains(&text) {
            return Ok(Some(text));
        }
        let reason = format!("It must be one of: {}.", words.join(", "));
        Err(ApiError::invalid(&self.name(name), text, &reason))
    }

    /// `Name.1`, `Name.2` ... in the order of their numbers.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let mut found = BTreeMap::new();
        for (number, rest, value) in self.numbered(name)? {
            if rest.is_empty() {
                found.insert(number, value.to_owned());
            }
        }
        Ok(found.into_values().collect())
    }

    /// `Name.1.Member`, `Name.2.Member` ... in the order of their numbers.
    pub(crate) fn structures(&self, name: &str) -> Result<Vec<Self>, ApiError> {
        let mut found: BTreeMap<u32, Self> = BTreeMap::new();
        for (number, rest, value) in self.numbered(name)? {
            let prefix = format!("{}{name}.{number}.", self.prefix);
            let entry = found.entry(number).or_insert_with(|| Self {
                values: BTreeMap::new(),
                prefix,
            });
            entry.values.insert(rest.to_owned(), value.to_owned());
        }
        Ok(found.into_values().collect())
    }

    /// `Name.Member`.
    pub(crate) fn structure(&self, name: &str) -> Self {
        let dotted = format!("{name}.");
        let below = self.values.iter().filter_map(|(key, value)| {
            let rest = key.strip_prefix(&dotted)?;
            Some((rest.to_owned(), value.clone()))
        });
        Self {
            values: below.collect(),
            prefix: format!("{}{dotted}", self.prefix),
        }
    }

    /// Whether anything is below the prefix.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Every name and value but those named and those of a signature, sorted: what an idempotency token stands for.
    pub(crate) fn without_signature<'a>(
        &'a self,
        left_out: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.without(left_out)
            .filter(|(name, _)| !SIGNATURE.contains(name))
    }

    /// Every name and value but those named, sorted.
    pub(crate) fn without<'a>(&'a self, left_out: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self
            .values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, _)| !left_out.contains(name))
    }

    fn numbered(&self, name: &str) -> Result<Vec<(u32, &str, &str)>, ApiError> {
        let dotted = format!("{name}.");
        let mut found = Vec::new();
        for (key, value) in &self.values {
            let Some(rest) = key.strip_prefix(&dotted) else {
                continue;
            };
            let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let number = number.parse().map_err(|_| {
                let message = format!("The parameter {} is not recognized", self.name(key));
                ApiError::new("UnknownParameter", message)
            })?;
            found.push((number, rest, value.as_str()));
        }
        Ok(found)
    }
}

/// Parameters that every action has.
const COMMON: &[&str] = &["Action", "Version", "DryRun"];

/// The parameters of a version 2 signature. They say who asks and when, not what is asked for.
const SIGNATURE: &[&str] = &[
    "AWSAccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "Expires",
];

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn lists_and_structures_are_read_in_the_order_of_their_numbers() {
        let form = "Action=X&Id.2=b&Id.10=c&Id.1=a&F.1.Name=n+1&F.1.Value.1=v%20w&M.T=required";
        let parameters = Parameters::parse(&["", form]).unwrap();
        assert_eq!(parameters.list("Id").unwrap(), ["a", "b", "c"]);
        let filters = parameters.structures("F").unwrap();
        assert_eq!(filters[0].required("Name").unwrap(), "n 1");
        assert_eq!(filters[0].list("Value").unwrap(), ["v w"]);
        assert_eq!(
            filters[0].required("Gone").unwrap_err().message,
            "The request must contain the parameter F.1.Gone"
        );
        assert_eq!(parameters.structure("M").optional("T"), Some("required"));
        parameters.check_names(&["Id", "F", "M"]).unwrap();
        assert_eq!(
            parameters.check_names(&["Id", "F"]).unwrap_err().code,
            "UnknownParameter"
        );
    }

    #[test]
    fn broken_forms_are_refused() {
        assert_eq!(
            Parameters::parse(&["A=%zz"]).unwrap_err().code,
            "MalformedQueryString"
        );
        assert_eq!(
            Parameters::parse(&["A=1", "A=2"]).unwrap_err().code,
            "InvalidParameterCombination"
        );
        let odd = Parameters::parse(&["Id.x=1"]).unwrap();
        assert_eq!(odd.list("Id").unwrap_err().code, "UnknownParameter");
        let numbers = Parameters::parse(&["N=5x&B=maybe"]).unwrap();
        assert_eq!(
            numbers.integer("N", 1, 9).unwrap_err().code,
            "InvalidParameterValue"
        );
        assert_eq!(numbers.boolean("B").unwrap_err().code, "InvalidParameterValue");
    }
}
