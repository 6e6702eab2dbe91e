//! Bounds in the OpenAPI document: the server is asked with a value on each side of each of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    callers::{TABLE, world},
    farm::{Farm, Reply},
    openapi::{Operation, document, operations},
};

/// Where a value is to be put.
#[derive(Clone, Copy)]
enum Place<'a> {
    Path(&'a str),
    Query(&'a str),
    Field(&'a str),
}

impl Place<'_> {
    const fn name(&self) -> &str {
        match self {
            Self::Path(name) | Self::Query(name) | Self::Field(name) => name,
        }
    }
}

/// Values on both sides of the bounds of a schema.
#[derive(Default)]
struct Sides {
    inside: Vec<Value>,
    beyond: Vec<Value>,
}

/// A name of so many letters that is right for what the parameter or field of this name holds.
fn name_of(holds: &str, length: usize) -> String {
    let long = |end: &str| format!("{}{end}", "a".repeat(length - end.len()));
    match holds {
        "chrootname" | "chroots" if length > 9 => long("-1-x86_64"),
        "ownername" if length == 65 => format!("@{}", "a".repeat(64)),
        "project_dirname" | "dirname" if length > 100 => {
            format!("p1:{}:{}", "b".repeat(58), "c".repeat(length - 62))
        }
        _ => "a".repeat(length),
    }
}

/// What a list may hold, each different.
fn items_of(holds: &str, count: usize) -> Value {
    let item = |number: usize| match holds {
        "builds" => json!(number + 1),
        "chroots" => json!("microdistro-1-x86_64"),
        _ => json!(format!("https://example.org/{number}/")),
    };
    (0..count).map(item).collect()
}

fn sides(holds: &str, schema: &Value) -> Sides {
    let mut sides = Sides::default();
    let size = |keyword: &str| {
        schema[keyword]
            .as_u64()
            .map(|size| usize::try_from(size).unwrap())
    };
    if let Some(least) = schema["minimum"].as_i64() {
        sides.inside.push(json!(least));
        sides.beyond.extend([json!(least - 1), json!(i64::MIN)]);
    }
    if let Some(most) = schema["maximum"].as_i64() {
        sides.inside.push(json!(most));
        sides.beyond.extend([json!(most + 1), json!(u64::MAX)]);
    }
    if let Some(least) = size("minLength") {
        sides.inside.push(json!(name_of(holds, least)));
        sides.beyond.push(json!("a".repeat(least - 1)));
    }
    if let Some(most) = size("maxLength") {
        sides.inside.push(json!(name_of(holds, most)));
        sides.beyond.push(json!(name_of(holds, most + 1)));
    }
    if schema["pattern"].is_string() {
        sides
            .beyond
            .extend(["a b", "a..b", "-", "ä", "a/b"].map(Value::from));
    }
    if let Some(words) = schema["enum"].as_array() {
        sides.inside.extend(words.iter().cloned());
        sides.beyond.extend(["nothing", "many"].map(Value::from));
    }
    if let Some(fewest) = size("minItems") {
        sides.inside.push(items_of(holds, fewest));
        sides.beyond.push(items_of(holds, fewest - 1));
    }
    if let Some(most) = size("maxItems") {
        sides.inside.push(items_of(holds, most));
        sides.beyond.push(items_of(holds, most + 1));
    }
    if schema["type"] == "array" {
        let of_items = self::sides(holds, &schema["items"]);
        let alone = |item: Value| json!([item]);
        sides.inside.extend(of_items.inside.into_iter().map(alone));
        sides.beyond.extend(of_items.beyond.into_iter().map(alone));
    }
    sides
}

/// A text as it stands in an address.
fn encoded(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Asks an operation as its row of the table does, but for one value.
async fn ask(
    farm: &Farm,
    operation: &Operation,
    address: &str,
    body: &str,
    (place, value): (Place<'_>, &Value),
) -> Reply {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let (mut path, mut query, mut body) = (path.to_owned(), query.to_owned(), body.to_owned());
    match place {
        Place::Path(name) => {
            let parameter = format!("{{{name}}}");
            let parts = operation.path.split('/').zip(path.split('/'));
            let parts: Vec<String> = parts
                .map(|(part, now)| {
                    if part == parameter {
                        encoded(value)
                    } else {
                        now.to_owned()
                    }
                })
                .collect();
            path = parts.join("/");
        }
        Place::Query(name) => {
            let others = query
                .split('&')
                .filter(|pair| pair.split('=').next() != Some(name));
            let value = match value.as_array() {
                Some(items) => &items[0],
                None => value,
            };
            let pair = format!("{name}={}", encoded(value));
            query = others.chain([pair.as_str()]).collect::<Vec<_>>().join("&");
        }
        Place::Field(name) => {
            let mut object: Value = serde_json::from_str(&body).unwrap_or_else(|_| json!({}));
            object[name] = value.clone();
            body = object.to_string();
        }
    }
    if operation.id == "create_project" && place.name() != "name" {
        // Each is a new one.
        static PROJECTS: AtomicUsize = AtomicUsize::new(0);
        let number = PROJECTS.fetch_add(1, Ordering::Relaxed);
        body = body.replace("\"new\"", &format!("\"new-{number}\""));
    }
    let who = farm.operator.authorization();
    let address = format!("{path}?{query}");
    farm.ask(Some(&who), &operation.method, &address, "application/json", body)
        .await
}

/// What is wrong with the answer to a value inside its bounds: it says that the value itself is wrong.
fn refuses(reply: &Reply, name: &str) -> bool {
    let is_about_it = || {
        let error = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        let names_it = error.starts_with(&format!("{name}: ")) || error.contains(&format!("'{name}': ["));
        // What is well formed may still be of nothing that is there.
        let is_unknown = ["is not a valid choice", "does not exist", "is a group"]
            .iter()
            .any(|words| error.contains(words));
        names_it && !is_unknown
    };
    match reply.status {
        StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::CONFLICT => false,
        StatusCode::BAD_REQUEST => is_about_it(),
        _ => true,
    }
}

/// The parameters and fields of an operation with their schemas.
fn places<'a>(document: &'a Value, operation: &'a Operation) -> Vec<(Place<'a>, &'a Value)> {
    let mut places = Vec::new();
    for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        match parameter["in"].as_str() {
            Some("path") => places.push((Place::Path(name), &parameter["schema"])),
            Some("query") => places.push((Place::Query(name), &parameter["schema"])),
            _ => {}
        }
    }
    let body = &operation.text["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    if let Some(schema) = body.as_str() {
        let schema = document.pointer(schema.trim_start_matches('#')).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            places.push((Place::Field(name), property));
        }
    }
    places
}

#[tokio::test]
async fn the_server_holds_to_each_bound_of_the_document_on_both_sides() {
    let document = document();
    let (farm, attempt) = world().await;
    let (mut seen, mut found) = (0, Vec::new());
    for operation in operations(&document) {
        let row = TABLE.iter().find(|row| row.0 == operation.id).unwrap();
        let address = row.1.replace("{attempt_id}", &attempt);
        for (place, schema) in places(&document, &operation) {
            let name = place.name();
            let sides = sides(name, schema);
            let is_path = matches!(place, Place::Path(_));
            for value in &sides.beyond {
                // What is empty in a path is another path.
                if is_path && *value == json!("") {
                    continue;
                }
                let reply = ask(&farm, &operation, &address, row.2, (place, value)).await;
                if !reply.status.is_client_error() {
                    found.push(format!("{} {name}={value}: {}", operation.id, reply.status));
                }
                seen += 1;
            }
            for value in &sides.inside {
                // The smallest number is that of a build which others ask for.
                if is_path && operation.method != Method::GET && *value == json!(1) {
                    continue;
                }
                let reply = ask(&farm, &operation, &address, row.2, (place, value)).await;
                if refuses(&reply, name) {
                    found.push(format!("{} {name}={value}: {}", operation.id, reply.text()));
                }
                seen += 1;
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(seen > 700, "only {seen} values were tried");
}

#[tokio::test]
async fn numbers_are_bounded_and_what_may_not_be_empty_says_so() {
    let document = document();
    let (farm, attempt) = world().await;
    let mut found = Vec::new();
    for operation in operations(&document) {
        let row = TABLE.iter().find(|row| row.0 == operation.id).unwrap();
        let address = row.1.replace("{attempt_id}", &attempt);
        for (place, schema) in places(&document, &operation) {
            let name = place.name();
            for schema in [schema, &schema["items"]] {
                let is_bounded = schema["minimum"].is_i64() && schema["maximum"].is_i64();
                if schema["type"] == "integer" && !is_bounded {
                    found.push(format!("{} {name} is a number without bounds", operation.id));
                }
            }
            let says_so = ["minLength", "enum", "pattern"]
                .iter()
                .any(|keyword| !schema[keyword].is_null());
            if schema["type"] != "string" || says_so || matches!(place, Place::Path(_)) {
                continue;
            }
            let reply = ask(&farm, &operation, &address, row.2, (place, &json!(""))).await;
            // This one answers nothing but refusals.
            if reply.status.is_client_error() && operation.id != "create_build" {
                found.push(format!(
                    "{} {name} may not be empty: {}",
                    operation.id,
                    reply.text()
                ));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
