//! Whether a builder that waits for work is still there, and still what it was when it got ready. It is asked now and then; when
//! that is, and what follows from its answers, is decided here.

use std::{collections::BTreeMap, time::Duration};

use crate::{BuilderId, BuilderState, Timestamp};

/// How often a ready builder is asked. A machine that dies while it is idle is found before most builds are sent to it, and its cost
/// is bounded, for the price of a login a minute. Its cloud shows a machine that is gone sooner; only this shows one that is there
/// and does not answer.
const EVERY: Duration = Duration::from_secs(60);
/// How much the pauses of different builders differ, in hundredths: machines that got ready together are not asked together.
const SPREAD: u32 = 20;
/// How often in a row it may not answer as it should before it is given up: less than two minutes of a network that is away, or of a
/// machine that is busy with something, cost no builder.
const FAILURES: u32 = 3;
/// The same while most of the others do not answer either: then it is rather the network between the farm and them, and to end them
/// all at once would cost the whole fleet. Not for ever, since machines may also die together.
const FAILURES_TOGETHER: u32 = 10;
/// How long it has to answer.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What came of asking a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is what it was.
    Well,
    /// Nobody answered, or somebody else, or the machine says that something is wrong with it; in words for operators.
    Badly(String),
    /// It was started again since it got ready: what is only in its kernel's memory is not what was looked at then, and that does not
    /// come back.
    Restarted,
    /// What hides the metadata service from builds is gone, as after a start, or was taken away. A build that is given to it puts it
    /// back before it begins; nothing says that this is all that is gone.
    Exposed,
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on waiting for work; so many answers in a row were not as they should be.
    Stays(u32),
    /// It serves no more; why, as a sentence for people.
    Goes(String),
}

/// For how long a builder is left alone between two questions.
#[must_use]
pub fn pause(builder: BuilderId) -> Duration {
    // The last bytes of its id are random, and stay the same.
    let [.., last] = builder.0.into_bytes();
    let lot = u32::from(last).saturating_mul(2).saturating_mul(SPREAD) / u32::from(u8::MAX);
    let hundredths = 100_u32.saturating_sub(SPREAD).saturating_add(lot);
    EVERY.saturating_mul(hundredths) / 100
}

/// Whether most ready builders fail together. `failing`: how many of them, of `ready`, did not answer as they should at last.
#[must_use]
pub const fn is_common(failing: usize, ready: usize) -> bool {
    failing > 1 && failing.saturating_mul(2) > ready
}

/// What an answer means for a builder whose last answers, so many in a row, were not as they should be. `is_common`: whether that is
/// so with most of them.
#[must_use]
pub fn judge(failures: u32, answer: Answer, is_common: bool) -> Verdict {
    match answer {
        Answer::Well => Verdict::Stays(0),
        Answer::Restarted => Verdict::Goes("it was started again since it got ready".to_owned()),
        Answer::Exposed => Verdict::Goes(
            "nothing hides the metadata service on it any more: it was started again since it got ready"
                .to_owned(),
        ),
        Answer::Badly(words) => {
            let failures = failures.saturating_add(1);
            let most = if is_common { FAILURES_TOGETHER } else { FAILURES };
            if failures < most {
                return Verdict::Stays(failures);
            }
            Verdict::Goes(format!(
                "it failed {failures} looks in a row while it was ready: {words}"
            ))
        }
    }
}

/// The builders that wait for work, and what came of asking them. The moments of looks are those of a clock that nobody sets.
#[derive(Debug, Default)]
pub struct Looks {
    known: BTreeMap<BuilderId, Known>,
    /// Those that serve no more, and since when each of them was ready.
    gone: BTreeMap<BuilderId, (Timestamp, String)>,
}

/// A builder that is ready.
#[derive(Debug)]
struct Known {
    /// Since when. One that was used in between is another to ask.
    since: Timestamp,
    /// How many answers in a row were not as they should be.
    failures: u32,
    /// When it is asked next; `None` while it is being asked.
    next: Option<Duration>,
}

impl Looks {
    /// Takes up which builders are ready by now, and since when each of them is; the others are forgotten.
    pub fn keep(&mut self, ready: &BTreeMap<BuilderId, Timestamp>, now: Duration) {
        let is_there = |id: &BuilderId, since: Timestamp| ready.get(id) == Some(&since);
        self.known.retain(|id, known| is_there(id, known.since));
        self.gone.retain(|id, (since, _)| is_there(id, *since));
        for (id, since) in ready {
            self.known.entry(*id).or_insert_with(|| Known {
                since: *since,
                failures: 0,
                next: Some(now.saturating_add(pause(*id))),
            });
        }
    }

    /// Those that are to be asked now.
    #[must_use]
    pub fn due(&self, now: Duration) -> Vec<BuilderId> {
        let is_due = |known: &Known| known.next.is_some_and(|next| next <= now);
        let due = self
            .known
            .iter()
            .filter(|(id, known)| is_due(known) && !self.gone.contains_key(id));
        due.map(|(id, _)| *id).collect()
    }

    /// One is being asked: it is not due until it has answered.
    pub fn begin(&mut self, id: BuilderId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.next = None;
        }
    }

    /// Takes the answer of one that was asked, and had been ready since then.
    pub fn take(&mut self, id: BuilderId, since: Timestamp, answer: Answer, now: Duration) {
        let ready = self.known.len();
        let others = self
            .known
            .iter()
            .filter(|(other, known)| **other != id && known.failures > 0);
        let is_common = is_common(others.count().saturating_add(1), ready);
        let Some(known) = self.known.get_mut(&id).filter(|known| known.since == since) else {
            return;
        };
        known.next = Some(now.saturating_add(pause(id)));
        match judge(known.failures, answer, is_common) {
            Verdict::Stays(failures) => known.failures = failures,
            Verdict::Goes(why) => {
                self.gone.insert(id, (since, why));
            }
        }
    }

    /// Why a builder that is in a state since then serves no more, if it does not; only one that is ready and was not used since it
    /// was asked.
    #[must_use]
    pub fn verdict(&self, id: BuilderId, state: BuilderState, since: Timestamp) -> Option<&str> {
        let (asked, why) = self.gone.get(&id)?;
        (state == BuilderState::Ready && since == *asked).then_some(why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn badly(words: &str) -> Answer {
        Answer::Badly(words.to_owned())
    }

    #[test]
    fn a_builder_goes_after_three_bad_answers_in_a_row_and_a_good_one_forgives_them() {
        let mut failures = 0;
        for (answer, expected) in [
            (badly("nobody"), 1),
            (badly("nobody"), 2),
            (Answer::Well, 0),
            (badly("nobody"), 1),
            (badly("nobody"), 2),
        ] {
            let verdict = judge(failures, answer, false);
            assert_eq!(verdict, Verdict::Stays(expected));
            failures = expected;
        }
        let words = "it failed 3 looks in a row while it was ready: the disk is full";
        assert_eq!(
            judge(2, badly("the disk is full"), false),
            Verdict::Goes(words.to_owned())
        );
    }

    #[test]
    fn builders_that_fail_together_are_given_more_time_and_not_for_ever() {
        for (failing, ready, expected) in [
            (0, 0, false),
            (1, 1, false),
            (1, 2, false),
            (2, 2, true),
            (2, 4, false),
            (3, 5, true),
            (64, 1000, false),
        ] {
            assert_eq!(is_common(failing, ready), expected, "{failing} of {ready}");
        }
        assert_eq!(judge(2, badly("nobody"), true), Verdict::Stays(3));
        assert_eq!(judge(8, badly("nobody"), true), Verdict::Stays(9));
        assert!(matches!(judge(9, badly("nobody"), true), Verdict::Goes(_)));
        // When the others answer again, one that still does not has failed often enough.
        assert!(matches!(judge(4, badly("nobody"), false), Verdict::Goes(_)));
    }

    #[test]
    fn a_machine_that_was_started_again_goes_at_once() {
        for failures in [0, 2] {
            let verdict = judge(failures, Answer::Restarted, true);
            let words = "it was started again since it got ready";
            assert_eq!(verdict, Verdict::Goes(words.to_owned()));
            let verdict = judge(failures, Answer::Exposed, true);
            let words =
                "nothing hides the metadata service on it any more: it was started again since it got ready";
            assert_eq!(verdict, Verdict::Goes(words.to_owned()));
        }
    }

    #[test]
    fn each_builder_has_a_pause_of_its_own_about_a_minute_long() {
        let of = |last: u8| pause(BuilderId(uuid::Uuid::from_u128(u128::from(last))));
        for (last, seconds) in [(0, 48), (255, 72)] {
            assert_eq!(of(last), Duration::from_secs(seconds), "{last}");
        }
        assert_eq!(of(7), of(7));
        let pauses: std::collections::BTreeSet<Duration> = (0..=255).map(of).collect();
        assert!(pauses.len() > 30, "{}", pauses.len());
    }

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn id(number: u128) -> BuilderId {
        BuilderId(uuid::Uuid::from_u128(number))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn ready(ids: impl IntoIterator<Item = u128>) -> BTreeMap<BuilderId, Timestamp> {
        ids.into_iter().map(|number| (id(number), NOW)).collect()
    }

    #[test]
    fn each_is_asked_after_its_pause_and_again_after_its_answer() {
        let mut looks = Looks::default();
        looks.keep(&ready([0, 255]), seconds(100));
        assert!(looks.due(seconds(147)).is_empty());
        assert_eq!(looks.due(seconds(148)), [id(0)]);
        assert_eq!(looks.due(seconds(172)), [id(0), id(255)]);
        looks.begin(id(0));
        assert_eq!(looks.due(seconds(900)), [id(255)], "one question at a time");
        looks.take(id(0), NOW, Answer::Well, seconds(900));
        assert_eq!(looks.due(seconds(947)), [id(255)]);
        assert_eq!(looks.due(seconds(948)), [id(0), id(255)]);
    }

    #[test]
    fn a_verdict_holds_for_one_that_is_ready_and_was_not_used_since_it_was_asked() {
        use BuilderState as S;
        let mut looks = Looks::default();
        looks.keep(&ready([1]), seconds(0));
        for count in 1..=3 {
            assert_eq!(looks.verdict(id(1), S::Ready, NOW), None, "{count}");
            looks.take(id(1), NOW, badly("nobody"), seconds(count * 60));
        }
        assert!(looks.verdict(id(1), S::Ready, NOW).is_some());
        assert!(looks.due(seconds(9000)).is_empty(), "it is asked no more");
        for state in S::ALL.into_iter().filter(|state| *state != S::Ready) {
            assert_eq!(looks.verdict(id(1), state, NOW), None, "{state}");
        }
        let later = NOW.plus(seconds(1));
        assert_eq!(looks.verdict(id(1), S::Ready, later), None, "used since");
        looks.keep(&BTreeMap::from([(id(1), later)]), seconds(300));
        assert_eq!(looks.verdict(id(1), S::Ready, NOW), None, "forgotten");
        // An answer from before it was used says nothing.
        looks.take(id(1), NOW, Answer::Restarted, seconds(300));
        assert_eq!(looks.verdict(id(1), S::Ready, later), None);
    }

    #[test]
    fn most_fail_together_where_the_last_answers_of_most_were_not_as_they_should_be() {
        for (failing, expected) in [(1, true), (2, false)] {
            let mut looks = Looks::default();
            looks.keep(&ready(1..=3), seconds(0));
            for number in 1..=failing {
                for _ in 0..3 {
                    looks.take(id(number), NOW, badly("nobody"), seconds(60));
                }
            }
            let goes = looks.verdict(id(failing), BuilderState::Ready, NOW).is_some();
            assert_eq!(goes, expected, "{failing} of 3");
        }
    }
}
