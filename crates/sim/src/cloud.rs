//! A simulated cloud: the truth of its machines, and what it says of them, which is another thing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{
    AttemptId, BuilderId, Epoch, InstanceState, LaunchId, Market, Offering, PoolName, Sandbox,
    step::launch::Reply,
};

use crate::{
    luck::{Fault, Luck},
    store::Outcome,
};

/// How many addresses a cloud has: they are soon given out again.
const ADDRESSES: u64 = 60;

/// A machine, as it is.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Whose it is by its tags; `None` for another fleet's.
    pub(crate) tags: Option<Tags>,
    pub(crate) state: InstanceState,
    /// Since when, and what it was before.
    since: Duration,
    before: InstanceState,
    pub(crate) address: Option<String>,
    /// From when on it is found by lists and questions.
    shown_from: Duration,
    /// From when on its address is shown.
    address_from: Duration,
    /// From when on SSH answers; `None` before it runs, or where it never does.
    pub(crate) answers_from: Option<Duration>,
    /// The host key that answers; `None` for one that is not ours.
    pub(crate) key: Option<LaunchId>,
    pub(crate) is_taken_back: bool,
    /// Whether a request to end it is forgotten, and until when one is refused.
    forgets_end: bool,
    end_refused_until: Duration,
    /// Whose builds have run on it.
    pub(crate) sandbox: Option<Sandbox>,
    /// Whether a build ran there since it was last found clean.
    pub(crate) is_dirty: bool,
    pub(crate) has_residue: bool,
    pub(crate) run: Option<Run>,
    /// The highest number of an allocation that gave it orders.
    pub(crate) epoch: Epoch,
}

/// What a machine's tags say.
#[derive(Clone, Debug)]
pub(crate) struct Tags {
    pub(crate) pool: PoolName,
    pub(crate) builder: BuilderId,
    pub(crate) launch: LaunchId,
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
    pub(crate) const fn is_alive(&self) -> bool {
        !matches!(
            self.state,
            InstanceState::ShuttingDown | InstanceState::Terminated
        )
    }

    pub(crate) fn enter(&mut self, state: InstanceState, now: Duration) {
        (self.before, self.since, self.state) = (self.state, now, state);
    }
}

/// What a machine does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Runs,
    Dies,
    TakenBack,
    Stops,
    /// It is told to end, or goes on ending.
    Ends,
    /// It has ended.
    Ended,
}

/// What is asked of a cloud for one builder.
#[derive(Clone, Debug)]
pub(crate) struct LaunchAsk {
    pub(crate) tags: Tags,
    pub(crate) offering: Offering,
}

/// An instance, as a cloud shows it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) state: InstanceState,
    pub(crate) address: Option<String>,
    pub(crate) is_taken_back: bool,
    pub(crate) builder: Option<BuilderId>,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Unreachable,
    Throttled,
    Refused,
    Unclear,
}

/// What is said of a launch, and the machine that was made with what it will do.
pub(crate) struct Said {
    pub(crate) reply: Reply,
    pub(crate) is_unreachable: bool,
    pub(crate) made: Vec<(Duration, String, Change)>,
}

/// A cloud.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) machines: BTreeMap<String, Machine>,
    tokens: BTreeMap<LaunchId, String>,
    /// The tokens of machines that have ended and are forgotten.
    forgotten: BTreeSet<LaunchId>,
    short: BTreeMap<Offering, Duration>,
    quota_until: Duration,
    pub(crate) away_until: Duration,
    name: &'static str,
    quota: usize,
    shown_for: Duration,
    count: u64,
}

impl Cloud {
    pub(crate) const fn new(name: &'static str, quota: usize, shown_for: Duration) -> Self {
        Self {
            machines: BTreeMap::new(),
            tokens: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            short: BTreeMap::new(),
            quota_until: Duration::ZERO,
            away_until: Duration::ZERO,
            name,
            quota,
            shown_for,
            count: 0,
        }
    }

    /// From now on it does what it is told.
    pub(crate) fn calm_down(&mut self) {
        self.short.clear();
        (self.quota_until, self.away_until) = (Duration::ZERO, Duration::ZERO);
        for machine in self.machines.values_mut() {
            machine.forgets_end = false;
            machine.end_refused_until = Duration::ZERO;
        }
    }

    /// Why a call fails before anything is done; `None` where it gets through.
    pub(crate) fn trouble(&mut self, luck: &mut Luck, now: Duration) -> Option<Trouble> {
        if luck.strikes(Fault::Outage) {
            self.away_until = now.saturating_add(luck.seconds(30, 900));
        }
        if now < self.away_until || luck.strikes(Fault::Unreachable) {
            return Some(Trouble::Unreachable);
        }
        luck.strikes(Fault::Throttled).then_some(Trouble::Throttled)
    }

    /// Answers a launch.
    pub(crate) fn launch(&mut self, ask: &LaunchAsk, luck: &mut Luck, now: Duration) -> Said {
        let said = |reply| Said {
            reply,
            is_unreachable: false,
            made: Vec::new(),
        };
        match self.trouble(luck, now) {
            Some(Trouble::Unreachable) => {
                return Said {
                    is_unreachable: true,
                    ..said(Reply::Later("the cloud cannot be reached".to_owned()))
                };
            }
            Some(_) => return said(Reply::Later("the cloud asks for fewer calls".to_owned())),
            None => {}
        }
        let unclear = || Reply::Unclear("no clear answer".to_owned());
        let token = ask.tags.launch;
        if self.forgotten.contains(&token) {
            return said(Reply::Ended("the machine has ended".to_owned()));
        }
        if let Some(id) = self.tokens.get(&token) {
            let is_alive = self.machines.get(id).is_some_and(Machine::is_alive);
            return said(match is_alive {
                true if luck.strikes(Fault::Unanswered) => unclear(),
                true => Reply::Instance(id.clone()),
                false => Reply::Ended("the machine has ended".to_owned()),
            });
        }
        if let Some(code) = self.refusal(&ask.offering, luck, now) {
            let words = format!("the cloud refuses: {code}");
            return said(Reply::Refused {
                code: code.to_owned(),
                words,
            });
        }
        if luck.strikes(Fault::Unanswered) {
            return said(unclear());
        }
        let id = self.make(Some(ask.tags.clone()), luck, now);
        self.tokens.insert(token, id.clone());
        let reply = if luck.strikes(Fault::ActedUnanswered) {
            unclear()
        } else {
            Reply::Instance(id.clone())
        };
        Said {
            made: fate(&id, ask.offering.market, luck),
            ..said(reply)
        }
    }

    /// The code of a refusal.
    fn refusal(&mut self, offering: &Offering, luck: &mut Luck, now: Duration) -> Option<&'static str> {
        if luck.strikes(Fault::Capacity) {
            let until = now.saturating_add(luck.seconds(20, 900));
            self.short.insert(offering.clone(), until);
        }
        if luck.strikes(Fault::Quota) {
            self.quota_until = now.saturating_add(luck.seconds(20, 300));
        }
        let alive = self
            .machines
            .values()
            .filter(|machine| machine.is_alive())
            .count();
        if self.short.get(offering).is_some_and(|until| now < *until) {
            Some("InsufficientInstanceCapacity")
        } else if now < self.quota_until || alive >= self.quota {
            Some("InstanceLimitExceeded")
        } else {
            luck.strikes(Fault::Odd).then_some("Strange")
        }
    }

    /// Makes a machine.
    pub(crate) fn make(&mut self, tags: Option<Tags>, luck: &mut Luck, now: Duration) -> String {
        self.count = self.count.saturating_add(1);
        let id = format!("i-{}-{:05}", self.name, self.count);
        let late = luck.strikes(Fault::ShownLate);
        let key = tags.as_ref().map(|tags| tags.launch);
        let machine = Machine {
            key: key.filter(|_| !luck.strikes(Fault::StrangeKey)),
            tags,
            state: InstanceState::Pending,
            since: now,
            before: InstanceState::Pending,
            address: None,
            shown_from: now.saturating_add(if late {
                luck.seconds(1, 60)
            } else {
                luck.millis(1, 300)
            }),
            address_from: Duration::ZERO,
            answers_from: None,
            is_taken_back: false,
            forgets_end: luck.strikes(Fault::EndForgotten),
            end_refused_until: Duration::ZERO,
            sandbox: None,
            is_dirty: false,
            has_residue: false,
            run: None,
            epoch: Epoch(0),
        };
        self.machines.insert(id.clone(), machine);
        id
    }

    /// The first address that no machine has: what one gives back another soon gets.
    fn free_address(&self) -> Option<String> {
        let is_free = |address: &String| {
            !self
                .machines
                .values()
                .any(|it| it.address.as_ref() == Some(address))
        };
        let mut all = (0..ADDRESSES).map(|nth| format!("{}.{nth}", self.name));
        all.find(is_free)
    }

    /// A machine does something by itself, or goes on ending; what it does after that.
    pub(crate) fn change(
        &mut self,
        id: &str,
        change: Change,
        luck: &mut Luck,
        now: Duration,
    ) -> Option<(Duration, Change)> {
        let free = if change == Change::Runs {
            self.free_address()
        } else {
            None
        };
        let machine = self.machines.get_mut(id)?;
        match change {
            Change::Runs if machine.state == InstanceState::Pending => {
                machine.enter(InstanceState::Running, now);
                machine.address = free;
                if luck.strikes(Fault::AddressLate) {
                    machine.address_from = now.saturating_add(luck.seconds(1, 200));
                }
                if !luck.strikes(Fault::NeverAnswers) {
                    let slow = luck.strikes(Fault::BootsSlowly);
                    let boots = if slow {
                        luck.seconds(60, 400)
                    } else {
                        luck.seconds(5, 25)
                    };
                    machine.answers_from = Some(now.saturating_add(boots));
                }
                None
            }
            Change::Stops if machine.state == InstanceState::Running => {
                machine.enter(InstanceState::Stopped, now);
                (machine.answers_from, machine.run) = (None, None);
                None
            }
            Change::Dies | Change::TakenBack | Change::Ends if machine.is_alive() => {
                machine.is_taken_back = change == Change::TakenBack;
                machine.enter(InstanceState::ShuttingDown, now);
                (machine.answers_from, machine.run) = (None, None);
                let slow = luck.strikes(Fault::EndsSlowly);
                Some((
                    if slow {
                        luck.seconds(60, 2400)
                    } else {
                        luck.seconds(1, 15)
                    },
                    Change::Ended,
                ))
            }
            Change::Ended => {
                machine.enter(InstanceState::Terminated, now);
                machine.address = None;
                None
            }
            _ => None,
        }
    }

    /// Takes the wish to end a machine; whether that begins now.
    pub(crate) fn terminate(&mut self, id: &str, luck: &mut Luck, now: Duration) -> Result<bool, Trouble> {
        if let Some(trouble) = self.trouble(luck, now) {
            return Err(trouble);
        }
        let Some(machine) = self.machines.get_mut(id) else {
            return Ok(false);
        };
        if luck.strikes(Fault::EndRefused) {
            machine.end_refused_until = now.saturating_add(luck.seconds(5, 1200));
        }
        if now < machine.end_refused_until {
            return Err(Trouble::Refused);
        }
        // What was forgotten once is done when it is asked for again.
        let forgets = std::mem::take(&mut machine.forgets_end);
        Ok(machine.is_alive() && !forgets)
    }

    /// All that carries the fleet's tag, as far as a list shows it.
    pub(crate) fn list(&mut self, luck: &mut Luck, now: Duration) -> Result<Vec<Shown>, Trouble> {
        if let Some(trouble) = self.trouble(luck, now) {
            return Err(trouble);
        }
        self.forget(now);
        if luck.strikes(Fault::ListEmpty) {
            return Ok(Vec::new());
        }
        let (stale, partial) = (luck.strikes(Fault::ListStale), luck.strikes(Fault::ListPartial));
        let mut shown = Vec::with_capacity(self.machines.len());
        for (id, machine) in self.machines.iter().filter(|(_, it)| it.tags.is_some()) {
            let is_left_out = partial && luck.once_in(2);
            if now >= machine.shown_from && !is_left_out {
                shown.push(machine.shown(id, stale && luck.once_in(2), now));
            }
        }
        Ok(shown)
    }

    /// Single machines, those that are found.
    pub(crate) fn describe(
        &self,
        ids: &[String],
        luck: &mut Luck,
        now: Duration,
    ) -> Result<Vec<Shown>, Trouble> {
        if luck.strikes(Fault::DescribeFails) {
            return Err(Trouble::Unclear);
        }
        let mut shown = Vec::new();
        for id in ids {
            let machine = self.machines.get(id).filter(|it| now >= it.shown_from);
            if let Some(machine) = machine
                && !luck.strikes(Fault::DescribePartial)
            {
                shown.push(machine.shown(id, false, now));
            }
        }
        Ok(shown)
    }

    /// Forgets what ended long ago.
    fn forget(&mut self, now: Duration) {
        let is_over = |it: &Machine| {
            it.state == InstanceState::Terminated && now.saturating_sub(it.since) >= self.shown_for
        };
        let over: Vec<String> = self
            .machines
            .iter()
            .filter(|(_, it)| is_over(it))
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            let tags = self.machines.remove(&id).and_then(|it| it.tags);
            if let Some(Tags { launch, .. }) = tags {
                self.tokens.remove(&launch);
                self.forgotten.insert(launch);
            }
        }
    }

    /// The machine that answers at an address.
    pub(crate) fn at(&mut self, address: &str, now: Duration) -> Option<&mut Machine> {
        let answers = |it: &Machine| {
            it.address.as_deref() == Some(address)
                && it.state == InstanceState::Running
                && it.answers_from.is_some_and(|from| from <= now)
        };
        self.machines.values_mut().find(|it| answers(it))
    }
}

impl Machine {
    /// What the cloud tells of it: an older state where it is stale.
    fn shown(&self, id: &str, is_stale: bool, now: Duration) -> Shown {
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
fn fate(id: &str, market: Market, luck: &mut Luck) -> Vec<(Duration, String, Change)> {
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
    fate
}

#[cfg(test)]
mod tests;
