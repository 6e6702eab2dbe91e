//! Fleets, builders and attempts for tests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{
    AttemptId, BuildId, BuilderId, BuilderState, Drift, Lacks, LaunchHistory, PoolName, Timestamp,
    fleet::FleetSpec,
    plan::{CloudHealth, Pool, Queue, QueuedAttempt, Snapshot},
};
use store::{Builder, FleetView};

/// The moment of every view: 2026-11-29T12:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_795_953_600_000_000);

pub(super) fn name(pool: &str) -> PoolName {
    pool.parse().unwrap()
}

pub(super) fn id(number: u32) -> BuilderId {
    BuilderId(uuid::Uuid::from_u128(u128::from(number)))
}

/// Pools by name, with one label, `[min, max, idle]` and priority.
pub(crate) fn fleet(pools: &[(&str, &str, [u32; 3], i32)]) -> FleetSpec {
    let pools: serde_json::Map<_, _> = pools
        .iter()
        .map(|(name, label, [min, max, idle], priority)| {
            let pool = serde_json::json!({
                "labels": [label], "image": "i", "provision": "p", "priority": priority,
                "size": {"min": min, "max": max, "idle": idle}, "offerings": [{"types": ["t"]}],
            });
            ((*name).to_owned(), pool)
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "schema": 1, "fleet": "019a0000-0000-7000-8000-000000000001", "name": "test",
        "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
        "images": {"i": {"cloud": "c", "id": "ami-1"}}, "provision": {"p": {}}, "pools": pools,
    }))
    .unwrap()
}

/// A builder that came into its state 90 seconds before the moment of the view.
pub(super) fn builder(number: u32, pool: &str, state: BuilderState) -> Builder {
    let entered_at = NOW.minus(Duration::from_secs(90));
    Builder {
        id: id(number),
        pool: name(pool),
        state,
        version: 1,
        cloud: "c".to_owned(),
        instance_id: Some(format!("i-{number}")),
        address: Some(format!("10.0.0.{number}")),
        port: 22,
        host_key: None,
        host_key_secret: None,
        host_key_is_given: false,
        host_key_next: None,
        image: "ami-1".to_owned(),
        spec_hash: "hash".to_owned(),
        cordoned: false,
        reason: Some(format!("it is {state} for a reason")),
        entered_at,
        deadline: None,
        created_at: entered_at,
        ready_at: None,
        launch: None,
        launches: 1,
        refusals: 0,
        postponements: 0,
        refusal: None,
        sandbox: None,
        uses: 0,
        baseline: None,
        mark: None,
        host: None,
        adopted: None,
    }
}

/// Instance `i-9` of cloud `c`, which no builder has.
pub(super) fn stray() -> store::Orphan {
    store::Orphan {
        cloud: "c".to_owned(),
        instance_id: "i-9".to_owned(),
        state: "running".to_owned(),
        first_at: NOW,
        last_at: NOW,
        times_seen: 1,
        refusal: None,
        pool: None,
        is_ending: false,
        ignored: None,
    }
}

/// An attempt of the build of the same number. The first waits for 1000 seconds less one, the next for a second less.
pub(super) fn attempt(number: i64, chroot: &str) -> QueuedAttempt {
    QueuedAttempt {
        id: AttemptId(uuid::Uuid::from_u128(number.unsigned_abs().into())),
        build: BuildId(number),
        owner: "alice".parse().unwrap(),
        chroot: chroot.parse().unwrap(),
        background: false,
        queued_at: NOW
            .minus(Duration::from_secs(1000))
            .plus(Duration::from_secs(number.unsigned_abs())),
        sandbox: None,
    }
}

pub(super) fn view(builders: Vec<Builder>, queue: Vec<QueuedAttempt>) -> FleetView {
    FleetView {
        at: NOW,
        builders: Arc::new(builders),
        queue: Queue::new(queue, &BTreeMap::new()),
        reasons: Arc::default(),
        active: BTreeMap::new(),
        chroots: Vec::new(),
        histories: BTreeMap::new(),
        troubles: Vec::new(),
        shortages: Arc::default(),
        others: BTreeMap::new(),
        calls: BTreeMap::new(),
        strays: Vec::new(),
        ended: Vec::new(),
        hosts: BTreeMap::new(),
        images: BTreeMap::new(),
        pauses: BTreeMap::new(),
        intents: Vec::new(),
        made: Vec::new(),
    }
}

/// What a controller with this fleet file sees, where the builders of some pools are made otherwise by now. All clouds answer.
pub(super) fn snapshot(fleet: &FleetSpec, view: &FleetView, outdated: &[&str]) -> Snapshot {
    let budgets = controller::budgets(fleet, view);
    let pools = fleet.pools.iter().map(|(name, spec)| {
        let pool = Pool {
            spec: spec.clone(),
            history: LaunchHistory::default(),
            cloud: CloudHealth::Answers,
            pause: None,
            no_image: None,
            quota: None,
            budget: fleet.budget_of(name, &budgets),
            calls: None,
            pace: None,
            hosts: BTreeMap::new(),
            port: 22,
        };
        (name.clone(), pool)
    });
    let builders = view.builders.iter().map(|builder| model::plan::Builder {
        id: builder.id,
        pool: builder.pool.clone(),
        state: builder.state,
        created_at: builder.created_at,
        entered_at: builder.entered_at,
        deadline: builder.deadline,
        cordoned: builder.cordoned,
        drift: outdated
            .contains(&builder.pool.as_str())
            .then_some(Drift::Programs),
        lacks: match outdated.contains(&builder.pool.as_str()) {
            true => Lacks::Everything,
            false => Lacks::Nothing,
        },
        refusal: None,
        sandbox: builder.sandbox.clone(),
        ready_at: builder.ready_at,
        mark: builder.mark.clone(),
        host: None,
        line: None,
    });
    Snapshot::new(view.at, pools.collect(), builders.collect(), view.queue.clone())
}
