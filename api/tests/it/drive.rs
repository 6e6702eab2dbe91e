//! The parts of the controller and a worker, played by hand.

use std::time::Duration;

use model::{AttemptState, BuildId, BuilderId, BuilderState, FleetId, LaunchId};
use runtime::clock::now;
use store::{
    Attempt, Builder, BuiltPackage, Change, CollectedPackage, Lease, NewBuilder, NewLaunch, Outcome,
    SnapshotRecord, Store,
};
use uuid::Uuid;

const WORKER: &str = "worker-1";

fn soon() -> model::Timestamp {
    now().plus(Duration::from_secs(600))
}

/// Leads a fleet of its own.
pub(crate) async fn lead(store: &Store) -> Lease {
    let fleet = FleetId(Uuid::now_v7());
    store
        .acquire_lease(fleet, "test", Duration::from_secs(600), now())
        .await
        .unwrap()
        .unwrap()
}

/// A builder of a pool whose launch was asked for.
pub(crate) async fn launched_builder(store: &Store, lease: &Lease, pool: &str) -> Builder {
    let new = NewBuilder {
        id: BuilderId(Uuid::now_v7()),
        pool: pool.parse().unwrap(),
        cloud: "devcloud".to_owned(),
        image: "img-1".to_owned(),
        spec_hash: "hash".to_owned(),
        port: 22,
        host: None,
        reason: "a test wants it".to_owned(),
        deadline: soon(),
    };
    store.plan_builder(lease, &new, now()).await.unwrap();
    let builder = store.builder(new.id).await.unwrap().unwrap();
    let launch = NewLaunch {
        id: LaunchId(Uuid::now_v7()),
        offering: "small".parse().unwrap(),
        params_hash: "hash".to_owned(),
        host_key_public: Some("ssh-ed25519 AAAA".to_owned()),
        host_key_secret: Some("secret".to_owned()),
    };
    store
        .begin_launch(lease, &builder, &launch, soon(), now())
        .await
        .unwrap()
}

/// Makes a builder ready. The first of a farm is instance `i-123`.
pub(crate) async fn ready_builder(store: &Store) -> (Lease, Builder) {
    let lease = lead(store).await;
    let mut builder = launched_builder(store, &lease, "dev").await;
    let instance = format!("i-{}", 122 + store.builders(None).await.unwrap().len());
    for state in [
        BuilderState::Pending,
        BuilderState::Booting,
        BuilderState::Provisioning,
        BuilderState::Checking,
        BuilderState::Ready,
    ] {
        let change = Change {
            reason: format!("instance {instance} at 127.0.0.1 is {state}"),
            deadline: Some(soon()),
            instance_id: Some(instance.clone()),
            address: Some("127.0.0.1".to_owned()),
            ..Change::default()
        };
        builder = store
            .transition(&lease, &builder, state, &change, now())
            .await
            .unwrap();
    }
    (lease, builder)
}

/// Gives a build's waiting attempt to a builder and takes it up as a worker.
pub(crate) async fn run(store: &Store, build: i64) -> Attempt {
    run_on(store, build, &ready_builder(store).await).await
}

/// The same, on a builder that its caller goes on with.
pub(crate) async fn run_on(store: &Store, build: i64, (lease, builder): &(Lease, Builder)) -> Attempt {
    let attempts = store.attempts_of(BuildId(build)).await.unwrap();
    let waiting = attempts
        .iter()
        .find(|attempt| attempt.state == AttemptState::Waiting)
        .expect("nothing waits");
    let epoch = store
        .assign(lease, waiting.id, builder, soon(), now())
        .await
        .unwrap();
    store
        .accept_allocation(epoch, WORKER, soon(), now())
        .await
        .unwrap();
    store.attempt(waiting.id).await.unwrap().unwrap()
}

/// Takes a busy builder out of service, and with it its attempt, as the controller does whose worker is silent.
pub(crate) async fn give_up(store: &Store, (lease, builder): &(Lease, Builder)) {
    let busy = store.builder(builder.id).await.unwrap().unwrap();
    let change = Change {
        reason: "its worker is silent".to_owned(),
        deadline: Some(soon()),
        ..Change::default()
    };
    store
        .transition(lease, &busy, BuilderState::Draining, &change, now())
        .await
        .unwrap();
}

/// Ends a running attempt with a failure of the package.
pub(crate) async fn fail(store: &Store, attempt: &Attempt, reason: &str) {
    fail_by(store, attempt, model::Blame::Package, reason).await;
}

/// Ends a running attempt with a failure for which that one is answerable.
pub(crate) async fn fail_by(store: &Store, attempt: &Attempt, blame: model::Blame, reason: &str) {
    let outcome = Outcome::Failed {
        blame,
        reason: reason.to_owned(),
        evidence: Some(serde_json::json!({
            "log": "build.log", "line": 7, "text": "error: <b>bad</b> exit status at 10.0.0.9 (i-0fed1234)",
        })),
        is_suspect: false,
        result_directory: Some(format!("{:08}-hello", attempt.build.0)),
    };
    store
        .finish_attempt(attempt.epoch.unwrap(), WORKER, &outcome, now())
        .await
        .unwrap();
}

/// Ends a running attempt whose package is not made for the chroot, as its builder found out.
pub(crate) async fn skip(store: &Store, attempt: &Attempt, reason: &str) {
    let outcome = Outcome::Skipped {
        reason: reason.to_owned(),
        result_directory: Some(format!("{:08}-hello", attempt.build.0)),
    };
    store
        .finish_attempt(attempt.epoch.unwrap(), WORKER, &outcome, now())
        .await
        .unwrap();
}

/// Ends a running attempt well and publishes it.
pub(crate) async fn succeed(store: &Store, attempt: &Attempt) {
    let named = |architecture: &str| BuiltPackage {
        name: "hello".to_owned(),
        epoch: 0,
        version: "1.0".to_owned(),
        release: "1".to_owned(),
        architecture: architecture.to_owned(),
    };
    let packages = [
        ("hello-1.0-1.noarch.rpm", "noarch"),
        ("hello-1.0-1.src.rpm", "src"),
    ]
    .map(|(file_name, architecture)| CollectedPackage {
        file_name: file_name.to_owned(),
        sha256: "ab".repeat(32),
        size: 10,
        is_source: architecture == "src",
        package: named(architecture),
        metadata_json: "{}".to_owned(),
    })
    .to_vec();
    let outcome = Outcome::Collected {
        result_directory: format!("{:08}-hello", attempt.build.0),
        packages,
    };
    store
        .finish_attempt(attempt.epoch.unwrap(), WORKER, &outcome, now())
        .await
        .unwrap();
    publish(
        store,
        store::RepositoryKey {
            project: attempt.project,
            directory: &attempt.directory,
            chroot: &attempt.chroot,
        },
    )
    .await;
    while store.attempt(attempt.id).await.unwrap().unwrap().state != AttemptState::Succeeded {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Publishes a repository, as far as the database knows.
pub(crate) async fn publish(store: &Store, key: store::RepositoryKey<'_>) {
    let begun = store.begin_publication(key, WORKER, now()).await.unwrap();
    // The test and the farm's own worker may both be at it.
    let Some(number) = begun else { return };
    let publication = store.publication(key, number).await.unwrap();
    let record = SnapshotRecord {
        number: publication.number,
        revision: "1".to_owned(),
        repomd_sha256: "cd".repeat(32),
    };
    store
        .finish_publication(key, &record, WORKER, &publication.attempts, now())
        .await
        .unwrap();
}

/// What a worker does for new projects: gives each repository its first state.
pub(crate) async fn make_repositories(store: Store) {
    loop {
        // A database that is away in a test is not this task's business.
        let due = store
            .publishable(100, model::Timestamp::from_micros(i64::MAX))
            .await;
        for place in due.unwrap_or_default() {
            publish(&store, place.key()).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
