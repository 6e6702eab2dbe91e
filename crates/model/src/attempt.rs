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
    use super::AttemptState;

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
}
