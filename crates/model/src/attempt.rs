//! One try of one build chroot on one builder, with its own log and verdict.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::build::{BuildState, UnknownState};

/// Who is answerable for a failed attempt. It decides whether to try again and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The sources: trying again would fail again.
    Package,
    /// A builder, a mirror, the cloud: trying elsewhere may well succeed.
    Infrastructure,
    /// Our own software.
    Service,
    /// Nobody: its user ended it.
    Cancelled,
}

impl Blame {
    /// The word on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Infrastructure => "infrastructure",
            Self::Service => "service",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether another attempt may end otherwise.
    #[must_use]
    pub const fn is_worth_a_retry(self) -> bool {
        match self {
            Self::Infrastructure | Self::Service => true,
            Self::Package | Self::Cancelled => false,
        }
    }
}

/// Whether two attempts ended for the same reason, as their builders tell it: what differs from one to the next is left out,
/// which is numbers, and the names that rpm gives its scripts.
#[must_use]
pub fn is_same_end(one: &str, other: &str) -> bool {
    fn lasting(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| c.is_whitespace() || c == ':')
            .filter(|word| !word.contains("rpm-tmp."))
            .map(|word| word.trim_matches(|c: char| c.is_ascii_digit()))
            .filter(|word| !word.is_empty())
    }
    lasting(one).eq(lasting(other))
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Blame {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        [
            Self::Package,
            Self::Infrastructure,
            Self::Service,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|blame| blame.as_str() == text)
        .ok_or_else(|| UnknownState {
            kind: "blame",
            text: text.to_owned(),
        })
    }
}

/// Where an attempt stands.
///
/// ```text
/// waiting ── planned ──▶ assigned ── accepted ──▶ running ── collected ──▶ publishing ──▶ succeeded
///    │  ◀── not taken up ────┘                       │                         (retried until it works)
///    │                                               └──▶ lost      (a new attempt follows)
///    └── cancel, at any point before publishing ──▶ canceled        running ──▶ failed, skipped
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptState {
    /// In the queue, without a builder.
    Waiting,
    /// A builder is reserved for it; no worker has taken it up.
    Assigned,
    /// A worker drives it on its builder.
    Running,
    /// Its results are stored with us; they still have to get into the repository.
    Publishing,
    /// Published.
    Succeeded,
    /// Ended with a verdict against it.
    Failed,
    /// Not meant for this chroot.
    Skipped,
    /// Ended by its user's wish.
    Canceled,
    /// Its builder went away under it.
    Lost,
}

impl AttemptState {
    /// Every state, in the order of the enum.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Assigned,
        Self::Running,
        Self::Publishing,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Canceled,
        Self::Lost,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Assigned | Self::Running | Self::Publishing => false,
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Canceled | Self::Lost => true,
        }
    }

    /// Whether the move is one that an attempt may make.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Waiting => matches!(next, Self::Assigned | Self::Canceled),
            Self::Assigned => matches!(next, Self::Running | Self::Waiting | Self::Lost | Self::Canceled),
            Self::Running => {
                matches!(
                    next,
                    Self::Publishing | Self::Failed | Self::Skipped | Self::Canceled | Self::Lost
                )
            }
            Self::Publishing => matches!(next, Self::Succeeded | Self::Failed),
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Canceled | Self::Lost => false,
        }
    }

    /// What the build chroot shows while this is its latest attempt. A lost one shows as pending: another
    /// attempt follows, or the chroot is failed by whoever decides that none does.
    #[must_use]
    pub const fn build_state(self) -> BuildState {
        match self {
            Self::Waiting | Self::Lost => BuildState::Pending,
            Self::Assigned => BuildState::Starting,
            Self::Running | Self::Publishing => BuildState::Running,
            Self::Succeeded => BuildState::Succeeded,
            Self::Failed => BuildState::Failed,
            Self::Skipped => BuildState::Skipped,
            Self::Canceled => BuildState::Canceled,
        }
    }
}

impl fmt::Display for AttemptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AttemptState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState {
                kind: "attempt state",
                text: text.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{AttemptState, Blame, is_same_end};
    use crate::BuildState;

    #[test]
    fn two_ends_are_the_same_whatever_numbers_and_names_of_scripts_they_tell() {
        let killed = "a program was killed: /var/tmp/rpm-tmp.AbC123: line 36:    12 Killed   timeout -s KILL 1 sleep 5";
        for (other, is_same) in [
            (killed, true),
            (
                "a program was killed: /var/tmp/rpm-tmp.zzZ9: line 36: 4711 Killed timeout -s KILL 1 sleep 5",
                true,
            ),
            (
                "a program was killed: /var/tmp/rpm-tmp.AbC123: line 36:    12 Killed   gcc -c x.c",
                false,
            ),
            ("a program was killed", false),
            ("", false),
        ] {
            assert_eq!(is_same_end(killed, other), is_same, "{other}");
            assert_eq!(is_same_end(other, killed), is_same, "{other}");
        }
    }

    #[test]
    fn final_states_are_the_ones_without_a_way_out() {
        for state in AttemptState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            let has_way_out = AttemptState::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(state.is_final(), !has_way_out, "{state}");
        }
    }

    #[test]
    fn what_is_being_published_can_no_longer_be_cancelled_or_lost() {
        assert!(!AttemptState::Publishing.may_become(AttemptState::Canceled));
        assert!(!AttemptState::Publishing.may_become(AttemptState::Lost));
    }

    #[test]
    fn the_moves_are_those_of_the_drawing() {
        let moves = |state: AttemptState| {
            let next = AttemptState::ALL
                .into_iter()
                .filter(|next| state.may_become(*next));
            next.map(AttemptState::as_str).collect::<Vec<_>>().join(" ")
        };
        for (state, next) in [
            (AttemptState::Waiting, "assigned canceled"),
            (AttemptState::Assigned, "waiting running canceled lost"),
            (AttemptState::Running, "publishing failed skipped canceled lost"),
            (AttemptState::Publishing, "succeeded failed"),
        ] {
            assert_eq!(moves(state), next, "{state}");
        }
    }

    #[test]
    fn every_state_is_reached_from_the_queue_and_success_only_through_publishing() {
        let mut seen = BTreeSet::from([AttemptState::Waiting]);
        let mut front = vec![AttemptState::Waiting];
        while let Some(state) = front.pop() {
            let next = AttemptState::ALL
                .into_iter()
                .filter(|next| state.may_become(*next));
            front.extend(next.filter(|next| seen.insert(*next)));
        }
        assert_eq!(seen.len(), AttemptState::ALL.len(), "{seen:?}");
        for state in AttemptState::ALL {
            let succeeds = state.may_become(AttemptState::Succeeded);
            assert_eq!(succeeds, state == AttemptState::Publishing, "{state}");
        }
    }

    #[test]
    fn a_chroot_is_final_with_its_attempt_unless_another_follows() {
        for state in AttemptState::ALL {
            let shows = state.build_state();
            let is_followed = state == AttemptState::Lost;
            assert_eq!(
                shows.is_final(),
                state.is_final() && !is_followed,
                "{state} shows {shows}"
            );
            // Clients of Copr must never see a state of the source phase or of a fork here.
            assert!(
                !matches!(shows, BuildState::Importing | BuildState::Forked),
                "{state}"
            );
        }
        assert_eq!(AttemptState::Publishing.build_state(), BuildState::Running);
        assert_eq!(AttemptState::Assigned.build_state(), BuildState::Starting);
    }

    #[test]
    fn trying_again_is_for_what_the_sources_and_the_user_did_not_cause() {
        for (blame, word, is_retried) in [
            (Blame::Package, "package", false),
            (Blame::Infrastructure, "infrastructure", true),
            (Blame::Service, "service", true),
            (Blame::Cancelled, "cancelled", false),
        ] {
            assert_eq!(blame.is_worth_a_retry(), is_retried, "{blame}");
            assert_eq!(word.parse(), Ok(blame));
            assert_eq!(serde_json::to_value(blame).unwrap(), word, "one word everywhere");
        }
    }

    #[test]
    fn a_word_of_a_corrupt_row_is_named_with_its_kind() {
        for word in ["", "Running", "cancelled", "running "] {
            let said = word.parse::<AttemptState>().unwrap_err().to_string();
            assert_eq!(said, format!("`{word}` is no attempt state"));
        }
        let said = "canceled".parse::<Blame>().unwrap_err().to_string();
        assert_eq!(said, "`canceled` is no blame", "it is spelt with two l");
    }
}
