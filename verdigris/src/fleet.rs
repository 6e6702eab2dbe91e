//! `verdigris fleet`: how the builders stand, and what the controller would do next.

use anyhow::Context as _;
use model::{BuilderState, Condition, Timestamp, condition::Trouble, plan::Action};
use runtime::{Settings, clock};
use serde_json::json;
use shell::ClientKey;
use store::Builder;

use crate::{cli::Config, database, parts, say};

/// `verdigris fleet status`.
pub(crate) async fn status(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let fleet = parts::fleet(&settings)?;
    let store = database::open(&settings).await?;
    let now = clock::now();
    let view = store.fleet_snapshot(fleet.fleet, now).await?;
    let condition = store.fleet_condition(Some(fleet.fleet), now).await?;
    if as_json {
        let builders: Vec<_> = view.builders.iter().map(describe).collect();
        let queue: Vec<_> = view
            .queue
            .iter()
            .map(|attempt| json!({"attempt": attempt.id.to_string(), "build": attempt.build, "chroot": attempt.chroot}))
            .collect();
        say(&serde_json::to_string_pretty(
            &json!({"fleet": fleet.name, "troubles": troubles(&condition, now), "builders": builders, "queue": queue}),
        )?);
        return Ok(());
    }
    for trouble in troubles(&condition, now) {
        say(&format!("! {trouble}"));
    }
    for (name, pool) in &fleet.pools {
        let own = || view.builders.iter().filter(|builder| builder.pool == *name);
        let ready = own()
            .filter(|builder| builder.state == BuilderState::Ready)
            .count();
        say(&format!(
            "pool {name}: {} of at most {} builders, {ready} ready",
            own().count(),
            pool.size.max
        ));
    }
    for builder in &view.builders {
        let age = clock::now().since(builder.entered_at).as_secs();
        say(&format!(
            "  {}  {:<12} {age:>6} s  {:<22} {}",
            builder.id,
            builder.state,
            builder.instance_id.as_deref().unwrap_or("-"),
            builder.reason.as_deref().unwrap_or("")
        ));
    }
    say(&format!(
        "queue: {} attempts wait for a builder",
        view.queue.len()
    ));
    Ok(())
}

/// What is wrong, in words for operators.
fn troubles(condition: &Condition, now: Timestamp) -> Vec<String> {
    condition
        .troubles(now)
        .iter()
        .map(Trouble::for_operators)
        .collect()
}

fn describe(builder: &Builder) -> serde_json::Value {
    json!({
        "id": builder.id.to_string(), "pool": builder.pool, "state": builder.state, "cloud": builder.cloud,
        "instance_id": builder.instance_id, "address": builder.address, "reason": builder.reason,
        "seconds": clock::now().since(builder.entered_at).as_secs(),
    })
}

/// `verdigris fleet plan`.
pub(crate) async fn plan(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let store = database::open(&settings).await?;
    // Neither clouds nor builders are asked: no secrets are needed to look at a plan.
    let parts =
        parts::planner(&settings, ClientKey::generate("plan")?, &store).context("reading the fleet")?;
    let view = store.fleet_snapshot(parts.fleet.fleet, clock::now()).await?;
    let plan = model::plan(&controller::snapshot(&parts, &view));
    let condition = store.fleet_condition(Some(parts.fleet.fleet), view.at).await?;
    if as_json {
        let mut shown = serde_json::to_value(&plan)?;
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("troubles".to_owned(), json!(troubles(&condition, view.at)));
        }
        say(&serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    for trouble in troubles(&condition, view.at) {
        say(&format!("! {trouble}"));
    }
    for pool in &plan.pools {
        say(&format!(
            "pool {}: {} builders, {} starting, {} free, {} to launch: {}",
            pool.pool, pool.counted, pool.starting, pool.ready, pool.launches, pool.note
        ));
    }
    if plan.actions.is_empty() {
        say("nothing to do");
    }
    for action in &plan.actions {
        say(&match action {
            Action::Assign { attempt, builder } => format!("  assign   {attempt} to {builder}"),
            Action::Launch { pool, reason } => format!("  launch   a builder of pool {pool}: {reason}"),
            Action::Drain { builder, reason } => format!("  drain    {builder}: {reason}"),
            Action::Expire {
                builder, to, reason, ..
            } => format!("  expire   {builder} to {to}: {reason}"),
        });
    }
    for wait in &plan.waits {
        say(&format!(
            "  waits    {} (number {}): {}",
            wait.attempt, wait.position, wait.reason
        ));
    }
    Ok(())
}
