//! One round after another: observe, plan, commit, act.
//!
//! Whatever waits for a cloud or a machine runs beside the rounds: looks at clouds, one for each cloud, steps, one
//! for each builder, connections that wait for clouds' notices, and
//! questions to builders that wait for work. A cloud that is slow or away so delays nothing but its own builders, and never the lease.

use std::{collections::BTreeMap, sync::Arc};

use model::{
    BuilderState, PoolName,
    plan::{self, Action, Wait},
};
use runtime::supervisor::error_chain;
use store::{FleetCache, FleetView, Lease, Notifications};
use tracing::warn;

use crate::{
    Context, Error,
    clouds::Clouds,
    files::{Following, Reader},
    heard::Heard,
    hooks::{HookRunner, Hooks, Processes},
    lives::Lives,
    notices::Notices,
    passes::Progress,
    selection::Selection,
    snapshot::snapshot_with,
    steps::{CloudFailure, Steps},
};

/// A controller of one fleet.
#[derive(Debug)]
pub struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) clouds: Clouds,
    pub(crate) steps: Steps,
    pub(crate) hooks: Hooks,
    pub(crate) notices: Notices,
    pub(crate) lives: Lives,
    pub(crate) selection: Selection,
    heard: Heard,
    /// Whether builds would pass for lost already, if their workers had had time to tell that they live.
    pub(crate) is_hearing: bool,
    /// What is on record of the pools since this controller leads.
    pub(crate) recorded: BTreeMap<PoolName, String>,
    pub(crate) notifications: Notifications,
    /// What it knows of builders and queue.
    pub(crate) cache: FleetCache,
    pub(crate) files: Following,
    /// Operators' wishes for a whole pass that are under way, by the keys of their intents.
    pub(crate) passes: BTreeMap<String, Progress>,
    /// The key of the intent for which alone it leads.
    pub(crate) only_for: Option<String>,
}

impl Controller {
    /// A controller that has not begun.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let context = context.rationed();
        Self {
            notifications: context.store.notifications(),
            clouds: Clouds::new(&context),
            steps: Steps::new(context.clock.clone()),
            hooks: Hooks::new(context.clock.clone(), Arc::new(Processes)),
            notices: Notices::new(context.clock.clone()),
            lives: Lives::new(context.clock.clone()),
            selection: Selection::new(context.clock.clone()),
            heard: Heard::default(),
            is_hearing: false,
            files: Following::new(Arc::clone(&context.fleet), None),
            context: Arc::new(context),
            recorded: BTreeMap::new(),
            cache: FleetCache::default(),
            passes: BTreeMap::new(),
            only_for: None,
        }
    }

    /// Takes up files that are read anew while it runs.
    #[must_use]
    pub fn following(self, news: Reader) -> Self {
        Self {
            files: Following::new(Arc::clone(&self.files.file), Some(news)),
            ..self
        }
    }

    /// Has its hooks run by something else than as processes of this machine.
    #[must_use]
    pub fn with_hooks_by(self, runner: Arc<dyn HookRunner>) -> Self {
        Self {
            hooks: Hooks::new(self.context.clock.clone(), runner),
            ..self
        }
    }

    /// Forgets all that it saw and did: another controller may have acted since, and what was absent then may be back.
    pub(crate) async fn forget_everything(&mut self) {
        self.steps.stop().await;
        self.context.calls.forget();
        self.hooks.stop().await;
        self.notices.stop().await;
        self.lives.stop().await;
        self.selection.stop().await;
        self.clouds.stop().await;
        self.steps = Steps::new(self.context.clock.clone());
        self.clouds = Clouds::new(&self.context);
        self.heard = Heard::default();
        self.recorded.clear();
        self.cache = FleetCache::default();
        self.files.forget_what_is_recorded();
        self.passes.clear();
    }

    /// Notes what steps said of clouds.
    pub(crate) fn note(&mut self, failures: Vec<CloudFailure>) {
        for (cloud, error) in failures {
            if error.is_away() {
                self.clouds.note_failure(&cloud, &error);
            }
        }
    }

    /// One round; whether anything is under way.
    pub(crate) async fn round(&mut self, lease: &Lease) -> Result<bool, Error> {
        self.take_up_files(lease).await?;
        let context = Arc::clone(&self.context);
        self.clouds.conclude(&context, lease, &mut self.cache).await?;
        self.selection.conclude(&context, lease).await?;
        let mut view = self.view().await?;
        self.selection
            .begin(&context, &view.images, &self.clouds.health());
        self.record_pools(lease, &view).await?;
        Box::pin(self.take_up_notices(lease, &mut view)).await?;
        Box::pin(self.drain_what_died(lease, &mut view)).await?;
        Box::pin(self.take_up_intents(lease, &mut view)).await?;
        Box::pin(self.adopt(lease, &mut view)).await?;
        self.clouds.record(&context, lease, &view).await?;
        self.clouds.look(&context, lease, &view).await?;
        let mut plan = plan::plan(&snapshot_with(&context, &view, &self.clouds.health()));
        if context.quiesce.is_cancelled() {
            plan.actions
                .retain(|action| !matches!(action, Action::Assign { .. } | Action::Launch { .. }));
            plan.waits = wait_for_the_next_start(&view);
        }
        let (now, elapsed) = (context.clock.now(), context.clock.elapsed());
        self.is_hearing = false;
        if !self.heard.is_enough(now, elapsed) {
            let all = plan.actions.len();
            plan.actions.retain(|action| !is_loss_of_a_build(action));
            self.is_hearing = plan.actions.len() < all;
        }
        Box::pin(self.commit(lease, &view, &plan)).await?;
        let is_changed = plan
            .actions
            .iter()
            .any(|action| !matches!(action, Action::Assign { .. }));
        let builders = if plan.actions.is_empty() {
            std::mem::take(&mut view.builders)
        } else {
            context
                .store
                .look_at_builders(context.fleet.fleet, &mut self.cache)
                .await?
        };
        let waiting = Box::pin(self.hooks.begin(&context, lease, &builders)).await?;
        let with = (&self.clouds, &view.shortages, &waiting);
        self.steps.begin(&context, lease, &builders, with);
        self.notices.begin(&context, &builders);
        self.lives.begin(&context, &builders);
        view.builders = builders;
        Box::pin(self.follow_intents(lease, &view, &plan)).await?;
        // Why things wait is for people to read: it never keeps anything from being done.
        if let Err(error) = context.store.set_waits(lease, &mut self.cache, &plan.waits).await {
            warn!("Cannot write down what waits for what: {}", error_chain(&error));
        }
        let is_moving = view
            .builders
            .iter()
            .any(|builder| builder.state != BuilderState::Ready);
        let is_silent = context.clouds.keys().any(|cloud| !self.clouds.answers(cloud));
        let is_at_work = self.steps.under_way() > 0 || self.hooks.is_busy();
        Ok(is_changed || is_moving || is_silent || !view.queue.is_empty() || is_at_work)
    }

    pub(crate) async fn view(&mut self) -> Result<FleetView, Error> {
        let (fleet, now) = (self.context.fleet.fleet, self.context.clock.now());
        Ok(self
            .context
            .store
            .look_at_fleet(fleet, &mut self.cache, now)
            .await?)
    }
}

/// Whether an action ends a builder, and what is built on it, because its worker has not told that it lives.
fn is_loss_of_a_build(action: &Action) -> bool {
    matches!(
        action,
        Action::Expire {
            from: BuilderState::Busy,
            ..
        }
    )
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
