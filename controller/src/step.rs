//! The next step of one builder. A step may be interrupted anywhere: what it does is on record first, or
//! harmless twice.

mod launch;
mod prepare;
mod retire;

use std::time::Duration;

use model::BuilderState;
use store::{Builder, Change, Lease};

use crate::{Error, Parts};

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

/// Does it; `is_first` says whether this controller has taken no such step for it before. The answer is for how long the
/// builder is to be left alone: steps do not wait for that themselves, since only so many are taken at once.
pub(crate) async fn step(
    parts: &Parts,
    lease: &Lease,
    builder: Builder,
    is_first: bool,
) -> Result<Duration, Error> {
    match builder.state {
        BuilderState::Planned => return launch::launch(parts, lease, builder).await,
        BuilderState::Launching => launch::interrupted(parts, lease, &builder).await?,
        BuilderState::Resolving => return launch::resolve(parts, lease, &builder).await,
        BuilderState::Booting | BuilderState::Provisioning | BuilderState::Checking => {
            prepare::prepare(parts, lease, builder).await?;
        }
        BuilderState::Draining => retire::drained(parts, lease, &builder).await?,
        BuilderState::Terminating => return retire::terminate(parts, &builder, is_first).await,
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
    parts: &Parts,
    lease: &Lease,
    builder: &Builder,
    to: BuilderState,
    mut change: Change,
) -> Result<Builder, Error> {
    let now = runtime::clock::now();
    change.deadline = parts.deadlines(&builder.pool).of(to).map(|limit| now.plus(limit));
    tracing::info!(builder.id = %builder.id, "Builder {} is {to}: {}.", builder.id, change.reason);
    Ok(parts.store.transition(lease, builder, to, &change, now).await?)
}

fn because(reason: impl Into<String>) -> Change {
    Change {
        reason: reason.into(),
        ..Change::default()
    }
}
