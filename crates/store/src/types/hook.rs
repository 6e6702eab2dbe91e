//! Runs of hooks, as the controller sees them.

use std::{fmt, str::FromStr};

use model::{
    BuilderId, Timestamp,
    fleet::{HookPoint, HookSpec},
    hook::Open,
};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::word::UnknownWord;

/// A hook that a builder has come to the turn of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHookRun {
    /// Its id, made by the caller.
    pub id: Uuid,
    pub point: HookPoint,
    /// Its place in the list of the fleet file.
    pub place: u32,
    /// What the fleet file says of it at this moment, which holds for all of its tries.
    pub spec: HookSpec,
}

/// Where a run of a hook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookState {
    /// For its turn, or for its next try.
    Waiting,
    /// A try is under way, or was when its controller was killed.
    Running,
    Done,
    /// For good.
    Failed,
    /// It was left out, as the fleet file wants it.
    Skipped,
    /// Its time was over before it was done.
    Late,
}

impl HookState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Skipped,
        Self::Late,
    ];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Late => "late",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl fmt::Display for HookState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for HookState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for HookState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownWord::new("state of a hook", text))
    }
}

/// One hook for one builder, with all of its tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRun {
    pub id: Uuid,
    pub builder: BuilderId,
    pub point: HookPoint,
    /// Its place in the list of the fleet file.
    pub place: u32,
    pub spec: HookSpec,
    pub state: HookState,
    /// How many tries were begun.
    pub attempt: u32,
    /// Before this moment it is not tried.
    pub due_at: Timestamp,
    /// When the last try began.
    pub started_at: Option<Timestamp>,
    /// When it was over, whatever came of it.
    pub ended_at: Option<Timestamp>,
    /// When a try failed last; `None` where none has, or a later one went well.
    pub failed_at: Option<Timestamp>,
    /// How the last try ended, as a sentence for people.
    pub outcome: Option<String>,
    /// The end of what it wrote.
    pub tail: Option<String>,
}

impl HookRun {
    /// What names its present try: the same when that is repeated, because its controller was killed, and another for the next one.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}", self.id.simple(), self.attempt)
    }

    /// What has to be known of it to say when it is tried.
    #[must_use]
    pub fn open(&self) -> Open {
        Open {
            builder: self.builder,
            point: self.point,
            place: self.place,
            due_at: self.due_at,
        }
    }
}

/// What has come of a try, or of a run that is not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEnd {
    pub state: HookState,
    /// When it is tried again, where it waits for that.
    pub due_at: Option<Timestamp>,
    /// How it ended, as a sentence for people.
    pub outcome: String,
    /// The end of what it wrote.
    pub tail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::HookState;

    #[test]
    fn each_state_has_a_word_that_is_read_again_and_those_that_wait_or_run_are_not_over() {
        for state in HookState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        let open = HookState::ALL.into_iter().filter(|state| !state.is_final());
        let open: Vec<_> = open.collect();
        assert_eq!(open, [HookState::Waiting, HookState::Running]);
        assert!("gone".parse::<HookState>().is_err());
    }
}
