//! How builders are shared between those who wait for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How builders are shared between owners, beside that they take turns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FairnessSpec {
    /// What one may have at once.
    pub caps: CapsSpec,
}

/// What one may have at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CapsSpec {
    /// The most builders that the builds of one owner's projects have at once, in the background too; no limit when left out.
    #[schemars(range(min = 1))]
    pub owner: Option<u32>,
}
