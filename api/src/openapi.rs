//! The OpenAPI document: made from the handlers, then put straight where poem-openapi cannot know better.

mod answers;
mod bounds;

use std::collections::{BTreeMap, HashMap};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    OpenApi, OpenApiService,
    registry::{MetaApi, MetaOperation, MetaSchemaRef, Registry},
};
use serde_json::{Value, json};

use crate::{
    endpoint::{
        AttemptApi, BuildApi, BuildChrootApi, BuildCreateApi, EventApi, FleetApi, GeneralApi, MonitorApi,
        PackageApi, ProjectApi, ProjectChrootApi, ProjectWriteApi, RpmrepoApi,
    },
    http::middleware::aliased_method,
    state::ApiState,
    view::{BOOTSTRAPS, ISOLATIONS},
};

/// All operations.
type Operations = (
    (
        GeneralApi,
        ProjectApi,
        ProjectWriteApi,
        ProjectChrootApi,
        RpmrepoApi,
    ),
    (BuildApi, BuildCreateApi, BuildChrootApi, PackageApi, MonitorApi),
    (FleetApi, AttemptApi, EventApi),
);

/// The service with all operations.
pub(crate) fn service(state: &ApiState) -> OpenApiService<impl OpenApi, ()> {
    let own = || state.clone();
    let projects = (
        GeneralApi(own()),
        ProjectApi(own()),
        ProjectWriteApi(own()),
        ProjectChrootApi(own()),
        RpmrepoApi(own()),
    );
    let builds = (
        BuildApi(own()),
        BuildCreateApi(own()),
        BuildChrootApi(own()),
        PackageApi(own()),
        MonitorApi(own()),
    );
    let farm = (FleetApi(own()), AttemptApi(own()), EventApi(own()));
    let operations: Operations = (projects, builds, farm);
    titled(operations)
}

fn titled<T>(operations: T) -> OpenApiService<T, ()> {
    OpenApiService::new(operations, "Verdigris", env!("CARGO_PKG_VERSION")).description(
        "The API of a farm that builds RPM packages: Copr's API version 3 under `/api_3`, and what only this farm has under \
         `/api`. Every answer with an error status is a JSON object with the text `error`. Where a body is JSON, a form with \
         the same fields is taken as well. Where the document names no time zone, times are in UTC.",
    )
}

/// The operations without anything behind them: what the document needs.
struct Described;

impl OpenApi for Described {
    fn meta() -> Vec<MetaApi> {
        Operations::meta()
    }

    fn register(registry: &mut Registry) {
        Operations::register(registry);
    }

    fn add_routes(self, _table: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// The methods of the operations at an address; none where none of them could be meant.
pub(crate) fn methods_at(address: &str) -> Vec<Method> {
    let mut fitting: Vec<(usize, Method)> = Operations::meta()
        .into_iter()
        .flat_map(|api| api.paths)
        .flat_map(|path| {
            let fits = move |operation: MetaOperation| {
                let is_number = |name: &str| {
                    let parameter = operation.params.iter().find(|parameter| parameter.name == name);
                    parameter.is_some_and(|parameter| is_integer(&parameter.schema))
                };
                Some((parameters(&path.path, address, is_number)?, operation.method))
            };
            path.operations.into_iter().filter_map(fits)
        })
        .collect();
    // `/build/list` fits `/build/{build_id}` as well; the router takes the one with fewer parameters.
    let fewest = fitting.iter().map(|(count, _)| *count).min();
    fitting.retain(|(count, _)| Some(*count) == fewest);
    let mut methods: Vec<Method> = fitting.into_iter().map(|(_, method)| method).collect();
    if aliased_method(address).is_some_and(|method| methods.contains(&method)) {
        methods.push(Method::POST);
    }
    if methods.contains(&Method::GET) {
        methods.push(Method::HEAD);
    }
    methods
}

fn is_integer(schema: &MetaSchemaRef) -> bool {
    matches!(schema, MetaSchemaRef::Inline(schema) if schema.ty == "integer")
}

/// How many parameters it takes to make the path of an operation into an address; none when it cannot be, also for want of
/// a number where there has to be one.
fn parameters(path: &str, address: &str, is_number: impl Fn(&str) -> bool) -> Option<usize> {
    let mut names = address.split('/').filter(|name| !name.is_empty());
    let mut count: usize = 0;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let name = names.next()?;
        if let Some(parameter) = part.strip_prefix([':', '{']) {
            if is_number(parameter.trim_end_matches('}')) && name.parse::<i64>().is_err() {
                return None;
            }
            count = count.saturating_add(1);
        } else if part != name {
            return None;
        }
    }
    names.next().is_none().then_some(count)
}

/// The OpenAPI document as JSON, for people to read and for the copy in `api/openapi.json`. The same program
/// always gives the same text.
#[must_use]
pub fn openapi_document() -> String {
    let raw = titled(Described).spec();
    // What comes from a serializer can be read again; if ever not, the raw text is still a document.
    let Ok(mut document) = serde_json::from_str::<Value>(&raw) else {
        return raw;
    };
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (method, operation) in paths
            .values_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(|path| path.iter_mut())
        {
            straighten(method, operation);
        }
        for (path, methods) in paths.iter_mut() {
            add_alias(path, methods);
        }
    }
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        bounds::bound_fields(schemas);
    }
    if let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        schemas.values_mut().for_each(allow_null);
        schemas.values_mut().for_each(name_words);
        schemas.values_mut().for_each(refer);
    }
    bounds::straighten_bounds(&mut document);
    answers::describe_answers(&mut document);
    let mut text = serde_json::to_string_pretty(&sorted(document)).unwrap_or(raw);
    text.push('\n');
    text
}

/// Takes away the errors that an operation cannot have, adds those that it alone can have, and names media types plainly.
fn straighten(method: &str, operation: &mut Value) {
    let needs_login = operation.get("security").is_some();
    let has_body = operation.get("requestBody").is_some();
    let is_list = ["limit", "order"].into_iter().all(|wanted| {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        parameters.into_iter().flatten().any(|one| one["name"] == wanted)
    });
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        if !needs_login {
            responses.remove("401");
            responses.remove("403");
        }
        if method == "get" {
            responses.remove("409");
        }
        // What needs a login may write, and whatever writes needs room.
        if needs_login {
            describe(
                responses,
                "507",
                "There is not enough free disk space on the server.",
            );
        }
        if !has_body {
            for status in ["408", "413", "415"] {
                responses.remove(status);
            }
        }
        if is_list && method == "get" {
            describe(
                responses,
                "413",
                "The list is too long to be sent without a limit.",
            );
        }
        for response in responses.values_mut() {
            if let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) {
                let named = std::mem::take(content)
                    .into_iter()
                    .map(|(kind, schema)| (kind.split(';').next().unwrap_or_default().to_owned(), schema));
                *content = named.collect();
            }
        }
    }
    for parameter in operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        bounds::bound_parameter(parameter);
    }
    // The parts of a form with a file have types of their own.
    if let Some(form) = operation.pointer_mut("/requestBody/content/multipart~1form-data") {
        form["encoding"] = json!({
            "json": {"contentType": "application/json"},
            "pkgs": {"contentType": "application/x-rpm"},
        });
    }
}

/// Describes the POST of old clients beside the method that does the same.
fn add_alias(path: &str, methods: &mut Value) {
    let Some(method) = aliased_method(path) else {
        return;
    };
    let Some(methods) = methods.as_object_mut() else {
        return;
    };
    let Some(mut operation) = methods.get(&method.as_str().to_lowercase()).cloned() else {
        return;
    };
    if let Some(operation) = operation.as_object_mut() {
        let id = operation.get("operationId").and_then(Value::as_str);
        let id = format!("{}_by_post", id.unwrap_or_default());
        let words = format!(
            "Old clients use this method. It does the same as {method}, and the header `Warning` of its answers says so."
        );
        operation.insert("operationId".to_owned(), id.into());
        operation.insert("deprecated".to_owned(), true.into());
        operation.insert("description".to_owned(), words.into());
    }
    methods.insert("post".to_owned(), operation);
}

/// Adds an answer with an error.
fn describe(responses: &mut serde_json::Map<String, Value>, status: &str, description: &str) {
    if let Some(mut answer) = responses.get("400").cloned() {
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("description".to_owned(), description.into());
        }
        responses.insert(status.to_owned(), answer);
    }
}

/// Makes a reference with a description a reference and a description beside it: generators of clients take what is inside
/// `allOf` for a type of its own, and make one of the same fields under another name.
fn refer(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(parts) = object.get_mut("allOf").and_then(Value::as_array_mut) {
                let only_describes = |part: &Value| {
                    part.as_object()
                        .is_some_and(|part| part.keys().all(|key| key == "description"))
                };
                parts.retain(|part| !only_describes(part));
            }
            object.values_mut().for_each(refer);
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

/// Fields whose values are words out of a list.
const WORDS: [(&str, &[&str]); 3] = [
    ("bootstrap", &BOOTSTRAPS),
    ("isolation", &ISOLATIONS),
    ("storage", &["backend"]),
];

/// Names the words of such fields.
fn name_words(schema: &mut Value) {
    for (field, words) in WORDS {
        let property = schema.pointer_mut(&format!("/properties/{field}"));
        if let Some(property) = property.and_then(Value::as_object_mut)
            // Where it need not be given; what answers always have may be none of these one day.
            && property.contains_key("nullable")
        {
            // Of an enumeration null is one of the values, or it is none in spite of `nullable`.
            let mut values: Vec<Value> = words.iter().map(|word| (*word).into()).collect();
            values.push(Value::Null);
            property.insert("enum".to_owned(), values.into());
        }
    }
}

/// Says of every field that may be missing that it may be null as well: that is how answers show what is not there,
/// and how Copr's clients leave something out.
fn allow_null(schema: &mut Value) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(ToOwned::to_owned))
        .collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !required.contains(name)) {
        if let Some(property) = property.as_object_mut() {
            property.insert("nullable".to_owned(), true.into());
        }
    }
}

/// The same with the keys of every object in order, whatever the JSON library was built to do.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<String, Value> = object
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
