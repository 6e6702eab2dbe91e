//! A simulated cloud: the truth of its machines, and what it says of them, which is another thing.

mod machine;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{InstanceState, LaunchId, Offering, step::launch::Reply};

use crate::luck::{Fault, Luck};
pub(crate) use machine::Run;
use machine::fate;
pub use machine::{Change, Machine, Shown, Tags};

/// How many addresses a cloud has: they are soon given out again.
const ADDRESSES: u64 = 60;

/// What is asked of a cloud for one builder.
#[derive(Clone, Debug)]
pub struct LaunchAsk {
    pub tags: Tags,
    pub offering: Offering,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Unreachable,
    Throttled,
    Refused,
    Unclear,
}

/// What is said of a launch, and the machine that was made with what it will do.
pub struct Said {
    pub reply: Reply,
    pub is_unreachable: bool,
    pub made: Vec<(Duration, String, Change)>,
}

/// A cloud.
#[derive(Debug)]
pub struct Cloud {
    pub machines: BTreeMap<String, Machine>,
    tokens: BTreeMap<LaunchId, String>,
    /// The tokens of machines that have ended and are forgotten.
    forgotten: BTreeSet<LaunchId>,
    short: BTreeMap<Offering, Duration>,
    quota_until: Duration,
    pub away_until: Duration,
    name: &'static str,
    quota: usize,
    shown_for: Duration,
    count: u64,
}

impl Cloud {
    pub const fn new(name: &'static str, quota: usize, shown_for: Duration) -> Self {
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
    pub fn calm_down(&mut self) {
        self.short.clear();
        (self.quota_until, self.away_until) = (Duration::ZERO, Duration::ZERO);
        for machine in self.machines.values_mut() {
            machine.forgets_end = false;
            machine.end_refused_until = Duration::ZERO;
        }
    }

    /// Why a call fails before anything is done; `None` where it gets through.
    pub fn trouble(&mut self, luck: &mut Luck, now: Duration) -> Option<Trouble> {
        if luck.strikes(Fault::Outage) {
            self.away_until = now.saturating_add(luck.seconds(30, 900));
        }
        if now < self.away_until || luck.strikes(Fault::Unreachable) {
            return Some(Trouble::Unreachable);
        }
        luck.strikes(Fault::Throttled).then_some(Trouble::Throttled)
    }

    /// Answers a launch.
    pub fn launch(&mut self, ask: &LaunchAsk, luck: &mut Luck, now: Duration) -> Said {
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
    pub fn make(&mut self, tags: Option<Tags>, luck: &mut Luck, now: Duration) -> String {
        self.count = self.count.saturating_add(1);
        let id = format!("i-{}-{:05}", self.name, self.count);
        let late = luck.strikes(Fault::ShownLate);
        let shown_from = now.saturating_add(if late {
            luck.seconds(1, 60)
        } else {
            luck.millis(1, 300)
        });
        let machine = Machine::made(tags, self.count, (now, shown_from), luck);
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
    pub fn change(
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
        self.machines.get_mut(id)?.change(change, free, (luck, now))
    }

    /// Takes the wish to end a machine; whether that begins now.
    pub fn terminate(&mut self, id: &str, luck: &mut Luck, now: Duration) -> Result<bool, Trouble> {
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
    pub fn list(&mut self, luck: &mut Luck, now: Duration) -> Result<Vec<Shown>, Trouble> {
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
    pub fn describe(&self, ids: &[String], luck: &mut Luck, now: Duration) -> Result<Vec<Shown>, Trouble> {
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
    pub fn at(&mut self, address: &str, now: Duration) -> Option<&mut Machine> {
        let answers = |it: &Machine| it.address.as_deref() == Some(address) && it.answers(now);
        self.machines.values_mut().find(|it| answers(it))
    }
}

#[cfg(test)]
mod tests;
