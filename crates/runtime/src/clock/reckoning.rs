//! Time reckoned from readings of another clock, which several processes on several machines read.

use std::time::Duration;

use model::Timestamp;

/// What another clock showed once, at some moment between a question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it showed.
    pub shown: Timestamp,
    /// When it was asked, by one's own elapsed time ([`super::Clock::elapsed`]).
    pub asked: Duration,
    /// When the answer was there, by the same.
    pub answered: Duration,
}

/// By how much a reading moved a process's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it would have been at the moment of the answer.
    pub from: Timestamp,
    /// What it was from then on.
    pub to: Timestamp,
}

impl Moved {
    /// How far, forward or back.
    #[must_use]
    pub fn distance(&self) -> Duration {
        self.to.since(self.from).max(self.from.since(self.to))
    }
}

/// A moment that was known, from which the time that has passed since is counted on. Setting the machine's clock does not move it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reckoning {
    at: Timestamp,
    elapsed: Duration,
}

impl Reckoning {
    /// One that begins with a moment, as it is when so much time has passed.
    pub(super) const fn of(at: Timestamp, elapsed: Duration) -> Self {
        Self { at, elapsed }
    }

    /// The moment when so much time has passed.
    pub(super) fn moment(&self, elapsed: Duration) -> Timestamp {
        self.at.plus(elapsed.saturating_sub(self.elapsed))
    }

    /// Moved by a reading, and only as far as that proves it wrong: at its answer the other clock shows what it showed, or later by
    /// no more than the question took. So a slow answer moves nothing that was right.
    pub(super) fn moved_by(&self, reading: &Reading) -> (Self, Moved) {
        let took = reading.answered.saturating_sub(reading.asked);
        let from = self.moment(reading.answered);
        let to = from.clamp(reading.shown, reading.shown.plus(took));
        (Self::of(to, reading.answered), Moved { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the other clock shows when the elapsed time is zero.
    const TRUE: u64 = 1_000_000;
    const MILLI: Duration = Duration::from_millis(1);

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_millis(milliseconds))
    }

    /// A question at a moment of the elapsed time that is answered `took` later; the clock is read `until_read` after the question.
    fn reading(asked: u64, until_read: u64, took: u64) -> Reading {
        Reading {
            shown: at(TRUE + asked + until_read),
            asked: MILLI * u32::try_from(asked).unwrap(),
            answered: MILLI * u32::try_from(asked + took).unwrap(),
        }
    }

    /// By how many milliseconds a process errs at a moment of the elapsed time.
    fn error(reckoning: &Reckoning, elapsed: u64) -> i64 {
        let shown = reckoning.moment(Duration::from_millis(elapsed)).as_micros();
        (shown - at(TRUE + elapsed).as_micros()) / 1000
    }

    #[test]
    fn processes_whose_clocks_differ_by_hours_agree_within_the_time_of_an_answer() {
        // By how much each one's own clock is ahead, in milliseconds; how long until the clock is read and the answer is there.
        for own in [-3_600_000, -90_000, -1, 0, 1, 90_000, 3_600_000] {
            for (until_read, took) in [(0, 10), (5, 10), (10, 10), (0, 0)] {
                let beginning = at(TRUE.checked_add_signed(own).unwrap_or(0));
                let begun = Reckoning::of(beginning, Duration::ZERO);
                let (reckoning, moved) = begun.moved_by(&reading(100, until_read, took));
                let wrong = error(&reckoning, 10_000).unsigned_abs();
                assert!(wrong <= took, "{own} {until_read} {took}: {wrong}");
                assert_eq!(
                    error(&reckoning, 10_000),
                    error(&reckoning, 110),
                    "it only goes on"
                );
                let least = own.unsigned_abs().min(TRUE).saturating_sub(took);
                assert!(
                    moved.distance() >= MILLI * u32::try_from(least).unwrap(),
                    "{moved:?}"
                );
            }
        }
    }

    #[test]
    fn an_answer_moves_nothing_that_it_does_not_prove_wrong() {
        let right = Reckoning::of(at(TRUE), Duration::ZERO);
        for slow in [
            reading(100, 0, 4000),
            reading(100, 4000, 4000),
            reading(100, 20, 40),
        ] {
            let (still, moved) = right.moved_by(&slow);
            assert_eq!((error(&still, 9_000), moved.distance()), (0, Duration::ZERO));
        }
        // A slow one that does: as far as it must. A quick one tells the rest.
        let late = Reckoning::of(at(TRUE - 90_000), Duration::ZERO);
        let (nearer, moved) = late.moved_by(&reading(0, 3000, 4000));
        assert_eq!(error(&nearer, 4000), -1000);
        assert_eq!(moved.distance(), MILLI * 89_000);
        let (right, moved) = nearer.moved_by(&reading(9000, 0, 0));
        assert_eq!((error(&right, 9000), moved.distance()), (0, MILLI * 1000));
    }

    #[test]
    fn one_that_ran_ahead_is_moved_back() {
        let ahead = Reckoning::of(at(TRUE + 90_000), Duration::ZERO);
        let (right, moved) = ahead.moved_by(&reading(10, 0, 0));
        assert_eq!(error(&right, 10), 0);
        assert!(moved.to < moved.from, "{moved:?}");
        assert_eq!(moved.distance(), MILLI * 90_000);
    }
}
