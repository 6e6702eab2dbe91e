//! The machine image of the cloud inside `verdigris up`, and whether the fleet file asks for it.

use anyhow::{Context as _, bail};
use cloud::UnknownTypes;
use devcloud::ImageConfig;
use model::{
    PoolName,
    fleet::{CloudSpec, Contradiction, CredentialsSource, FleetSpec},
};
use runtime::Settings;

use crate::instance_types::{types_of, unknown_types};

/// The port of the cloud's gateway through which instances reach the farm.
pub(crate) const FARM_PORT: u16 = 80;

/// The farm's address as the machines of this cloud reach it.
pub(crate) fn farm_url() -> String {
    format!("http://{}:{FARM_PORT}", devcloud::hypervisor::GATEWAY)
}

/// Whether a pool's machines are of this cloud.
pub(crate) fn is_of_pool(fleet: &FleetSpec, pool: &PoolName) -> bool {
    let spec = fleet.pools.get(pool);
    let cloud = spec.and_then(|spec| fleet.clouds.get(fleet.cloud_of(spec)?));
    cloud.is_some_and(|cloud| cloud.credentials.source == CredentialsSource::Embedded)
}

/// The image that the settings name.
pub(crate) fn image(settings: &Settings) -> anyhow::Result<ImageConfig> {
    let advice = "`cargo xtask image` makes one";
    let Some(path) = &settings.devcloud.image else {
        bail!("the cloud of this farm has no machine image yet: name it once with --image DIR; {advice}");
    };
    if !path.is_dir() {
        let what = if path.exists() {
            "no directory"
        } else {
            "not there"
        };
        bail!(
            "`devcloud.image`: the machine image {} is {what}; {advice}",
            path.display()
        );
    }
    ImageConfig::read(path)
        .with_context(|| format!("`devcloud.image`: the machine image {}; {advice}", path.display()))
}

/// Whether any of a fleet's clouds is the one inside `verdigris up`.
pub(crate) fn is_used(fleet: &FleetSpec) -> bool {
    let mut clouds = fleet.clouds.values();
    clouds.any(|cloud| cloud.credentials.source == CredentialsSource::Embedded)
}

/// What the fleet file asks the embedded cloud for in vain: it has one image, and a new one has a new id; and a few types.
pub(crate) fn mistakes(fleet: &FleetSpec, image: &str) -> Vec<Contradiction> {
    let is_embedded =
        |(_, cloud): &(&String, &CloudSpec)| cloud.credentials.source == CredentialsSource::Embedded;
    let mut found = Vec::new();
    for (cloud, _) in fleet.clouds.iter().filter(is_embedded) {
        let images = fleet.images.iter().filter(|(_, spec)| spec.cloud == *cloud);
        // What matches is found out when it is asked.
        let ids = images.filter_map(|(name, spec)| Some((name, spec.id.as_deref()?)));
        for (name, id) in ids.filter(|(_, id)| *id != image) {
            let words = format!(
                "it is {id}, but the machine image of the embedded cloud is {image}: write that there"
            );
            found.push(Contradiction::new(&["images", name, "id"], words));
        }
        let offered: Vec<String> = devcloud::instance_type_names().map(str::to_owned).collect();
        let uses = types_of(fleet, cloud);
        let unknown = uses
            .keys()
            .filter(|name| !offered.iter().any(|known| known == *name));
        let types = UnknownTypes {
            unknown: unknown.map(|name| (*name).to_owned()).collect(),
            offered,
        };
        found.extend(unknown_types(&uses, &types, cloud));
    }
    found
}
