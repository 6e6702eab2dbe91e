use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    Market,
    fleet::{
        CapsSpec, DriftSpec, HoldSpec, HostKeySource, LaunchSpec, OfferingSpec, ReuseScope, ReuseSpec,
        ShrinkSpec, SizeSpec,
    },
    quantity::{Share, Span},
};

mod caps;
mod drifts;
mod hosts;
mod idle;
mod money;
mod operators;
mod paused;
mod pools;
mod promises;
mod refusals;
mod sandboxes;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

fn pool(min: u32, max: u32, idle: u32) -> Pool {
    let spec = PoolSpec {
        labels: ["arch:x86_64".to_owned(), "chroot:microdistro-*".to_owned()].into(),
        priority: 0,
        paused: false,
        image: Some("builder".to_owned()),
        provision: "base".to_owned(),
        host_key: HostKeySource::default(),
        size: SizeSpec {
            min,
            max,
            idle: Share::Count(idle),
            idle_cap: None,
        },
        schedule: vec![],
        launch: LaunchSpec {
            parallel: 4,
            attempts: 3,
            rate: None,
        },
        offerings: vec![OfferingSpec {
            types: vec!["t3.micro".to_owned()],
            zones: vec![],
            market: Market::OnDemand,
            max_price: None,
            max: None,
            after: None,
        }],
        disk: None,
        hosts: vec![],
        shrink: ShrinkSpec::default(),
        reuse: ReuseSpec::default(),
        drift: DriftSpec::default(),
        hold: HoldSpec::default(),
    };
    Pool {
        spec,
        history: LaunchHistory::default(),
        cloud: CloudHealth::Answers,
        pause: None,
        no_image: None,
        quota: None,
        budget: None,
        calls: None,
        pace: None,
        hosts: BTreeMap::new(),
        port: 22,
    }
}

/// A snapshot whose queue is not in order yet.
#[derive(Clone, Debug)]
struct Farm {
    now: Timestamp,
    pools: BTreeMap<PoolName, Pool>,
    builders: Vec<Builder>,
    queue: Vec<QueuedAttempt>,
    active: BTreeMap<OwnerName, u32>,
    caps: CapsSpec,
}

fn plan(farm: &Farm) -> Plan {
    plan_with(farm, vec![])
}

/// The plan of a farm in which operators ask for something.
fn plan_with(farm: &Farm, demands: Vec<Demand>) -> Plan {
    let mut snapshot = Snapshot::new(
        farm.now,
        farm.pools.clone(),
        farm.builders.clone(),
        Queue::new(farm.queue.clone(), &farm.active),
    );
    snapshot.demands.extend(demands);
    snapshot.caps = Caps {
        spec: farm.caps.clone(),
        active: farm.active.clone(),
    };
    super::plan(&snapshot)
}

fn snapshot(pools: &[(&str, Pool)]) -> Farm {
    let pools = pools
        .iter()
        .map(|(name, pool)| (name.parse().unwrap(), pool.clone()))
        .collect();
    Farm {
        now: NOW,
        pools,
        builders: vec![],
        queue: vec![],
        active: BTreeMap::new(),
        caps: CapsSpec::default(),
    }
}

fn builder(number: u128, pool: &str, state: BuilderState) -> Builder {
    Builder {
        id: BuilderId(Uuid::from_u128(number)),
        pool: pool.parse().unwrap(),
        state,
        created_at: NOW.minus(Duration::from_secs(20)),
        entered_at: NOW.minus(Duration::from_secs(5)),
        deadline: None,
        cordoned: false,
        drift: None,
        lacks: Lacks::Nothing,
        refusal: None,
        sandbox: None,
        ready_at: None,
        mark: None,
        host: None,
        line: None,
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
        sandbox: None,
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
    assert_eq!(plan.waits[1].reason.as_ref(), "pool x86 is at its maximum of 2");
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
    assert_eq!(plan.waits[0].reason.as_ref(), "no pool offers fedora-43-s390x");
    assert_eq!(launches(&plan), 0);
}

/// A pool whose last builders failed, the last one so many seconds ago.
fn failed(mut pool: Pool, failures: u32, seconds: u64) -> Pool {
    pool.history = LaunchHistory {
        failures,
        last_failure: Some(NOW.minus(Duration::from_secs(seconds))),
        last_reason: Some("nobody answered".to_owned()),
    };
    pool
}

#[test]
fn a_pool_whose_builders_never_get_ready_is_held_back_and_then_tries_one() {
    let mut farm = snapshot(&[("x86", failed(pool(0, 9, 2), 3, 10))]);
    farm.queue.push(attempt(7, "alice"));
    let held = plan(&farm);
    assert_eq!(launches(&held), 0);
    let until = NOW.plus(Duration::from_secs(20)).to_the_second();
    let words = format!("pool x86 is held back until {until}: its last 3 builders never got ready");
    assert_eq!(
        held.waits[0].reason.as_ref(),
        words,
        "users are not told what machines said"
    );
    assert_eq!(
        held.pools[0].note,
        format!("{words}; the last one: nobody answered")
    );
    farm.now = NOW.plus(Duration::from_secs(60));
    assert_eq!(
        launches(&plan(&farm)),
        1,
        "one to find out whether it works again"
    );
}

#[test]
fn a_pool_that_is_held_back_says_so_even_when_it_wants_nothing() {
    let farm = snapshot(&[("x86", failed(pool(0, 9, 0), 3, 10))]);
    let note = &plan(&farm).pools[0].note;
    assert!(
        note.starts_with("pool x86 is held back until ") && note.ends_with("the last one: nobody answered"),
        "{note}"
    );
    let farm = snapshot(&[("x86", failed(pool(0, 9, 0), 2, 10))]);
    assert_eq!(plan(&farm).pools[0].note, "as wanted");
}

#[test]
fn the_third_builder_that_fails_is_not_replaced_before_it_counts() {
    let mut farm = snapshot(&[("x86", failed(pool(0, 9, 1), 2, 30))]);
    farm.builders.push(builder(1, "x86", BuilderState::Booting));
    farm.builders[0].deadline = Some(NOW);
    let third = plan(&farm);
    assert!(matches!(third.actions[..], [Action::Expire { .. }]), "{third:?}");
    // One that fails before is.
    farm.pools.values_mut().next().unwrap().history.failures = 1;
    assert_eq!(launches(&plan(&farm)), 1);
}

fn away(mut pool: Pool) -> Pool {
    pool.cloud = CloudHealth::Away(CloudTrouble {
        cloud: "aws".to_owned(),
        since: NOW,
        reason: "the cloud refuses: AuthFailure".to_owned(),
        detail: "the cloud refuses: AuthFailure: key AKIA is not known".to_owned(),
    });
    pool
}

#[test]
fn a_cloud_that_is_away_is_asked_for_nothing_and_named() {
    let mut farm = snapshot(&[("x86", away(pool(2, 12, 1)))]);
    farm.queue = (1..9).map(|number| attempt(number, "alice")).collect();
    let held = plan(&farm);
    assert_eq!(held.actions, []);
    let since = NOW.to_the_second();
    let words = format!("cloud aws gives no machines since {since}: the cloud refuses: AuthFailure");
    assert_eq!(
        held.waits[0].reason.as_ref(),
        words,
        "users are not told what the cloud wrote"
    );
    assert_eq!(held.pools[0].note, format!("{words}: key AKIA is not known"));
    // Others go to a cloud that answers, whatever was planned here before.
    farm.builders.push(builder(1, "x86", BuilderState::Planned));
    farm.pools.insert("arm".parse().unwrap(), pool(0, 3, 0));
    assert_eq!(launches(&plan(&farm)), 3);
}

#[test]
fn a_cloud_is_asked_for_machines_only_after_it_said_what_runs_there() {
    let mut unasked = pool(0, 12, 3);
    unasked.cloud = CloudHealth::Unknown;
    let farm = snapshot(&[("x86", unasked)]);
    let held = plan(&farm);
    assert_eq!(held.actions, []);
    assert_eq!(
        held.pools[0].note,
        "the cloud of pool x86 is being asked what runs there"
    );
}

#[test]
fn launches_without_an_answer_are_spare_and_few() {
    let mut farm = snapshot(&[("x86", pool(0, 12, 1))]);
    farm.builders.push(builder(1, "x86", BuilderState::Resolving));
    assert_eq!(plan(&farm).actions, [], "it may be the spare one");
    farm.builders[0].state = BuilderState::Launching;
    farm.builders[0].deadline = Some(NOW);
    let overdue = plan(&farm);
    assert!(
        matches!(
            overdue.actions[..],
            [Action::Expire {
                to: BuilderState::Resolving,
                ..
            }]
        ),
        "nor is another asked for when it gets there by this plan: {overdue:?}"
    );
    farm.builders[0] = builder(1, "x86", BuilderState::Resolving);
    farm.queue = (1..9).map(|number| attempt(number, "alice")).collect();
    assert_eq!(
        launches(&plan(&farm)),
        3,
        "one unanswered and three more make four at once"
    );
    farm.builders.push(builder(2, "x86", BuilderState::Resolving));
    let held = plan(&farm);
    assert_eq!(launches(&held), 0);
    assert_eq!(
        held.waits[0].reason.as_ref(),
        "pool x86 waits for its cloud's answer to 2 launches"
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
fn a_builder_with_other_programs_gets_nothing_and_is_replaced() {
    let mut farm = snapshot(&[("x86", pool(0, 9, 0))]);
    farm.builders = vec![builder(1, "x86", BuilderState::Ready)];
    farm.builders[0].drift = Some(Drift::Programs);
    farm.builders[0].lacks = Lacks::Everything;
    farm.queue.push(attempt(1, "alice"));
    let first = plan(&farm);
    let is_drained =
        |action: &Action| matches!(action, Action::Drain { builder, .. } if *builder == farm.builders[0].id);
    assert_eq!(launches(&first), 1);
    assert!(first.actions.iter().any(is_drained), "{first:?}");
    assert_eq!(first.actions.len(), 2);
    // One that is at work is left to end it.
    farm.builders[0].state = BuilderState::Busy;
    farm.queue.clear();
    assert!(plan(&farm).actions.is_empty());
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
