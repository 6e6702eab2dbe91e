//! Every operation of the OpenAPI document, asked by every kind of caller. An operation that the table does not
//! know fails the test: whoever adds one has to say here who may do it.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem::http::Method;
use serde_json::{Value, json};

use crate::{
    drive,
    farm::{Farm, Part, Reply, multipart},
    openapi::{Operation, document, operations},
    rpms, schema,
};

/// Who asks: the columns of the table.
const CALLERS: [&str; 5] = [
    "nobody",
    "somebody with a wrong token",
    "another user",
    "the owner",
    "an operator",
];

/// The status for each of them.
type Statuses = [u16; 5];

const ANYBODY: Statuses = [200; 5];
const USERS: Statuses = [401, 401, 200, 200, 200];
const OWNERS: Statuses = [401, 401, 403, 200, 200];
const OPERATORS: Statuses = [401, 401, 403, 403, 200];
/// What is there for Copr's clients and only says that it is not offered.
const OWNERS_IN_VAIN: Statuses = [401, 401, 403, 400, 400];

/// Operation, an address of it that leads somewhere in [`world`], its arguments, and who is answered how.
pub(crate) type Row = (&'static str, &'static str, &'static str, Statuses);

const P1: &str = r#"{"ownername": "alice", "projectname": "p1"}"#;
const NEW: &str = r#"{"name": "new", "chroots": ["microdistro-1-x86_64"]}"#;

/// In an order in which no row takes away what a later one needs.
#[rustfmt::skip] // A table is read by its lines.
pub(crate) const TABLE: [Row; 44] = [
    ("get_version", "/api_3", "", ANYBODY),
    ("check_authentication", "/api_3/auth-check", "", USERS),
    ("list_chroots", "/api_3/mock-chroots/list", "", ANYBODY),
    ("get_project", "/api_3/project?ownername=alice&projectname=p1", "", ANYBODY),
    ("list_projects", "/api_3/project/list?ownername=alice", "", ANYBODY),
    ("search_projects", "/api_3/project/search?query=alice", "", ANYBODY),
    ("get_project_chroot", "/api_3/project-chroot?ownername=alice&projectname=p1&chrootname=microdistro-1-x86_64", "", ANYBODY),
    ("get_project_chroot_config", "/api_3/project-chroot/build-config?ownername=alice&projectname=p1&chrootname=microdistro-1-x86_64", "", ANYBODY),
    ("get_rpmrepo", "/api_3/rpmrepo/alice/p1/microdistro-1", "", ANYBODY),
    ("get_build", "/api_3/build/1", "", ANYBODY),
    ("list_builds", "/api_3/build/list?ownername=alice&projectname=p1", "", ANYBODY),
    ("get_source_chroot", "/api_3/build/source-chroot/1", "", ANYBODY),
    ("get_built_packages", "/api_3/build/built-packages/1", "", ANYBODY),
    ("get_build_chroot", "/api_3/build-chroot?build_id=1&chrootname=microdistro-1-x86_64", "", ANYBODY),
    ("list_build_chroots", "/api_3/build-chroot/list?build_id=1", "", ANYBODY),
    ("get_build_chroot_config", "/api_3/build-chroot/build-config?build_id=1&chrootname=microdistro-1-x86_64", "", ANYBODY),
    ("get_chroot_built_packages", "/api_3/build-chroot/built-packages?build_id=1&chrootname=microdistro-1-x86_64", "", ANYBODY),
    ("get_package", "/api_3/package?ownername=alice&projectname=p1&packagename=hello", "", ANYBODY),
    ("list_packages", "/api_3/package/list?ownername=alice&projectname=p1&with_latest_build=True", "", ANYBODY),
    ("get_monitor", "/api_3/monitor?ownername=alice&projectname=p1", "", ANYBODY),
    ("list_attempts", "/api/builds/1/attempts", "", ANYBODY),
    ("get_attempt_log", "/api/attempts/{attempt_id}/log", "", ANYBODY),
    ("follow_attempt_log", "/api/attempts/{attempt_id}/log/stream", "", ANYBODY),
    ("get_fleet", "/api/fleet", "", ANYBODY),
    ("get_queue", "/api/queue", "", ANYBODY),
    ("list_builders", "/api/builders?gone=true", "", USERS),
    ("list_events", "/api/events", "", OPERATORS),
    ("create_project", "/api_3/project/add/alice", NEW, OWNERS),
    ("edit_project", "/api_3/project/edit/alice/p1", r#"{"description": "changed"}"#, OWNERS),
    ("regenerate_repositories", "/api_3/project/regenerate-repos/alice/p1", "", OWNERS),
    ("check_before_build", "/api_3/build/check-before-build", P1, OWNERS),
    ("create_build_from_upload", "/api_3/build/create/upload", P1, OWNERS),
    ("create_build", "/api_3/build/create/url", P1, OWNERS_IN_VAIN),
    ("cancel_build", "/api_3/build/cancel/2", "", OWNERS),
    ("delete_build", "/api_3/build/delete/3", "", OWNERS),
    ("delete_builds", "/api_3/build/delete/list", r#"{"builds": [4]}"#, OWNERS),
    ("delete_project", "/api_3/project/delete/alice/gone", r#"{"verify": true}"#, OWNERS),
    // The same, as old clients ask for it.
    ("edit_project_by_post", "/api_3/project/edit/alice/p1", r#"{"description": "once more"}"#, OWNERS),
    ("regenerate_repositories_by_post", "/api_3/project/regenerate-repos/alice/p1", "", OWNERS),
    ("cancel_build_by_post", "/api_3/build/cancel/5", "", OWNERS),
    ("delete_build_by_post", "/api_3/build/delete/6", "", OWNERS),
    ("delete_builds_by_post", "/api_3/build/delete/list", r#"{"builds": [7]}"#, OWNERS),
    ("delete_project_by_post", "/api_3/project/delete/alice/gone-too", r#"{"verify": true}"#, OWNERS),
    // The last one: the token that asks is void afterwards.
    ("create_token", "/api_3/api-token", "", USERS),
];

/// A farm in which every address of the table leads somewhere, and the id of an attempt that has ended.
pub(crate) async fn world() -> (Farm, String) {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.project("gone").await;
    farm.project("gone-too").await;
    for _ in 1..=7 {
        farm.build("p1").await;
    }
    let attempt = drive::run(&farm.store, 1).await;
    drive::succeed(&farm.store, &attempt).await;
    for build in [3, 4, 6, 7] {
        let path = format!("/api_3/build/cancel/{build}");
        farm.call(&farm.alice, Method::PUT, &path, json!({})).await.good();
    }
    (farm, attempt.id.to_string())
}

/// Everything that a caller could have changed.
async fn state_of(farm: &Farm) -> Vec<Value> {
    let mut state = Vec::new();
    for path in [
        "/api_3/project/list",
        "/api_3/build/list?ownername=alice&projectname=p1",
        "/api/queue",
    ] {
        state.push(farm.get(path).await.good());
    }
    let mut events = farm.get_as(&farm.operator, "/api/events?limit=1000").await.good();
    // Whoever has a token may have a new one; that concerns nobody else.
    let events = events.as_array_mut().unwrap();
    events.retain(|event| event["subject_kind"] != "user");
    state.push(json!(events));
    state.push(json!(farm.files("sources")));
    state
}

/// The header that a caller of a column sends.
fn authorization(farm: &Farm, column: usize) -> Option<String> {
    match column {
        0 => None,
        1 => {
            let wrong = format!("{}:vdg_{}", farm.alice.login, "0".repeat(40));
            Some(format!("Basic {}", STANDARD.encode(wrong)))
        }
        2 => Some(farm.bob.authorization()),
        3 => Some(farm.alice.authorization()),
        _ => Some(farm.operator.authorization()),
    }
}

async fn ask(farm: &Farm, column: usize, operation: &Operation, row: &Row, attempt: &str) -> Reply {
    let (id, address, arguments, _) = *row;
    let address = address.replace("{attempt_id}", attempt);
    let (content_type, body) = if id == "create_build_from_upload" {
        let srpm = rpms::source();
        multipart(&[
            Part::json(arguments.as_bytes()),
            Part::file(&srpm.name, &srpm.bytes),
        ])
    } else {
        ("application/json".to_owned(), arguments.as_bytes().to_vec())
    };
    let who = authorization(farm, column);
    farm.ask(who.as_deref(), &operation.method, &address, &content_type, body)
        .await
}

/// What is wrong with an answer: its status, or that it is not what the document says.
fn faults(document: &Value, operation: &Operation, reply: &Reply, expected: u16) -> Vec<String> {
    let status = reply.status.as_u16();
    if status != expected {
        return vec![format!("it is {status} and not {expected}: {}", reply.text())];
    }
    let described = &operation.text["responses"][status.to_string()]["content"];
    let kind = reply.header("content-type");
    let Some(content) = described.get(kind) else {
        return vec![format!(
            "the document knows no {status} of type '{kind}': {described}"
        )];
    };
    if status != 200 {
        reply.error(status);
    }
    if kind != "application/json" {
        return Vec::new();
    }
    schema::mistakes(document, &content["schema"], &reply.json())
}

#[tokio::test]
async fn every_operation_answers_every_kind_of_caller_as_the_table_says() {
    let document = document();
    let operations = operations(&document);
    let known: BTreeSet<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    let in_table: BTreeSet<&str> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(known, in_table, "the table and the document differ");

    let mut found = Vec::new();
    for (column, caller) in CALLERS.iter().enumerate() {
        let (farm, attempt) = world().await;
        let before = state_of(&farm).await;
        for row in &TABLE {
            let operation = operations.iter().find(|operation| operation.id == row.0).unwrap();
            let reply = ask(&farm, column, operation, row, &attempt).await;
            let faults = faults(&document, operation, &reply, row.3[column]);
            found.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{} by {caller}: {fault}", row.0)),
            );
        }
        // The first three may not change anything: their refusals came before any effect.
        if column <= 2 {
            assert!(before == state_of(&farm).await, "{caller} has changed something");
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_operation_says_in_the_document_whether_it_wants_a_token() {
    for operation in operations(&document()) {
        let row = TABLE.iter().find(|row| row.0 == operation.id).unwrap();
        let wants_token = operation.text.get("security").is_some();
        assert_eq!(wants_token, row.3[0] == 401, "{}", operation.id);
    }
}
