//! `verdigris fleet plan`: what the controller would do next, and why who waits.

use std::collections::BTreeMap;

use model::{
    AttemptId, Condition,
    fleet::FleetSpec,
    plan::{Action, Plan, QueuedAttempt},
};
use runtime::{Settings, clock};
use serde_json::json;
use store::FleetView;

use super::{
    condition::{in_force, troubles, warnings},
    images, planned, quotas,
};
use crate::{database, options::Config, say, table::table};

/// How many attempts that wait are shown to people.
const MOST_WAITS: usize = 50;

/// Prints the plan as it is at this moment.
pub(crate) async fn plan(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::load(config.config.as_deref())?;
    let (fleet, plan, view, condition) = database::with(&settings, async |store| {
        let (fleet, condition) = in_force(&settings, &store, clock::now()).await?;
        let view = store.fleet_snapshot(fleet.fleet, clock::now()).await?;
        let (_, plan) = planned(&settings, &store, &fleet, &view)?;
        Ok((fleet, plan, view, condition))
    })
    .await?;
    if as_json {
        let mut shown = serde_json::to_value(&plan)?;
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("troubles".to_owned(), json!(troubles(&condition, view.at)));
            shown.insert("quotas".to_owned(), quotas::as_json(&fleet, &view));
            shown.insert("images".to_owned(), images::as_json(&fleet, &view));
            shown.insert("budgets".to_owned(), quotas::budgets(&fleet, &view));
        }
        say(&serde_json::to_string_pretty(&shown)?);
    } else {
        say(&as_text(&fleet, &plan, (&view, &condition)));
    }
    Ok(())
}

fn as_text(fleet: &FleetSpec, plan: &Plan, (view, condition): (&FleetView, &Condition)) -> String {
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
    text.push('\n');
    for line in quotas::lines(fleet, view)
        .into_iter()
        .chain(images::lines(fleet, view))
    {
        text.push_str(&format!("{line}\n\n"));
    }
    if plan.actions.is_empty() {
        text.push_str("Nothing to do.\n");
    }
    let queue = queue(view);
    for action in &plan.actions {
        text.push_str(&format!("  {}\n", words(action, &queue)));
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

/// The attempts that wait, by their ids.
fn queue(view: &FleetView) -> BTreeMap<AttemptId, &QueuedAttempt> {
    view.queue.iter().map(|attempt| (attempt.id, attempt)).collect()
}

fn words(action: &Action, queue: &BTreeMap<AttemptId, &QueuedAttempt>) -> String {
    match action {
        Action::Assign { attempt, builder } => match queue.get(attempt) {
            Some(of) => {
                let (build, owner, chroot) = (of.build, &of.owner, &of.chroot);
                format!("assign   build {build} of {owner} for {chroot} to {builder}")
            }
            None => format!("assign   {attempt} to {builder}"),
        },
        Action::Launch {
            pool,
            host: Some(host),
            reason,
            ..
        } => format!("launch   host {host} as a builder of pool {pool}: {reason}"),
        Action::Launch { pool, reason, .. } => format!("launch   a builder of pool {pool}: {reason}"),
        Action::Drain { builder, reason } => format!("drain    {builder}: {reason}"),
        Action::Move {
            builder, to, reason, ..
        } => {
            format!("move     {builder} to {to}: {reason}")
        }
        Action::Expire {
            builder, to, reason, ..
        } => {
            format!("expire   {builder} to {to}: {reason}")
        }
    }
}

/// What a plan does, a line for each thing.
pub(super) fn words_of(plan: &Plan, view: &FleetView) -> Vec<String> {
    let queue = queue(view);
    plan.actions.iter().map(|action| words(action, &queue)).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{attempt, fleet, snapshot, view},
        Condition, as_text,
    };

    #[test]
    fn a_limit_of_money_is_told_of_the_pool_of_its_cloud_and_to_who_waits() {
        let mut fleet = fleet(&[("x86", "arch:x86_64", [0, 3, 1], 0)]);
        let cloud = fleet.clouds.get_mut("c").unwrap();
        cloud.limits.money = serde_json::from_value(serde_json::json!({"per_day": 0.5})).unwrap();
        cloud.prices = serde_json::from_value(serde_json::json!({"t": {"on-demand": 1}})).unwrap();
        let view = view(vec![], vec![attempt(1, "fedora-43-x86_64")]);
        let plan = model::plan(&snapshot(&fleet, &view, &[]));
        let expected = "\
POOL  BUILDERS  STARTING  FREE  TO LAUNCH  WHY
x86   0         0         0     0          cloud c cost 0 of 0.5 in the last 24 hours: nothing more is launched there

cloud c cost 0 of 0.5 in the last 24 hours: nothing more is launched there

Nothing to do.

PLACE  BUILD  OWNER  CHROOT            WHY IT WAITS
1      1      alice  fedora-43-x86_64  cloud c costs as much in 24 hours as it may";
        assert_eq!(as_text(&fleet, &plan, (&view, &Condition::default())), expected);
    }
}
