//! The steps of builders that are under way, beside the rounds. Calls to clouds and the preparing of machines have places
//! of their own: however many machines boot, none of them keeps another from being launched, or from ending.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use model::{
    BuilderId, BuilderState, Offering, PoolName,
    calls::{CallClass, name_of_pool},
    step::{Work, work},
};
use runtime::{clock::Clock, supervisor::error_chain};
use store::{Builder, Lease};
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinError, JoinSet},
};
use tracing::{debug, warn};

use crate::{
    Context, Error, caught,
    clouds::Clouds,
    consoles::Consoles,
    doubts::Doubts,
    image::Images,
    lines::Lines,
    pauses::Pauses,
    step::{self, Shortages, Turn},
};

/// How many calls to one cloud are under way at once: one that takes connections and says nothing holds up no other.
const MOST_CALLS: usize = 64;
/// How many machines are waited for at once: each is one connection that is tried now and then.
const MOST_MACHINES: usize = 1024;
/// On how many machines of one pool playbooks run at once: one whose playbook hangs holds up no other.
const MOST_PLAYED: usize = 64;

/// The steps of all builders that are under way.
#[derive(Debug)]
pub(crate) struct Steps {
    clock: Clock,
    tasks: JoinSet<Ended>,
    under_way: BTreeMap<BuilderId, UnderWay>,
    /// How many steps were begun so far.
    count: u64,
    pauses: Pauses<BuilderId>,
    /// The states in which builders had a step already.
    stepped: BTreeSet<(BuilderId, BuilderState)>,
    /// What was last said of a builder's failed steps.
    complaints: BTreeMap<BuilderId, String>,
    playing: BTreeMap<PoolName, Arc<Semaphore>>,
    images: Arc<Images>,
    consoles: Arc<Consoles>,
    doubts: Arc<Doubts>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    work: Work,
    cloud: String,
    /// What it asks its cloud for.
    asks: Option<Offering>,
    task: AbortHandle,
}

/// The places that are free.
#[derive(Debug, Default)]
struct Places {
    /// How many calls are under way, by cloud.
    calls: BTreeMap<String, usize>,
    machines: usize,
}

impl Places {
    /// Takes a place; whether there was one.
    fn take(&mut self, work: Work, cloud: &str) -> bool {
        let (taken, most) = match work {
            Work::Call => (self.calls.entry(cloud.to_owned()).or_default(), MOST_CALLS),
            Work::Machine => (&mut self.machines, MOST_MACHINES),
        };
        let is_free = *taken < most;
        if is_free {
            *taken = taken.saturating_add(1);
        }
        is_free
    }
}

#[derive(Debug)]
struct Ended {
    id: BuilderId,
    number: u64,
    /// For how long the builder is to be left alone.
    outcome: Result<Duration, Error>,
}

/// A cloud, and how it failed a step's call.
pub(crate) type CloudFailure = (String, cloud::Error);

impl Steps {
    /// None.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            images: Arc::new(Images::new(clock.clone())),
            consoles: Arc::new(Consoles::new(clock.clone())),
            doubts: Arc::default(),
            clock,
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            count: 0,
            pauses: Pauses::default(),
            stepped: BTreeSet::new(),
            complaints: BTreeMap::new(),
            playing: BTreeMap::new(),
        }
    }

    /// Stops all of them.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        self.under_way.clear();
    }

    /// How many are under way, or ended and not yet noticed.
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// The lines of offerings that builders take places of, with those that the steps under way ask for.
    pub(crate) fn lines<'a>(&self, context: &'a Context, builders: &[Builder]) -> Lines<'a> {
        Lines::of(context, builders, |id| self.under_way.get(id)?.asks.as_ref())
    }

    /// Waits for one to end, and answers what it and others that ended say of their clouds; `None` when there is none.
    pub(crate) async fn ends(&mut self) -> Option<Vec<CloudFailure>> {
        let ended = self.tasks.join_next().await?;
        let mut failures: Vec<_> = self.take(ended).into_iter().collect();
        while let Some(ended) = self.tasks.try_join_next() {
            failures.extend(self.take(ended));
        }
        Some(failures)
    }

    fn take(&mut self, ended: Result<Ended, JoinError>) -> Option<CloudFailure> {
        // Panics are caught inside: what is left is a task that was aborted, and forgotten then.
        let Ended { id, number, outcome } = ended.ok()?;
        if self.under_way.get(&id).is_none_or(|step| step.number != number) {
            return None;
        }
        self.under_way.remove(&id);
        let rest = outcome.as_ref().ok().copied();
        match outcome {
            Ok(_) => {
                self.complaints.remove(&id);
                self.pauses.after_step(id, rest, self.clock.elapsed());
                None
            }
            // It is no fault: there is a call again after that.
            Err(Error::Cloud {
                source: cloud::Error::Rationed { wait, .. },
                ..
            }) => {
                self.pauses.after_step(id, Some(wait), self.clock.elapsed());
                None
            }
            // Something else moved it on meanwhile: the next round looks again.
            Err(Error::Store(store::Error::Conflict { what })) => {
                debug!(builder.id = %id, "A step of builder {id} came too late: {what}");
                self.pauses
                    .after_step(id, Some(Duration::ZERO), self.clock.elapsed());
                None
            }
            Err(error) => {
                self.pauses.after_step(id, None, self.clock.elapsed());
                self.complain(id, &error);
                match error {
                    Error::Cloud { cloud, source } => Some((cloud, source)),
                    _ => None,
                }
            }
        }
    }

    /// Says what went wrong, once for each cause. That a cloud cannot be reached is said of the cloud.
    fn complain(&mut self, id: BuilderId, error: &Error) {
        let words = error_chain(error);
        let is_known = self.complaints.get(&id) == Some(&words);
        let is_the_clouds = matches!(error, Error::Cloud { source, .. } if source.is_away());
        if is_known || is_the_clouds {
            debug!(builder.id = %id, "A step of builder {id} failed: {words}");
        } else {
            warn!(builder.id = %id, "A step of builder {id} failed: {words}");
        }
        self.complaints.insert(id, words);
    }

    /// Begins a step for every builder that needs one and has none, but for those that wait for hooks. Nothing is launched in clouds
    /// that do not answer.
    pub(crate) fn begin(
        &mut self,
        context: &Arc<Context>,
        lease: &Lease,
        builders: &[Builder],
        (clouds, shortages, waiting): (&Clouds, &Arc<Shortages>, &BTreeSet<BuilderId>),
    ) {
        let now = self.clock.elapsed();
        let there: BTreeSet<BuilderId> = builders.iter().map(|builder| builder.id).collect();
        self.pauses.retain(|id| there.contains(id));
        self.stepped.retain(|(id, _)| there.contains(id));
        self.complaints.retain(|id, _| there.contains(id));
        self.doubts.keep(|id| there.contains(&id));
        self.stop_waiting_for(builders);
        let mut lines = self.lines(context, builders);
        let mut places = Places::default();
        for step in self.under_way.values() {
            places.take(step.work, &step.cloud);
        }
        for builder in builders {
            let Some(work) = work(builder.state) else { continue };
            let asks = matches!(builder.state, BuilderState::Planned | BuilderState::Resolving);
            if asks && !clouds.answers(&builder.cloud) || waiting.contains(&builder.id) {
                continue;
            }
            // Those that would wait for a call take no place of those that would not.
            if waits_for_a_call(context, builder, now) {
                continue;
            }
            if self.pauses.holds(&builder.id, now) || self.under_way.contains_key(&builder.id) {
                continue;
            }
            if !places.take(work, &builder.cloud) {
                continue;
            }
            let playing = self.playing.entry(builder.pool.clone());
            let playing = playing.or_insert_with(|| Arc::new(Semaphore::new(MOST_PLAYED)));
            let turn = Turn {
                is_first: self.stepped.insert((builder.id, builder.state)),
                cloud_answers: clouds.answers(&builder.cloud),
                playing: Arc::clone(playing),
                images: Arc::clone(&self.images),
                consoles: Arc::clone(&self.consoles),
                doubts: Arc::clone(&self.doubts),
            };
            let next = step::next(context, builder, shortages, &lines.full(context, &builder.pool));
            let asks = lines.ask(context, &builder.pool, &next);
            let (context, lease, builder) = (Arc::clone(context), *lease, builder.clone());
            self.count = self.count.wrapping_add(1);
            let (id, number, cloud) = (builder.id, self.count, builder.cloud.clone());
            let task = self.tasks.spawn(async move {
                let step = step::step(&context, &lease, (builder, next), &turn);
                let work = caught("a step of a builder", step);
                let outcome = context.term.within(&context.clock, work).await;
                Ended { id, number, outcome }
            });
            let under_way = UnderWay {
                number,
                work,
                cloud,
                asks,
                task,
            };
            self.under_way.insert(id, under_way);
        }
    }

    /// Stops to wait for machines that are to be ended: the next step is the cloud's.
    fn stop_waiting_for(&mut self, builders: &[Builder]) {
        for builder in builders
            .iter()
            .filter(|builder| work(builder.state) == Some(Work::Call))
        {
            let step = self.under_way.get(&builder.id);
            if let Some(step) = step.filter(|step| step.work == Work::Machine) {
                step.task.abort();
                self.under_way.remove(&builder.id);
            }
        }
    }
}

/// Whether the next step of a builder would only find out that it has to wait for a call, or for a turn among the launches of its pool.
fn waits_for_a_call(context: &Context, builder: &Builder, now: Duration) -> bool {
    let waits = |name: &str, class| !context.calls.wait(name, class, now).is_zero();
    let has_rate = || {
        let pool = context.fleet.pools.get(&builder.pool);
        pool.is_some_and(|pool| pool.launch.rate.is_some())
    };
    let of_pool = || waits(&name_of_pool(&builder.pool), CallClass::Launch);
    call_of(builder.state).is_some_and(|class| waits(&builder.cloud, class))
        || (builder.state == BuilderState::Planned && has_rate() && of_pool())
}

/// The class of calls to its cloud that the next step of a builder in this state begins with.
const fn call_of(state: BuilderState) -> Option<CallClass> {
    use BuilderState as S;
    match state {
        S::Planned | S::Resolving => Some(CallClass::Launch),
        S::Terminating => Some(CallClass::Terminate),
        S::Launching
        | S::Pending
        | S::Booting
        | S::Provisioning
        | S::Checking
        | S::Ready
        | S::Reserved
        | S::Busy
        | S::Cleaning
        | S::Held
        | S::Draining
        | S::Terminated
        | S::Abandoned => None,
    }
}

#[cfg(test)]
mod tests;
