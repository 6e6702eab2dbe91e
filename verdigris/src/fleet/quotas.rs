//! How many machines there are in each cloud with a limit, the fleet's and those of others in the account, and what was spent there.

use model::fleet::FleetSpec;
use serde_json::{Value, json};
use store::FleetView;

/// A line for each cloud of the fleet file with a limit.
pub(super) fn lines(fleet: &FleetSpec, view: &FleetView) -> Vec<String> {
    let mut lines = Vec::new();
    for cloud in fleet.clouds.keys() {
        let Some(quota) = controller::quota(fleet, cloud, view) else {
            continue;
        };
        let mut line = format!("cloud {cloud} has {} machines", quota.in_words());
        let known = view.others.get(cloud);
        if quota.others.is_none() {
            line.push_str(match known.and_then(|others| others.counted) {
                Some(_) => "; the last count of the others is too old",
                None => "; nobody has counted the others yet",
            });
            line.push_str(", and nothing is launched there before it is made");
        }
        if let Some(failure) = known.and_then(|others| others.failure.as_ref()) {
            line.push_str(&format!("; they cannot be counted: {failure}"));
        }
        lines.push(line);
    }
    let budgets = controller::budgets(fleet, view).into_values();
    lines.extend(budgets.map(|budget| budget.in_words()));
    lines
}

/// What was spent in each cloud with a limit of money, for programs: by the names of the clouds.
pub(super) fn budgets(fleet: &FleetSpec, view: &FleetView) -> Value {
    let budgets = controller::budgets(fleet, view).into_iter();
    let budgets = budgets.map(|(cloud, budget)| {
        let spent = budget.spent;
        let shown = json!({
            "per_day": budget.spec.per_day, "soft_from": budget.spec.soft_from(), "spent": spent.known,
            "set_aside": spent.set_aside, "unpriced": spent.unpriced, "no_headroom": budget.forbids_headroom(),
            "no_launches": budget.forbids_launches(),
        });
        (cloud, shown)
    });
    Value::Object(budgets.collect())
}

/// How many machines there are in each cloud with a limit, for programs: by the names of the clouds.
pub(super) fn as_json(fleet: &FleetSpec, view: &FleetView) -> Value {
    let quotas = fleet.clouds.keys().filter_map(|cloud| {
        let quota = controller::quota(fleet, cloud, view)?;
        let known = view.others.get(cloud);
        let counted_at = known
            .and_then(|others| others.counted)
            .map(|(_, at)| at.to_string());
        let shown = json!({
            "limit": quota.instances, "ours": quota.counted, "others": quota.others, "counted_at": counted_at,
            "failure": known.and_then(|others| others.failure.as_ref()),
        });
        Some((cloud.clone(), shown))
    });
    Value::Object(quotas.collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::BuilderState;
    use store::{Orphan, OtherMachines};

    use super::{
        super::testing::{self, NOW, builder, fleet, view},
        *,
    };

    fn stray(state: &str) -> Orphan {
        Orphan {
            state: state.to_owned(),
            ..testing::stray()
        }
    }

    #[test]
    fn each_cloud_with_a_limit_tells_what_is_ours_and_what_others_have() {
        let mut fleet = fleet(&[("x86", "arch:x86_64", [0, 3, 0], 0)]);
        let mut view = view(vec![builder(1, "x86", BuilderState::Busy)], vec![]);
        assert_eq!(lines(&fleet, &view), [""; 0], "no limit, no line");
        assert_eq!(as_json(&fleet, &view), json!({}));
        fleet.clouds.get_mut("c").unwrap().limits.instances = Some(40);
        let ago = |seconds| NOW.minus(Duration::from_secs(seconds));
        let no = || Some("the cloud refuses: no".to_owned());
        let blocked = "and nothing is launched there before it is made";
        for (counted, failure, strays, expected) in [
            (
                None,
                None,
                vec![],
                format!("1 + ? of others of 40 machines; nobody has counted the others yet, {blocked}"),
            ),
            (
                None,
                no(),
                vec![],
                format!(
                    "1 + ? of others of 40 machines; nobody has counted the others yet, {blocked}; they cannot be counted: the \
                     cloud refuses: no"
                ),
            ),
            (
                Some((2, ago(0))),
                None,
                vec![],
                "1 + 2 of others of 40 machines".to_owned(),
            ),
            // A stray is none of ours while it has no builder; one that is stopped takes up nothing on Amazon's.
            (
                Some((2, ago(0))),
                None,
                vec![stray("running")],
                "1 + 3 of others of 40 machines".to_owned(),
            ),
            (
                Some((2, ago(0))),
                None,
                vec![stray("stopped")],
                "1 + 2 of others of 40 machines".to_owned(),
            ),
            (
                Some((2, ago(899))),
                no(),
                vec![],
                "1 + 2 of others of 40 machines; they cannot be counted: the cloud refuses: no".to_owned(),
            ),
            (
                Some((2, ago(900))),
                None,
                vec![],
                format!("1 + ? of others of 40 machines; the last count of the others is too old, {blocked}"),
            ),
        ] {
            view.others = [("c".to_owned(), OtherMachines { counted, failure })].into();
            view.strays = strays;
            assert_eq!(lines(&fleet, &view), [format!("cloud c has {expected}")]);
            let shown = &as_json(&fleet, &view)["c"];
            assert_eq!((&shown["limit"], &shown["ours"]), (&json!(40), &json!(1)));
            assert_eq!(shown["others"].is_null(), expected.contains('?'), "{shown}");
        }
    }

    #[test]
    fn what_is_stopped_counts_where_the_cloud_counts_it() {
        let mut fleet = fleet(&[("x86", "arch:x86_64", [0, 3, 0], 0)]);
        let cloud = fleet.clouds.get_mut("c").unwrap();
        cloud.limits.instances = Some(40);
        cloud.profile = model::fleet::CloudProfile::Eucalyptus;
        let mut view = view(vec![builder(1, "x86", BuilderState::Busy)], vec![]);
        let others = OtherMachines {
            counted: Some((2, NOW)),
            failure: None,
        };
        view.others = [("c".to_owned(), others)].into();
        view.strays = vec![stray("stopped")];
        assert_eq!(
            lines(&fleet, &view),
            ["cloud c has 1 + 3 of others of 40 machines"]
        );
    }

    #[test]
    fn what_was_spent_is_told_with_what_follows() {
        let mut fleet = fleet(&[("x86", "arch:x86_64", [0, 3, 0], 0)]);
        let mut adopted = builder(2, "x86", BuilderState::Busy);
        adopted.created_at = NOW.minus(Duration::from_secs(1800));
        adopted.adopted = Some("t spot".parse().unwrap());
        let unknown = builder(3, "x86", BuilderState::Busy);
        let mut coming = builder(4, "x86", BuilderState::Planned);
        coming.instance_id = None;
        let mut view = view(vec![adopted, unknown, coming], vec![]);
        assert_eq!(budgets(&fleet, &view), json!({}));
        assert_eq!(lines(&fleet, &view), [""; 0]);
        let cloud = fleet.clouds.get_mut("c").unwrap();
        cloud.limits.money = serde_json::from_value(json!({"per_day": 9})).unwrap();
        cloud.prices = serde_json::from_value(json!({"t": {"on-demand": 2, "spot": 1}})).unwrap();
        view.ended = vec![model::budget::Ended {
            cloud: "c".to_owned(),
            offering: Some("t".parse().unwrap()),
            machines: 2,
            seconds: 7200,
        }];
        let known = "cloud c cost at least 4.5 of 9 in the last 24 hours, with 1 machine whose price is not known, and 2.5 \
                     is set aside for first hours of machines";
        assert_eq!(lines(&fleet, &view), [known]);
        let shown = &budgets(&fleet, &view)["c"];
        let expected = json!({
            "per_day": "9", "soft_from": "7.2", "spent": "4.5", "set_aside": "2.5", "unpriced": 1, "no_headroom": false,
            "no_launches": false,
        });
        assert_eq!(*shown, expected);
        view.ended[0].seconds = 7201;
        let told = lines(&fleet, &view);
        assert!(
            told[0].ends_with("machines: nothing more is launched there"),
            "{told:?}"
        );
        assert_eq!(budgets(&fleet, &view)["c"]["no_launches"], true);
    }
}
