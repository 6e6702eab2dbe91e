//! How the last launches of a pool went, and how long it waits with the next one for that.

use std::time::Duration;

use crate::{BuilderState, Timestamp};

/// From this many failed builders in a row a pool launches one at a time, and ever more rarely.
const FAILURES_BEFORE_BACK_OFF: u32 = 3;
const SHORTEST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);

/// How the last launches of a pool went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchHistory {
    /// How many builders in a row never got ready. Of those that were under way together when the pool began to be held
    /// back, each counts up to there; from then on each probe does.
    pub failures: u32,
    /// When the last of them was given up.
    pub last_failure: Option<Timestamp>,
    /// Why it was.
    pub last_reason: Option<String>,
}

impl LaunchHistory {
    /// Whether a builder's move is the end of a launch that went well: it was checked, and is ready for the first time. One that is
    /// ready again after a build, or because nobody took it up, says nothing of how launches go by now.
    #[must_use]
    pub fn went_well(from: BuilderState, to: BuilderState, was_ready: bool) -> bool {
        (from, to) == (BuilderState::Checking, BuilderState::Ready) && !was_ready
    }

    /// The history after one more builder, planned at `planned_at`, was given up before it was ready.
    #[must_use]
    pub fn after_failure(&self, planned_at: Timestamp, reason: &str, now: Timestamp) -> Self {
        // Ten that fail together have proved no more than three: the pause would be half an hour at once.
        let was_under_way = self.last_failure.is_some_and(|last| planned_at <= last);
        let adds = self.failures < FAILURES_BEFORE_BACK_OFF || !was_under_way;
        Self {
            failures: self.failures.saturating_add(u32::from(adds)),
            last_failure: Some(now),
            last_reason: Some(reason.to_owned()),
        }
    }

    /// Until when the pool launches nothing: 30 s after the third failure in a row, then twice as long after each, at most
    /// half an hour. After that moment it launches one builder to see whether it works again. `None` when it launches as
    /// it needs.
    #[must_use]
    pub fn held_until(&self) -> Option<Timestamp> {
        let beyond = self.failures.checked_sub(FAILURES_BEFORE_BACK_OFF)?;
        let pause = SHORTEST_PAUSE
            .saturating_mul(1 << beyond.min(6))
            .min(LONGEST_PAUSE);
        Some(self.last_failure?.plus(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

    fn seconds(count: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(count))
    }

    #[test]
    fn the_pause_begins_with_the_third_failure_and_doubles_with_each_probe_up_to_half_an_hour() {
        let mut history = LaunchHistory::default();
        let mut pauses = Vec::new();
        let mut now = NOW;
        for _ in 0..11 {
            history = history.after_failure(now.minus(Duration::from_secs(1)), "nobody answered", now);
            let until = history.held_until();
            pauses.push(until.map_or(0, |until| until.since(now).as_secs()));
            now = until.unwrap_or(now).plus(Duration::from_secs(60));
        }
        assert_eq!(pauses, [0, 0, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn only_the_first_ready_after_a_check_is_a_launch_that_went_well() {
        for from in BuilderState::ALL {
            for to in BuilderState::ALL {
                let expected = (from, to) == (BuilderState::Checking, BuilderState::Ready);
                assert_eq!(
                    LaunchHistory::went_well(from, to, false),
                    expected,
                    "{from} to {to}"
                );
                assert!(!LaunchHistory::went_well(from, to, true), "{from} to {to}, again");
            }
        }
    }

    #[test]
    fn many_that_were_under_way_together_and_failed_are_one_reason_to_pause() {
        let mut history = LaunchHistory::default();
        for second in 0..10 {
            history = history.after_failure(NOW, "nobody answered", seconds(100 + second));
        }
        assert_eq!(history.failures, 3);
        assert_eq!(history.held_until(), Some(seconds(109 + 30)));
        let probed = history.after_failure(seconds(140), "nobody answered", seconds(150));
        assert_eq!(probed.held_until(), Some(seconds(150 + 60)));
    }

    #[test]
    fn a_pool_launches_as_it_needs_until_the_third_failure_in_a_row() {
        let mut history = LaunchHistory::default();
        assert_eq!(history.held_until(), None);
        for failures in 1..=3 {
            history = history.after_failure(NOW, &format!("reason {failures}"), NOW);
            assert_eq!(history.failures, failures);
            assert_eq!(
                history.last_reason,
                Some(format!("reason {failures}")),
                "the last one counts"
            );
            assert_eq!(history.held_until().is_some(), failures == 3, "{failures}");
        }
    }

    #[test]
    fn a_builder_planned_at_the_moment_of_a_failure_was_under_way_and_one_planned_after_it_is_a_probe() {
        let held = LaunchHistory {
            failures: 3,
            last_failure: Some(seconds(10)),
            last_reason: None,
        };
        assert_eq!(held.after_failure(seconds(10), "again", seconds(20)).failures, 3);
        let just_after = seconds(10).plus(Duration::from_micros(1));
        assert_eq!(held.after_failure(just_after, "again", seconds(20)).failures, 4);
    }

    #[test]
    fn however_often_a_pool_fails_it_is_tried_every_half_an_hour() {
        let history = LaunchHistory {
            failures: u32::MAX,
            last_failure: Some(NOW),
            last_reason: None,
        };
        assert_eq!(history.held_until(), Some(seconds(1800)));
        let once_more = history.after_failure(seconds(5), "again", seconds(5));
        assert_eq!(once_more.failures, u32::MAX, "the count does not begin anew");
        // A row that lost its moment does not hold a pool back for ever.
        let without_moment = LaunchHistory {
            last_failure: None,
            ..history
        };
        assert_eq!(without_moment.held_until(), None);
    }
}
