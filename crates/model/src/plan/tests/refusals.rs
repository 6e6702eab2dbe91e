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
