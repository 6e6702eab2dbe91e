//! The states of builds and build chroots, as Copr's clients know them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The state of a source phase, of one build chroot, or (derived) of a whole build. The words and their
/// meaning are Copr's (`copr_common/enums.py`); a word outside this set makes its clients poll for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildState {
    /// The source is being made into a source package.
    Importing,
    /// A build chroot that cannot start before something else ends.
    Waiting,
    /// In the queue.
    Pending,
    /// Given to a builder, which has not begun yet.
    Starting,
    /// Being built, or its results are on their way into the repository.
    Running,
    /// Its packages are in the published repository.
    Succeeded,
    /// Ended without packages.
    Failed,
    /// Ended by its user's wish.
    Canceled,
    /// Not meant for this chroot (`ExclusiveArch` and the like).
    Skipped,
    /// Copied from another project.
    Forked,
}

impl BuildState {
    /// Every state, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Importing,
        Self::Waiting,
        Self::Pending,
        Self::Starting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::Skipped,
        Self::Forked,
    ];

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Importing | Self::Waiting | Self::Pending | Self::Starting | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled | Self::Skipped | Self::Forked => true,
        }
    }

    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Importing => "importing",
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
            Self::Forked => "forked",
        }
    }

    /// Copr's number for the state.
    #[must_use]
    pub const fn copr_number(self) -> i32 {
        match self {
            Self::Failed => 0,
            Self::Succeeded => 1,
            Self::Canceled => 2,
            Self::Running => 3,
            Self::Pending => 4,
            Self::Skipped => 5,
            Self::Starting => 6,
            Self::Importing => 7,
            Self::Forked => 8,
            Self::Waiting => 9,
        }
    }
}

impl fmt::Display for BuildState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BuildState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState {
                kind: "build state",
                text: text.to_owned(),
            })
    }
}

/// A word that is no state of the wanted kind; from a database row it means that the row is corrupt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}")]
pub struct UnknownState {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

/// The state of a whole build, derived as Copr derives it: cancelled first; then the source phase while it
/// decides; then the first of a fixed order that is found among the chroots.
#[must_use]
pub fn derive_state(canceled: bool, source: BuildState, chroots: &[BuildState]) -> BuildState {
    if canceled {
        return BuildState::Canceled;
    }
    match source {
        BuildState::Starting
        | BuildState::Pending
        | BuildState::Running
        | BuildState::Importing
        | BuildState::Waiting
        | BuildState::Failed => return source,
        BuildState::Succeeded | BuildState::Canceled | BuildState::Skipped | BuildState::Forked => {}
    }
    [
        BuildState::Running,
        BuildState::Starting,
        BuildState::Pending,
        BuildState::Waiting,
        BuildState::Failed,
        BuildState::Succeeded,
        BuildState::Canceled,
        BuildState::Skipped,
        BuildState::Forked,
    ]
    .into_iter()
    .find(|state| chroots.contains(state))
    .unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BuildState, derive_state};

    #[test]
    fn every_state_is_read_as_it_is_written() {
        for state in BuildState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!(
            "done".parse::<BuildState>().unwrap_err().to_string(),
            "`done` is no build state"
        );
    }

    #[test]
    fn a_build_runs_while_any_chroot_runs_and_fails_only_when_none_is_left() {
        use BuildState::{Canceled, Failed, Importing, Pending, Running, Skipped, Succeeded};
        for (canceled, source, chroots, expected) in [
            (false, Importing, vec![], Importing),
            (false, Failed, vec![Canceled], Failed),
            (false, Succeeded, vec![Failed, Running], Running),
            (false, Succeeded, vec![Failed, Pending], Pending),
            (false, Succeeded, vec![Failed, Succeeded], Failed),
            (false, Succeeded, vec![Skipped, Succeeded], Succeeded),
            (false, Succeeded, vec![Skipped], Skipped),
            (true, Succeeded, vec![Succeeded], Canceled),
        ] {
            assert_eq!(
                derive_state(canceled, source, &chroots),
                expected,
                "{source} {chroots:?}"
            );
        }
    }

    #[test]
    fn the_numbers_are_those_that_copr_has_in_its_database() {
        let words = [
            "failed",
            "succeeded",
            "canceled",
            "running",
            "pending",
            "skipped",
            "starting",
            "importing",
            "forked",
            "waiting",
        ];
        for (number, word) in (0..).zip(words) {
            let state: BuildState = word.parse().unwrap();
            assert_eq!(state.copr_number(), number, "{word}");
        }
        assert_eq!(words.len(), BuildState::ALL.len());
    }

    #[test]
    fn the_source_decides_until_it_has_succeeded_and_a_cancelled_build_is_cancelled_whatever_runs() {
        for source in BuildState::ALL {
            assert_eq!(
                derive_state(true, source, &[BuildState::Running]),
                BuildState::Canceled,
                "{source}"
            );
            let decides = !source.is_final() || source == BuildState::Failed;
            let derived = derive_state(false, source, &[BuildState::Succeeded]);
            let expected = if decides { source } else { BuildState::Succeeded };
            assert_eq!(derived, expected, "{source}");
            assert_eq!(derive_state(false, source, &[]), source, "nothing else is known");
        }
    }

    fn chroots() -> impl Strategy<Value = Vec<BuildState>> {
        // A chroot is never being imported.
        prop::collection::vec(prop::sample::select(BuildState::ALL[1..].to_vec()), 1..12)
    }

    proptest! {
        #[test]
        fn a_build_is_over_exactly_when_all_its_chroots_are(states in chroots()) {
            let derived = derive_state(false, BuildState::Succeeded, &states);
            prop_assert_eq!(derived.is_final(), states.iter().all(|state| state.is_final()), "{}", derived);
            prop_assert!(states.contains(&derived), "it is the state of one of them");
        }

        #[test]
        fn neither_order_nor_repetition_of_chroots_changes_a_build(states in chroots(), turn in 0usize..12) {
            let derived = derive_state(false, BuildState::Succeeded, &states);
            let mut turned = states.clone();
            let by = turn % turned.len();
            turned.rotate_left(by);
            turned.extend(states.iter().rev());
            prop_assert_eq!(derive_state(false, BuildState::Succeeded, &turned), derived);
        }

        #[test]
        fn one_failed_chroot_is_not_hidden_by_others_that_are_over(states in chroots()) {
            let mut states: Vec<_> = states.into_iter().filter(|state| state.is_final()).collect();
            states.push(BuildState::Failed);
            prop_assert_eq!(derive_state(false, BuildState::Succeeded, &states), BuildState::Failed);
        }
    }
}
