//! The queue: the order of service, places, pages and counts.

use std::collections::BTreeMap;

use model::{
    BuildId, BuildState, BuilderState, DirectoryName, ProjectId,
    plan::{self, QueuedAttempt, Snapshot, Wait},
};
use store::{BuildOptions, FleetCache, NewProject, NewUser, Page};

use crate::{
    farm::{CHROOT, Farm, OTHER_CHROOT, chroot, collected},
    support::at,
};

on_both_databases!(
    the_queue_is_in_the_order_in_which_the_planner_serves,
    a_page_of_the_queue_begins_at_the_front_and_says_how_many_wait,
    what_has_a_builder_is_out_of_the_queue_and_counts_for_its_owner,
    what_is_not_over_is_counted_exactly,
    whoever_looks_again_sees_what_one_who_looks_for_the_first_time_sees,
    an_attempt_that_comes_back_from_a_builder_is_told_again_why_it_waits,
    a_change_that_was_not_committed_at_the_last_look_is_seen_at_the_next,
    what_vanishes_with_its_build_leaves_the_queue,
    an_attempt_that_is_forgotten_and_waits_still_comes_back_at_the_next_look,
    changes_of_the_queue_are_kept_for_an_hour,
);

/// A project of another owner.
async fn project_of(farm: &Farm, owner: &str) -> ProjectId {
    let new = NewUser {
        name: owner.parse().unwrap(),
        is_operator: false,
    };
    let user = farm.store.create_user(&new, at(0)).await.unwrap();
    let new = NewProject {
        owner: user.name,
        created_by: user.id,
        ..farm.new_project("other")
    };
    farm.store.create_project(&new, at(0)).await.unwrap().id
}

/// A build of one chroot in a project of that name.
async fn submit(farm: &Farm, project: (ProjectId, &str), seconds: u64, background: bool) -> BuildId {
    let mut upload = farm.upload(&[CHROOT]);
    upload.project = project.0;
    upload.directory = project.1.parse::<DirectoryName>().unwrap();
    upload.options = BuildOptions {
        background,
        ..BuildOptions::default()
    };
    farm.store.submit_upload(&upload, at(seconds)).await.unwrap().id
}

async fn places(farm: &Farm) -> Vec<BuildId> {
    let queue = farm.store.queue(Page::default()).await.unwrap();
    let expected: Vec<u64> = (1..).take(queue.entries.len()).collect();
    let positions: Vec<u64> = queue.entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, expected);
    queue.entries.iter().map(|entry| entry.build).collect()
}

/// The builds that wait, as the planner would serve them if builders came.
async fn planned(farm: &Farm) -> Vec<BuildId> {
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(99)).await.unwrap();
    let of: BTreeMap<_, _> = view.queue.iter().map(|it| (it.id, it.build)).collect();
    let plan = plan::plan(&Snapshot::new(
        at(99),
        BTreeMap::new(),
        Vec::new(),
        view.queue.clone(),
    ));
    plan.waits.iter().map(|wait| of[&wait.attempt]).collect()
}

async fn the_queue_is_in_the_order_in_which_the_planner_serves(farm: Farm) {
    let bob = (project_of(&farm, "bob").await, "other");
    let carol = (project_of(&farm, "carol").await, "other");
    let alice = (farm.project.id, "tools");
    let mut expected = Vec::new();
    for (project, seconds, background) in [
        (alice, 1, true),
        (alice, 2, false),
        (alice, 3, false),
        (bob, 4, false),
        (alice, 4, false),
        (bob, 5, true),
        (bob, 6, false),
        (carol, 7, false),
    ] {
        expected.push(submit(&farm, project, seconds, background).await);
    }
    let in_words = [1, 3, 7, 2, 6, 4, 5, 0].map(|index| expected[index]);
    assert_eq!(
        places(&farm).await,
        in_words,
        "everybody's first, everybody's second, alice's third, and then what is background"
    );
    assert_eq!(planned(&farm).await, in_words);
    // Who has a builder already has had a turn.
    farm.assign(expected[1]).await;
    let in_words = [3, 7, 2, 6, 4, 5, 0].map(|index| expected[index]);
    assert_eq!(places(&farm).await, in_words);
    assert_eq!(planned(&farm).await, in_words);
    farm.assign(expected[2]).await;
    farm.assign(expected[4]).await;
    submit(&farm, alice, 8, false).await;
    assert_eq!(places(&farm).await, planned(&farm).await);
    // The planner gets them in that order.
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(9)).await.unwrap();
    let queued: Vec<BuildId> = view.queue.iter().map(|attempt| attempt.build).collect();
    assert_eq!(queued, places(&farm).await);
}

async fn a_page_of_the_queue_begins_at_the_front_and_says_how_many_wait(farm: Farm) {
    let mut all = Vec::new();
    for seconds in 1..=5 {
        all.push(submit(&farm, (farm.project.id, "tools"), seconds, false).await);
    }
    let page = |limit, offset| Page {
        limit: Some(limit),
        offset,
    };
    let shown = async |page| {
        let queue = farm.store.queue(page).await.unwrap();
        assert_eq!(queue.total, 5);
        let entries = queue.entries.into_iter();
        entries
            .map(|entry| (entry.position, entry.build))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(page(2, 0)).await, [(1, all[0]), (2, all[1])]);
    assert_eq!(shown(page(2, 3)).await, [(4, all[3]), (5, all[4])]);
    assert_eq!(shown(page(2, 5)).await, []);
    let entry = farm.store.queue(page(1, 2)).await.unwrap().entries.remove(0);
    assert_eq!(
        (
            entry.owner.as_str(),
            entry.project.as_str(),
            entry.package.unwrap().as_str()
        ),
        ("alice", "tools", "hello")
    );
    assert_eq!((entry.chroot.as_str(), entry.submitted_at), (CHROOT, at(3)));
    let places = farm.store.queue_positions(all[4]).await.unwrap();
    assert_eq!(places, BTreeMap::from([(chroot(CHROOT), 5)]));
}

async fn what_has_a_builder_is_out_of_the_queue_and_counts_for_its_owner(farm: Farm) {
    let id = farm.submit_for(&[CHROOT, OTHER_CHROOT]).await.id;
    let places = farm.store.queue_positions(id).await.unwrap();
    assert_eq!(
        places.into_values().collect::<std::collections::BTreeSet<_>>(),
        [1, 2].into()
    );
    farm.store.cancel_build(id, "user:alice", at(2)).await.unwrap();
    assert_eq!(farm.store.queue_positions(id).await.unwrap(), BTreeMap::new());
    assert_eq!(farm.store.queue(Page::default()).await.unwrap().total, 0);

    let id = farm.submit().await.id;
    farm.begin(id).await;
    assert_eq!(farm.store.queue(Page::default()).await.unwrap().total, 0);
    farm.lose_builder(id, "gone", at(9)).await;
    assert_eq!(places_of(&farm, id).await, [1], "another attempt waits");
}

async fn places_of(farm: &Farm, id: BuildId) -> Vec<u64> {
    let places = farm.store.queue_positions(id).await.unwrap();
    places.into_values().collect()
}

async fn what_is_not_over_is_counted_exactly(farm: Farm) {
    assert_eq!(farm.store.counts().await.unwrap(), store::FarmCounts::default());
    farm.published_build().await;
    let running = farm.submit().await.id;
    farm.begin(running).await;
    let done = farm.submit().await.id;
    let epoch = farm.begin(done).await;
    farm.finish(epoch, &collected(done)).await;
    for _ in 0..3 {
        farm.submit_for(&[CHROOT, OTHER_CHROOT]).await;
    }
    farm.planned_builder().await;
    let gone = farm.planned_builder().await;
    farm.go(&gone, BuilderState::Abandoned).await;

    let counts = farm.store.counts().await.unwrap();
    assert_eq!(counts.waiting, 6, "one for each chroot");
    assert_eq!(
        counts.builds,
        BTreeMap::from([(BuildState::Pending, 3), (BuildState::Running, 2)])
    );
    let pool: model::PoolName = "small".parse().unwrap();
    let of = |state| counts.builders.get(&(pool.clone(), state)).copied();
    assert_eq!(
        [BuilderState::Planned, BuilderState::Busy, BuilderState::Draining].map(of),
        [Some(1), Some(1), Some(2)]
    );
    assert_eq!(of(BuilderState::Abandoned), None);
    assert_eq!(farm.store.builders(None).await.unwrap().len(), 4);
    let gone_since = farm.store.builders(Some(at(0))).await.unwrap();
    assert_eq!(gone_since.len(), 5);
    assert!(gone_since.is_sorted_by_key(|builder| (builder.created_at, builder.id)));
    assert_eq!(farm.store.builders(Some(at(50))).await.unwrap().len(), 4);
}

async fn whoever_looks_again_sees_what_one_who_looks_for_the_first_time_sees(farm: Farm) {
    let (store, fleet) = (&farm.store, farm.lease.fleet);
    let bob = (project_of(&farm, "bob").await, "other");
    let alice = (farm.project.id, "tools");
    let mut cache = FleetCache::default();
    let mut look = async |why: Option<&str>| {
        let seen = store.look_at_fleet(fleet, &mut cache, at(50)).await.unwrap();
        let first = store.fleet_snapshot(fleet, at(50)).await.unwrap();
        assert_eq!(*seen.queue, *first.queue);
        assert_eq!(seen.reasons, first.reasons);
        if let Some(reason) = why {
            let waits: Vec<Wait> = seen.queue.iter().map(|attempt| wait(attempt, reason)).collect();
            store.set_waits(&farm.lease, &mut cache, &waits).await.unwrap();
        }
        seen.queue.len()
    };
    assert_eq!(look(None).await, 0);
    let first = submit(&farm, alice, 1, false).await;
    let second = submit(&farm, alice, 2, false).await;
    assert_eq!(look(Some("the pool is full")).await, 2);
    assert_eq!(look(None).await, 2, "nothing happened since");
    // One comes, of an owner whose turn is earlier; then one leaves, and one gets a builder: the order depends on it.
    submit(&farm, bob, 3, false).await;
    assert_eq!(look(Some("the pool is full")).await, 3);
    store.cancel_build(first, "user:alice", at(4)).await.unwrap();
    assert_eq!(look(None).await, 2);
    farm.assign(second).await;
    assert_eq!(look(Some("a builder boots")).await, 1);
    // One that leaves while another comes: as many wait as before.
    let third = submit(&farm, alice, 5, true).await;
    assert_eq!(look(None).await, 2);
    store.cancel_build(third, "user:alice", at(6)).await.unwrap();
    submit(&farm, alice, 7, false).await;
    assert_eq!(look(Some("the pool is full")).await, 2);
    assert_eq!(look(None).await, 2);
}

async fn an_attempt_that_comes_back_from_a_builder_is_told_again_why_it_waits(farm: Farm) {
    let (store, fleet) = (&farm.store, farm.lease.fleet);
    let build = farm.submit().await.id;
    let mut cache = FleetCache::default();
    let tell = async |cache: &mut FleetCache| {
        let seen = store.look_at_fleet(fleet, cache, at(50)).await.unwrap();
        let waits: Vec<Wait> = seen
            .queue
            .iter()
            .map(|attempt| wait(attempt, "the pool is full"))
            .collect();
        store.set_waits(&farm.lease, cache, &waits).await.unwrap();
        farm.chroot_of(build).await.waiting_reason
    };
    assert_eq!(tell(&mut cache).await.as_deref(), Some("the pool is full"));
    let attempt = farm.open_attempt(build).await.id;
    cache.forget(attempt);
    farm.assign(build).await;
    farm.lose_builder(build, "not needed", at(9)).await;
    assert_eq!(
        farm.open_attempt(build).await.id,
        attempt,
        "no worker took it up: it is the same attempt"
    );
    let why = farm.chroot_of(build).await.waiting_reason.unwrap();
    assert_eq!(
        why,
        "no worker took up the builder that it was given (not needed); no controller has looked at it since"
    );
    assert_eq!(tell(&mut cache).await.as_deref(), Some("the pool is full"));
}

/// The builds that wait, for somebody who looked before.
async fn look(farm: &Farm, cache: &mut FleetCache) -> Vec<BuildId> {
    let fleet = farm.lease.fleet;
    let view = farm.store.look_at_fleet(fleet, cache, at(50)).await.unwrap();
    view.queue.iter().map(|attempt| attempt.build).collect()
}

async fn a_change_that_was_not_committed_at_the_last_look_is_seen_at_the_next(farm: Farm) {
    let first = farm.submit().await.id;
    let raw = farm.raw().await;
    let mut cache = FleetCache::default();
    assert_eq!(look(&farm, &mut cache).await, [first]);
    let open = raw.begin().await;
    open.execute("UPDATE attempt SET state = 'canceled', ended_at = 5")
        .await;
    // Only PostgreSQL lets others write, and take a later number, meanwhile.
    let mut others = vec![first];
    if raw.is_postgres() {
        others.push(farm.submit().await.id);
    }
    assert_eq!(look(&farm, &mut cache).await, others);
    assert_eq!(look(&farm, &mut cache).await, others);
    open.commit().await;
    assert_eq!(look(&farm, &mut cache).await, others[1..]);
}

async fn what_vanishes_with_its_build_leaves_the_queue(farm: Farm) {
    let (first, second) = (farm.submit().await.id, farm.submit().await.id);
    let mut cache = FleetCache::default();
    assert_eq!(look(&farm, &mut cache).await, [first, second]);
    let raw = farm.raw().await;
    raw.execute(&format!("DELETE FROM build WHERE id = {first}"))
        .await;
    assert_eq!(look(&farm, &mut cache).await, [second]);
}

async fn an_attempt_that_is_forgotten_and_waits_still_comes_back_at_the_next_look(farm: Farm) {
    let build = farm.submit().await.id;
    let attempt = farm.open_attempt(build).await.id;
    let mut cache = FleetCache::default();
    look(&farm, &mut cache).await;
    // Forgotten, as before an assignment; which then fails, so that nothing changes in the database.
    cache.forget(attempt);
    assert_eq!(look(&farm, &mut cache).await, [build]);
    cache.forget(attempt);
    farm.assign(build).await;
    assert_eq!(look(&farm, &mut cache).await, []);
}

async fn changes_of_the_queue_are_kept_for_an_hour(farm: Farm) {
    let raw = farm.raw().await;
    let kept = async || raw.number("SELECT count(*) FROM queue_change").await;
    let build = farm.submit().await.id;
    farm.assign(build).await;
    assert_eq!(kept().await, 2, "one came, and left");
    assert_eq!(farm.store.prune(at(0)).await.unwrap(), 0);
    let an_hour = 3_600_000_000_i64;
    raw.execute(&format!(
        "UPDATE queue_change SET changed_at = changed_at - {an_hour} WHERE id = (SELECT min(id) FROM queue_change)"
    ))
    .await;
    assert_eq!(farm.store.prune(at(0)).await.unwrap(), 1);
    assert_eq!(kept().await, 1);
}

fn wait(attempt: &QueuedAttempt, reason: &str) -> Wait {
    Wait {
        attempt: attempt.id,
        build: attempt.build,
        chroot: attempt.chroot.clone(),
        owner: attempt.owner.clone(),
        position: 1,
        reason: reason.into(),
    }
}
