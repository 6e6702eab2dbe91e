//! Machine images, as clouds tell of them, and the tags by which a farm knows its own.

use std::collections::BTreeMap;

use model::{FleetId, PoolName};

use crate::{FLEET_TAG, POOL_TAG};

/// The tag of an image that says by which playbook, with which files and variables, it was made: a digest of all of them. Only an
/// image that is whole has it.
pub const PLAYBOOK_TAG: &str = "verdigris:playbook";
/// The tag of an image with the id of the image that its machine was launched from.
pub const BASE_TAG: &str = "verdigris:base";

/// A machine image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub name: String,
    pub state: ImageState,
    /// Why it is in its state, in the cloud's words.
    pub state_reason: Option<String>,
    /// When it was made, as the cloud writes it.
    pub created: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Its volumes that stay, and go on costing, when a machine ends that was launched from it as it stands.
    pub kept_volumes: Vec<Volume>,
}

/// A volume that a machine gets of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name under which the machine is given it, such as `/dev/xvda`.
    pub device: String,
    /// Its size in GiB, where the image says it.
    pub size: Option<i32>,
}

impl Image {
    /// The digest of what made it, if it was made by a farm and is whole.
    #[must_use]
    pub fn made_by(&self) -> Option<&str> {
        self.tags.get(PLAYBOOK_TAG).map(String::as_str)
    }

    /// Whether it was made for exactly that pool of exactly that fleet.
    #[must_use]
    pub fn is_of(&self, fleet: FleetId, pool: &PoolName) -> bool {
        let is = |tag, value: &str| self.tags.get(tag).is_some_and(|it| it == value);
        is(FLEET_TAG, &fleet.to_string()) && is(POOL_TAG, pool.as_str())
    }
}

/// How far an image has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It is being made.
    Pending,
    /// Machines can be launched from it.
    Available,
    /// It never will be.
    Failed,
}

/// An image to be made of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// The machine.
    pub instance_id: String,
    /// A name that no other image of the account has: who asks twice with it gets one image.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// Whether the cloud may stop the machine for it, so that its disk is at rest. Where it may not, the disk is to be quiet already.
    pub may_stop: bool,
    /// The tags that it has from the beginning, where the cloud can do that; those that it is to have are given again anyway.
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_of_the_pool_and_the_fleet_that_its_tags_name_and_of_no_other() {
        let fleet: FleetId = "flt_00000000000000000000000000000003".parse().unwrap();
        let pool: PoolName = "x86".parse().unwrap();
        for (fleet_tag, pool_tag, expected) in [
            ("flt_00000000000000000000000000000003", "x86", true),
            ("flt_00000000000000000000000000000003", "x86-2", false),
            ("flt_00000000000000000000000000000004", "x86", false),
            ("", "x86", false),
        ] {
            let tags = [(FLEET_TAG, fleet_tag), (POOL_TAG, pool_tag)];
            let image = Image {
                id: "ami-1".to_owned(),
                name: "one".to_owned(),
                state: ImageState::Available,
                state_reason: None,
                created: None,
                tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                kept_volumes: Vec::new(),
            };
            assert_eq!(image.is_of(fleet, &pool), expected, "{fleet_tag} {pool_tag}");
            assert_eq!(image.made_by(), None);
            let tagged = [(PLAYBOOK_TAG.to_owned(), "ab".to_owned())].into();
            assert_eq!(
                Image {
                    tags: tagged,
                    ..image
                }
                .made_by(),
                Some("ab")
            );
        }
    }
}
