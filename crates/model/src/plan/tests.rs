use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::fleet::{LaunchSpec, OfferingSpec, ShrinkSpec, SizeSpec};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

fn pool(min: u32, max: u32, idle: u32) -> Pool {
    let spec = PoolSpec {
        labels: ["arch:x86_64".to_owned(), "chroot:microdistro-*".to_owned()].into(),
        priority: 0,
        image: "builder".to_owned(),
        provision: "base".to_owned(),
        size: SizeSpec { min, max, idle },
        launch: LaunchSpec {
            parallel: 4,
            attempts: 3,
        },
        offerings: vec![OfferingSpec {
            types: vec!["t3.micro".to_owned()],
            zones: vec![],
        }],
        shrink: ShrinkSpec::default(),
    };
    Pool {
        spec,
        fortune: Fortune::default(),
    }
}

fn snapshot(pools: &[(&str, Pool)]) -> Snapshot {
    let pools = pools
        .iter()
        .map(|(name, pool)| (name.parse().unwrap(), pool.clone()))
        .collect();
    Snapshot {
        now: NOW,
        pools,
        builders: vec![],
        queue: vec![],
        active: BTreeMap::new(),
    }
}

fn builder(number: u128, pool: &str, state: BuilderState) -> Builder {
    Builder {
        id: BuilderId(Uuid::from_u128(number)),
        pool: pool.parse().unwrap(),
        state,
        entered_at: NOW.minus(Duration::from_secs(5)),
        deadline: None,
        cordoned: false,
        outdated: false,
    }
}

fn attempt(number: u128, owner: &str) -> QueuedAttempt {
    QueuedAttempt {
        id: AttemptId(Uuid::from_u128(number)),
        build: BuildId(i64::try_from(number).unwrap()),
        chroot: "microdistro-1-x86_64".parse().unwrap(),
        owner: owner.parse().unwrap(),
        background: false,
        queued_at: NOW.minus(Duration::from_secs(100)),
    }
}

fn launches(plan: &Plan) -> usize {
    plan.actions
        .iter()
        .filter(|action| matches!(action, Action::Launch { .. }))
        .count()
}

#[test]
fn a_ready_builder_goes_to_the_attempt_that_waits() {
    let mut farm = snapshot(&[("x86", pool(0, 2, 0))]);
    farm.builders.push(builder(1, "x86", BuilderState::Ready));
    farm.queue.push(attempt(7, "alice"));
    let plan = plan(&farm);
    let expected = Action::Assign {
        attempt: farm.queue[0].id,
        builder: farm.builders[0].id,
    };
    assert_eq!(plan.actions, [expected]);
    assert!(plan.waits.is_empty());
}

#[test]
fn nobody_waits_for_a_cloud_that_does_not_answer_while_another_has_room() {
    let mut away = pool(0, 4, 0);
    away.spec.priority = 1;
    let mut farm = snapshot(&[("away", away), ("here", pool(0, 4, 0))]);
    farm.builders.push(builder(1, "away", BuilderState::Resolving));
    farm.queue.push(attempt(7, "alice"));
    let launched = plan(&farm);
    assert_eq!(launches(&launched), 1, "{launched:?}");
    // One that is on its way is waited for.
    farm.builders.push(builder(2, "here", BuilderState::Booting));
    assert_eq!(launches(&plan(&farm)), 0);
}

#[test]
fn the_second_request_of_one_owner_waits_behind_the_first_of_another() {
    let mut farm = snapshot(&[("x86", pool(0, 1, 0))]);
    farm.queue = vec![attempt(1, "alice"), attempt(2, "alice"), attempt(3, "bob")];
    let order: Vec<_> = plan(&farm)
        .waits
        .iter()
        .map(|wait| wait.attempt.0.as_u128())
        .collect();
    assert_eq!(order, [1, 3, 2]);
    farm.active.insert("alice".parse().unwrap(), 5);
    let order: Vec<_> = plan(&farm)
        .waits
        .iter()
        .map(|wait| wait.attempt.0.as_u128())
        .collect();
    assert_eq!(order, [3, 1, 2]);
}

#[test]
fn background_attempts_yield_to_all_others() {
    let mut farm = snapshot(&[("x86", pool(0, 1, 0))]);
    farm.queue = vec![attempt(1, "alice"), attempt(2, "alice")];
    farm.queue[0].background = true;
    assert_eq!(plan(&farm).waits[0].attempt.0.as_u128(), 2);
}

#[test]
fn a_pool_never_grows_above_its_maximum_and_says_so() {
    let mut farm = snapshot(&[("x86", pool(0, 2, 0))]);
    farm.builders.push(builder(1, "x86", BuilderState::Terminating));
    farm.queue = vec![attempt(1, "alice"), attempt(2, "bob")];
    let plan = plan(&farm);
    assert_eq!(launches(&plan), 1);
    assert_eq!(plan.waits[1].reason, "pool x86 is at its maximum of 2");
}

#[test]
fn a_second_plan_after_the_launches_asks_for_nothing_new() {
    let mut farm = snapshot(&[("x86", pool(1, 9, 2))]);
    farm.queue = vec![attempt(1, "alice")];
    let first = plan(&farm);
    assert_eq!(launches(&first), 3, "one for the queue, two to hold ready");
    for number in 0..3 {
        farm.builders.push(builder(number, "x86", BuilderState::Planned));
    }
    assert_eq!(launches(&plan(&farm)), 0);
}

#[test]
fn a_chroot_that_no_pool_offers_is_named_and_starts_nothing() {
    let mut farm = snapshot(&[("x86", pool(0, 2, 0))]);
    farm.queue.push(attempt(1, "alice"));
    farm.queue[0].chroot = "fedora-43-s390x".parse().unwrap();
    let plan = plan(&farm);
    assert_eq!(plan.waits[0].reason, "no pool offers fedora-43-s390x");
    assert_eq!(launches(&plan), 0);
}

#[test]
fn a_pool_whose_builders_never_get_ready_is_braked_and_then_probed() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 2))]);
    let x86: PoolName = "x86".parse().unwrap();
    farm.pools.get_mut(&x86).unwrap().fortune = Fortune {
        failures: 3,
        last_failure: Some(NOW.minus(Duration::from_secs(10))),
        last_reason: Some("nobody answered".to_owned()),
    };
    let braked = plan(&farm);
    assert_eq!(launches(&braked), 0);
    let note = &braked.pools[0].note;
    assert!(
        note.contains("never got ready") && note.ends_with("nobody answered"),
        "{note}"
    );
    farm.now = NOW.plus(Duration::from_secs(60));
    assert_eq!(
        launches(&plan(&farm)),
        1,
        "one to find out whether it works again"
    );
}

#[test]
fn an_idle_builder_beyond_the_wanted_number_is_let_go_when_its_time_is_over() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 1))]);
    farm.builders = vec![
        builder(1, "x86", BuilderState::Ready),
        builder(2, "x86", BuilderState::Ready),
    ];
    assert!(plan(&farm).actions.is_empty());
    farm.builders[1].entered_at = NOW.minus(Duration::from_secs(601));
    let expected = Action::Drain {
        builder: farm.builders[1].id,
        reason: "ready for 10m and not needed".to_owned(),
    };
    assert_eq!(plan(&farm).actions, [expected]);
}

#[test]
fn an_outdated_builder_gets_nothing_and_is_replaced() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![builder(1, "x86", BuilderState::Ready)];
    farm.builders[0].outdated = true;
    farm.queue.push(attempt(1, "alice"));
    let plan = plan(&farm);
    let is_drained =
        |action: &Action| matches!(action, Action::Drain { builder, .. } if *builder == farm.builders[0].id);
    assert_eq!(launches(&plan), 1);
    assert!(plan.actions.iter().any(is_drained), "{plan:?}");
    assert_eq!(plan.actions.len(), 2);
    // One that is at work is left to end it.
    farm.builders[0].state = BuilderState::Busy;
    farm.queue.clear();
    assert!(super::plan(&farm).actions.is_empty());
}

#[test]
fn a_builder_that_overstays_is_moved_on_with_the_reason() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders.push(builder(1, "x86", BuilderState::Booting));
    farm.builders[0].deadline = Some(NOW);
    let expected = Action::Expire {
        builder: farm.builders[0].id,
        from: BuilderState::Booting,
        to: BuilderState::Terminating,
        reason: "still booting after 5 s".to_owned(),
    };
    assert_eq!(plan(&farm).actions, [expected]);
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let states = prop::sample::select(BuilderState::ALL.to_vec());
    let builders = prop::collection::vec((states, 0u8..3, any::<bool>()), 0..12);
    let queue = prop::collection::vec((0u8..3, any::<bool>()), 0..12);
    (builders, queue, 0u32..4, 0u32..8, 0u32..4).prop_map(|(builders, queue, min, max, idle)| {
        let mut farm = snapshot(&[("p0", pool(min, max, idle)), ("p1", pool(0, 3, 1))]);
        for (index, (state, pool, overdue)) in builders.into_iter().enumerate() {
            let mut one = builder(index as u128, &format!("p{pool}"), state);
            one.deadline = overdue.then_some(NOW);
            if !state.is_final() {
                farm.builders.push(one);
            }
        }
        for (index, (owner, background)) in queue.into_iter().enumerate() {
            let mut one = attempt(1000 + index as u128, &format!("o{owner}"));
            one.background = background;
            farm.queue.push(one);
        }
        farm
    })
}

proptest! {
    #[test]
    fn whatever_the_farm_looks_like_the_plan_keeps_its_promises(farm in any_snapshot()) {
        let first = plan(&farm);
        prop_assert_eq!(&first, &plan(&farm), "the same snapshot gives the same plan");
        for (name, pool) in &farm.pools {
            let counted = farm.builders.iter().filter(|b| b.pool == *name && b.state.counts()).count();
            let launched = first.actions.iter()
                .filter(|a| matches!(a, Action::Launch { pool, .. } if pool == name)).count();
            prop_assert!(launched == 0 || counted + launched <= pool.spec.size.max as usize);
        }
        let mut builders = std::collections::BTreeSet::new();
        let mut decided = std::collections::BTreeSet::new();
        for action in &first.actions {
            match action {
                Action::Assign { attempt, builder } => {
                    prop_assert!(builders.insert(*builder), "a builder is given out once");
                    prop_assert!(decided.insert(*attempt));
                    let state = farm.builders.iter().find(|b| b.id == *builder).map(|b| b.state);
                    prop_assert_eq!(state, Some(BuilderState::Ready));
                }
                Action::Drain { builder, .. } => prop_assert!(builders.insert(*builder)),
                Action::Expire { from, to, .. } => prop_assert!(from.may_become(*to)),
                Action::Launch { .. } => {}
            }
        }
        for wait in &first.waits {
            prop_assert!(decided.insert(wait.attempt));
            prop_assert!(!wait.reason.is_empty());
        }
        prop_assert_eq!(decided.len(), farm.queue.len(), "every attempt is served or told why not");
    }
}
