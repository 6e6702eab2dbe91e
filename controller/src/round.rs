//! One round after another: lease, observe, plan, commit, act.
//!
//! Whatever waits for a cloud or a machine runs beside the rounds: looks at clouds, one for each cloud, and steps, one
//! for each builder. A cloud that is slow or away so delays nothing but its own builders, and never the lease.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;

use model::{
    BuilderId, BuilderState, PoolName,
    plan::{self, Action, Plan},
};
use runtime::{CancellationToken, clock, supervisor::chain};
use store::{Builder, Change, FleetView, Lease, NewBuilder, News};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::{
    Error, Parts,
    observe::{self, Seen},
    pauses::Pauses,
    snapshot::snapshot,
    step,
};

/// How often the clouds are asked when something is under way, and when nothing is.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const LOOK_ANYWAY_EVERY: Duration = Duration::from_secs(30);
/// What happens together is thought about together.
const PAUSE_AFTER_NEWS: Duration = Duration::from_millis(10);
/// How many builders are worked on at once.
const MOST_STEPS: usize = 64;

/// Before the lease is renewed again after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A controller of one fleet.
#[derive(Debug)]
pub struct Controller {
    parts: Arc<Parts>,
    absences: observe::Absences,
    looks: JoinSet<(String, Option<Seen>)>,
    looking: BTreeSet<String>,
    /// When each cloud was last asked.
    looked: BTreeMap<String, Instant>,
    /// What clouds said and nobody has thought about yet.
    seen: Vec<Seen>,
    steps: JoinSet<(BuilderId, Option<Duration>)>,
    in_step: BTreeSet<BuilderId>,
    pauses: Pauses,
    /// The states in which builders had a step already.
    stepped: BTreeSet<(BuilderId, BuilderState)>,
    /// What is on record of the pools since this controller leads.
    recorded: BTreeMap<PoolName, String>,
    news: News,
}

impl Controller {
    /// A controller that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            news: parts.store.news(),
            parts: Arc::new(parts),
            absences: observe::Absences::default(),
            looks: JoinSet::new(),
            looking: BTreeSet::new(),
            looked: BTreeMap::new(),
            seen: Vec::new(),
            steps: JoinSet::new(),
            in_step: BTreeSet::new(),
            pauses: Pauses::default(),
            stepped: BTreeSet::new(),
            recorded: BTreeMap::new(),
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
                    let parts = Arc::clone(&self.parts);
                    let led = tokio::select! {
                        lost = keep_lease(&parts, &lease) => Err(lost),
                        led = self.lead(&lease, &stop) => led,
                    };
                    if let Err(error) = led {
                        warn!("No longer leading: {}", chain(&error));
                    }
                    self.drop_everything().await;
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

    async fn drop_everything(&mut self) {
        self.steps.shutdown().await;
        self.looks.shutdown().await;
        self.in_step.clear();
        self.looking.clear();
        self.looked.clear();
        self.seen.clear();
    }

    /// Rounds until the end is asked for.
    async fn lead(&mut self, lease: &Lease, stop: &CancellationToken) -> Result<(), Error> {
        let spec = self.parts.fleet.controller.clone();
        self.recorded.clear();
        while !stop.is_cancelled() {
            let is_busy = match self.round(lease).await {
                Ok(is_busy) => is_busy,
                Err(Error::Store(error @ store::Error::LeaseLost { .. })) => return Err(error.into()),
                Err(error) => {
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

    /// Waits for the next round: a step or a look that ended, or news, begins it at once.
    async fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = self.steps.join_next() => self.step_ended(ended),
            Some(ended) = self.looks.join_next() => self.look_ended(ended),
            () = self.news.next() => tokio::time::sleep(PAUSE_AFTER_NEWS).await,
        }
        while let Some(ended) = self.steps.try_join_next() {
            self.step_ended(ended);
        }
        while let Some(ended) = self.looks.try_join_next() {
            self.look_ended(ended);
        }
    }

    fn step_ended(&mut self, ended: Result<(BuilderId, Option<Duration>), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted, and with it all that this remembers.
        let Ok((id, rest)) = ended else { return };
        self.in_step.remove(&id);
        self.pauses.after_step(id, rest, Instant::now());
    }

    fn look_ended(&mut self, ended: Result<(String, Option<Seen>), JoinError>) {
        let Ok((cloud, seen)) = ended else { return };
        self.looking.remove(&cloud);
        self.seen.extend(seen);
    }

    /// One round; whether anything is under way.
    async fn round(&mut self, lease: &Lease) -> Result<bool, Error> {
        for seen in std::mem::take(&mut self.seen) {
            observe::conclude(&self.parts, lease, &seen, &mut self.absences).await?;
        }
        let mut view = self.view().await?;
        self.record_pools(lease, &view).await?;
        self.look(&view.builders).await?;
        let plan = plan::plan(&snapshot(&self.parts, &view));
        self.commit(lease, &view, &plan).await?;
        let launched = plan
            .actions
            .iter()
            .any(|action| !matches!(action, Action::Assign { .. }));
        let builders = if plan.actions.is_empty() {
            std::mem::take(&mut view.builders)
        } else {
            self.view().await?.builders
        };
        self.act(lease, &builders);
        // Why things wait is for people to read: it never keeps anything from being done.
        if let Err(error) = self.parts.store.set_waits(lease, &view, &plan.waits).await {
            warn!("Cannot write down what waits for what: {}", chain(&error));
        }
        let is_moving = builders
            .iter()
            .any(|builder| builder.state != BuilderState::Ready);
        Ok(launched || is_moving || !view.queue.is_empty() || !self.in_step.is_empty())
    }

    async fn view(&self) -> Result<FleetView, Error> {
        let fleet = self.parts.fleet.fleet;
        Ok(self.parts.store.fleet_snapshot(fleet, clock::now()).await?)
    }

    /// Begins a look at every cloud where one is due.
    async fn look(&mut self, builders: &[Builder]) -> Result<(), Error> {
        for (name, cloud) in &self.parts.clouds {
            let ours = || {
                builders
                    .iter()
                    .filter(|builder| builder.cloud == *name && !builder.state.is_final())
            };
            let waits = ours().any(|builder| {
                matches!(
                    builder.state,
                    BuilderState::Pending | BuilderState::Terminating | BuilderState::Resolving
                )
            });
            let every = if waits { LOOK_EVERY } else { LOOK_ANYWAY_EVERY };
            let is_due = self.looked.get(name).is_none_or(|last| last.elapsed() >= every);
            if !is_due || self.looking.contains(name) {
                continue;
            }
            let look = observe::Look {
                name: name.clone(),
                cloud: Arc::clone(cloud),
                fleet: self.parts.fleet.fleet,
                known: ours().filter_map(|builder| builder.instance_id.clone()).collect(),
                strays: observe::due_strays(&self.parts, name).await?,
            };
            self.looked.insert(name.clone(), Instant::now());
            self.looking.insert(name.clone());
            let name = name.clone();
            self.looks.spawn(async move {
                let seen = match caught("a look at a cloud", observe::look(look)).await {
                    Ok(seen) => Some(seen),
                    Err(error) => {
                        warn!(cloud = name, "Cloud {name} tells nothing: {}", chain(&error));
                        None
                    }
                };
                (name, seen)
            });
        }
        Ok(())
    }

    /// Writes down what the pools' builders are made from, when that is new.
    async fn record_pools(&mut self, lease: &Lease, view: &FleetView) -> Result<(), Error> {
        for (name, pool) in &self.parts.fleet.pools {
            let hash = self.parts.pool_hash(name, view);
            if self.recorded.get(name) == Some(&hash) {
                continue;
            }
            let spec = serde_json::to_value(pool).map_err(|cause| Error::Contradiction(cause.to_string()))?;
            self.parts
                .store
                .record_pool(lease, name, &spec, &hash, clock::now())
                .await?;
            self.recorded.insert(name.clone(), hash);
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
                Action::Launch { pool, reason } => self.plan_builder(lease, view, pool, reason).await,
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
        Ok(())
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

    async fn plan_builder(
        &self,
        lease: &Lease,
        view: &FleetView,
        pool: &PoolName,
        reason: &str,
    ) -> Result<(), store::Error> {
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
            spec_hash: self.parts.pool_hash(pool, view),
            port: provision.connect.port,
            reason: reason.to_owned(),
            deadline: now.plus(self.parts.deadlines(pool).planned),
        };
        info!(builder.id = %builder.id, "Builder {} of pool {pool} is planned: {reason}.", builder.id);
        self.parts.store.plan_builder(lease, &builder, now).await
    }

    /// Begins a step for every builder that needs one and has none.
    fn act(&mut self, lease: &Lease, builders: &[Builder]) {
        let now = Instant::now();
        let is_there = |id: BuilderId| builders.iter().any(|builder| builder.id == id);
        self.pauses.retain(is_there);
        self.stepped.retain(|(id, _)| is_there(*id));
        for builder in builders.iter().filter(|builder| step::is_needed(builder)) {
            if self.steps.len() >= MOST_STEPS {
                break;
            }
            if self.pauses.holds(builder.id, now) || !self.in_step.insert(builder.id) {
                continue;
            }
            let is_first = self.stepped.insert((builder.id, builder.state));
            let (parts, lease, builder) = (Arc::clone(&self.parts), *lease, builder.clone());
            self.steps.spawn(async move {
                let id = builder.id;
                let step = step::step(&parts, &lease, builder, is_first);
                let done = caught("a step of a builder", step).await;
                if let Err(error) = &done {
                    warn!(builder.id = %id, "A step of builder {id} failed: {}", chain(error));
                }
                (id, done.ok())
            });
        }
    }
}

/// Renews the lease until that fails for good; why.
async fn keep_lease(parts: &Parts, lease: &Lease) -> Error {
    let spec = parts.fleet.controller.lease.clone();
    // Acting ends at two thirds of the lease's time, by a clock that nobody can set.
    let usable = spec.ttl.get().mul_f64(0.66);
    let mut renewed = Instant::now();
    let mut pause = spec.renew.get();
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        let renewal = parts.store.renew_lease(lease, spec.ttl.get(), clock::now());
        match tokio::time::timeout_at(renewed + usable, renewal).await {
            Ok(Ok(())) => {
                renewed = asked;
                pause = spec.renew.get();
            }
            Ok(Err(error @ (store::Error::Conflict { .. } | store::Error::LeaseLost { .. }))) => {
                return error.into();
            }
            Ok(Err(error)) => {
                warn!("Cannot renew the lease: {}", chain(&error));
                pause = FIRST_PAUSE;
            }
            Err(_) => return Error::Contradiction("the lease could not be renewed in time".to_owned()),
        }
        if renewed.elapsed() >= usable {
            return Error::Contradiction("the lease could not be renewed in time".to_owned());
        }
    }
}

/// A panic as an error: one bad row or answer must not take the others' work with it.
async fn caught<T>(what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            error!("A fault of this program: {what} panicked.");
            Err(Error::Contradiction(format!("{what} panicked")))
        }
    }
}
