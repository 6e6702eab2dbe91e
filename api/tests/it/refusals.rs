//! What every operation refuses, found by walking the OpenAPI document: bodies and parameters that cannot be
//! read, methods that are not there. And what a fault of ours looks like from outside.

use std::collections::BTreeSet;

use poem::{
    Request,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    callers::{TABLE, world},
    farm::{Farm, Part},
    openapi::{Operation, document, operations},
    rpms,
};

/// An address of the operation that leads somewhere.
fn address_of(operation: &Operation, attempt: &str) -> String {
    let row = TABLE.iter().find(|row| row.0 == operation.id).unwrap();
    row.1.replace("{attempt_id}", attempt)
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_by_every_operation_that_takes_one() {
    let (farm, attempt) = world().await;
    let who = farm.operator.authorization();
    let large = " ".repeat(2 << 20);
    for operation in operations(&document()) {
        if operation.text.get("requestBody").is_none() {
            continue;
        }
        let address = address_of(&operation, &attempt);
        let takes_files = operation.id == "create_build_from_upload";
        let json = if takes_files { 415 } else { 400 };
        for (content_type, body, status) in [
            ("application/json", "{\"name\": ", json),
            ("application/json", "[1, 2]", json),
            ("application/json", "\u{feff}{}", json),
            ("text/yaml", "name: x", 415),
            ("multipart/form-data", "no boundary", 400),
            ("multipart/form-data; boundary=x", "no parts", 400),
            (
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"a\": \r\n--x--\r\n",
                400,
            ),
            (
                "application/json",
                large.as_str(),
                if takes_files { 415 } else { 413 },
            ),
        ] {
            let reply = farm
                .ask(
                    Some(&who),
                    &operation.method,
                    &address,
                    content_type,
                    body.to_owned(),
                )
                .await;
            assert_eq!(
                reply.status.as_u16(),
                status,
                "{}: {content_type}: {}",
                operation.id,
                reply.text()
            );
            let error = reply.error(status);
            for foreign in ["expected", "EOF", "boundary", "at line", "parse", "Utf8", "io:"] {
                assert!(!error.contains(foreign), "{}: {error}", operation.id);
            }
        }
    }
    assert!(farm.files("spool").is_empty());
}

/// Values that the schema of a parameter does not allow, and what is said of each.
fn out_of(schema: &Value) -> Vec<(&'static str, String)> {
    let words = schema["enum"].as_array();
    if let Some(words) = words {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let said = format!("Must be one of: {}.", words.join(", "));
        return ["many", "", "ID", "%00", "id,name"]
            .map(|bad| (bad, said.clone()))
            .to_vec();
    }
    match schema["type"].as_str() {
        Some("integer") => {
            let said = "Not a valid integer value.".to_owned();
            let mut bad = ["many", "1.5", "1e3", "+1", "0x1", "%00"]
                .map(|bad| (bad, said.clone()))
                .to_vec();
            let (least, most) = (&schema["minimum"], &schema["maximum"]);
            bad.push((
                "-99999999999999999999",
                format!("Number must be at least {least}."),
            ));
            bad.push(("9223372036854775808", format!("Number must be at most {most}.")));
            bad
        }
        Some("boolean") => ["many", "2", "%00"]
            .map(|bad| (bad, "Not a valid boolean.".to_owned()))
            .to_vec(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_parameter_that_is_missing_or_cannot_be_read_is_named() {
    let (farm, attempt) = world().await;
    let who = farm.operator.authorization();
    let mut seen = 0;
    for operation in operations(&document()) {
        let address = address_of(&operation, &attempt);
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let without = |name: &str| -> Vec<&str> {
            query
                .split('&')
                .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name))
                .collect()
        };
        for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] != "query" {
                continue;
            }
            let ask = |pairs: Vec<&str>| {
                let address = format!("{path}?{}", pairs.join("&"));
                let (farm, who, method) = (&farm, &who, &operation.method);
                async move {
                    farm.ask(Some(who), method, &address, "application/json", "")
                        .await
                }
            };
            if parameter["required"] == true {
                let error = ask(without(name)).await.error(400);
                assert_eq!(error, format!("Missing argument {name}"), "{}", operation.id);
                seen += 1;
            }
            let schema = match &parameter["schema"]["items"] {
                Value::Null => &parameter["schema"],
                items => items,
            };
            for (bad, words) in out_of(schema) {
                let bad = format!("{name}={bad}");
                let mut pairs = without(name);
                pairs.push(&bad);
                let error = ask(pairs).await.error(400);
                assert_eq!(error, format!("{name}: {words}"), "{}", operation.id);
                seen += 1;
            }
            for word in schema["enum"].as_array().into_iter().flatten() {
                let good = format!("{name}={}", word.as_str().unwrap());
                let mut pairs = without(name);
                pairs.push(&good);
                assert_eq!(
                    ask(pairs).await.status,
                    StatusCode::OK,
                    "{}: {good}",
                    operation.id
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 150, "only {seen} values of parameters were tried");
}

#[tokio::test]
async fn a_number_in_a_path_that_is_none_names_nothing() {
    let farm = Farm::start().await;
    let who = farm.operator.authorization();
    let mut seen = 0;
    for operation in operations(&document()) {
        let parameters = operation.text["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let Some(number) = parameters
            .iter()
            .find(|parameter| parameter["in"] == "path" && parameter["schema"]["type"] == "integer")
        else {
            continue;
        };
        for bad in ["x", "1x", "1.5", "99999999999999999999", "%00", "0x1"] {
            let name = number["name"].as_str().unwrap();
            let address = operation.path.replace(&format!("{{{name}}}"), bad);
            let reply = farm
                .ask(Some(&who), &operation.method, &address, "application/json", "{}")
                .await;
            assert_eq!(reply.error(404), "Such API endpoint doesn't exist", "{address}");
        }
        seen += 1;
    }
    assert!(seen > 4, "only {seen} operations have a number in their path");
}

#[tokio::test]
async fn a_method_that_an_address_does_not_have_is_refused_with_those_that_it_has() {
    let farm = Farm::start().await;
    let document = document();
    let all = operations(&document);
    let paths: BTreeSet<&str> = all.iter().map(|operation| operation.path.as_str()).collect();
    for path in paths {
        let mut there: BTreeSet<&str> = all
            .iter()
            .filter(|operation| operation.path == path)
            .map(|operation| operation.method.as_str())
            .collect();
        if there.contains("GET") {
            there.insert("HEAD");
        }
        let address: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect();
        let address = address.join("/");
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
        ] {
            let reply = farm.ask(None, &method, &address, "application/json", "{}").await;
            if there.contains(method.as_str()) {
                // An address with 1 for every name leads nowhere, but the method is not what is wrong with it.
                assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                continue;
            }
            let error = reply.error(405);
            assert_eq!(
                error,
                format!("The method {method} is not allowed for this address.")
            );
            let allowed: BTreeSet<&str> = reply.header("allow").split(", ").collect();
            assert_eq!(allowed, there, "{method} {path}");
        }
    }
    farm.project("p1").await;
    std::fs::create_dir_all(farm.path("results/alice")).unwrap();
    for path in [
        "/",
        "/health",
        "/results/alice/",
        "/coprs/alice/p1/",
        "/api/openapi.json",
    ] {
        let reply = farm
            .ask(None, &Method::POST, path, "application/json", "{}")
            .await;
        reply.error(405);
        assert_eq!(reply.header("allow"), "GET, HEAD", "{path}");
    }
}

#[tokio::test]
async fn a_fault_of_ours_is_500_and_shows_nothing_of_the_inside() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    std::fs::remove_dir(farm.path("spool")).unwrap();
    let srpm = rpms::source();
    let json = json!({"ownername": "alice", "projectname": "p1"}).to_string();
    let reply = farm
        .upload(
            &farm.alice,
            &[Part::json(json.as_bytes()), Part::file(&srpm.name, &srpm.bytes)],
        )
        .await;
    let shown =
        "Internal server error. The header X-Request-Id of this answer names the entry in the server's log.";
    assert_eq!(reply.error(500), shown);
    assert_eq!(farm.get("/metrics").await.error(500), shown);
    let page = farm.get_with("/metrics", "accept", "text/html").await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(page.text().contains("Internal server error."), "{}", page.text());
    let health = farm.get("/health").await;
    health.error(503);
    assert_eq!(health.json()["disk"], "The free disk space is not known.");
    for reply in [reply, page, health] {
        let text = reply.text();
        let root = farm.path("").display().to_string();
        for inside in [root.as_str(), "spool", "os error", "No such file", "src/"] {
            assert!(!text.contains(inside), "{text}");
        }
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_put_into_its_place_leaves_neither_build_nor_file() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let stored = farm.files("sources");
    let place = farm.path("sources").join(&stored[0]);
    // A directory where the file belongs: nothing can be renamed to it.
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir_all(place.join("in the way")).unwrap();
    let srpm = rpms::source();
    let json = json!({"ownername": "alice", "projectname": "p1"}).to_string();
    let reply = farm
        .upload(
            &farm.alice,
            &[Part::json(json.as_bytes()), Part::file(&srpm.name, &srpm.bytes)],
        )
        .await;
    reply.error(500);
    assert!(farm.files("spool").is_empty() && farm.files("sources").is_empty());
    let builds = farm
        .get("/api_3/build/list?ownername=alice&projectname=p1")
        .await
        .good();
    assert_eq!(builds["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_by_any_address() {
    let farm = Farm::start().await;
    farm.project("p1").await;
    farm.build("p1").await;
    let document = document();
    let mut addresses: Vec<(Method, String)> = operations(&document)
        .into_iter()
        .filter(|operation| operation.method != Method::GET)
        .map(|operation| {
            let path = operation
                .path
                .replace("{ownername}", "alice")
                .replace("{projectname}", "p1");
            (
                operation.method,
                path.replace("{build_id}", "1").replace("{kind}", "url"),
            )
        })
        .collect();
    // What old clients send for them.
    let posts: Vec<_> = addresses
        .iter()
        .map(|(_, path)| (Method::POST, path.clone()))
        .collect();
    addresses.extend(posts);
    let before = farm.get_as(&farm.operator, "/api/events?limit=1000").await.good();
    for (method, path) in addresses {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let request = Request::builder()
                .method(method.clone())
                .uri_str(&path)
                .header("authorization", farm.alice.authorization())
                .header(name, value)
                .content_type("application/x-www-form-urlencoded")
                .body("name=p2&description=stolen&builds=1");
            let error = farm.send(request).await.error(403);
            assert!(error.contains("another site"), "{method} {path}: {error}");
        }
    }
    let after = farm.get_as(&farm.operator, "/api/events?limit=1000").await.good();
    assert_eq!(before, after);

    let own = Request::builder()
        .method(Method::PUT)
        .uri_str("/api_3/project/edit/alice/p1")
        .header("authorization", farm.alice.authorization())
        .header("origin", "http://farm.example:8080")
        .content_type("application/json")
        .body(json!({"description": "ours"}).to_string());
    assert_eq!(farm.send(own).await.good()["description"], "ours");
    farm.get_with("/api_3/project/list", "origin", "https://evil.example")
        .await
        .good();
}

#[tokio::test]
async fn what_the_database_cannot_hold_is_refused_under_the_name_of_its_parameter() {
    let farm = Farm::start().await;
    let reply = farm.get("/api_3/project/search?query=abc%00d").await;
    assert_eq!(reply.error(400), "query: it holds a NUL character.");
}
