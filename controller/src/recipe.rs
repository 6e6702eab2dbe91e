//! What the builders of each pool are made from, and which builders are made otherwise.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    PoolName,
    drift::{DriftPart, FirstVersion, Outdated, Recipe, is_of_first_version},
    fleet::PoolKind,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{Builder, FleetView};

use crate::Context;

fn digest(value: &serde_json::Value) -> String {
    hex::encode(Sha256::digest(value.to_string().as_bytes()))
}

/// The digest of a recipe's text, which is of one length however many chroots there are: the database keeps it as a key.
pub(crate) fn key_of(recipe: &str) -> String {
    hex::encode(Sha256::digest(recipe.as_bytes()))
}

impl Context {
    /// What a builder of a pool is made from now, as a text of [`Recipe`].
    pub(crate) fn recipe(&self, pool: &PoolName, view: &FleetView) -> String {
        self.recipe_of(pool, view, false).to_string()
    }

    fn recipe_of(&self, pool: &PoolName, view: &FleetView, has_first_version: bool) -> Recipe {
        let spec = self.fleet.pools.get(pool);
        let image = spec.and_then(|spec| match spec.kind() {
            PoolKind::Cloud { image } => Some((image, self.fleet.images.get(image)?)),
            PoolKind::Hosts(_) => None,
        });
        // As the file would say it with an id: whether that stands there or was chosen makes no other builder.
        let image = image.map(|(name, spec)| {
            let id = self.fleet.image_id(name, &view.images);
            id.map(|id| json!({"cloud": spec.cloud, "id": id}))
        });
        let disk = spec.and_then(|spec| spec.disk.as_ref());
        let provision = spec.and_then(|spec| self.fleet.provision.get(&spec.provision));
        let chroots: Vec<_> = self
            .chroots_of(pool, &view.chroots)
            .map(|chroot| (&chroot.name, json!([chroot.name, chroot.definition])))
            .collect();
        let first_version = has_first_version.then(|| FirstVersion {
            files: self.provisioner.configuration_hash().to_owned(),
            chroots: digest(&chroots.iter().map(|(_, it)| it.clone()).collect()),
        });
        let chroots = chroots.iter().map(|(name, it)| ((*name).clone(), digest(it)));
        Recipe {
            // Without a disk as older farms have it, whose builders go on.
            image: match (image, disk) {
                (Some(None), _) => String::new(),
                (image, None) => digest(&json!(image.flatten())),
                (image, Some(disk)) => digest(&json!([image.flatten(), disk])),
            },
            provision: digest(&json!(provision)),
            files: self.provisioner.files_hash().to_owned(),
            programs: self.provisioner.programs_hash().to_owned(),
            chroots: chroots.collect(),
            first_version,
        }
    }
}

/// Compares builders with what their pools would make now.
pub(crate) struct Comparison<'a>(BTreeMap<&'a PoolName, OfPool<'a>>);

struct OfPool<'a> {
    now: Recipe,
    text: String,
    urgent_on: &'a BTreeSet<DriftPart>,
    /// What was found before: most builders that differ were made together.
    known: BTreeMap<&'a str, Option<Outdated>>,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(context: &'a Context, view: &FleetView) -> Self {
        let has_first_version = view
            .builders
            .iter()
            .any(|builder| is_of_first_version(&builder.spec_hash));
        let pools = context.fleet.pools.iter().map(|(name, spec)| {
            let now = context.recipe_of(name, view, has_first_version);
            let of_pool = OfPool {
                text: now.to_string(),
                now,
                urgent_on: &spec.drift.urgent_on,
                known: BTreeMap::new(),
            };
            (name, of_pool)
        });
        Self(pools.collect())
    }

    /// How a builder differs; not at all where its pool is gone.
    pub(crate) fn of(&mut self, builder: &'a Builder) -> Option<Outdated> {
        let pool = self.0.get_mut(&builder.pool)?;
        let made = builder.spec_hash.as_str();
        if made == pool.text {
            return None;
        }
        let (now, urgent_on) = (&pool.now, pool.urgent_on);
        let found = pool
            .known
            .entry(made)
            .or_insert_with(|| now.outdated(made, urgent_on));
        found.clone()
    }
}
