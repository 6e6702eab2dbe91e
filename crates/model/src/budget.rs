//! What the machines of a cloud with a limit of money cost, and what they may.
//!
//! A machine counts from the call that may have made it to its proven end, at the price that the fleet file has for what was asked
//! for. Of builders that live each counts by itself; of those that ended, the database keeps for how long they were there in each
//! hour, so that the sum does not cost more the more have ended.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Timestamp,
    fleet::{FleetSpec, HardLimit, MoneySpec, SoftLimit},
    name::PoolName,
    offering::Offering,
    quantity::Price,
};

pub mod costs;

/// Over how long what was spent is summed up.
const WINDOW: Duration = Duration::from_secs(86_400);
/// The time of ended machines is kept in such parts.
const HOUR: Duration = Duration::from_secs(3600);
/// For so long a machine is taken to be there when it is decided whether there may be one more.
const FIRST: Duration = HOUR;

/// For so long it is kept for how long machines were there.
const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);

/// The beginning of the hour that a moment is in, or of the day, in UTC, or of what else of such a length, counted since 1970.
#[must_use]
pub fn beginning(at: Timestamp, length: Duration) -> Timestamp {
    let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_micros(at.as_micros().div_euclid(length).saturating_mul(length))
}

/// Since when what was spent counts: since 24 hours ago, or since the beginning of the hour that this is in, so that it is never
/// too little.
#[must_use]
pub fn counts_since(now: Timestamp) -> Timestamp {
    beginning(now.minus(WINDOW), HOUR)
}

/// The first hour of which it is kept for how long machines were there.
#[must_use]
pub fn kept_since(now: Timestamp) -> Timestamp {
    beginning(now.minus(KEPT_FOR), HOUR)
}

/// How long a machine was there in each hour, by the hours' beginnings, as far as that is kept at its end.
#[must_use]
pub fn by_hours(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Duration)> {
    parts(from.max(kept_since(to)), to)
}

fn parts(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Duration)> {
    let mut parts = Vec::new();
    let mut at = from;
    while at < to {
        let hour = beginning(at, HOUR);
        let end = hour.plus(HOUR).min(to);
        parts.push((hour, end.since(at)));
        at = end;
    }
    parts
}

/// A builder that lives, as it is paid for.
#[derive(Clone, Copy, Debug)]
pub struct Rental<'a> {
    /// Its cloud, by the name in the fleet file.
    pub cloud: &'a str,
    pub pool: &'a PoolName,
    /// What was asked for; `None` where that is not known.
    pub offering: Option<&'a Offering>,
    /// Since when it is, or may be, a machine; `None`: it is none yet.
    pub since: Option<Timestamp>,
    /// Whether it is on its way out.
    pub is_ending: bool,
}

/// The machines of one offering that ended, as far as they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Their cloud, by the name in the fleet file.
    pub cloud: String,
    /// What was asked for; `None` where that is not known.
    pub offering: Option<Offering>,
    pub machines: u32,
    /// For how many seconds they were there, all together.
    pub seconds: u64,
}

/// What the machines of a cloud cost in the last 24 hours, and will in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// What those cost whose price is known.
    pub known: Price,
    /// What is set aside for those that came lately, or are about to come: the rest of their first hour.
    pub set_aside: Price,
    /// How many machines there were whose price is not known: it was more by what they cost.
    pub unpriced: u32,
}

impl Spent {
    /// Adds one builder that lives.
    fn add(&mut self, rental: &Rental<'_>, fleet: &FleetSpec, now: Timestamp) {
        let Some(since) = rental.since else {
            let next = fleet.launch_price(rental.pool);
            self.set_aside = self.set_aside.plus(next.unwrap_or_default());
            return;
        };
        let price = rental.offering.and_then(|it| fleet.price(rental.cloud, it));
        let Some(price) = price else {
            self.unpriced = self.unpriced.saturating_add(1);
            return;
        };
        let counted = now.since(since.max(counts_since(now)));
        self.known = self.known.plus(price.for_seconds(counted.as_secs()));
        if !rental.is_ending {
            let left = FIRST.saturating_sub(now.since(since));
            self.set_aside = self.set_aside.plus(price.for_seconds(left.as_secs()));
        }
    }

    /// Adds some that ended.
    fn add_ended(&mut self, ended: &Ended, fleet: &FleetSpec) {
        let offering = ended.offering.as_ref();
        match offering.and_then(|it| fleet.price(&ended.cloud, it)) {
            Some(price) => self.known = self.known.plus(price.for_seconds(ended.seconds)),
            None => self.unpriced = self.unpriced.saturating_add(ended.machines),
        }
    }
}

/// What may be spent in a cloud, and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The cloud, by its name in the fleet file.
    pub cloud: String,
    pub spec: MoneySpec,
    pub spent: Spent,
    /// What an hour of one more machine costs, of the dearest kind that may be asked for; nothing where no price is known.
    pub next: Price,
}

impl Budget {
    /// What may still be spent.
    #[must_use]
    pub fn left(&self) -> Price {
        self.spec
            .per_day
            .less(self.spent.known)
            .less(self.spent.set_aside)
    }

    /// The same after launches that leave so much.
    #[must_use]
    pub(crate) fn with_left(&self, left: Price) -> Self {
        let set_aside = self.spec.per_day.less(self.spent.known).less(left);
        Self {
            spent: Spent {
                set_aside: set_aside.max(self.spent.set_aside),
                ..self.spent
            },
            ..self.clone()
        }
    }

    /// Whether nothing more may be launched: an hour of one more machine would go beyond the limit.
    #[must_use]
    pub fn forbids_launches(&self) -> bool {
        let left = self.left();
        self.spec.hard == HardLimit::NoLaunches && (left == Price::default() || left < self.next)
    }

    /// Whether no builders are held ready any more.
    #[must_use]
    pub fn forbids_headroom(&self) -> bool {
        self.spec.soft == SoftLimit::NoHeadroom && self.spent.known >= self.spec.soft_from()
    }

    /// For everybody: that nothing more may be launched.
    #[must_use]
    pub fn in_public(&self) -> String {
        format!("cloud {} costs as much in 24 hours as it may", self.cloud)
    }

    /// For operators: what is spent and may be, and what follows.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self {
            cloud, spec, spent, ..
        } = self;
        let at_least = if spent.unpriced > 0 { "at least " } else { "" };
        let mut words = format!(
            "cloud {cloud} cost {at_least}{} of {} in the last 24 hours",
            spent.known, spec.per_day
        );
        match spent.unpriced {
            0 => {}
            1 => words.push_str(", with 1 machine whose price is not known"),
            more => words.push_str(&format!(", with {more} machines whose price is not known")),
        }
        if spent.set_aside > Price::default() {
            words.push_str(&format!(
                ", and {} is set aside for first hours of machines",
                spent.set_aside
            ));
        }
        if self.forbids_launches() {
            words.push_str(": nothing more is launched there");
        } else if spent.known >= spec.per_day {
            words.push_str(": that is all, and `hard` lets it go on");
        } else if self.forbids_headroom() {
            words.push_str(": no builders are held ready there");
        }
        words
    }
}

impl FleetSpec {
    /// What may be spent in each cloud with a limit of money, and is, with the least that one more machine of any pool there costs.
    #[must_use]
    pub fn budgets<'a>(
        &self,
        live: impl Iterator<Item = Rental<'a>>,
        ended: &[Ended],
        now: Timestamp,
    ) -> BTreeMap<String, Budget> {
        let limited = self.clouds.iter().filter_map(|(name, cloud)| {
            let budget = Budget {
                cloud: name.clone(),
                spec: cloud.limits.money.clone()?,
                spent: Spent::default(),
                next: self.least_launch_price(name),
            };
            Some((name.clone(), budget))
        });
        let mut budgets: BTreeMap<String, Budget> = limited.collect();
        if budgets.is_empty() {
            return budgets;
        }
        for rental in live {
            if let Some(budget) = budgets.get_mut(rental.cloud) {
                budget.spent.add(&rental, self, now);
            }
        }
        for some in ended {
            if let Some(budget) = budgets.get_mut(&some.cloud) {
                budget.spent.add_ended(some, self);
            }
        }
        budgets
    }

    /// What an hour of the dearest machine costs that a pool asks for; `None` where no price is known.
    #[must_use]
    pub fn launch_price(&self, pool: &PoolName) -> Option<Price> {
        let spec = self.pools.get(pool)?;
        let cloud = self.cloud_of(spec)?;
        let network = &self.clouds.get(cloud)?.network;
        let offerings = spec.all_offerings(network);
        offerings.iter().filter_map(|it| self.price(cloud, it)).max()
    }

    /// The budget of a pool's cloud, with what one more machine of this pool costs; `None` where there is no limit.
    #[must_use]
    pub fn budget_of(&self, pool: &PoolName, budgets: &BTreeMap<String, Budget>) -> Option<Budget> {
        let budget = budgets.get(self.cloud_of(self.pools.get(pool)?)?)?;
        Some(Budget {
            next: self.launch_price(pool).unwrap_or_default(),
            ..budget.clone()
        })
    }

    fn least_launch_price(&self, cloud: &str) -> Price {
        let pools = self
            .pools
            .iter()
            .filter(|(_, spec)| self.cloud_of(spec) == Some(cloud));
        let prices = pools.map(|(name, _)| self.launch_price(name).unwrap_or_default());
        prices.min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
