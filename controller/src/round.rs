//! One round after another: observe, plan, commit, act.
//!
//! Whatever waits for a cloud or a machine runs beside the rounds: looks at clouds, one for each cloud, and steps, one
//! for each builder. A cloud that is slow or away so delays nothing but its own builders, and never the lease.

use std::{collections::BTreeMap, sync::Arc};

use model::{
    BuilderState, PoolName,
    plan::{self, Action, Wait},
};
use runtime::supervisor::chain;
use store::{FleetCache, FleetView, Lease, News};
use tracing::warn;

use crate::{
    Error, Parts,
    clouds::Clouds,
    snapshot::snapshot_with,
    steps::{CloudFailure, Steps},
};

/// A controller of one fleet.
#[derive(Debug)]
pub struct Controller {
    pub(crate) parts: Arc<Parts>,
    pub(crate) clouds: Clouds,
    pub(crate) steps: Steps,
    /// What is on record of the pools since this controller leads.
    pub(crate) recorded: BTreeMap<PoolName, String>,
    pub(crate) news: News,
    /// What it knows of builders and queue.
    pub(crate) cache: FleetCache,
}

impl Controller {
    /// A controller that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            news: parts.store.news(),
            clouds: Clouds::new(&parts),
            steps: Steps::new(parts.clock.clone()),
            parts: Arc::new(parts),
            recorded: BTreeMap::new(),
            cache: FleetCache::default(),
        }
    }

    /// Forgets all that it saw and did: another controller may have acted since, and what was absent then may be back.
    pub(crate) async fn forget_everything(&mut self) {
        self.steps.stop().await;
        self.clouds.stop().await;
        self.steps = Steps::new(self.parts.clock.clone());
        self.clouds = Clouds::new(&self.parts);
        self.recorded.clear();
        self.cache = FleetCache::default();
    }

    /// Notes what steps said of clouds.
    pub(crate) fn note(&mut self, failures: Vec<CloudFailure>) {
        for (cloud, error) in failures {
            if matches!(error, cloud::Error::Unreachable { .. }) {
                self.clouds.note_failure(&cloud, &error);
            }
        }
    }

    /// One round; whether anything is under way.
    pub(crate) async fn round(&mut self, lease: &Lease) -> Result<bool, Error> {
        let parts = Arc::clone(&self.parts);
        self.clouds.conclude(&parts, lease, &mut self.cache).await?;
        let mut view = self.view().await?;
        self.record_pools(lease, &view).await?;
        self.clouds.record(&parts, lease, &view).await?;
        self.clouds.look(&parts, &view.builders).await?;
        let mut plan = plan::plan(&snapshot_with(&parts, &view, &self.clouds.health()));
        if parts.quiesce.is_cancelled() {
            plan.actions
                .retain(|action| matches!(action, Action::Expire { .. } | Action::Drain { .. }));
            plan.waits = wait_for_the_next_start(&view);
        }
        self.commit(lease, &view, &plan).await?;
        let is_changed = plan
            .actions
            .iter()
            .any(|action| !matches!(action, Action::Assign { .. }));
        let builders = if plan.actions.is_empty() {
            std::mem::take(&mut view.builders)
        } else {
            parts
                .store
                .look_at_builders(parts.fleet.fleet, &mut self.cache)
                .await?
        };
        self.steps.begin(&parts, lease, &builders, &self.clouds);
        // Why things wait is for people to read: it never keeps anything from being done.
        if let Err(error) = parts.store.set_waits(lease, &mut self.cache, &plan.waits).await {
            warn!("Cannot write down what waits for what: {}", chain(&error));
        }
        let is_moving = builders
            .iter()
            .any(|builder| builder.state != BuilderState::Ready);
        let is_silent = parts.clouds.keys().any(|cloud| !self.clouds.answers(cloud));
        Ok(is_changed || is_moving || is_silent || !view.queue.is_empty() || self.steps.under_way() > 0)
    }

    async fn view(&mut self) -> Result<FleetView, Error> {
        let (fleet, now) = (self.parts.fleet.fleet, self.parts.clock.now());
        Ok(self
            .parts
            .store
            .look_at_fleet(fleet, &mut self.cache, now)
            .await?)
    }
}

/// Why everything waits when the farm is being stopped.
fn wait_for_the_next_start(view: &FleetView) -> Vec<Wait> {
    let reason: Arc<str> =
        "the farm is stopping and begins no builds; it goes on with this one after its next start".into();
    let waits = view.queue.iter().enumerate().map(|(index, attempt)| Wait {
        attempt: attempt.id,
        build: attempt.build,
        chroot: attempt.chroot.clone(),
        owner: attempt.owner.clone(),
        position: index.saturating_add(1),
        reason: Arc::clone(&reason),
    });
    waits.collect()
}

#[cfg(test)]
mod tests;
