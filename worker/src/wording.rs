//! What users read of an attempt, in their own words: a repository that a project names has the address there, not the id
//! and the place that it has on builders.

use std::net::{IpAddr, Ipv4Addr};

use model::{Blame, RepositoryAddress, RepositoryPlace, reason, repository_address::fill_for_dnf};
use serde_json::Value;
use store::{Allocation, Attempt, Builder, Outcome};

use crate::{context::Context, task::additional_id};

/// What stands for the farm where it was named by the address that builders know it by.
const FARM: &str = "[farm]";

/// The words to replace for one attempt.
#[derive(Debug, Default)]
pub(crate) struct Wording {
    /// What builders say, and what it is to the user. Of two that stand at one place the first counts.
    words: Vec<(String, String)>,
    /// What names the builder itself.
    builder: Vec<(String, String)>,
    /// The builder's address.
    address: Option<IpAddr>,
    /// The repositories as the user named them.
    given: Vec<String>,
}

impl Wording {
    /// For an attempt of this farm.
    pub(crate) fn new(context: &Context, allocation: &Allocation) -> Self {
        let whole = Self::of_attempt(context, &allocation.attempt);
        let (builder, address) = names_of(&allocation.builder, &whole.given);
        Self {
            builder,
            address,
            ..whole
        }
    }

    /// For an attempt whose builder says nothing any more.
    pub(crate) fn of_attempt(context: &Context, attempt: &Attempt) -> Self {
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
            // What is an address is hidden as such.
            if host != context.host_name && !host.is_empty() && host.parse::<IpAddr>().is_err() {
                words.push((host.to_owned(), FARM.to_owned()));
            }
        }
        Self {
            words,
            given: given.clone(),
            ..Self::default()
        }
    }

    /// A text of a builder's in the user's words.
    pub(crate) fn of(&self, text: &str) -> String {
        replace_words(text, &self.words)
    }

    /// The same, without the builder. Where a package is blamed, its readers are shown the other addresses: they may be its own.
    fn without_builder(&self, text: &str) -> String {
        let text = replace_words(&self.of(text), &self.builder);
        reason::without_machine(&text, self.address.as_slice(), &self.given)
    }

    /// The same, without any machine of the farm: what is published as it is.
    pub(crate) fn published(&self, text: &str) -> String {
        reason::for_users(&self.of(text), None, &self.given)
    }

    /// An outcome whose reason and evidence are in the user's words.
    pub(crate) fn outcome(&self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Failed {
                blame,
                reason,
                evidence,
                ..
            } => {
                let told = match blame {
                    Blame::Package => Self::without_builder,
                    _ => Self::of,
                };
                *reason = told(self, reason);
                if let Some(evidence) = evidence {
                    rewrite(evidence, &|text| told(self, text));
                }
            }
            Outcome::Refused { reason, .. } | Outcome::Skipped { reason, .. } => *reason = self.of(reason),
            Outcome::Collected { .. } | Outcome::Canceled { .. } => {}
        }
        outcome
    }
}

/// Has each text of a value told otherwise.
fn rewrite(value: &mut Value, told: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = told(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, told)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rewrite(field, told)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What names a builder: words of clouds whose ids and names have forms of their own, and its address. `127.0.0.1` is this
/// machine to each program, and what the user gave himself stays.
fn names_of(builder: &Builder, given: &[String]) -> (Vec<(String, String)>, Option<IpAddr>) {
    let mut words = Vec::new();
    let mut push = |name: &str, word: &str| {
        if !name.is_empty() && !given.iter().any(|text| text.contains(name)) {
            words.push((name.to_owned(), word.to_owned()));
        }
    };
    push(builder.instance_id.as_deref().unwrap_or_default(), "[instance]");
    let name = builder.address.as_deref().unwrap_or_default();
    let address = name.parse::<IpAddr>().ok();
    if address.is_none() {
        push(name, "[address]");
    }
    (words, address.filter(|address| *address != Ipv4Addr::LOCALHOST))
}

/// The host of an address, without its port, and without brackets around one of IPv6.
fn host(address: &str) -> &str {
    let place = address.split_once("://").map_or(address, |(_, place)| place);
    let place = place.split('/').next().unwrap_or_default();
    match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _port)) => host,
        None => place.split(':').next().unwrap_or_default(),
    }
}

/// A text in which words stand for others. One is left alone inside of a longer word, and what was put in stays as it is.
fn replace_words(text: &str, words: &[(String, String)]) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_inside = false;
    while let Some(next) = rest.chars().next() {
        let found = words.iter().filter(|_| !is_inside).find_map(|(from, to)| {
            let after = rest.strip_prefix(from.as_str()).filter(|_| !from.is_empty())?;
            // A word that ends with a slash may be followed by anything.
            let goes_on = from.ends_with(is_inner) && after.starts_with(is_inner);
            (!goes_on).then_some((from, to, after))
        });
        match found {
            Some((from, to, after)) => {
                out.push_str(to);
                is_inside = from.ends_with(is_inner);
                rest = after;
            }
            None => {
                out.push(next);
                is_inside = is_inner(next);
                rest = rest.split_at(next.len_utf8()).1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
