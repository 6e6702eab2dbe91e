//! Values that stand in for what is missing in a text or cannot be read: whatever a type asks for, it gets one.

use std::marker::PhantomData;

use serde::{
    Deserializer,
    de::{
        self, IntoDeserializer as _, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

/// Texts of which one is right for each type that takes only some: a name, a span of time, an id.
pub(super) const WORDS: [&str; 3] = ["x", "1s", "019a0000-0000-7000-8000-000000000001"];

/// Whatever is asked for.
pub(super) struct StandIn<E> {
    word: usize,
    error: PhantomData<E>,
}

impl<E> StandIn<E> {
    /// Its texts are the word of that number.
    pub(super) const fn new(word: usize) -> Self {
        Self {
            word,
            error: PhantomData,
        }
    }

    fn text(&self) -> &'static str {
        WORDS.get(self.word).copied().unwrap_or_default()
    }
}

impl<'de, E: de::Error> de::IntoDeserializer<'de, E> for StandIn<E> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            visitor.visit_u64(1)
        })*
    };
}

macro_rules! texts {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            visitor.visit_str(self.text())
        })*
    };
}

impl<'de, E: de::Error> Deserializer<'de> for StandIn<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        // What takes a value of any kind may take nothing or a number.
        if self.word == 0 {
            visitor.visit_unit()
        } else {
            visitor.visit_u64(1)
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_bool(false)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    texts! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_seq(SeqDeserializer::<_, E>::new(std::iter::empty::<Self>()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(Self, Self)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        let entries = fields.iter().map(|field| (*field, Self::new(self.word)));
        visitor.visit_map(MapDeserializer::new(entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        let first = variants.first().copied().unwrap_or_default();
        visitor.visit_enum(first.into_deserializer())
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple tuple_struct ignored_any }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use model::{
        FleetId, PoolName,
        fleet::{ControllerSpec, PoolSpec},
        quantity::Span,
    };
    use serde::{Deserialize, de::value::Error};

    use super::{StandIn, WORDS};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Any {
        is_so: bool,
        count: u16,
        name: String,
        kind: Kind,
        perhaps: Option<String>,
        list: BTreeSet<String>,
        map: BTreeMap<String, Any>,
        vars: serde_json::Value,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        First,
        Second,
    }

    #[test]
    fn every_type_gets_what_it_asks_for() {
        let any = Any::deserialize(StandIn::<Error>::new(0)).unwrap();
        let expected = Any {
            is_so: false,
            count: 1,
            name: "x".to_owned(),
            kind: Kind::First,
            perhaps: None,
            list: BTreeSet::new(),
            map: BTreeMap::new(),
            vars: serde_json::Value::Null,
        };
        assert_eq!(any, expected);
    }

    #[test]
    fn one_of_the_words_is_right_for_each_type_of_the_fleet_file_that_takes_only_some() {
        let takes =
            |read: &dyn Fn(StandIn<Error>) -> bool| (0..WORDS.len()).any(|word| read(StandIn::new(word)));
        assert!(takes(&|it| FleetId::deserialize(it).is_ok()));
        assert!(takes(&|it| Span::deserialize(it).is_ok()));
        assert!(takes(&|it| PoolName::deserialize(it).is_ok()));
        assert!(takes(&|it| ControllerSpec::deserialize(it).is_ok()));
        assert!(takes(&|it| PoolSpec::deserialize(it).is_ok()));
    }
}
