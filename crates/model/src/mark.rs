//! What an operator has said of a builder or of a pool: who, why and until when. A mark changes no state by itself; it keeps
//! attempts away, and [`crate::plan()`] moves the builder when its state allows it.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{BuilderState, Timestamp, build::UnknownState};

/// What an operator wants of a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// No further attempts go to it.
    Cordoned,
    /// It is kept for somebody when what it does has ended, and never serves again.
    Held,
    /// It is terminated when what it does has ended.
    Retired,
    /// It is terminated now; an attempt on it is lost, and tried again.
    Ended,
}

impl MarkKind {
    /// Every kind, the one that asks for less before the one that asks for more.
    pub const ALL: [Self; 4] = [Self::Cordoned, Self::Held, Self::Retired, Self::Ended];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cordoned => "cordoned",
            Self::Held => "held",
            Self::Retired => "retired",
            Self::Ended => "ended",
        }
    }

    /// Whether the builder is to go.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Retired | Self::Ended)
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

/// An operator's word on a builder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub kind: MarkKind,
    /// Who gave it, or for whom it is.
    pub by: String,
    /// Why, as a sentence for people; may be empty.
    pub why: String,
    /// When it ends by itself; `None`: never.
    #[serde(serialize_with = "as_text")]
    pub until: Option<Timestamp>,
}

/// A moment as people read it.
fn as_text<S: Serializer>(until: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    until.map(|until| until.to_string()).serialize(serializer)
}

impl Mark {
    /// The mark as a sentence for operators.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { kind, by, why, until } = self;
        let until = until.map_or_else(String::new, |until| format!(" until {}", until.to_the_second()));
        let word = match kind {
            MarkKind::Held => "held for",
            MarkKind::Ended => "ended at once by",
            MarkKind::Cordoned => "cordoned by",
            MarkKind::Retired => "retired by",
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
            (_, S::Planned) => Some(S::Abandoned),
            (_, S::Pending | S::Booting | S::Provisioning | S::Checking) => Some(S::Terminating),
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
            (MarkKind::Ended, S::Busy, Some(S::Draining)),
            (MarkKind::Ended, S::Reserved, Some(S::Draining)),
            (MarkKind::Ended, S::Launching, None),
            (MarkKind::Ended, S::Terminating, None),
        ] {
            assert_eq!(mark(kind).leads_to(state), to, "{kind} {state}");
        }
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
