//! What the clouds say exists, and what that means for our builders. A sighting is a fact; an absence from
//! a list only raises a question, which a direct look-up answers, and even that is believed only after a
//! while.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cloud::{Cloud, Instance, InstanceState};
use model::{BuilderState, Timestamp};
use store::{Builder, Change, Lease, Sighting};
use tracing::{info, warn};

use crate::{Error, Parts, STRAY_GRACE};

/// How long an instance must not be found before it counts as gone.
const ABSENCE_BELIEVED_AFTER: Duration = Duration::from_secs(60);
/// How often, at least, it must not have been found by then.
const ABSENCES_BELIEVED: u32 = 3;

/// What a controller remembers of instances it did not find.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    missing: BTreeMap<String, (Timestamp, u32)>,
}

impl Absences {
    /// Notes one more look that found nothing; whether it is to be believed by now.
    fn note(&mut self, instance_id: &str, now: Timestamp) -> bool {
        let (first, times) = self.missing.entry(instance_id.to_owned()).or_insert((now, 0));
        *times = times.saturating_add(1);
        *times >= ABSENCES_BELIEVED && now.since(*first) >= ABSENCE_BELIEVED_AFTER
    }

    fn seen(&mut self, instance_id: &str) {
        self.missing.remove(instance_id);
    }
}

/// Looks at every cloud that has builders of ours, or all of them when `thorough`.
///
/// # Errors
/// When the database is away or the lease is lost; a cloud that is away is only logged.
pub(crate) async fn observe(
    parts: &Parts,
    lease: &Lease,
    builders: &[Builder],
    absences: &mut Absences,
    thorough: bool,
) -> Result<(), Error> {
    for (name, cloud) in &parts.clouds {
        let ours: Vec<&Builder> = builders
            .iter()
            .filter(|builder| builder.cloud == *name && !builder.state.is_final())
            .collect();
        if ours.is_empty() && !thorough {
            continue;
        }
        // The list first, our rows after it: a row that is younger than the list is then no stray's.
        let listed = match cloud.list(parts.fleet.fleet).await {
            Ok(listed) => listed,
            Err(error) => {
                warn!(cloud = name, "Cannot list the instances of cloud {name}: {error}");
                continue;
            }
        };
        let mut by_id: BTreeMap<&str, &Instance> =
            listed.iter().map(|found| (found.id.as_str(), found)).collect();
        let asked = ask_for_missing(cloud.as_ref(), &ours, &by_id).await;
        by_id.extend(asked.iter().map(|found| (found.id.as_str(), found)));
        for builder in ours {
            apply(parts, lease, builder, &by_id, absences).await?;
        }
        sort_out_strays(parts, lease, name, cloud.as_ref(), &listed).await?;
    }
    Ok(())
}

/// A direct question about the instances that the list lacks.
async fn ask_for_missing(
    cloud: &dyn Cloud,
    builders: &[&Builder],
    listed: &BTreeMap<&str, &Instance>,
) -> Vec<Instance> {
    let missing: Vec<String> = builders
        .iter()
        .filter_map(|builder| builder.instance_id.clone())
        .filter(|id| !listed.contains_key(id.as_str()))
        .collect();
    match cloud.describe(&missing).await {
        Ok(found) => found,
        Err(error) => {
            warn!("Cannot look up {} instances: {error}", missing.len());
            Vec::new()
        }
    }
}

async fn apply(
    parts: &Parts,
    lease: &Lease,
    builder: &Builder,
    instances: &BTreeMap<&str, &Instance>,
    absences: &mut Absences,
) -> Result<(), Error> {
    let now = runtime::clock::now();
    let Some(id) = &builder.instance_id else {
        return Ok(());
    };
    let change = match instances.get(id.as_str()) {
        Some(instance) => {
            absences.seen(id);
            meaning(parts, builder, instance, now)
        }
        None if absences.note(id, now) => {
            let words = format!("the cloud no longer knows instance {id}");
            gone(builder.state, words)
        }
        None => None,
    };
    let Some((to, change)) = change else { return Ok(()) };
    info!(builder.id = %builder.id, "Builder {} is {to} now: {}.", builder.id, change.reason);
    match parts.store.transition(lease, builder, to, &change, now).await {
        Ok(_) => Ok(()),
        Err(store::Error::Conflict { .. }) => Ok(()), // It moved on meanwhile: the next round looks again.
        Err(error) => Err(error.into()),
    }
}

/// What an instance's state means for its builder.
fn meaning(
    parts: &Parts,
    builder: &Builder,
    instance: &Instance,
    now: Timestamp,
) -> Option<(BuilderState, Change)> {
    match instance.state {
        InstanceState::Running if builder.state == BuilderState::Pending => {
            let address = instance.address.clone()?;
            let deadlines = parts.deadlines(&builder.pool);
            let change = Change {
                reason: format!("instance {} runs at {address}", instance.id),
                deadline: Some(now.plus(deadlines.boot)),
                address: Some(address),
                ..Change::default()
            };
            Some((BuilderState::Booting, change))
        }
        InstanceState::Running | InstanceState::Pending | InstanceState::Unknown => None,
        InstanceState::Terminated if builder.state == BuilderState::Terminating => Some((
            BuilderState::Terminated,
            Change {
                reason: "the cloud says that it is terminated".to_owned(),
                ..Change::default()
            },
        )),
        InstanceState::ShuttingDown
        | InstanceState::Terminated
        | InstanceState::Stopping
        | InstanceState::Stopped => {
            let why = instance.state_reason.as_deref().unwrap_or("no reason given");
            gone(
                builder.state,
                format!("instance {} is {}: {why}", instance.id, instance.state.as_str()),
            )
        }
    }
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
async fn sort_out_strays(
    parts: &Parts,
    lease: &Lease,
    name: &str,
    cloud: &dyn Cloud,
    listed: &[Instance],
) -> Result<(), Error> {
    let now = runtime::clock::now();
    let known = parts.store.fleet_snapshot(parts.fleet.fleet, now).await?.builders;
    let known_ids: BTreeSet<&str> = known
        .iter()
        .filter_map(|builder| builder.instance_id.as_deref())
        .collect();
    let mut strays = Vec::new();
    for instance in listed {
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
                adopt(parts, lease, builder, instance).await?;
            }
            // A launch under way: its answer will name the instance.
            Some(builder) if builder.state == BuilderState::Launching => {}
            _ if parts
                .store
                .builder_by_instance(&instance.id)
                .await?
                .is_some_and(|b| !b.state.is_final()) => {}
            _ => strays.push(Sighting::of(&instance.id, instance.state.as_str())),
        }
    }
    parts.store.record_sightings(lease, name, &strays, now).await?;
    for stray in parts.store.strays(name).await? {
        if stray.times_seen < 2 || now.since(stray.first_at) < STRAY_GRACE {
            continue;
        }
        warn!(
            instance.id = stray.instance_id,
            "Ending instance {}: it has our tag and no builder.", stray.instance_id
        );
        if let Err(error) = cloud.terminate(&stray.instance_id).await {
            warn!(
                instance.id = stray.instance_id,
                "Cannot end instance {}: {error}", stray.instance_id
            );
        }
    }
    Ok(())
}

async fn adopt(parts: &Parts, lease: &Lease, builder: &Builder, instance: &Instance) -> Result<(), Error> {
    let now = runtime::clock::now();
    let change = Change {
        reason: format!("instance {} carries its tag", instance.id),
        deadline: Some(now.plus(parts.deadlines(&builder.pool).pending)),
        instance_id: Some(instance.id.clone()),
        ..Change::default()
    };
    match parts
        .store
        .transition(lease, builder, BuilderState::Pending, &change, now)
        .await
    {
        Ok(_) | Err(store::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
