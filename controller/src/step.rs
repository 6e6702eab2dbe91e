//! The next step of one builder, which `model::step` decides on. A step may be interrupted anywhere: what it does is on record
//! first, or harmless twice.

mod clean;
mod host;
mod key;
mod launch;
pub(crate) mod prepare;
mod renewal;
mod retire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    BuilderState, Offering, Timestamp,
    shortage::Note,
    step::{
        self, Move, Standing, Step,
        launch::{Launches, Line, Wanted},
    },
};
use store::{Builder, Change, Lease};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::{Context, Error, consoles::Consoles, doubts::Doubts, image::Images, turns::hooks_of_move};

pub use prepare::playbook_variables;

/// How much of the time that a machine has to boot is kept for saying why it did not: once it is over, the next plan moves
/// the builder on, and it does not know.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long something is tried that has no end.
const ONE_TRY: Duration = Duration::from_secs(10);

/// What each cloud said lately that it has no more of.
pub(crate) type Shortages = BTreeMap<String, Vec<Note>>;

/// What a step has to know besides its builder.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Whether this controller has taken no such step for the builder before.
    pub(crate) is_first: bool,
    /// Whether the builder's cloud answers.
    pub(crate) cloud_answers: bool,
    /// Places for those of its pool that are worked on.
    pub(crate) playing: Arc<Semaphore>,
    /// What clouds said of their images.
    pub(crate) images: Arc<Images>,
    /// Launches of which nobody knows what became.
    pub(crate) doubts: Arc<Doubts>,
    /// How often clouds may be asked for consoles.
    pub(crate) consoles: Arc<Consoles>,
}

/// What is to be done for a builder next, while its pool has as many machines of some lines of its offerings as it may.
pub(crate) fn next(context: &Context, builder: &Builder, shortages: &Shortages, full: &[bool]) -> Step {
    let wanted = wanted(context, builder, shortages, full);
    step::next(&standing(builder), &wanted, context.clock.now())
}

/// Does it. The answer is for how long the builder is to be left alone: steps do not wait for that themselves, since only so
/// many are taken at once.
pub(crate) async fn step(
    context: &Context,
    lease: &Lease,
    (builder, next): (Builder, Step),
    turn: &Turn,
) -> Result<Duration, Error> {
    match next {
        Step::Rest => {}
        Step::Wait(pause) => return Ok(pause),
        Step::Launch(offering) => {
            return launch::launch(context, lease, builder, (offering, &turn.images)).await;
        }
        Step::AskAgain => return launch::ask_again(context, lease, &builder, turn).await,
        Step::Prepare => prepare::prepare(context, lease, builder, turn).await?,
        Step::Clean => clean::clean(context, lease, builder, turn).await?,
        Step::Terminate => return retire::terminate(context, lease, &builder, turn).await,
        Step::Move(step) => {
            let words = (step.to == BuilderState::Abandoned).then(|| step.reason.clone());
            advance(context, lease, &builder, step).await?;
            if let Some(words) = words {
                warn!(builder.id = %builder.id, "Builder {} is given up: {words}.", builder.id);
            }
        }
    }
    Ok(Duration::ZERO)
}

/// How long something may still be tried before a builder's time is over; `None` when it is.
fn time_left(context: &Context, builder: &Builder) -> Option<Duration> {
    let Some(deadline) = builder.deadline else {
        return Some(ONE_TRY);
    };
    let whole = deadline.since(builder.entered_at);
    let end = deadline.minus(LAST_WORDS.min(whole / 4));
    Some(end.since(context.clock.now())).filter(|left| !left.is_zero())
}

/// A builder's row, as far as its next step depends on it.
fn standing(builder: &Builder) -> Standing<'_> {
    Standing {
        id: builder.id,
        state: builder.state,
        entered_at: builder.entered_at,
        reason: builder.reason.as_deref(),
        launches: Launches {
            refusals: builder.refusals,
            postponements: builder.postponements,
            last: builder.launch.as_ref().and_then(|launch| launch.answer),
        },
    }
}

/// What a builder's pool asks for, or why that is nothing.
fn wanted(
    context: &Context,
    builder: &Builder,
    shortages: &Shortages,
    full: &[bool],
) -> Result<Wanted, String> {
    let fleet = &context.fleet;
    let gone = |what: &str, name: &str| format!("{what} {name} is no longer in fleet.yaml");
    let pool = fleet.pools.get(&builder.pool);
    let pool = pool.ok_or_else(|| gone("pool", builder.pool.as_str()))?;
    let lines = match &builder.host {
        Some(name) => {
            let host = pool.host(name).map(|host| Offering::of_host(&host.name));
            vec![Line::open(vec![host.ok_or_else(|| gone("host", name))?])]
        }
        None => {
            let cloud = fleet.clouds.get(&builder.cloud);
            let cloud = cloud.ok_or_else(|| gone("cloud", &builder.cloud))?;
            // What the pool asks for is of the cloud that it has by now.
            if let Some(other) = fleet.cloud_of(pool).filter(|name| *name != builder.cloud) {
                let (pool, before) = (&builder.pool, &builder.cloud);
                return Err(format!(
                    "pool {pool} has its machines from {other} by now, not from {before}"
                ));
            }
            Line::of_pool(pool, &cloud.network, full)
        }
    };
    Ok(Wanted {
        lines,
        short: shortages.get(&builder.cloud).cloned().unwrap_or_default(),
        tries: pool.launch.attempts,
    })
}

/// Moves a builder on, with the time limit of the state it comes to.
pub(crate) async fn advance(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    step: Move,
) -> Result<Builder, store::Error> {
    advance_until(context, lease, builder, step, None).await
}

/// Moves a builder on, with a time limit of its own for the state it comes to.
pub(crate) async fn advance_until(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    step: Move,
    until: Option<Timestamp>,
) -> Result<Builder, store::Error> {
    let (now, to) = (context.clock.now(), step.to);
    let deadlines = context.deadlines(&builder.pool);
    let hold = builder.mark.as_ref().filter(|_| to == BuilderState::Held);
    let limit = until
        .or_else(|| hold.and_then(|mark| mark.held_until(now)))
        .or_else(|| deadlines.end_of(to, builder.created_at, now));
    let change = Change {
        hooks: hooks_of_move(&context.fleet, builder, to),
        ..Change::of(step, limit)
    };
    // On the heap: it is the largest part of whatever moves a builder.
    let moved = Box::pin(context.store.transition(lease, builder, to, &change, now)).await?;
    // Only now: another may have been quicker, or lead by now.
    info!(builder.id = %builder.id, "Builder {} leaves {} for {to}: {}.", builder.id, builder.state, change.reason);
    Ok(moved)
}
