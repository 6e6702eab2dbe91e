//! The keys that stand twice in a map. The library tells the first of them alone, or passes over all.

use std::{cell::RefCell, collections::BTreeSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::repair::Way;

/// A key that stands in its map already.
pub(super) struct Key {
    pub(super) way: Way,
    /// Line and column, both from one.
    pub(super) place: (u64, u64),
    /// The map, as mistakes show it.
    map: String,
}

impl Key {
    /// What is wrong, with the map.
    pub(super) fn words(&self) -> String {
        let key = self.way.last().map_or("", String::as_str);
        let map = match self.map.as_str() {
            "" => String::new(),
            map => format!("{map}: "),
        };
        format!("{map}the key `{key}` stands twice here")
    }
}

/// All of a text, as far as it can be read.
pub(super) fn keys(text: &str) -> Vec<Key> {
    let found = RefCell::new(Vec::new());
    let options =
        serde_saphyr::options! { strict_booleans: true, duplicate_keys: DuplicateKeyPolicy::PassThrough };
    let place = Place {
        found: &found,
        way: Way::new(),
        shown: String::new(),
    };
    // What cannot be read is told by who reads the text for its values.
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |inner| place.deserialize(inner))
        .ok();
    found.into_inner()
}

/// A value that is looked through.
struct Place<'a> {
    found: &'a RefCell<Vec<Key>>,
    way: Way,
    shown: String,
}

impl Place<'_> {
    fn below(&self, key: &str, shown: String) -> Self {
        let mut way = self.way.clone();
        way.push(key.to_owned());
        Self {
            found: self.found,
            way,
            shown,
        }
    }

    /// Notes a key, unless an alias has led to it before.
    fn note(&self, key: &Spanned<String>) {
        let place = (key.defined.line(), key.defined.column());
        let mut found = self.found.borrow_mut();
        if found.iter().all(|known| known.place != place) {
            found.push(Key {
                way: [self.way.as_slice(), std::slice::from_ref(&key.value)].concat(),
                place,
                map: self.shown.clone(),
            });
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }
}

macro_rules! pass_over {
    ($($method:ident($kind:ty);)*) => {
        $(fn $method<E: Error>(self, _: $kind) -> Result<(), E> {
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    pass_over! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
        visit_f64(f64);
        visit_str(&str);
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        IgnoredAny.visit_newtype_struct(inner).map(drop)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number: usize = 0;
        while list
            .next_element_seed(self.below(&number.to_string(), format!("{}[{number}]", self.shown)))?
            .is_some()
        {
            number += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if seen.contains(&key.value) {
                self.note(&key);
            }
            let dot = if self.shown.is_empty() { "" } else { "." };
            map.next_value_seed(self.below(&key.value, format!("{}{dot}{}", self.shown, key.value)))?;
            seen.insert(key.value);
        }
        Ok(())
    }
}
