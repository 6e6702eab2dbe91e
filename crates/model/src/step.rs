//! What is to be done for one builder next, and what a cloud's words mean for it. The controller carries it out.

pub mod difference;
pub mod launch;
pub mod live;
pub mod notice;
pub mod sight;

use std::time::Duration;

use crate::{BuilderId, BuilderState, Offering, Shortage, Timestamp};
use launch::{LaunchAnswer, Launches, Wanted};

/// How long a cloud is left alone between two demands to end one machine: longer, the longer it takes.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A builder, as far as its next step depends on it.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    pub id: BuilderId,
    pub state: BuilderState,
    /// Since when it is in its state.
    pub entered_at: Timestamp,
    /// Why it is, as a sentence for people.
    pub reason: Option<&'a str>,
    /// How the launches for it went.
    pub launches: Launches,
}

/// What is to be done for a builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: others move it on.
    Rest,
    /// Nothing for so long.
    Wait(Duration),
    /// A launch of this offering is written down, then the cloud is asked.
    Launch(Offering),
    /// The cloud is asked once more, with the token and in the words of the launch that is on record.
    AskAgain,
    /// It is connected to, provisioned and checked, from where it is.
    Prepare,
    /// It is connected to and cleaned, so that its sandbox may use it again.
    Clean,
    /// The cloud is told to end its instance.
    Terminate,
    /// It moves; nothing is done outside.
    Move(Move),
}

/// What a step takes up while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A call to a cloud, or less.
    Call,
    /// A connection to a machine.
    Machine,
}

/// A builder's move to another state, with what is known from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub to: BuilderState,
    /// Why, as a sentence for people.
    pub reason: String,
    /// What the cloud answered to the open launch, where it did.
    pub answer: Option<LaunchAnswer>,
    /// The cloud's id for its instance, where it is new.
    pub instance_id: Option<String>,
    /// The address of its instance, where it is new.
    pub address: Option<String>,
    /// Whether an attempt that is lost by it does not count as a try, and the builder not as its pool's failure.
    pub is_excused: bool,
    /// Whether its machine is gone, or its cloud has taken it back: there is nothing that could be kept for anybody.
    pub is_gone: bool,
    /// For one that gets ready: until when it may be used again after its next use; none: it may not.
    pub reusable_until: Option<Timestamp>,
    /// What its cloud has no more of, where it refused the launch.
    pub shortage: Option<Shortage>,
    /// What it is like before its first build, where that was looked at, as the builder's own program tells it.
    pub baseline: Option<String>,
}

impl Move {
    /// A move of which nothing more is known.
    #[must_use]
    pub fn new(to: BuilderState, reason: impl Into<String>) -> Self {
        Self {
            to,
            reason: reason.into(),
            answer: None,
            instance_id: None,
            address: None,
            is_excused: false,
            is_gone: false,
            reusable_until: None,
            shortage: None,
            baseline: None,
        }
    }
}

/// What the controller takes up for a builder in this state; `None` where it is not the controller that moves it on.
#[must_use]
pub const fn work(state: BuilderState) -> Option<Work> {
    use BuilderState as S;
    match state {
        S::Planned | S::Launching | S::Resolving | S::Draining | S::Terminating => Some(Work::Call),
        S::Booting | S::Provisioning | S::Checking | S::Cleaning => Some(Work::Machine),
        S::Pending | S::Ready | S::Reserved | S::Busy | S::Held | S::Terminated | S::Abandoned => None,
    }
}

/// The next step of a builder, which no other step is under way for. `wanted`: what its pool asks for by now, or why that is
/// nothing.
#[must_use]
pub fn next(builder: &Standing<'_>, wanted: &Result<Wanted, String>, now: Timestamp) -> Step {
    use BuilderState as S;
    match builder.state {
        S::Planned => launch::next(builder, wanted, now),
        // Nobody waits for the answer any more: the controller that asked is gone.
        S::Launching => Step::Move(Move::new(
            S::Resolving,
            "the controller was interrupted while it asked",
        )),
        S::Resolving => Step::AskAgain,
        S::Booting | S::Provisioning | S::Checking => Step::Prepare,
        S::Cleaning => Step::Clean,
        S::Draining => Step::Move(Move::new(S::Terminating, builder.reason.unwrap_or("drained"))),
        S::Terminating => Step::Terminate,
        S::Pending | S::Ready | S::Reserved | S::Busy | S::Held | S::Terminated | S::Abandoned => Step::Rest,
    }
}

/// How long to wait before a cloud is told once more to end a machine that it was told to end so long ago.
#[must_use]
pub fn pause_between_ends(waited: Duration) -> Duration {
    (waited / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    #[test]
    fn every_state_has_the_step_that_moves_it_on_and_what_takes_up_nothing_has_none() {
        use BuilderState as S;
        let wanted = Ok(Wanted {
            lines: vec![launch::Line::open(vec!["a".parse().unwrap()])],
            short: Vec::new(),
            tries: 3,
        });
        let to_move = |to, why: &str| Step::Move(Move::new(to, why));
        for state in S::ALL {
            let builder = Standing {
                id: BuilderId(uuid::Uuid::nil()),
                state,
                entered_at: NOW,
                reason: Some("an operator wants it"),
                launches: Launches::default(),
            };
            let (step, taken) = match state {
                S::Planned => (Step::Launch("a".parse().unwrap()), Some(Work::Call)),
                S::Launching => (
                    to_move(S::Resolving, "the controller was interrupted while it asked"),
                    Some(Work::Call),
                ),
                S::Resolving => (Step::AskAgain, Some(Work::Call)),
                S::Booting | S::Provisioning | S::Checking => (Step::Prepare, Some(Work::Machine)),
                S::Cleaning => (Step::Clean, Some(Work::Machine)),
                S::Draining => (to_move(S::Terminating, "an operator wants it"), Some(Work::Call)),
                S::Terminating => (Step::Terminate, Some(Work::Call)),
                _ => (Step::Rest, None),
            };
            assert_eq!(
                (next(&builder, &wanted, NOW), work(state)),
                (step.clone(), taken),
                "{state}"
            );
            if let Step::Move(step) = step {
                assert!(state.may_become(step.to), "{state}");
            }
        }
    }

    #[test]
    fn the_longer_a_machine_takes_to_end_the_more_rarely_its_cloud_is_told() {
        for (waited, pause) in [(0, 1), (1, 1), (2, 1), (10, 5), (600, 300), (9000, 300)] {
            let found = pause_between_ends(Duration::from_secs(waited));
            assert_eq!(found, Duration::from_secs(pause), "{waited}");
        }
    }
}
