//! What machines cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FleetSpec, HOSTS};
use crate::{
    offering::{Market, Offering},
    quantity::Price,
};

/// What an hour of one type of instance costs, in the currency of the cloud's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PricesSpec {
    /// On demand; not known when left out.
    pub on_demand: Option<Price>,
    /// In the spot market, about; not known when left out.
    pub spot: Option<Price>,
}

/// What some machines cost in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of those whose price is known.
    pub known: Price,
    /// How many have a price that is not known.
    pub unknown: u32,
}

impl Cost {
    /// What machines cost that have these prices.
    #[must_use]
    pub fn of(prices: impl Iterator<Item = Option<Price>>) -> Self {
        prices.fold(Self::default(), |cost, price| match price {
            Some(price) => Self {
                known: cost.known.plus(price),
                ..cost
            },
            None => Self {
                unknown: cost.unknown.saturating_add(1),
                ..cost
            },
        })
    }
}

impl FleetSpec {
    /// What an hour of a machine costs; `None` where that is not known. Fixed hosts cost nothing by the hour.
    #[must_use]
    pub fn price(&self, cloud: &str, offering: &Offering) -> Option<Price> {
        if cloud == HOSTS {
            return Some(Price::default());
        }
        let prices = self.clouds.get(cloud)?.prices.get(&offering.instance_type)?;
        match offering.market {
            Market::OnDemand => prices.on_demand,
            Market::Spot => prices.spot,
        }
    }

    /// Whether the file says what anything costs.
    #[must_use]
    pub fn has_prices(&self) -> bool {
        let mut all = self.clouds.values().map(|cloud| &cloud.prices);
        all.any(|prices: &BTreeMap<String, PricesSpec>| !prices.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_costs_what_the_file_says_of_its_type_in_its_market() {
        let fleet: FleetSpec = serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {
                "kind": "ec2", "region": "r", "credentials": {"source": "environment"},
                "prices": {"big": {"on-demand": 0.5, "spot": "0.125"}, "small": {"on-demand": 0.1}},
            }},
            "provision": {}, "pools": {},
        }))
        .unwrap();
        assert!(fleet.has_prices());
        let prices = [
            ("c", "big", Some("0.5")),
            ("c", "big@a spot<=0.3", Some("0.125")),
            ("c", "small", Some("0.1")),
            ("c", "small spot", None),
            ("c", "odd", None),
            ("d", "big", None),
            ("hosts", "rack-1", Some("0")),
        ]
        .map(|(cloud, offering, expected)| {
            let price = fleet.price(cloud, &offering.parse().unwrap());
            let written = price.map(|price| price.to_string());
            assert_eq!(written.as_deref(), expected, "{cloud} {offering}");
            price
        });
        let cost = Cost::of(prices.into_iter());
        assert_eq!((cost.known.to_string().as_str(), cost.unknown), ("0.725", 3));
        let largest = Price::from_millionths(u64::MAX);
        assert_eq!(largest.plus(largest), largest);
    }
}
