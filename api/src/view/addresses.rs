//! Addresses by name, as an object whose names people read in order: copr-cli prints them as they come.

use std::{borrow::Cow, collections::BTreeMap};

use poem_openapi::{
    registry::{MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The schema of what they are written as.
type Described = BTreeMap<String, String>;

/// Names and addresses, in an order of their own.
#[derive(Debug)]
pub(crate) struct Addresses(pub(crate) Vec<(String, String)>);

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, address)| (name, address)))
    }
}

impl Type for Addresses {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        Described::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        Described::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Described::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for Addresses {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// The framework wants every field to be readable; nothing reads an answer here.
impl ParseFromJSON for Addresses {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let read = Described::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(Self(read.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn names_are_written_in_the_order_that_they_have() {
        let pair = |name: &str| (name.to_owned(), format!("http://{name}/"));
        let addresses = Addresses(["z", "a", "m"].map(pair).to_vec());
        assert_eq!(
            serde_json::to_string(&addresses).unwrap(),
            r#"{"z":"http://z/","a":"http://a/","m":"http://m/"}"#
        );
    }
}
