//! What an operator has said of a builder or of a pool: who, why and until when; and that a cloud takes a builder back. A mark changes no state by itself; it keeps
//! attempts away, and [`crate::plan()`] moves the builder when its state allows it.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{BuilderState, Timestamp, build::UnknownState, quantity::Span};

/// What an operator wants of a builder, or its cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// No further attempts go to it.
    Cordoned,
    /// It is kept for somebody when what it does has ended, and never serves again.
    Held,
    /// It is terminated when what it does has ended.
    Retired,
    /// Its cloud gives notice that it takes the machine back: it gets no attempts any more. What it does goes on until the machine
    /// goes, and counts as no try where it is lost.
    #[serde(rename = "taken-back")]
    TakenBack,
    /// It is terminated now; an attempt on it is lost, and tried again.
    Ended,
}

impl MarkKind {
    /// Every kind, the one that asks for less before the one that asks for more.
    pub const ALL: [Self; 5] = [
        Self::Cordoned,
        Self::Held,
        Self::Retired,
        Self::TakenBack,
        Self::Ended,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cordoned => "cordoned",
            Self::Held => "held",
            Self::Retired => "retired",
            Self::TakenBack => "taken-back",
            Self::Ended => "ended",
        }
    }

    /// Whether the builder is to go.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Retired | Self::TakenBack | Self::Ended)
    }
}

impl fmt::Display for MarkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MarkKind {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownState {
            kind: "mark of a builder",
            text: text.to_owned(),
        })
    }
}

/// An operator's word on a builder, or its cloud's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub kind: MarkKind,
    /// Who gave it, or for whom it is.
    pub by: String,
    /// Why, as a sentence for people; may be empty.
    pub why: String,
    /// When it ends by itself; `None`: never, or that is not known yet.
    #[serde(serialize_with = "as_text")]
    pub until: Option<Timestamp>,
    /// For a hold: how long it lasts from the moment on at which the builder is held, which may be long after the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// A moment as people read it.
fn as_text<S: Serializer>(until: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    until.map(|until| until.to_string()).serialize(serializer)
}

impl Mark {
    /// That a cloud takes a builder's machine back; `told`: its words, which a machine has handed on.
    #[must_use]
    pub fn taken_back(cloud: &str, told: &str) -> Self {
        Self {
            kind: MarkKind::TakenBack,
            by: format!("cloud {cloud}"),
            why: told.to_owned(),
            until: None,
            lasts: None,
        }
    }

    /// When a hold ends that begins now; `None` where nobody has said how long it lasts.
    #[must_use]
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lasts.map(|lasts| now.plus(lasts.get())).or(self.until)
    }

    /// Whether this says more than what was said before, so that it takes its place.
    #[must_use]
    pub fn outdoes(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| before.kind < self.kind)
    }

    /// The mark as a sentence for operators.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self {
            kind,
            by,
            why,
            until,
            lasts,
        } = self;
        let until = match (until, lasts) {
            (Some(until), _) => format!(" until {}", until.to_the_second()),
            (None, Some(lasts)) => format!(" for {lasts}"),
            (None, None) => String::new(),
        };
        let word = match kind {
            MarkKind::Held => "held for",
            MarkKind::Ended => "ended at once by",
            MarkKind::Cordoned => "cordoned by",
            MarkKind::Retired => "retired by",
            MarkKind::TakenBack => "taken back by",
        };
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        format!("{word} {by}{until}{why}")
    }

    /// Where a builder with this mark goes from a state, as soon as it may; `None` while it stays.
    #[must_use]
    pub fn leads_to(&self, state: BuilderState) -> Option<BuilderState> {
        use BuilderState as S;
        match (self.kind, state) {
            (MarkKind::Held, S::Ready | S::Cleaning) => Some(S::Held),
            (MarkKind::Cordoned, S::Cleaning) => Some(S::Draining),
            (MarkKind::Cordoned | MarkKind::Held, _) => None,
            (_, S::Planned | S::Pending | S::Booting | S::Provisioning | S::Checking) => {
                state.when_unwanted()
            }
            (_, S::Ready | S::Cleaning | S::Held) => Some(S::Draining),
            (MarkKind::Ended, S::Reserved | S::Busy) => Some(S::Draining),
            // What the cloud says of it is waited for, or the end of its job; what ends needs no mark.
            (_, S::Launching | S::Resolving | S::Reserved | S::Busy) => None,
            (_, S::Draining | S::Terminating | S::Terminated | S::Abandoned) => None,
        }
    }
}

/// An operator's word that a pool is to launch nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Who gave it.
    pub by: String,
    /// Why, as a sentence for people; may be empty.
    pub why: String,
    /// When it ends by itself; `None`: never.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether it is in force.
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(kind: MarkKind) -> Mark {
        Mark {
            kind,
            by: "alice".to_owned(),
            why: "a bad disk".to_owned(),
            until: None,
            lasts: None,
        }
    }

    #[test]
    fn a_hold_lasts_from_the_moment_on_at_which_it_begins() {
        let now = Timestamp::from_micros(1_000_000_000_000);
        let later = now.plus(std::time::Duration::from_secs(7200));
        let hour = Some(Span::seconds(3600));
        for (until, lasts, expected, words) in [
            (None, None, None, "held for alice: a bad disk"),
            (
                None,
                hour,
                Some(later.plus(std::time::Duration::from_secs(3600))),
                "held for alice for 1h: a bad disk",
            ),
            (
                Some(now),
                None,
                Some(now),
                "held for alice until 1970-01-12T13:46:40Z: a bad disk",
            ),
            (
                Some(now),
                hour,
                Some(later.plus(std::time::Duration::from_secs(3600))),
                "held for alice until 1970-01-12T13:46:40Z: a bad disk",
            ),
        ] {
            let hold = Mark {
                until,
                lasts,
                ..mark(MarkKind::Held)
            };
            assert_eq!(hold.held_until(later), expected, "{words}");
            assert_eq!(hold.in_words(), words);
        }
    }

    #[test]
    fn a_mark_leads_only_where_builders_may_go_and_never_back_to_work() {
        use BuilderState as S;
        for kind in MarkKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            for state in S::ALL {
                let Some(to) = mark(kind).leads_to(state) else {
                    continue;
                };
                assert!(state.may_become(to), "{kind}: {state} to {to}");
                assert!(
                    matches!(to, S::Held | S::Draining | S::Terminating | S::Abandoned),
                    "{kind}: {state} to {to}"
                );
            }
        }
        assert!("lost".parse::<MarkKind>().is_err());
    }

    #[test]
    fn only_what_is_to_end_at_once_leaves_its_job() {
        use BuilderState as S;
        for (kind, state, to) in [
            (MarkKind::Cordoned, S::Ready, None),
            (MarkKind::Cordoned, S::Busy, None),
            (MarkKind::Held, S::Ready, Some(S::Held)),
            (MarkKind::Held, S::Busy, None),
            (MarkKind::Held, S::Held, None),
            (MarkKind::Retired, S::Ready, Some(S::Draining)),
            (MarkKind::Retired, S::Held, Some(S::Draining)),
            (MarkKind::Retired, S::Reserved, None),
            (MarkKind::Retired, S::Busy, None),
            (MarkKind::Retired, S::Planned, Some(S::Abandoned)),
            (MarkKind::Retired, S::Booting, Some(S::Terminating)),
            (MarkKind::Retired, S::Resolving, None),
            (MarkKind::TakenBack, S::Ready, Some(S::Draining)),
            (MarkKind::TakenBack, S::Cleaning, Some(S::Draining)),
            (MarkKind::TakenBack, S::Held, Some(S::Draining)),
            (MarkKind::TakenBack, S::Reserved, None),
            (MarkKind::TakenBack, S::Busy, None),
            (MarkKind::Ended, S::Busy, Some(S::Draining)),
            (MarkKind::Ended, S::Reserved, Some(S::Draining)),
            (MarkKind::Ended, S::Launching, None),
            (MarkKind::Ended, S::Terminating, None),
        ] {
            assert_eq!(mark(kind).leads_to(state), to, "{kind} {state}");
        }
    }

    #[test]
    fn a_notice_takes_the_place_of_all_that_asks_for_less_and_of_nothing_else() {
        let notice = Mark::taken_back("aws", "terminate at noon");
        assert!(notice.outdoes(None));
        for (before, expected) in [
            (MarkKind::Cordoned, true),
            (MarkKind::Held, true),
            (MarkKind::Retired, true),
            (MarkKind::TakenBack, false),
            (MarkKind::Ended, false),
        ] {
            assert_eq!(notice.outdoes(Some(&mark(before))), expected, "{before}");
        }
        assert_eq!(notice.in_words(), "taken back by cloud aws: terminate at noon");
    }

    #[test]
    fn a_mark_says_who_why_and_until_when() {
        let until = Some(Timestamp::from_micros(1_800_000_000_000_000));
        for (kind, until, why, expected) in [
            (
                MarkKind::Cordoned,
                None,
                "a bad disk",
                "cordoned by alice: a bad disk",
            ),
            (
                MarkKind::Held,
                until,
                "a bad disk",
                "held for alice until 2027-01-15T08:00:00Z: a bad disk",
            ),
            (MarkKind::Retired, None, "", "retired by alice"),
            (MarkKind::Ended, None, "now", "ended at once by alice: now"),
        ] {
            let mark = Mark {
                until,
                why: why.to_owned(),
                ..mark(kind)
            };
            assert_eq!(mark.in_words(), expected);
        }
    }
}
