use std::collections::BTreeMap;

use model::{BuilderState, fleet::FleetSpec};
use serde_json::{Value, json};

use super::{
    super::testing::{builder, fleet, name, snapshot, view},
    Diff, FleetView, beyond, changes, moves, outdated, warnings,
};

/// Two pools, of which the one is preferred.
fn present() -> FleetSpec {
    fleet(&[
        ("big", "arch:x86_64", [0, 2, 0], 0),
        ("x86", "arch:x86_64", [0, 2, 0], 5),
    ])
}

fn diff(present: &FleetSpec, new: &FleetSpec, view: &FleetView, made_otherwise: &[&str]) -> Diff {
    let of = |fleet: &FleetSpec, outdated: &[&str]| {
        let snapshot = snapshot(fleet, view, outdated);
        let plan = model::plan(&snapshot);
        (snapshot, plan)
    };
    let (now, then) = (of(present, &[]), of(new, made_otherwise));
    Diff {
        present: "fleet.yaml".to_owned(),
        new: "new.yaml".to_owned(),
        warnings: warnings(present, new, view),
        changes: changes(present, new).unwrap(),
        outdated: outdated(&now.0, &then.0),
        pools: moves(&now, &then),
        more: beyond(&now.1, &then.1, view),
        less: beyond(&then.1, &now.1, view),
    }
}

#[test]
fn what_changes_is_told_with_what_follows_for_builders_and_for_the_next_round() {
    let mut new = fleet(&[
        ("arm", "arch:aarch64", [1, 2, 0], 0),
        ("x86", "arch:x86_64", [0, 4, 1], 5),
    ]);
    new.images.get_mut("i").unwrap().id = Some("ami-2".to_owned());
    let view = view(
        vec![
            builder(1, "big", BuilderState::Ready),
            builder(2, "x86", BuilderState::Busy),
            builder(3, "x86", BuilderState::Booting),
            builder(4, "x86", BuilderState::Terminating),
            builder(5, "big", BuilderState::Busy),
        ],
        vec![],
    );
    let found = diff(&present(), &new, &view, &["x86"]);
    let expected = "\
CHANGE   KEY                  NOW    THEN
changed  images.i.id          ami-1  ami-2
added    pools.arm            -      {...}
removed  pools.big            {...}  -
changed  pools.x86.size.idle  0      1
changed  pools.x86.size.max   2      4

OUTDATED                              POOL  STATE    WHAT BECOMES OF IT
bdr_00000000000000000000000000000001  big   ready    its pool is gone: the next round drains it
bdr_00000000000000000000000000000002  x86   busy     its attempt ends, then it goes as it would anyway
bdr_00000000000000000000000000000003  x86   booting  it takes no builds, and is drained when it is ready
bdr_00000000000000000000000000000005  big   busy     its pool is gone: its attempt ends, then it goes

POOL  LAUNCHES NOW  THEN  DRAINS NOW  THEN
arm   0             1     0           0
big   0             0     0           1
x86   0             1     0           0

The next round would do besides:
  drain    bdr_00000000000000000000000000000001: pool big is no longer in fleet.yaml
  launch   a builder of pool arm: the pool has 0 of at least 1 builders
  launch   a builder of pool x86: the pool has 0 of 1 spare builders
";
    assert_eq!(found.as_text(), expected);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["changes"][1]["now"], Value::Null);
    assert_eq!(json["changes"][1]["then"]["size"]["max"], 2);
    assert_eq!(json["outdated"][1]["state"], "busy");
    assert_eq!(json["pools"]["big"]["then"], json!({"launches": 0, "drains": 1}));
}

#[test]
fn what_would_not_be_done_any_more_is_told_as_well() {
    let present = fleet(&[("x86", "arch:x86_64", [3, 3, 0], 0)]);
    let new = fleet(&[("x86", "arch:x86_64", [1, 3, 0], 0)]);
    let text = diff(&present, &new, &view(vec![], vec![]), &[]).as_text();
    let expected = "\
CHANGE   KEY                 NOW  THEN
changed  pools.x86.size.min  3    1

No builder becomes outdated.

POOL  LAUNCHES NOW  THEN  DRAINS NOW  THEN
x86   3             1     0           0

The next round would do besides:
  launch   a builder of pool x86: the pool has 0 of at least 1 builders

It would not do any more:
  launch   a builder of pool x86: the pool has 0 of at least 3 builders
  launch   a builder of pool x86: the pool has 1 of at least 3 builders
  launch   a builder of pool x86: the pool has 2 of at least 3 builders
";
    assert_eq!(text, expected);
}

#[test]
fn the_same_words_more_than_once_are_one_line_with_a_count() {
    let plans = [1, 4].map(|idle| {
        let fleet = fleet(&[("x86", "arch:x86_64", [0, 9, idle], 0)]);
        model::plan(&snapshot(&fleet, &view(vec![], vec![]), &[]))
    });
    let nobody = view(vec![], vec![]);
    let more = beyond(&plans[0], &plans[1], &nobody);
    assert_eq!(more.len(), 4, "{more:?}");
    let twice = model::plan::Plan {
        actions: [plans[0].actions.clone(), plans[0].actions.clone()].concat(),
        ..model::plan::Plan::default()
    };
    let words = "launch   a builder of pool x86: the pool has 0 of 1 spare builders";
    assert_eq!(
        beyond(&plans[0], &twice, &nobody),
        BTreeMap::from([(words.to_owned(), 1)])
    );
    assert_eq!(beyond(&twice, &plans[0], &nobody), BTreeMap::new());
    let none = model::plan::Plan::default();
    let found = Diff {
        more: beyond(&none, &twice, &nobody),
        ..diff(&present(), &fleet(&[]), &nobody, &[])
    };
    assert!(
        found.as_text().contains(&format!("  {words} (2 times)\n")),
        "{}",
        found.as_text()
    );
}

#[test]
fn what_becomes_of_the_builders_of_a_pool_that_goes_is_told_by_their_state_and_only_once() {
    let view = view(
        (1..)
            .zip(BuilderState::ALL)
            .map(|(number, state)| builder(number, "big", state))
            .collect(),
        vec![],
    );
    let mut without = present();
    without.pools.remove(&name("big"));
    // Whatever they are made of, they go.
    let [now, then] = [&present(), &without].map(|fleet| snapshot(fleet, &view, &["big"]));
    let told = |state: BuilderState| {
        let found = outdated(&now, &then);
        let one = found.into_iter().find(|it| it.state == state);
        one.map(|it| it.outcome)
    };
    use BuilderState as S;
    for (state, expected) in [
        (S::Planned, Some("it is given up, and no machine is asked for")),
        (
            S::Launching,
            Some("it is ended as soon as its cloud has said what became of its launch"),
        ),
        (S::Booting, Some("the next round ends it")),
        (S::Ready, Some("the next round drains it")),
        (S::Reserved, Some("its attempt ends, then it goes")),
        (S::Cleaning, Some("it is cleaned, and then it goes")),
        (S::Held, Some("it is held until its time, and then it goes")),
        (S::Draining, None),
        (S::Terminated, None),
    ] {
        let expected = expected.map(|words| format!("its pool is gone: {words}"));
        assert_eq!(told(state).map(str::to_owned), expected, "{state}");
    }
    assert_eq!(outdated(&then, &then), [], "it was gone before");
}

#[test]
fn a_builder_that_is_outdated_anyway_is_no_news() {
    let there = ["big", "x86"].iter().zip(1..);
    let there = there.map(|(pool, number)| builder(number, pool, BuilderState::Ready));
    let view = view(there.collect(), vec![]);
    let [now, then] = [&["x86"][..], &["big", "x86"]].map(|of| snapshot(&present(), &view, of));
    let found = outdated(&now, &then);
    assert_eq!(
        found.iter().map(|it| it.pool.as_str()).collect::<Vec<_>>(),
        ["big"]
    );
    assert_eq!(outdated(&then, &now), []);
}

#[test]
fn a_file_that_says_the_same_changes_nothing() {
    let (same, nobody) = (present(), view(vec![], vec![]));
    let text = diff(&same, &same, &nobody, &[]).as_text();
    assert_eq!(text, "Nothing changes: new.yaml says what fleet.yaml says.\n");
}

#[test]
fn keys_are_compared_one_by_one_and_lists_as_a_whole() {
    type Edit = fn(&mut FleetSpec);
    let cases: &[(Edit, &str, Value, Value)] = &[
        (
            |it| it.name = "other".to_owned(),
            "name",
            json!("test"),
            json!("other"),
        ),
        (
            |it| {
                it.pools.get_mut(&name("big")).unwrap().offerings[0]
                    .types
                    .push("u".to_owned())
            },
            "pools.big.offerings",
            json!([{"types": ["t"], "zones": [], "market": "on-demand", "max_price": null, "max": null, "after": null}]),
            json!([{"types": ["t", "u"], "zones": [], "market": "on-demand", "max_price": null, "max": null, "after": null}]),
        ),
        (
            |it| it.clouds.get_mut("c").unwrap().endpoint = Some("http://x".to_owned()),
            "clouds.c.endpoint",
            Value::Null,
            json!("http://x"),
        ),
        (
            |it| it.provision.get_mut("p").unwrap().timeouts.boot = Some(model::quantity::Span::seconds(60)),
            "provision.p.timeouts.boot",
            Value::Null,
            json!("1m"),
        ),
    ];
    for (edit, key, now, then) in cases {
        let mut new = present();
        edit(&mut new);
        let found = changes(&present(), &new).unwrap();
        let [change] = found.as_slice() else {
            panic!("{found:?}");
        };
        let sides = (change.key.as_str(), change.now.as_ref(), change.then.as_ref());
        assert_eq!(sides, (*key, Some(now), Some(then)));
    }
}

#[test]
fn another_id_and_a_cloud_that_is_gone_are_warned_of() {
    let mut new = present();
    new.fleet = "019a0000-0000-7000-8000-000000000009".parse().unwrap();
    new.clouds = BTreeMap::new();
    let there = view(vec![builder(1, "big", BuilderState::Ready)], vec![]);
    let text = diff(&present(), &new, &there, &[]).as_text();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "! `fleet` is another one, 019a0000-0000-7000-8000-000000000009: a controller refuses to start with it while builders \
             of 019a0000-0000-7000-8000-000000000001 are on record, and 1 builder is",
            "! clouds.c is gone; it is kept until what is left there has ended: 1 builder",
        ]
    );
    let mut moved = present();
    moved.clouds.get_mut("c").unwrap().region = "elsewhere".to_owned();
    let told = warnings(&present(), &moved, &there);
    assert!(
        told[0].starts_with("a controller refuses it: clouds.c.region was `") && told.len() == 1,
        "{told:?}"
    );
    // An instance that no builder has is left there as well, but one that an operator has left alone is not.
    let stray = |ignored| store::Orphan {
        ignored,
        ..super::super::testing::stray()
    };
    let alone = model::stray::Ignored {
        by: "alice".to_owned(),
        why: String::new(),
    };
    for (builders, strays, left) in [
        (
            1,
            vec![stray(None)],
            "1 builder and 1 instance that no builder has",
        ),
        (
            0,
            vec![stray(None), stray(None)],
            "2 instances that no builder has",
        ),
        (2, vec![stray(Some(alone.clone()))], "2 builders"),
    ] {
        let builders = (1..=builders).map(|number| builder(number, "big", BuilderState::Ready));
        let mut there = view(builders.collect(), vec![]);
        there.strays = strays;
        let told = warnings(&present(), &new, &there);
        let expected = format!("clouds.c is gone; it is kept until what is left there has ended: {left}");
        assert_eq!(told.last(), Some(&expected));
    }
    let mut there = view(vec![], vec![]);
    there.strays = vec![stray(Some(alone))];
    assert_eq!(warnings(&present(), &new, &there).len(), 1);
    // Without builders a cloud may go.
    assert_eq!(warnings(&present(), &new, &view(vec![], vec![])).len(), 1);
}
