//! YAML as a tree in which everything knows its line and column.
//!
//! Playbooks are read into this first and typed afterwards: a wrong indentation then shows as the syntax error it
//! is, and every later complaint can point at the offending key. There are no YAML 1.1 booleans: `yes` is text.

mod older;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::Spanned;

use crate::error::Mistake;
use crate::value::{Map, Value};

pub(crate) use older::read_otherwise;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) tree: Tree,
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) text: String,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// Reads one document.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, Mistake> {
    // A tag such as !vault or !unsafe asks for something that is not done here.
    let options = serde_saphyr::options! { strict_booleans: true, reject_unsupported_tags: true };
    match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options) {
        Ok(spanned) => Ok(node(spanned)),
        Err(error) => {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            Err(Mistake {
                file: file.to_owned(),
                line,
                column,
                message: runtime::yaml::what(&error, text),
            })
        }
    }
}

fn node(spanned: Spanned<Tree>) -> Node {
    Node {
        line: spanned.referenced.line(),
        column: spanned.referenced.column(),
        tree: spanned.value,
    }
}

impl Node {
    /// What kind of value this is, for a complaint.
    pub(crate) fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Null => "nothing",
            Tree::Bool(_) => "true or false",
            Tree::Number(_) => "a number",
            Tree::Text(_) => "text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }

    /// The value without its places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::from(serde_json::Value::Number(number.clone())),
            Tree::Text(text) => Value::Text(text.clone()),
            Tree::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Tree::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), value.to_value()));
                Value::Map(entries.collect::<Map>())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Tree, E> {
        let number =
            i64::try_from(value).map_err(|_| E::custom("a number that does not fit into 64 bits"))?;
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Number::from_f64(value)
            .map(Tree::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Tree>>()? {
            items.push(node(item));
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Spanned<Tree>>()? {
            let (line, column) = (key.referenced.line(), key.referenced.column());
            entries.push((
                Key {
                    line,
                    column,
                    text: key.value,
                },
                node(value),
            ));
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests;
