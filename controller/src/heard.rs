//! Whether workers have had time to tell that they live, before what they drive passes for lost.

use std::time::Duration;

use model::Timestamp;

/// How long workers have for it: they tell every few seconds, but one by one after an outage, and by a database that just came back.
const TIME_TO_TELL: Duration = Duration::from_secs(30);
/// By how much the time of day may go otherwise than the time that passes, before it counts as set anew. A machine that was suspended
/// finds it so, too.
const SET_ANEW: Duration = Duration::from_secs(10);

/// Since when this controller hears of workers without a break.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By the clock's elapsed time.
    since: Option<Duration>,
    last: Option<(Timestamp, Duration)>,
}

impl Heard {
    /// Whether workers have had the time, at a moment by the clock and by its elapsed time. A deadline that was over before they had says
    /// nothing: the database was away, this controller did not lead, or the clock was set.
    pub(crate) fn is_enough(&mut self, now: Timestamp, elapsed: Duration) -> bool {
        let was_set = self.last.is_some_and(|(then, before)| {
            let (by_clock, back) = (now.since(then), then.since(now));
            let passed = elapsed.saturating_sub(before);
            by_clock > passed.saturating_add(SET_ANEW) || back > SET_ANEW
        });
        self.last = Some((now, elapsed));
        if was_set {
            self.since = None;
        }
        let since = *self.since.get_or_insert(elapsed);
        elapsed.saturating_sub(since) >= TIME_TO_TELL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_micros(1_000_000_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    /// What is said at each moment: the time of day and the time that has passed, in seconds.
    fn said(moments: &[(u64, u64)]) -> Vec<bool> {
        let mut heard = Heard::default();
        let said = moments.iter();
        said.map(|(clock, passed)| heard.is_enough(at(*clock), Duration::from_secs(*passed)))
            .collect()
    }

    #[test]
    fn workers_have_half_a_minute_from_the_first_look() {
        assert_eq!(
            said(&[(0, 100), (29, 129), (30, 130), (900, 1000)]),
            [false, false, true, true]
        );
    }

    #[test]
    fn they_have_it_anew_where_the_clock_was_set_or_the_machine_slept() {
        // Two minutes forward at once, or while it slept; and back.
        for jump in [(1160, 1040), (880, 1040)] {
            let (clock, passed) = jump;
            let then = [
                (1000, 1000),
                (1030, 1030),
                jump,
                (clock + 29, passed + 29),
                (clock + 30, passed + 30),
            ];
            assert_eq!(said(&then), [false, true, false, false, true], "{jump:?}");
        }
        // What a clock is corrected by every day is nothing.
        assert_eq!(
            said(&[(1000, 1000), (1039, 1030), (1030, 1031)]),
            [false, true, true]
        );
    }
}
