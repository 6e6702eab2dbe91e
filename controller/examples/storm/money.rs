//! What machines really cost, and whether their cloud may cost as much.

use std::{collections::BTreeMap, time::Duration};

use model::{BuilderId, Market, Offering};

use crate::most::Most;

/// What an hour of each type of machine costs, in millionths: on demand, and in the spot market.
pub(crate) const PRICES: [(&str, [u64; 2]); 2] = [("a", [1_000_000, 300_000]), ("b", [1_200_000, 400_000])];
/// By how much the farm may be mistaken: by clocks that differ by some seconds, of some machines.
const MISTAKEN_BY: u64 = 300_000;
const HOUR: u64 = 3600;

/// A price as the fleet file has it.
pub(crate) fn price(millionths: u64) -> String {
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

fn price_of(offering: &Offering) -> u64 {
    let of = PRICES.iter().find(|(kind, _)| *kind == offering.instance_type);
    let [on_demand, spot] = of.map_or([0, 0], |(_, prices)| *prices);
    match offering.market {
        Market::Spot => spot,
        Market::OnDemand => on_demand,
    }
}

/// A machine, as it is paid for.
#[derive(Debug)]
struct Paid {
    cloud: &'static str,
    builder: BuilderId,
    price: u64,
    from: Duration,
    to: Option<Duration>,
}

/// All machines that were paid for.
#[derive(Debug, Default)]
pub(crate) struct Money {
    paid: BTreeMap<String, Paid>,
    /// What each cloud may cost in a day.
    pub(crate) most: Most<&'static str>,
}

impl Money {
    /// A machine is made.
    pub(crate) fn made(
        &mut self,
        (cloud, id): (&'static str, &str),
        builder: BuilderId,
        offering: &Offering,
        now: Duration,
    ) {
        let paid = Paid {
            cloud,
            builder,
            price: price_of(offering),
            from: now,
            to: None,
        };
        self.paid.insert(id.to_owned(), paid);
    }

    /// A machine has ended.
    pub(crate) fn ended(&mut self, id: &str, now: Duration) {
        if let Some(paid) = self.paid.get_mut(id) {
            paid.to.get_or_insert(now);
        }
    }

    /// What is wrong with what a cloud costs while these builders have a machine, or ask for one, and are not on their way out. No
    /// machine is older than an hour: each of them counts as one hour, and those of others as they were there.
    pub(crate) fn mistake(
        &self,
        cloud: &'static str,
        serving: &BTreeMap<BuilderId, &Offering>,
        now: Duration,
    ) -> Option<String> {
        let most = self.most.of(&cloud)?;
        let others = self
            .paid
            .values()
            .filter(|it| it.cloud == cloud && !serving.contains_key(&it.builder));
        let others = others.map(|it| {
            let seconds = it.to.unwrap_or(now).saturating_sub(it.from).as_secs();
            it.price.saturating_mul(seconds) / HOUR
        });
        let spent: u64 = others.chain(serving.values().map(|it| price_of(it))).sum();
        (spent > most.saturating_add(MISTAKEN_BY)).then(|| {
            let (count, spent, most) = (serving.len(), price(spent), price(most));
            format!("cloud {cloud} costs {spent} with an hour of its {count} builders, and may cost {most}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    #[test]
    fn a_cloud_may_have_as_many_builders_as_there_is_room_for_an_hour_of_each_beside_what_others_cost() {
        let on_demand: Offering = "a".parse().unwrap();
        let spot: Offering = "b spot".parse().unwrap();
        assert_eq!((price_of(&on_demand), price_of(&spot)), (1_000_000, 400_000));
        let id = |number| BuilderId(uuid::Uuid::from_u128(number));
        let mut money = Money::default();
        money.most.allow("near", Some(2_000_000));
        money.most.allow("far", None);
        for (number, cloud) in [(1, "near"), (2, "near"), (3, "far")] {
            money.made((cloud, &number.to_string()), id(number), &on_demand, minutes(1));
        }
        let two = [(id(1), &on_demand), (id(2), &on_demand)];
        let three = two.into_iter().chain([(id(4), &spot)]).collect();
        let two = BTreeMap::from(two);
        assert_eq!(money.mistake("near", &two, minutes(50)), None);
        assert_eq!(money.mistake("far", &three, minutes(50)), None, "it has no limit");
        let words = money.mistake("near", &three, minutes(50)).unwrap();
        assert_eq!(
            words,
            "cloud near costs 2.400000 with an hour of its 3 builders, and may cost 2.000000"
        );
        // One that is on its way out counts as it was there.
        let left = BTreeMap::from([(id(1), &on_demand), (id(4), &spot)]);
        assert_eq!(money.mistake("near", &left, minutes(50)), None);
        assert!(money.mistake("near", &left, minutes(57)).is_some());
        money.ended("2", minutes(31));
        money.ended("2", minutes(57));
        assert_eq!(money.mistake("near", &left, minutes(57)), None);
    }

    #[test]
    fn prices_are_told_as_the_fleet_file_has_them() {
        assert_eq!([price(1_200_000), price(300_000)], ["1.200000", "0.300000"]);
    }
}
