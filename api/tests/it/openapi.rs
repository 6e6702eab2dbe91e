//! The OpenAPI document: the copy in the repository, and what every operation owes.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::Value;

use crate::farm::Farm;

/// The document as the program makes it.
pub(crate) fn document() -> Value {
    serde_json::from_str(&api::openapi_document()).unwrap()
}

/// An operation of the document.
pub(crate) struct Operation {
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) id: String,
    /// What the document says of it.
    pub(crate) text: Value,
}

/// All operations.
pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, text) in methods.as_object().unwrap() {
            let id = text["operationId"].as_str();
            found.push(Operation {
                path: path.clone(),
                method: method.to_uppercase().parse().unwrap(),
                id: id
                    .unwrap_or_else(|| panic!("{method} {path} has no id"))
                    .to_owned(),
                text: text.clone(),
            });
        }
    }
    found
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("VERDIGRIS_BLESS").is_some() {
        std::fs::write(file, api::openapi_document()).unwrap();
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        kept == api::openapi_document(),
        "api/openapi.json is not what the program makes: run `cargo xtask openapi`"
    );
}

#[test]
fn every_operation_has_an_id_a_summary_and_its_errors() {
    let document = document();
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let Operation { id, text, .. } = operation;
        assert!(ids.insert(id.clone()), "the id {id} is there twice");
        assert!(
            text["summary"]
                .as_str()
                .is_some_and(|summary| summary.ends_with('.')),
            "{id} has no summary"
        );
        let responses = text["responses"].as_object().unwrap();
        let mut owed = vec!["200", "400", "404", "500", "503"];
        if text.get("security").is_some() {
            owed.extend(["401", "403"]);
        }
        if text.get("requestBody").is_some() {
            owed.extend(["408", "413", "415"]);
        }
        for status in owed {
            assert!(responses.contains_key(status), "{id} does not tell of {status}");
        }
        for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
            let schema = &response["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Error", "{id} {status}");
        }
        for parameter in text["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{id}: {parameter}");
        }
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let farm = Farm::start().await;
    let reply = farm.get("/api/openapi.json").await;
    assert_eq!(reply.text(), api::openapi_document());
    assert_eq!(reply.header("content-type"), "application/json");
}
