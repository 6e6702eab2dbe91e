//! The next step of one builder. A step may be interrupted anywhere: what it does is on record first, or
//! harmless twice.

mod launch;
mod prepare;
mod retire;

use std::{sync::Arc, time::Duration};

use model::BuilderState;
use store::{Builder, Change, Lease};
use tokio::sync::Semaphore;

use crate::{Context, Error};

/// Whether a builder in this state waits for the controller to do something to it.
pub(crate) const fn is_needed(builder: &Builder) -> bool {
    match builder.state {
        BuilderState::Planned
        | BuilderState::Launching
        | BuilderState::Resolving
        | BuilderState::Booting
        | BuilderState::Provisioning
        | BuilderState::Checking
        | BuilderState::Draining
        | BuilderState::Terminating => true,
        BuilderState::Pending
        | BuilderState::Ready
        | BuilderState::Reserved
        | BuilderState::Busy
        | BuilderState::Cleaning
        | BuilderState::Held
        | BuilderState::Terminated
        | BuilderState::Abandoned => false,
    }
}

/// What a step has to know besides its builder.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Whether this controller has taken no such step for the builder before.
    pub(crate) is_first: bool,
    /// Places for those who run playbooks.
    pub(crate) playing: Arc<Semaphore>,
}

/// Does it. The answer is for how long the builder is to be left alone: steps do not wait for that themselves, since only so
/// many are taken at once.
pub(crate) async fn step(
    context: &Context,
    lease: &Lease,
    builder: Builder,
    turn: &Turn,
) -> Result<Duration, Error> {
    match builder.state {
        BuilderState::Planned => return launch::launch(context, lease, builder).await,
        BuilderState::Launching => launch::interrupted(context, lease, &builder).await?,
        BuilderState::Resolving => return launch::resolve(context, lease, &builder).await,
        BuilderState::Booting | BuilderState::Provisioning | BuilderState::Checking => {
            prepare::prepare(context, lease, builder, turn).await?;
        }
        BuilderState::Draining => retire::drained(context, lease, &builder).await?,
        BuilderState::Terminating => return retire::terminate(context, lease, &builder, turn.is_first).await,
        BuilderState::Pending
        | BuilderState::Ready
        | BuilderState::Reserved
        | BuilderState::Busy
        | BuilderState::Cleaning
        | BuilderState::Held
        | BuilderState::Terminated
        | BuilderState::Abandoned => {}
    }
    Ok(Duration::ZERO)
}

/// Moves a builder on, with the time limit of the state it comes to.
async fn advance(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    to: BuilderState,
    mut change: Change,
) -> Result<Builder, Error> {
    let now = context.clock.now();
    // A builder that is put off again and again has the time of one wish.
    let since = if to == BuilderState::Planned {
        builder.created_at
    } else {
        now
    };
    change.deadline = context
        .deadlines(&builder.pool)
        .of(to)
        .map(|limit| since.plus(limit));
    tracing::info!(builder.id = %builder.id, "Builder {} is {to}: {}.", builder.id, change.reason);
    Ok(context.store.transition(lease, builder, to, &change, now).await?)
}

fn because(reason: impl Into<String>) -> Change {
    Change {
        reason: reason.into(),
        ..Change::default()
    }
}
