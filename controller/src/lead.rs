//! The lease, and rounds for as long as it is held.

use std::{sync::Arc, time::Duration};

use model::{
    Timestamp,
    condition::Leadership,
    fleet::{ControllerSpec, LeaseSpec},
};
use runtime::{CancellationToken, clock::Clock, supervisor::error_chain};
use store::Lease;
use tracing::{debug, info, warn};

use crate::{Error, round::Controller, term::Term};

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
        let pause = self.context.fleet.controller.lease.renew.get();
        let mut waits_since = None;
        while !stop.is_cancelled() {
            self.take_and_lead(&mut waits_since, &stop).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.context.clock.sleep(pause) => {}
            }
        }
        Ok(())
    }

    /// Takes the lease when it is free, and acts until the intent with that key is over, or until told to stop: what is due
    /// besides is done on the way. Whether it could lead; nothing that it began goes on when it returns.
    pub async fn run_for(mut self, intent: &str, stop: CancellationToken) -> bool {
        self.only_for = Some(intent.to_owned());
        let mut waits_since = None;
        self.take_and_lead(&mut waits_since, &stop).await;
        waits_since.is_none()
    }

    /// Tries once to take the lease, and leads until it is lost or the end is asked for. When it returns, nothing that it
    /// began goes on. `waits_since`: since when another leads, once that was said.
    pub(crate) async fn take_and_lead(
        &mut self,
        waits_since: &mut Option<Timestamp>,
        stop: &CancellationToken,
    ) {
        if self.still_forsakes().await {
            return debug!("The fleet file still leads to some machines no more.");
        }
        let context = Arc::clone(&self.context);
        let ttl = context.fleet.controller.lease.ttl.get();
        let (asked, now) = (context.clock.elapsed(), context.clock.now());
        let taken = context
            .store
            .acquire_lease(context.fleet.fleet, &context.holder, ttl, now);
        let lease = match taken.await {
            Ok(Some(lease)) => lease,
            Ok(None) if waits_since.is_none() => {
                *waits_since = Some(now);
                let (leader, fleet) = (self.leader(now).await, &context.fleet.name);
                info!(
                    "{leader} leads fleet {fleet}; this controller waits, and leads when the other is gone."
                );
                return;
            }
            Ok(None) => return debug!("Another controller still leads."),
            Err(error) => return warn!("Cannot take the lease: {}", error_chain(&error)),
        };
        let waited = waits_since.take().map(|since| now.since(since));
        let renew = || context.store.renew_lease(&lease, ttl, context.clock.now());
        let lease_spec = &context.fleet.controller.lease;
        let led = tokio::select! {
            biased;
            lost = keep_lease((&context.clock, &context.term), lease_spec, asked, renew) => Err(lost),
            led = context.term.within(&context.clock, self.lead(&lease, waited, stop)) => led,
        };
        if let Err(error) = &led {
            warn!("No longer leading: {}", error_chain(error));
        }
        if let Err(Error::Forsakes(words)) = led {
            self.files.forsakes = Some(words);
        }
        self.forget_everything().await;
        if let Err(error) = context.store.release_lease(&lease, context.clock.now()).await {
            debug!("The lease was not released: {error}");
        }
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

    /// Rounds until the end is asked for. `waited`: for how long another led before.
    async fn lead(
        &mut self,
        lease: &Lease,
        waited: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        if let Some(words) = self.settle_on_files(lease).await? {
            return Err(Error::Forsakes(words));
        }
        let waited = waited.map_or_else(String::new, |waited| {
            format!(" from now on, after {} s of waiting", waited.as_secs())
        });
        let fleet = &self.context.fleet.name;
        info!(lease.epoch, "This controller leads fleet {fleet}{waited}.");
        while !stop.is_cancelled() {
            // On the heap: a round holds the transactions of all its parts, which is too much for the stack of a thread.
            let is_busy = match Box::pin(self.round(lease)).await {
                Ok(is_busy) => is_busy,
                Err(Error::Store(error @ store::Error::LeaseLost { .. })) => return Err(error.into()),
                Err(error) => {
                    warn!("A round failed: {}", error_chain(&error));
                    true
                }
            };
            if self.has_done_its_intent().await && !self.hooks.is_busy() {
                return Ok(());
            }
            let pause = rest(&self.context.fleet.controller, is_busy);
            let next_call = self.context.calls.next(self.context.clock.elapsed());
            let pause = next_call.map_or(pause, |wait| wait.min(pause));
            self.wait(pause, stop).await;
        }
        Ok(())
    }

    /// Waits for the next round: a step or a look that ended, or a notification, begins it at once.
    async fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        let (clock, notifications) = (&self.context.clock, &mut self.notifications);
        let notified = async {
            notifications.next().await;
            clock.sleep(PAUSE_AFTER_NOTIFICATION).await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = clock.sleep(pause) => {}
            Some(ended) = self.steps.ends() => self.note(ended),
            Some(()) = self.clouds.look_ends() => {}
            Some(()) = self.hooks.ends() => {}
            Some(()) = self.notices.ends() => {}
            Some(()) = self.lives.ends() => {}
            Some(()) = self.selection.ends() => {}
            Some(()) = self.files.change() => {}
            () = notified => {}
        }
    }
}

/// How long a controller rests between two rounds, when nothing wakes it.
fn rest(spec: &ControllerSpec, is_busy: bool) -> Duration {
    let (min, max) = (spec.tick.min.get(), spec.tick.max.get());
    if is_busy {
        min
    } else {
        max.min(spec.lease.renew.get())
    }
}

/// Renews the lease until that fails for good; why. `taken`: when the lease was asked for, by the clock's elapsed time.
async fn keep_lease<F>(
    (clock, term): (&Clock, &Term),
    spec: &LeaseSpec,
    taken: Duration,
    renew: impl Fn() -> F,
) -> Error
where
    F: Future<Output = Result<(), store::Error>>,
{
    // Acting ends at two thirds of the lease's time, by a clock that nobody can set.
    let usable = spec.ttl.get().mul_f64(0.66);
    let mut end = taken.saturating_add(usable);
    term.lasts_until(end);
    let mut pause = spec.renew.get();
    loop {
        clock.sleep(pause.min(end.saturating_sub(clock.elapsed()))).await;
        let asked = clock.elapsed();
        if asked >= end {
            return Error::LeaseNotRenewed;
        }
        match clock.within(end.saturating_sub(asked), renew()).await {
            Some(Ok(())) => {
                end = asked.saturating_add(usable);
                term.lasts_until(end);
                pause = spec.renew.get();
            }
            Some(Err(error @ (store::Error::Conflict { .. } | store::Error::LeaseLost { .. }))) => {
                return error.into();
            }
            Some(Err(error)) => {
                warn!("Cannot renew the lease: {}", error_chain(&error));
                pause = FIRST_PAUSE;
            }
            None => return Error::LeaseNotRenewed,
        }
    }
}

#[cfg(test)]
mod tests;
