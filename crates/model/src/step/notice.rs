//! Notices by which a cloud says some time before that it takes a machine back, as it may in the spot market. They are hints: the
//! machine may go without a word, or stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::{BuilderId, BuilderState, Market, mark::MarkKind};

/// How much of what a machine hands on is told, in characters.
const MOST_LETTERS: usize = 100;

/// Whether a builder's machine is asked for its cloud's notice: while it serves, if it is of the spot market, and until it has
/// given one. Before it serves it has nothing to lose, and its end is seen in its cloud.
#[must_use]
pub fn is_watched(state: BuilderState, market: Option<Market>, mark: Option<MarkKind>) -> bool {
    use BuilderState as S;
    let serves = matches!(state, S::Ready | S::Reserved | S::Busy | S::Cleaning | S::Held);
    serves && market == Some(Market::Spot) && mark.is_none_or(|mark| mark < MarkKind::TakenBack)
}

/// A notice in words for operators, made from what a machine hands on: what becomes of it, and when.
#[must_use]
pub fn in_words(action: &str, time: &str) -> String {
    let [action, time] = [action, time].map(|text| {
        let shown = text.chars().filter(|letter| !letter.is_control());
        shown.take(MOST_LETTERS).collect::<String>().trim().to_owned()
    });
    let what = if action.is_empty() {
        "no action"
    } else {
        action.as_str()
    };
    let when = if time.is_empty() {
        String::new()
    } else {
        format!(" at {time}")
    };
    format!("its notice names {what}{when}")
}

/// What the machines that are waited for have said.
#[derive(Debug, Default)]
pub struct Told {
    /// Notices that may not be on record yet.
    notices: BTreeMap<BuilderId, String>,
    /// Those whose clouds tell them nothing.
    silent: BTreeSet<BuilderId>,
}

impl Told {
    /// Forgets all that are waited for no more.
    pub fn keep(&mut self, is_watched: impl Fn(&BuilderId) -> bool) {
        self.notices.retain(|id, _| is_watched(id));
        self.silent.retain(|id| is_watched(id));
    }

    /// Takes what the wait for one has come to: its notice, or `None` where there will be none.
    pub fn take(&mut self, id: BuilderId, notice: Option<String>) {
        match notice {
            Some(words) => {
                self.notices.insert(id, words);
            }
            None => {
                self.silent.insert(id);
            }
        }
    }

    /// Whether there is nothing more to wait for.
    #[must_use]
    pub fn is_over(&self, id: BuilderId) -> bool {
        self.notices.contains_key(&id) || self.silent.contains(&id)
    }

    /// The notice of one, in words for operators.
    #[must_use]
    pub fn notice(&self, id: BuilderId) -> Option<&str> {
        self.notices.get(&id).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_known_until_nobody_waits_for_it() {
        let [noticed, silent, other] = [1, 2, 3].map(|it| BuilderId(uuid::Uuid::from_u128(it)));
        let mut told = Told::default();
        told.take(noticed, Some("its notice names stop".to_owned()));
        told.take(silent, None);
        assert_eq!(told.notice(noticed), Some("its notice names stop"));
        assert_eq!((told.notice(silent), told.notice(other)), (None, None));
        assert!(told.is_over(noticed) && told.is_over(silent) && !told.is_over(other));
        told.keep(|id| *id == silent);
        assert!(!told.is_over(noticed) && told.is_over(silent));
        told.keep(|_| false);
        assert!(!told.is_over(silent));
    }

    #[test]
    fn machines_of_the_spot_market_are_watched_while_they_serve_and_until_they_give_notice() {
        use BuilderState as S;
        let spot = Some(Market::Spot);
        for state in S::ALL {
            let serves = matches!(state, S::Ready | S::Reserved | S::Busy | S::Cleaning | S::Held);
            assert_eq!(is_watched(state, spot, None), serves, "{state}");
            for market in [None, Some(Market::OnDemand)] {
                assert!(!is_watched(state, market, None), "{state} {market:?}");
            }
        }
        for mark in MarkKind::ALL {
            let is_known = matches!(mark, MarkKind::TakenBack | MarkKind::Ended);
            assert_eq!(is_watched(S::Busy, spot, Some(mark)), !is_known, "{mark}");
        }
    }

    #[test]
    fn a_notice_is_told_whatever_a_machine_hands_on() {
        for (action, time, expected) in [
            (
                "terminate",
                "2026-11-30T10:00:00Z",
                "its notice names terminate at 2026-11-30T10:00:00Z",
            ),
            ("stop", "", "its notice names stop"),
            ("", "noon", "its notice names no action at noon"),
            (" \u{1b}[1mx\n", "\0", "its notice names [1mx"),
        ] {
            assert_eq!(in_words(action, time), expected);
        }
        let long = in_words(&"x".repeat(1000), "");
        assert_eq!(long.chars().count(), "its notice names ".len() + MOST_LETTERS);
    }
}
