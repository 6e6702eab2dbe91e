//! The lease, and rounds for as long as it is held.

use std::{sync::Arc, time::Duration};

use model::{Timestamp, condition::Leadership};
use runtime::{CancellationToken, supervisor::error_chain};
use store::Lease;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{Context, Error, round::Controller};

/// What happens together is thought about together.
const PAUSE_AFTER_NOTIFICATION: Duration = Duration::from_millis(10);
/// Before the lease is renewed again after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

impl Controller {
    /// Takes the lease when it is free, and acts while it holds it, until told to stop.
    ///
    /// # Errors
    /// Never for what may pass: a database or a cloud that is away is waited for.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let spec = self.context.fleet.controller.lease.clone();
        // Since when another leads, once that was said.
        let mut waits_since = None;
        while !stop.is_cancelled() {
            let now = self.context.clock.now();
            let taken = self
                .context
                .store
                .acquire_lease(
                    self.context.fleet.fleet,
                    &self.context.holder,
                    spec.ttl.get(),
                    now,
                )
                .await;
            match taken {
                Ok(Some(lease)) => {
                    let waited = waits_since.take().map_or_else(String::new, |since: Timestamp| {
                        format!(" from now on, after {} s of waiting", now.since(since).as_secs())
                    });
                    info!(
                        lease.epoch = lease.epoch,
                        "This controller leads fleet {}{waited}.", self.context.fleet.name
                    );
                    let context = Arc::clone(&self.context);
                    let led = tokio::select! {
                        lost = keep_lease(&context, &lease) => Err(lost),
                        led = self.lead(&lease, &stop) => led,
                    };
                    if let Err(error) = led {
                        warn!("No longer leading: {}", error_chain(&error));
                    }
                    self.forget_everything().await;
                    if let Err(error) = self
                        .context
                        .store
                        .release_lease(&lease, self.context.clock.now())
                        .await
                    {
                        debug!("The lease was not released: {error}");
                    }
                }
                Ok(None) if waits_since.is_none() => {
                    waits_since = Some(now);
                    let leader = self.leader(now).await;
                    info!(
                        "{leader} leads fleet {}; this controller waits, and leads when the other is gone.",
                        self.context.fleet.name
                    );
                }
                Ok(None) => debug!("Another controller still leads."),
                Err(error) => warn!("Cannot take the lease: {}", error_chain(&error)),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(spec.renew.get()) => {}
            }
        }
        Ok(())
    }

    /// Who leads, as it is on record.
    async fn leader(&self, now: Timestamp) -> String {
        let condition = self
            .context
            .store
            .fleet_condition(Some(self.context.fleet.fleet), now)
            .await;
        match condition.map(|condition| condition.leadership) {
            Ok(Leadership::Held { holder }) => format!("The controller {holder}"),
            _ => "Another controller".to_owned(),
        }
    }

    /// Rounds until the end is asked for.
    async fn lead(&mut self, lease: &Lease, stop: &CancellationToken) -> Result<(), Error> {
        let spec = self.context.fleet.controller.clone();
        while !stop.is_cancelled() {
            let is_busy = match self.round(lease).await {
                Ok(is_busy) => is_busy,
                Err(Error::Store(error @ store::Error::LeaseLost { .. })) => return Err(error.into()),
                Err(error) => {
                    warn!("A round failed: {}", error_chain(&error));
                    true
                }
            };
            let pause = if is_busy {
                spec.tick.min.get()
            } else {
                spec.tick.max.get().min(spec.lease.renew.get())
            };
            self.wait(pause, stop).await;
        }
        Ok(())
    }

    /// Waits for the next round: a step or a look that ended, or a notification, begins it at once.
    async fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = self.steps.ends() => self.note(ended),
            Some(()) = self.clouds.look_ends() => {}
            () = self.notifications.next() => tokio::time::sleep(PAUSE_AFTER_NOTIFICATION).await,
        }
    }
}

/// Renews the lease until that fails for good; why.
async fn keep_lease(context: &Context, lease: &Lease) -> Error {
    let spec = context.fleet.controller.lease.clone();
    // Acting ends at two thirds of the lease's time, by a clock that nobody can set.
    let usable = spec.ttl.get().mul_f64(0.66);
    let mut renewed = Instant::now();
    let mut pause = spec.renew.get();
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        let renewal = context
            .store
            .renew_lease(lease, spec.ttl.get(), context.clock.now());
        match tokio::time::timeout_at(renewed + usable, renewal).await {
            Ok(Ok(())) => {
                renewed = asked;
                pause = spec.renew.get();
            }
            Ok(Err(error @ (store::Error::Conflict { .. } | store::Error::LeaseLost { .. }))) => {
                return error.into();
            }
            Ok(Err(error)) => {
                warn!("Cannot renew the lease: {}", error_chain(&error));
                pause = FIRST_PAUSE;
            }
            Err(_) => return Error::LeaseNotRenewed,
        }
        if renewed.elapsed() >= usable {
            return Error::LeaseNotRenewed;
        }
    }
}
