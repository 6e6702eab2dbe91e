//! What the store's statements cost beside a history of 200,000 builds: each is taken as it was sent, and its plan and the work
//! that it does are looked at. A statement that walks through a table that grows with the history fails here, on either
//! database, however fast the machine is.
//!
//! Work is counted, not timed: on SQLite by the instructions of its machine, on PostgreSQL by the rows that each part of a
//! plan handled.

use std::collections::BTreeSet;

use model::{
    AttemptId, BuildId, BuildState, BuilderId, BuilderState, DirectoryName, ProjectId, Timestamp,
    calls::CallClass,
    fleet::HookPoint,
    intent::{Decision, IntentState, Request},
    plan::Wait,
};
use store::{
    BuildFilter, CallBudget, CallNews, EventFilter, FleetCache, HookEnd, HookState, LastBuilds, Lease, Order,
    Page, ProjectFilter, ProjectKey, Sighting, Store, testing::PostgresServer,
};
use uuid::Uuid;

use self::{
    bench::Bench,
    workers::{accounts, another_chroot, publications, work},
};
use crate::{
    farm::{CHROOT, chroot, new_builder, new_launch},
    support::{Database, at, check},
};

mod bench;
mod workers;

#[test]
fn no_statement_walks_through_the_history_on_sqlite() {
    check(Box::pin(look_at_everything(Database::sqlite())));
}

#[test]
fn no_statement_walks_through_the_history_on_postgres() {
    let server = PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    let database = Database::postgres(&server);
    check(Box::pin(look_at_everything(database)));
}

async fn look_at_everything(database: Database) {
    let mut bench = Bench::start(database).await;
    let store = bench.farm.store.clone();
    rounds(&mut bench, &store).await;
    calls(&mut bench, &store).await;
    work(&mut bench, &store).await;
    accounts(&mut bench, &store).await;
    pages(&mut bench, &store).await;
    build_lists(&mut bench, &store).await;
    lists(&mut bench, &store).await;
    another_chroot(&mut bench, &store).await;
    publications(&mut bench, &store).await;
    changes(&mut bench, &store).await;
    assert!(bench.looked_at > 100, "{} statements", bench.looked_at);
    assert!(bench.faults.is_empty(), "{}", bench.faults.join("\n"));
}

/// What a controller looks at and says in a round; one of those who wait.
async fn looks(bench: &mut Bench, store: &Store, now: Timestamp) -> AttemptId {
    let lease = bench.farm.lease;
    let mut cache = FleetCache::default();
    let view = bench
        .look("look_at_fleet", store.look_at_fleet(lease.fleet, &mut cache, now))
        .await;
    bench
        .look(
            "look_at_builders",
            store.look_at_builders(lease.fleet, &mut cache),
        )
        .await;
    assert_eq!((view.queue.len(), view.builders.len()), (500, 100));
    let waits: Vec<Wait> = (view.queue.iter().enumerate())
        .map(|(index, attempt)| Wait {
            attempt: attempt.id,
            build: attempt.build,
            chroot: attempt.chroot.clone(),
            owner: attempt.owner.clone(),
            position: index + 1,
            reason: "pool small is at its maximum".into(),
        })
        .collect();
    bench
        .look("set_waits", store.set_waits(&lease, &mut cache, &waits))
        .await;
    view.queue[0].id
}

/// What is kept of fixed hosts.
async fn hosts(bench: &mut Bench, store: &Store, lease: &Lease, builder: BuilderId) {
    let now = at(1_000_000);
    bench
        .look("host", store.host(lease, "rack-1", "192.0.2.7 22"))
        .await;
    let of_host = (builder, "rack-1");
    bench
        .look(
            "keep_host_key",
            store.keep_host_key(lease, of_host, "ssh-ed25519 AAAA", now),
        )
        .await;
    bench
        .look(
            "keep_host_baseline",
            store.keep_host_baseline(lease, "rack-1", Some((builder, "{}"))),
        )
        .await;
    bench
        .look(
            "take_host_out",
            store.take_host_out(lease, "rack-1", "it is dirty", now),
        )
        .await;
}

/// What is kept of calls to clouds.
async fn calls(bench: &mut Bench, store: &Store) {
    let lease = bench.farm.lease;
    let budget = CallBudget {
        fleet: lease.fleet,
        cloud: "aws",
        class: CallClass::Launch,
        bucket: CallClass::Launch.documented(),
    };
    let (now, news) = (at(1_000_000), CallNews::default());
    for _ in 0..2 {
        let taken = store.take_calls(&budget, (1, 1), news, now);
        bench.look("take_calls", taken).await;
    }
    bench
        .look("charge_calls", store.charge_calls(&budget, 1, now))
        .await;
    bench
        .look("slow_calls", store.slow_calls(&budget, now, news, now))
        .await;
}

/// What is kept of hooks.
async fn hooks(bench: &mut Bench, store: &Store, lease: &Lease, builder: BuilderId) {
    let (now, point) = (at(1_000_000), HookPoint::BeforeTerminate);
    let new = [crate::hooks::new_run(point, 0)];
    bench
        .look(
            "begin_hooks",
            store.begin_hooks(lease, (builder, point), &new, now),
        )
        .await;
    let run = bench
        .look("hook_runs", store.hook_runs(lease.fleet, &[builder]))
        .await
        .remove(0);
    let run = bench.look("start_hook", store.start_hook(lease, &run, now)).await;
    let failed = HookEnd {
        state: HookState::Failed,
        due_at: None,
        outcome: "exit code 1".to_owned(),
        tail: None,
    };
    bench
        .look("end_hook", store.end_hook(lease, &run, &failed, now))
        .await;
    bench.look("hooks_of", store.hooks_of(builder)).await;
    bench
        .look("failed_hooks", store.failed_hooks(lease.fleet, at(999_999)))
        .await;
}

/// What becomes of instances that no launch made.
async fn others(bench: &mut Bench, store: &Store, lease: &Lease) {
    let now = at(1_000_000);
    bench
        .look("record_others", store.record_others(lease, "dev", Ok(7), now))
        .await;
    bench
        .look("note_ends", store.note_ends(lease, "dev", &["i-stray"], now))
        .await;
    let tagged = Some((new_builder().id, new_launch().id));
    bench
        .look(
            "key_of_instance",
            store.key_of_instance(lease.fleet, ("dev", "i-none"), tagged),
        )
        .await;
    let request = Request::Adopt {
        instance: "i-lent".to_owned(),
        pool: "small".parse().unwrap(),
        host_key: None,
    };
    let asked = (&request, "adopt/new", "operator:root");
    let (intent, _) = store.add_intent(lease.fleet, asked, now).await.unwrap();
    let running = Decision::of(IntentState::Running, "the cloud is asked");
    store.settle_intent(lease, &intent, &running, now).await.unwrap();
    let adoption = store::Adoption {
        builder: new_builder(),
        instance_id: "i-lent".to_owned(),
        host_key: "ssh-ed25519 AAAA".to_owned(),
        offering: None,
    };
    bench
        .look("adopt", store.adopt(lease, &intent, &adoption, now))
        .await;
}

/// What the controller does.
async fn rounds(bench: &mut Bench, store: &Store) {
    let lease = bench.farm.lease;
    let now = at(1_000_000);
    let attempt = looks(bench, store, now).await;
    bench
        .look("renew_lease", store.renew_lease(&lease, crate::farm::TTL, now))
        .await;
    let new = new_builder();
    bench
        .look("plan_builder", store.plan_builder(&lease, &new, now))
        .await;
    let mut builder = bench.look("builder", store.builder(new.id)).await.unwrap();
    let launch = new_launch();
    builder = bench
        .look(
            "begin_launch",
            store.begin_launch(&lease, &builder, &launch, at(2_000_000), now),
        )
        .await;
    for to in [
        BuilderState::Pending,
        BuilderState::Booting,
        BuilderState::Provisioning,
        BuilderState::Checking,
        BuilderState::Ready,
    ] {
        let change = crate::farm::because("it goes on");
        builder = bench
            .look("transition", store.transition(&lease, &builder, to, &change, now))
            .await;
    }
    bench
        .look(
            "assign",
            store.assign(&lease, attempt, &builder, at(2_000_000), now),
        )
        .await;
    let seen = [Sighting::of("i-stray", "running")];
    bench
        .look(
            "record_sightings",
            store.record_sightings(&lease, "dev", &seen, now),
        )
        .await;
    bench
        .look("orphans", store.orphans(lease.fleet, Some("dev")))
        .await;
    others(bench, store, &lease).await;
    intents(bench, store).await;
    bench
        .look("builder_by_instance", store.builder_by_instance("i-7"))
        .await;
    // On the heap: this future is all that a thread's stack holds.
    Box::pin(hosts(bench, store, &lease, new.id)).await;
    Box::pin(hooks(bench, store, &lease, new.id)).await;
    bench.look("pending_migrations", store.pending_migrations()).await;
    conditions(bench, store).await;
}

/// What operators ask for, and what becomes of it.
async fn intents(bench: &mut Bench, store: &Store) {
    let (lease, now) = (bench.farm.lease, at(1_000_000));
    let request = Request::Reconcile;
    let asked = (&request, "reconcile/new", "operator:cron");
    let (intent, _) = bench
        .look("add_intent", store.add_intent(lease.fleet, asked, now))
        .await;
    let done = Decision {
        pause: Some((
            "small".parse().unwrap(),
            Some(model::mark::Pause {
                by: "root".to_owned(),
                why: "new network".to_owned(),
                until: None,
            }),
        )),
        ..Decision::of(IntentState::Done, "it is so")
    };
    bench
        .look("settle_intent", store.settle_intent(&lease, &intent, &done, now))
        .await;
    bench
        .look("intent", store.intent(lease.fleet, "reconcile/7"))
        .await
        .unwrap();
    bench
        .look("intents_since", store.intents_since(lease.fleet, now))
        .await;
}

/// What a controller says and is told of pools and clouds.
async fn conditions(bench: &mut Bench, store: &Store) {
    let (lease, now) = (bench.farm.lease, at(1_000_001));
    let pool = "small".parse().unwrap();
    let spec = serde_json::json!({});
    bench
        .look(
            "record_pool",
            store.record_pool(&lease, &pool, &spec, "hash", now),
        )
        .await;
    bench
        .look("retire_pools", store.retire_pools(&lease, &[&pool]))
        .await;
    bench
        .look(
            "set_cloud_trouble",
            store.set_cloud_trouble(&lease, "dev", None, now),
        )
        .await;
    bench
        .look("fleet_condition", store.fleet_condition(Some(lease.fleet), now))
        .await;
    bench
        .look("forsaken_fleets", store.forsaken_fleets(lease.fleet, now))
        .await;
}

/// The monitor of a project, and of a directory in which one package of a hundred was built.
async fn monitors(bench: &mut Bench, store: &Store, aside: &DirectoryName) {
    let project = bench.farm.project.id;
    for (directory, count) in [(&bench.farm.directory(), 50), (aside, 1)] {
        let monitor = bench
            .look("monitor", store.monitor(project, directory, None, 50))
            .await;
        assert_eq!(monitor.packages.len(), count, "{directory}");
    }
}

/// What one answer of the api shows.
async fn pages(bench: &mut Bench, store: &Store) {
    let id = BuildId(150_000);
    let waiting = BuildId(200_100);
    let (owner, name) = (bench.farm.project.owner.clone(), bench.farm.project.name.clone());
    let (directory, chroot) = (bench.farm.directory(), chroot(CHROOT));
    let project = bench.farm.project.id;
    let key = store::RepositoryKey {
        project,
        directory: &directory,
        chroot: &chroot,
    };
    bench.look("project", store.project(&owner, &name)).await.unwrap();
    bench.look("build", store.build(id)).await.unwrap();
    bench
        .look("build that waits", store.build(waiting))
        .await
        .unwrap();
    bench.look("attempts_of", store.attempts_of(id)).await;
    bench.look("built_packages", store.built_packages(id)).await;
    bench
        .look("queue_positions", store.queue_positions(waiting))
        .await;
    bench.look("counts", store.counts()).await;
    bench.look("builders", store.builders(None)).await;
    let since = at(199_000);
    let gone = bench
        .look("builders_page", store.builders_page(Some(since), page(500)))
        .await;
    assert_eq!(gone.len(), 50);
    let attempt = store.attempts_of(id).await.unwrap()[0].id;
    bench.look("attempt", store.attempt(attempt)).await.unwrap();
    let of_build = EventFilter {
        build: Some(id),
        ..EventFilter::default()
    };
    bench.look("events of a build", store.events(of_build, 100)).await;
    let of_builder = EventFilter {
        builder: Some(BuilderId(Uuid::from_u128((0xb << 124) | 150_000))),
        ..EventFilter::default()
    };
    bench
        .look("events of a builder", store.events(of_builder, 100))
        .await;
    let later = EventFilter {
        after_id: Some(150_000),
        ..EventFilter::default()
    };
    bench.look("events", store.events(later, 100)).await;
    bench.look("is_published", store.is_published(key)).await;
    bench.look("snapshots", store.snapshots(key)).await;
    bench
        .look("key_fingerprint", store.key_fingerprint(project))
        .await;
}

/// Lists of builds, by all that they can be asked for.
async fn build_lists(bench: &mut Bench, store: &Store) {
    let filter = |package: Option<&str>, state| BuildFilter {
        project: Some(ProjectId(1).into()),
        package: package.map(|name| name.parse().unwrap()),
        state,
        oldest_first: false,
    };
    let (succeeded, failed) = (Some(BuildState::Succeeded), Some(BuildState::Failed));
    for (what, filter) in [
        ("builds", filter(None, None)),
        ("builds in a state", filter(None, succeeded)),
        ("builds in a state that none has", filter(None, failed)),
        ("builds of a package", filter(Some("package99"), None)),
        ("builds of a package in a state", filter(Some("package7"), failed)),
        ("builds of no package", filter(Some("nobody"), None)),
    ] {
        let by_name = BuildFilter {
            project: Some(ProjectKey::Name(
                "owner1".parse().unwrap(),
                "tools".parse().unwrap(),
            )),
            ..filter.clone()
        };
        for filter in [filter, by_name] {
            bench.look(what, store.builds(&filter, page(0))).await;
            bench.look(what, store.builds(&filter, page(1000))).await;
        }
    }
}

fn page(offset: u64) -> Page {
    Page {
        limit: Some(50),
        offset,
    }
}

/// What other lists of the api show.
async fn lists(bench: &mut Bench, store: &Store) {
    let project = bench.farm.project.id;
    bench.look("recent_builds", store.recent_builds(20)).await;
    let queue = bench.look("queue", store.queue(page(100))).await;
    assert_eq!((queue.entries.len(), queue.entries[0].position), (50, 101));
    let wanted = LastBuilds {
        latest: true,
        succeeded: true,
    };
    for order in [Order::Id, Order::NameDescending] {
        let packages = bench
            .look("packages", store.packages(project, wanted, order, page(20)))
            .await;
        assert_eq!(packages.len(), 50);
    }
    bench
        .look(
            "package",
            store.package(project, &"package7".parse().unwrap(), wanted),
        )
        .await
        .unwrap();
    let of_owner = ProjectFilter {
        owner: Some(bench.farm.project.owner.clone()),
        text: None,
        order: Order::default(),
    };
    bench.look("projects", store.projects(&of_owner, page(0))).await;
    let newest = ProjectFilter {
        owner: None,
        text: None,
        order: Order::IdDescending,
    };
    bench
        .look("newest projects", store.projects(&newest, page(0)))
        .await;
    bench.look("users", store.users()).await;
    bench.look("project_names", store.project_names()).await;
}

/// What users change.
async fn changes(bench: &mut Bench, store: &Store) {
    let now = at(1_000_002);
    let upload = bench.farm.upload(&[CHROOT]);
    let build = bench
        .look("submit_upload", store.submit_upload(&upload, now))
        .await
        .id;
    bench
        .look("cancel_build", store.cancel_build(build, "user:owner1", now))
        .await;
    bench
        .look(
            "delete_builds",
            store.delete_builds(&BTreeSet::from([build]), now),
        )
        .await;
    let project = bench.farm.project.id;
    bench
        .look("delete_project", store.delete_project(project, now))
        .await;
    for _ in 0..3 {
        bench
            .look("clear_project", store.clear_project(project, now))
            .await;
    }
}
