//! Parameters as a tree, and the tree as a type: `Name.1.Member=x` is the member of the first item of a list.
//!
//! A list may come without numbers, as one item; clients of Eucalyptus send it so. What the type has no field for is an
//! error with its full name, because a misspelt wish that is passed over is worse than one that is refused.

use std::{collections::BTreeMap, fmt};

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess,
        VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use crate::{ApiError, whole_number};

/// More parts than the name of any parameter has.
const DEEPEST: usize = 10;

/// A parameter or what is below one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Value(String),
    Inner(BTreeMap<String, Node>),
}

impl Node {
    /// The tree of some parameters.
    pub(crate) fn tree<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, ApiError> {
        let mut root = BTreeMap::new();
        for (name, value) in pairs {
            let parts: Vec<&str> = name.split('.').collect();
            let (Some((last, before)), true) = (parts.split_last(), parts.len() <= DEEPEST) else {
                return Err(ApiError::unknown_parameter(name));
            };
            let twice = || {
                let message = format!("The parameter {name} is there as a value and with parts");
                ApiError::new("InvalidParameterCombination", message)
            };
            let mut place = &mut root;
            for part in before {
                let below = place
                    .entry((*part).to_owned())
                    .or_insert_with(|| Self::Inner(BTreeMap::new()));
                let Self::Inner(inner) = below else {
                    return Err(twice());
                };
                place = inner;
            }
            let value = Self::Value(value.to_owned());
            if place.insert((*last).to_owned(), value).is_some() {
                return Err(twice());
            }
        }
        Ok(Self::Inner(root))
    }

    /// The full name of the first parameter at or below this place.
    fn first_name(&self, path: &str) -> String {
        match self {
            Self::Inner(inner) => inner.iter().next().map_or_else(
                || path.to_owned(),
                |(part, node)| node.first_name(&join(path, part)),
            ),
            Self::Value(_) => path.to_owned(),
        }
    }
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() {
        part.to_owned()
    } else {
        format!("{path}.{part}")
    }
}

/// Decodes a tree into a type.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, ApiError> {
    match T::deserialize(Decoder { node, path: "" }) {
        Ok(value) => Ok(value),
        Err(problem) => Err(problem.at("", node)),
    }
}

/// `true` or `false`, in the spellings of the clients. The error says what it must be.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "1" => Ok(true),
        "false" | "False" | "0" => Ok(false),
        _ => Err("It must be true or false.".to_owned()),
    }
}

/// What is wrong, before and after it is known where.
#[derive(Debug)]
enum Problem {
    /// The type needs this member.
    Missing(&'static str),
    /// The value is wrong for this reason.
    Invalid(String),
    Found(ApiError),
}

impl Problem {
    /// The problem in its place. One that was placed further inside stays there.
    fn at(self, path: &str, node: &Node) -> ApiError {
        match self {
            Self::Missing(member) => ApiError::missing(&join(path, member)),
            Self::Invalid(reason) => {
                let value = match node {
                    Node::Value(value) => value.as_str(),
                    Node::Inner(_) => "",
                };
                ApiError::invalid(path, value, &reason)
            }
            Self::Found(error) => error,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(member) => write!(formatter, "{member} is missing"),
            Self::Invalid(reason) => formatter.write_str(reason),
            Self::Found(error) => formatter.write_str(&error.message),
        }
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Invalid(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Invalid(format!("It must be one of: {}.", expected.join(", ")))
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::Invalid("It is out of range.".to_owned())
    }
}

/// A place in the tree.
#[derive(Clone, Copy)]
struct Decoder<'a> {
    node: &'a Node,
    path: &'a str,
}

impl<'a> Decoder<'a> {
    /// The one value that is here.
    fn value(self) -> Result<&'a str, Problem> {
        match self.node {
            Node::Value(value) => Ok(value),
            Node::Inner(_) => Err(self.unknown()),
        }
    }

    fn unknown(self) -> Problem {
        Problem::Found(ApiError::unknown_parameter(&self.node.first_name(self.path)))
    }

    fn members(self) -> Result<Members<'a>, Problem> {
        let rest = match self.node {
            Node::Inner(inner) => inner.iter().collect(),
            Node::Value(value) if value.is_empty() => Vec::new(),
            Node::Value(_) => return Err(self.unknown()),
        };
        Ok(Members {
            path: self.path,
            rest: rest.into_iter(),
            value: None,
        })
    }

    /// The items of a list in the order of their numbers, with their names.
    fn items(self) -> Result<Vec<(String, &'a Node)>, Problem> {
        let Node::Inner(inner) = self.node else {
            return Ok(vec![(self.path.to_owned(), self.node)]);
        };
        let mut items = BTreeMap::new();
        for (part, node) in inner {
            let name = join(self.path, part);
            let number = whole_number(part).and_then(|number| u32::try_from(number).ok());
            let Some(number) = number else {
                return Err(Decoder { node, path: &name }.unknown());
            };
            items.insert(number, (name, node));
        }
        Ok(items.into_values().collect())
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            let number = whole_number(self.value()?);
            visitor.visit_i64(number.ok_or_else(|| Problem::Invalid("It must be a whole number.".to_owned()))?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_str(self.value()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_bool(boolean(self.value()?).map_err(Problem::Invalid)?)
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.node {
            Node::Value(value) if value.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_seq(Items(self.items()?.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_map(self.members()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_map(self.members()?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_enum(Word(self.value()?))
    }

    forward_to_deserialize_any! {
        f32 f64 i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Members<'a> {
    path: &'a str,
    rest: std::vec::IntoIter<(&'a String, &'a Node)>,
    value: Option<(String, &'a Node)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let Some((part, node)) = self.rest.next() else {
            return Ok(None);
        };
        let path = join(self.path, part);
        let key = seed
            .deserialize(part.as_str().into_deserializer())
            .map_err(|_: Problem| Decoder { node, path: &path }.unknown())?;
        self.value = Some((path, node));
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Problem> {
        let (path, node) = self.value.take().ok_or(Problem::Missing("value"))?;
        place(seed, &path, node)
    }
}

struct Items<'a>(std::vec::IntoIter<(String, &'a Node)>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.0
            .next()
            .map(|(path, node)| place(seed, &path, node))
            .transpose()
    }
}

/// Decodes what is at a place, and says of a problem that it is there.
fn place<'de, T: DeserializeSeed<'de>>(seed: T, path: &str, node: &Node) -> Result<T::Value, Problem> {
    seed.deserialize(Decoder { node, path })
        .map_err(|problem| Problem::Found(problem.at(path, node)))
}

struct Word<'a>(&'a str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Problem> {
        Ok((seed.deserialize(self.0.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Problem> {
        Err(Problem::Invalid("It must be a word.".to_owned()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Problem> {
        Err(Problem::Invalid("It must be a word.".to_owned()))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Problem> {
        Err(Problem::Invalid("It must be a word.".to_owned()))
    }
}

#[cfg(test)]
mod tests;
