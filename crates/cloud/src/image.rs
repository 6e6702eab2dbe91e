//! Machine images, as clouds tell of them, and the tags by which a farm knows its own.

use std::collections::BTreeMap;

use model::{FleetId, PoolName, fleet::DiskSpec, quantity::Gibibytes};

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
    /// The volume that a machine starts from; `None` where that is no volume of the cloud's but a place on the machine's host.
    pub root_volume: Option<Volume>,
}

/// A volume that a machine gets of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The name under which the machine is given it, such as `/dev/xvda`.
    pub device: String,
    /// Its size in GiB, where it is known.
    pub size: Option<u32>,
    /// Its type, as EC2 names it, where it is to be another than the image's.
    pub kind: Option<String>,
}

impl Image {
    /// The digest of what made it, if it was made by a farm and is whole.
    #[must_use]
    pub fn made_by(&self) -> Option<&str> {
        self.tags.get(PLAYBOOK_TAG).map(String::as_str)
    }

    /// What a launch says of the volumes of a machine, so that all of them end with it and the root volume is as wanted.
    ///
    /// # Errors
    /// When the root volume is to be another one, and the image has none.
    pub fn volumes(&self, disk: Option<&DiskSpec>) -> Result<Vec<Volume>, NoRootVolume> {
        let mut volumes = self.kept_volumes.clone();
        let Some(disk) = disk else { return Ok(volumes) };
        let image = || NoRootVolume(self.id.clone());
        let root = self.root_volume.as_ref().ok_or_else(image)?;
        volumes.retain(|volume| volume.device != root.device);
        let wanted = Volume {
            device: root.device.clone(),
            size: disk.size.map(Gibibytes::get).or(root.size),
            kind: disk.kind.map(|kind| kind.as_str().to_owned()),
        };
        volumes.insert(0, wanted);
        Ok(volumes)
    }

    /// Whether it was made for exactly that pool of exactly that fleet.
    #[must_use]
    pub fn is_of(&self, fleet: FleetId, pool: &PoolName) -> bool {
        let is = |tag, value: &str| self.tags.get(tag).is_some_and(|it| it == value);
        is(FLEET_TAG, &fleet.to_string()) && is(POOL_TAG, pool.as_str())
    }
}

/// An image whose machines start from no volume of the cloud's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {0} has no volume as its root device, so that `disk` can say nothing of it")]
pub struct NoRootVolume(String);

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
                root_volume: None,
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

    #[test]
    fn a_disk_that_is_wanted_takes_the_place_of_the_image_s_root_volume_and_all_volumes_go_with_the_machine()
    {
        let volume = |device: &str, size, kind: Option<&str>| Volume {
            device: device.to_owned(),
            size,
            kind: kind.map(str::to_owned),
        };
        let (root, data) = (volume("/dev/xvda", Some(8), None), volume("/dev/sdd", None, None));
        let image = |kept: &[&Volume], root_volume: Option<&Volume>| Image {
            id: "ami-1".to_owned(),
            name: "one".to_owned(),
            state: ImageState::Available,
            state_reason: None,
            created: None,
            tags: BTreeMap::new(),
            kept_volumes: kept.iter().copied().cloned().collect(),
            root_volume: root_volume.cloned(),
        };
        let disk = |text: &str| serde_json::from_str::<Option<DiskSpec>>(text).unwrap();
        let larger = volume("/dev/xvda", Some(160), Some("gp3"));
        for (found, wanted, expected) in [
            (
                image(&[&root, &data], Some(&root)),
                "null",
                vec![root.clone(), data.clone()],
            ),
            (image(&[], Some(&root)), "null", vec![]),
            (image(&[], None), "null", vec![]),
            // Whether the image's own would stay or not.
            (
                image(&[&root, &data], Some(&root)),
                r#"{"size": "160g", "type": "gp3"}"#,
                vec![larger.clone(), data.clone()],
            ),
            (
                image(&[], Some(&root)),
                r#"{"size": "160g", "type": "gp3"}"#,
                vec![larger],
            ),
            (
                image(&[], Some(&root)),
                r#"{"size": "9g"}"#,
                vec![volume("/dev/xvda", Some(9), None)],
            ),
            // The image's size is repeated, for clouds that do not take a volume without one.
            (
                image(&[&data], Some(&root)),
                r#"{"type": "gp2"}"#,
                vec![volume("/dev/xvda", Some(8), Some("gp2")), data.clone()],
            ),
        ] {
            assert_eq!(
                found.volumes(disk(wanted).as_ref()),
                Ok(expected),
                "{found:?} {wanted}"
            );
        }
        let refused = image(&[&data], None).volumes(disk(r#"{"size": "9g"}"#).as_ref());
        let words = "image ami-1 has no volume as its root device, so that `disk` can say nothing of it";
        assert_eq!(refused.unwrap_err().to_string(), words);
    }
}
