//! Values as Ansible's templates have them: Python's, with mappings that keep their order.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

/// A mapping in the order in which it was written.
pub(crate) type Map = IndexMap<String, Value>;

/// One value. The first four are no values of Ansible's language, but what stands where one should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    /// Something that is not there; the text says what.
    Undefined(String),
    /// Something that could not be evaluated, and why.
    Broken(String),
    /// What `'a' if condition` gives where the condition does not hold.
    NoElse,
    /// `omit`: the parameter or element that has this value is left out.
    Omit,
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Map),
}

impl Value {
    /// What kind of value this is, for a complaint.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) | Self::Broken(_) | Self::NoElse => "undefined",
            Self::Omit => "omit",
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member of a mapping.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(name),
            _ => None,
        }
    }

    /// Why this cannot be used, if it is not there.
    pub(crate) fn present(&self) -> Result<&Self, String> {
        match self {
            Self::Undefined(why) | Self::Broken(why) => Err(why.clone()),
            Self::NoElse => Err("the condition does not hold, and there is no else".to_owned()),
            _ => Ok(self),
        }
    }

    /// Whether Python takes it for true.
    pub(crate) fn is_true(&self) -> Result<bool, String> {
        Ok(match self.present()? {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            _ => true,
        })
    }

    /// Checks that everything in it is there, and leaves out what is `omit`, except at the top.
    pub(crate) fn finished(self) -> Result<Self, String> {
        self.present()?;
        Ok(match self {
            Self::List(items) => Self::List(
                items
                    .into_iter()
                    .filter(|item| *item != Self::Omit)
                    .map(Self::finished)
                    .collect::<Result<_, _>>()?,
            ),
            Self::Map(entries) => Self::Map(
                entries
                    .into_iter()
                    .filter(|(_, value)| *value != Self::Omit)
                    .map(|(key, value)| Ok((key, value.finished()?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other,
        })
    }

    /// What Python's `str` makes of it.
    pub(crate) fn to_text(&self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            other => other.to_python(),
        }
    }

    /// What Python's `repr` makes of it.
    fn to_python(&self) -> Result<String, String> {
        Ok(match self.present()? {
            Self::Null => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => float_text(*number),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items = items.iter().map(Self::to_python).collect::<Result<Vec<_>, _>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok(format!("{}: {}", quoted(key), value.to_python()?)))
                    .collect::<Result<Vec<_>, String>>()?;
                format!("{{{}}}", entries.join(", "))
            }
            Self::Omit | Self::Undefined(_) | Self::Broken(_) | Self::NoElse => {
                return Err("omit is no text".to_owned());
            }
        })
    }

    /// JSON as Python writes it: a space behind comma and colon, and nothing but ASCII.
    pub(crate) fn to_json_text(&self) -> Result<String, String> {
        Ok(match self.present()? {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Float(number) if number.is_nan() => "NaN".to_owned(),
            Self::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Self::Int(_) | Self::Float(_) => self.to_python()?,
            Self::Text(text) => json_text(text),
            Self::List(items) => {
                let items = items
                    .iter()
                    .map(Self::to_json_text)
                    .collect::<Result<Vec<_>, _>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok(format!("{}: {}", json_text(key), value.to_json_text()?)))
                    .collect::<Result<Vec<_>, String>>()?;
                format!("{{{}}}", entries.join(", "))
            }
            Self::Omit | Self::Undefined(_) | Self::Broken(_) | Self::NoElse => {
                return Err("omit is no value".to_owned());
            }
        })
    }

    /// The same for programs that take JSON; what is not there becomes nothing.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Undefined(_) | Self::Broken(_) | Self::NoElse | Self::Omit | Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Text(text) => Json::from(text.as_str()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }
}

/// As JSON, for messages.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(formatter)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A mapping of these members.
pub(crate) fn map<const N: usize>(members: [(&str, Value); N]) -> Map {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A number of Python with a fraction: the shortest digits that mean the same number.
fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        exponent @ -4..16 => {
            let plain = number.to_string();
            if exponent < 16 && !plain.contains('.') {
                format!("{plain}.0")
            } else {
                plain
            }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

/// A text in quotation marks as Python shows it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            other if other == quote => shown.extend(['\\', other]),
            other if is_printable(other) => shown.push(other),
            other => shown.push_str(&match u32::from(other) {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    shown.push(quote);
    shown
}

/// Controls, blanks other than the space, marks of direction and what is set aside for private use.
fn is_printable(character: char) -> bool {
    let code = u32::from(character);
    let is_hidden = matches!(code, 0xad | 0x600..=0x605 | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f)
        || matches!(code, 0xe000..=0xf8ff | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0x10_ffff);
    character == ' ' || !character.is_control() && !character.is_whitespace() && !is_hidden
}

fn json_text(text: &str) -> String {
    let mut written = String::from('"');
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\u{8}' => written.push_str("\\b"),
            '\u{c}' => written.push_str("\\f"),
            ' '..='\u{7f}' => written.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    written.push('"');
    written
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        let number = i64::try_from(number);
        number
            .map(Value::Int)
            .map_err(|_| E::custom("a number is larger than 64 bits"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some((key, value)) = access.next_entry::<String, Value>()? {
            entries.insert(key, value);
        }
        if entries.len() > 100_000 {
            return Err(A::Error::custom("a mapping has more than 100,000 members"));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests;
