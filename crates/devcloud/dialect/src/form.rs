//! The parameters of one request: `Name=value`, flat in the query string and in the body.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::{
    ApiError,
    decode::{self, Node},
};

/// More than any call of a real client has.
const MOST: usize = 5000;

/// Parameters that every action has. They are not part of what it is asked for.
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

/// The parameters of one request by their full names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pairs: BTreeMap<String, String>,
}

impl Form {
    /// Reads forms: the query string and the body of one request.
    ///
    /// # Errors
    /// `MalformedQueryString`; `InvalidParameterCombination` for a name that comes twice; `RequestLimitExceeded`.
    pub fn parse(forms: &[&str]) -> Result<Self, ApiError> {
        let mut pairs = BTreeMap::new();
        for form in forms {
            if !is_well_formed(form) {
                return Err(malformed());
            }
            for (name, value) in form_urlencoded::parse(form.as_bytes()) {
                if pairs.len() >= MOST {
                    let message = format!("More than {MOST} parameters");
                    return Err(ApiError::new("RequestLimitExceeded", message));
                }
                if pairs
                    .insert(name.clone().into_owned(), value.into_owned())
                    .is_some()
                {
                    let message = format!("The parameter {name} appears more than once");
                    return Err(ApiError::new("InvalidParameterCombination", message));
                }
            }
        }
        Ok(Self { pairs })
    }

    /// A value, if it is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Every name and value, sorted by the names as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What is asked for: everything but the action, its version, `DryRun` and a signature, sorted.
    pub fn asked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter(|(name, _)| !COMMON.contains(name) && !SIGNATURE.contains(name))
    }

    /// The same without the parameters of these names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.pairs.retain(|name, _| !names.contains(&name.as_str()));
        rest
    }

    /// What is asked for, as a type. A parameter for which the type has no place is refused by name, wherever it is.
    ///
    /// # Errors
    /// `UnknownParameter`, `MissingParameter`, `InvalidParameterValue`, `InvalidParameterCombination`: with the full name.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        decode::decode(&Node::tree(self.asked())?)
    }

    /// Whether the request is only to be tried.
    ///
    /// # Errors
    /// `InvalidParameterValue` for what is neither `true` nor `false`.
    pub fn dry_run(&self) -> Result<bool, ApiError> {
        self.get("DryRun").map_or(Ok(false), |text| {
            decode::boolean(text).map_err(|reason| ApiError::invalid("DryRun", text, &reason))
        })
    }
}

pub(crate) fn malformed() -> ApiError {
    ApiError::new("MalformedQueryString", "The query string contains a syntax error")
}

/// Whether every percent sign begins an escape and the whole is UTF-8; the library lets both pass.
pub(crate) fn is_well_formed(form: &str) -> bool {
    let mut escapes = form.split('%');
    // What is before the first percent sign.
    escapes.next();
    let whole = |text: &str| {
        text.as_bytes()
            .first_chunk::<2>()
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    escapes.all(whole) && percent_decode_str(form).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests;
