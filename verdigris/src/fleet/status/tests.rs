use model::{
    BuilderState,
    condition::Leadership,
    plan::{Plan, PoolReport},
};

use super::{
    super::testing::{attempt, builder, fleet, name, view},
    Status, json,
};

fn shown(notes: &[(&str, &str)]) -> Status {
    let report = |(pool, note): &(&str, &str)| PoolReport {
        pool: name(pool),
        counted: 0,
        starting: 0,
        ready: 0,
        launches: 0,
        note: (*note).to_owned(),
    };
    let mut cordoned = builder(3, "gone", BuilderState::Ready);
    cordoned.cordoned = true;
    Status {
        fleet: fleet(&[
            ("arm", "arch:aarch64", [0, 2, 0], 0),
            ("x86", "arch:x86_64", [1, 4, 1], 5),
        ]),
        view: view(
            vec![
                builder(1, "x86", BuilderState::Busy),
                builder(2, "x86", BuilderState::Booting),
                cordoned,
            ],
            (1..=5)
                .map(|number| attempt(number, "fedora-43-aarch64"))
                .collect(),
        ),
        plan: Ok(Plan {
            pools: notes.iter().map(report).collect(),
            ..Plan::default()
        }),
        condition: model::Condition {
            leadership: Leadership::Held {
                holder: "a:1".to_owned(),
            },
            ..model::Condition::default()
        },
        running: std::collections::BTreeMap::new(),
        orphans: Vec::new(),
        waiting: 5,
        hooks: Vec::new(),
        kept: Vec::new(),
    }
}

#[test]
fn the_table_has_what_each_pool_wants_has_and_lacks() {
    let held = "pool x86 is held back until 2026-11-29T12:05:00Z: its last 3 builders never got ready";
    let text = shown(&[("arm", "as wanted"), ("x86", held)]).as_text();
    let expected = "\
POOL  WANTED  BUILDERS  READY  BUSY  STARTING  ENDING  AT MOST  WHAT HOLDS IT BACK
arm   2       0         0      0     0         0       2        pool arm is at its maximum of 2, and 5 are asked for
gone  0       1         1      0     0         0       0        it is no longer in the fleet file
x86   2       2         0      1     1         0       4        pool x86 is held back until 2026-11-29T12:05:00Z: its last 3 builders never got ready

BUILDER                               POOL  STATE            FOR   INSTANCE  ADDRESS   WHAT
bdr_00000000000000000000000000000001  x86   busy             90 s  i-1       10.0.0.1  it is busy for a reason
bdr_00000000000000000000000000000002  x86   booting          90 s  i-2       10.0.0.2  it is booting for a reason
bdr_00000000000000000000000000000003  gone  ready, cordoned  90 s  i-3       10.0.0.3  it is ready for a reason

5 attempts wait for a builder; `verdigris fleet plan` says why.";
    assert_eq!(text, expected);
}

#[test]
fn the_same_is_in_json_with_null_where_nothing_is_in_the_way() {
    let shown = shown(&[("arm", "as wanted"), ("x86", "as wanted")]).as_json();
    let arm = &shown["pools"]["arm"];
    assert_eq!(
        (&arm["asked"], &arm["wanted"], &arm["max"]),
        (&json!(5), &json!(2), &json!(2))
    );
    assert_eq!(shown["pools"]["x86"]["holds_back"], json!(null));
    assert_eq!(
        shown["pools"]["gone"]["holds_back"],
        "it is no longer in the fleet file"
    );
    assert_eq!(
        (&shown["troubles"], &shown["at"]),
        (&json!([]), &json!("2026-11-29T12:00:00Z"))
    );
}

#[test]
fn builders_that_are_held_are_counted_in_a_column_and_told_by_the_hold_as_it_is_now() {
    let mut shown = shown(&[("arm", "as wanted"), ("x86", "as wanted")]);
    let mut builders = shown.view.builders.to_vec();
    let held = &mut builders[1];
    held.state = BuilderState::Held;
    held.reason = Some("held for operator for 1h: look".to_owned());
    held.mark = Some(model::mark::Mark {
        kind: model::mark::MarkKind::Held,
        by: "bob".to_owned(),
        why: "core dump".to_owned(),
        until: "2026-11-29T13:00:00Z".parse().ok(),
        lasts: None,
    });
    shown.view.builders = builders.into();
    let text = shown.as_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "POOL  WANTED  BUILDERS  READY  BUSY  HELD  STARTING  ENDING  AT MOST  WHAT HOLDS IT BACK"
    );
    assert!(
        lines[3].starts_with("x86   2       2         0      1     1     0         0       4        "),
        "{text}"
    );
    assert!(
        text.contains("10.0.0.2  held for bob until 2026-11-29T13:00:00Z: core dump\n"),
        "{text}"
    );
    assert!(!text.contains("operator"), "{text}");
}

#[test]
fn with_prices_it_shows_what_an_hour_costs() {
    let mut shown = shown(&[("arm", "as wanted"), ("x86", "as wanted")]);
    let prices = serde_json::json!({"c7i.xlarge": {"on-demand": 0.18}, "spare": {"spot": 0.05}});
    let cloud = shown.fleet.clouds.values_mut().next().unwrap();
    cloud.prices = serde_json::from_value(prices).unwrap();
    let cloud = shown.fleet.clouds.keys().next().unwrap().clone();
    let mut builders = shown.view.builders.to_vec();
    for (it, offering) in builders.iter_mut().zip(["c7i.xlarge@a", "spare", "c7i.xlarge"]) {
        it.cloud.clone_from(&cloud);
        it.launch = Some(launch_of(offering));
    }
    shown.view.builders = builders.into();
    let text = shown.as_text();
    for line in [
        "POOL  WANTED  BUILDERS  READY  BUSY  STARTING  ENDING  AT MOST  COST AN HOUR     WHAT HOLDS IT BACK",
        "arm   2       0         0      0     0         0       2        0                pool arm is at",
        "gone  0       1         1      0     0         0       0        0.18             it is no longer",
        "x86   2       2         0      1     1         0       4        0.18 and 1 more  -",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let pools = &shown.as_json()["pools"];
    assert_eq!(pools["x86"]["cost_per_hour"], "0.18");
    assert_eq!(pools["x86"]["without_price"], 1);
    assert_eq!(shown.as_json()["budgets"], json!({}), "the file has no limit");
}

#[test]
fn what_a_cloud_with_a_limit_of_money_cost_is_told_below_the_builders() {
    let mut shown = shown(&[("arm", "as wanted"), ("x86", "as wanted")]);
    let cloud = shown.fleet.clouds.values_mut().next().unwrap();
    cloud.limits.money = serde_json::from_value(json!({"per_day": 0.125})).unwrap();
    cloud.prices = serde_json::from_value(json!({"t": {"on-demand": 1}})).unwrap();
    let mut builders = shown.view.builders.to_vec();
    builders.truncate(1);
    builders[0].adopted = Some("t".parse().unwrap());
    shown.view.builders = builders.into();
    let text = shown.as_text();
    let told = "\ncloud c cost 0.025 of 0.125 in the last 24 hours, and 0.975 is set aside for first hours of machines: \
                nothing more is launched there\n";
    assert!(text.contains(told), "{text}");
    let budget = &shown.as_json()["budgets"]["c"];
    assert_eq!(
        (&budget["spent"], &budget["no_launches"]),
        (&json!("0.025"), &json!(true))
    );
    assert_eq!(
        shown.as_json()["pools"]["x86"]["cost_per_hour"],
        "1",
        "an adopted one has a price"
    );
}

fn launch_of(offering: &str) -> store::LaunchAttempt {
    store::LaunchAttempt {
        id: model::LaunchId(uuid::Uuid::nil()),
        offering: offering.parse().unwrap(),
        params_hash: String::new(),
        asked_at: model::Timestamp::from_micros(0),
        answered_at: None,
        answer: None,
        outcome: None,
    }
}

#[test]
fn without_a_plan_the_rest_is_shown_and_why_there_is_none() {
    let mut shown = shown(&[]);
    shown.plan = Err("loading playbooks: there is no directory x".to_owned());
    let text = shown.as_text();
    let told =
        "! what holds pools back is not known: loading playbooks: there is no directory x\n\nPOOL  WANTED";
    assert!(text.starts_with(told), "{text}");
    assert_eq!(shown.as_json()["troubles"].as_array().unwrap().len(), 1);
    shown.fleet.pools.clear();
    shown.view.builders = std::sync::Arc::default();
    let text = shown.as_text();
    assert!(
        text.contains("There is no pool in the fleet file: nothing is built."),
        "{text}"
    );
}

mod kept;
