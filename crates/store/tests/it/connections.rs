//! Databases that are not there, not ours, or hold what nobody writes.

use std::time::Duration;

use model::{BuildState, BuilderState};
use store::{
    DatabaseSettings, Error, FleetCache, FleetView, Page, ProjectFilter, Store, testing::PostgresServer,
};

use crate::{
    farm::{Farm, assert_invalid},
    support::{Database, Start as _, at, check},
};

on_both_databases!(
    a_row_that_nobody_writes_is_named,
    clones_and_other_connections_see_what_was_written,
    a_read_sees_one_moment_while_others_write,
    one_bad_row_keeps_no_others_from_the_planner,
    a_builder_that_cannot_be_read_keeps_no_others_from_being_served,
);

async fn connect(url: &str) -> Result<Store, Error> {
    let settings = DatabaseSettings {
        url: url.to_owned(),
        max_connections: 2,
    };
    Store::connect(&settings).await
}

async fn a_row_that_nobody_writes_is_named(farm: Farm) {
    let id = farm.submit().await.id;
    let raw = farm.raw().await;
    let assert_corrupt = |error: Error, expected: &str| {
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    raw.execute("UPDATE build SET options = 'nonsense'").await;
    assert_corrupt(farm.store.build(id).await.unwrap_err(), "column options");
    raw.execute("UPDATE project SET settings = 'nonsense'").await;
    let everything = ProjectFilter::default();
    assert_corrupt(
        farm.store
            .projects(&everything, Page::default())
            .await
            .unwrap_err(),
        "table project",
    );
    raw.execute("UPDATE account SET name = '../etc'").await;
    let issued = farm
        .store
        .issue_token(farm.user.id, Duration::from_secs(60), at(1))
        .await
        .unwrap();
    let user = farm.store.authenticate(&issued.login, &issued.token, at(2)).await;
    assert_corrupt(user.unwrap_err(), "table account");
}

async fn one_bad_row_keeps_no_others_from_the_planner(farm: Farm) {
    let good = farm.submit().await.id;
    let other = farm.store.create_project(&farm.new_project("other"), at(1)).await;
    let mut upload = farm.upload(&[crate::farm::CHROOT]);
    upload.project = other.unwrap().id;
    upload.directory = "other".parse().unwrap();
    let bad = farm.store.submit_upload(&upload, at(1)).await.unwrap();
    let queue = async || {
        let view = farm.store.fleet_snapshot(farm.lease.fleet, at(2)).await.unwrap();
        let queued = view.queue.iter().map(|attempt| attempt.build);
        queued.collect::<Vec<_>>()
    };
    assert_eq!(queue().await, [good, bad.id]);
    let raw = farm.raw().await;
    raw.execute(&format!(
        "UPDATE attempt SET owner = '../etc' WHERE build = {}",
        bad.id
    ))
    .await;
    raw.execute("INSERT INTO pool (fleet, name, failures) SELECT fleet, '../etc', 1 FROM fleet_lease")
        .await;
    assert_eq!(queue().await, [good]);
}

/// Its instance is then nobody's, which is how it ends.
async fn a_builder_that_cannot_be_read_keeps_no_others_from_being_served(farm: Farm) {
    let bad = farm.builder_in(BuilderState::Ready).await;
    let good = farm.planned_builder().await;
    let ids = |view: &FleetView| view.builders.iter().map(|builder| builder.id).collect::<Vec<_>>();
    let look = async |cache: &mut FleetCache| {
        let view = farm.store.look_at_fleet(farm.lease.fleet, cache, at(9)).await;
        ids(&view.unwrap())
    };
    let mut cache = FleetCache::default();
    assert_eq!(look(&mut cache).await, [bad.id, good.id]);
    let raw = farm.raw().await;
    raw.execute("UPDATE builder SET pool = '../etc', instance_id = 'i-1' WHERE state = 'ready'")
        .await;
    let view = farm.store.fleet_snapshot(farm.lease.fleet, at(9)).await.unwrap();
    assert_eq!(ids(&view), [good.id]);
    assert_eq!(
        look(&mut cache).await,
        [good.id],
        "also by somebody who has seen it whole"
    );
    assert_eq!(farm.store.builders(None).await.unwrap(), [good]);
    assert_eq!(farm.store.builder_by_instance("i-1").await.unwrap(), None);
    let named = farm.store.builder(bad.id).await.unwrap_err();
    assert!(named.to_string().contains("column pool"), "{named}");
}

async fn clones_and_other_connections_see_what_was_written(farm: Farm) {
    let other = farm.database.connect().await;
    let build = farm.submit().await;
    for store in [&farm.store.clone(), &other] {
        assert_eq!(store.build(build.id).await.unwrap().as_ref(), Some(&build));
    }
    drop(farm.store);
    assert_eq!(other.build(build.id).await.unwrap(), Some(build));
}

/// A build and its chroots are read by two statements: they have to agree.
async fn a_read_sees_one_moment_while_others_write(farm: Farm) {
    let writer = farm.database.connect().await;
    let upload = farm.upload(&[crate::farm::CHROOT]);
    let writing = tokio::spawn(async move {
        for _ in 0..40 {
            let id = writer.submit_upload(&upload, at(1)).await.unwrap().id;
            writer.cancel_build(id, "user:alice", at(2)).await.unwrap();
        }
    });
    let mut most = 0;
    while most < 40 {
        let builds = farm.store.recent_builds(100).await.unwrap();
        for build in &builds {
            assert_eq!(build.chroots.len(), 1);
            // One comes from the build's row, the other from its chroot's.
            let is_canceled = build.state == BuildState::Canceled;
            assert_eq!(is_canceled, build.ended_at.is_some(), "{build:?}");
        }
        most = builds.len();
    }
    writing.await.unwrap();
}

#[test]
fn an_address_of_another_kind_is_refused_and_its_password_not_repeated() {
    check(Box::pin(async {
        for url in [
            "mysql://farm:s3cret@db/farm",
            "sqlite://:memory:",
            "",
            "farm.sqlite",
        ] {
            let refusal = connect(url).await;
            assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
            assert_invalid(refusal);
        }
    }));
}

#[test]
fn a_database_that_is_not_there_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!(
        "sqlite://{}",
        directory.path().join("no/such/farm.sqlite").display()
    );
    check(Box::pin(async move {
        // Nobody listens at the port of the discard protocol.
        for url in [nowhere.as_str(), "postgres://farm:s3cret@127.0.0.1:9/farm"] {
            let error = connect(url).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let refused = connect("postgres://127.0.0.1:9/farm").await.unwrap_err();
        assert!(refused.to_string().contains("refused"), "{refused}");
    }));
}

#[test]
fn a_server_that_comes_back_is_used_again_by_the_same_store() {
    let mut server = PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    let database = Database::postgres(&server);
    check(Box::pin(async move {
        let farm = Farm::start(database).await;
        let build = farm.submit().await;
        server.stop();
        let (read, written) = tokio::join!(
            farm.store.build(build.id),
            farm.store.cancel_build(build.id, "user:alice", at(2)),
        );
        assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
        assert!(matches!(written, Err(Error::Unavailable { .. })), "{written:?}");

        server.restart().unwrap();
        assert_eq!(farm.store.build(build.id).await.unwrap(), Some(build.clone()));
        farm.store
            .cancel_build(build.id, "user:alice", at(2))
            .await
            .unwrap();
    }));
}
