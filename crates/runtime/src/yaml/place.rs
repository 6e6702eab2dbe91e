//! Where in a text something stands, for mistakes that show only when all of it was read.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

/// A value, of which only the places matter.
#[derive(Deserialize)]
#[serde(transparent)]
struct Node(Spanned<Below>);

/// What is below a value, each with its key or its number; and the value itself, where it is a text.
#[derive(Default)]
struct Below {
    entries: Vec<(String, Node)>,
    text: Option<String>,
}

impl Below {
    const fn of(entries: Vec<(String, Node)>) -> Self {
        Self { entries, text: None }
    }
}

impl Node {
    fn place(&self) -> Option<(u64, u64)> {
        let at = self.0.referenced;
        (at.line() > 0).then(|| (at.line(), at.column()))
    }
}

impl<'de> Deserialize<'de> for Below {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Below;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Below, A::Error> {
        let mut below = Vec::new();
        while let Some(entry) = map.next_entry::<String, Node>()? {
            below.push(entry);
        }
        Ok(Below::of(below))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Below, A::Error> {
        let mut below = Vec::new();
        while let Some(node) = list.next_element::<Node>()? {
            below.push((below.len().to_string(), node));
        }
        Ok(Below::of(below))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Below, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| Below::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Below, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Below, E> {
        Ok(Below::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Below, E> {
        Ok(Below::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Below, E> {
        Ok(Below::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Below, E> {
        Ok(Below::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Below, E> {
        Ok(Below {
            entries: Vec::new(),
            text: Some(text.to_owned()),
        })
    }

    fn visit_unit<E>(self) -> Result<Below, E> {
        Ok(Below::default())
    }
}

/// Line and column, both from one, of what the keys lead to; of the last that is there, where they lead to nothing. `None` for
/// a text that cannot be read.
pub(super) fn place(text: &str, path: &[String]) -> Option<(u64, u64)> {
    let (node, _) = last(text, path)?;
    node.place()
}

/// The same of the first item of a list there that says `item`; of the list, where none does.
pub(super) fn place_of_item(text: &str, path: &[String], item: &str) -> Option<(u64, u64)> {
    let (node, _) = last(text, path)?;
    let mut items = node.0.value.entries.iter();
    let found = items.find(|(_, below)| below.0.value.text.as_deref() == Some(item));
    found.map_or(&node, |(_, found)| found).place()
}

/// Whether the keys lead to something.
pub(super) fn is_written(text: &str, path: &[String]) -> bool {
    last(text, path).is_some_and(|(_, found)| found == path.len())
}

/// The keys that lead to the last value of a text; none for one that cannot be read.
pub(super) fn last_way(text: &str) -> Vec<String> {
    let mut way = Vec::new();
    let mut node = read(text);
    while let Some((key, below)) = node.and_then(|mut node| node.0.value.entries.pop()) {
        way.push(key);
        node = Some(below);
    }
    way
}

fn read(text: &str) -> Option<Node> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::FirstWins };
    serde_saphyr::from_str_with_options(text, options).ok()
}

/// The last value to which the keys lead, and how many of them do.
fn last(text: &str, path: &[String]) -> Option<(Node, usize)> {
    let mut node = read(text)?;
    for (found, key) in path.iter().enumerate() {
        let below = &mut node.0.value.entries;
        let Some(at) = below.iter().position(|(name, _)| name == key) else {
            return Some((node, found));
        };
        node = below.swap_remove(at).1;
    }
    Some((node, path.len()))
}

#[cfg(test)]
mod tests {
    use super::{is_written, last_way, place, place_of_item};

    /// Of a key that stands twice, the first is meant.
    const TEXT: &str = "schema: 1\nempty:\npools:\n  x86: &p\n    size: {min: 2, max: 1}\n    types: [a, bc]\n    quick: true\n  y: *p\nschema: 2\n";

    #[test]
    fn keys_and_numbers_lead_to_a_place() {
        for (path, expected) in [
            ("schema", (1, 9)),
            ("pools.x86.size.min", (5, 17)),
            ("pools.x86.size.max", (5, 25)),
            ("pools.x86.types.1", (6, 16)),
            ("pools.x86.quick", (7, 12)),
            ("pools.y", (8, 6)),
            // What is left out has a default: the part that it belongs to is named.
            ("pools.x86.size.idle", (5, 11)),
            ("pools.x86.launch.parallel", (5, 5)),
            ("nothing", (1, 1)),
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(place(TEXT, &path), Some(expected), "{path:?}");
            let is_left_out = ["idle", "parallel", "nothing"].contains(&path[path.len() - 1].as_str());
            assert_eq!(is_written(TEXT, &path), !is_left_out, "{path:?}");
        }
        assert_eq!(place("a: [", &[]), None);
    }

    #[test]
    fn what_stands_last_is_told_with_all_that_it_is_part_of() {
        for (text, expected) in [
            ("a: 1\nb:\n  c: [d, {e: f}]\n", "b.c.1.e"),
            ("a: 1\nb:\n", "b"),
            ("- a\n- [b, c]\n", "1.1"),
            ("word", ""),
            ("a: [", ""),
        ] {
            assert_eq!(last_way(text).join("."), expected, "{text}");
        }
    }

    #[test]
    fn an_item_is_found_by_what_it_says() {
        let path = ["pools", "x86", "types"].map(str::to_owned);
        for (item, expected) in [("a", (6, 13)), ("bc", (6, 16)), ("b", (6, 12))] {
            assert_eq!(place_of_item(TEXT, &path, item), Some(expected), "{item}");
        }
        let nowhere = ["pools", "x86", "quick"].map(str::to_owned);
        assert_eq!(place_of_item(TEXT, &nowhere, "true"), Some((7, 12)));
        assert_eq!(place_of_item("a: [", &path, "a"), None);
    }
}
