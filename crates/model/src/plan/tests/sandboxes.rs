//! Builders that have run builds of one sandbox, and who is given them.

use super::*;

fn sandbox(owner: &str, project: &str, submitter: &str) -> Sandbox {
    Sandbox::new(
        &owner.parse().unwrap(),
        &project.parse().unwrap(),
        &submitter.parse().unwrap(),
    )
}

/// An attempt of an owner's own build of a project.
fn of_project(number: u128, owner: &str, project: &str) -> QueuedAttempt {
    QueuedAttempt {
        sandbox: Some(sandbox(owner, project, owner)),
        ..attempt(number, owner)
    }
}

/// A ready builder that has run a build of that.
fn used(number: u128, pool: &str, of: &QueuedAttempt) -> Builder {
    Builder {
        sandbox: of.sandbox.clone(),
        ..builder(number, pool, BuilderState::Ready)
    }
}

fn assigned(plan: &Plan) -> Vec<(u128, u128)> {
    let assigned = plan.actions.iter().filter_map(|action| match action {
        Action::Assign { attempt, builder } => Some((attempt.0.as_u128(), builder.0.as_u128())),
        _ => None,
    });
    assigned.collect()
}

#[test]
fn a_used_builder_goes_to_its_own_sandbox_before_a_fresh_one_and_to_no_other() {
    let demo = of_project(7, "alice", "demo");
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![builder(1, "x86", BuilderState::Ready), used(2, "x86", &demo)];
    farm.queue = vec![demo.clone()];
    assert_eq!(assigned(&plan(&farm)), [(7, 2)]);

    for (other, why) in [
        (of_project(8, "bob", "demo"), "another owner"),
        (of_project(8, "alice", "other"), "another project"),
        (
            QueuedAttempt {
                sandbox: Some(sandbox("alice", "demo", "bob")),
                ..attempt(8, "alice")
            },
            "another submitter",
        ),
        (attempt(8, "alice"), "nobody knows whose it is"),
    ] {
        farm.queue = vec![other];
        assert_eq!(assigned(&plan(&farm)), [(8, 1)], "{why}");
        let mut alone = farm.clone();
        alone.builders.remove(0);
        let alone = plan(&alone);
        assert_eq!((assigned(&alone), launches(&alone)), (vec![], 1), "{why}");
    }
}

#[test]
fn each_used_builder_is_given_once_and_the_rest_get_fresh_ones_in_the_order_of_the_queue() {
    let demo = |number| of_project(number, "alice", "demo");
    let mut farm = snapshot(&[("a", pool(0, 9, 0)), ("b", pool(0, 9, 0))]);
    farm.pools.get_mut(&"a".parse().unwrap()).unwrap().spec.priority = 1;
    farm.builders = vec![
        builder(1, "a", BuilderState::Ready),
        builder(2, "a", BuilderState::Ready),
        // In a pool that comes after the other: what was used is preferred all the same.
        used(3, "b", &demo(0)),
    ];
    farm.queue = vec![demo(7), demo(8), of_project(9, "bob", "demo")];
    assert_eq!(assigned(&plan(&farm)), [(7, 3), (9, 1), (8, 2)]);
}

#[test]
fn a_used_builder_is_no_spare_one() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 1))]);
    farm.builders = vec![used(1, "x86", &of_project(7, "alice", "demo"))];
    let plan = plan(&farm);
    assert_eq!(launches(&plan), 1);
    assert_eq!((plan.pools[0].counted, plan.pools[0].ready), (2, 0));
}

/// A pool of so many builders that may be used again.
fn reusing(max: u32) -> Pool {
    let mut pool = pool(0, max, 0);
    pool.spec.reuse.scope = ReuseScope::Sandbox;
    pool
}

fn drained(plan: &Plan) -> Vec<(u128, &str)> {
    let drained = plan.actions.iter().filter_map(|action| match action {
        Action::Drain { builder, reason } => Some((builder.0.as_u128(), reason.as_str())),
        _ => None,
    });
    drained.collect()
}

#[test]
fn a_used_builder_is_kept_for_its_time_and_told_why_no_longer() {
    let demo = of_project(7, "alice", "demo");
    let ago = |seconds| NOW.minus(Duration::from_secs(seconds));
    let idle = "no build of alice/demo by alice came within 90s";
    let old = "it has taken builds for 30m, and no builder does for longer";
    let once = "builders of pool x86 run one build by now";
    let (again, never) = (ReuseScope::Sandbox, ReuseScope::Never);
    for (scope, entered, ready, cordoned, expected) in [
        (again, 89, 1799, false, None),
        (again, 90, 1799, false, Some(idle)),
        (again, 0, 1800, false, Some(old)),
        (again, 90, 1800, true, None),
        (never, 0, 0, false, Some(once)),
    ] {
        let mut farm = snapshot(&[("x86", reusing(9))]);
        farm.pools
            .values_mut()
            .for_each(|pool| pool.spec.reuse.scope = scope);
        farm.builders = vec![Builder {
            entered_at: ago(entered),
            ready_at: Some(ago(ready)),
            cordoned,
            ..used(1, "x86", &demo)
        }];
        let decided = plan(&farm);
        let found: Vec<_> = drained(&decided).into_iter().map(|(_, why)| why).collect();
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{entered} {ready}"
        );
        if !cordoned {
            // Its time is over, but a build of its own came in the same moment.
            farm.queue = vec![demo.clone()];
            assert_eq!(assigned(&plan(&farm)), [(7, 1)], "{entered} {ready}");
        }
    }
}

#[test]
fn what_a_full_pool_keeps_makes_room_for_those_who_wait_one_for_each() {
    let kept = of_project(0, "alice", "demo");
    let mut farm = snapshot(&[("x86", reusing(3))]);
    farm.builders = (1u64..=3)
        .map(|number| Builder {
            entered_at: NOW.minus(Duration::from_secs(number)),
            ..used(number.into(), "x86", &kept)
        })
        .collect();
    farm.queue = vec![of_project(7, "bob", "demo"), of_project(8, "carol", "demo")];
    let first = plan(&farm);
    let why =
        |build| format!("build {build} waits for microdistro-1-x86_64, and pool x86 is at its maximum of 3");
    assert_eq!(drained(&first), [(3, why(7).as_str()), (2, why(8).as_str())]);
    let told = "pool x86 is at its maximum of 3; a builder that was kept for other builds makes room";
    assert!(
        first.waits.iter().all(|wait| &*wait.reason == told),
        "{:?}",
        first.waits
    );
    assert_eq!(launches(&first), 0);

    // While these end, they are what is waited for.
    for builder in &mut farm.builders[1..] {
        builder.state = BuilderState::Terminating;
    }
    let second = plan(&farm);
    assert_eq!(second.actions, []);
    assert!(
        second.waits.iter().all(|wait| &*wait.reason == told),
        "{:?}",
        second.waits
    );
    farm.queue.push(of_project(9, "dave", "demo"));
    assert_eq!(drained(&plan(&farm)), [(1, why(9).as_str())]);
    // With room elsewhere nothing has to go.
    farm.pools.insert("other".parse().unwrap(), reusing(9));
    let third = plan(&farm);
    assert_eq!((drained(&third), launches(&third)), (vec![], 3));
}

#[test]
fn who_waits_for_a_builder_that_is_being_cleaned_has_no_other_launched() {
    let demo = |number| of_project(number, "alice", "demo");
    let mut farm = snapshot(&[("x86", reusing(9))]);
    farm.builders = vec![Builder {
        state: BuilderState::Cleaning,
        ..used(1, "x86", &demo(0))
    }];
    farm.queue = vec![demo(7), demo(8), of_project(9, "bob", "demo")];
    let plan = plan(&farm);
    let reasons: Vec<_> = plan
        .waits
        .iter()
        .map(|wait| (wait.attempt.0.as_u128(), &*wait.reason))
        .collect();
    let starts = "a builder of pool x86 is being started for it";
    let cleaned = "a builder of pool x86 is being cleaned for it";
    assert_eq!(reasons, [(7, cleaned), (9, starts), (8, starts)]);
    assert_eq!(launches(&plan), 2);
}
