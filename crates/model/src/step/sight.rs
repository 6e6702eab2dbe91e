//! What it means for a builder that its cloud shows its instance, or does not. A sight is a fact; an absence only raises a
//! question.

use std::time::Duration;

use super::Move;
use crate::{BuilderState, Timestamp};

/// How long an instance must not be found before it counts as gone.
const ABSENCE_BELIEVED_AFTER: Duration = Duration::from_secs(60);
/// The same while most of what should be there is missing: then it is more likely that the cloud is wrong.
const ABSENCES_OF_MOST_BELIEVED_AFTER: Duration = Duration::from_secs(300);
/// How often, at least, it must not have been found by then.
const ABSENCES_BELIEVED: u32 = 3;
/// How long after it was told to end an instance that the cloud does not know counts as ended.
const END_BELIEVED_AFTER: Duration = Duration::from_secs(600);
/// How long an instance without a builder is watched before it is ended.
const ORPHAN_GRACE: Duration = Duration::from_secs(120);
/// How often it must have been seen by then.
const ORPHAN_SIGHTINGS: u32 = 2;
/// How often the machines that others have in a cloud's account are counted: a list of all of them is no small thing.
pub const COUNT_OTHERS_EVERY: Duration = Duration::from_secs(300);
/// How long such a count is used when there is no newer one.
const COUNT_BELIEVED_FOR: Duration = Duration::from_secs(900);

/// The states of an EC2 instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// Being made.
    Pending,
    Running,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// On its way to stopped.
    Stopping,
    /// Not running; its disk is kept and paid for.
    Stopped,
    /// A word that this program does not know.
    Unknown,
}

impl InstanceState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::ShuttingDown,
        Self::Terminated,
        Self::Stopping,
        Self::Stopped,
        Self::Unknown,
    ];

    /// The state of a word, which `Unknown` is for all words that EC2 does not have.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == word);
        found.unwrap_or(Self::Unknown)
    }

    /// Whether an instance in this state takes up a place of its account's quota. `with_stopped`: whether one that is stopped
    /// does, as on Eucalyptus, which counts all that are not terminated; Amazon counts what runs or is about to, and what has not
    /// quite ended.
    #[must_use]
    pub const fn uses_quota(self, with_stopped: bool) -> bool {
        match self {
            Self::Pending | Self::Running | Self::ShuttingDown | Self::Stopping | Self::Unknown => true,
            Self::Stopped => with_stopped,
            Self::Terminated => false,
        }
    }

    /// EC2's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}

/// An instance, as its cloud shows it.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The cloud's id for it.
    pub id: &'a str,
    pub state: InstanceState,
    /// Where it is reached; none while it has no address.
    pub address: Option<&'a str>,
    /// Why it is in its state, in the cloud's words.
    pub why: Option<&'a str>,
    /// Whether the cloud took it back, as it may with spot instances.
    pub is_taken_back: bool,
}

/// What the sight of its instance means for a builder in a state.
#[must_use]
pub fn seen(state: BuilderState, sight: &Sight<'_>) -> Option<Move> {
    let id = sight.id;
    match sight.state {
        InstanceState::Running if state == BuilderState::Pending => {
            let address = sight.address?;
            Some(Move {
                address: Some(address.to_owned()),
                ..Move::new(BuilderState::Booting, format!("instance {id} runs at {address}"))
            })
        }
        InstanceState::Running | InstanceState::Pending | InstanceState::Unknown => None,
        InstanceState::Terminated if state == BuilderState::Terminating => {
            let mut reason = "the cloud says that it is terminated".to_owned();
            if sight.is_taken_back
                && let Some(why) = sight.why
            {
                reason = format!("{reason}: {why}");
            }
            Some(Move {
                is_excused: sight.is_taken_back,
                ..Move::new(BuilderState::Terminated, reason)
            })
        }
        InstanceState::ShuttingDown
        | InstanceState::Terminated
        | InstanceState::Stopping
        | InstanceState::Stopped => {
            let why = sight.why.unwrap_or("no reason given");
            let words = format!("instance {id} is {}: {why}", sight.state.as_str());
            Some(Move {
                is_excused: sight.is_taken_back,
                ..gone(state, words)?
            })
        }
    }
}

/// What it means that the cloud no longer knows an instance; `waited`: for how long its builder is in its state. While
/// something is built there, its worker knows better: what it cannot reach any more it gives up by itself. One that was told to
/// end long ago has ended, and the cloud has forgotten it since, as EC2 does after an hour: nobody was there to see its last
/// state. One that `is_certain` shows all that it has, so that nothing has to be waited for.
#[must_use]
pub fn absent(state: BuilderState, id: &str, waited: Duration, is_certain: bool) -> Option<Move> {
    let words = format!("the cloud no longer knows instance {id}");
    match state {
        BuilderState::Busy => None,
        BuilderState::Terminating => {
            (is_certain || waited >= END_BELIEVED_AFTER).then(|| Move::new(BuilderState::Terminated, words))
        }
        _ => gone(state, words),
    }
}

/// Where a builder goes whose instance is of no more use. One that drains already goes on by itself: others may have to be told
/// before, which takes a little while.
fn gone(state: BuilderState, reason: String) -> Option<Move> {
    if state == BuilderState::Draining {
        return None;
    }
    [BuilderState::Terminating, BuilderState::Draining]
        .into_iter()
        .find(|to| state.may_become(*to))
        .map(|to| Move {
            is_gone: true,
            ..Move::new(to, reason)
        })
}

/// Whether an instance counts as gone that was looked for so often, for the first time so long ago, and never found.
/// `most_are_missing`: whether the cloud shows less than half of what it has shown before.
#[must_use]
pub fn is_absence_believed(times: u32, since_the_first: Duration, most_are_missing: bool) -> bool {
    let after = if most_are_missing {
        ABSENCES_OF_MOST_BELIEVED_AFTER
    } else {
        ABSENCE_BELIEVED_AFTER
    };
    times >= ABSENCES_BELIEVED && since_the_first >= after
}

/// Whether the cloud has shown the machine of a builder in this state, and was not told to end it.
#[must_use]
pub const fn was_shown(state: BuilderState) -> bool {
    use BuilderState as B;
    matches!(
        state,
        B::Booting
            | B::Provisioning
            | B::Checking
            | B::Ready
            | B::Reserved
            | B::Busy
            | B::Cleaning
            | B::Held
            | B::Draining
    )
}

/// Why a cloud is not to be believed that shows so many machines of those that it has shown before; `None` where it is.
#[must_use]
pub fn doubt(shown: usize, known: usize) -> Option<String> {
    let is_odd = shown.saturating_mul(2) < known;
    is_odd.then(|| format!("it shows {shown} of the {known} machines that it should have"))
}

/// Whether a count of the machines of others that was made then is still used.
#[must_use]
pub fn is_count_believed(counted_at: Timestamp, now: Timestamp) -> bool {
    now.since(counted_at) < COUNT_BELIEVED_FOR
}

/// Whether an instance with the fleet's tag and without a builder is ended: it was seen so often, for the first time at `first_at`.
#[must_use]
pub fn is_orphan_due(times_seen: u32, first_at: Timestamp, now: Timestamp) -> bool {
    times_seen >= ORPHAN_SIGHTINGS && now.since(first_at) >= ORPHAN_GRACE
}

/// How many of the orphans that are due, and that no cloud has been told to end, are ended now, where so many were in the last hour.
/// A database that was restored, or is another farm's, knows no builder of any machine: each would pass for an orphan, also where
/// builds run.
#[must_use]
pub fn orphans_to_end(due: usize, ended_lately: u32, per_hour: u32) -> usize {
    due.min(usize::try_from(per_hour.saturating_sub(ended_lately)).unwrap_or(usize::MAX))
}

/// How long after it is due an orphan is told of that nobody ends.
pub const ORPHANS_TOLD_OF_AFTER: Duration = Duration::from_secs(60);
/// In what time so many orphans are ended at most.
pub const REAPED_WITHIN: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
