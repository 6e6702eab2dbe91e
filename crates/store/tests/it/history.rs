//! Taking away what is over: deleted projects in pieces, and what ended long ago.

use std::collections::BTreeSet;

use model::{BuilderState, ProjectId, Timestamp};
use store::{Console, EventFilter, Order, Page, ProjectFilter};

use crate::{
    farm::{CANCELED, CHROOT, Farm, NO_PROJECT, assert_conflict, assert_not_found, because, chroot},
    many::{Dialect, Many, statements},
    support::{Raw, at},
};

on_both_databases!(
    a_deleted_project_is_hidden_at_once_and_goes_in_pieces,
    who_finds_a_deleted_project_goes_on_where_another_stopped,
    a_project_that_is_not_deleted_is_not_cleared,
    what_is_published_meanwhile_does_not_come_back,
    what_ended_long_ago_is_taken_away_and_the_rest_stays,
    every_foreign_key_has_an_index_that_deletions_can_use,
    an_upgraded_farm_knows_what_is_over_and_who_waits,
);

/// A farm whose project 1, of `owner1`, has a history.
async fn fill(farm: &Farm, ended: u64) -> ProjectId {
    let raw = farm.raw().await;
    // What is there already would be in the way of ids that count from 1.
    for table in [
        "snapshot",
        "repository",
        "project_chroot",
        "project",
        "chroot",
        "account",
    ] {
        raw.execute(&format!("DELETE FROM {table}")).await;
    }
    let many = Many {
        projects: 3,
        ended,
        made: 20,
        waiting: 4,
        builders: 10,
    };
    let dialect = Dialect {
        is_postgres: raw.is_postgres(),
        has_live_rows: true,
        has_chroots_of_repositories: true,
    };
    for statement in statements(dialect, many) {
        raw.execute(&statement).await;
    }
    ProjectId(1)
}

const OF_PROJECT: [&str; 5] = [
    "SELECT count(*) FROM build WHERE project = 1",
    "SELECT count(*) FROM package WHERE project = 1",
    "SELECT count(*) FROM repository WHERE project = 1",
    "SELECT count(*) FROM project_chroot WHERE project = 1",
    "SELECT count(*) FROM collected_package",
];

async fn a_deleted_project_is_hidden_at_once_and_goes_in_pieces(farm: Farm) {
    let project = fill(&farm, 1000).await;
    let owner: model::OwnerName = "owner1".parse().unwrap();
    let name = "tools".parse().unwrap();
    let build = model::BuildId(500);
    assert_eq!(farm.store.build(build).await.unwrap().unwrap().project, project);
    let attempt = farm.store.attempts_of(build).await.unwrap().remove(0).id;
    farm.store.delete_project(project, at(9)).await.unwrap();

    assert_eq!(farm.store.project(&owner, &name).await.unwrap(), None);
    assert_eq!(farm.store.build(build).await.unwrap(), None);
    assert_eq!(farm.store.attempts_of(build).await.unwrap(), []);
    assert_eq!(farm.store.attempt(attempt).await.unwrap(), None);
    let builds = farm.store.recent_builds(1000).await.unwrap();
    assert!(builds.len() > 500 && builds.iter().all(|build| build.owner != owner));
    let of_owner = ProjectFilter {
        owner: Some(owner),
        text: None,
        order: Order::default(),
    };
    assert_eq!(farm.store.projects(&of_owner, Page::default()).await.unwrap(), []);
    let mut upload = farm.upload(&[CHROOT]);
    upload.project = project;
    assert_not_found(farm.store.submit_upload(&upload, at(10)).await);
    assert_not_found(farm.store.delete_project(project, at(10)).await);
    assert_not_found(farm.store.delete_builds(&BTreeSet::from([build]), at(10)).await);

    // All rows are still there, and go a few at a time.
    let raw = farm.raw().await;
    let mut left = raw.number(OF_PROJECT[0]).await;
    assert_eq!(left, 200);
    let mut pieces = 0;
    while farm.store.clear_project(project, at(11)).await.unwrap() {
        let now = raw.number(OF_PROJECT[0]).await;
        assert!(left - now <= 100, "{left} {now}");
        left = now;
        pieces += 1;
    }
    assert!(pieces > 4, "{pieces}");
    for sql in OF_PROJECT {
        assert_eq!(raw.number(sql).await, 0, "{sql}");
    }
    assert_eq!(farm.store.projects_to_clear().await.unwrap(), []);
    assert!(!farm.store.clear_project(project, at(12)).await.unwrap());
    // The others' are all there, and the name is free.
    assert_eq!(raw.number("SELECT count(*) FROM build").await, 814);
    assert_eq!(raw.number("SELECT count(*) FROM allocation").await, 810);
    // What is left is its row, which tells for a while whose results may go, and goes then: lists would walk through such rows.
    let rows = "SELECT count(*) FROM project WHERE deleted_at IS NOT NULL";
    for (before, left) in [(at(11), 1), (at(12), 0)] {
        prune(&farm, before).await;
        assert_eq!(raw.number(rows).await, left);
    }
    assert_eq!(farm.store.deleted_project_names().await.unwrap(), BTreeSet::new());
}

async fn who_finds_a_deleted_project_goes_on_where_another_stopped(farm: Farm) {
    let project = fill(&farm, 1000).await;
    farm.store.delete_project(project, at(9)).await.unwrap();
    assert!(farm.store.clear_project(project, at(10)).await.unwrap());
    // Killed here. Two others find it at once.
    let stores = [farm.database.connect().await, farm.database.connect().await];
    let clear = async |store: &store::Store| {
        let found = store.projects_to_clear().await.unwrap();
        assert!(found == [project] || found.is_empty(), "{found:?}");
        while store.clear_project(project, at(11)).await.unwrap() {}
    };
    tokio::join!(clear(&stores[0]), clear(&stores[1]));
    assert_eq!(farm.store.projects_to_clear().await.unwrap(), []);
    let raw = farm.raw().await;
    for sql in OF_PROJECT {
        assert_eq!(raw.number(sql).await, 0, "{sql}");
    }
}

async fn a_project_that_is_not_deleted_is_not_cleared(farm: Farm) {
    let build = farm.published_build().await.id;
    for project in [farm.project.id, NO_PROJECT] {
        assert!(!farm.store.clear_project(project, at(9)).await.unwrap());
    }
    assert!(farm.store.build(build).await.unwrap().is_some());
    let waiting = farm.submit().await.id;
    assert_conflict(farm.store.delete_project(farm.project.id, at(9)).await);
    assert_eq!(farm.store.projects_to_clear().await.unwrap(), []);
    farm.build(waiting).await;
}

async fn what_is_published_meanwhile_does_not_come_back(farm: Farm) {
    let build = farm.published_build().await.id;
    farm.store
        .delete_builds(&BTreeSet::from([build]), at(9))
        .await
        .unwrap();
    let (directory, chroot) = (farm.directory(), chroot(CHROOT));
    let key = store::RepositoryKey {
        project: farm.project.id,
        directory: &directory,
        chroot: &chroot,
    };
    let worker = crate::farm::WORKER;
    let begun = farm
        .store
        .begin_publication(key, worker, at(10))
        .await
        .unwrap()
        .unwrap();
    farm.store.delete_project(farm.project.id, at(11)).await.unwrap();
    let record = crate::farm::record(begun);
    assert_conflict(
        farm.store
            .finish_publication(key, &record, worker, &[], at(12))
            .await,
    );
    assert_not_found(farm.store.begin_publication(key, worker, at(1000)).await);
    assert_eq!(farm.store.publishable(9, at(1000)).await.unwrap(), []);
}

async fn prune(farm: &Farm, before: Timestamp) -> u64 {
    let mut rows = 0;
    loop {
        match farm.store.prune(before).await.unwrap() {
            0 => return rows,
            more => rows += more,
        }
    }
}

async fn what_ended_long_ago_is_taken_away_and_the_rest_stays(farm: Farm) {
    let raw = farm.raw().await;
    // One that ended, one that was given up before it had a machine, and one that lives on.
    let done = farm.submit().await.id;
    let epoch = farm.begin(done).await;
    farm.finish(epoch, &CANCELED).await;
    let builder = farm.store.attempts_of(done).await.unwrap()[0].builder.unwrap();
    let mut ended = farm.builder(builder).await;
    for to in [BuilderState::Terminating, BuilderState::Terminated] {
        ended = farm
            .store
            .transition(&farm.lease, &ended, to, &because("over"), at(100))
            .await
            .unwrap();
    }
    let planned = farm.planned_builder().await;
    farm.go(&planned, BuilderState::Abandoned).await;
    let running = farm.submit().await.id;
    farm.begin(running).await;
    let runs_it = farm.store.attempts_of(running).await.unwrap()[0].builder.unwrap();
    for id in [ended.id, planned.id, runs_it] {
        let console = Console {
            at: at(3),
            text: "login:".to_owned(),
        };
        farm.store.keep_console(&farm.lease, id, &console).await.unwrap();
    }

    let counts = async || {
        let mut counts = Vec::new();
        for table in ["builder", "launch_attempt", "allocation", "builder_console"] {
            counts.push(raw.number(&format!("SELECT count(*) FROM {table}")).await);
        }
        counts
    };
    assert_eq!(counts().await, [3, 2, 2, 3]);
    assert_eq!(prune(&farm, at(0)).await, 0);
    assert_eq!(counts().await, [3, 2, 2, 3]);
    assert!(prune(&farm, at(50)).await > 2);
    assert_eq!(
        counts().await,
        [2, 2, 1, 2],
        "the one given up at 2, and the allocation that ended at 5"
    );
    assert!(prune(&farm, at(101)).await > 0);
    assert_eq!(counts().await, [1, 1, 1, 1]);
    assert!(farm.store.builder(ended.id).await.unwrap().is_none());
    assert_eq!(farm.events(EventFilter::default()).await.len(), 0);
    // What runs has all that it needs, and what ended is still told.
    assert_eq!(farm.store.accepted_allocations(None).await.unwrap().len(), 1);
    assert_eq!(
        farm.store.attempts_of(done).await.unwrap()[0].builder,
        Some(ended.id)
    );
    farm.lose_builder(running, "gone", at(200)).await;
}

/// A database looks for the children of each row that is deleted; an index with a condition does not help it.
async fn every_foreign_key_has_an_index_that_deletions_can_use(farm: Farm) {
    let raw = farm.raw().await;
    let (keys, indexes) = if raw.is_postgres() {
        (
            "SELECT c.conrelid::regclass::text || ' ' || a.attname FROM pg_constraint c
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f'",
            "SELECT i.indrelid::regclass::text || ' ' || a.attname FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indpred IS NULL AND i.indrelid::regclass::text NOT LIKE 'pg_%'",
        )
    } else {
        (
            "SELECT t.name || ' ' || f.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
             WHERE t.type = 'table' AND f.seq = 0",
            "SELECT t.name || ' ' || c.name FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_info(i.name) c
             WHERE t.type = 'table' AND i.partial = 0 AND c.seqno = 0
             UNION SELECT t.name || ' ' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
             WHERE t.type = 'table' AND c.pk = 1",
        )
    };
    let keys = raw.texts(keys).await;
    let indexes = raw.texts(indexes).await;
    assert!(
        keys.contains(&"allocation attempt".to_owned()) && keys.len() > 10,
        "{keys:?}"
    );
    let bare: Vec<&String> = keys.iter().filter(|key| !indexes.contains(key)).collect();
    assert!(bare.is_empty(), "{bare:?}");
}

/// The columns that the seventh migration adds, as it finds them for rows that are there.
async fn an_upgraded_farm_knows_what_is_over_and_who_waits(farm: Farm) {
    let project = fill(&farm, 50).await;
    let raw = farm.raw().await;
    let told = async |sql: &str| raw.texts(sql).await.join(" ");
    let rows = [
        "SELECT owner || coalesce(CAST(ended_at AS TEXT), '-') FROM attempt ORDER BY build",
        "SELECT state || coalesce(CAST(ended_at AS TEXT), '-') FROM builder ORDER BY id",
        "SELECT chroot || CAST(package AS TEXT) || directory FROM build_chroot ORDER BY build",
    ];
    let mut before = Vec::new();
    for sql in rows {
        before.push(told(sql).await);
    }
    let mut before_queue = farm.store.queue(Page::default()).await.unwrap();
    for entry in &mut before_queue.entries {
        // Nobody has looked at them since.
        entry.reason = None;
    }
    assert_eq!(before_queue.total, 4);
    undo_the_seventh(&raw).await;

    let store = farm.database.connect().await;
    assert_eq!(store.migrate().await.unwrap().len(), 1);
    for (sql, before) in rows.into_iter().zip(before) {
        assert_eq!(told(sql).await, before, "{sql}");
    }
    assert_eq!(store.queue(Page::default()).await.unwrap(), before_queue);
    // What was deleted before has been cleared at once.
    assert_eq!(store.projects_to_clear().await.unwrap(), []);
    assert!(store.project_by_id(project).await.unwrap().is_some());
}

/// Back to the tables of the sixth migration, with a project that was deleted then.
async fn undo_the_seventh(raw: &Raw) {
    for index in [
        "open_attempts",
        "live_builders",
        "one_live_builder_of_instance",
        "one_live_builder_of_host",
        "ended_builders",
        "open_allocations",
        "repositories_in_publication",
        "projects_to_clear",
        "builds_of_project_in_state",
        "builds_of_package_in_state",
        "chroots_of_package",
        "chroots_of_repository",
        "packages_in_order",
        "cleared_projects",
        "allocations_of_attempt",
        "allocations_of_builder",
        "builds_of_submitter",
        "projects_of_maker",
        "projects_of_chroot",
    ] {
        raw.execute(&format!("DROP INDEX {index}")).await;
    }
    for (table, column) in [
        ("attempt", "owner"),
        ("attempt", "is_background"),
        ("attempt", "waiting_reason"),
        ("builder", "ended_at"),
        ("build_chroot", "package"),
        ("build_chroot", "directory"),
        ("project", "cleared_at"),
    ] {
        raw.execute(&format!("ALTER TABLE {table} DROP COLUMN {column}"))
            .await;
    }
    for index in [
        "open_attempts ON attempt (state)",
        "builders_in_state ON builder (state)",
        "due_builders ON builder (deadline)",
        "allocations_in_state ON allocation (state)",
    ] {
        raw.execute(&format!("CREATE INDEX {index}")).await;
    }
    raw.execute("ALTER TABLE build_chroot ADD COLUMN waiting_reason TEXT")
        .await;
    raw.execute("ALTER TABLE build_chroot ADD COLUMN queue_position BIGINT")
        .await;
    raw.execute("UPDATE project SET deleted_at = 5 WHERE id = 3")
        .await;
    raw.execute("DELETE FROM seaql_migrations WHERE version LIKE 'm20261128_000007%'")
        .await;
}
