//! The schema: made once, by one of many, the same on both databases, and never by a changed migration.

use std::{collections::BTreeSet, fs, path::Path};

use sha2::{Digest as _, Sha256};
use store::{Error, testing::PostgresServer};

use crate::{
    farm::{Farm, new_chroot},
    support::{Database, Raw, at, check},
};

on_both_databases!(
    an_empty_database_lacks_every_migration_and_says_so,
    a_database_that_is_up_to_date_is_left_alone,
    of_several_processes_that_migrate_at_once_one_does_it,
    a_migration_that_fails_leaves_nothing_behind,
    a_database_of_a_newer_program_is_left_alone,
    a_database_of_the_first_release_keeps_its_signing_keys,
);

/// Every column of every table as `table.column`, with `?` where it may be empty, and every index that
/// forbids something.
async fn schema(raw: &Raw) -> BTreeSet<String> {
    let (columns, indexes) = if raw.is_postgres() {
        (
            "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END
             FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public'
             AND indexdef LIKE 'CREATE UNIQUE%' AND indexname NOT LIKE '%pkey' AND indexname NOT LIKE '%key'",
        )
    } else {
        (
            "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" OR c.pk THEN '' ELSE '?' END
             FROM sqlite_master t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'",
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE UNIQUE%'",
        )
    };
    let mut schema: BTreeSet<String> = raw.texts(columns).await.into_iter().collect();
    schema.extend(raw.texts(indexes).await);
    schema
}

async fn an_empty_database_lacks_every_migration_and_says_so(database: Database) {
    let store = database.connect().await;
    let pending = store.pending_migrations().await.unwrap();
    assert!(pending.is_sorted() && pending.len() >= 4, "{pending:?}");

    let complaint = store.check().await.unwrap_err();
    assert!(matches!(complaint, Error::Schema { .. }), "{complaint:?}");
    for name in &pending {
        assert!(complaint.to_string().contains(name), "{complaint}");
    }

    assert_eq!(store.migrate().await.unwrap(), pending);
    assert_eq!(store.pending_migrations().await.unwrap(), [""; 0]);
    store.check().await.unwrap();
}

async fn a_database_that_is_up_to_date_is_left_alone(database: Database) {
    let (store, raw) = (database.connect().await, database.raw().await);
    store.migrate().await.unwrap();
    store
        .create_chroots(&[new_chroot("fedora-43-x86_64")], at(0))
        .await
        .unwrap();
    let before = schema(&raw).await;

    assert_eq!(store.migrate().await.unwrap(), [""; 0]);
    // As another process does when it starts.
    assert_eq!(database.connect().await.migrate().await.unwrap(), [""; 0]);

    assert_eq!(schema(&raw).await, before);
    assert_eq!(store.chroots().await.unwrap().len(), 1);
}

async fn of_several_processes_that_migrate_at_once_one_does_it(database: Database) {
    let expected = database.connect().await.pending_migrations().await.unwrap();
    let mut processes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = database.connect().await;
        processes.spawn(async move { store.migrate().await.unwrap() });
    }
    let mut done = processes.join_all().await;
    done.retain(|migrations| !migrations.is_empty());
    assert_eq!(done, [expected]);
    database.connect().await.check().await.unwrap();
}

async fn a_migration_that_fails_leaves_nothing_behind(database: Database) {
    let (store, raw) = (database.connect().await, database.raw().await);
    let pending = store.pending_migrations().await.unwrap();
    // In the way of the last table of the third migration.
    raw.execute("CREATE TABLE sighting (id INTEGER)").await;

    let refusal = store.migrate().await.unwrap_err();
    assert!(matches!(refusal, Error::Refused { .. }), "{refusal:?}");
    assert_eq!(store.pending_migrations().await.unwrap(), pending);
    let left = schema(&raw).await;
    assert_eq!(left, BTreeSet::from(["sighting.id?".to_owned()]));

    raw.execute("DROP TABLE sighting").await;
    assert_eq!(store.migrate().await.unwrap(), pending);
}

async fn a_database_of_a_newer_program_is_left_alone(database: Database) {
    let (store, raw) = (database.connect().await, database.raw().await);
    store.migrate().await.unwrap();
    raw.execute("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2999_future', 0)")
        .await;
    for answer in [
        store.check().await,
        store.migrate().await.map(drop),
        store.pending_migrations().await.map(drop),
    ] {
        let complaint = answer.unwrap_err();
        assert!(matches!(complaint, Error::Schema { .. }), "{complaint:?}");
        assert!(complaint.to_string().contains("m2999_future"), "{complaint}");
    }
}

async fn a_database_of_the_first_release_keeps_its_signing_keys(farm: Farm) {
    let raw = farm.raw().await;
    let gone = farm
        .store
        .create_project(&farm.new_project("gone"), at(1))
        .await
        .unwrap();
    farm.store.delete_project(gone.id, at(2)).await.unwrap();
    // The first release had the keys in the table of projects.
    raw.execute("DROP TABLE signing_key").await;
    for column in ["key_fingerprint", "public_key", "secret_key"] {
        raw.execute(&format!(
            "ALTER TABLE project ADD COLUMN {column} TEXT NOT NULL DEFAULT ''"
        ))
        .await;
    }
    raw.execute("DELETE FROM seaql_migrations WHERE version LIKE 'm20261127_000004%'")
        .await;
    raw.execute("UPDATE project SET key_fingerprint = 'F00D', public_key = 'for all'")
        .await;
    let of_live = format!(
        "UPDATE project SET secret_key = 'locked' WHERE id = {}",
        farm.project.id
    );
    raw.execute(&of_live).await;
    drop(raw);

    let store = farm.database.connect().await;
    assert_eq!(store.migrate().await.unwrap().len(), 1);
    let key = store.signing_key(farm.project.id).await.unwrap().unwrap();
    assert_eq!(
        (key.fingerprint.as_str(), key.public_key.as_str()),
        ("F00D", "for all")
    );
    assert_eq!(key.secret_key, "locked");
    // A deleted project has lost its key.
    assert_eq!(store.key_fingerprint(gone.id).await.unwrap(), None);
    assert!(store.project_by_id(farm.project.id).await.unwrap().is_some());
}

#[test]
fn the_schema_is_the_same_on_both_databases() {
    let server = PostgresServer::start().unwrap_or_else(|error| panic!("{error}"));
    let databases = [Database::sqlite(), Database::postgres(&server)];
    check(Box::pin(async move {
        let mut schemas = Vec::new();
        for database in &databases {
            database.connect().await.migrate().await.unwrap();
            schemas.push(schema(&database.raw().await).await);
        }
        assert!(
            schemas[0].contains("one_open_allocation_of_builder"),
            "{:?}",
            schemas[0]
        );
        assert!(schemas[0].contains("attempt.builder?"), "{:?}", schemas[0]);
        assert_eq!(schemas[0], schemas[1]);
    }));
}

/// Databases that have run a migration never run it again, so that a change would reach new ones only.
#[test]
fn frozen_migrations_are_as_they_were() {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(crate_directory.join("migrations.lock")).unwrap();
    let mut frozen = 0;
    for line in lock.lines().filter(|line| !line.starts_with('#')) {
        let (digest, file) = line.split_once("  ").unwrap();
        let file = file.strip_prefix("crates/store/").unwrap();
        let text = fs::read(crate_directory.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(hex::encode(Sha256::digest(text)), digest, "{file}");
        frozen += 1;
    }
    assert!(frozen >= 3, "{lock}");
}
