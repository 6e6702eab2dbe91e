//! Builders that are used more than once: by whom, and what becomes of one after a use.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    BuilderState, OwnerName, ProjectName, Timestamp,
    attempt::{AttemptState, Blame},
    mark::{Mark, MarkKind},
};

/// Who may find on a builder what a build left there: a submitter's builds of one project, which Copr calls a sandbox, too.
///
/// As text, which the database keeps and people read, it is `OWNER/PROJECT by SUBMITTER`. No name holds a slash or a space, so
/// that two sandboxes never have one text. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sandbox(Arc<str>);

impl Sandbox {
    /// That of a submitter's builds of a project.
    #[must_use]
    pub fn new(owner: &OwnerName, project: &ProjectName, submitter: &OwnerName) -> Self {
        Self(format!("{owner}/{project} by {submitter}").into())
    }

    /// One whose text was kept.
    #[must_use]
    pub fn kept(text: &str) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a move is the one with which it is said until when a builder may be used again: it was looked at, and is as it should
/// be. One whose offer nobody took up keeps what was said before.
#[must_use]
pub const fn is_looked_at(from: BuilderState, to: BuilderState) -> bool {
    matches!(from, BuilderState::Checking | BuilderState::Cleaning) && matches!(to, BuilderState::Ready)
}

/// How a use of a builder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseEnd {
    /// Its worker brought the attempt to this end.
    Handed(AttemptState, Option<Blame>),
    /// Nobody goes on with what was done there, an attempt or the cleaning after one; the machine is there as far as is known.
    Forsaken,
    /// Its machine is gone, or its cloud has taken it back.
    MachineGone,
}

/// A builder in use, as far as what becomes of it depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Used<'a> {
    /// Until when it may be used again; `None`: it may not.
    pub reusable_until: Option<Timestamp>,
    /// Whether no further attempts are to go to it.
    pub cordoned: bool,
    /// What an operator has said of it.
    pub mark: Option<&'a Mark>,
}

/// What becomes of a builder when a use of it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterUse {
    /// It is cleaned, and then ready for its sandbox again.
    Clean,
    /// It is kept for whom an operator wants it for, as the use left it.
    Hold,
    /// It is terminated.
    Terminate,
}

impl AfterUse {
    /// What becomes of a builder after a use with this end. What somebody wants to look at is kept however the use ended, as long as
    /// there is a machine. One is used again only if its time is not over and the attempt says nothing against the machine: the
    /// package was built, or is itself to blame.
    #[must_use]
    pub fn of(used: &Used<'_>, end: UseEnd, now: Timestamp) -> Self {
        let is_to_be_held = used.mark.is_some_and(|mark| mark.kind == MarkKind::Held);
        let speaks_for_it = match end {
            UseEnd::MachineGone => return Self::Terminate,
            _ if is_to_be_held => return Self::Hold,
            UseEnd::Handed(AttemptState::Publishing | AttemptState::Skipped, _)
            | UseEnd::Handed(AttemptState::Failed, Some(Blame::Package)) => true,
            // What was ended from outside may have been stuck, and may still be.
            UseEnd::Handed(..) | UseEnd::Forsaken => false,
        };
        let may_be_used = !used.cordoned && used.reusable_until.is_some_and(|until| now < until);
        match speaks_for_it && may_be_used {
            true => Self::Clean,
            false => Self::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sandboxes_never_have_one_text() {
        let sandbox = |owner: &str, project: &str, submitter: &str| {
            Sandbox::new(
                &owner.parse().unwrap(),
                &project.parse().unwrap(),
                &submitter.parse().unwrap(),
            )
        };
        let one = sandbox("alice", "demo", "bob");
        assert_eq!(one.as_str(), "alice/demo by bob");
        assert_eq!(Sandbox::kept("alice/demo by bob"), one);
        assert_ne!(sandbox("alice", "demo", "alice"), one, "another submitter");
        assert_ne!(sandbox("alice", "other", "bob"), one, "another project");
        assert_ne!(sandbox("@alice", "demo", "bob"), one, "a group");
        for name in ["demo by bob", "a/b"] {
            assert!(name.parse::<ProjectName>().is_err(), "{name}");
            assert!(name.parse::<OwnerName>().is_err(), "{name}");
        }
    }

    #[test]
    fn only_a_check_and_a_cleaning_say_whether_a_builder_may_be_used_again() {
        use BuilderState as S;
        let moves = S::ALL.into_iter().flat_map(|from| S::ALL.map(|to| (from, to)));
        let found: Vec<_> = moves.filter(|(from, to)| is_looked_at(*from, *to)).collect();
        assert_eq!(found, [(S::Checking, S::Ready), (S::Cleaning, S::Ready)]);
    }

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn used(reusable_until: Option<Timestamp>, mark: Option<&Mark>) -> Used<'_> {
        Used {
            reusable_until,
            cordoned: mark.is_some(),
            mark,
        }
    }

    #[test]
    fn a_builder_is_used_again_in_its_time_if_the_attempt_says_nothing_against_it() {
        use AttemptState as S;
        let later = NOW.plus(std::time::Duration::from_micros(1));
        let ends = [
            (UseEnd::Handed(S::Publishing, None), AfterUse::Clean),
            (UseEnd::Handed(S::Skipped, None), AfterUse::Clean),
            (UseEnd::Handed(S::Failed, Some(Blame::Package)), AfterUse::Clean),
            (
                UseEnd::Handed(S::Failed, Some(Blame::Infrastructure)),
                AfterUse::Terminate,
            ),
            (
                UseEnd::Handed(S::Failed, Some(Blame::Service)),
                AfterUse::Terminate,
            ),
            (UseEnd::Handed(S::Failed, None), AfterUse::Terminate),
            (
                UseEnd::Handed(S::Canceled, Some(Blame::Cancelled)),
                AfterUse::Terminate,
            ),
            (UseEnd::Handed(S::Lost, None), AfterUse::Terminate),
            (UseEnd::Forsaken, AfterUse::Terminate),
            (UseEnd::MachineGone, AfterUse::Terminate),
        ];
        for (end, expected) in ends {
            assert_eq!(
                AfterUse::of(&used(Some(later), None), end, NOW),
                expected,
                "{end:?}"
            );
            for over in [None, Some(NOW)] {
                let after = AfterUse::of(&used(over, None), end, NOW);
                assert_eq!(after, AfterUse::Terminate, "{end:?} {over:?}");
            }
            let cordoned = Used {
                cordoned: true,
                ..used(Some(later), None)
            };
            assert_eq!(
                AfterUse::of(&cordoned, end, NOW),
                AfterUse::Terminate,
                "{end:?}, cordoned"
            );
        }
    }

    #[test]
    fn what_an_operator_wants_to_look_at_is_held_however_its_use_ended_while_there_is_a_machine() {
        use AttemptState as S;
        let later = NOW.plus(std::time::Duration::from_secs(60));
        for kind in MarkKind::ALL {
            let mark = Mark {
                kind,
                by: "alice".to_owned(),
                why: "look".to_owned(),
                // A hold does not end before it has begun.
                until: Some(NOW.minus(std::time::Duration::from_secs(60))),
                lasts: None,
            };
            let after = |end| AfterUse::of(&used(Some(later), Some(&mark)), end, NOW);
            let expected = match kind {
                MarkKind::Held => AfterUse::Hold,
                _ => AfterUse::Terminate,
            };
            for end in [
                UseEnd::Handed(S::Publishing, None),
                UseEnd::Handed(S::Failed, Some(Blame::Infrastructure)),
                UseEnd::Handed(S::Canceled, Some(Blame::Cancelled)),
                UseEnd::Forsaken,
            ] {
                assert_eq!(after(end), expected, "{kind} {end:?}");
            }
            assert_eq!(after(UseEnd::MachineGone), AfterUse::Terminate, "{kind}");
        }
    }
}
