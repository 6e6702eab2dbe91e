//! A cloud's limit of money: what is launched within it, and what goes on beyond it.

use super::*;
use crate::{budget::Spent, quantity::Price};

/// So many whole units.
fn price(whole: u64) -> Price {
    Price::from_millionths(whole * 1_000_000)
}

/// What is left of 10 in cloud `aws`, where a pool's next machine costs so much an hour.
fn budget(spec: serde_json::Value, known: u64, set_aside: u64, next: u64) -> Budget {
    Budget {
        cloud: "aws".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        spent: Spent {
            known: price(known),
            set_aside: price(set_aside),
            unpriced: 0,
        },
        next: price(next),
    }
}

fn usual() -> serde_json::Value {
    serde_json::json!({"per_day": 10})
}

/// A pool that may launch all at once, in a cloud of which so much was spent.
fn limited(known: u64, set_aside: u64, mut pool: Pool) -> Pool {
    pool.spec.launch.parallel = 9;
    pool.budget = Some(budget(usual(), known, set_aside, 1));
    pool
}

#[test]
fn an_attempt_gets_a_builder_while_an_hour_of_one_more_is_within_the_limit() {
    let coming = "a builder of pool x86 is being started for it";
    let spent = "cloud aws costs as much in 24 hours as it may";
    for (known, set_aside, launched, last) in [
        (6, 0, 4, coming),
        (7, 0, 3, spent),
        (5, 3, 2, spent),
        (2, 7, 1, spent),
        (10, 0, 0, spent),
        (12, 1, 0, spent),
    ] {
        let mut farm = snapshot(&[("x86", limited(known, set_aside, pool(0, 9, 0)))]);
        farm.queue = (1..=4).map(|number| attempt(number, "alice")).collect();
        let decided = plan(&farm);
        assert_eq!(launches(&decided), launched, "{known} + {set_aside}");
        assert_eq!(&*decided.waits[3].reason, last, "{known} + {set_aside}");
    }
}

#[test]
fn all_pools_of_a_cloud_draw_on_the_same_money_and_the_dearer_one_stops_first() {
    let dear = |known| {
        let mut pool = limited(known, 0, pool(0, 9, 2));
        pool.budget.as_mut().unwrap().next = price(4);
        pool
    };
    // The floor of `b` comes after what `a` holds ready, and what operators want after both.
    for (known, expected, missing, note) in [
        (
            0,
            [2, 2, 2],
            1,
            "cost 0 of 10 in the last 24 hours, and 10 is set aside for first hours of machines: nothing more is launched there",
        ),
        (
            3,
            [1, 3, 2],
            0,
            "cost 3 of 10 in the last 24 hours, and 7 is set aside for first hours of machines: nothing more is launched there",
        ),
        (
            7,
            [0, 3, 2],
            0,
            "cost 7 of 10 in the last 24 hours, and 3 is set aside for first hours of machines: nothing more is launched there",
        ),
        (
            10,
            [0, 0, 2],
            1,
            "cost 10 of 10 in the last 24 hours: nothing more is launched there",
        ),
    ] {
        let farm = snapshot(&[
            ("a", dear(known)),
            ("b", limited(known, 0, pool(2, 9, 0))),
            ("c", pool(0, 9, 2)),
        ]);
        let wish = Demand {
            source: Source::Operator("b".parse().unwrap(), "key".to_owned()),
            count: 1,
            until: None,
            why: "root asked for 1 builder".to_owned(),
        };
        let decided = plan_with(&farm, vec![wish]);
        let launched: Vec<_> = decided.pools.iter().map(|report| report.launches).collect();
        assert_eq!(launched, expected, "{known}");
        let unmet: Vec<_> = decided
            .unmet
            .iter()
            .map(|it| (it.missing, it.may_pass, it.why.as_str()))
            .collect();
        let words = format!("cloud aws {note}");
        let expected = [(1, false, words.as_str())];
        assert_eq!(unmet, expected[..missing], "{known}");
        assert_eq!(decided.pools[1].note, words);
        assert_eq!(decided.pools[2].note, "as wanted", "another cloud");
    }
}

#[test]
fn near_the_limit_none_are_held_ready_and_those_that_were_go_as_they_do_without_need() {
    let ready = |number| Builder {
        entered_at: NOW.minus(Duration::from_secs(700)),
        ..builder(number, "x86", BuilderState::Ready)
    };
    let told = "cloud aws cost 8 of 10 in the last 24 hours: no builders are held ready there";
    for (spec, known, drained, launched, note) in [
        (usual(), 7, 0, 1, "as wanted"),
        (usual(), 8, 2, 0, told),
        (
            serde_json::json!({"per_day": 10, "soft": "nothing"}),
            8,
            0,
            1,
            "as wanted",
        ),
        (
            serde_json::json!({"per_day": 10, "soft_from": 9}),
            8,
            0,
            1,
            "as wanted",
        ),
    ] {
        let mut limited = limited(0, 0, pool(1, 9, 3));
        limited.budget = Some(budget(spec, known, 0, 1));
        let mut farm = snapshot(&[("x86", limited)]);
        farm.builders = vec![ready(1), ready(2), builder(3, "x86", BuilderState::Busy)];
        let decided = plan(&farm);
        let drains = decided
            .actions
            .iter()
            .filter(|it| matches!(it, Action::Drain { .. }));
        assert_eq!(
            (drains.count(), launches(&decided)),
            (drained, launched),
            "{known} {note}"
        );
        assert_eq!(decided.pools[0].note, note);
    }
}

#[test]
fn beyond_the_limit_what_runs_and_the_floor_go_on_and_nothing_leaves_that_could_not_be_replaced() {
    let mut outdated = builder(1, "x86", BuilderState::Ready);
    outdated.drift = Some(Drift::Image);
    let mut farm = snapshot(&[("x86", limited(11, 0, pool(2, 9, 0)))]);
    farm.builders = vec![outdated, builder(2, "x86", BuilderState::Busy)];
    farm.pools
        .values_mut()
        .for_each(|it| it.spec.drift.budget = "100%".parse().unwrap());
    assert_eq!(plan(&farm).actions, []);
    // Within it the one that is made otherwise by now goes.
    let pool = farm.pools.values_mut().next().unwrap();
    pool.budget = Some(budget(usual(), 1, 0, 1));
    let decided = plan(&farm);
    assert!(
        matches!(decided.actions[..], [Action::Launch { .. }, Action::Drain { .. }]),
        "{decided:?}"
    );
}

#[test]
fn with_a_limit_that_is_only_told_everything_is_launched() {
    let mut told = limited(0, 0, pool(0, 9, 3));
    let spec = serde_json::json!({"per_day": 10, "soft": "nothing", "hard": "nothing"});
    told.budget = Some(budget(spec, 12, 5, 1));
    let decided = plan(&snapshot(&[("x86", told)]));
    assert_eq!(
        (launches(&decided), decided.pools[0].note.as_str()),
        (3, "as wanted")
    );
}
