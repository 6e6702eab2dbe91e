//! One round after another: lease, observe, plan, commit, act.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState, PoolName,
    builder::Deadlines,
    plan::{self, Action, Plan, Snapshot},
};
use runtime::{CancellationToken, clock, supervisor::chain};
use sha2::{Digest as _, Sha256};
use store::{Builder, Change, FleetView, Lease, NewBuilder};
use tokio::{task::JoinSet, time::Instant};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::{Error, Parts, observe, step};

/// How often the clouds are asked when something is under way, and when nothing is.
const OBSERVE_EVERY: Duration = Duration::from_millis(400);
const OBSERVE_ALL_EVERY: Duration = Duration::from_secs(30);
/// How many builders are worked on at once.
const MOST_STEPS: usize = 64;

/// A controller of one fleet.
#[derive(Debug)]
pub struct Controller {
    parts: Arc<Parts>,
    absences: observe::Absences,
    steps: JoinSet<BuilderId>,
    in_step: BTreeSet<BuilderId>,
    observed: Option<Instant>,
    observed_all: Option<Instant>,
}

impl Controller {
    /// A controller that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            absences: observe::Absences::default(),
            steps: JoinSet::new(),
            in_step: BTreeSet::new(),
            observed: None,
            observed_all: None,
        }
    }

    /// Takes the lease when it is free, and acts while it holds it, until told to stop.
    ///
    /// # Errors
    /// Never for what may pass: a database or a cloud that is away is waited for.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let spec = self.parts.fleet.controller.lease.clone();
        while !stop.is_cancelled() {
            let now = clock::now();
            let taken = self
                .parts
                .store
                .acquire_lease(self.parts.fleet.fleet, &self.parts.holder, spec.ttl.get(), now)
                .await;
            match taken {
                Ok(Some(lease)) => {
                    info!(
                        lease.epoch = lease.epoch,
                        "This controller leads fleet {}.", self.parts.fleet.name
                    );
                    if let Err(error) = self.lead(&lease, &stop).await {
                        warn!("No longer leading: {}", chain(&error));
                    }
                    self.steps.shutdown().await;
                    self.in_step.clear();
                    if let Err(error) = self.parts.store.release_lease(&lease, clock::now()).await {
                        debug!("The lease was not released: {error}");
                    }
                }
                Ok(None) => debug!("Another controller leads; waiting."),
                Err(error) => warn!("Cannot take the lease: {}", chain(&error)),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(spec.renew.get()) => {}
            }
        }
        Ok(())
    }

    /// Rounds until the lease is lost or the end is asked for.
    async fn lead(&mut self, lease: &Lease, stop: &CancellationToken) -> Result<(), Error> {
        let spec = self.parts.fleet.controller.clone();
        self.record_pools(lease).await?;
        let mut renewed = Instant::now();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            // Acting ends at two thirds of the lease's time, by a clock that nobody can set.
            if renewed.elapsed() > spec.lease.ttl.get().mul_f64(0.66) {
                return Err(Error::Contradiction(
                    "the lease could not be renewed in time".to_owned(),
                ));
            }
            if renewed.elapsed() >= spec.lease.renew.get() || failures > 0 {
                let asked = Instant::now();
                match self
                    .parts
                    .store
                    .renew_lease(lease, spec.lease.ttl.get(), clock::now())
                    .await
                {
                    Ok(()) => renewed = asked,
                    Err(error @ (store::Error::Conflict { .. } | store::Error::LeaseLost { .. })) => {
                        return Err(error.into());
                    }
                    Err(error) => warn!("Cannot renew the lease: {}", chain(&error)),
                }
            }
            let is_busy = match self.round(lease).await {
                Ok(is_busy) => {
                    failures = 0;
                    is_busy
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    warn!("A round failed: {}", chain(&error));
                    true
                }
            };
            let pause = if is_busy {
                spec.tick.min.get()
            } else {
                spec.tick.max.get().min(spec.lease.renew.get())
            };
            self.wait(pause, stop).await;
        }
        Ok(())
    }

    /// Waits for the next round: a step that ended begins it at once.
    async fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = self.steps.join_next() => self.ended(ended),
        }
        while let Some(ended) = self.steps.try_join_next() {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<BuilderId, tokio::task::JoinError>) {
        match ended {
            Ok(id) => {
                self.in_step.remove(&id);
            }
            // Which builder it was is not known: all that still run are asked for again.
            Err(cause) if cause.is_panic() => {
                error!("A step ended badly: {cause}");
                self.in_step.clear();
                self.steps.abort_all();
            }
            Err(_) => {}
        }
    }

    /// One round; whether anything is under way.
    async fn round(&mut self, lease: &Lease) -> Result<bool, Error> {
        let now = clock::now();
        let mut view = self
            .parts
            .store
            .fleet_snapshot(self.parts.fleet.fleet, now)
            .await?;
        let thorough = self
            .observed_all
            .is_none_or(|last| last.elapsed() >= OBSERVE_ALL_EVERY);
        let waits_for_cloud = view.builders.iter().any(|builder| {
            matches!(
                builder.state,
                BuilderState::Pending | BuilderState::Terminating | BuilderState::Resolving
            )
        });
        let due = waits_for_cloud && self.observed.is_none_or(|last| last.elapsed() >= OBSERVE_EVERY);
        if thorough || due {
            observe::observe(&self.parts, lease, &view.builders, &mut self.absences, thorough).await?;
            self.observed = Some(Instant::now());
            if thorough {
                self.observed_all = self.observed;
            }
            view = self
                .parts
                .store
                .fleet_snapshot(self.parts.fleet.fleet, clock::now())
                .await?;
        }
        let plan = plan::plan(&snapshot(&self.parts, &view));
        self.commit(lease, &view, &plan).await?;
        let launched = plan
            .actions
            .iter()
            .any(|action| !matches!(action, Action::Assign { .. }));
        let builders = if plan.actions.is_empty() {
            view.builders
        } else {
            self.parts
                .store
                .fleet_snapshot(self.parts.fleet.fleet, clock::now())
                .await?
                .builders
        };
        self.act(lease, &builders);
        let is_moving = builders
            .iter()
            .any(|builder| builder.state != BuilderState::Ready);
        Ok(launched || is_moving || !view.queue.is_empty() || !self.in_step.is_empty())
    }

    async fn record_pools(&self, lease: &Lease) -> Result<(), Error> {
        for (name, pool) in &self.parts.fleet.pools {
            let spec = serde_json::to_value(pool).map_err(|cause| Error::Contradiction(cause.to_string()))?;
            self.parts
                .store
                .record_pool(lease, name, &spec, &self.parts.pool_hash(name), clock::now())
                .await?;
        }
        Ok(())
    }

    /// Writes the decisions down. One that lost a race is left for the next round.
    async fn commit(&self, lease: &Lease, view: &FleetView, plan: &Plan) -> Result<(), Error> {
        let by_id: BTreeMap<BuilderId, &Builder> = view
            .builders
            .iter()
            .map(|builder| (builder.id, builder))
            .collect();
        for action in &plan.actions {
            let done = match action {
                Action::Assign { attempt, builder } => {
                    let Some(row) = by_id.get(builder) else { continue };
                    let deadline = clock::now().plus(self.parts.deadlines(&row.pool).reserved);
                    let assigned = self
                        .parts
                        .store
                        .assign(lease, *attempt, row, deadline, clock::now());
                    assigned.await.map(drop)
                }
                Action::Launch { pool, reason } => self.plan_builder(lease, pool, reason).await,
                Action::Drain { builder, reason } => {
                    self.move_on(lease, by_id.get(builder).copied(), BuilderState::Draining, reason)
                        .await
                }
                Action::Expire {
                    builder, to, reason, ..
                } => {
                    self.move_on(lease, by_id.get(builder).copied(), *to, reason)
                        .await
                }
            };
            match done {
                Ok(()) => debug!("Decided: {action:?}"),
                Err(store::Error::Conflict { what }) => debug!("Not done, something was quicker: {what}"),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.parts.store.set_waits(lease, &plan.waits).await?)
    }

    async fn move_on(
        &self,
        lease: &Lease,
        builder: Option<&Builder>,
        to: BuilderState,
        reason: &str,
    ) -> Result<(), store::Error> {
        let Some(builder) = builder else { return Ok(()) };
        let now = clock::now();
        let deadline = self
            .parts
            .deadlines(&builder.pool)
            .of(to)
            .map(|limit| now.plus(limit));
        let change = Change {
            reason: reason.to_owned(),
            deadline,
            ..Change::default()
        };
        info!(builder.id = %builder.id, "Builder {} leaves {} for {to}: {reason}.", builder.id, builder.state);
        self.parts
            .store
            .transition(lease, builder, to, &change, now)
            .await
            .map(drop)
    }

    async fn plan_builder(&self, lease: &Lease, pool: &PoolName, reason: &str) -> Result<(), store::Error> {
        let fleet = &self.parts.fleet;
        let Some(spec) = fleet.pools.get(pool) else {
            return Ok(());
        };
        let Some(image) = fleet.images.get(&spec.image) else {
            return Ok(());
        };
        let Some(provision) = fleet.provision.get(&spec.provision) else {
            return Ok(());
        };
        let now = clock::now();
        let builder = NewBuilder {
            id: BuilderId(Uuid::now_v7()),
            pool: pool.clone(),
            cloud: image.cloud.clone(),
            image: image.id.clone(),
            spec_hash: self.parts.pool_hash(pool),
            port: provision.connect.port,
            reason: reason.to_owned(),
            deadline: now.plus(self.parts.deadlines(pool).planned),
        };
        info!(builder.id = %builder.id, "Builder {} of pool {pool} is planned: {reason}.", builder.id);
        self.parts.store.plan_builder(lease, &builder, now).await
    }

    /// Begins a step for every builder that needs one and has none.
    fn act(&mut self, lease: &Lease, builders: &[Builder]) {
        for builder in builders.iter().filter(|builder| step::is_needed(builder)) {
            if self.steps.len() >= MOST_STEPS {
                break;
            }
            if !self.in_step.insert(builder.id) {
                continue;
            }
            let (parts, lease, builder) = (Arc::clone(&self.parts), *lease, builder.clone());
            self.steps.spawn(async move {
                let id = builder.id;
                if let Err(error) = step::step(&parts, &lease, builder).await {
                    warn!(builder.id = %id, "A step of builder {id} failed: {}", chain(&error));
                }
                id
            });
        }
    }
}

/// What the plan is made from.
#[must_use]
pub fn snapshot(parts: &Parts, view: &FleetView) -> Snapshot {
    let pools = parts.fleet.pools.iter().map(|(name, spec)| {
        let (failures, last_failure) = view.pool_failures.get(name).copied().unwrap_or((0, None));
        (
            name.clone(),
            plan::Pool {
                spec: spec.clone(),
                failures,
                last_failure,
            },
        )
    });
    let builders = view.builders.iter().map(|builder| plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
    });
    Snapshot {
        now: clock::now(),
        pools: pools.collect(),
        builders: builders.collect(),
        queue: view.queue.clone(),
        active: view.active.clone(),
    }
}

impl Parts {
    /// The time limits of a pool's builders.
    pub(crate) fn deadlines(&self, pool: &PoolName) -> Deadlines {
        self.fleet
            .pools
            .get(pool)
            .and_then(|spec| self.fleet.provision.get(&spec.provision))
            .map_or_else(Deadlines::default, |provision| provision.timeouts.deadlines())
    }

    /// The digest of all that a builder of a pool is made from.
    pub(crate) fn pool_hash(&self, pool: &PoolName) -> String {
        let spec = self.fleet.pools.get(pool);
        let image = spec.and_then(|spec| self.fleet.images.get(&spec.image));
        let provision = spec.and_then(|spec| self.fleet.provision.get(&spec.provision));
        let text = serde_json::json!([image, provision, self.provisioner.configuration_hash()]).to_string();
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}
