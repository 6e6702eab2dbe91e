//! The machine image of the cloud inside `verdigris up`, and whether the fleet file asks for it.

use anyhow::{Context as _, bail};
use devcloud::ImageConfig;
use model::fleet::{CredentialsSource, FleetSpec};
use runtime::Settings;

/// The image that the settings name.
pub(crate) fn image(settings: &Settings) -> anyhow::Result<ImageConfig> {
    let advice = "`cargo xtask image` makes one";
    let Some(path) = &settings.devcloud.image else {
        bail!("the cloud of this farm has no machine image yet: name it once with --image DIR; {advice}");
    };
    ImageConfig::read(path)
        .with_context(|| format!("`devcloud.image`: the machine image {}; {advice}", path.display()))
}

/// Whether any of a fleet's clouds is the one inside `verdigris up`.
pub(crate) fn is_used(fleet: &FleetSpec) -> bool {
    let mut clouds = fleet.clouds.values();
    clouds.any(|cloud| cloud.credentials.source == CredentialsSource::Embedded)
}

/// Images that the fleet file asks the embedded cloud for in vain: it has one, and a new one has a new id.
pub(crate) fn unknown_images(fleet: &FleetSpec, image: &str) -> Vec<String> {
    let of_embedded = fleet.images.iter().filter(|(_, spec)| {
        let cloud = fleet.clouds.get(&spec.cloud);
        cloud.is_some_and(|cloud| cloud.credentials.source == CredentialsSource::Embedded)
    });
    of_embedded
        .filter(|(_, spec)| spec.id != image)
        .map(|(name, spec)| {
            format!(
                "images.{name}.id is {}, but the machine image of the embedded cloud is {image}: write that there",
                spec.id
            )
        })
        .collect()
}
