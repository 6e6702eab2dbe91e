//! What is left alone for a while.

use std::{collections::BTreeMap, time::Duration};

use crate::luck::Luck;

/// How long something whose step failed is left alone at first and at most.
const STEP_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Pauses between tries, longer each time, and spread.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    bounds: (Duration, Duration),
}

impl Backoff {
    pub(crate) const fn new(bounds: (Duration, Duration)) -> Self {
        Self {
            next: bounds.0,
            bounds,
        }
    }

    pub(crate) fn pause(&mut self, luck: &mut Luck) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.bounds.1);
        let half = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX) / 2;
        luck.millis(half, half.saturating_mul(2))
    }
}

/// Until when what is left alone.
#[derive(Debug)]
pub(crate) struct Pauses<K>(BTreeMap<K, (Backoff, Duration)>);

impl<K> Default for Pauses<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Pauses<K> {
    /// A step ended: a good one leaves its thing alone for `rest`, one that failed (`None`) for longer every time.
    pub(crate) fn after_step(&mut self, key: K, rest: Option<Duration>, (luck, now): (&mut Luck, Duration)) {
        if rest == Some(Duration::ZERO) {
            self.0.remove(&key);
            return;
        }
        let (backoff, until) = self.0.entry(key).or_insert((Backoff::new(STEP_PAUSES), now));
        let pause = match rest {
            Some(rest) => {
                *backoff = Backoff::new(STEP_PAUSES);
                rest
            }
            None => backoff.pause(luck),
        };
        *until = now.saturating_add(pause);
    }

    pub(crate) fn holds(&self, key: &K, now: Duration) -> bool {
        self.0.get(key).is_some_and(|(_, until)| *until > now)
    }

    /// Forgets all others.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&K) -> bool) {
        self.0.retain(|key, _| is_there(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_left_alone_as_long_as_its_step_says_and_longer_after_each_failure() {
        let (mut pauses, mut luck) = (Pauses::default(), Luck::of(1));
        let now = Duration::from_secs(100);
        let rest = Duration::from_secs(3);
        pauses.after_step(1, Some(rest), (&mut luck, now));
        assert!(pauses.holds(&1, now) && !pauses.holds(&1, now + rest));
        for _ in 0..10 {
            pauses.after_step(1, None, (&mut luck, now));
        }
        let (longest, half) = (STEP_PAUSES.1, STEP_PAUSES.1 / 2);
        assert!(pauses.holds(&1, now + half - Duration::from_secs(1)) && !pauses.holds(&1, now + longest));
        pauses.keep(|_| false);
        assert!(!pauses.holds(&1, now));
    }
}
