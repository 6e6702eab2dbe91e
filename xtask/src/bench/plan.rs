//! Rounds of the planner and the deletion of a large project in databases with a long history, beside an older commit on the
//! same data. The measuring program is an example of the crate `store`, since only that may speak to a database; it is built
//! twice, here and in a checkout of the older commit.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::checkout;
use crate::{
    cache::{Cache, Scratch},
    process::Tool,
    progress::{Step, say},
    setup, workspace,
};

/// What the measuring program is made of.
const FILES: [&str; 2] = [
    "crates/store/examples/plan/main.rs",
    "crates/store/tests/it/many.rs",
];
const ERA: &str = "crates/store/examples/plan/era.rs";
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
pub(super) struct Plan<'a> {
    /// How many builds that ended the long history has.
    pub(super) ended: u64,
    /// How many rounds of each kind.
    pub(super) rounds: u32,
    /// The commit beside which it is measured; none leaves that out.
    pub(super) older: Option<&'a str>,
}

/// Measures and prints.
pub(super) fn run(cache: &Cache, install: bool, plan: &Plan<'_>) -> Result<()> {
    setup::run(cache, setup::Purpose::Tests, install)?;
    let place = Scratch::beside(&cache.path("bench-plan"))?;
    let root = workspace::root()?;
    let step = Step::start("the measuring program");
    let own = build(&root, &place.path().join("own"))?;
    step.done("built, in release");
    let older = match plan.older {
        Some(commit) => match at(&root, place.path(), commit) {
            Ok(program) => Some(program),
            Err(error) => {
                say(format!("    not measured at {commit}: {error:#}"));
                None
            }
        },
        None => None,
    };
    say(format!(
        "\n  20,000 attempts wait, 1000 builders live; medians of {} rounds (look, plan, say why)",
        plan.rounds
    ));
    let mut measure = Tool::new(&own).args(["measure", &plan.ended.to_string(), &plan.rounds.to_string()]);
    if let Some(older) = &older {
        measure = measure.arg(older);
    }
    measure.show()?;
    say(
        "\n  Both commits on the same databases: filled and measured by the older one, migrated, and measured by this one, \
         each after a VACUUM. \
         The project is deleted as workers do it, with a rest after each piece.",
    );
    Ok(())
}

/// Builds the program in a checkout.
fn build(checkout: &Path, copies: &Path) -> Result<PathBuf> {
    checkout::examples(checkout, &["plan"], copies)?;
    Ok(copies.join("plan"))
}

/// The program, built at another commit.
fn at(root: &Path, place: &Path, commit: &str) -> Result<PathBuf> {
    let step = Step::start(format!("the same at {commit}"));
    let built = checkout::of(root, place, commit, |older| {
        checkout::copy(root, older, &FILES)?;
        fs_err::write(older.join(ERA), OLDER_ERA)?;
        build(older, &place.join("older-program"))
    });
    step.done("built, in release");
    built
}
