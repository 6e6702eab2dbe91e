//! The control endpoint: who may use it, and what it understands.

use poem::{
    Request,
    http::{Method, StatusCode, header::AUTHORIZATION},
};
use serde_json::Value;

use super::Harness;
use crate::api::control;

async fn ask(harness: &Harness, method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .header(AUTHORIZATION, token)
        .finish();
    let answer = control::answer(&harness.service, &request, path, body.as_bytes()).await;
    let status = answer.status();
    let body = answer.into_body().into_vec().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

const GOOD: &str = "Bearer secret";

#[tokio::test]
async fn whoever_has_not_the_secret_key_is_told_nothing_and_changes_nothing() {
    let harness = Harness::new(|_| ());
    for token in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer key",
        "Bearer secret ",
        "Bearer Secret",
        "bearer secret",
        "Basic secret",
        "secret",
    ] {
        for (method, path, body) in [
            (Method::GET, "ledger", ""),
            (Method::POST, "fault", r#"{"fault": "no-ssh"}"#),
            (Method::PUT, "faults", r#"{"rules": []}"#),
            (Method::GET, "nothing", ""),
        ] {
            let (status, answer) = ask(&harness, method, path, token, body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:?} {path}");
            assert_eq!(answer["error"], "the bearer token is not the secret key");
        }
    }
    let struck = harness.service.faults.before("RunInstances");
    assert!(!struck.work.is_without_ssh(), "no fault was lined up");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_the_reason() {
    let harness = Harness::new(|_| ());
    let methods = "GET ledger, POST fault, PUT faults";
    for (method, path, body, status, reason) in [
        (
            Method::POST,
            "fault",
            "",
            400,
            "the fault is not understood: it is no JSON: it ends too early",
        ),
        (
            Method::POST,
            "fault",
            r#"["no-ssh"]"#,
            400,
            "the fault is not understood: it is a list, not a mapping",
        ),
        (
            Method::POST,
            "fault",
            r#"{"fault": "no-ssh", "count": 0}"#,
            400,
            "the fault is not understood: count: a rule strikes at least one call",
        ),
        (
            Method::POST,
            "fault",
            r#"{"fault": "power-cut", "instance": "i-0123456789abcdef0"}"#,
            409,
            "there is no instance i-0123456789abcdef0",
        ),
        (
            Method::PUT,
            "faults",
            r#"{"rules": [{"action": "Fly", "effect": "no-ssh"}]}"#,
            400,
            "the plan of faults is not understood: rules[0].action: this cloud has no action Fly",
        ),
        (Method::POST, "faults", "{}", 405, methods),
        (Method::GET, "fault", "", 405, methods),
        (Method::DELETE, "ledger", "", 405, methods),
        (
            Method::GET,
            "books",
            "",
            404,
            "there is /_devcloud/ledger, /_devcloud/fault and /_devcloud/faults",
        ),
    ] {
        let (answered, answer) = ask(&harness, method.clone(), path, GOOD, body).await;
        assert_eq!(answered.as_u16(), status, "{method} {path} {body}");
        let told = answer["error"].as_str().unwrap();
        assert!(told.starts_with(reason), "{method} {path} {body}: {told}");
    }
}

#[tokio::test]
async fn the_faults_of_an_instance_reach_its_machine_and_stand_in_its_history() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    for fault in ["partition", "heal", "freeze", "thaw", "power-cut"] {
        let body = format!(r#"{{"fault": "{fault}", "instance": "{id}"}}"#);
        let (status, answer) = ask(&harness, Method::POST, "fault", GOOD, &body).await;
        assert_eq!(
            (status.as_u16(), &answer["done"]),
            (200, &Value::Bool(true)),
            "{fault}"
        );
    }
    harness.settled().await;
    let (_, ledger) = ask(&harness, Method::GET, "ledger", GOOD, "").await;
    let instance = &ledger["instances"][&id];
    let history = instance["history"].as_array().unwrap();
    let faults: Vec<&str> = history
        .iter()
        .filter(|entry| entry["event"] == "fault")
        .filter_map(|entry| entry["detail"].as_str())
        .collect();
    assert_eq!(faults, ["partition", "heal", "freeze", "thaw", "power-cut"]);
    assert_eq!(instance["state"], "terminated");
    assert_eq!(instance["state_reason"]["code"], "Server.InternalError");
}
