//! How many calls a cloud is asked.

use super::{CloudProfile, CloudSpec, Contradiction};
use crate::{calls::OF_POOLS, quantity::Decimal};

/// What a share may be, and a rate.
const LEAST: Decimal = Decimal::from_millionths(10_000);
const WHOLE: Decimal = Decimal::from_millionths(1_000_000);
const MOST_CALLS: Decimal = Decimal::from_millionths(1_000_000_000);

/// What is wrong with a cloud's limits of calls.
pub(super) fn of_calls(name: &str, cloud: &CloudSpec, found: &mut Vec<Contradiction>) {
    let mut within = |path: &[&str], given: Option<Decimal>, most: Decimal| {
        if let Some(given) = given.filter(|it| *it < LEAST || *it > most) {
            let words = format!("{given} is not from {LEAST} to {most}");
            found.push(Contradiction::new(path, words));
        }
    };
    let calls = &cloud.limits.calls;
    within(&["clouds", name, "api_share"], cloud.api_share, WHOLE);
    for (key, given) in [
        ("launch", calls.launch),
        ("change", calls.change),
        ("read", calls.read),
    ] {
        within(&["clouds", name, "limits", "calls", key], given, MOST_CALLS);
    }
    if cloud.api_share.is_some() && cloud.profile == CloudProfile::Eucalyptus {
        let words =
            "it is of the calls that Amazon documents; Eucalyptus documents none: write `limits.calls`";
        let here = Contradiction::new(&["clouds", name, "api_share"], words);
        found.push(here.beside(&["clouds", name, "profile"]));
    }
}

/// That a cloud has a name under which the launches of a pool are counted, if it has.
pub(super) fn of_name(name: &str) -> Option<Contradiction> {
    let words =
        format!("names that begin with `{OF_POOLS}` are those of pools' launches: name the cloud otherwise");
    name.starts_with(OF_POOLS)
        .then(|| Contradiction::new(&["clouds", name], words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::name_of_pool;

    fn cloud(keys: serde_json::Value) -> CloudSpec {
        let mut all =
            serde_json::json!({"kind": "ec2", "region": "r", "credentials": {"source": "environment"}});
        let keys = keys.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(keys);
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn no_cloud_has_a_name_under_which_the_launches_of_a_pool_are_counted() {
        let found = |name: &str| of_name(name).map(|it| it.to_string());
        let words = "clouds.pools.x86: names that begin with `pools.` are those of pools' launches: name the cloud otherwise";
        assert_eq!(
            found(&name_of_pool(&"x86".parse().unwrap())).as_deref(),
            Some(words)
        );
        assert_eq!((found("pools"), found("aws")), (None, None));
    }

    #[test]
    fn shares_and_rates_have_bounds() {
        for (keys, expected) in [
            (
                serde_json::json!({"api_share": 1, "limits": {"calls": {"read": 1000, "launch": 0.01}}}),
                vec![],
            ),
            (
                serde_json::json!({"api_share": 0}),
                vec!["clouds.c.api_share: 0 is not from 0.01 to 1"],
            ),
            (
                serde_json::json!({"api_share": 1.5}),
                vec!["clouds.c.api_share: 1.5 is not from 0.01 to 1"],
            ),
            (
                serde_json::json!({"limits": {"calls": {"change": 0.001, "read": 1001}}}),
                vec![
                    "clouds.c.limits.calls.change: 0.001 is not from 0.01 to 1000",
                    "clouds.c.limits.calls.read: 1001 is not from 0.01 to 1000",
                ],
            ),
            (
                serde_json::json!({"api_share": 0.5, "profile": "eucalyptus"}),
                vec![
                    "clouds.c.api_share: it is of the calls that Amazon documents; Eucalyptus documents none: write `limits.calls`",
                ],
            ),
        ] {
            let mut found = Vec::new();
            of_calls("c", &cloud(keys.clone()), &mut found);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{keys}");
        }
    }
}
