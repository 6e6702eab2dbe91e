//! A worker: takes attempts up, and runs beside them what publishes and what sweeps.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use model::Epoch;
use runtime::{CancellationToken, clock, supervisor::error_chain};
use store::Allocation;
use tokio::task::{JoinError, JoinSet};
use tracing::{debug, error, info, warn};

use crate::{
    attempt,
    context::Context,
    error::Error,
    history, late,
    leases::{self, BUILDER_DEADLINE, Leases, USUAL_PACE},
    publish, sweep,
};

/// How often a worker looks for something to do.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a worker may be silent before another takes over its attempts.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// How many allocations are remembered that this worker failed with: the controller takes each away within two minutes.
const MOST_ABANDONED: usize = 1000;

/// A worker.
#[derive(Debug)]
pub struct Worker {
    context: Arc<Context>,
    leases: Arc<Leases>,
    attempts: JoinSet<(Epoch, bool)>,
    driven: BTreeSet<Epoch>,
    /// Allocations whose end could not be written down: left alone until the controller takes them away.
    abandoned: BTreeSet<Epoch>,
    /// Whether attempts of this name from before a restart have been looked for.
    has_resumed: bool,
}

impl Worker {
    /// A worker that has not begun.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context: Arc::new(context),
            leases: Arc::default(),
            attempts: JoinSet::new(),
            driven: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            has_resumed: false,
        }
    }

    /// Drives attempts and publications until told to stop. Attempts that are under way then stay on
    /// their builders; this worker, or another, takes them up again.
    ///
    /// # Errors
    /// Never for what may pass: a database that is away is waited for.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut beside = JoinSet::new();
        beside.spawn(publish::run(Arc::clone(&self.context), stop.clone()));
        beside.spawn(sweep::run(Arc::clone(&self.context), stop.clone()));
        beside.spawn(history::run(Arc::clone(&self.context), stop.clone()));
        beside.spawn(late::run(Arc::clone(&self.context), stop.clone()));
        let (context, leases) = (Arc::clone(&self.context), Arc::clone(&self.leases));
        beside.spawn(leases::run(context, leases, USUAL_PACE, stop.clone()));
        let mut notifications = self.context.store.notifications();
        while !stop.is_cancelled() {
            if let Err(error) = self.look(&stop).await {
                warn!("Cannot look for work: {}", error_chain(&error));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = notifications.next() => {}
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                // Nothing would be published, or renewed, any more: better to end, and be started again.
                Some(Err(cause)) = beside.join_next() => return Err(Error::Lost(cause.to_string())),
            }
        }
        self.attempts.shutdown().await;
        while let Some(ended) = beside.join_next().await {
            ended.map_err(|cause| Error::Lost(cause.to_string()))?;
        }
        Ok(())
    }

    fn ended(&mut self, ended: Result<(Epoch, bool), JoinError>) {
        // Panics are caught inside: what is left is a task that was aborted because the worker ends.
        let Ok((epoch, is_written)) = ended else { return };
        self.driven.remove(&epoch);
        if !is_written {
            if self.abandoned.len() >= MOST_ABANDONED {
                self.abandoned.clear();
            }
            self.abandoned.insert(epoch);
        }
    }

    fn free(&self) -> u64 {
        let free = self.context.parallel.saturating_sub(self.driven.len());
        u64::try_from(free).unwrap_or(u64::MAX)
    }

    /// Takes up what is offered, what is ours from before a restart, and what a silent worker left.
    async fn look(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if !self.has_resumed {
            let name = self.context.name.clone();
            let ours = self.context.store.accepted_allocations(Some(&name)).await?;
            self.take_over(ours, stop).await;
            self.has_resumed = true;
        }
        if self.free() == 0 {
            return Ok(());
        }
        let stale_before = clock::now().minus(SILENCE);
        // Those that this worker drives are among them while the database could not be written to.
        let most = self
            .free()
            .saturating_add(u64::try_from(self.driven.len()).unwrap_or(0));
        let silent = self.context.store.silent_allocations(stale_before, most).await?;
        self.take_over(silent, stop).await;
        let free = self.free();
        if free == 0 {
            return Ok(());
        }
        for allocation in self.context.store.offered_allocations(free).await? {
            let now = clock::now();
            let accepted = self.context.store.accept_allocation(
                allocation.epoch,
                &self.context.name,
                now.plus(BUILDER_DEADLINE),
                now,
            );
            match accepted.await {
                Ok(()) => self.drive(allocation, stop),
                Err(store::Error::Conflict { .. }) => debug!("Another worker was quicker."),
                // The others may be sound.
                Err(error) => warn!(
                    "Cannot take up {}: {}",
                    allocation.attempt.id,
                    error_chain(&error)
                ),
            }
        }
        Ok(())
    }

    async fn take_over(&mut self, found: Vec<Allocation>, stop: &CancellationToken) {
        for mut allocation in found {
            let epoch = allocation.epoch;
            if self.driven.contains(&epoch) || self.abandoned.contains(&epoch) || self.free() == 0 {
                continue;
            }
            let now = clock::now();
            let holder = allocation.worker.clone().unwrap_or_default();
            let name = &self.context.name;
            let stale_before = now.minus(SILENCE);
            let taken = self
                .context
                .store
                .take_over_allocation(epoch, &holder, name, stale_before, now);
            match taken.await {
                Ok(new) => {
                    allocation.epoch = new;
                    self.drive(allocation, stop);
                }
                Err(store::Error::Conflict { .. }) => {}
                Err(error) => warn!(
                    "Cannot take over {}: {}",
                    allocation.attempt.id,
                    error_chain(&error)
                ),
            }
        }
    }

    fn drive(&mut self, allocation: Allocation, stop: &CancellationToken) {
        let epoch = allocation.epoch;
        self.driven.insert(epoch);
        info!(
            attempt.id = %allocation.attempt.id, builder.id = %allocation.builder.id,
            "Build {} ({}) goes to builder {}.", allocation.attempt.build, allocation.attempt.chroot,
            allocation.builder.id
        );
        let (context, leases, stop) = (Arc::clone(&self.context), Arc::clone(&self.leases), stop.clone());
        self.attempts.spawn(async move {
            let driven = attempt::drive(&context, &leases, &allocation);
            tokio::select! {
                () = stop.cancelled() => (epoch, true),
                driven = AssertUnwindSafe(driven).catch_unwind() => {
                    (epoch, driven.unwrap_or_else(|_| {
                        error!("A fault of this program: what drives attempt {} panicked.", allocation.attempt.id);
                        false
                    }))
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
