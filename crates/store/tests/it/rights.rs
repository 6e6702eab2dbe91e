//! Roles of PostgreSQL with no more rights than their process uses, and the end of connections.

use store::{DatabaseSettings, Error, Process, Store, testing::PostgresServer};

use crate::{
    farm::Farm,
    support::{Database, Start as _, at, check},
};

async fn connect(url: &str) -> Store {
    let settings = DatabaseSettings {
        url: url.to_owned(),
        max_connections: 2,
    };
    Store::connect(&settings).await.unwrap()
}

/// The statements that a refusal names.
fn statements(refusal: &Error) -> String {
    assert!(matches!(refusal, Error::Forbidden { .. }), "{refusal:?}");
    let text = refusal.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("GRANT "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_role_is_told_the_statements_that_make_it_do_and_no_more() {
    let server = PostgresServer::start().unwrap();
    check(Box::pin(async move {
        let farm = Farm::start(Database::postgres(&server)).await;
        let owner = farm.database.url.as_str();
        for (role, process) in [
            ("farm_api", Process::Api),
            ("farm-controller", Process::Controller),
            ("FarmWorker", Process::Worker),
        ] {
            server
                .execute(owner, &format!("CREATE ROLE \"{role}\" LOGIN"))
                .unwrap();
            let url = owner.replace("verdigris@", &format!("{role}@"));
            let store = connect(&url).await;
            // Not that migrations are due, which they are not.
            let refused = store.pending_migrations().await.unwrap_err();
            assert!(statements(&refused).contains("seaql_migrations"), "{refused}");
            let refused = store.check_rights(process).await.unwrap_err();
            server.execute(owner, &statements(&refused)).unwrap();
            store.check_rights(process).await.unwrap();
            assert_eq!(store.pending_migrations().await.unwrap(), [""; 0]);
            let bob = store::NewUser {
                name: format!("user-{}", process.name()).parse().unwrap(),
                is_operator: false,
            };
            store.create_user(&bob, at(1)).await.unwrap();
            let key = store.signing_key(farm.project.id).await;
            assert_eq!(key.is_ok(), process == Process::Worker, "{key:?}");
            if process == Process::Controller {
                let refused = store.check_rights(Process::Api).await.unwrap_err();
                assert_eq!(
                    statements(&refused),
                    "GRANT SELECT (project, fingerprint), DELETE ON public.signing_key TO \"farm-controller\";"
                );
            }
        }
        let other = connect(&owner.replace("verdigris@", "farm_api@")).await;
        server
            .execute(owner, "REVOKE INSERT ON event FROM farm_api")
            .unwrap();
        let refused = other.check_rights(Process::Api).await.unwrap_err();
        assert_eq!(statements(&refused), "GRANT INSERT ON public.event TO farm_api;");
        let refused = other.delete_project(farm.project.id, at(2)).await.unwrap_err();
        assert!(matches!(refused, Error::Forbidden { .. }), "{refused:?}");
        server
            .execute(owner, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
            .unwrap();
        let refused = other.check_rights(Process::Api).await.unwrap_err();
        assert_eq!(statements(&refused), "GRANT USAGE ON SCHEMA public TO farm_api;");
    }));
}

#[test]
fn a_role_that_may_not_connect_is_told_the_statement_that_lets_it() {
    let server = PostgresServer::start().unwrap();
    check(Box::pin(async move {
        let owner = server.new_database().unwrap();
        let revoke = "CREATE ROLE \"Out\" LOGIN; REVOKE CONNECT ON DATABASE farm_0 FROM PUBLIC";
        server.execute(&owner, revoke).unwrap();
        let settings = DatabaseSettings {
            url: owner.replace("verdigris@", "Out@"),
            max_connections: 2,
        };
        let refused = Store::connect(&settings).await.unwrap_err();
        assert_eq!(
            statements(&refused),
            "GRANT CONNECT ON DATABASE farm_0 TO \"Out\";"
        );
        server.execute(&owner, &statements(&refused)).unwrap();
        Store::connect(&settings).await.unwrap();
    }));
}

/// What a role that is to make or change the tables is asked for, and what it may do afterwards.
#[test]
fn a_role_that_may_not_migrate_is_told_so_before_anything_is_made() {
    let server = PostgresServer::start().unwrap();
    check(Box::pin(async move {
        for (number, (before, asked)) in [
            (
                "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
                "GRANT CREATE ON SCHEMA public TO \"Farm\";",
            ),
            (
                "REVOKE ALL ON SCHEMA public FROM PUBLIC",
                "GRANT USAGE, CREATE ON SCHEMA public TO \"Farm\";",
            ),
            // The tables of another role, of an older program.
            (
                "GRANT CREATE ON SCHEMA public TO \"Farm\";
                 CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint NOT NULL);
                 GRANT SELECT ON seaql_migrations TO \"Farm\"",
                "GRANT verdigris TO \"Farm\";",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let owner = server.new_database().unwrap();
            if number == 0 {
                server.execute(&owner, "CREATE ROLE \"Farm\" LOGIN").unwrap();
            }
            server.execute(&owner, before).unwrap();
            let store = connect(&owner.replace("verdigris@", "Farm@")).await;
            let refused = store.check_may_migrate().await.unwrap_err();
            assert_eq!(statements(&refused), asked, "{before}");
            assert!(store.migrate().await.is_err(), "{before}");
            server.execute(&owner, asked).unwrap();
            store.check_may_migrate().await.unwrap();
            store.migrate().await.unwrap();
            // Nobody needs the right when nothing is due.
            server
                .execute(&owner, "REVOKE ALL ON SCHEMA public FROM \"Farm\"")
                .unwrap();
            server
                .execute(&owner, "GRANT USAGE ON SCHEMA public TO \"Farm\"")
                .unwrap();
            store.check_may_migrate().await.unwrap();
        }
        Database::sqlite()
            .connect()
            .await
            .check_may_migrate()
            .await
            .unwrap();
    }));
}

/// A table that is made later and not granted would stop a farm whose roles are as the documentation says.
#[test]
fn every_table_is_known_to_who_asks_for_rights() {
    let server = PostgresServer::start().unwrap();
    check(Box::pin(async move {
        let farm = Farm::start(Database::postgres(&server)).await;
        let owner = farm.database.url.as_str();
        server.execute(owner, "CREATE ROLE nobody LOGIN").unwrap();
        let store = connect(&owner.replace("verdigris@", "nobody@")).await;
        let asked = statements(&store.check_rights(Process::Worker).await.unwrap_err());
        let names = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
        let tables = farm.raw().await.texts(names).await;
        assert!(tables.len() > 20, "{tables:?}");
        for table in tables {
            assert!(asked.contains(&format!("public.{table}")), "{table} in {asked}");
        }
    }));
}

#[test]
fn after_the_end_the_file_of_sqlite_is_the_whole_database() {
    let directory = tempfile::tempdir().unwrap();
    let (file, copy) = (directory.path().join("farm.db"), directory.path().join("copy.db"));
    check(Box::pin(async move {
        let farm = Farm::start(Database::at(&file)).await;
        farm.submit().await;
        let beside = |suffix: &str| std::path::PathBuf::from(format!("{}{suffix}", file.display()));
        let log = std::fs::metadata(beside("-wal")).unwrap().len();
        assert!(log > 100_000, "what is new is in the log: {log}");
        farm.store.close().await.unwrap();
        assert!(!beside("-wal").exists() && !beside("-shm").exists());
        std::fs::copy(&file, &copy).unwrap();
        let store = Database::at(&copy).connect().await;
        let builds = store
            .builds(&store::BuildFilter::default(), store::Page::default())
            .await;
        assert_eq!(builds.unwrap().len(), 1);
        assert!(
            farm.store.users().await.unwrap_err().is_temporary(),
            "it is closed"
        );
    }));
}

#[test]
fn a_look_at_a_database_writes_nothing_whether_it_was_stopped_or_killed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    let place = move |name: &str| root.join(name);
    for name in ["stopped", "killed"] {
        std::fs::create_dir(place(name)).unwrap();
    }
    check(Box::pin(async move {
        let (stopped, killed) = (place("stopped/farm.db"), place("killed/farm.db"));
        let farm = Farm::start(Database::at(&stopped)).await;
        farm.submit().await;
        // What a killed process leaves.
        for name in ["farm.db", "farm.db-wal", "farm.db-shm"] {
            std::fs::copy(place("stopped").join(name), place("killed").join(name)).unwrap();
        }
        farm.store.close().await.unwrap();
        for file in [stopped, killed] {
            let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
                let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
                let paths = entries.map(|entry| entry.unwrap().path());
                // The index of the log is a lock, and holds no data.
                let paths = paths.filter(|path| path.extension().unwrap() != "db-shm");
                paths
                    .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                    .collect()
            };
            let before = files();
            let settings = DatabaseSettings {
                url: format!("sqlite://{}", file.display()),
                max_connections: 2,
            };
            let store = Store::connect_to_look(&settings).await.unwrap();
            assert_eq!(store.pending_migrations().await.unwrap(), [""; 0]);
            let all = store::BuildFilter::default();
            let builds = store.builds(&all, store::Page::default()).await;
            assert_eq!(builds.unwrap().len(), 1);
            let bob = store::NewUser {
                name: "bob".parse().unwrap(),
                is_operator: false,
            };
            store.create_user(&bob, at(9)).await.unwrap_err();
            store.close().await.unwrap();
            assert_eq!(files().len(), before.len());
            assert!(files() == before, "{}", file.display());
        }
    }));
}
