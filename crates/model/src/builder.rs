//! The life of a builder: its states, the moves it may make and how long it may stay where.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, build::UnknownState};

/// Where a builder stands, from the wish for it to the cloud's word that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuilderState {
    /// Wanted; nothing has been asked of the cloud.
    Planned,
    /// The cloud is being asked; token and parameters are on record.
    Launching,
    /// The cloud was asked and no clear answer came: there may be an instance.
    Resolving,
    /// There is an instance; it does not run yet, or has no address.
    Pending,
    /// It runs; SSH does not answer with the right host key yet.
    Booting,
    /// Its playbook is being run.
    Provisioning,
    /// The readiness check is being run.
    Checking,
    /// Free for an attempt.
    Ready,
    /// Given to an attempt that no worker has taken up yet.
    Reserved,
    /// An attempt is being driven on it.
    Busy,
    /// Being cleaned for another attempt of the same sandbox.
    Cleaning,
    /// Kept by an operator or a user, out of service.
    Held,
    /// Out of service; hooks may still run.
    Draining,
    /// The cloud is being told to end it, until it says that it has.
    Terminating,
    /// The cloud says that it is gone.
    Terminated,
    /// Given up before there was an instance.
    Abandoned,
}

use BuilderState as S;

impl BuilderState {
    /// Every state, in the order of the enum.
    pub const ALL: [Self; 16] = [
        S::Planned,
        S::Launching,
        S::Resolving,
        S::Pending,
        S::Booting,
        S::Provisioning,
        S::Checking,
        S::Ready,
        S::Reserved,
        S::Busy,
        S::Cleaning,
        S::Held,
        S::Draining,
        S::Terminating,
        S::Terminated,
        S::Abandoned,
    ];

    /// States on the way to `Ready`: supply that is coming.
    pub const STARTING: [Self; 7] = [
        S::Planned,
        S::Launching,
        S::Resolving,
        S::Pending,
        S::Booting,
        S::Provisioning,
        S::Checking,
    ];

    /// States on the way to its end: paid for, and of no use any more.
    pub const ENDING: [Self; 2] = [S::Draining, S::Terminating];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            S::Planned => "planned",
            S::Launching => "launching",
            S::Resolving => "resolving",
            S::Pending => "pending",
            S::Booting => "booting",
            S::Provisioning => "provisioning",
            S::Checking => "checking",
            S::Ready => "ready",
            S::Reserved => "reserved",
            S::Busy => "busy",
            S::Cleaning => "cleaning",
            S::Held => "held",
            S::Draining => "draining",
            S::Terminating => "terminating",
            S::Terminated => "terminated",
            S::Abandoned => "abandoned",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, S::Terminated | S::Abandoned)
    }

    /// Whether it counts against a pool's maximum: everything that is, or may be, a machine to pay for.
    #[must_use]
    pub const fn counts(self) -> bool {
        !self.is_final()
    }

    /// Whether a build is on it, is about to be, or has just been.
    #[must_use]
    pub const fn is_in_use(self) -> bool {
        matches!(self, S::Reserved | S::Busy | S::Cleaning)
    }

    /// Whether it goes on by itself to a state in which it may stay: it starts, is being cleaned, or ends.
    #[must_use]
    pub fn is_on_its_way(self) -> bool {
        self == S::Cleaning || Self::STARTING.contains(&self) || Self::ENDING.contains(&self)
    }

    /// The states that may follow. Busy never goes straight to terminating, nor does ready.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            S::Planned => &[S::Launching, S::Abandoned],
            S::Launching => &[S::Pending, S::Resolving, S::Planned, S::Abandoned],
            S::Resolving => &[S::Pending, S::Planned, S::Abandoned, S::Terminating],
            S::Pending => &[S::Booting, S::Terminating],
            S::Booting => &[S::Provisioning, S::Terminating],
            S::Provisioning => &[S::Checking, S::Terminating],
            S::Checking => &[S::Ready, S::Draining, S::Terminating],
            S::Ready => &[S::Checking, S::Reserved, S::Held, S::Draining],
            S::Reserved => &[S::Busy, S::Ready, S::Draining],
            S::Busy => &[S::Cleaning, S::Held, S::Draining],
            S::Cleaning => &[S::Ready, S::Held, S::Draining],
            S::Held => &[S::Draining],
            S::Draining => &[S::Terminating],
            S::Terminating => &[S::Terminated],
            S::Terminated | S::Abandoned => &[],
        }
    }

    /// Whether the move is one that a builder may make.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.next().contains(&next)
    }

    /// Where a builder goes at once that nobody will ever use, when it is on its way to be ready; `None` where its cloud's answer is
    /// waited for first, or it is not on its way.
    #[must_use]
    pub const fn when_unwanted(self) -> Option<Self> {
        match self {
            S::Planned => Some(S::Abandoned),
            S::Pending | S::Booting | S::Provisioning | S::Checking => Some(S::Terminating),
            _ => None,
        }
    }

    /// What becomes of a builder whose time in this state is over; `None` where only evidence ends a state.
    #[must_use]
    pub const fn when_overdue(self) -> Option<Self> {
        match self {
            S::Planned => Some(S::Abandoned),
            S::Launching => Some(S::Resolving),
            S::Pending | S::Booting | S::Provisioning | S::Checking | S::Draining => Some(S::Terminating),
            // No worker took it up, so that nothing has happened to it: it is as ready as it was.
            S::Reserved => Some(S::Ready),
            S::Busy | S::Cleaning | S::Held => Some(S::Draining),
            S::Ready | S::Resolving | S::Terminating | S::Terminated | S::Abandoned => None,
        }
    }
}

impl fmt::Display for BuilderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BuilderState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState {
                kind: "builder state",
                text: text.to_owned(),
            })
    }
}

/// How long a builder may stay in each state that has a clock. The defaults are those of nodepool and
/// Karpenter, rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the decision to rent it to the call.
    pub planned: Duration,
    /// From the call to the cloud's answer.
    pub launch: Duration,
    /// From the launch to a running instance with an address.
    pub pending: Duration,
    /// From there to SSH with the right host key.
    pub boot: Duration,
    /// For the run of the playbook that makes it a builder.
    pub provision: Duration,
    /// For the run of the playbook that checks it.
    pub check: Duration,
    /// From the assignment of an attempt to the moment at which a worker takes it up.
    pub reserved: Duration,
    /// The longest time without a sign of life of the worker: from the moment at which one takes an attempt up or over, and from each
    /// sign on.
    pub busy: Duration,
    /// For the cleaning after an attempt.
    pub clean: Duration,
    /// The longest hold whose end nobody has set.
    pub held: Duration,
    /// For what is still to be done before termination.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Deadlines {
    /// Those of a pool that says nothing else.
    pub const USUAL: Self = Self {
        planned: Duration::from_secs(600),
        launch: Duration::from_secs(60),
        pending: Duration::from_secs(300),
        boot: Duration::from_secs(300),
        provision: Duration::from_secs(900),
        check: Duration::from_secs(60),
        reserved: Duration::from_secs(60),
        busy: Duration::from_secs(90),
        clean: Duration::from_secs(120),
        held: Duration::from_secs(3600),
        drain: Duration::from_secs(30),
    };

    /// The time allowed in a state; `None` where there is no clock.
    #[must_use]
    pub const fn of(&self, state: BuilderState) -> Option<Duration> {
        match state {
            S::Planned => Some(self.planned),
            S::Launching => Some(self.launch),
            S::Pending => Some(self.pending),
            S::Booting => Some(self.boot),
            S::Provisioning => Some(self.provision),
            S::Checking => Some(self.check),
            S::Reserved => Some(self.reserved),
            S::Busy => Some(self.busy),
            S::Cleaning => Some(self.clean),
            S::Held => Some(self.held),
            S::Draining => Some(self.drain),
            S::Ready | S::Resolving | S::Terminating | S::Terminated | S::Abandoned => None,
        }
    }

    /// Until when a builder that was wished for at `created_at` may stay in a state that it comes to now. One that is put off
    /// again and again has the time of one wish.
    #[must_use]
    pub fn end_of(&self, state: BuilderState, created_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let since = if state == S::Planned { created_at } else { now };
        self.of(state).map(|limit| since.plus(limit))
    }
}

#[cfg(test)]
mod tests;
