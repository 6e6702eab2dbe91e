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
