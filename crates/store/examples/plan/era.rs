//! What differs between this commit and older ones.

use std::collections::BTreeMap;

use model::plan::{self, Snapshot, Wait};
use store::{FleetCache, FleetView, Lease, Store};

use crate::{Result, now, pool};

#[path = "deletion.rs"]
mod deletion;
pub(crate) use deletion::delete;

/// What the planner looks at, with one pool that is full.
pub(crate) fn snapshot(view: &FleetView) -> Result<Snapshot> {
    let spec = serde_json::from_value(pool())?;
    let pool = plan::Pool {
        spec,
        history: model::LaunchHistory::default(),
        cloud: plan::CloudHealth::Answers,
        pause: None,
        no_image: None,
        quota: None,
        budget: None,
        calls: None,
        pace: None,
        hosts: BTreeMap::new(),
        port: 22,
    };
    let builders = view.builders.iter().map(|builder| plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        created_at: builder.created_at,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
        drift: None,
        lacks: model::Lacks::Nothing,
        refusal: None,
        sandbox: builder.sandbox.clone(),
        ready_at: builder.ready_at,
        mark: None,
        host: None,
        line: None,
    });
    Ok(Snapshot::new(
        view.at,
        BTreeMap::from([("small".parse()?, pool)]),
        builders.collect(),
        view.queue.clone(),
    ))
}

/// What a controller keeps from one round to the next.
#[derive(Default)]
pub(crate) struct Memory(FleetCache);

/// Looks at the fleet and the queue.
pub(crate) async fn look(store: &Store, lease: &Lease, memory: &mut Memory) -> Result<FleetView> {
    Ok(store.look_at_fleet(lease.fleet, &mut memory.0, now()).await?)
}

/// Says why everybody waits.
pub(crate) async fn set_waits(
    store: &Store,
    lease: &Lease,
    (_, memory): (&FleetView, &mut Memory),
    waits: &[Wait],
) -> Result<()> {
    Ok(store.set_waits(lease, &mut memory.0, waits).await?)
}
