//! What the clouds say exists. `model::step::sight` says what that means for our builders; an absence from a list only raises
//! a question, which a direct look-up answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cloud::{Cloud, Dialect, Instance, InstanceState, Owner};
use model::{
    BuilderState, FleetId, Timestamp,
    step::{launch, sight},
};
use store::{Builder, Lease, Orphan, Sighting};
use tracing::{debug, warn};

use crate::{Context, Error, step::advance};

/// What a controller remembers of instances it did not find.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    missing: BTreeMap<String, (Timestamp, u32)>,
}

impl Absences {
    /// Notes one more look that found nothing; whether it is to be believed.
    fn note(&mut self, instance_id: &str, most_are_missing: bool, now: Timestamp) -> bool {
        let (first, times) = self.missing.entry(instance_id.to_owned()).or_insert((now, 0));
        *times = times.saturating_add(1);
        sight::is_absence_believed(*times, now.since(*first), most_are_missing)
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
    /// Whether what it does not show is not there, as with the cloud in this process, whose books are at hand.
    is_certain: bool,
    /// The orphans that it was told to end, and why it does not where it refuses.
    pub(crate) ends: Vec<(String, Option<String>)>,
    /// How many machines of others take up the quota, where they were counted, or why they could not be.
    pub(crate) others: Option<Result<u32, String>>,
    /// The dialect that its endpoint shows, where that was asked and answered.
    pub(crate) dialect: Option<Option<Dialect>>,
    /// What it said of instances that operators want as builders; one that could not be asked for is left out.
    pub(crate) found: Vec<Found>,
    /// The instances that were tagged, and whether that was done.
    pub(crate) tagged: Vec<(String, bool)>,
    /// Every instance with the fleet's tag, and those found by a direct question.
    instances: BTreeMap<String, Instance>,
    /// The ids that the list lacked and that were asked for one by one, with an answer: only what is among these
    /// and was not found is absent.
    asked: BTreeSet<String>,
}

impl Seen {
    /// Whether instances were ended or tagged with it.
    pub(crate) fn has_changed_something(&self) -> bool {
        self.ends.iter().any(|(_, refusal)| refusal.is_none()) || self.tagged.iter().any(|(_, done)| *done)
    }

    /// A look that showed nothing but a dialect, or not even that.
    #[cfg(test)]
    pub(crate) fn of_dialect(cloud: &str, dialect: Option<Option<Dialect>>) -> Self {
        Self {
            cloud: cloud.to_owned(),
            is_certain: false,
            ends: Vec::new(),
            others: None,
            dialect,
            found: Vec::new(),
            tagged: Vec::new(),
            instances: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    fn lacks(&self, id: &str) -> bool {
        self.asked.contains(id) && !self.instances.contains_key(id)
    }

    /// Why the cloud is not to be believed: it does not show most of the machines that it has shown before.
    pub(crate) fn doubt(&self, known: &[Builder]) -> Option<String> {
        if self.is_certain {
            return None;
        }
        let ours = known
            .iter()
            .filter(|builder| builder.cloud == self.cloud && sight::was_shown(builder.state));
        let ids: Vec<&String> = ours.filter_map(|builder| builder.instance_id.as_ref()).collect();
        sight::doubt(ids.iter().filter(|id| !self.lacks(id)).count(), ids.len())
    }
}

/// What to ask a cloud, and what to tell it.
#[derive(Debug)]
pub(crate) struct Look {
    /// Its name in the fleet.
    pub(crate) name: String,
    pub(crate) cloud: Arc<dyn Cloud>,
    /// The fleet whose instances are listed.
    pub(crate) fleet: FleetId,
    /// Whether it shows all that it has.
    pub(crate) is_certain: bool,
    /// Instances that should be there: asked for one by one when the list lacks them.
    pub(crate) known: Vec<String>,
    /// Instances to end: ours by their tag, and nobody's.
    pub(crate) orphans: Vec<Orphan>,
    /// Whether the machines of others are counted.
    pub(crate) count: Option<Count>,
    /// Whether its endpoint is asked for its dialect.
    pub(crate) asks_dialect: bool,
    /// Instances that operators want as builders.
    pub(crate) wanted: Vec<Wanted>,
    /// The owners of instances that the farm did not launch, which their tags are to tell.
    pub(crate) owners: BTreeMap<String, Owner>,
}

/// What a cloud said of an instance that an operator wants as a builder.
#[derive(Debug)]
pub(crate) struct Found {
    /// The key of the intent.
    pub(crate) intent: String,
    /// The cloud that was asked, by its name in the fleet.
    pub(crate) cloud: String,
    /// The instance; `None` where the cloud knows none.
    pub(crate) instance: Option<Instance>,
}

/// An instance that an operator wants as a builder, of which a cloud is to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The key of the intent.
    pub(crate) intent: String,
    /// The cloud's id for the instance.
    pub(crate) instance: String,
}

/// How the machines of others are counted in a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Whether what is stopped takes up the quota.
    pub(crate) with_stopped: bool,
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
        is_certain,
        known,
        orphans,
        count,
        asks_dialect,
        wanted,
        owners,
    } = look;
    let listed = cloud.list(fleet).await.map_err(|source| Error::Cloud {
        cloud: name.clone(),
        source,
    })?;
    let dialect = dialect_of(&name, cloud.as_ref(), asks_dialect).await;
    let ends = end_orphans(&name, cloud.as_ref(), &orphans).await;
    let others = match count {
        Some(count) => Some(count_others(&name, cloud.as_ref(), (fleet, &known), count).await),
        None => None,
    };
    let mut instances: BTreeMap<String, Instance> = listed
        .into_iter()
        .map(|found| (found.id.clone(), found))
        .collect();
    let missing: BTreeSet<String> = known
        .into_iter()
        .chain(wanted.iter().map(|wanted| wanted.instance.clone()))
        .filter(|id| !instances.contains_key(id))
        .collect();
    let missing: Vec<String> = missing.into_iter().collect();
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
    let tagged = tag(&name, cloud.as_ref(), &owners, &instances).await;
    let found = wanted.into_iter().filter_map(|wanted| {
        let instance = instances.get(&wanted.instance).cloned();
        (instance.is_some() || asked.contains(&wanted.instance)).then(|| Found {
            intent: wanted.intent,
            cloud: name.clone(),
            instance,
        })
    });
    Ok(Seen {
        found: found.collect(),
        cloud: name,
        is_certain,
        ends,
        others,
        dialect,
        tagged,
        instances,
        asked,
    })
}

/// The dialect that an endpoint shows, if any; `None` where it is not asked, or does not answer.
async fn dialect_of(name: &str, cloud: &dyn Cloud, asks: bool) -> Option<Option<Dialect>> {
    if !asks {
        return None;
    }
    match cloud.dialect().await {
        Ok(dialect) => Some(dialect),
        Err(error) => {
            debug!(cloud = name, "Cannot tell the dialect of cloud {name}: {error}");
            None
        }
    }
}

/// Has the tags of instances tell whose they are, where they do not; which were tagged, and whether that was done. What another
/// fleet has tagged is left as it is.
async fn tag(
    name: &str,
    cloud: &dyn Cloud,
    owners: &BTreeMap<String, Owner>,
    instances: &BTreeMap<String, Instance>,
) -> Vec<(String, bool)> {
    let mut tagged = Vec::new();
    for (id, owner) in owners {
        let is_lacked = |instance: &Instance| {
            matches!(instance.state, InstanceState::Pending | InstanceState::Running)
                && owner.is_lacked_by(instance)
        };
        if !instances.get(id).is_some_and(is_lacked) {
            continue;
        }
        let done = cloud.tag(id, owner).await;
        if let Err(error) = &done {
            let builder = owner.builder;
            warn!(cloud = name, builder.id = %builder, "Cannot tag instance {id} as builder {builder}: {error}");
        }
        tagged.push((id.clone(), done.is_ok()));
    }
    tagged
}

/// How many machines take up the quota that are neither tagged as this fleet's nor builders'. The fleet's own are known better
/// than by a count that is made now and then.
async fn count_others(
    name: &str,
    cloud: &dyn Cloud,
    (fleet, known): (FleetId, &[String]),
    count: Count,
) -> Result<u32, String> {
    let all = cloud.list_all().await.map_err(|error| {
        warn!(cloud = name, "Cannot count the machines of others: {error}");
        error.to_string()
    })?;
    let others = all.iter().filter(|instance| {
        instance.state.uses_quota(count.with_stopped)
            && !instance.belongs_to(fleet)
            && !known.contains(&instance.id)
    });
    Ok(u32::try_from(others.count()).unwrap_or(u32::MAX))
}

/// Draws the conclusions of one look; whether a builder was moved on by them.
///
/// # Errors
/// When the database is away or the lease is lost.
pub(crate) async fn conclude(
    context: &Context,
    lease: &Lease,
    seen: &Seen,
    known: &[Builder],
    absences: &mut Absences,
) -> Result<bool, Error> {
    let most_are_missing = seen.doubt(known).is_some();
    let mut moved = false;
    for builder in known.iter().filter(|builder| builder.cloud == seen.cloud) {
        moved |= apply(context, lease, builder, seen, (absences, most_are_missing)).await?;
    }
    moved |= sort_out_orphans(context, lease, seen, known).await?;
    if let Some(counted) = &seen.others {
        let (counted, now) = (counted.as_ref().map(|machines| *machines), context.clock.now());
        let counted = counted.map_err(String::as_str);
        context
            .store
            .record_others(lease, &seen.cloud, counted, now)
            .await?;
    }
    for (id, refusal) in &seen.ends {
        if let Some(refusal) = refusal {
            let noted = context
                .store
                .note_refusal(lease, &seen.cloud, id, refusal, context.clock.now());
            noted.await?;
        }
    }
    Ok(moved)
}

/// What a look means for one builder; whether it was moved on.
async fn apply(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    seen: &Seen,
    (absences, most_are_missing): (&mut Absences, bool),
) -> Result<bool, Error> {
    let now = context.clock.now();
    let Some(id) = &builder.instance_id else {
        return Ok(false);
    };
    let step = match seen.instances.get(id) {
        Some(instance) => {
            absences.seen(id);
            sight::seen(builder.state, &instance.sight())
        }
        None if seen.lacks(id) && (absences.note(id, most_are_missing, now) || seen.is_certain) => {
            sight::absent(builder.state, id, now.since(builder.entered_at), seen.is_certain)
        }
        None => None,
    };
    match step {
        Some(step) => unless_it_moved(advance(context, lease, builder, step).await),
        None => Ok(false),
    }
}

/// What was concluded for a builder that moved on meanwhile is left for the next round, which looks again. Whether it was carried
/// out.
fn unless_it_moved(moved: Result<Builder, store::Error>) -> Result<bool, Error> {
    match moved {
        Ok(_) => Ok(true),
        Err(store::Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Instances with our tag that no builder's row has: those of a launch whose answer was lost get their
/// builder back, others are ended after a while. Whether a builder was given one.
async fn sort_out_orphans(
    context: &Context,
    lease: &Lease,
    seen: &Seen,
    known: &[Builder],
) -> Result<bool, Error> {
    let now = context.clock.now();
    let mut adopted = false;
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
        // What nobody has tagged is nobody's orphan: a cloud of fixed hosts shows all of them.
        let is_ours = instance.belongs_to(context.fleet.fleet);
        if is_over || !is_ours || known_ids.contains(instance.id.as_str()) {
            continue;
        }
        let builder = instance
            .builder()
            .and_then(|id| known.iter().find(|builder| builder.id == id));
        match builder {
            Some(builder) if builder.state == BuilderState::Resolving => {
                let step = launch::adopted(&instance.id);
                adopted |= unless_it_moved(advance(context, lease, builder, step).await)?;
            }
            // A launch under way: its answer will name the instance.
            Some(builder) if builder.state == BuilderState::Launching => {}
            _ if context
                .store
                .builder_by_instance(&instance.id)
                .await?
                .is_some_and(|b| !b.state.is_final()) => {}
            _ => orphans.push(Sighting {
                pool: instance.pool(),
                ..Sighting::of(&instance.id, instance.state.as_str())
            }),
        }
    }
    let recorded = context.store.record_sightings(lease, &seen.cloud, &orphans, now);
    recorded.await?;
    Ok(adopted)
}

/// The orphans of a cloud that were watched for long enough.
///
/// # Errors
/// When the database is away.
pub(crate) async fn due_orphans(context: &Context, cloud: &str) -> Result<Vec<Orphan>, Error> {
    let (now, fleet) = (context.clock.now(), context.fleet.fleet);
    let mut orphans = context.store.orphans(fleet, Some(cloud)).await?;
    orphans.retain(|orphan| orphan.ignored.is_none() && orphan.is_due(now));
    let (mut due, new): (Vec<_>, Vec<_>) = orphans.into_iter().partition(|orphan| orphan.is_ending);
    if !new.is_empty() {
        let since = now.minus(sight::REAPED_WITHIN);
        let ended = context.store.ends_since(fleet, cloud, since).await?;
        let most = sight::orphans_to_end(new.len(), ended, context.fleet.controller.reap_per_hour);
        // Those that a cloud refuses to end keep no others from it.
        let (refused, asked): (Vec<_>, Vec<_>) = new.into_iter().partition(|orphan| orphan.refusal.is_some());
        due.extend(asked.into_iter().chain(refused).take(most));
    }
    Ok(due)
}

/// Ends orphans; which, and what the cloud refused. What it refused before for the same reason is told to nobody again.
async fn end_orphans(name: &str, cloud: &dyn Cloud, orphans: &[Orphan]) -> Vec<(String, Option<String>)> {
    let ends = orphans.iter().map(async |orphan| {
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
        (id.clone(), refusal)
    });
    // Together: nothing else is seen of the cloud before all have answered.
    futures_util::future::join_all(ends).await
}

#[cfg(test)]
mod tests;
