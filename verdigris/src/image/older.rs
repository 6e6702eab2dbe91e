//! Images that were baked for a pool before.

use std::collections::BTreeSet;

use cloud::{Cloud, Image};
use model::{FleetId, PoolName};
use tracing::warn;

/// The images of a pool that another has taken the place of, and that nobody uses. `used`: the ids of those that the fleet file names,
/// or that builders came from.
pub(super) fn superseded(
    images: &[Image],
    (fleet, pool): (FleetId, &PoolName),
    new: &str,
    used: &BTreeSet<String>,
) -> Vec<String> {
    let old = images
        .iter()
        .filter(|image| image.is_of(fleet, pool) && image.id != new && !used.contains(&image.id));
    let mut ids: Vec<String> = old.map(|image| image.id.clone()).collect();
    ids.sort();
    ids
}

/// Deletes images; those that are gone then. One that cannot be deleted is told of, and stays.
pub(super) async fn delete(cloud: &dyn Cloud, ids: &[String]) -> Vec<String> {
    let mut gone = Vec::new();
    for id in ids {
        match cloud.delete_image(id).await {
            Ok(()) => gone.push(id.clone()),
            Err(error) => warn!("Image {id} could not be deleted: {error}"),
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use cloud::{FLEET_TAG, FakeCloud, ImageState, POOL_TAG};

    use super::*;

    fn image(id: &str, fleet: &str, pool: &str) -> Image {
        let tags = [(FLEET_TAG, fleet), (POOL_TAG, pool)];
        Image {
            id: id.to_owned(),
            name: id.to_owned(),
            state: ImageState::Available,
            state_reason: None,
            created: None,
            tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            kept_volumes: Vec::new(),
            root_volume: None,
        }
    }

    #[tokio::test]
    async fn only_images_of_the_pool_that_nobody_uses_are_superseded() {
        let ours = "flt_00000000000000000000000000000003";
        let cloud = FakeCloud::default();
        for image in [
            image("ami-5", ours, "x86"),
            image("ami-4", ours, "x86"),
            image("ami-3", ours, "x86"),
            image("ami-2", ours, "arm"),
            image("ami-1", "flt_00000000000000000000000000000004", "x86"),
            image("ami-0", ours, "x86"),
        ] {
            cloud.add_image(image);
        }
        let used = BTreeSet::from(["ami-3".to_owned()]);
        let (fleet, pool) = (ours.parse().unwrap(), "x86".parse().unwrap());
        let old = superseded(&cloud.all_images(), (fleet, &pool), "ami-5", &used);
        assert_eq!(old, ["ami-0", "ami-4"]);
        assert_eq!(delete(&cloud, &old).await, ["ami-0", "ami-4"]);
        let left: Vec<String> = cloud.all_images().into_iter().map(|image| image.id).collect();
        assert_eq!(left, ["ami-1", "ami-2", "ami-3", "ami-5"]);
        cloud.set_away(Some(cloud::Error::Ended));
        assert_eq!(delete(&cloud, &["ami-3".to_owned()]).await, [""; 0]);
    }
}
