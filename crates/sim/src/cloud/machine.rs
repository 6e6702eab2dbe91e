//! A machine of a simulated cloud: what it is, what it does by itself, and what its cloud shows of it.

use std::time::Duration;

use model::{AttemptId, BuilderId, Epoch, InstanceState, LaunchId, Market, PoolName, Sandbox};

use crate::{
    luck::{Fault, Luck},
    store::Outcome,
};

/// How long before a machine is taken back its cloud says so, where it does.
const NOTICE: u64 = 120;

/// A machine, as it is.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Whose it is by its tags; `None` for another fleet's.
    pub tags: Option<Tags>,
    pub state: InstanceState,
    /// Since when, and what it was before.
    pub(super) since: Duration,
    pub(super) before: InstanceState,
    pub address: Option<String>,
    /// From when on it is found by lists and questions.
    pub(super) shown_from: Duration,
    /// From when on its address is shown.
    pub(super) address_from: Duration,
    /// From when on SSH answers; `None` before it runs, or where it never does.
    pub answers_from: Option<Duration>,
    /// The host key that answers; `None` for one that is not ours.
    pub key: Option<LaunchId>,
    pub is_taken_back: bool,
    /// Whether a request to end it is forgotten, and until when one is refused.
    pub(super) forgets_end: bool,
    pub(super) end_refused_until: Duration,
    /// Whether it says nothing, though it runs.
    pub is_silent: bool,
    /// Whether it answers that it is not fit to build.
    pub is_sick: bool,
    /// How often it was started again.
    pub starts: u32,
    /// Whether its cloud has given notice that it takes it back, and whether it tells its machines anything.
    pub is_noticed: bool,
    pub has_metadata: bool,
    /// Its number among those of its cloud.
    pub number: u64,
    /// Whose builds have run on it.
    pub sandbox: Option<Sandbox>,
    /// Whether a build ran there since it was last found clean.
    pub is_dirty: bool,
    pub has_residue: bool,
    pub(crate) run: Option<Run>,
    /// The highest number of an allocation that gave it orders.
    pub epoch: Epoch,
}

/// What a machine's tags say.
#[derive(Clone, Debug)]
pub struct Tags {
    pub pool: PoolName,
    pub builder: BuilderId,
    pub launch: LaunchId,
}

/// A build that runs on a machine, or has ended there and was not collected.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) attempt: AttemptId,
    pub(crate) epoch: Epoch,
    pub(crate) ends_at: Duration,
    pub(crate) outcome: Outcome,
}

impl Machine {
    /// Whether it has not ended, and is not about to.
    pub const fn is_alive(&self) -> bool {
        !matches!(
            self.state,
            InstanceState::ShuttingDown | InstanceState::Terminated
        )
    }

    /// One that was just made, the machine of that number; `times`: now, and from when on it is shown.
    pub(super) fn made(
        tags: Option<Tags>,
        number: u64,
        (now, shown_from): (Duration, Duration),
        luck: &mut Luck,
    ) -> Self {
        let key = tags.as_ref().map(|tags| tags.launch);
        Self {
            key: key.filter(|_| !luck.strikes(Fault::StrangeKey)),
            tags,
            state: InstanceState::Pending,
            since: now,
            before: InstanceState::Pending,
            address: None,
            shown_from,
            address_from: Duration::ZERO,
            answers_from: None,
            is_taken_back: false,
            forgets_end: luck.strikes(Fault::EndForgotten),
            end_refused_until: Duration::ZERO,
            is_silent: false,
            is_sick: false,
            starts: 0,
            is_noticed: false,
            has_metadata: !luck.strikes(Fault::NoMetadata),
            number,
            sandbox: None,
            is_dirty: false,
            has_residue: false,
            run: None,
            epoch: Epoch(0),
        }
    }

    /// Whether SSH answers.
    pub fn answers(&self, now: Duration) -> bool {
        let is_up = self.state == InstanceState::Running && !self.is_silent;
        is_up && self.answers_from.is_some_and(|from| from <= now)
    }

    /// It does something by itself, or goes on ending; what it does after that. `free`: the address that it gets if it runs.
    pub(super) fn change(
        &mut self,
        change: Change,
        free: Option<String>,
        (luck, now): (&mut Luck, Duration),
    ) -> Option<(Duration, Change)> {
        let runs = self.state == InstanceState::Running;
        match change {
            Change::Runs if self.state == InstanceState::Pending => self.runs(free, (luck, now)),
            Change::Stops if runs => {
                self.enter(InstanceState::Stopped, now);
                (self.answers_from, self.run) = (None, None);
            }
            Change::FallsSilent(lasts) if runs => {
                self.is_silent = true;
                return lasts.map(|lasts| (lasts, Change::Answers));
            }
            Change::Answers => self.is_silent = false,
            Change::StartsAgain if runs => {
                self.starts = self.starts.saturating_add(1);
                let boots = luck.seconds(15, 60);
                self.answers_from = self.answers_from.map(|_| now.saturating_add(boots));
                // Its worker is told that what ran there is no more.
                if let Some(run) = &mut self.run {
                    (run.outcome, run.ends_at) = (Outcome::Broken, now);
                }
            }
            Change::FallsSick => self.is_sick = true,
            Change::IsNoticed => self.is_noticed = self.is_alive(),
            Change::Dies | Change::TakenBack | Change::Ends if self.is_alive() => {
                self.is_taken_back = change == Change::TakenBack;
                self.enter(InstanceState::ShuttingDown, now);
                (self.answers_from, self.run) = (None, None);
                let slow = luck.strikes(Fault::EndsSlowly);
                let takes = if slow {
                    luck.seconds(60, 2400)
                } else {
                    luck.seconds(1, 15)
                };
                return Some((takes, Change::Ended));
            }
            Change::Ended => {
                self.enter(InstanceState::Terminated, now);
                self.address = None;
            }
            _ => {}
        }
        None
    }

    fn runs(&mut self, free: Option<String>, (luck, now): (&mut Luck, Duration)) {
        self.enter(InstanceState::Running, now);
        self.address = free;
        if luck.strikes(Fault::AddressLate) {
            self.address_from = now.saturating_add(luck.seconds(1, 200));
        }
        if luck.strikes(Fault::NeverAnswers) {
            return;
        }
        let slow = luck.strikes(Fault::BootsSlowly);
        let boots = if slow {
            luck.seconds(60, 400)
        } else {
            luck.seconds(5, 25)
        };
        self.answers_from = Some(now.saturating_add(boots));
    }

    pub fn enter(&mut self, state: InstanceState, now: Duration) {
        (self.before, self.since, self.state) = (self.state, now, state);
    }
}

/// What a machine does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Runs,
    Dies,
    TakenBack,
    Stops,
    /// It says nothing for so long, though it runs and is shown; for ever where no time is given.
    FallsSilent(Option<Duration>),
    /// It answers again.
    Answers,
    StartsAgain,
    /// From now on it is not fit to build.
    FallsSick,
    /// Its cloud says that it takes it back.
    IsNoticed,
    /// It is told to end, or goes on ending.
    Ends,
    /// It has ended.
    Ended,
}

/// An instance, as a cloud shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub id: String,
    pub state: InstanceState,
    pub address: Option<String>,
    pub is_taken_back: bool,
    pub builder: Option<BuilderId>,
}

impl Machine {
    /// What the cloud tells of it: an older state where it is stale.
    pub(super) fn shown(&self, id: &str, is_stale: bool, now: Duration) -> Shown {
        let is_old = is_stale && now.saturating_sub(self.since) < Duration::from_secs(60);
        let state = if is_old { self.before } else { self.state };
        let has_address = matches!(state, InstanceState::Running) && now >= self.address_from;
        Shown {
            id: id.to_owned(),
            state,
            address: self.address.clone().filter(|_| has_address),
            is_taken_back: self.is_taken_back && !is_old,
            builder: self.tags.as_ref().map(|tags| tags.builder),
        }
    }
}

/// What a new machine will do, and when.
pub(super) fn fate(id: &str, market: Market, luck: &mut Luck) -> Vec<(Duration, String, Change)> {
    let mut fate = Vec::new();
    let mut will = |after, change| fate.push((after, id.to_owned(), change));
    if !luck.strikes(Fault::NeverRuns) {
        will(luck.seconds(3, 20), Change::Runs);
    }
    // At any time of its life: what it does is short, and what it waits for may be long.
    if luck.strikes(Fault::Dies) {
        will(luck.seconds(1, 600), Change::Dies);
    }
    if market == Market::Spot && luck.strikes(Fault::TakenBack) {
        will(luck.seconds(1, 600), Change::TakenBack);
    }
    if luck.strikes(Fault::Stops) {
        will(luck.seconds(1, 600), Change::Stops);
    }
    if luck.strikes(Fault::Silent) {
        let lasts = luck.seconds(5, 900);
        let lasts = Some(lasts).filter(|_| luck.once_in(2));
        will(luck.seconds(30, 600), Change::FallsSilent(lasts));
    }
    if luck.strikes(Fault::StartsAgain) {
        will(luck.seconds(30, 600), Change::StartsAgain);
    }
    if luck.strikes(Fault::Sick) {
        will(luck.seconds(30, 600), Change::FallsSick);
    }
    if market == Market::Spot && luck.strikes(Fault::Noticed) {
        let notice = luck.seconds(10, 600);
        will(notice, Change::IsNoticed);
        will(
            notice.saturating_add(Duration::from_secs(NOTICE)),
            Change::TakenBack,
        );
    }
    if market == Market::Spot && luck.strikes(Fault::FalseNotice) {
        will(luck.seconds(10, 600), Change::IsNoticed);
    }
    fate
}

#[cfg(test)]
mod tests;
