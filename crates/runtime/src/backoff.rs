//! Pauses between tries: longer each time, up to a bound, and spread so that many who failed together do
//! not come back together.

use std::time::Duration;

use crate::chance;

/// A series of pauses.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from about `first`, doubling, to about `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            first,
            longest,
        }
    }

    /// The next pause: between half and the whole of its nominal length.
    #[must_use]
    pub fn pause(&mut self) -> Duration {
        let nominal = self.next.min(self.longest);
        self.next = nominal.saturating_mul(2).min(self.longest);
        let lot = u16::try_from(chance::lot() % 1000).unwrap_or_default();
        nominal / 2 + (nominal / 2).mul_f64(f64::from(lot) / 1000.0)
    }

    /// Starts again with the first pause, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn pauses_grow_to_a_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for nominal in [100, 200, 350, 350] {
            let pause = backoff.pause().as_millis();
            assert!(
                (nominal / 2..=nominal).contains(&pause),
                "{pause} ms for {nominal} ms"
            );
        }
        backoff.reset();
        assert!(backoff.pause().as_millis() <= 100);
    }

    #[test]
    fn no_pause_is_longer_than_the_longest_and_none_of_nothing_lasts() {
        let (short, long) = (Duration::from_millis(10), Duration::from_secs(10));
        let mut backoff = Backoff::new(long, short);
        for _ in 0..3 {
            assert!(backoff.pause() <= short);
        }
        let mut none = Backoff::new(Duration::ZERO, long);
        assert_eq!((none.pause(), none.pause()), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn pauses_that_double_for_ever_stay_at_the_longest_there_is() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(u64::MAX));
        assert!((0..80).all(|_| backoff.pause() > Duration::ZERO));
        assert!(backoff.pause() >= Duration::from_secs(u64::MAX / 2 - 1));
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
