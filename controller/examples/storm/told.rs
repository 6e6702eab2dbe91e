//! What a world tells: all that happened, in order, with short names in the place of ids, so that a seed's story reads the same again.

use std::{collections::BTreeMap, time::Duration};

use store::{EventFilter, Store};

use crate::{outside::Outside, program::NOW};

/// How many events one question asks for.
const PAGE: u64 = 200;
/// What ids begin with.
const PREFIXES: [&str; 4] = ["bdr_", "lch_", "att_", "controller-"];
/// How many letters follow.
const LENGTH: usize = 32;
/// What keys begin with, which come from the system's own chance.
const KEYS: [&str; 2] = ["SHA256:", "ssh-ed25519 "];

/// All that happened outside, and the moves of the database's events, in their order.
pub(crate) async fn told(store: &Store, outside: &Outside) -> Result<Vec<String>, store::Error> {
    let mut lines = outside.with(|all| all.take_told());
    let mut after = None;
    loop {
        let filter = EventFilter {
            after_id: after,
            ..EventFilter::default()
        };
        let events = store.events(filter, PAGE).await?;
        let Some(last) = events.iter().map(|event| event.id).max() else {
            break;
        };
        after = Some(last);
        lines.extend(events.iter().map(|event| {
            let of = |state: &Option<String>| state.clone().unwrap_or_default();
            let words = format!(
                "{} {}: {} -> {} by {}: {}",
                event.subject_kind,
                event.subject_id,
                of(&event.old_state),
                of(&event.new_state),
                event.actor,
                event.reason
            );
            (event.at.since(NOW), words)
        }));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut names = BTreeMap::new();
    let lines = lines.into_iter();
    Ok(lines
        .map(|(at, words)| shortened(at, &words, &mut names))
        .collect())
}

/// A line with a number for each id, in the order in which they come first.
fn shortened(at: Duration, words: &str, names: &mut BTreeMap<String, usize>) -> String {
    let mut line = format!("{:10.3} ", at.as_secs_f64());
    let mut rest = words;
    while let Some((at, prefix)) = next_name(rest) {
        let (before, from) = rest.split_at(at);
        let (_, after) = from.split_at(prefix.len());
        let length = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/');
        let (name, after) = after.split_at(length.unwrap_or(after.len()));
        line.push_str(before);
        line.push_str(prefix);
        if KEYS.contains(&prefix) {
            line.push_str("...");
        } else if name.len() == LENGTH {
            let number = names.len() + 1;
            let number = *names.entry(name.to_owned()).or_insert(number);
            line.push_str(&number.to_string());
        } else {
            line.push_str(name);
        }
        rest = after;
    }
    line.push_str(rest);
    line
}

fn next_name(text: &str) -> Option<(usize, &'static str)> {
    let all = PREFIXES.into_iter().chain(KEYS);
    all.filter_map(|prefix| Some((text.find(prefix)?, prefix))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_by_numbers_in_the_order_in_which_they_come() {
        let mut names = BTreeMap::new();
        let (one, two) = ("0".repeat(31) + "a", "f".repeat(32));
        let mut told = |words: &str| shortened(Duration::from_millis(1500), words, &mut names);
        assert_eq!(
            told(&format!("bdr_{two} and lch_{one}.")),
            "     1.500 bdr_1 and lch_2."
        );
        assert_eq!(told(&format!("att_{one}")), "     1.500 att_2");
        assert_eq!(
            told("it has ssh-ed25519 AAAA+/c, too"),
            "     1.500 it has ssh-ed25519 ..., too"
        );
        assert_eq!(
            told("bdr_1: expected SHA256:ab+/c, got SHA256:another"),
            "     1.500 bdr_1: expected SHA256:..., got SHA256:..."
        );
    }
}
