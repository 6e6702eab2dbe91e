//! What is wrong with limits of money: one that could not hold.

use super::{CloudSpec, Contradiction, FleetSpec};
use crate::offering::Market;

/// What is wrong with the limit of one cloud.
pub(super) fn of_cloud(name: &str, cloud: &CloudSpec, found: &mut Vec<Contradiction>) {
    let Some(money) = &cloud.limits.money else { return };
    let path = ["clouds", name, "limits", "money"];
    if cloud.prices.is_empty() {
        let words = "nothing would ever be spent: the cloud has no `prices`";
        found.push(Contradiction::new(&path, words));
    }
    let (soft_from, per_day) = (money.soft_from(), money.per_day);
    if soft_from > per_day {
        let words = format!("{soft_from} is more than the {per_day} of `per_day`");
        let path = [&path[..], &["soft_from"]].concat();
        let beside = ["clouds", name, "limits", "money", "per_day"];
        found.push(Contradiction::new(&path, words).beside(&beside));
    }
}

/// Machines that pools ask for in a cloud with a limit, and whose price is not known: they would be rented without end.
pub(super) fn in_fleet(fleet: &FleetSpec, found: &mut Vec<Contradiction>) {
    for (pool, spec) in &fleet.pools {
        let limited = fleet.cloud_of(spec).and_then(|name| {
            let cloud = fleet.clouds.get(name)?;
            (cloud.limits.money.is_some() && !cloud.prices.is_empty()).then_some((name, cloud))
        });
        let Some((name, cloud)) = limited else { continue };
        for (index, line) in spec.offerings.iter().enumerate() {
            for (number, kind) in line.types.iter().enumerate() {
                let prices = cloud.prices.get(kind);
                let (word, price) = match line.market {
                    Market::OnDemand => ("on-demand", prices.and_then(|prices| prices.on_demand)),
                    Market::Spot => ("spot", prices.and_then(|prices| prices.spot)),
                };
                if price.is_some() {
                    continue;
                }
                let words = format!(
                    "`{kind}` has no `{word}` price in `clouds.{name}.prices`: what it costs would not count for the \
                     `limits.money` of {name}"
                );
                let (index, number) = (index.to_string(), number.to_string());
                let path = ["pools", pool.as_str(), "offerings", &index, "types", &number];
                let here = Contradiction::new(&path, words);
                found.push(here.beside(&["clouds", name, "prices"]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(prices: &str, offering: &str) -> Vec<String> {
        let fleet: FleetSpec = serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {
                "kind": "ec2", "region": "r", "credentials": {"source": "environment"},
                "prices": serde_json::from_str::<serde_json::Value>(prices).unwrap(),
                "limits": {"money": {"per_day": 10}},
            }},
            "images": {"i": {"cloud": "c", "id": "ami-1"}}, "provision": {"p": {}},
            "pools": {"x86": {
                "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1},
                "offerings": [serde_json::from_str::<serde_json::Value>(offering).unwrap()],
            }},
        }))
        .unwrap();
        let found = fleet.contradictions();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_machine_that_a_limited_cloud_is_asked_for_has_a_price_in_its_market() {
        let spot = r#"{"types": ["a", "b"], "market": "spot"}"#;
        for (prices, offering, expected) in [
            (r#"{"a": {"on-demand": 1}}"#, r#"{"types": ["a"]}"#, &[][..]),
            (
                r#"{"a": {"on-demand": 1}}"#,
                r#"{"types": ["a", "b"]}"#,
                &[
                    "pools.x86.offerings[0].types[1]: `b` has no `on-demand` price in `clouds.c.prices`: what it costs would not \
                   count for the `limits.money` of c",
                ],
            ),
            (
                r#"{"a": {"on-demand": 1, "spot": 0.5}, "b": {"on-demand": 1}}"#,
                spot,
                &[
                    "pools.x86.offerings[0].types[1]: `b` has no `spot` price in `clouds.c.prices`: what it costs would not count \
                   for the `limits.money` of c",
                ],
            ),
            (r#"{"a": {"spot": 1}, "b": {"spot": 1}}"#, spot, &[]),
            (
                "{}",
                spot,
                &["clouds.c.limits.money: nothing would ever be spent: the cloud has no `prices`"],
            ),
        ] {
            assert_eq!(told(prices, offering), expected, "{prices} {offering}");
        }
    }
}
