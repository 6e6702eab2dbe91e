//! Pools that the fleet file pauses: they launch nothing, and what they have goes on.

use super::*;

const WORDS: &str = "pool x86 is paused in the fleet file (`pools.x86.paused`)";

fn paused(pool: Pool) -> Pool {
    let spec = PoolSpec {
        paused: true,
        ..pool.spec
    };
    Pool { spec, ..pool }
}

fn wish(count: u32) -> Demand {
    Demand {
        source: Source::Operator("x86".parse().unwrap(), "key".to_owned()),
        count,
        until: None,
        why: "root asked for builders".to_owned(),
    }
}

#[test]
fn a_paused_pool_launches_nothing_whoever_wants_it_and_says_why() {
    let mut farm = snapshot(&[("x86", paused(pool(2, 9, 1)))]);
    farm.queue.push(attempt(7, "alice"));
    let decided = plan_with(&farm, vec![wish(1)]);
    assert_eq!(decided.actions, []);
    assert_eq!(decided.waits[0].reason.as_ref(), WORDS);
    assert_eq!(decided.pools[0].note, WORDS);
    let refused = Unmet {
        intent: "key".to_owned(),
        missing: 1,
        may_pass: false,
        why: WORDS.to_owned(),
    };
    assert_eq!(decided.unmet, [refused]);
    // It says so also where nothing is wanted, and whatever else is wrong.
    let farm = snapshot(&[("x86", paused(away(pool(0, 9, 0))))]);
    assert_eq!(plan(&farm).pools[0].note, WORDS);
}

#[test]
fn builders_of_a_paused_pool_serve_and_leave_as_ever() {
    let mut farm = snapshot(&[("x86", paused(pool(0, 9, 0)))]);
    farm.builders = (1..=3)
        .map(|number| builder(number, "x86", BuilderState::Ready))
        .collect();
    farm.builders.push(builder(4, "x86", BuilderState::Booting));
    farm.builders[2].entered_at = NOW.minus(Duration::from_secs(601));
    farm.queue.push(attempt(7, "alice"));
    farm.builders[0].drift = Some(Drift::Image);
    farm.pools.values_mut().next().unwrap().spec.drift.budget = "4".parse().unwrap();
    let decided = plan(&farm);
    let [Action::Assign { .. }] = decided.actions[..] else {
        panic!("the one that is idle for the longest time is given away: {decided:?}");
    };
    farm.queue.clear();
    let expected = Action::Drain {
        builder: farm.builders[2].id,
        reason: "ready for 10m and not needed".to_owned(),
    };
    let decided = plan(&farm);
    assert_eq!(
        decided.actions,
        [expected],
        "none is replaced for being made otherwise"
    );
}

#[test]
fn what_a_paused_pool_has_asked_no_cloud_for_is_given_up_and_waited_for_elsewhere() {
    let mut preferred = paused(pool(0, 9, 0));
    preferred.spec.priority = 1;
    let mut farm = snapshot(&[("x86", preferred), ("other", pool(0, 9, 0))]);
    farm.builders = vec![
        builder(1, "x86", BuilderState::Planned),
        builder(2, "x86", BuilderState::Launching),
    ];
    farm.queue = vec![attempt(7, "alice"), attempt(8, "bob")];
    let decided = plan(&farm);
    let given_up = Action::Move {
        builder: farm.builders[0].id,
        to: BuilderState::Abandoned,
        until: None,
        reason: WORDS.to_owned(),
    };
    assert_eq!(decided.actions.last(), Some(&given_up));
    assert_eq!((launches(&decided), decided.actions.len()), (1, 2));
    let waits: Vec<&str> = decided.waits.iter().map(|wait| wait.reason.as_ref()).collect();
    let comes = |pool: &str| format!("a builder of pool {pool} is being started for it");
    assert_eq!(waits, [comes("x86"), comes("other")]);
}
