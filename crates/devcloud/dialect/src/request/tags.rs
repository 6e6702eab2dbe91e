//! Tags.

use serde::Deserialize;

use super::{
    Filter, requests,
    text::{TagKey, TagValue},
};

/// `Tag.N` of a call that sets tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    pub key: TagKey,
    /// Its value; empty when it is left out.
    #[serde(default = "nothing")]
    pub value: TagValue,
}

fn nothing() -> TagValue {
    TagValue(String::new())
}

/// `Tag.N` of a call that removes tags. An empty value is a value; none means whatever it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DoomedTag {
    pub key: String,
    #[serde(default, deserialize_with = "as_it_came")]
    pub value: Option<String>,
}

fn as_it_came<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// `TagSpecification.N` of a call that makes something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TagSpecification {
    /// What is tagged.
    pub resource_type: String,
    /// With what.
    #[serde(default)]
    pub tag: Vec<Tag>,
}

requests! {
    CreateTags {
        resource_id: Vec<String>,
        tag: Vec<Tag>,
    }
    DeleteTags {
        resource_id: Vec<String>,
        tag: Vec<DoomedTag>,
    }
    DescribeTags {
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
}
