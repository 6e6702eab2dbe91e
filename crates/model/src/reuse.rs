//! Builders that are used more than once: by whom, and what becomes of one after a use.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    BuilderState, OwnerName, ProjectName, Timestamp,
    attempt::{AttemptState, Blame},
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

/// What becomes of a builder when its attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterUse {
    /// It is cleaned, and then ready for its sandbox again.
    Clean,
    /// It is terminated.
    Terminate,
}

impl AfterUse {
    /// What becomes of a builder that may be used again until a moment, if at all, after an attempt that its worker brought to
    /// this end. It is used again only if the attempt says nothing against the machine: the package was built, or is itself to
    /// blame.
    #[must_use]
    pub fn of(
        reusable_until: Option<Timestamp>,
        (end, blame): (AttemptState, Option<Blame>),
        now: Timestamp,
    ) -> Self {
        let speaks_for_it = match end {
            AttemptState::Publishing | AttemptState::Skipped => true,
            AttemptState::Failed => blame == Some(Blame::Package),
            // What was ended from outside may have been stuck, and may still be.
            _ => false,
        };
        if speaks_for_it && reusable_until.is_some_and(|until| now < until) {
            Self::Clean
        } else {
            Self::Terminate
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

    #[test]
    fn a_builder_is_used_again_in_its_time_if_the_attempt_says_nothing_against_it() {
        use AttemptState as S;
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let later = now.plus(std::time::Duration::from_micros(1));
        let ends = [
            (S::Publishing, None, AfterUse::Clean),
            (S::Skipped, None, AfterUse::Clean),
            (S::Failed, Some(Blame::Package), AfterUse::Clean),
            (S::Failed, Some(Blame::Infrastructure), AfterUse::Terminate),
            (S::Failed, Some(Blame::Service), AfterUse::Terminate),
            (S::Failed, None, AfterUse::Terminate),
            (S::Canceled, Some(Blame::Cancelled), AfterUse::Terminate),
            (S::Lost, None, AfterUse::Terminate),
        ];
        for (end, blame, expected) in ends {
            assert_eq!(
                AfterUse::of(Some(later), (end, blame), now),
                expected,
                "{end:?} {blame:?}"
            );
            for over in [None, Some(now)] {
                let after = AfterUse::of(over, (end, blame), now);
                assert_eq!(after, AfterUse::Terminate, "{end:?} {blame:?} {over:?}");
            }
        }
    }
}
