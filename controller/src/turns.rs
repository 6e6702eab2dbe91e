//! The turns of a builder's life, and the hooks that the fleet file has for them.

use model::{
    BuilderState,
    fleet::{FleetSpec, HookPoint},
    hook,
};
use runtime::chance::new_id;
use store::{Builder, NewHookRun};

/// The hooks of a turn for a builder, as they stand in the file.
pub(crate) fn hooks_at(fleet: &FleetSpec, point: HookPoint, builder: &Builder) -> Vec<NewHookRun> {
    let of_pool = fleet.hooks.of(point, &builder.pool);
    let runs = of_pool.map(|(place, spec)| NewHookRun {
        id: new_id(),
        point,
        place,
        spec: spec.clone(),
    });
    runs.collect()
}

/// The hooks of the turn that a builder comes to by a move.
pub(crate) fn hooks_of_move(fleet: &FleetSpec, builder: &Builder, to: BuilderState) -> Vec<NewHookRun> {
    let turn = hook::reached(to, builder.ready_at.is_some(), &fleet.hooks, &builder.pool);
    turn.map_or_else(Vec::new, |point| hooks_at(fleet, point, builder))
}
