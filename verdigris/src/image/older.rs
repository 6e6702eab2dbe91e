//! Images that were baked for a pool before.

use std::collections::BTreeSet;

use cloud::{Cloud, Image};
use model::{
    FleetId, PoolName, Timestamp,
    fleet::{CloudImage, FleetSpec, awaited},
};
use tracing::warn;

/// The ids of the account's own images that a selection of the fleet file chooses now, or that it waits for until they are old enough.
/// Selections of all clouds count: two clouds of the file may be of one account.
pub(super) fn selected(images: &[Image], fleet: &FleetSpec, now: Timestamp) -> BTreeSet<String> {
    let images: Vec<CloudImage> = images.iter().map(controller::listed).collect();
    // Whether an account's number is this account's, nobody knows; Amazon's it is not.
    let selections = fleet
        .images
        .values()
        .filter_map(|image| image.select.as_ref().filter(|select| select.owner != "amazon"));
    let kept = selections.flat_map(|select| awaited(&images, select, now));
    kept.map(|image| image.id.clone()).collect()
}

/// The images of a pool that another has taken the place of, and that nobody uses. `used`: the ids of those that the fleet file names,
/// that its selections choose or wait for, or that builders came from.
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

    #[test]
    fn images_that_a_selection_chooses_or_waits_for_are_kept() {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let aged = |id: &str, hours: u64| Image {
            created: Some(
                now.minus(std::time::Duration::from_secs(3600 * hours))
                    .to_string(),
            ),
            ..image(id, "flt_00000000000000000000000000000003", "x86")
        };
        // All of them were baked for one pool; the youngest one just now.
        let all = [aged("b-1", 72), aged("b-2", 48), aged("b-3", 12), aged("b-4", 0)];
        let day = r#"{owner: self, name: "b-*", min_age: 1d}"#;
        let no_age = r#"{owner: self, name: "b-*"}"#;
        let number = r#"{owner: "012345678901", name: "b-*", min_age: 2d}"#;
        let amazon = r#"{owner: amazon, name: "b-*", min_age: 1d}"#;
        let other = r#"{owner: self, name: "c-*", min_age: 1d}"#;
        for (selections, expected) in [
            (&[day] as &[&str], &["b-2", "b-3", "b-4"] as &[&str]),
            (&[no_age], &["b-4"]),
            (&[number], &["b-2", "b-3", "b-4"]),
            (&[amazon, other], &[]),
            (&[no_age, day, other], &["b-2", "b-3", "b-4"]),
        ] {
            let images: String = selections
                .iter()
                .enumerate()
                .map(|(number, select)| format!("  i{number}: {{cloud: aws, select: {select}}}\n"))
                .collect();
            let text = format!(
                "schema: 1\nfleet: 019a0000-0000-7000-8000-000000000001\nname: test\n\
                 clouds: {{aws: {{kind: ec2, region: r, credentials: {{source: environment}}}}}}\n\
                 images:\n{images}provision: {{base: {{}}}}\npools: {{}}\n"
            );
            let fleet = runtime::yaml::parse(&text, "fleet.yaml").unwrap();
            let kept: Vec<_> = selected(&all, &fleet, now).into_iter().collect();
            assert_eq!(kept, expected, "{selections:?}");
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
