//! `verdigris fleet plan --diff`: what would change if another fleet file were in force.

use std::{collections::BTreeMap, path::Path};

use model::{
    BuilderId, BuilderState, Lacks, PoolName,
    fleet::{FleetSpec, Machines, machines_left},
    plan::{Action, Builder, Plan, Snapshot},
};
use runtime::{Settings, clock};
use serde::Serialize;
use serde_json::Value;
use store::{FleetView, machines_by_cloud};

use super::{plan::words_of, planned};
use crate::{
    check, database,
    options::Config,
    parts::{self, BadConfig},
    say,
    table::table,
};

/// Prints what would change.
pub(crate) async fn diff(config: &Config, file: &Path, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let new = parts::fleet_file(file)?;
    check::playbooks(&settings, Some(&new))
        .map_err(|error| BadConfig(format!("{}: {error:#}", file.display())))?;
    let found = database::with(&settings, async |store| {
        let (present, _) = parts::fleet_in_force(&settings, &store).await?;
        let view = store.fleet_snapshot(present.fleet, clock::now()).await?;
        let now = planned(&settings, &store, &present, &view)?;
        let led_by = new.keeping(&present, &machines_by_cloud(&view.builders, &view.strays));
        let then = planned(&settings, &store, &led_by, &view)?;
        Ok(Diff {
            warnings: warnings(&present, &new, &view),
            present: parts::fleet_path(&settings).display().to_string(),
            new: file.display().to_string(),
            changes: changes(&present, &led_by)?,
            outdated: outdated(&now.0, &then.0),
            pools: moves(&now, &then),
            more: beyond(&now.1, &then.1, &view),
            less: beyond(&then.1, &now.1, &view),
        })
    })
    .await?;
    if as_json {
        say(&serde_json::to_string_pretty(&found)?);
    } else {
        say(found.as_text().trim_end());
    }
    Ok(())
}

/// What would change.
#[derive(Debug, Serialize)]
struct Diff {
    /// The file that is in force.
    present: String,
    /// The other one.
    new: String,
    /// What an operator should know before it is put in force.
    warnings: Vec<String>,
    changes: Vec<Change>,
    outdated: Vec<Outdated>,
    pools: BTreeMap<PoolName, Moves>,
    /// What the next round would do besides, and what it would not do any more; each as often as it would.
    more: BTreeMap<String, u32>,
    less: BTreeMap<String, u32>,
}

/// A key whose value is another one; one side is missing where it is added or removed.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    key: String,
    now: Option<Value>,
    then: Option<Value>,
}

/// A builder that would be one of the old kind.
#[derive(Debug, PartialEq, Serialize)]
struct Outdated {
    builder: BuilderId,
    pool: PoolName,
    state: BuilderState,
    outcome: &'static str,
}

/// How many builders of a pool the next round launches and drains.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Moves {
    now: Steps,
    then: Steps,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Steps {
    launches: u32,
    drains: u32,
}

/// The keys whose values differ, in their order. What stands on one side alone is one key.
fn changes(present: &FleetSpec, new: &FleetSpec) -> anyhow::Result<Vec<Change>> {
    let mut found = Vec::new();
    let (now, then) = (serde_json::to_value(present)?, serde_json::to_value(new)?);
    compare(String::new(), Some(&now), Some(&then), &mut found);
    Ok(found)
}

fn compare(key: String, now: Option<&Value>, then: Option<&Value>, found: &mut Vec<Change>) {
    if now == then {
        return;
    }
    let (Some(Value::Object(one)), Some(Value::Object(other))) = (now, then) else {
        found.push(Change {
            key,
            now: now.cloned(),
            then: then.cloned(),
        });
        return;
    };
    let mut names: Vec<_> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let dot = if key.is_empty() { "" } else { "." };
        compare(format!("{key}{dot}{name}"), one.get(name), other.get(name), found);
    }
}

/// The builders that are made otherwise under the second plan's file, or whose pool is gone there, and that were not so under the
/// first one's.
fn outdated(now: &Snapshot, then: &Snapshot) -> Vec<Outdated> {
    let loses_its_pool =
        |builder: &Builder| now.pools.contains_key(&builder.pool) && !then.pools.contains_key(&builder.pool);
    let pairs = now.builders.iter().zip(&then.builders);
    let found = pairs.filter_map(|(before, builder)| {
        let outcome = if loses_its_pool(builder) {
            without_pool(builder.state)?
        } else if before.drift.is_none() && builder.drift.is_some() {
            made_otherwise(builder)?
        } else {
            return None;
        };
        Some(Outdated {
            builder: builder.id,
            pool: builder.pool.clone(),
            state: builder.state,
            outcome,
        })
    });
    found.collect()
}

/// What becomes of a builder in that state when its pool goes; `None` where it ends anyway.
fn without_pool(state: BuilderState) -> Option<&'static str> {
    Some(match state {
        BuilderState::Planned => "its pool is gone: it is given up, and no machine is asked for",
        BuilderState::Ready => "its pool is gone: the next round drains it",
        BuilderState::Cleaning => "its pool is gone: it is cleaned, and then it goes",
        BuilderState::Held => "its pool is gone: it is held until its time, and then it goes",
        state if state.is_in_use() => "its pool is gone: its attempt ends, then it goes",
        state if state.when_unwanted().is_some() => "its pool is gone: the next round ends it",
        BuilderState::Launching | BuilderState::Resolving => {
            "its pool is gone: it is ended as soon as its cloud has said what became of its launch"
        }
        _ => return None,
    })
}

/// What becomes of a builder that is made otherwise; `None` where it ends anyway.
fn made_otherwise(builder: &Builder) -> Option<&'static str> {
    let is_urgent = builder.lacks == Lacks::Everything;
    Some(match (builder.state, &builder.lacks) {
        (BuilderState::Ready, Lacks::Everything) => "it takes no more builds, and is drained soon",
        (BuilderState::Ready, Lacks::Chroots(_)) => {
            "it goes on taking builds but for new and changed chroots, and is drained in its turn"
        }
        (BuilderState::Ready, Lacks::Nothing) => "it goes on taking builds, and is drained in its turn",
        (state, _) if BuilderState::STARTING.contains(&state) && is_urgent => {
            "it takes no builds, and is drained when it is ready"
        }
        (state, _) if BuilderState::STARTING.contains(&state) => "it is drained in its turn when it is ready",
        (state, _) if BuilderState::ENDING.contains(&state) => return None,
        _ => "its attempt ends, then it goes as it would anyway",
    })
}

fn moves(now: &(Snapshot, Plan), then: &(Snapshot, Plan)) -> BTreeMap<PoolName, Moves> {
    let mut found: BTreeMap<PoolName, Moves> = BTreeMap::new();
    let names = now.0.pools.keys().chain(then.0.pools.keys());
    found.extend(names.map(|name| (name.clone(), Moves::default())));
    for (is_then, (snapshot, plan)) in [(false, now), (true, then)] {
        let pools: BTreeMap<BuilderId, &PoolName> =
            snapshot.builders.iter().map(|it| (it.id, &it.pool)).collect();
        for action in &plan.actions {
            let (pool, is_launch) = match action {
                Action::Launch { pool, .. } => (Some(pool), true),
                Action::Drain { builder, .. } => (pools.get(builder).copied(), false),
                Action::Assign { .. } | Action::Expire { .. } | Action::Move { .. } => (None, false),
            };
            let Some(pool) = pool else {
                continue;
            };
            let moves = found.entry(pool.clone()).or_default();
            let steps = if is_then { &mut moves.then } else { &mut moves.now };
            let count = if is_launch {
                &mut steps.launches
            } else {
                &mut steps.drains
            };
            *count = count.saturating_add(1);
        }
    }
    found
}

/// What the second plan does more often than the first, in words.
fn beyond(first: &Plan, second: &Plan, view: &FleetView) -> BTreeMap<String, u32> {
    let count = |plan: &Plan| {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for words in words_of(plan, view) {
            let count = counts.entry(words).or_default();
            *count = count.saturating_add(1);
        }
        counts
    };
    let known = count(first);
    let more = count(second).into_iter().filter_map(|(words, count)| {
        let more = count.saturating_sub(known.get(&words).copied().unwrap_or(0));
        (more > 0).then_some((words, more))
    });
    more.collect()
}

/// What the file would bring beside what a plan can say.
fn warnings(present: &FleetSpec, new: &FleetSpec, view: &FleetView) -> Vec<String> {
    let mut found = Vec::new();
    if present.fleet != new.fleet {
        let there = builders(u64::try_from(view.builders.len()).unwrap_or(u64::MAX));
        let are = if view.builders.len() == 1 { "is" } else { "are" };
        found.push(format!(
            "`fleet` is another one, {}: a controller refuses to start with it while builders of {} are on record, and \
             {there} {are}",
            new.fleet.0, present.fleet.0
        ));
    }
    let machines = machines_by_cloud(&view.builders, &view.strays);
    if let Some(words) = machines_left(present, new, &machines) {
        found.push(format!("a controller refuses it: {words}"));
    }
    let kept = new.keeping(present, &machines);
    for cloud in kept.clouds_beside(new) {
        let left = what_is_left(machines.get(&cloud).copied().unwrap_or_default());
        found.push(format!(
            "clouds.{cloud} is gone; it is kept until what is left there has ended: {left}"
        ));
    }
    found
}

/// What a fleet has in a cloud, such as `2 builders and 1 instance that no builder has`.
fn what_is_left(machines: Machines) -> String {
    let of_builders = machines.builders.saturating_add(machines.planned);
    let strays = match machines.strays {
        0 => return builders(of_builders),
        1 => "1 instance that no builder has".to_owned(),
        more => format!("{more} instances that no builder has"),
    };
    match of_builders {
        0 => strays,
        some => format!("{} and {strays}", builders(some)),
    }
}

fn builders(count: u64) -> String {
    match count {
        1 => "1 builder".to_owned(),
        more => format!("{more} builders"),
    }
}

impl Diff {
    fn as_text(&self) -> String {
        let mut text: String = self.warnings.iter().map(|words| format!("! {words}\n")).collect();
        if !text.is_empty() {
            text.push('\n');
        }
        if self.changes.is_empty() {
            text.push_str(&format!(
                "Nothing changes: {} says what {} says.\n",
                self.new, self.present
            ));
            return text;
        }
        for part in [
            self.changes_as_text(),
            self.outdated_as_text(),
            self.moves_as_text(),
        ] {
            text.push_str(&part);
        }
        for (title, lines) in [
            ("The next round would do besides:", &self.more),
            ("It would not do any more:", &self.less),
        ] {
            if !lines.is_empty() {
                text.push_str(&format!("\n{title}\n"));
            }
            for (words, count) in lines {
                let times = if *count == 1 {
                    String::new()
                } else {
                    format!(" ({count} times)")
                };
                text.push_str(&format!("  {words}{times}\n"));
            }
        }
        text
    }

    fn changes_as_text(&self) -> String {
        let rows = self.changes.iter().map(|change| {
            let what = match (&change.now, &change.then) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            let side = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), short);
            vec![
                what.to_owned(),
                change.key.clone(),
                side(&change.now),
                side(&change.then),
            ]
        });
        table(&["CHANGE", "KEY", "NOW", "THEN"], rows.collect())
    }

    fn outdated_as_text(&self) -> String {
        if self.outdated.is_empty() {
            return "\nNo builder becomes outdated.\n".to_owned();
        }
        let rows = self.outdated.iter().map(|it| {
            let cells = [
                &it.builder as &dyn std::fmt::Display,
                &it.pool,
                &it.state,
                &it.outcome,
            ];
            cells.map(ToString::to_string).to_vec()
        });
        let header = ["OUTDATED", "POOL", "STATE", "WHAT BECOMES OF IT"];
        format!("\n{}", table(&header, rows.collect()))
    }

    fn moves_as_text(&self) -> String {
        let rows = self.pools.iter().map(|(pool, moves)| {
            let (now, then) = (&moves.now, &moves.then);
            let cells = [now.launches, then.launches, now.drains, then.drains];
            let mut row = vec![pool.to_string()];
            row.extend(cells.map(|count| count.to_string()));
            row
        });
        let header = ["POOL", "LAUNCHES NOW", "THEN", "DRAINS NOW", "THEN"];
        format!("\n{}", table(&header, rows.collect()))
    }
}

/// A value as a cell shows it: texts as they are, a map by its size.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(_) => "{...}".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
