//! What is left alone for a while.

use std::{collections::BTreeMap, time::Duration};

use runtime::Backoff;

/// For how long something is left alone after a failure, longer with every failure in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Until when what is left alone. Times are those of one clock's [`runtime::clock::Clock::elapsed`].
#[derive(Debug)]
pub(crate) struct Pauses<K>(BTreeMap<K, (Backoff, Duration)>);

impl<K> Default for Pauses<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Pauses<K> {
    /// A step ended: a good one leaves its thing alone for `rest`, one that failed (`None`) for longer every time.
    pub(crate) fn after_step(&mut self, key: K, rest: Option<Duration>, now: Duration) {
        if rest == Some(Duration::ZERO) {
            self.0.remove(&key);
            return;
        }
        let fresh = || (Backoff::new(FIRST_PAUSE, LONGEST_PAUSE), now);
        let (backoff, until) = self.0.entry(key).or_insert_with(fresh);
        let pause = match rest {
            Some(rest) => {
                backoff.reset();
                rest
            }
            None => backoff.pause(),
        };
        *until = now.saturating_add(pause);
    }

    /// Whether it is to be left alone.
    pub(crate) fn holds(&self, key: &K, now: Duration) -> bool {
        self.0.get(key).is_some_and(|(_, until)| *until > now)
    }

    /// Forgets all others.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| is_there(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_left_alone_as_long_as_its_step_says_and_longer_after_each_failure() {
        let now = Duration::from_secs(1000);
        let rest = Duration::from_secs(3);
        let mut pauses = Pauses::default();
        assert!(!pauses.holds(&1, now));
        pauses.after_step(1, Some(rest), now);
        assert!(pauses.holds(&1, now) && !pauses.holds(&1, now + rest));

        pauses.after_step(1, None, now);
        assert!(pauses.holds(&1, now) && !pauses.holds(&1, now + FIRST_PAUSE));
        for _ in 0..10 {
            pauses.after_step(1, None, now);
        }
        let nearly_half = LONGEST_PAUSE / 2 - Duration::from_millis(1);
        assert!(pauses.holds(&1, now + nearly_half) && !pauses.holds(&1, now + LONGEST_PAUSE));

        pauses.after_step(1, Some(Duration::ZERO), now);
        assert!(!pauses.holds(&1, now));
        pauses.after_step(1, Some(rest), now);
        pauses.retain(|_| false);
        assert!(!pauses.holds(&1, now));
    }
}
