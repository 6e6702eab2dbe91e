//! What this controller knows of its clouds: whether they answer, and when each is looked at next. One question at a time
//! goes to each; a cloud that does not answer is asked ever more rarely, and for nothing else meanwhile.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud::{Cloud, Owner};
use model::{
    BuilderState, FleetId, Timestamp,
    fleet::{CredentialsSource, FleetSpec},
    plan::{CloudHealth, CloudTrouble},
    step::sight::COUNT_OTHERS_EVERY,
};
use runtime::{Backoff, clock::Clock};
use store::{Builder, FleetCache, FleetView, Lease, Orphan};
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, info, warn};

use crate::{
    Context, Error, caught,
    clouds::{failure::Failure, profile::Profile},
    observe::{self, Absences, Count, Found, Look, Seen, Wanted},
    pauses::Pauses,
};

mod asked;
mod failure;
mod profile;

/// How often a cloud is asked at least and at most when something is under way, where rounds are that close together; while
/// something is built there, whose machine it may take back; and when nothing is.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);
const LOOK_WHILE_BUILDING_EVERY: Duration = Duration::from_secs(5);
const LOOK_ANYWAY_EVERY: Duration = Duration::from_secs(30);
/// How long a cloud that does not answer is left alone, longer with every time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How long after a count of the machines of others that failed the next one is made.
const COUNT_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The clouds of a fleet.
#[derive(Debug)]
pub(crate) struct Clouds {
    clock: Clock,
    known: BTreeMap<String, Known>,
    looks: JoinSet<(String, Result<Seen, Error>)>,
    /// What clouds said and nobody has thought about yet.
    seen: Vec<Seen>,
    absences: Absences,
    /// Orphans that are not to be ended again yet.
    ends: Pauses<String>,
    /// Instances that are not to be tagged again yet.
    tags: Pauses<String>,
    /// What clouds said of instances that operators want as builders.
    found: Vec<Found>,
}

/// A cloud, and what its last answers were.
#[derive(Debug)]
struct Known {
    cloud: Arc<dyn Cloud>,
    health: CloudHealth,
    /// What the database says of it, as far as this controller wrote it.
    recorded: Option<CloudHealth>,
    is_looked_at: bool,
    /// The orphans that the look which is under way ends.
    ending: Vec<String>,
    /// When it was last asked, by the clock's elapsed time.
    looked: Option<Duration>,
    /// When the look began of which it, or its silence, was heard last.
    answered: Option<Duration>,
    /// When the last look began that changed something: ended or tagged an instance, or moved a builder on.
    changed: Option<Duration>,
    /// When the machines of others are to be counted again, by the clock's elapsed time.
    count_due: Duration,
    /// Whether it is what the fleet file says.
    profile: Profile,
    pauses: Backoff,
    pause: Duration,
}

impl Clouds {
    /// The clouds, none of which has been asked.
    pub(crate) fn new(context: &Context) -> Self {
        let known = context.clouds.iter().map(|(name, cloud)| {
            let known = Known {
                cloud: Arc::clone(cloud),
                health: CloudHealth::Unknown,
                recorded: None,
                is_looked_at: false,
                ending: Vec::new(),
                looked: None,
                answered: None,
                changed: None,
                count_due: Duration::ZERO,
                profile: Profile::default(),
                pauses: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                pause: Duration::ZERO,
            };
            (name.clone(), known)
        });
        Self {
            clock: context.clock.clone(),
            known: known.collect(),
            looks: JoinSet::new(),
            seen: Vec::new(),
            absences: Absences::default(),
            ends: Pauses::default(),
            tags: Pauses::default(),
            found: Vec::new(),
        }
    }

    /// Stops all looks.
    pub(crate) async fn stop(&mut self) {
        self.looks.shutdown().await;
    }

    /// How many looks are under way.
    #[cfg(test)]
    pub(crate) fn under_way(&self) -> usize {
        self.looks.len()
    }

    /// Whether all that was seen has been thought about.
    #[cfg(test)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.is_empty()
    }

    /// Waits for a look to end; `None` when there is none.
    pub(crate) async fn look_ends(&mut self) -> Option<()> {
        let ended = self.looks.join_next().await?;
        self.take(ended);
        while let Some(ended) = self.looks.try_join_next() {
            self.take(ended);
        }
        Some(())
    }

    /// The health of every cloud.
    pub(crate) fn health(&self) -> BTreeMap<String, CloudHealth> {
        let health = self.known.iter();
        health
            .map(|(name, known)| (name.clone(), known.health.clone()))
            .collect()
    }

    /// Whether a cloud can be asked for machines.
    pub(crate) fn answers(&self, name: &str) -> bool {
        self.known
            .get(name)
            .is_some_and(|known| known.health == CloudHealth::Answers)
    }

    /// What clouds said of instances that operators want as builders, since this was asked last.
    pub(crate) fn take_found(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
    }

    /// Whether a cloud is being told at this moment to end an instance, so that it is not known what comes of it.
    pub(crate) fn is_ending(&self, instance: &str) -> bool {
        let mut all = self.known.values().flat_map(|known| &known.ending);
        all.any(|id| id == instance)
    }

    /// Has the machines of others in a cloud counted with the next look.
    pub(crate) fn count_again(&mut self, name: &str) {
        if let Some(known) = self.known.get_mut(name) {
            known.count_due = Duration::ZERO;
        }
    }

    /// Notes that a cloud failed a call, as far as that means that it will fail others.
    pub(crate) fn note_failure(&mut self, name: &str, error: &cloud::Error) {
        let now = self.clock.now();
        if let Some(known) = self.known.get_mut(name) {
            known.fail(name, Failure::from(error), now);
        }
    }

    fn take(&mut self, ended: Result<(String, Result<Seen, Error>), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted, and with it all that this remembers.
        let Ok((name, outcome)) = ended else { return };
        let now = self.clock.now();
        let Some(known) = self.known.get_mut(&name) else {
            return;
        };
        known.is_looked_at = false;
        known.ending.clear();
        if let Err(Error::Cloud { source, .. }) = &outcome
            && matches!(source, cloud::Error::Rationed { .. })
        {
            // It was not asked: nothing is known of how it is.
            return debug!(cloud = name, "A look at cloud {name} waits: {source}");
        }
        known.answered = known.looked;
        match outcome {
            Ok(mut seen) => {
                if seen.has_changed_something() {
                    known.changed = known.looked;
                }
                self.found.append(&mut seen.found);
                for (id, is_done) in &seen.tagged {
                    let rest = is_done.then_some(LOOK_ANYWAY_EVERY * 2);
                    self.tags.after_step(id.clone(), rest, self.clock.elapsed());
                }
                for (id, refusal) in &seen.ends {
                    // The next list shows that it ends.
                    let rest = refusal.is_none().then_some(LOOK_ANYWAY_EVERY * 2);
                    self.ends.after_step(id.clone(), rest, self.clock.elapsed());
                }
                if let Some(counted) = &seen.others {
                    let pause = counted.as_ref().map_or(COUNT_AGAIN_AFTER, |_| COUNT_OTHERS_EVERY);
                    known.count_due = self.clock.elapsed().saturating_add(pause);
                }
                self.seen.push(seen);
            }
            Err(Error::Cloud { source, .. }) => {
                known.fail(&name, Failure::from(&source), now);
            }
            Err(error) => {
                let failure = Failure {
                    reason: "it could not be asked".to_owned(),
                    detail: error.to_string(),
                };
                known.fail(&name, failure, now);
            }
        }
    }

    /// Draws the conclusions of what was seen.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn conclude(
        &mut self,
        context: &Context,
        lease: &Lease,
        cache: &mut FleetCache,
    ) -> Result<(), Error> {
        for seen in std::mem::take(&mut self.seen) {
            let builders = context.store.look_at_builders(context.fleet.fleet, cache).await?;
            if let Some(known) = self.known.get_mut(&seen.cloud) {
                let of_file = context.fleet.clouds.get(&seen.cloud).map(|cloud| cloud.profile);
                known.profile.heed(of_file, &seen, self.clock.elapsed());
                let refusal = || known.profile.refusal.clone();
                match seen.doubt(&builders).or_else(refusal) {
                    Some(words) => known.fail(&seen.cloud, Failure::of_all(words), self.clock.now()),
                    None => known.succeed(&seen.cloud),
                }
            }
            let moved = observe::conclude(context, lease, &seen, &builders, &mut self.absences).await?;
            if let Some(known) = self.known.get_mut(&seen.cloud).filter(|_| moved) {
                known.changed = known.looked;
            }
        }
        Ok(())
    }

    /// Writes down what changed: clouds that give no machines, and those that do again.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn record(
        &mut self,
        context: &Context,
        lease: &Lease,
        view: &FleetView,
    ) -> Result<(), Error> {
        for trouble in &view.troubles {
            if !self.known.contains_key(&trouble.cloud) {
                let now = self.clock.now();
                let nothing = context.store.set_cloud_trouble(lease, &trouble.cloud, None, now);
                nothing.await?;
            }
        }
        for (name, known) in &mut self.known {
            if known.recorded.as_ref() == Some(&known.health) || known.health == CloudHealth::Unknown {
                continue;
            }
            let trouble = match &known.health {
                CloudHealth::Away(trouble) => Some(trouble),
                CloudHealth::Answers | CloudHealth::Unknown => None,
            };
            let now = self.clock.now();
            context.store.set_cloud_trouble(lease, name, trouble, now).await?;
            known.recorded = Some(known.health.clone());
        }
        Ok(())
    }

    /// Begins a look at every cloud where one is due. Which orphans it ends is on record before it begins.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn look(
        &mut self,
        context: &Context,
        lease: &Lease,
        view: &FleetView,
    ) -> Result<(), Error> {
        let elapsed = self.clock.elapsed();
        let tick = context.fleet.controller.tick.min.get();
        let often = tick.clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY);
        for (name, known) in &mut self.known {
            let ours = || {
                let builders = view.builders.iter();
                builders.filter(|builder| builder.cloud == *name && !builder.state.is_final())
            };
            let wanted = wanted(&context.fleet, name, view);
            let every = ours().map(|builder| look_every(builder.state, often));
            let every = every.chain((!wanted.is_empty()).then_some(often)).min();
            if known.is_looked_at || !known.is_due(every.unwrap_or(LOOK_ANYWAY_EVERY), elapsed) {
                continue;
            }
            let mut orphans = observe::due_orphans(context, name).await?;
            orphans.retain(|orphan| !self.ends.holds(&orphan.instance_id, elapsed));
            note_ends(context, lease, name, &orphans).await?;
            let mut owners = owners(context.fleet.fleet, ours());
            owners.retain(|instance, _| !self.tags.holds(instance, elapsed));
            let look = Look {
                name: name.clone(),
                cloud: Arc::clone(&known.cloud),
                fleet: context.fleet.fleet,
                is_certain: is_embedded(&context.fleet, name),
                known: ours().filter_map(|builder| builder.instance_id.clone()).collect(),
                orphans,
                count: count_of(&context.fleet, name).filter(|_| known.count_due <= elapsed),
                asks_dialect: known.profile.is_due(elapsed),
                wanted,
                owners,
            };
            known.is_looked_at = true;
            known.looked = Some(elapsed);
            known.ending = look
                .orphans
                .iter()
                .map(|orphan| orphan.instance_id.clone())
                .collect();
            let name = name.clone();
            let (term, clock) = (context.term.clone(), self.clock.clone());
            self.looks.spawn(async move {
                let work = caught("a look at a cloud", observe::look(look));
                (name, term.within(&clock, work).await)
            });
        }
        Ok(())
    }
}

/// The instances of a cloud that operators want as builders.
fn wanted(fleet: &FleetSpec, cloud: &str, view: &FleetView) -> Vec<Wanted> {
    let wanted = view.intents.iter().filter_map(|intent| {
        let (instance, pool) = intent.wants()?;
        let spec = fleet.pools.get(pool)?;
        (fleet.cloud_of(spec) == Some(cloud)).then(|| Wanted {
            intent: intent.key.clone(),
            instance: instance.to_owned(),
        })
    });
    wanted.collect()
}

/// The owners of instances that no launch of the farm made.
fn owners<'a>(fleet: FleetId, builders: impl Iterator<Item = &'a Builder>) -> BTreeMap<String, Owner> {
    let adopted =
        builders.filter(|builder| builder.is_adopted() && builder.state != BuilderState::Terminating);
    let owners = adopted.filter_map(|builder| {
        let owner = Owner {
            fleet,
            builder: builder.id,
            pool: builder.pool.clone(),
        };
        Some((builder.instance_id.clone()?, owner))
    });
    owners.collect()
}

/// Writes down which orphans a cloud is told to end, where that is not on record.
async fn note_ends(context: &Context, lease: &Lease, cloud: &str, orphans: &[Orphan]) -> Result<(), Error> {
    let new: Vec<&str> = orphans
        .iter()
        .filter(|orphan| !orphan.is_ending)
        .map(|orphan| orphan.instance_id.as_str())
        .collect();
    if !new.is_empty() {
        let noted = context.store.note_ends(lease, cloud, &new, context.clock.now());
        noted.await?;
    }
    Ok(())
}

/// Whether a cloud runs in this process.
fn is_embedded(fleet: &FleetSpec, cloud: &str) -> bool {
    let cloud = fleet.clouds.get(cloud);
    cloud.is_some_and(|cloud| cloud.credentials.source == CredentialsSource::Embedded)
}

/// How the machines of others are counted in a cloud; `None` where the file sets no limit, and they are nobody's business.
fn count_of(fleet: &FleetSpec, cloud: &str) -> Option<Count> {
    let cloud = fleet.clouds.get(cloud)?;
    cloud.limits.instances?;
    Some(Count {
        with_stopped: cloud.profile.counts_stopped(),
    })
}

/// How often a cloud is asked for a builder in this state; `often`, where its next step begins with the cloud's word.
fn look_every(state: BuilderState, often: Duration) -> Duration {
    use BuilderState as B;
    match state {
        B::Pending | B::Terminating | B::Resolving => often,
        B::Reserved | B::Busy => LOOK_WHILE_BUILDING_EVERY,
        B::Planned
        | B::Launching
        | B::Booting
        | B::Provisioning
        | B::Checking
        | B::Ready
        | B::Cleaning
        | B::Held
        | B::Draining
        | B::Terminated
        | B::Abandoned => LOOK_ANYWAY_EVERY,
    }
}

impl Known {
    /// Whether it is to be asked; `every`: how often, while it answers.
    fn is_due(&self, every: Duration, elapsed: Duration) -> bool {
        let every = match self.health {
            CloudHealth::Away(_) => self.pause,
            CloudHealth::Unknown => Duration::ZERO,
            CloudHealth::Answers => every,
        };
        self.looked
            .is_none_or(|looked| elapsed.saturating_sub(looked) >= every)
    }

    /// Notes that it answers, and can be believed.
    fn succeed(&mut self, name: &str) {
        if matches!(self.health, CloudHealth::Away(_)) {
            info!(cloud = name, "Cloud {name} answers again.");
        }
        self.health = CloudHealth::Answers;
        self.pauses.reset();
    }

    /// Notes that it does not answer. That is said once, and again when the cause is another.
    fn fail(&mut self, name: &str, failure: Failure, now: Timestamp) {
        self.pause = self.pauses.pause();
        let since = match &self.health {
            CloudHealth::Away(trouble) => trouble.since,
            CloudHealth::Answers | CloudHealth::Unknown => now,
        };
        let trouble = CloudTrouble {
            cloud: name.to_owned(),
            since,
            reason: failure.reason,
            detail: failure.detail,
        };
        let health = CloudHealth::Away(trouble.clone());
        if self.health == health {
            debug!(cloud = name, "Still: {}", trouble.for_operators());
        } else {
            warn!(cloud = name, "Launching nothing: {}.", trouble.for_operators());
        }
        self.health = health;
    }
}

#[cfg(test)]
mod tests;
