//! Reading on behind a mistake: what is missing or cannot be read has a stand-in, what is not known is passed over. So the
//! next reading of the same text finds the next mistake, and an operator sees all of them at once.

use std::collections::BTreeMap;

use model::fleet::Contradiction;
use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, IgnoredAny, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
    },
};

use super::{
    stand_in::{StandIn, WORDS},
    words::WITHOUT_END,
};

/// The keys on the way to a value, and the numbers of items in lists.
pub(super) type Way = Vec<String>;

/// What to do at a place of a text where a mistake was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// The key is not known: it is passed over with its value.
    Skip,
    /// The value is missing or cannot be read: one made with the word of this number stands in.
    StandIn(usize),
}

/// What to do at the places where mistakes were found already.
#[derive(Default)]
pub(super) struct Repairs {
    at: BTreeMap<Way, Repair>,
    /// The keys that stand twice: the first of their values is read.
    twice: Vec<Way>,
}

impl Repairs {
    /// Whether a stand-in is read there: a mistake in it is not the operator's.
    pub(super) fn stands_at(&self, way: &[String]) -> bool {
        self.at.keys().any(|repaired| way.starts_with(repaired))
    }

    /// Whether a contradiction may go when the mistakes are mended, since it is about a value that is none of the operator's.
    /// `is_written` tells whether the text has a value at all.
    pub(super) fn may_settle(&self, found: &Contradiction, is_written: impl Fn(&[String]) -> bool) -> bool {
        let beside = found.beside.as_deref();
        let is_of = |way: &[String]| {
            way.starts_with(&found.path)
                || found.path.starts_with(way)
                || beside.is_some_and(|beside| beside.starts_with(way))
        };
        let mut unknown = self.at.iter().filter(|(_, repair)| **repair != Repair::Skip);
        if unknown.any(|(way, _)| is_of(way)) || self.twice.iter().any(|way| is_of(way)) {
            return true;
        }
        // A misspelt key may be any of those that are not written beside it.
        let mut misspelt = self.at.iter().filter(|(_, repair)| **repair == Repair::Skip);
        let values = || [Some(found.path.as_slice()), beside].into_iter().flatten();
        misspelt.any(|(way, _)| {
            let map = way.split_last().map_or(way.as_slice(), |(_, map)| map);
            values().any(|value| value.starts_with(map) && !is_written(value))
        })
    }

    /// Notes a key that stands twice.
    pub(super) fn take_first(&mut self, way: Way) {
        self.twice.push(way);
    }

    /// Passes over a key from now on; false when that did not help before.
    pub(super) fn skip(&mut self, way: Way) -> bool {
        self.at.insert(way, Repair::Skip).is_none()
    }

    /// Lets something stand in from now on, each time with the next word; false when there is none left.
    pub(super) fn stand_in(&mut self, way: &[String]) -> bool {
        let known = self.at.iter_mut().find(|(repaired, _)| way.starts_with(repaired));
        match known {
            None => self.at.insert(way.to_vec(), Repair::StandIn(0)).is_none(),
            Some((_, Repair::StandIn(word))) if *word + 1 < WORDS.len() => {
                *word += 1;
                true
            }
            Some(_) => false,
        }
    }

    /// Reads with these repairs.
    pub(super) fn reader<D>(&self, inner: D) -> Reader<'_, D> {
        Reader {
            inner,
            repairs: self,
            way: Way::new(),
        }
    }

    /// The keys right below a place for which something stands in.
    fn stand_ins_below(&self, way: &[String]) -> Vec<(String, usize)> {
        let below = self.at.iter().filter_map(|(repaired, repair)| {
            let (last, parent) = repaired.split_last()?;
            match repair {
                Repair::StandIn(word) if parent == way => Some((last.clone(), *word)),
                _ => None,
            }
        });
        below.collect()
    }
}

/// A deserializer, or a visitor of one, or what is behind it, that knows where it is.
pub(super) struct Reader<'a, D> {
    inner: D,
    repairs: &'a Repairs,
    way: Way,
}

impl<'a, D> Reader<'a, D> {
    /// The same place with something else inside.
    fn with<E>(self, make: impl FnOnce(D) -> E) -> Reader<'a, E> {
        Reader {
            inner: make(self.inner),
            repairs: self.repairs,
            way: self.way,
        }
    }

    /// A visitor at this place, and the deserializer that is to call it.
    fn apart<V>(self, visitor: V) -> (D, Reader<'a, V>) {
        let (repairs, way) = (self.repairs, self.way);
        let inner = visitor;
        (self.inner, Reader { inner, repairs, way })
    }
}

macro_rules! read {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            let (inner, visitor) = self.apart(visitor);
            inner.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<'_, D> {
    type Error = D::Error;

    read! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

macro_rules! hand_on {
    ($($method:ident($($value:ident: $kind:ty)?);)*) => {
        $(fn $method<E: de::Error>(self, $($value: $kind)?) -> Result<V::Value, E> {
            self.inner.$method($($value)?)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.expecting(f)
    }

    hand_on! {
        visit_bool(value: bool);
        visit_i8(value: i8);
        visit_i16(value: i16);
        visit_i32(value: i32);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u8(value: u8);
        visit_u16(value: u16);
        visit_u32(value: u32);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f32(value: f32);
        visit_char(value: char);
        visit_str(value: &str);
        visit_borrowed_str(value: &'de str);
        visit_string(value: String);
        visit_bytes(value: &[u8]);
        visit_borrowed_bytes(value: &'de [u8]);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<V::Value, E> {
        if value.is_finite() {
            self.inner.visit_f64(value)
        } else {
            Err(E::custom(WITHOUT_END))
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let (visitor, below) = self.apart(inner);
        visitor.visit_some(below)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let (visitor, below) = self.apart(inner);
        visitor.visit_newtype_struct(below)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        let (visitor, below) = self.apart(list);
        visitor.visit_seq(below.with(|list| Items { list, next: 0 }))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let (visitor, below) = self.apart(map);
        let absent = below.repairs.stand_ins_below(&below.way);
        let value = None;
        visitor.visit_map(below.with(|map| Entries { map, absent, value }))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, choice: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(choice)
    }
}

/// The items of a list.
struct Items<A> {
    list: A,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Reader<'_, Items<A>> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let mut way = self.way.clone();
        way.push(self.inner.next.to_string());
        self.inner.next += 1;
        let seed = Reader {
            inner: seed,
            repairs: self.repairs,
            way,
        };
        self.inner.list.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.list.size_hint()
    }
}

/// The entries of a map.
struct Entries<A> {
    map: A,
    /// The keys that need a stand-in and were not met yet, each with the number of its word.
    absent: Vec<(String, usize)>,
    /// What is to be read next: the key, and the word if the map has no such entry.
    value: Option<(String, Option<usize>)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Reader<'_, Entries<A>> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let entries = &mut self.inner;
        while let Some(key) = entries.map.next_key::<String>()? {
            let mut way = self.way.clone();
            way.push(key.clone());
            if self.repairs.at.get(&way) == Some(&Repair::Skip) {
                entries.map.next_value::<IgnoredAny>()?;
                continue;
            }
            entries.absent.retain(|(absent, _)| *absent != key);
            entries.value = Some((key.clone(), None));
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        let Some((key, word)) = entries.absent.pop() else {
            return Ok(None);
        };
        entries.value = Some((key.clone(), Some(word)));
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let Some((key, absent)) = self.inner.value.take() else {
            return self.inner.map.next_value_seed(seed);
        };
        let mut way = self.way.clone();
        way.push(key);
        match absent {
            Some(word) => seed.deserialize(StandIn::new(word)),
            None => self.inner.map.next_value_seed(Reader {
                inner: seed,
                repairs: self.repairs,
                way,
            }),
        }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Reader<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        if let Some(Repair::StandIn(word)) = self.repairs.at.get(&self.way) {
            IgnoredAny::deserialize(inner)?;
            return self.inner.deserialize(StandIn::new(*word));
        }
        let (seed, below) = self.apart(inner);
        seed.deserialize(below)
    }
}
