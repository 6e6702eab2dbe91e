//! Builders that are left alone for a while.

use std::{collections::BTreeMap, time::Duration};

use model::BuilderId;
use runtime::Backoff;
use tokio::time::Instant;

/// How long a builder is left alone after a step that failed, longer with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Until when which builder is left alone.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<BuilderId, (Backoff, Instant)>);

impl Pauses {
    /// A step ended: a good one leaves its builder alone for `rest`, one that failed (`None`) for longer every time.
    pub(crate) fn after_step(&mut self, id: BuilderId, rest: Option<Duration>, now: Instant) {
        if rest == Some(Duration::ZERO) {
            self.0.remove(&id);
            return;
        }
        let fresh = || (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), now);
        let (backoff, until) = self.0.entry(id).or_insert_with(fresh);
        let pause = match rest {
            Some(rest) => {
                backoff.reset();
                rest
            }
            None => backoff.pause(),
        };
        *until = now + pause;
    }

    /// Whether the builder is to be left alone.
    pub(crate) fn holds(&self, id: BuilderId, now: Instant) -> bool {
        self.0.get(&id).is_some_and(|(_, until)| *until > now)
    }

    /// Forgets all others.
    pub(crate) fn retain(&mut self, is_there: impl Fn(BuilderId) -> bool) {
        self.0.retain(|id, _| is_there(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_left_alone_as_long_as_its_step_says_and_longer_after_each_failure() {
        let id = BuilderId(uuid::Uuid::from_u128(1));
        let now = Instant::now();
        let rest = Duration::from_secs(3);
        let mut pauses = Pauses::default();
        assert!(!pauses.holds(id, now));
        pauses.after_step(id, Some(rest), now);
        assert!(pauses.holds(id, now) && !pauses.holds(id, now + rest));

        pauses.after_step(id, None, now);
        assert!(pauses.holds(id, now) && !pauses.holds(id, now + FIRST_PAUSE));
        for _ in 0..10 {
            pauses.after_step(id, None, now);
        }
        let nearly_half = LONGEST_PAUSE / 2 - Duration::from_millis(1);
        assert!(pauses.holds(id, now + nearly_half) && !pauses.holds(id, now + LONGEST_PAUSE));

        pauses.after_step(id, Some(Duration::ZERO), now);
        assert!(!pauses.holds(id, now));
        pauses.after_step(id, Some(rest), now);
        pauses.retain(|_| false);
        assert!(!pauses.holds(id, now));
    }
}
