//! Rounds of the planner and the deletion of a large project in databases with a long history, beside an older commit on the
//! same data. The measuring program is an example of the crate `store`, since only that may speak to a database; it is built
//! twice, here and in a checkout of the older commit.

use anyhow::Result;

use super::checkout::{Beside, Programs};
use crate::{
    cache::{Cache, Scratch},
    process::Tool,
    progress::say,
    setup,
};

pub(super) const PROGRAMS: Programs = Programs {
    names: &["plan"],
    files: &[
        "crates/store/examples/plan/main.rs",
        "crates/store/tests/it/many.rs",
    ],
    era: ("crates/store/examples/plan/era.rs", OLDER_ERA),
};
/// What differs in commits before positions in the queue were computed when asked for.
const OLDER_ERA: &str = r#"use std::collections::BTreeMap;

use model::plan::{self, Snapshot, Wait};
use store::{FleetView, Lease, Store};

use crate::{Result, now, pool};

pub(crate) fn snapshot(view: &FleetView) -> Result<Snapshot> {
    let pool = plan::Pool { spec: serde_json::from_value(pool())?, fortune: plan::Fortune::default() };
    let builders = view.builders.iter().map(|builder| plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
        outdated: false,
    });
    Ok(Snapshot {
        now: view.at,
        pools: BTreeMap::from([("small".parse()?, pool)]),
        builders: builders.collect(),
        queue: view.queue.clone(),
        active: view.active.clone(),
    })
}

#[derive(Default)]
pub(crate) struct Memory;

pub(crate) async fn look(store: &Store, lease: &Lease, _: &mut Memory) -> Result<FleetView> {
    Ok(store.fleet_snapshot(lease.fleet, now()).await?)
}

pub(crate) async fn set_waits(store: &Store, lease: &Lease, _: (&FleetView, &mut Memory), waits: &[Wait]) -> Result<()> {
    Ok(store.set_waits(lease, waits).await?)
}

pub(crate) async fn delete(_: &str, _: &str) -> Result<()> {
    Err("this commit's deletions are not measured".into())
}
"#;

/// What is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// How many builds that ended the long history has.
    #[arg(long, default_value_t = 1_000_000)]
    ended: u64,
    /// How many rounds of each kind are measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    beside: Beside,
    /// Install nothing; fail where something is missing.
    #[arg(long)]
    no_install: bool,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, plan: &Plan) -> Result<()> {
    setup::run(cache, setup::Purpose::Tests, !plan.no_install)?;
    let place = Scratch::beside(&cache.path("bench-plan"))?;
    let (own, older) = PROGRAMS.build(place.path(), &plan.beside)?;
    say(format!(
        "\n  20,000 attempts wait, 1000 builders live; medians of {} rounds (look, plan, say why)",
        plan.rounds
    ));
    Tool::new(own.join("plan"))
        .args(["measure", &plan.ended.to_string(), &plan.rounds.to_string()])
        .args(older.map(|(_, programs)| programs.join("plan")))
        .show()?;
    say(
        "\n  Both commits on the same databases: filled and measured by the older one, migrated, and measured by this one, \
         each after a VACUUM. \
         The project is deleted as workers do it, with a rest after each piece.",
    );
    Ok(())
}
