//! How many builders a pool keeps, which attempts go where, and what it says of that.

use std::collections::BTreeSet;

use super::*;

pub(super) fn drained(plan: &Plan) -> Vec<u128> {
    let drained = plan.actions.iter().filter_map(|action| match action {
        Action::Drain { builder, .. } => Some(builder.0.as_u128()),
        _ => None,
    });
    drained.collect()
}

fn assigned(plan: &Plan) -> Vec<(u128, u128)> {
    let assigned = plan.actions.iter().filter_map(|action| match action {
        Action::Assign { attempt, builder } => Some((attempt.0.as_u128(), builder.0.as_u128())),
        _ => None,
    });
    assigned.collect()
}

/// A builder that has been ready for longer than a pool keeps one without need.
pub(super) fn idle(number: u128) -> Builder {
    Builder {
        entered_at: NOW.minus(Duration::from_secs(700)),
        ..builder(number, "x86", BuilderState::Ready)
    }
}

#[test]
fn builders_that_go_are_none_of_the_minimum() {
    // One of two is let go; while it ends the other is all that the pool has.
    let mut farm = snapshot(&[("x86", pool(1, 9, 0))]);
    farm.builders = vec![idle(1), idle(2)];
    let first = plan(&farm);
    assert_eq!(drained(&first), [1]);
    for state in BuilderState::ENDING {
        farm.builders[0].state = state;
        assert_eq!(plan(&farm).actions, [], "{state}");
    }
    // When the last one goes, the next is rented at once: a cloud may take its time to end a machine.
    farm.builders.truncate(1);
    let last = plan(&farm);
    let expected = Action::Launch {
        pool: "x86".parse().unwrap(),
        host: None,
        reason: "the pool has 0 of at least 1 builders".to_owned(),
        intent: None,
    };
    assert_eq!(last.actions, [expected]);
    assert_eq!(last.pools[0].counted, 2, "the maximum counts both");
    farm.pools.values_mut().for_each(|pool| pool.spec.size.max = 1);
    let full = plan(&farm);
    assert_eq!(full.actions, []);
    assert_eq!(full.pools[0].note, "pool x86 is at its maximum of 1");
}

#[test]
fn of_what_was_not_asked_for_yet_the_newest_is_given_up_when_the_maximum_is_lowered() {
    use BuilderState as S;
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    let states = [(1, S::Ready), (2, S::Launching), (3, S::Planned), (4, S::Planned)];
    farm.builders = states.map(|(number, state)| builder(number, "x86", state)).into();
    let mut given_up = |max| {
        farm.pools.values_mut().for_each(|pool| pool.spec.size.max = max);
        let plan = plan(&farm);
        let moves = plan.actions.iter().filter_map(|action| match action {
            Action::Move {
                builder,
                to: BuilderState::Abandoned,
                reason,
                ..
            } => Some((*builder, reason.clone())),
            _ => None,
        });
        moves.collect::<Vec<_>>()
    };
    let of = |number, max: u32| {
        (
            BuilderId(Uuid::from_u128(number)),
            format!("pool x86 may have {max} by now"),
        )
    };
    assert_eq!(given_up(4), []);
    assert_eq!(given_up(3), [of(4, 3)]);
    assert_eq!(given_up(1), [of(3, 1), of(4, 1)]);
    // What is on its way is not stopped: its machine may be there.
    assert_eq!(given_up(0), [of(3, 0), of(4, 0)]);
}

#[test]
fn the_pools_of_a_cloud_have_no_more_machines_together_than_its_limit() {
    let limited = |max, counted| Pool {
        quota: Some(Quota {
            cloud: "aws".to_owned(),
            instances: 5,
            counted,
            others: Some(0),
        }),
        ..pool(0, max, max)
    };
    for (counted, expected) in [(0, [3, 2]), (4, [1, 0]), (5, [0, 0]), (9, [0, 0])] {
        let farm = snapshot(&[
            ("a", limited(3, counted)),
            ("b", limited(3, counted)),
            ("c", pool(0, 9, 2)),
        ]);
        let decided = plan(&farm);
        let launched = decided.pools.iter().map(|report| report.launches);
        let [first, second] = expected;
        assert_eq!(launched.collect::<Vec<_>>(), [first, second, 2], "{counted}");
        let words = format!(
            "cloud aws has as many machines as it may: 5, with {counted} of its pools and 0 of others"
        );
        assert_eq!(decided.pools[1].note, words, "{counted}");
        assert_eq!(decided.pools[2].note, "as wanted", "another cloud");
    }
}

#[test]
fn machines_of_others_count_for_the_limit_of_a_cloud_and_without_their_number_nothing_is_launched() {
    let limited = |others| Pool {
        quota: Some(Quota {
            cloud: "aws".to_owned(),
            instances: 5,
            counted: 1,
            others,
        }),
        ..pool(0, 3, 3)
    };
    let full = |others: u32| {
        format!("cloud aws has as many machines as it may: 5, with 1 of its pools and {others} of others")
    };
    let uncounted = "the machines of cloud aws that are none of the fleet's are being counted".to_owned();
    for (others, launches, note) in [
        (Some(0), 3, "as wanted".to_owned()),
        (Some(2), 2, full(2)),
        (Some(4), 0, full(4)),
        (Some(u32::MAX), 0, full(u32::MAX)),
        (None, 0, uncounted),
    ] {
        let mut farm = snapshot(&[("a", limited(others))]);
        let decided = plan(&farm);
        assert_eq!(decided.pools[0].launches, launches, "{others:?}");
        assert_eq!(decided.pools[0].note, note, "{others:?}");
        farm.queue = (1..=4).map(|number| attempt(number, "alice")).collect();
        let decided = plan(&farm);
        let last = &decided.waits[3].reason;
        // Users are not told what is in the account besides.
        assert!(!last.contains("others"), "{last}");
        assert_eq!(last.contains("cloud aws"), launches < 3, "{last}");
    }
}

#[test]
fn a_quota_is_told_in_a_line() {
    let mut quota = Quota {
        cloud: "aws".to_owned(),
        instances: 40,
        counted: 3,
        others: Some(2),
    };
    assert_eq!(
        (quota.in_words().as_str(), quota.left()),
        ("3 + 2 of others of 40", 35)
    );
    quota.others = None;
    assert_eq!(
        (quota.in_words().as_str(), quota.left()),
        ("3 + ? of others of 40", 0)
    );
}

#[test]
fn a_pool_is_filled_when_its_schedule_begins_and_lets_only_idle_builders_go_when_it_ends() {
    // It is 13:46:40 on a Monday.
    let mut farm = snapshot(&[("x86", pool(0, 9, 1))]);
    let own = farm.pools.values_mut().next().unwrap();
    let lines = serde_json::json!([{"days": "mon", "hours": "09:00-14:00", "idle": 3}]);
    own.spec.schedule = serde_json::from_value(lines).unwrap();
    let filled = plan(&farm);
    assert_eq!(launches(&filled), 3);
    assert!(
        filled.actions.iter().any(|action| matches!(
            action,
            Action::Launch { reason, .. }
                if reason == "the pool has 0 of 3 spare builders until 1970-01-12T14:00:00Z"
        )),
        "{:?}",
        filled.actions
    );
    farm.builders = vec![idle(1), idle(2), idle(3), builder(4, "x86", BuilderState::Busy)];
    assert_eq!(plan(&farm).actions, []);
    farm.now = NOW.plus(Duration::from_secs(800));
    assert_eq!(drained(&plan(&farm)), [1, 2], "the end of a time ends no build");
}

#[test]
fn what_this_plan_gives_up_is_none_of_the_minimum_either() {
    // One that overstays, and one that is made otherwise by now.
    let mut overdue = builder(1, "x86", BuilderState::Booting);
    overdue.deadline = Some(NOW);
    let mut outdated = builder(1, "x86", BuilderState::Ready);
    outdated.drift = Some(Drift::NoChroot);
    outdated.lacks = Lacks::Everything;
    for gone in [overdue, outdated] {
        let mut farm = snapshot(&[("x86", pool(1, 9, 0))]);
        farm.builders = vec![gone.clone()];
        assert_eq!(launches(&plan(&farm)), 1, "{gone:?}");
        farm.builders.push(idle(2));
        let decided = plan(&farm);
        assert!(!drained(&decided).contains(&2), "{decided:?}");
        assert_eq!(launches(&decided), 0, "{decided:?}");
    }
}

#[test]
fn the_minimum_is_kept_without_anybody_who_waits_and_idle_ones_come_besides() {
    for (min, max, idle, busy, expected) in [
        (0, 9, 0, 0, 0),
        (2, 9, 0, 0, 2),
        (2, 9, 0, 2, 0),
        (2, 9, 1, 2, 1),
        (0, 9, 3, 2, 3),
        (3, 9, 2, 0, 3),
        (5, 2, 0, 0, 2),
        (0, 0, 0, 0, 0),
        // No more than four at once, whatever is wanted.
        (9, 9, 9, 0, 4),
    ] {
        let mut farm = snapshot(&[("x86", pool(min, max, idle))]);
        farm.builders = (0..busy).map(|n| builder(n, "x86", BuilderState::Busy)).collect();
        let case = format!("min {min}, max {max}, idle {idle}, busy {busy}");
        assert_eq!(launches(&plan(&farm)), expected, "{case}");
    }
}

#[test]
fn a_builder_is_let_go_when_its_time_is_over_and_not_a_moment_before() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![builder(1, "x86", BuilderState::Ready)];
    for (micros, expected) in [(599_999_999, 0), (600_000_000, 1)] {
        farm.builders[0].entered_at = NOW.minus(Duration::from_micros(micros));
        assert_eq!(drained(&plan(&farm)).len(), expected, "{micros}");
    }
    // One that somebody waits for is given away instead.
    farm.queue.push(attempt(7, "alice"));
    let given = plan(&farm);
    assert_eq!((assigned(&given), drained(&given)), (vec![(7, 1)], vec![]));
}

#[test]
fn of_builders_the_one_that_was_ready_first_is_given_out_first() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = (1..=3).map(|n| builder(n, "x86", BuilderState::Ready)).collect();
    farm.builders[2].entered_at = NOW.minus(Duration::from_secs(50));
    farm.queue = vec![attempt(7, "alice"), attempt(8, "bob"), attempt(9, "carol")];
    assert_eq!(assigned(&plan(&farm)), [(7, 3), (8, 1), (9, 2)]);
}

#[test]
fn a_cordoned_builder_gets_nothing_and_stays() {
    let mut farm = snapshot(&[("x86", pool(0, 1, 0))]);
    farm.builders = vec![idle(1)];
    farm.builders[0].cordoned = true;
    farm.queue.push(attempt(7, "alice"));
    let held = plan(&farm);
    assert_eq!(held.actions, [], "an operator keeps it, and it takes its place");
    assert_eq!(held.waits[0].reason.as_ref(), "pool x86 is at its maximum of 1");
    assert_eq!(held.pools[0].ready, 0);
}

#[test]
fn ready_builders_of_a_pool_that_is_gone_are_let_go_and_others_end_their_work() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = BuilderState::ALL
        .into_iter()
        .filter(|state| !state.is_final() && state.when_unwanted().is_none())
        .zip(1..)
        .map(|(state, number)| builder(number, "old", state))
        .collect();
    let decided = plan(&farm);
    let ready = farm.builders.iter().find(|one| one.state == BuilderState::Ready);
    let expected = Action::Drain {
        builder: ready.unwrap().id,
        reason: "pool old is no longer in fleet.yaml".to_owned(),
    };
    assert_eq!(decided.actions, [expected]);
    assert_eq!(decided.pools.len(), 1, "only pools of the file are reported");
}

#[test]
fn the_pool_with_the_higher_priority_serves_first_and_of_two_alike_the_first_by_name() {
    for (first, second, expected) in [(0, 0, "a"), (1, 0, "a"), (0, 1, "b"), (-1, 0, "b")] {
        let mut farm = snapshot(&[("a", pool(0, 1, 0)), ("b", pool(0, 1, 0))]);
        for (pool, priority) in farm.pools.values_mut().zip([first, second]) {
            pool.spec.priority = priority;
        }
        farm.queue.push(attempt(7, "alice"));
        let decided = plan(&farm);
        let words = format!("a builder of pool {expected} is being started for it");
        assert_eq!(decided.waits[0].reason.as_ref(), words, "{first} {second}");
        // The other one serves when the first is full.
        farm.queue = vec![attempt(7, "alice"), attempt(8, "bob"), attempt(9, "carol")];
        let decided = plan(&farm);
        assert_eq!(launches(&decided), 2);
        let (one, other) = if expected == "a" { ("a", "b") } else { ("b", "a") };
        let words = format!("pool {one} is at its maximum of 1; pool {other} is at its maximum of 1");
        assert_eq!(decided.waits[2].reason.as_ref(), words);
    }
}

#[test]
fn what_keeps_a_pool_from_growing_is_said_in_these_words() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.queue = (1..=6).map(|number| attempt(number, "alice")).collect();
    let decided = plan(&farm);
    assert_eq!(
        decided.waits[4].reason.as_ref(),
        "pool x86 starts 4 builders already, as many as it may at once"
    );
    assert_eq!(decided.waits[4].position, 5);
    let first = Action::Launch {
        pool: "x86".parse().unwrap(),
        host: None,
        reason: "build 1 waits for microdistro-1-x86_64".to_owned(),
        intent: None,
    };
    assert_eq!(decided.actions[0], first);
    // After its pause a pool that failed tries one, and the others are told so.
    let mut farm = snapshot(&[("x86", failed(pool(0, 9, 0), 3, 40))]);
    farm.queue = (1..=2).map(|number| attempt(number, "alice")).collect();
    let decided = plan(&farm);
    assert_eq!(launches(&decided), 1);
    assert_eq!(
        decided.waits[1].reason.as_ref(),
        "pool x86 tries one builder: its last 3 never got ready"
    );
    assert_eq!(
        decided.pools[0].note, "as wanted",
        "nobody but the queue wants more"
    );
}

proptest! {
    /// A pool that nobody waits for comes to rest: what is let go is not rented again.
    #[test]
    fn a_quiet_pool_keeps_its_minimum_and_does_not_turn_over(
        min in 0u32..4, spare in 0u32..3, ready in 0u128..8, ending in 0u128..3,
    ) {
        let mut farm = snapshot(&[("x86", pool(min, 20, spare))]);
        farm.pools.values_mut().for_each(|pool| pool.spec.launch.parallel = 20);
        farm.builders = (0..ready).map(idle).collect();
        farm.builders.extend((100..100 + ending).map(|n| builder(n, "x86", BuilderState::Terminating)));
        let first = plan(&farm);
        let (launched, let_go) = (launches(&first), drained(&first));
        prop_assert!(launched == 0 || let_go.is_empty(), "{:?}", first);
        let wanted = min.max(spare) as usize;
        prop_assert_eq!(ready as usize + launched - let_go.len(), wanted, "{:?}", first);
        // Carried out, nothing is left to do.
        for one in &mut farm.builders {
            if let_go.contains(&one.id.0.as_u128()) {
                one.state = BuilderState::Draining;
            }
        }
        farm.builders.extend((200u128..).take(launched).map(idle));
        prop_assert_eq!(plan(&farm).actions, vec![]);
    }
}

/// Ready for so many seconds, and from another image than its pool's now.
fn from_another_image(number: u128, seconds: u64) -> Builder {
    Builder {
        drift: Some(Drift::Image),
        entered_at: NOW.minus(Duration::from_secs(seconds)),
        ..builder(number, "x86", BuilderState::Ready)
    }
}

#[test]
fn a_new_image_rolls_through_a_pool_under_its_budget_and_what_waits_for_its_turn_goes_on_building() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 4))]);
    farm.builders = (1..=4).map(|number| from_another_image(number, 5)).collect();
    farm.builders[2].entered_at = NOW.minus(Duration::from_secs(9));
    let reason = "builders of pool x86 are made from another image or disk by now";
    for (budget, leaving, expected) in [
        ("10%", 0, vec![3]), // of four: one
        ("10%", 1, vec![]),
        ("50%", 0, vec![3, 1]),
        ("50%", 1, vec![3, 1]), // of five: three
        ("2", 1, vec![3]),
        ("0", 0, vec![]),
        ("100%", 0, vec![3, 1, 2, 4]),
    ] {
        let mut farm = farm.clone();
        farm.pools.values_mut().next().unwrap().spec.drift.budget = budget.parse().unwrap();
        farm.builders.extend((0..leaving).map(|number| Builder {
            state: BuilderState::Terminating,
            ..from_another_image(10 + number, 5)
        }));
        let decided = plan(&farm);
        let expected: BTreeSet<u128> = expected.into_iter().collect();
        assert_eq!(
            drained(&decided).into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{budget}, {leaving} leave"
        );
        let told = decided
            .actions
            .iter()
            .filter(|it| matches!(it, Action::Drain { .. }));
        assert!(
            told.into_iter()
                .all(|it| matches!(it, Action::Drain { reason: words, .. } if words == reason))
        );
    }
    // Somebody waits: the one that is as it should be is given first, then the oldest, and that one stays.
    farm.builders.push(builder(5, "x86", BuilderState::Ready));
    farm.queue = vec![attempt(1, "alice"), attempt(2, "bob")];
    let decided = plan(&farm);
    let given = decided.actions.iter().filter_map(|it| match it {
        Action::Assign { builder, .. } => Some(builder.0.as_u128()),
        _ => None,
    });
    assert_eq!(given.collect::<Vec<_>>(), [5, 3]);
    assert_eq!(drained(&decided), [1], "{decided:?}");
}

#[test]
fn of_builders_that_are_not_needed_those_from_an_older_image_go_first() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 1))]);
    farm.pools.values_mut().next().unwrap().spec.drift.budget = "0".parse().unwrap();
    let mut fresh = builder(1, "x86", BuilderState::Ready);
    fresh.entered_at = NOW.minus(Duration::from_secs(9000));
    farm.builders = vec![fresh, from_another_image(2, 700)];
    assert_eq!(drained(&plan(&farm)), [2]);
    // The older one is not idle for long enough yet.
    farm.builders[1] = from_another_image(2, 599);
    assert_eq!(drained(&plan(&farm)), [1]);
}

#[test]
fn builders_that_are_on_their_way_to_a_pool_that_is_gone_are_ended_at_once() {
    use BuilderState as S;
    let moves = |state| {
        let mut farm = snapshot(&[("x86", pool(0, 2, 0))]);
        farm.builders = vec![builder(1, "old", state), builder(2, "x86", state)];
        plan(&farm).actions
    };
    for state in S::STARTING {
        let expected = match state {
            S::Planned => Some(S::Abandoned),
            // There may be a machine: what the cloud says comes first.
            S::Launching | S::Resolving => None,
            _ => Some(S::Terminating),
        };
        let expected = expected.map(|to| Action::Move {
            builder: BuilderId(Uuid::from_u128(1)),
            to,
            until: None,
            reason: "pool old is no longer in fleet.yaml".to_owned(),
        });
        assert_eq!(moves(state), Vec::from_iter(expected), "{state}");
    }
    for state in [S::Reserved, S::Busy, S::Cleaning, S::Held, S::Draining] {
        assert_eq!(moves(state), [], "{state}");
    }
    // What an operator has said of one is done once.
    let mut farm = snapshot(&[]);
    let retired = Mark {
        kind: MarkKind::Retired,
        by: "root".to_owned(),
        why: "old".to_owned(),
        until: None,
        lasts: None,
    };
    farm.builders = vec![Builder {
        cordoned: true,
        mark: Some(retired),
        ..builder(1, "old", S::Booting)
    }];
    let [Action::Move { reason, .. }] = &plan(&farm).actions[..] else {
        panic!("{:?}", plan(&farm).actions);
    };
    assert_eq!(reason, "retired by root: old");
}
