//! Between two builds of one sandbox: what the first one left is removed, and that nothing is left is proved. Whatever goes wrong
//! with that ends the builder: what is dirty stays dirty.

use model::{
    BuilderState,
    step::{Move, difference::told},
};
use store::{Builder, Lease};
use tracing::warn;

use super::{
    Turn, advance,
    prepare::{Reached, connect, place},
};
use crate::{Context, Error, Machine};

/// Cleans a builder and makes it ready, or lets it go.
pub(super) async fn clean(
    context: &Context,
    lease: &Lease,
    mut builder: Builder,
    turn: &Turn,
) -> Result<(), Error> {
    let step = match kept_for_nobody(context, &builder) {
        Some(words) => Move::new(BuilderState::Draining, words),
        None => match connect(context, lease, &builder).await? {
            Reached::Machine(machine, _) => {
                let _place;
                (builder, _place) = place(context, lease, builder, turn).await?;
                let step = cleaned(context, &builder, machine.as_ref()).await;
                machine.close().await;
                step
            }
            Reached::Nobody(words) | Reached::Stranger(words) => Move::new(BuilderState::Draining, words),
        },
    };
    let words = (step.to == BuilderState::Draining).then(|| step.reason.clone());
    advance(context, lease, &builder, step).await?;
    if let Some(words) = words {
        warn!(builder.id = %builder.id, "Builder {} is used no more: {words}.", builder.id);
    }
    Ok(())
}

/// Why a builder is not even cleaned; `None` where it is. The fleet file may have changed while it was busy.
fn kept_for_nobody(context: &Context, builder: &Builder) -> Option<String> {
    let pool = &builder.pool;
    let Some(spec) = context.fleet.pools.get(pool) else {
        return Some(format!("pool {pool} is no longer in fleet.yaml"));
    };
    if !spec.reuse.allows_one_more(builder.uses) {
        let uses = builder.uses;
        return Some(format!(
            "builders of pool {pool} run no more builds after {uses} by now"
        ));
    }
    (builder.baseline.is_none() || builder.sandbox.is_none())
        .then(|| "what it was like before its first build is not known".to_owned())
}

/// Where a builder goes after cleaning.
async fn cleaned(context: &Context, builder: &Builder, machine: &dyn Machine) -> Move {
    let now = context.clock.now();
    let limit = builder
        .deadline
        .map_or(context.deadlines(&builder.pool).clean, |end| end.since(now));
    let baseline = builder.baseline.as_deref().unwrap_or_default();
    let differences = match machine.clean(baseline, limit).await {
        Ok(differences) => differences,
        Err(words) => {
            let why = format!("it could not be cleaned: {words}");
            return Move::new(BuilderState::Draining, why);
        }
    };
    if !differences.is_empty() {
        return Move::new(BuilderState::Draining, told(&differences));
    }
    let first = builder.ready_at.unwrap_or(builder.entered_at);
    let pool = context.fleet.pools.get(&builder.pool);
    let (uses, sandbox) = (builder.uses, builder.sandbox.as_ref());
    let owner = sandbox.map_or("", |sandbox| sandbox.as_str());
    let builds = if uses == 1 { "build" } else { "builds" };
    Move {
        reusable_until: pool.and_then(|pool| pool.reuse.until(uses, first)),
        ..Move::new(
            BuilderState::Ready,
            format!("cleaned after {uses} {builds} of {owner}, and found as it was before"),
        )
    }
}
