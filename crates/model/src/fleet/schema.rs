//! The fleet file as a JSON Schema, from which editors tell an operator what may be written and what is wrong. It is derived
//! from the types; here is what they cannot say.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::FleetSpec;
use crate::{
    chroot::ARCHITECTURES,
    id::FleetId,
    name::{Grammar, PoolName},
    quantity::{Days, Gibibytes, Hours, Price, Rate, Share, Span, Zone},
};

/// What every text with at least one letter or digit matches.
pub(super) const SOMETHING: &str = r"\S";

/// The schema of a fleet file, in the draft of 2020-12.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<FleetSpec>().to_value()
}

/// A list of texts, none of them empty.
pub(super) fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "pattern": SOMETHING}})
}

/// A part of the whole.
pub(super) fn part(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["number", "null"], "minimum": 0.01, "maximum": 1, "default": null})
}

/// How often something is done in a second.
pub(super) fn rate(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["number", "null"], "minimum": 0.01, "maximum": 1000, "default": null})
}

/// A program, by its whole path, and its arguments.
pub(super) fn command(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "prefixItems": [{"type": "string", "pattern": "^/.*[^/]$"}], "items": {"type": "string"},
    })
}

/// Texts by names, none of them empty.
pub(super) fn named_texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"type": "string", "pattern": SOMETHING}})
}

/// The labels of a pool: one of an architecture at least.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    let architectures = ARCHITECTURES.join("|");
    json_schema!({
        "type": "array",
        "items": {"type": "string", "pattern": format!("^(arch:({architectures})|chroot:.+)$")},
        "contains": {"pattern": "^arch:"},
    })
}

/// A type of its own.
macro_rules! own_schema {
    ($($type:ty, $name:literal, $schema:tt;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

own_schema! {
    Price, "Price", {
        "type": ["number", "string"], "minimum": 0, "pattern": r"^[0-9]+(\.[0-9]{1,6})?$",
        "description": "A price, such as 0.156, with at most six digits behind the point.",
    };
    Share, "Share", {
        "type": ["integer", "string"], "minimum": 0, "pattern": "^([0-9]+|(100|[0-9]{1,2})%)$",
        "description": "A number of machines, or a part of them such as 10%.",
    };
}

/// A text that matches a pattern, as a type of its own.
macro_rules! text_schema {
    ($($type:ty, $name:literal, $description:literal, $pattern:expr;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $description, "pattern": $pattern})
            }
        }
    )+};
}

text_schema! {
    Gibibytes, "Gibibytes", "A size of whole GiB with its unit, such as 160g or 2t.", "^[0-9]+ *(g|GiB|t|TiB)$";
    Rate, "Rate", "So many in a time, from 1/d to 1000/s: 1/s, 1/3s, 20/m.", "^[0-9]{1,4}/([0-9]+ *)?(s|m|h|d)$";
    Span, "Duration", "A length of time with its unit: 250ms, 30s, 5m, 2h or 7d.", "^[0-9]+ *(ms|s|m|h|d)$";
    FleetId, "FleetId", "A UUID; `uuidgen` prints a new one.",
        "^(flt_)?([0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$";
    PoolName, "PoolName", "The name of a pool.", Grammar::Pool.pattern();
    Days, "Days", "Days of the week: any, tue,sat, mon-fri.", "^(any|(mon|tue|wed|thu|fri|sat|sun)([,-](mon|tue|wed|thu|fri|sat|sun))*)$";
    Hours, "Hours", "A part of a day, such as 07:00-19:00.", "^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
    Zone, "Zone", "A time zone of the IANA database, such as Europe/Prague.", SOMETHING;
}

#[cfg(test)]
mod tests;
