//! `verdigris fleet status`: what is wrong, the pools, the builders and how many wait.

use std::collections::BTreeMap;

use model::{
    BuilderId, BuilderState, Condition, PoolName,
    fleet::{Cost, FleetSpec},
    plan::Plan,
};
use runtime::{Settings, clock};
use serde_json::{Value, json};
use store::{Attempt, Builder, FleetView, HookRun, Orphan, Store};

use super::{
    condition::{in_force, troubles, warnings},
    hooks, images, marks, planned, quotas, stray,
    wanted::{Counts, counts, kept},
};
use crate::{database, options::Config, parts, table::table};

mod kept;

/// What the planner says of a pool that lacks nothing.
const AS_WANTED: &str = "as wanted";

/// The status as it is at this moment.
pub(crate) async fn status(config: &Config, as_json: bool) -> anyhow::Result<String> {
    let shown = look(config).await?;
    Ok(if as_json {
        serde_json::to_string_pretty(&shown.as_json())?
    } else {
        shown.as_text()
    })
}

/// Looks at the database.
pub(super) async fn look(config: &Config) -> anyhow::Result<Status> {
    let settings = Settings::load(config.config.as_deref())?;
    database::with(&settings, async |store| {
        let now = clock::now();
        let (fleet, condition) = in_force(&settings, &store, now).await?;
        let running = running(&store).await?;
        let view = store.fleet_snapshot(fleet.fleet, now).await?;
        let plan = planned(&settings, &store, &fleet, &view).map(|(_, plan)| plan);
        Ok(Status {
            kept: parts::fleet(&settings).map_or_else(|_| Vec::new(), |file| fleet.clouds_beside(&file)),
            plan: plan.map_err(|error| format!("{error:#}")),
            condition,
            running,
            orphans: store.orphans(fleet.fleet, None).await?,
            waiting: store.counts().await?.waiting,
            hooks: store
                .failed_hooks(fleet.fleet, now.minus(hooks::SHOWN_FOR))
                .await?,
            view,
            fleet,
        })
    })
    .await
}

/// The attempts that have a builder.
pub(super) async fn running(store: &Store) -> anyhow::Result<BTreeMap<BuilderId, Attempt>> {
    let mut allocations = store.accepted_allocations(None).await?;
    allocations.extend(store.offered_allocations(store::Page::LONGEST).await?);
    let by_builder = allocations.into_iter().map(|it| (it.builder.id, it.attempt));
    Ok(by_builder.collect())
}

/// How the fleet stands.
pub(super) struct Status {
    fleet: FleetSpec,
    view: FleetView,
    /// What the controller would do next, or why nobody can say: a playbook cannot be read, for one.
    plan: Result<Plan, String>,
    condition: Condition,
    running: BTreeMap<BuilderId, Attempt>,
    orphans: Vec<Orphan>,
    waiting: u64,
    /// The hooks that failed lately, the last failure first.
    hooks: Vec<HookRun>,
    /// The clouds that are gone from the file, and are in force until their machines have ended.
    kept: Vec<String>,
}

impl Status {
    pub(super) fn as_json(&self) -> Value {
        let now = self.view.at;
        let builders = self.view.builders.iter().map(|builder| self.builder(builder));
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
                "pool": orphan.pool, "is_ending": orphan.is_ending, "ignored": orphan.ignored,
            })
        });
        let kept = kept(&self.view).into_iter();
        let kept = kept.filter_map(|(key, demand)| Some((key, demand.until?.to_string())));
        let kept: BTreeMap<&str, String> = kept.collect();
        let intents = self.view.intents.iter().map(|intent| {
            json!({
                "key": intent.key, "actor": intent.actor, "state": intent.state, "message": intent.words,
                "builders": intent.builders, "created_at": intent.created_at.to_string(),
                "kept_until": kept.get(intent.key.as_str()),
            })
        });
        let pools = counts(&self.fleet, &self.view);
        let pools = pools.iter().map(|(name, counts)| (name, self.pool(name, counts)));
        json!({
            "fleet": self.fleet.name, "at": now.to_string(), "troubles": self.troubles(),
            "pools": pools.collect::<BTreeMap<_, _>>(), "builders": builders.collect::<Vec<_>>(),
            "orphans": orphans.collect::<Vec<_>>(), "intents": intents.collect::<Vec<_>>(),
            "waiting": self.waiting, "queue": queue.collect::<Vec<_>>(), "shortages": self.shortages(),
            "failed_hooks": self.hooks.iter().map(hooks::as_json).collect::<Vec<_>>(),
            "quotas": quotas::as_json(&self.fleet, &self.view), "budgets": quotas::budgets(&self.fleet, &self.view),
            "kept_clouds": self.kept_clouds(),
            "images": images::as_json(&self.fleet, &self.view),
        })
    }

    fn pool(&self, name: &PoolName, counts: &Counts) -> Value {
        let until = self
            .condition
            .pools
            .get(name)
            .and_then(model::LaunchHistory::held_until);
        json!({
            "builders": counts.all, "max": self.max(name), "ready": counts.ready, "busy": counts.busy,
            "held": counts.held, "starting": counts.starting, "ending": counts.ending, "asked": counts.asked,
            "wanted": counts.wanted, "holds_back": self.holds_back(name, counts),
            "held_until": until.map(|until| until.to_string()), "cost_per_hour": self.cost(name).map(|cost| cost.known),
            "without_price": self.cost(name).map(|cost| cost.unknown),
        })
    }

    /// What the machines of a pool cost in an hour; `None` where the fleet file has no prices.
    fn cost(&self, pool: &PoolName) -> Option<Cost> {
        let machines = self.view.builders.iter();
        let machines = machines.filter(|it| it.pool == *pool && it.instance_id.is_some());
        let prices = machines.map(|it| self.fleet.price(&it.cloud, it.offering()?));
        self.fleet.has_prices().then(|| Cost::of(prices))
    }

    /// The same in words, such as `1.44`, or `1.44 and 2 more` where two machines have no price.
    fn cost_in_words(&self, pool: &PoolName) -> Option<String> {
        let Cost { known, unknown } = self.cost(pool)?;
        Some(match (known.millionths(), unknown) {
            (_, 0) => known.to_string(),
            (0, _) => "?".to_owned(),
            (_, more) => format!("{known} and {more} more"),
        })
    }

    fn max(&self, pool: &PoolName) -> u32 {
        self.fleet.pools.get(pool).map_or(0, |spec| spec.size.max)
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
            "cordoned": builder.cordoned, "mark": builder.mark, "runs": build, "sandbox": builder.sandbox,
            "seconds": self.view.at.since(builder.entered_at).as_secs(), "uses": builder.uses,
            "failed_hook": hooks::last_of(&self.hooks, builder.id).map(hooks::in_words),
        })
    }

    /// What is wrong, and that nobody can say what holds pools back, if it is so.
    fn troubles(&self) -> Vec<String> {
        let mut found = troubles(&self.condition, self.view.at);
        if let Err(why) = &self.plan {
            found.push(format!("what holds pools back is not known: {why}"));
        }
        found
    }

    /// What clouds have no more of at this moment.
    fn shortages(&self) -> Vec<String> {
        let all = self.view.shortages.iter();
        let all = all.flat_map(|(cloud, notes)| notes.iter().map(move |note| (cloud, note)));
        all.filter(|(_, note)| note.until > self.view.at)
            .map(|(cloud, note)| note.describe(cloud))
            .collect()
    }

    /// Why a pool has fewer builders than it is asked for; `None` when nothing is in the way.
    fn holds_back(&self, pool: &PoolName, counts: &Counts) -> Option<String> {
        if !self.fleet.pools.contains_key(pool) {
            return Some("it is no longer in the fleet file".to_owned());
        }
        let reports = self.plan.as_ref().map_or(&[][..], |plan| &plan.pools);
        let report = reports.iter().find(|report| report.pool == *pool);
        let note = report.filter(|report| report.note != AS_WANTED);
        let is_asked_too_much = counts.asked > counts.wanted;
        match note {
            Some(report) => Some(report.note.clone()),
            None if is_asked_too_much => Some(format!(
                "pool {pool} is at its maximum of {}, and {} are asked for",
                self.max(pool),
                counts.asked
            )),
            None => None,
        }
    }

    pub(super) fn as_text(&self) -> String {
        let mut text = warnings(&self.condition, self.view.at);
        if let Err(why) = &self.plan {
            text.push_str(&format!("! what holds pools back is not known: {why}\n\n"));
        }
        text.push_str(&self.pools_as_text());
        if !self.view.builders.is_empty() {
            let builders = self.view.builders.iter().map(|builder| self.builder_row(builder));
            text.push('\n');
            text.push_str(&table(
                &["BUILDER", "POOL", "STATE", "FOR", "INSTANCE", "ADDRESS", "WHAT"],
                builders.collect(),
            ));
        }
        for line in quotas::lines(&self.fleet, &self.view)
            .into_iter()
            .chain(images::lines(&self.fleet, &self.view))
            .chain(self.shortages())
        {
            text.push_str(&format!("\n{line}\n"));
        }
        for cloud in self.kept_clouds() {
            text.push_str(&format!("\n{}\n", cloud.in_words()));
        }
        for line in hooks::failures(&self.hooks) {
            text.push_str(&format!("\n{line}\n"));
        }
        for orphan in &self.orphans {
            text.push_str(&format!("\n{}\n", stray::in_words(orphan)));
        }
        for intent in self.view.intents.iter().filter(|it| !it.state.is_final()) {
            let (key, actor, state, words) = (&intent.key, &intent.actor, intent.state, &intent.words);
            text.push_str(&format!("\nintent {key} of {actor} is {state}: {words}\n"));
        }
        for (key, demand) in kept(&self.view) {
            text.push_str(&format!("\nintent {key} keeps {}\n", demand.why));
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

    fn pools_as_text(&self) -> String {
        let counts = counts(&self.fleet, &self.view);
        if counts.is_empty() {
            return "There is no pool in the fleet file: nothing is built.\n".to_owned();
        }
        let is_any_held = counts.values().any(|counts| counts.held > 0);
        let rows = counts.iter().map(|(name, counts)| {
            let numbers = [
                Some(counts.wanted),
                Some(counts.all),
                Some(counts.ready),
                Some(counts.busy),
                is_any_held.then_some(counts.held),
                Some(counts.starting),
                Some(counts.ending),
                Some(self.max(name)),
            ];
            let mut row = vec![name.to_string()];
            row.extend(numbers.iter().flatten().map(ToString::to_string));
            row.extend(self.cost_in_words(name));
            row.push(self.holds_back(name, counts).unwrap_or_else(|| "-".to_owned()));
            row
        });
        let mut header = vec!["POOL", "WANTED", "BUILDERS", "READY", "BUSY"];
        header.extend(is_any_held.then_some("HELD"));
        header.extend(["STARTING", "ENDING", "AT MOST"]);
        header.extend(self.fleet.has_prices().then_some("COST AN HOUR"));
        header.push("WHAT HOLDS IT BACK");
        table(&header, rows.collect())
    }

    fn builder_row(&self, builder: &Builder) -> Vec<String> {
        let what = match self.running.get(&builder.id) {
            Some(attempt) => format!(
                "build {} of {}/{} for {}",
                attempt.build, attempt.owner, attempt.project_name, attempt.chroot
            ),
            None => builder.reason.clone().unwrap_or_default(),
        };
        let is_held = builder.state == BuilderState::Held;
        let what = match marks::words(builder) {
            // It was moved there by a hold that may have been changed since.
            Some(words) if is_held => words,
            Some(words) if !what.contains(&words) => format!("{what}; {words}"),
            _ => what,
        };
        let what = match hooks::last_of(&self.hooks, builder.id) {
            Some(run) => format!("{what}; {}", hooks::in_words(run)),
            None => what,
        };
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            builder.id.to_string(),
            builder.pool.to_string(),
            marks::state(builder),
            format!("{} s", self.view.at.since(builder.entered_at).as_secs()),
            or_dash(&builder.instance_id),
            or_dash(&builder.address),
            what,
        ]
    }
}

#[cfg(test)]
mod tests;
