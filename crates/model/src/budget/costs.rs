//! What the machines of a fleet cost in each hour, or in each day, and for which pools.

use std::{collections::BTreeMap, time::Duration};

use super::{Rental, beginning, parts};
use crate::{Timestamp, fleet::FleetSpec, name::PoolName, offering::Offering, quantity::Price};

/// For how long machines of one kind were there for a pool within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineTime {
    /// The hour's beginning.
    pub hour: Timestamp,
    /// Their cloud, by the name in the fleet file.
    pub cloud: String,
    /// `None` where that is not known.
    pub pool: Option<PoolName>,
    /// What was asked for; `None` where that is not known.
    pub offering: Option<Offering>,
    /// The times of all of them together.
    pub time: Duration,
}

impl Rental<'_> {
    /// The time of this machine in each hour, from a moment to another.
    #[must_use]
    pub fn times(&self, since: Timestamp, now: Timestamp) -> Vec<MachineTime> {
        let Some(from) = self.since else {
            return Vec::new();
        };
        let hours = parts(from.max(since), now).into_iter();
        hours
            .map(|(hour, time)| MachineTime {
                hour,
                cloud: self.cloud.to_owned(),
                pool: Some(self.pool.clone()),
                offering: self.offering.cloned(),
                time,
            })
            .collect()
    }
}

/// What some machines cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// For how long they were there, all together.
    pub time: Duration,
    /// What those cost whose price is known.
    pub known: Price,
    /// The part of the time for which no price is known: it was more by what that cost.
    pub unpriced: Duration,
}

impl Bill {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            time: self.time.saturating_add(other.time),
            known: self.known.plus(other.known),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }
}

/// What the machines of a fleet cost within an hour or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bills {
    /// When it begins.
    pub begin: Timestamp,
    /// By pool; under `None` what was not kept by pools.
    pub pools: BTreeMap<Option<PoolName>, Bill>,
}

impl Bills {
    /// What all pools cost.
    #[must_use]
    pub fn total(&self) -> Bill {
        self.pools.values().copied().fold(Bill::default(), Bill::plus)
    }
}

impl FleetSpec {
    /// What machines cost in each part of such a length, the earliest first, by the prices that the file has. Parts without machines
    /// are left out.
    #[must_use]
    pub fn bills(&self, times: &[MachineTime], length: Duration) -> Vec<Bills> {
        let mut all: BTreeMap<Timestamp, BTreeMap<Option<PoolName>, Bill>> = BTreeMap::new();
        for one in times {
            let offering = one.offering.as_ref();
            let price = offering.and_then(|it| self.price(&one.cloud, it));
            let seconds = one.time.as_micros().div_ceil(1_000_000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            let bill = Bill {
                time: one.time,
                known: price.unwrap_or_default().for_seconds(seconds),
                unpriced: if price.is_none() { one.time } else { Duration::ZERO },
            };
            let pools = all.entry(beginning(one.hour, length)).or_default();
            let sum = pools.entry(one.pool.clone()).or_default();
            *sum = sum.plus(bill);
        }
        let all = all.into_iter();
        all.map(|(begin, pools)| Bills { begin, pools }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(86_400);
    const MINUTE: u64 = 60;
    /// 2026-11-29T22:00:00Z.
    const EVENING: Timestamp = Timestamp::from_micros(1_795_989_600_000_000);

    fn at(seconds: u64) -> Timestamp {
        EVENING.plus(Duration::from_secs(seconds))
    }

    fn fleet() -> FleetSpec {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {
                "kind": "ec2", "region": "r", "credentials": {"source": "environment"},
                "prices": {"big": {"on-demand": 2, "spot": "0.5"}},
            }},
            "provision": {}, "pools": {},
        }))
        .unwrap()
    }

    fn pool(name: &str) -> PoolName {
        name.parse().unwrap()
    }

    /// What a machine of a pool and an offering was there from one minute to another.
    fn times((name, offering): (&str, Option<&str>), from: Option<u64>, to: u64) -> Vec<MachineTime> {
        let (name, offering) = (pool(name), offering.map(|it| it.parse().unwrap()));
        let rental = Rental {
            cloud: "c",
            pool: &name,
            offering: offering.as_ref(),
            since: from.map(|minute| at(minute * MINUTE)),
            is_ending: false,
        };
        rental.times(at(0), at(to * MINUTE))
    }

    /// Beginning, pool, minutes, what is known, and minutes without a price.
    fn told(bills: &[Bills]) -> Vec<(Timestamp, String, u64, String, u64)> {
        let minutes = |time: Duration| time.as_secs() / MINUTE;
        let of = |bills: &Bills| {
            let begin = bills.begin;
            let rows = bills.pools.iter().map(move |(name, bill)| {
                let name = name.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
                let (time, unpriced) = (minutes(bill.time), minutes(bill.unpriced));
                (begin, name, time, bill.known.to_string(), unpriced)
            });
            rows.collect::<Vec<_>>()
        };
        bills.iter().flat_map(of).collect()
    }

    #[test]
    fn each_hour_and_each_day_costs_what_its_machines_do_pool_by_pool() {
        let mut all = times(("x86", Some("big")), Some(30), 150);
        all.extend(times(("x86", Some("big spot")), Some(60), 90));
        all.extend(times(("arm", Some("odd")), Some(0), 15));
        all.extend(times(("arm", None), Some(0), 15));
        all.extend(times(("arm", Some("big")), Some(0), 15));
        all.extend(times(("new", Some("big")), None, 600));
        let of_hours = fleet().bills(&all, HOUR);
        let row = |hour: u64, pool: &str, minutes, known: &str, unpriced| {
            (
                at(hour * 3600),
                pool.to_owned(),
                minutes,
                known.to_owned(),
                unpriced,
            )
        };
        assert_eq!(
            told(&of_hours),
            [
                row(0, "arm", 45, "0.5", 30),
                row(0, "x86", 30, "1", 0),
                row(1, "x86", 90, "2.25", 0),
                row(2, "x86", 30, "1", 0),
            ]
        );
        let total = of_hours[0].total();
        assert_eq!(
            (total.time, total.known.to_string(), total.unpriced),
            (HOUR * 75 / 60, "1.5".to_owned(), HOUR / 2)
        );
        // The third hour is the next day's first.
        let of_days = fleet().bills(&all, DAY);
        let yesterday = at(0).minus(HOUR * 22);
        let [first, second] = of_days.as_slice() else {
            panic!("{of_days:?}");
        };
        assert_eq!((first.begin, second.begin), (yesterday, yesterday.plus(DAY)));
        assert_eq!(first.total().known.to_string(), "3.75");
        assert_eq!(second.total().known.to_string(), "1");
        assert_eq!(fleet().bills(&[], HOUR), []);
    }

    #[test]
    fn a_machine_counts_from_the_moment_that_is_asked_for() {
        let long_ago = Rental {
            cloud: "c",
            pool: &pool("x86"),
            offering: None,
            since: Some(at(0).minus(DAY * 400)),
            is_ending: true,
        };
        let found = long_ago.times(at(0), at(90 * MINUTE));
        let told: Vec<_> = found.iter().map(|it| (it.hour, it.time)).collect();
        assert_eq!(told, [(at(0), HOUR), (at(3600), HOUR / 2)]);
    }
}
