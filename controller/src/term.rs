//! Until when this process may act as the leader.
//!
//! A process that was paused goes on where it stood: in the middle of a playbook, or between a decision and its call. Another leads by
//! then. What a pause interrupted is therefore not gone on with, not by one step, when the time of the lease is over by a clock that
//! nobody can set.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use runtime::clock::Clock;

use crate::Error;

/// The end of a leader's time. Cheap to clone; clones have the same end. It has none for who does not lead, such as the baking of an
/// image.
#[derive(Clone, Debug, Default)]
pub struct Term(Arc<Mutex<Option<Duration>>>);

impl Term {
    /// It lasts until that moment of the clock's elapsed time.
    pub(crate) fn lasts_until(&self, end: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    pub(crate) fn is_over(&self, clock: &Clock) -> bool {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        end.is_some_and(|end| clock.elapsed() >= end)
    }

    /// Does the work while it lasts: not one more part of it, from one wait to the next, is begun later.
    ///
    /// # Errors
    /// [`Error::LeaseNotRenewed`].
    pub(crate) async fn within<T>(
        &self,
        clock: &Clock,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        poll_fn(|context| match self.is_over(clock) {
            true => Poll::Ready(Err(Error::LeaseNotRenewed)),
            false => work.as_mut().poll(context),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use runtime::clock::ManualClock;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_goes_on_after_a_wait_only_while_the_term_lasts() {
        for (end, passes, expected) in [(None, 1000, true), (Some(20), 19, true), (Some(20), 20, false)] {
            let manual = ManualClock::new(Timestamp::from_micros(0));
            let (clock, term) = (Clock::Manual(manual.clone()), Term::default());
            if let Some(end) = end {
                term.lasts_until(Duration::from_secs(end));
            }
            let (answer, answered) = oneshot::channel::<()>();
            let mut done = Vec::new();
            let work = term.within(&clock, async {
                done.push("asked");
                answered.await.ok();
                done.push("acted");
                Ok(())
            });
            // The answer is there when the pause is over: what it leads to is not done.
            let paused = async {
                manual.advance(Duration::from_secs(passes));
                answer.send(()).unwrap();
            };
            let (worked, ()) = tokio::join!(work, paused);
            assert_eq!(worked.is_ok(), expected, "{end:?} {passes}");
            assert_eq!(done.last() == Some(&"acted"), expected, "{end:?} {passes}");
        }
    }

    #[tokio::test]
    async fn a_term_that_is_renewed_lasts_for_all_that_are_under_way() {
        let manual = ManualClock::new(Timestamp::from_micros(0));
        let (clock, term) = (Clock::Manual(manual.clone()), Term::default());
        term.lasts_until(Duration::from_secs(20));
        let of_a_step = term.clone();
        let sleep = async {
            clock.sleep(Duration::from_secs(25)).await;
            Ok(())
        };
        let work = of_a_step.within(&clock, sleep);
        let renewed = async {
            manual.advance(Duration::from_secs(15));
            term.lasts_until(Duration::from_secs(35));
            manual.advance(Duration::from_secs(15));
        };
        let (worked, ()) = tokio::join!(work, renewed);
        assert!(worked.is_ok());
    }
}
