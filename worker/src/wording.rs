//! What users read of an attempt, in their own words: a repository that a project names has the address there, not the id
//! and the place that it has on builders.

use model::{RepositoryAddress, RepositoryPlace, reason, repository_address::fill_for_dnf};
use serde_json::Value;
use store::{Attempt, Outcome};

use crate::{context::Context, task::additional_id};

/// What stands for the farm where it was named by the address that builders know it by.
const FARM: &str = "[farm]";

/// The words to replace for one attempt.
#[derive(Debug, Default)]
pub(crate) struct Wording {
    /// What builders say, and what it is to the user; in this order.
    words: Vec<(String, String)>,
    /// The repositories as the user named them.
    given: Vec<String>,
}

impl Wording {
    /// For an attempt of this farm.
    pub(crate) fn new(context: &Context, attempt: &Attempt) -> Self {
        let results = format!("{}/results", context.builder_url);
        let given = &attempt.additional_repos;
        let mut words = Vec::new();
        for (index, text) in given.iter().enumerate() {
            words.push((additional_id(index), text.clone()));
            if let Ok(address) = RepositoryAddress::parse(text)
                && let RepositoryPlace::Farm { owner, directory } = &address.place
            {
                let base = fill_for_dnf(&address.base(&results, &attempt.chroot), &attempt.chroot);
                words.push((base, format!("copr://{owner}/{directory}/")));
            }
        }
        if !given.iter().any(|text| text.starts_with(&context.builder_url)) {
            words.push((context.builder_url.clone(), FARM.to_owned()));
            let host = host(&context.builder_url);
            if host != context.host_name && host.contains(|c: char| c.is_ascii_alphabetic()) {
                words.push((host.to_owned(), FARM.to_owned()));
            }
        }
        Self {
            words,
            given: given.clone(),
        }
    }

    /// A text of a builder's in the user's words.
    pub(crate) fn of(&self, text: &str) -> String {
        let replaced = |text: String, (from, to): &(String, String)| replace_word(&text, from, to);
        self.words.iter().fold(text.to_owned(), replaced)
    }

    /// The same, without any machine of the farm: what is published as it is.
    pub(crate) fn published(&self, text: &str) -> String {
        reason::for_users(&self.of(text), None, &self.given)
    }

    /// An outcome whose reason and evidence are in the user's words.
    pub(crate) fn outcome(&self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Failed { reason, evidence, .. } => {
                *reason = self.of(reason);
                if let Some(evidence) = evidence {
                    self.rewrite(evidence);
                }
            }
            Outcome::Refused { reason, .. } | Outcome::Skipped { reason, .. } => *reason = self.of(reason),
            Outcome::Collected { .. } | Outcome::Canceled { .. } => {}
        }
        outcome
    }

    fn rewrite(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.of(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.rewrite(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The host of an address, without its port.
fn host(address: &str) -> &str {
    let place = address.split_once("://").map_or(address, |(_, place)| place);
    place.split(['/', ':']).next().unwrap_or_default()
}

/// A text in which one word stands for another. It is left alone inside of a longer word.
fn replace_word(text: &str, from: &str, to: &str) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    // A word that ends with a slash may be followed by anything.
    let goes_on = from.ends_with(is_inner);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        out.push_str(before);
        let is_part = out.ends_with(is_inner) || (goes_on && after.starts_with(is_inner));
        out.push_str(if is_part { from } else { to });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
