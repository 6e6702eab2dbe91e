//! From the store's view of the fleet to what the planner looks at.

use std::collections::BTreeMap;

use model::{
    Drift, PoolName,
    builder::Deadlines,
    drift::Recipe,
    intent,
    plan::{self, CloudHealth, Snapshot},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{Chroot, FleetView};

use crate::Context;

/// What the plan is made from, with the clouds as the database tells of them.
#[must_use]
pub fn snapshot(context: &Context, view: &FleetView) -> Snapshot {
    let troubles = view.troubles.iter().cloned();
    let health = troubles.map(|trouble| (trouble.cloud.clone(), CloudHealth::Away(trouble)));
    snapshot_with(context, view, &health.collect())
}

/// What the plan is made from, with the clouds as the caller knows them; one that it does not know answers.
pub(crate) fn snapshot_with(
    context: &Context,
    view: &FleetView,
    health: &BTreeMap<String, CloudHealth>,
) -> Snapshot {
    let pools = context.fleet.pools.iter().map(|(name, spec)| {
        let image = context.fleet.images.get(&spec.image);
        let cloud = image.and_then(|image| health.get(&image.cloud));
        let pool = plan::Pool {
            spec: spec.clone(),
            history: view.histories.get(name).cloned().unwrap_or_default(),
            cloud: cloud.cloned().unwrap_or_default(),
            pause: view.pauses.get(name).cloned(),
        };
        (name.clone(), pool)
    });
    let names = context.fleet.pools.keys();
    let recipes: BTreeMap<&PoolName, String> = names.map(|pool| (pool, context.recipe(pool, view))).collect();
    let builders = view.builders.iter().map(|builder| plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        created_at: builder.created_at,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
        drift: recipes
            .get(&builder.pool)
            .and_then(|now| Drift::between(&builder.spec_hash, now)),
        refusal: builder.refusal.clone(),
        sandbox: builder.sandbox.clone(),
        ready_at: builder.ready_at,
        mark: builder.mark.clone(),
    });
    let mut snapshot = Snapshot::new(view.at, pools.collect(), builders.collect(), view.queue.clone());
    let asked = view.intents.iter().flat_map(|it| intent::demands(it, view.at));
    snapshot.demands.extend(asked);
    snapshot
}

impl Context {
    /// The time limits of a pool's builders.
    pub(crate) fn deadlines(&self, pool: &PoolName) -> Deadlines {
        self.fleet
            .pools
            .get(pool)
            .and_then(|spec| self.fleet.provision.get(&spec.provision))
            .map_or_else(Deadlines::default, |provision| provision.timeouts.deadlines())
    }

    /// The chroots that a pool's builders are made for: also those that are offered to nobody any more, since builds of them
    /// may wait.
    pub(crate) fn chroots_of<'a>(
        &'a self,
        pool: &PoolName,
        chroots: &'a [Chroot],
    ) -> impl Iterator<Item = &'a Chroot> {
        let spec = self.fleet.pools.get(pool);
        chroots
            .iter()
            .filter(move |chroot| spec.is_some_and(|spec| spec.offers(&chroot.name)))
    }

    /// What a builder of a pool is made from now, as a text of [`Recipe`].
    pub(crate) fn recipe(&self, pool: &PoolName, view: &FleetView) -> String {
        let spec = self.fleet.pools.get(pool);
        let image = spec.and_then(|spec| self.fleet.images.get(&spec.image));
        let provision = spec.and_then(|spec| self.fleet.provision.get(&spec.provision));
        let chroots: Vec<_> = self
            .chroots_of(pool, &view.chroots)
            .map(|chroot| json!([chroot.name, chroot.definition]))
            .collect();
        let digest = |value: serde_json::Value| hex::encode(Sha256::digest(value.to_string().as_bytes()));
        let recipe = Recipe {
            image: digest(json!(image)),
            provision: digest(json!(provision)),
            files: self.provisioner.configuration_hash().to_owned(),
            chroots: digest(json!(chroots)),
        };
        recipe.to_string()
    }
}
