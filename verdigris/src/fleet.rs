//! `verdigris fleet`: how the builders stand, what the controller would do next, and what an operator may tell it.

use std::collections::BTreeMap;

use anyhow::bail;
use model::{
    AttemptId, BuilderId, BuilderState, Condition, PoolName, Timestamp,
    condition::{FileProblem, Trouble},
    fleet::FleetSpec,
    nearest::did_you_mean,
    plan::{Action, Plan, QueuedAttempt},
};
use runtime::{Settings, clock};
use serde_json::{Value, json};
use shell::ClientKey;
use store::{Attempt, Builder, FleetView, Orphan, Store};

use crate::{
    database,
    lock::{self, is_stopping},
    options::Config,
    parts, say,
    table::table,
};

/// How many attempts that wait are shown to people.
const MOST_WAITS: usize = 50;

/// `verdigris fleet status`.
pub(crate) async fn status(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let shown = database::with(&settings, async |store| {
        let now = clock::now();
        let running = running(&store).await?;
        let (fleet, condition) = in_force(&settings, &store, now).await?;
        Ok(Status {
            view: store.fleet_snapshot(fleet.fleet, now).await?,
            condition,
            running,
            orphans: store.orphans(None).await?,
            waiting: store.counts().await?.waiting,
            fleet,
        })
    })
    .await?;
    if as_json {
        say(&serde_json::to_string_pretty(&shown.as_json())?);
    } else {
        say(&shown.as_text());
    }
    Ok(())
}

/// The fleet file that is in force, and what is wrong with the fleet.
async fn in_force(
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<(FleetSpec, Condition)> {
    let (fleet, complaint) = parts::fleet_in_force(settings, store).await?;
    let mut condition = condition(settings, store, &fleet, now).await?;
    if let (Some(words), None) = (complaint, &condition.file) {
        condition.file = Some(FileProblem { since: now, words });
    }
    Ok((fleet, condition))
}

/// What is wrong with the fleet, as the database and the farm in one process that may be here say.
async fn condition(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    now: Timestamp,
) -> anyhow::Result<Condition> {
    let mut condition = store.fleet_condition(Some(fleet.fleet), now).await?;
    if is_stopping(&settings.storage.directory.join(lock::OF_FARM)) {
        condition.stopping = Some(store.accepted_allocations(None).await?.len());
    }
    Ok(condition)
}

/// The attempts that have a builder.
async fn running(store: &Store) -> anyhow::Result<BTreeMap<BuilderId, Attempt>> {
    let mut allocations = store.accepted_allocations(None).await?;
    allocations.extend(store.offered_allocations(store::Page::LONGEST).await?);
    let by_builder = allocations.into_iter().map(|it| (it.builder.id, it.attempt));
    Ok(by_builder.collect())
}

struct Status {
    fleet: FleetSpec,
    view: FleetView,
    condition: Condition,
    running: BTreeMap<BuilderId, Attempt>,
    orphans: Vec<Orphan>,
    waiting: u64,
}

impl Status {
    fn as_json(&self) -> Value {
        let now = self.view.at;
        let builders: Vec<_> = self
            .view
            .builders
            .iter()
            .map(|builder| self.builder(builder))
            .collect();
        let queue = self.view.queue.iter().enumerate().map(|(index, attempt)| {
            json!({
                "position": index + 1, "attempt": attempt.id, "build": attempt.build, "chroot": attempt.chroot,
                "owner": attempt.owner, "reason": self.view.reasons.get(&attempt.id),
            })
        });
        let orphans = self.orphans.iter().map(|orphan| {
            json!({
                "cloud": orphan.cloud, "instance_id": orphan.instance_id, "state": orphan.state,
                "since": orphan.first_at.to_string(), "refusal": orphan.refusal,
            })
        });
        let pools: BTreeMap<_, _> = self
            .fleet
            .pools
            .iter()
            .map(|(name, spec)| {
                let [all, ready, busy, starting, ending] = self.counts(name);
                let until = self
                    .condition
                    .pools
                    .get(name)
                    .and_then(model::LaunchHistory::held_until);
                let pool = json!({
                    "builders": all, "max": spec.size.max, "ready": ready, "busy": busy, "starting": starting, "ending": ending,
                    "held_until": until.map(|until| until.to_string()),
                });
                (name, pool)
            })
            .collect();
        json!({
            "fleet": self.fleet.name, "troubles": troubles(&self.condition, now), "pools": pools, "builders": builders,
            "orphans": orphans.collect::<Vec<_>>(), "waiting": self.waiting, "queue": queue.collect::<Vec<_>>(),
        })
    }

    fn builder(&self, builder: &Builder) -> Value {
        let build = self.running.get(&builder.id).map(|attempt| {
            json!({
                "build": attempt.build, "attempt": attempt.id, "owner": attempt.owner,
                "project": attempt.project_name, "chroot": attempt.chroot,
            })
        });
        json!({
            "id": builder.id, "pool": builder.pool, "state": builder.state, "cloud": builder.cloud,
            "instance_id": builder.instance_id, "address": builder.address, "reason": builder.reason,
            "cordoned": builder.cordoned, "seconds": self.view.at.since(builder.entered_at).as_secs(), "runs": build,
        })
    }

    fn counts(&self, pool: &PoolName) -> [usize; 5] {
        let own = self.view.builders.iter().filter(|builder| builder.pool == *pool);
        tally(&own.map(|builder| builder.state).collect::<Vec<_>>())
    }

    fn as_text(&self) -> String {
        let now = self.view.at;
        let mut text = warnings(&self.condition, now);
        let pools = self.fleet.pools.iter().map(|(name, spec)| {
            let mut row = vec![name.to_string()];
            row.extend(self.counts(name).iter().map(ToString::to_string));
            row.push(spec.size.max.to_string());
            row
        });
        text.push_str(&table(
            &[
                "POOL", "BUILDERS", "READY", "BUSY", "STARTING", "ENDING", "AT MOST",
            ],
            pools.collect(),
        ));
        if !self.view.builders.is_empty() {
            let builders = self.view.builders.iter().map(|builder| self.builder_row(builder));
            text.push('\n');
            text.push_str(&table(
                &["BUILDER", "POOL", "STATE", "FOR", "INSTANCE", "ADDRESS", "WHAT"],
                builders.collect(),
            ));
        }
        for orphan in &self.orphans {
            let outcome = match &orphan.refusal {
                Some(refusal) => format!("it cannot be ended: {refusal}"),
                None => "it is ended when it is still there after two minutes".to_owned(),
            };
            text.push_str(&format!(
                "\ninstance {} of cloud {} has the fleet's tag and no builder since {}: {outcome}\n",
                orphan.instance_id,
                orphan.cloud,
                orphan.first_at.to_the_second()
            ));
        }
        let waits = match self.waiting {
            0 => "No attempt waits for a builder.".to_owned(),
            1 => "1 attempt waits for a builder; `verdigris fleet plan` says why.".to_owned(),
            more => format!("{more} attempts wait for a builder; `verdigris fleet plan` says why."),
        };
        text.push('\n');
        text.push_str(&waits);
        text
    }

    fn builder_row(&self, builder: &Builder) -> Vec<String> {
        let what = match self.running.get(&builder.id) {
            Some(attempt) => format!(
                "build {} of {}/{} for {}",
                attempt.build, attempt.owner, attempt.project_name, attempt.chroot
            ),
            None => builder.reason.clone().unwrap_or_default(),
        };
        let state = if builder.cordoned {
            format!("{}, cordoned", builder.state)
        } else {
            builder.state.to_string()
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            builder.id.to_string(),
            builder.pool.to_string(),
            state,
            format!("{} s", self.view.at.since(builder.entered_at).as_secs()),
            or_dash(&builder.instance_id),
            or_dash(&builder.address),
            what,
        ]
    }
}

/// Of builders: all, the ready ones, those at work, those on their way, and those that are being ended.
fn tally(states: &[BuilderState]) -> [usize; 5] {
    let count = |wanted: &[BuilderState]| states.iter().filter(|state| wanted.contains(state)).count();
    [
        states.len(),
        count(&[BuilderState::Ready]),
        count(&[BuilderState::Reserved, BuilderState::Busy, BuilderState::Cleaning]),
        count(&BuilderState::STARTING),
        count(&BuilderState::ENDING),
    ]
}

/// What is wrong, in words for operators.
fn troubles(condition: &Condition, now: Timestamp) -> Vec<String> {
    let troubles = condition.troubles(now);
    troubles.iter().map(Trouble::for_operators).collect()
}

/// The same for people, each in a line of its own that cannot be overlooked, and what can be done.
fn warnings(condition: &Condition, now: Timestamp) -> String {
    let mut text: String = troubles(condition, now)
        .iter()
        .map(|trouble| format!("! {trouble}\n"))
        .collect();
    let held = condition
        .pools
        .iter()
        .filter(|(_, history)| history.held_until().is_some());
    for (name, _) in held {
        text.push_str(&format!(
            "  When the cause is mended: verdigris fleet resume {name}\n"
        ));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `verdigris fleet plan`.
pub(crate) async fn plan(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let (plan, view, condition) = database::with(&settings, async |store| {
        // Neither clouds nor builders are asked: no secrets are needed to look at a plan.
        let key = ClientKey::generate("plan")?;
        let (fleet, condition) = in_force(&settings, &store, clock::now()).await?;
        let view = store.fleet_snapshot(fleet.fleet, clock::now()).await?;
        let context = parts::planner(&settings, fleet, key, &store)?;
        let plan = model::plan(&controller::snapshot(&context, &view));
        Ok((plan, view, condition))
    })
    .await?;
    if as_json {
        let mut shown = serde_json::to_value(&plan)?;
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("troubles".to_owned(), json!(troubles(&condition, view.at)));
        }
        say(&serde_json::to_string_pretty(&shown)?);
    } else {
        say(&plan_as_text(&plan, &view, &condition));
    }
    Ok(())
}

fn plan_as_text(plan: &Plan, view: &FleetView, condition: &Condition) -> String {
    let mut text = warnings(condition, view.at);
    let pools = plan.pools.iter().map(|pool| {
        vec![
            pool.pool.to_string(),
            pool.counted.to_string(),
            pool.starting.to_string(),
            pool.ready.to_string(),
            pool.launches.to_string(),
            pool.note.clone(),
        ]
    });
    text.push_str(&table(
        &["POOL", "BUILDERS", "STARTING", "FREE", "TO LAUNCH", "WHY"],
        pools.collect(),
    ));
    let queue: BTreeMap<AttemptId, &QueuedAttempt> = view.queue.iter().map(|it| (it.id, it)).collect();
    text.push('\n');
    if plan.actions.is_empty() {
        text.push_str("Nothing to do.\n");
    }
    for action in &plan.actions {
        text.push_str(&match action {
            Action::Assign { attempt, builder } => match queue.get(attempt) {
                Some(of) => format!(
                    "  assign   build {} of {} for {} to {builder}\n",
                    of.build, of.owner, of.chroot
                ),
                None => format!("  assign   {attempt} to {builder}\n"),
            },
            Action::Launch { pool, reason } => format!("  launch   a builder of pool {pool}: {reason}\n"),
            Action::Drain { builder, reason } => format!("  drain    {builder}: {reason}\n"),
            Action::Expire {
                builder, to, reason, ..
            } => format!("  expire   {builder} to {to}: {reason}\n"),
        });
    }
    if !plan.waits.is_empty() {
        let waits = plan.waits.iter().take(MOST_WAITS).map(|wait| {
            vec![
                wait.position.to_string(),
                wait.build.to_string(),
                wait.owner.to_string(),
                wait.chroot.to_string(),
                wait.reason.to_string(),
            ]
        });
        text.push('\n');
        text.push_str(&table(
            &["PLACE", "BUILD", "OWNER", "CHROOT", "WHY IT WAITS"],
            waits.collect(),
        ));
    }
    let hidden = plan.waits.len().saturating_sub(MOST_WAITS);
    if hidden > 0 {
        text.push_str(&format!("and {hidden} more; --json shows all\n"));
    }
    text.trim_end().to_owned()
}

/// `verdigris fleet resume`.
pub(crate) async fn resume(config: &Config, pool: &str) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let fleet = parts::fleet(&settings)?;
    let names: Vec<&str> = fleet.pools.keys().map(PoolName::as_str).collect();
    let Some((name, _)) = fleet.pools.iter().find(|(name, _)| name.as_str() == pool) else {
        let hint = did_you_mean(pool, &names);
        let end = if hint.is_empty() { "." } else { &hint };
        bail!(
            "there is no pool `{pool}` in the fleet file{end} There is: {}",
            names.join(", ")
        );
    };
    let resumed = database::with(&settings, async |store| {
        Ok(store.resume_pool(name, "operator", clock::now()).await)
    });
    let was_held = match resumed.await? {
        Ok(was_held) => was_held,
        // No controller has seen it yet: nothing holds it back.
        Err(store::Error::NotFound { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    if was_held {
        say(&format!("Pool {name} launches builders again as it needs them."));
    } else {
        say(&format!("Pool {name} is not held back: nothing to do."));
    }
    Ok(())
}

/// Refuses a fleet file whose id was changed while there are machines of the old one: nobody would end them. `at` is when the
/// file is to be used: a fleet that a controller leads then is not forsaken.
pub(crate) async fn refuse_forsaken_machines(
    store: &Store,
    fleet: &FleetSpec,
    at: Timestamp,
) -> anyhow::Result<()> {
    let forsaken = store.forsaken_fleets(fleet.fleet, at).await?;
    let Some((old, builders)) = forsaken.first() else {
        return Ok(());
    };
    let builders = if *builders == 1 {
        "1 builder".to_owned()
    } else {
        format!("{builders} builders")
    };
    bail!(
        "the fleet file's `fleet` is {}, but {builders} of fleet {} are on record, whose machines would run on with nobody \
         to end them. Write `fleet: {}` back. To change it after that, set `max` of every pool to 0, wait until \
         `verdigris fleet status` shows no builder, and stop the controller first.",
        fleet.fleet.0,
        old.0,
        old.0
    )
}

#[cfg(test)]
mod tests {
    use super::{BuilderState, tally};

    #[test]
    fn every_builder_that_serves_is_in_one_column() {
        let live: Vec<_> = BuilderState::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .collect();
        assert_eq!(tally(&live), [14, 1, 3, 7, 2]);
        assert_eq!(tally(&[BuilderState::Terminating]), [1, 0, 0, 0, 1]);
        for state in live {
            let [_, columns @ ..] = tally(&[state]);
            let is_shown = columns.iter().sum::<usize>() == 1;
            assert_eq!(is_shown, state != BuilderState::Held, "{state}");
        }
    }
}
