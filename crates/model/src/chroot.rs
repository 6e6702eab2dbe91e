//! What a chroot to build in is made of, where mock does not know it by name already.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the root of a chroot is made. One without repositories is for builders with mock, which use mock's own
/// configuration of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChrootDefinition {
    /// The repositories that the root is installed from.
    #[serde(default)]
    pub repositories: Vec<BaseRepository>,
    /// The packages of a minimal build root.
    #[serde(default)]
    pub buildroot_packages: Vec<String>,
    /// RPM macros set in every build, by name without the percent sign.
    #[serde(default)]
    pub macros: BTreeMap<String, String>,
}

/// A repository of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRepository {
    /// The id that dnf shows.
    pub id: String,
    /// The address, as builders reach it. `{farm}` at its start stands for the farm's own address.
    pub baseurl: String,
    /// The address of the key that its packages are signed with; without one signatures are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpgkey: Option<String>,
}
