//! The root volume of the machines of a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Gibibytes;

/// How the root volume of a pool's machines differs from that of their image; at least one of the two is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct DiskSpec {
    /// Its size in GiB, such as `160g`, from 1g to what the type allows; as large as the image's when left out. A cloud refuses less
    /// than the image was made with.
    #[serde(default)]
    pub size: Option<Gibibytes>,
    /// Its type; the image's when left out. Eucalyptus has one only.
    #[serde(default, rename = "type")]
    pub kind: Option<DiskType>,
}

impl DiskSpec {
    /// The largest size that such a volume may have at Amazon's; where the image says the type, that of the largest type.
    #[must_use]
    pub const fn largest(&self) -> Gibibytes {
        Gibibytes::new(match self.kind {
            None | Some(DiskType::Gp3) => 65_536,
            Some(DiskType::Gp2) => 16_384,
            Some(DiskType::Standard) => 1_024,
        })
    }
}

/// The types of volumes that a machine can start from and that need no number of operations beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskType {
    /// On flash, with a speed that does not depend on the size.
    Gp3,
    /// On flash, faster the larger it is.
    Gp2,
    /// On magnetic disks.
    Standard,
}

impl DiskType {
    /// The name in EC2's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Standard => "standard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_the_name_in_the_file_that_it_has_in_the_api() {
        for kind in [DiskType::Gp3, DiskType::Gp2, DiskType::Standard] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn how_large_it_may_be_depends_on_its_type() {
        for (kind, expected) in [
            (None, "65536g"),
            (Some(DiskType::Gp3), "64t"),
            (Some(DiskType::Gp2), "16t"),
            (Some(DiskType::Standard), "1t"),
        ] {
            let largest = DiskSpec { size: None, kind }.largest();
            assert_eq!(Ok(largest), expected.parse(), "{kind:?}");
        }
    }
}
