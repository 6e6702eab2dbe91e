//! What the clouds say exists, and what that means for our builders. A sighting is a fact; an absence from
//! a list only raises a question, which a direct look-up answers, and even that is believed only after a
//! while.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use cloud::{Cloud, Instance, InstanceState};
use model::{BuilderState, FleetId, Timestamp};
use store::{Builder, Change, Lease, Orphan, Sighting};
use tracing::{info, warn};

use crate::{Context, Error, ORPHAN_GRACE};

/// How long an instance must not be found before it counts as gone.
const ABSENCE_BELIEVED_AFTER: Duration = Duration::from_secs(60);
/// The same while most of what should be there is missing: then it is more likely that the cloud is wrong.
const ABSENCES_OF_MOST_BELIEVED_AFTER: Duration = Duration::from_secs(300);
/// How long after it was told to end an instance that the cloud does not know counts as ended.
const END_BELIEVED_AFTER: Duration = Duration::from_secs(600);
/// How often, at least, it must not have been found by then.
const ABSENCES_BELIEVED: u32 = 3;

/// What a controller remembers of instances it did not find.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    missing: BTreeMap<String, (Timestamp, u32)>,
}

impl Absences {
    /// Notes one more look that found nothing; whether it is to be believed, `after` the first one.
    fn note(&mut self, instance_id: &str, after: Duration, now: Timestamp) -> bool {
        let (first, times) = self.missing.entry(instance_id.to_owned()).or_insert((now, 0));
        *times = times.saturating_add(1);
        *times >= ABSENCES_BELIEVED && now.since(*first) >= after
    }

    fn seen(&mut self, instance_id: &str) {
        self.missing.remove(instance_id);
    }
}

/// What one cloud said when it was asked.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its name in the fleet.
    pub(crate) cloud: String,
    /// The orphans that it was told to end, and why it does not where it refuses.
    pub(crate) ends: Vec<(String, Option<String>)>,
    /// Every instance with the fleet's tag, and those found by a direct question.
    instances: BTreeMap<String, Instance>,
    /// The ids that the list lacked and that were asked for one by one, with an answer: only what is among these
    /// and was not found is absent.
    asked: BTreeSet<String>,
}

impl Seen {
    fn lacks(&self, id: &str) -> bool {
        self.asked.contains(id) && !self.instances.contains_key(id)
    }

    /// Why the cloud is not to be believed: it does not show most of the machines that it has shown before.
    pub(crate) fn doubt(&self, known: &[Builder]) -> Option<String> {
        let ours = known
            .iter()
            .filter(|builder| builder.cloud == self.cloud && was_shown(builder.state));
        let ids: Vec<&String> = ours.filter_map(|builder| builder.instance_id.as_ref()).collect();
        let shown = ids.iter().filter(|id| !self.lacks(id)).count();
        (shown.saturating_mul(2) < ids.len()).then(|| {
            format!(
                "it shows {shown} of the {} machines that it should have",
                ids.len()
            )
        })
    }
}

/// Whether the cloud has shown the machine of a builder in this state, and was not told to end it.
fn was_shown(state: BuilderState) -> bool {
    use BuilderState as B;
    matches!(
        state,
        B::Booting
            | B::Provisioning
            | B::Checking
            | B::Ready
            | B::Reserved
            | B::Busy
            | B::Cleaning
            | B::Held
            | B::Draining
    )
}

/// What to ask a cloud, and what to tell it.
#[derive(Debug)]
pub(crate) struct Look {
    /// Its name in the fleet.
    pub(crate) name: String,
    pub(crate) cloud: Arc<dyn Cloud>,
    /// The fleet whose instances are listed.
    pub(crate) fleet: FleetId,
    /// Instances that should be there: asked for one by one when the list lacks them.
    pub(crate) known: Vec<String>,
    /// Instances to end: ours by their tag, and nobody's.
    pub(crate) orphans: Vec<Orphan>,
}

/// Asks for all that is ours, and ends orphans. Rows are read after it: one that is younger than the list is then no
/// orphan's.
///
/// # Errors
/// When the list was not had: nothing is known then.
pub(crate) async fn look(look: Look) -> Result<Seen, Error> {
    let Look {
        name,
        cloud,
        fleet,
        known,
        orphans,
    } = look;
    let listed = cloud.list(fleet).await.map_err(|source| Error::Cloud {
        cloud: name.clone(),
        source,
    })?;
    let ends = end_orphans(&name, cloud.as_ref(), &orphans).await;
    let mut instances: BTreeMap<String, Instance> = listed
        .into_iter()
        .map(|found| (found.id.clone(), found))
        .collect();
    let missing: Vec<String> = known
        .into_iter()
        .filter(|id| !instances.contains_key(id))
        .collect();
    let asked = match cloud.describe(&missing).await {
        Ok(found) => {
            instances.extend(found.into_iter().map(|found| (found.id.clone(), found)));
            missing.into_iter().collect()
        }
        Err(error) => {
            warn!(
                cloud = name,
                "Cannot look up {} instances: {error}",
                missing.len()
            );
            BTreeSet::new()
        }
    };
    Ok(Seen {
        cloud: name,
        ends,
        instances,
        asked,
    })
}

/// Draws the conclusions of one look.
///
/// # Errors
/// When the database is away or the lease is lost.
pub(crate) async fn conclude(
    context: &Context,
    lease: &Lease,
    seen: &Seen,
    known: &[Builder],
    absences: &mut Absences,
) -> Result<(), Error> {
    let believed_after = match seen.doubt(known) {
        Some(_) => ABSENCES_OF_MOST_BELIEVED_AFTER,
        None => ABSENCE_BELIEVED_AFTER,
    };
    for builder in known.iter().filter(|builder| builder.cloud == seen.cloud) {
        apply(context, lease, builder, seen, (absences, believed_after)).await?;
    }
    sort_out_orphans(context, lease, seen, known).await?;
    for (id, refusal) in &seen.ends {
        if let Some(refusal) = refusal {
            let noted = context
                .store
                .note_refusal(lease, &seen.cloud, id, refusal, context.clock.now());
            noted.await?;
        }
    }
    Ok(())
}

async fn apply(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    seen: &Seen,
    (absences, believed_after): (&mut Absences, Duration),
) -> Result<(), Error> {
    let now = context.clock.now();
    let Some(id) = &builder.instance_id else {
        return Ok(());
    };
    let change = match seen.instances.get(id) {
        Some(instance) => {
            absences.seen(id);
            meaning(builder, instance, context.deadlines(&builder.pool).boot, now)
        }
        None if seen.lacks(id) && absences.note(id, believed_after, now) => absent(builder, id, now),
        None => None,
    };
    let Some((to, change)) = change else { return Ok(()) };
    info!(builder.id = %builder.id, "Builder {} is {to} now: {}.", builder.id, change.reason);
    match context.store.transition(lease, builder, to, &change, now).await {
        Ok(_) => Ok(()),
        Err(store::Error::Conflict { .. }) => Ok(()), // It moved on meanwhile: the next round looks again.
        Err(error) => Err(error.into()),
    }
}

/// What an instance's state means for its builder.
fn meaning(
    builder: &Builder,
    instance: &Instance,
    time_to_boot: Duration,
    now: Timestamp,
) -> Option<(BuilderState, Change)> {
    match instance.state {
        InstanceState::Running if builder.state == BuilderState::Pending => {
            let address = instance.address.clone()?;
            let change = Change {
                reason: format!("instance {} runs at {address}", instance.id),
                deadline: Some(now.plus(time_to_boot)),
                address: Some(address),
                ..Change::default()
            };
            Some((BuilderState::Booting, change))
        }
        InstanceState::Running | InstanceState::Pending | InstanceState::Unknown => None,
        InstanceState::Terminated if builder.state == BuilderState::Terminating => {
            let is_excused = instance.is_taken_back();
            let mut reason = "the cloud says that it is terminated".to_owned();
            if is_excused && let Some(why) = &instance.state_reason {
                reason = format!("{reason}: {why}");
            }
            let change = Change {
                reason,
                is_excused,
                ..Change::default()
            };
            Some((BuilderState::Terminated, change))
        }
        InstanceState::ShuttingDown
        | InstanceState::Terminated
        | InstanceState::Stopping
        | InstanceState::Stopped => {
            let why = instance.state_reason.as_deref().unwrap_or("no reason given");
            let words = format!("instance {} is {}: {why}", instance.id, instance.state.as_str());
            let (to, change) = gone(builder.state, words)?;
            let is_excused = instance.is_taken_back();
            Some((to, Change { is_excused, ..change }))
        }
    }
}

/// What it means that the cloud no longer knows an instance. While something is built there, its worker knows better: what it
/// cannot reach any more it gives up by itself. One that was told to end long ago has ended, and the
/// cloud has forgotten it since, as EC2 does after an hour: nobody was there to see its last state.
fn absent(builder: &Builder, id: &str, now: Timestamp) -> Option<(BuilderState, Change)> {
    if builder.state == BuilderState::Busy {
        return None;
    }
    let words = format!("the cloud no longer knows instance {id}");
    if builder.state != BuilderState::Terminating {
        return gone(builder.state, words);
    }
    let change = Change {
        reason: words,
        ..Change::default()
    };
    (now.since(builder.entered_at) >= END_BELIEVED_AFTER).then_some((BuilderState::Terminated, change))
}

/// Where a builder goes whose instance is of no more use.
fn gone(state: BuilderState, reason: String) -> Option<(BuilderState, Change)> {
    let change = Change {
        reason,
        ..Change::default()
    };
    [BuilderState::Terminating, BuilderState::Draining]
        .into_iter()
        .find(|to| state.may_become(*to))
        .map(|to| (to, change))
}

/// Instances with our tag that no builder's row has: those of a launch whose answer was lost get their
/// builder back, others are ended after a while.
async fn sort_out_orphans(
    context: &Context,
    lease: &Lease,
    seen: &Seen,
    known: &[Builder],
) -> Result<(), Error> {
    let now = context.clock.now();
    let known_ids: BTreeSet<&str> = known
        .iter()
        .filter_map(|builder| builder.instance_id.as_deref())
        .collect();
    let mut orphans = Vec::new();
    for instance in seen.instances.values() {
        let is_over = matches!(
            instance.state,
            InstanceState::Terminated | InstanceState::ShuttingDown
        );
        if is_over || known_ids.contains(instance.id.as_str()) {
            continue;
        }
        let builder = instance
            .builder()
            .and_then(|id| known.iter().find(|builder| builder.id == id));
        match builder {
            Some(builder) if builder.state == BuilderState::Resolving => {
                adopt(context, lease, builder, instance).await?;
            }
            // A launch under way: its answer will name the instance.
            Some(builder) if builder.state == BuilderState::Launching => {}
            _ if context
                .store
                .builder_by_instance(&instance.id)
                .await?
                .is_some_and(|b| !b.state.is_final()) => {}
            _ => orphans.push(Sighting::of(&instance.id, instance.state.as_str())),
        }
    }
    Ok(context
        .store
        .record_sightings(lease, &seen.cloud, &orphans, now)
        .await?)
}

/// The orphans of a cloud that were watched for long enough.
///
/// # Errors
/// When the database is away.
pub(crate) async fn due_orphans(context: &Context, cloud: &str) -> Result<Vec<Orphan>, Error> {
    let now = context.clock.now();
    let mut orphans = context.store.orphans(Some(cloud)).await?;
    orphans.retain(|orphan| orphan.times_seen >= 2 && now.since(orphan.first_at) >= ORPHAN_GRACE);
    Ok(orphans)
}

/// Ends orphans; which, and what the cloud refused. What it refused before for the same reason is told to nobody again.
async fn end_orphans(name: &str, cloud: &dyn Cloud, orphans: &[Orphan]) -> Vec<(String, Option<String>)> {
    let mut ends = Vec::new();
    for orphan in orphans {
        let id = &orphan.instance_id;
        if orphan.refusal.is_none() {
            warn!(
                instance.id = id,
                "Ending instance {id}: it has our tag and no builder."
            );
        }
        let refusal = cloud.terminate(id).await.err().map(|error| error.to_string());
        if refusal.is_some() && refusal != orphan.refusal {
            let why = refusal.as_deref().unwrap_or_default();
            warn!(cloud = name, instance.id = id, "Cannot end instance {id}: {why}");
        }
        ends.push((id.clone(), refusal));
    }
    ends
}

async fn adopt(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    instance: &Instance,
) -> Result<(), Error> {
    let now = context.clock.now();
    let change = Change {
        reason: format!("instance {} carries its tag", instance.id),
        deadline: Some(now.plus(context.deadlines(&builder.pool).pending)),
        instance_id: Some(instance.id.clone()),
        ..Change::default()
    };
    match context
        .store
        .transition(lease, builder, BuilderState::Pending, &change, now)
        .await
    {
        Ok(_) | Err(store::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
