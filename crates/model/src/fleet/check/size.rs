//! What is wrong with how many machines a pool has, and when, and with when they are replaced.

use super::{Contradiction, PoolSpec};
use crate::quantity::Share;

/// What is wrong with its size and its schedule.
pub(super) fn of_pool(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    let size = &pool.size;
    let mut compare = |path: &[&str], count: Option<u32>| {
        if let Some(count) = count.filter(|count| *count > size.max) {
            let path: Vec<&str> = ["pools", name].iter().chain(path).copied().collect();
            let words = format!("{count} must not be above the max of {}", size.max);
            found.push(Contradiction::new(&path, words).beside(&["pools", name, "size", "max"]));
        }
    };
    // A part of those in use is never more than all.
    let number = |share: Share| match share {
        Share::Count(count) => Some(count),
        Share::Percent(_) => None,
    };
    compare(&["size", "min"], Some(size.min));
    compare(&["size", "idle"], number(size.idle));
    compare(&["size", "idle_cap"], size.idle_cap);
    for (index, line) in pool.schedule.iter().enumerate() {
        let index = index.to_string();
        compare(&["schedule", &index, "min"], line.min);
        compare(&["schedule", &index, "idle"], line.idle.and_then(number));
    }
    let of_lines = pool.left_of_lines(std::iter::empty());
    if let Some(most) = of_lines.filter(|most| size.min > *most) {
        let words = format!(
            "{} must not be above the `max` of all lines of offerings together: {most}",
            size.min
        );
        found.push(
            Contradiction::new(&["pools", name, "size", "min"], words).beside(&["pools", name, "offerings"]),
        );
    }
    for (index, line) in pool.schedule.iter().enumerate() {
        if line.min.is_none() && line.idle.is_none() {
            let words =
                "it changes nothing: `idle` or `min` says how many builders there are to be meanwhile";
            let path = ["pools", name, "schedule", &index.to_string()];
            found.push(Contradiction::new(&path, words));
        }
    }
    let is_never = matches!(pool.drift.budget, Share::Count(0) | Share::Percent(0));
    if pool.drift.when.is_some() && is_never {
        let words = "with a `budget` of 0 no builder is replaced at any time but those on which no build may begin, and these wait for none";
        let here = Contradiction::new(&["pools", name, "drift", "when"], words);
        found.push(here.beside(&["pools", name, "drift", "budget"]));
    }
    let mut shares = pool
        .schedule
        .iter()
        .filter_map(|line| line.idle)
        .chain([size.idle]);
    let words = match size.idle_cap {
        Some(0) => "with 0 no builder is ever held ready; without `idle` none is either",
        Some(_) if shares.all(|share| number(share).is_some()) => {
            "it is the most of an `idle` that is a part of the builders in use, such as 10%; there is none"
        }
        _ => return,
    };
    let here = Contradiction::new(&["pools", name, "size", "idle_cap"], words);
    found.push(here.beside(&["pools", name, "size", "idle"]));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::FleetSpec;

    fn found(size: Value, schedule: Value) -> Vec<String> {
        found_with(size, schedule, json!({}))
    }

    fn found_with(size: Value, schedule: Value, drift: Value) -> Vec<String> {
        let spec: FleetSpec = serde_json::from_value(json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
            "images": {"i": {"cloud": "c", "id": "ami-1"}},
            "provision": {"p": {}},
            "pools": {"here": {
                "labels": ["arch:x86_64"], "image": "i", "provision": "p", "offerings": [{"types": ["t"]}],
                "size": size, "schedule": schedule, "drift": drift,
            }},
        }))
        .unwrap();
        spec.contradictions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_time_for_replacing_builders_needs_a_budget_by_which_they_are_replaced() {
        for (drift, is_told) in [
            (json!({"budget": 0}), false),
            (json!({"when": {"hours": "01:00-05:00"}}), false),
            (json!({"budget": 1, "when": {"hours": "01:00-05:00"}}), false),
            (json!({"budget": 0, "when": {"hours": "01:00-05:00"}}), true),
            (json!({"budget": "0%", "when": {"hours": "01:00-05:00"}}), true),
        ] {
            let told = found_with(json!({"max": 1}), json!([]), drift.clone());
            let expected = "pools.here.drift.when: with a `budget` of 0 no builder is replaced at any time";
            assert_eq!(told.len(), usize::from(is_told), "{drift}: {told:?}");
            assert!(told.iter().all(|it| it.starts_with(expected)), "{told:?}");
        }
    }

    #[test]
    fn a_cap_is_of_a_part_of_the_builders_in_use_and_within_the_pool() {
        let line = |idle: Value| json!([{"hours": "07:00-19:00", "idle": idle}]);
        let of_none = "pools.here.size.idle_cap: it is the most of an `idle` that is a part of the builders in use, such as \
                       10%; there is none";
        for (size, schedule, expected) in [
            (json!({"max": 90, "idle": "10%", "idle_cap": 12}), json!([]), None),
            (json!({"max": 90, "idle": "100%"}), json!([]), None),
            (
                json!({"max": 90, "idle": 1, "idle_cap": 12}),
                line(json!("10%")),
                None,
            ),
            (
                json!({"max": 2, "idle": "10%", "idle_cap": 2}),
                line(json!(2)),
                None,
            ),
            (
                json!({"max": 2, "idle": "10%", "idle_cap": 3}),
                json!([]),
                Some("pools.here.size.idle_cap: 3 must not be above the max of 2"),
            ),
            (
                json!({"max": 90, "idle": 3, "idle_cap": 12}),
                json!([]),
                Some(of_none),
            ),
            (json!({"max": 90, "idle_cap": 12}), line(json!(3)), Some(of_none)),
            (
                json!({"max": 90, "idle": "10%", "idle_cap": 0}),
                json!([]),
                Some(
                    "pools.here.size.idle_cap: with 0 no builder is ever held ready; without `idle` none is either",
                ),
            ),
            (
                json!({"max": 2, "idle": 3}),
                json!([]),
                Some("pools.here.size.idle: 3 must not be above the max of 2"),
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(
                found(size.clone(), schedule.clone()),
                expected,
                "{size} {schedule}"
            );
        }
    }
}
