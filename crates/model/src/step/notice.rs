//! Notices by which a cloud says some time before that it takes a machine back, as it may in the spot market. They are hints: the
//! machine may go without a word, or stay.

use crate::{BuilderState, Market, mark::MarkKind};

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

#[cfg(test)]
mod tests {
    use super::*;

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
