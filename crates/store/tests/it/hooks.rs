//! Runs of hooks: on record before they begin, and what comes of them.

use model::{
    BuilderId, BuilderState, FleetId,
    fleet::{HookPoint, HookSpec},
};
use store::{Builder, Change, EventFilter, HookEnd, HookRun, HookState, NewHookRun, Page};
use uuid::Uuid;

use crate::{
    farm::{Farm, assert_conflict, assert_lease_lost, because, new_builder},
    support::at,
};

on_both_databases!(
    hooks_of_a_turn_are_written_down_once,
    the_hooks_of_a_move_are_on_record_with_it_or_not_at_all,
    a_try_is_on_record_before_it_begins_and_keeps_its_key_when_it_is_repeated,
    what_comes_of_a_try_is_told_and_kept,
    only_who_leads_and_knows_how_it_stands_changes_a_run,
    failures_are_found_until_a_later_try_goes_well,
    the_failures_of_another_fleet_hide_none,
    hooks_go_with_their_builder,
);

pub(crate) fn new_run(point: HookPoint, place: u32) -> NewHookRun {
    let spec = serde_json::json!({"cmd": ["/etc/verdigris/hooks/add", "-v"], "attempts": 5});
    NewHookRun {
        id: Uuid::now_v7(),
        point,
        place,
        spec: serde_json::from_value::<HookSpec>(spec).unwrap(),
    }
}

fn ends(state: HookState, outcome: &str) -> HookEnd {
    HookEnd {
        state,
        due_at: None,
        outcome: outcome.to_owned(),
        tail: Some("the last line".to_owned()),
    }
}

impl Farm {
    async fn open_hooks(&self) -> Vec<HookRun> {
        self.store.hook_runs(self.lease.fleet, &[]).await.unwrap()
    }

    async fn hooks_of(&self, id: BuilderId) -> Vec<HookRun> {
        self.store.hooks_of(id).await.unwrap()
    }

    /// A planned builder with one hook.
    async fn hooked(&self, point: HookPoint) -> (Builder, HookRun) {
        let builder = self.planned_builder().await;
        let new = [new_run(point, 0)];
        let begun = self
            .store
            .begin_hooks(&self.lease, (builder.id, point), &new, at(3));
        begun.await.unwrap();
        let run = self.hooks_of(builder.id).await.remove(0);
        (builder, run)
    }

    async fn start_hook(&self, run: &HookRun, now: u64) -> HookRun {
        let started = self.store.start_hook(&self.lease, run, at(now)).await.unwrap();
        let kept = self.hooks_of(run.builder).await;
        assert!(kept.contains(&started), "{kept:?}");
        started
    }

    async fn end_hook(&self, run: &HookRun, end: &HookEnd, now: u64) -> HookRun {
        self.store.end_hook(&self.lease, run, end, at(now)).await.unwrap();
        let runs = self.hooks_of(run.builder).await;
        runs.into_iter().find(|it| it.id == run.id).unwrap()
    }
}

async fn hooks_of_a_turn_are_written_down_once(farm: Farm) {
    let builder = farm.planned_builder().await;
    let point = HookPoint::BeforeSpawn;
    let new = [new_run(point, 1), new_run(point, 0)];
    let turn = (builder.id, point);
    farm.store
        .begin_hooks(&farm.lease, turn, &new, at(5))
        .await
        .unwrap();
    let again = [new_run(point, 0), new_run(point, 2)];
    farm.store
        .begin_hooks(&farm.lease, turn, &again, at(6))
        .await
        .unwrap();
    let later = [new_run(HookPoint::BeforeTerminate, 0)];
    let turn = (builder.id, HookPoint::BeforeTerminate);
    farm.store
        .begin_hooks(&farm.lease, turn, &later, at(7))
        .await
        .unwrap();
    let found = farm.hooks_of(builder.id).await;
    let ids: Vec<Uuid> = found.iter().map(|run| run.id).collect();
    assert_eq!(
        ids,
        [new[1].id, new[0].id, later[0].id],
        "in the order of its life"
    );
    let first = &found[0];
    assert_eq!((first.builder, first.point, first.place), (builder.id, point, 0));
    assert_eq!(
        (first.state, first.attempt, first.due_at),
        (HookState::Waiting, 0, at(5))
    );
    assert_eq!(first.spec, new[1].spec);
    assert_eq!(
        (first.started_at, first.ended_at, first.failed_at),
        (None, None, None)
    );
    assert_eq!(farm.open_hooks().await.len(), 3);
}

async fn the_hooks_of_a_move_are_on_record_with_it_or_not_at_all(farm: Farm) {
    let planned = farm.planned_builder().await;
    let launching = farm.launch(&planned).await;
    let change = || Change {
        instance_id: Some("i-1".to_owned()),
        hooks: vec![
            new_run(HookPoint::AfterSpawn, 0),
            new_run(HookPoint::AfterSpawn, 1),
        ],
        ..because("the cloud gave it")
    };
    let changes = [change(), change(), change()];
    let pending = BuilderState::Pending;
    let moved = farm
        .store
        .transition(&farm.lease, &launching, pending, &changes[0], at(9));
    moved.await.unwrap();
    assert_eq!(farm.hooks_of(planned.id).await.len(), 2);
    let again = farm
        .store
        .transition(&farm.lease, &launching, pending, &changes[1], at(10));
    assert_conflict(again.await);
    assert_eq!(farm.hooks_of(planned.id).await.len(), 2);

    // An instance that is another builder's is not taken, and nothing is told of it.
    let other = new_builder();
    farm.store
        .plan_builder(&farm.lease, &other, at(11))
        .await
        .unwrap();
    let other = farm.builder(other.id).await;
    let other = farm.launch(&other).await;
    let taken = farm
        .store
        .transition(&farm.lease, &other, pending, &changes[2], at(12));
    assert_conflict(taken.await);
    assert_eq!(farm.hooks_of(other.id).await, []);
}

async fn a_try_is_on_record_before_it_begins_and_keeps_its_key_when_it_is_repeated(farm: Farm) {
    let (_, run) = farm.hooked(HookPoint::AfterReady).await;
    let first = farm.start_hook(&run, 10).await;
    assert_eq!(
        (first.state, first.attempt, first.started_at),
        (HookState::Running, 1, Some(at(10)))
    );
    // Its controller was killed: whoever comes next finds it as it was left.
    let left = farm.open_hooks().await.remove(0);
    let repeated = farm.start_hook(&left, 50).await;
    assert_eq!((repeated.attempt, repeated.key()), (1, first.key()));
    assert_eq!(repeated.started_at, Some(at(50)));
    let again = HookEnd {
        due_at: Some(at(60)),
        ..ends(HookState::Waiting, "exit code 75")
    };
    let waiting = farm.end_hook(&repeated, &again, 51).await;
    assert_eq!(
        (waiting.due_at, waiting.ended_at, waiting.attempt),
        (at(60), None, 1)
    );
    let second = farm.start_hook(&waiting, 60).await;
    assert_eq!(second.attempt, 2);
    assert_ne!(second.key(), first.key());
    assert!(
        second.key().starts_with(&run.id.simple().to_string()),
        "{}",
        second.key()
    );
}

async fn what_comes_of_a_try_is_told_and_kept(farm: Farm) {
    let (builder, run) = farm.hooked(HookPoint::AfterReady).await;
    let run = farm.start_hook(&run, 10).await;
    let end = HookEnd {
        tail: Some(format!("\0{}", "x".repeat(10_000))),
        ..ends(HookState::Failed, "exit code 3")
    };
    let ended = farm.end_hook(&run, &end, 11).await;
    assert_eq!(
        (ended.state, ended.ended_at, ended.failed_at),
        (HookState::Failed, Some(at(11)), Some(at(11)))
    );
    assert_eq!(ended.outcome.as_deref(), Some("exit code 3"));
    assert!(
        ended
            .tail
            .is_some_and(|tail| tail.len() < 5000 && tail.ends_with('x'))
    );
    assert_eq!(farm.open_hooks().await, []);
    let all = farm
        .store
        .hook_runs(farm.lease.fleet, &[builder.id])
        .await
        .unwrap();
    assert_eq!(all.len(), 1, "those of a builder that is asked for, too");
    let filter = EventFilter {
        builder: Some(builder.id),
        ..EventFilter::default()
    };
    let told = farm.events(filter).await.pop().unwrap();
    assert_eq!(
        told.reason,
        "hook after_ready: /etc/verdigris/hooks/add -v: exit code 3"
    );
    let detail = told.detail.unwrap();
    assert_eq!(
        (&detail["hook"], &detail["attempt"]),
        (&"after_ready".into(), &1.into())
    );
    assert_eq!(
        (&detail["state"], &detail["outcome"]),
        (&"failed".into(), &"exit code 3".into())
    );
}

async fn only_who_leads_and_knows_how_it_stands_changes_a_run(farm: Farm) {
    let (builder, run) = farm.hooked(HookPoint::AfterReady).await;
    let started = farm.start_hook(&run, 10).await;
    assert_conflict(farm.store.start_hook(&farm.lease, &run, at(11)).await);
    let done = ends(HookState::Done, "done");
    assert_conflict(farm.store.end_hook(&farm.lease, &run, &done, at(11)).await);
    farm.end_hook(&started, &done, 12).await;
    assert_conflict(farm.store.end_hook(&farm.lease, &started, &done, at(13)).await);
    assert_conflict(farm.store.start_hook(&farm.lease, &started, at(13)).await);

    let (_, other) = farm.hooked(HookPoint::AfterReady).await;
    let old = farm.lease;
    let taken = farm
        .store
        .acquire_lease(old.fleet, "another", crate::farm::TTL, at(10_000));
    taken.await.unwrap().unwrap();
    let (store, turn) = (&farm.store, (builder.id, HookPoint::AfterTerminate));
    let new = [new_run(turn.1, 0)];
    assert_lease_lost(store.begin_hooks(&old, turn, &new, at(14)).await);
    assert_lease_lost(store.start_hook(&old, &other, at(14)).await);
    assert_lease_lost(store.end_hook(&old, &other, &done, at(14)).await);
    assert_eq!(farm.open_hooks().await, [other]);
}

async fn failures_are_found_until_a_later_try_goes_well(farm: Farm) {
    let failed = async |since: u64| {
        let found = farm
            .store
            .failed_hooks(farm.lease.fleet, at(since))
            .await
            .unwrap();
        found.into_iter().map(|run| run.id).collect::<Vec<Uuid>>()
    };
    let (_, one) = farm.hooked(HookPoint::AfterReady).await;
    let (_, two) = farm.hooked(HookPoint::AfterSpawn).await;
    assert_eq!(failed(0).await, Vec::<Uuid>::new());
    let again = HookEnd {
        due_at: Some(at(20)),
        ..ends(HookState::Waiting, "exit code 1")
    };
    let run = farm.start_hook(&one, 10).await;
    let waiting = farm.end_hook(&run, &again, 11).await;
    let run = farm.start_hook(&two, 12).await;
    farm.end_hook(&run, &ends(HookState::Failed, "exit code 1"), 13)
        .await;
    assert_eq!(failed(0).await, [two.id, one.id], "the last one first");
    assert_eq!(failed(11).await, [two.id]);
    let other_fleet = store::Lease {
        fleet: FleetId(Uuid::from_u128(7)),
        ..farm.lease
    };
    assert_eq!(
        farm.store.failed_hooks(other_fleet.fleet, at(0)).await.unwrap(),
        []
    );
    assert_eq!(farm.store.hook_runs(other_fleet.fleet, &[]).await.unwrap(), []);

    let run = farm.start_hook(&waiting, 20).await;
    assert_eq!(failed(0).await, [two.id, one.id], "while it is tried again");
    farm.end_hook(&run, &ends(HookState::Done, "done"), 21).await;
    assert_eq!(failed(0).await, [two.id]);
    // What was never tried has not failed.
    let (_, three) = farm.hooked(HookPoint::BeforeTerminate).await;
    for state in [HookState::Late, HookState::Skipped] {
        let (_, it) = farm.hooked(HookPoint::BeforeTerminate).await;
        farm.end_hook(&it, &ends(state, "left out"), 22).await;
    }
    farm.end_hook(&three, &ends(HookState::Late, "too late"), 22)
        .await;
    assert_eq!(failed(0).await, [two.id]);
}

async fn the_failures_of_another_fleet_hide_none(farm: Farm) {
    let (_, ours) = farm.hooked(HookPoint::AfterReady).await;
    let started = farm.start_hook(&ours, 10).await;
    farm.end_hook(&started, &ends(HookState::Failed, "exit code 1"), 11)
        .await;
    let theirs = farm
        .store
        .acquire_lease(FleetId(Uuid::now_v7()), "another", crate::farm::TTL, at(0))
        .await;
    let theirs = theirs.unwrap().unwrap();
    let builder = new_builder();
    farm.store.plan_builder(&theirs, &builder, at(1)).await.unwrap();
    let places = 0..u32::try_from(Page::LONGEST).unwrap();
    let new: Vec<NewHookRun> = places
        .map(|place| new_run(HookPoint::AfterSpawn, place))
        .collect();
    let turn = (builder.id, HookPoint::AfterSpawn);
    farm.store.begin_hooks(&theirs, turn, &new, at(12)).await.unwrap();
    let failed = format!(
        "UPDATE hook_run SET failed_at = {} WHERE failed_at IS NULL",
        at(20).as_micros()
    );
    farm.raw().await.execute(&failed).await;
    let of = async |fleet: FleetId| farm.store.failed_hooks(fleet, at(0)).await.unwrap();
    let found = of(farm.lease.fleet).await;
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [ours.id]);
    assert_eq!(of(theirs.fleet).await.len(), new.len());
}

async fn hooks_go_with_their_builder(farm: Farm) {
    let (builder, _) = farm.hooked(HookPoint::BeforeSpawn).await;
    let (stays, _) = farm.hooked(HookPoint::BeforeSpawn).await;
    let change = Change {
        hooks: vec![new_run(HookPoint::AfterTerminate, 0)],
        ..because("given up")
    };
    let abandoned = BuilderState::Abandoned;
    let moved = farm
        .store
        .transition(&farm.lease, &builder, abandoned, &change, at(40));
    moved.await.unwrap();
    while farm.store.prune(at(40)).await.unwrap() > 0 {}
    assert_eq!(farm.hooks_of(builder.id).await.len(), 2, "it is not that old");
    while farm.store.prune(at(41)).await.unwrap() > 0 {}
    assert_eq!(farm.store.builder(builder.id).await.unwrap(), None);
    assert_eq!(farm.hooks_of(builder.id).await, []);
    assert_eq!(farm.hooks_of(stays.id).await.len(), 1);
}
