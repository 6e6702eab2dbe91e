//! Launches that a cloud refuses, and what is said of them.

use super::*;

#[test]
fn a_refused_launch_is_no_builder_that_comes_and_is_said_from_the_first_time() {
    let mut farm = snapshot(&[("x86", pool(0, 4, 2))]);
    farm.builders.push(builder(1, "x86", BuilderState::Planned));
    farm.builders.push(builder(2, "x86", BuilderState::Booting));
    assert_eq!(plan(&farm).pools[0].note, "as wanted");
    farm.builders[0].refusal = Some("t3.micro: the cloud refuses: NoRoom: account 1234".to_owned());
    farm.queue = vec![attempt(1, "alice"), attempt(2, "bob")];
    let refused = plan(&farm);
    let reasons: Vec<_> = refused.waits.iter().map(|wait| wait.reason.as_ref()).collect();
    let public = "the cloud gave pool x86 no machine so far; it is asked again";
    assert_eq!(reasons, ["a builder of pool x86 is being started for it", public]);
    let note = format!("{public}: t3.micro: the cloud refuses: NoRoom: account 1234");
    assert_eq!(refused.pools[0].note, note);
    // At its maximum it says the same: that it has all its builders is not what is wrong.
    farm.pools.values_mut().for_each(|pool| pool.spec.size.max = 2);
    assert_eq!(plan(&farm).pools[0].note, note);
}

#[test]
fn nobody_waits_for_a_pool_whose_launches_are_refused_while_another_has_room() {
    let mut preferred = pool(0, 4, 0);
    preferred.spec.priority = 1;
    let mut farm = snapshot(&[("cheap", preferred), ("dear", pool(0, 1, 0))]);
    farm.builders.push(builder(1, "cheap", BuilderState::Planned));
    farm.builders[0].refusal = Some("t3.micro: the cloud refuses: InsufficientInstanceCapacity".to_owned());
    farm.queue = vec![attempt(1, "alice"), attempt(2, "bob")];
    let decided = plan(&farm);
    let is_of_dear =
        |action: &&Action| matches!(action, Action::Launch { pool, .. } if pool.as_str() == "dear");
    assert_eq!(decided.actions.iter().filter(is_of_dear).count(), 1);
    let reasons: Vec<_> = decided.waits.iter().map(|wait| wait.reason.as_ref()).collect();
    let refused = "the cloud gave pool cheap no machine so far; it is asked again";
    assert_eq!(
        reasons,
        ["a builder of pool dear is being started for it", refused],
        "the other pool is full then"
    );
    // One that comes for sure is taken before another is rented.
    farm.builders.push(builder(2, "cheap", BuilderState::Booting));
    farm.queue.truncate(1);
    assert_eq!(launches(&plan(&farm)), 0);
}

#[test]
fn nobody_waits_for_refused_launches_of_a_pool_that_launches_nothing_while_another_has_room() {
    let held_back = LaunchHistory {
        failures: 3,
        last_failure: Some(NOW.minus(Duration::from_secs(1))),
        last_reason: None,
    };
    for (what, cloud, history) in [
        ("not asked yet", CloudHealth::Unknown, LaunchHistory::default()),
        ("held back", CloudHealth::Answers, held_back),
    ] {
        let mut stuck = pool(0, 4, 0);
        (stuck.cloud, stuck.history) = (cloud, history);
        let mut farm = snapshot(&[("here", pool(0, 2, 0)), ("stuck", stuck)]);
        for (number, name) in [(1, "here"), (2, "stuck")] {
            let mut refused = builder(number, name, BuilderState::Planned);
            refused.refusal = Some("no room".to_owned());
            farm.builders.push(refused);
        }
        farm.queue = vec![attempt(7, "alice"), attempt(8, "alice")];
        let plan = plan(&farm);
        assert_eq!(launches(&plan), 1, "{what}: {plan:?}");
        let reasons: Vec<_> = plan.waits.iter().map(|wait| wait.reason.as_ref()).collect();
        let expected = [
            "the cloud gave pool here no machine so far; it is asked again",
            "a builder of pool here is being started for it",
        ];
        assert_eq!(reasons, expected, "{what}");
    }
}

#[test]
fn launches_that_wait_for_a_call_are_told_of_and_nothing_is_told_where_none_waits() {
    use crate::calls::LaunchCalls;
    let calls = |wait: u64, slowed_since: Option<Timestamp>| LaunchCalls {
        cloud: "aws".to_owned(),
        per_second: "1.402345".parse().unwrap(),
        wait: Duration::from_millis(wait),
        slowed_since,
    };
    let turn = "for a turn: cloud aws is asked for 1.4 machines a second at most";
    let since = Timestamp::from_micros(1_000_000_000_000 - 5);
    for (planned, calls, expected) in [
        (1, calls(300, None), format!("1 launch waits {turn}")),
        (3, calls(300, None), format!("3 launches wait {turn}")),
        (
            2,
            calls(1, Some(since)),
            format!(
                "2 launches wait {turn}, fewer than usual since it refused calls at {}",
                since.to_the_second()
            ),
        ),
        (3, calls(0, None), "as wanted".to_owned()),
        (0, calls(300, None), "as wanted".to_owned()),
    ] {
        let mut pool = pool(0, 9, 0);
        pool.calls = Some(calls);
        let mut farm = snapshot(&[("x86", pool)]);
        farm.builders = (1..=planned)
            .map(|number| builder(number, "x86", BuilderState::Planned))
            .collect();
        farm.builders.push(builder(90, "x86", BuilderState::Pending));
        let decided = plan(&farm);
        assert_eq!(decided.pools[0].note, expected);
        farm.queue = (1..=9).map(|number| attempt(number, "alice")).collect();
        // Whoever waits is told the same, without what operators have to know.
        let waits = plan(&farm).waits;
        assert!(
            waits.iter().all(|wait| !wait.reason.contains("refused calls")),
            "{waits:?}"
        );
    }
}

#[test]
fn launches_that_wait_for_a_turn_of_their_pool_are_told_of_before_those_that_wait_for_their_cloud() {
    use crate::calls::{LaunchCalls, LaunchPace};
    let pace = |wait: u64| LaunchPace {
        rate: "1/3s".parse().unwrap(),
        wait: Duration::from_millis(wait),
    };
    let turn = "for a turn: pool x86 launches 1/3s at most (`launch.rate`)";
    for (planned, wait, expected) in [
        (1, 300, format!("1 launch waits {turn}")),
        (3, 2_900, format!("3 launches wait {turn}")),
        (
            3,
            0,
            "3 launches wait for a turn: cloud aws is asked for 2 machines a second at most".to_owned(),
        ),
        (0, 300, "as wanted".to_owned()),
    ] {
        let mut pool = pool(0, 9, 0);
        pool.pace = Some(pace(wait));
        pool.calls = Some(LaunchCalls {
            cloud: "aws".to_owned(),
            per_second: "2".parse().unwrap(),
            wait: Duration::from_millis(1),
            slowed_since: None,
        });
        let mut farm = snapshot(&[("x86", pool)]);
        farm.builders = (1..=planned)
            .map(|number| builder(number, "x86", BuilderState::Planned))
            .collect();
        assert_eq!(plan(&farm).pools[0].note, expected);
    }
}

/// A pool that may have so many machines of each of two lines.
fn with_lines(most: [Option<u32>; 2]) -> Pool {
    let mut pool = pool(0, 9, 0);
    let first = pool.spec.offerings[0].clone();
    let lines = most.into_iter().map(|max| OfferingSpec { max, ..first.clone() });
    pool.spec.offerings = lines.collect();
    pool
}

fn of_line(number: u128, state: BuilderState, line: usize) -> Builder {
    Builder {
        line: Some(line),
        ..builder(number, "x86", state)
    }
}

#[test]
fn a_pool_whose_lines_are_all_full_launches_nothing_and_names_the_key() {
    use BuilderState as S;
    let words = "pool x86 has as many machines of each line of its offerings as it may (`offerings[].max`)";
    let there = [
        of_line(90, S::Resolving, 0),
        of_line(91, S::Busy, 0),
        of_line(92, S::Terminating, 1),
        of_line(93, S::Busy, 1),
    ];
    for (most, planned, launches) in [
        ([Some(3), Some(4)], 0, 3),
        ([Some(3), Some(4)], 1, 2),
        ([Some(3), Some(4)], 3, 0),
        ([Some(2), Some(2)], 0, 0),
        ([Some(1), Some(3)], 0, 1),
        ([Some(2), None], 0, 3),
    ] {
        let mut farm = snapshot(&[("x86", with_lines(most))]);
        farm.builders = there.to_vec();
        farm.builders
            .extend((1..=planned).map(|number| builder(number, "x86", S::Planned)));
        farm.queue = (1..=8).map(|number| attempt(number, "alice")).collect();
        let decided = plan(&farm);
        assert_eq!(decided.pools[0].launches, launches, "{most:?} {planned}");
        let told = decided.waits.iter().filter(|wait| &*wait.reason == words).count();
        let expected = if most[1].is_none() {
            0
        } else {
            8 - usize::try_from(planned).unwrap() - usize::try_from(launches).unwrap()
        };
        assert_eq!(told, expected, "{most:?} {planned}: {:?}", decided.waits);
        assert!(
            decided
                .actions
                .iter()
                .all(|it| matches!(it, Action::Launch { .. }))
        );
        // An operator's wish is told the same.
        let asked = Demand {
            source: Source::Operator("x86".parse().unwrap(), "key".to_owned()),
            count: 9,
            until: None,
            why: "an operator wants it".to_owned(),
        };
        let unmet = plan_with(&farm, vec![asked]).unmet;
        assert_eq!(unmet[0].why == words, most[1].is_some(), "{unmet:?}");
    }
}

#[test]
fn builders_that_no_line_has_room_for_any_more_are_given_up_and_the_others_go_on() {
    use BuilderState as S;
    let mut farm = snapshot(&[("x86", with_lines([Some(1), Some(2)]))]);
    farm.builders = vec![
        of_line(90, S::Busy, 0),
        of_line(91, S::Ready, 0),
        of_line(92, S::Booting, 1),
    ];
    farm.builders
        .extend((1..=3).map(|number| builder(number, "x86", S::Planned)));
    let moved: Vec<_> = plan(&farm)
        .actions
        .into_iter()
        .filter_map(|action| match action {
            Action::Move {
                builder, to, reason, ..
            } => Some((builder.0.as_u128(), to, reason)),
            _ => None,
        })
        .collect();
    let why = "pool x86 may have fewer machines of the lines of its offerings by now (`offerings[].max`)";
    let given_up = |number| (number, S::Abandoned, why.to_owned());
    assert_eq!(moved, [given_up(2), given_up(3)]);
}

#[test]
fn a_pool_with_machines_of_a_later_line_than_the_first_says_so() {
    use BuilderState as S;
    let note = |most, lines: &[usize]| {
        let mut farm = snapshot(&[("x86", with_lines(most))]);
        farm.builders = (90..)
            .zip(lines)
            .map(|(number, line)| of_line(number, S::Busy, *line))
            .collect();
        plan(&farm).pools[0].note.clone()
    };
    let words = "2 of 3 machines are of a later line of `offerings` than the first one";
    assert_eq!(note([None, None], &[0, 1, 1]), words);
    assert_eq!(note([None, Some(5)], &[0, 1, 1]), words);
    assert_eq!(note([None, None], &[0, 0]), "as wanted");
    assert_eq!(
        note([Some(1), None], &[0, 1, 1]),
        "as wanted",
        "the first line has no room for all"
    );
}
