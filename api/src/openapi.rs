//! The OpenAPI document: made from the handlers, then put straight where poem-openapi cannot know better.

use std::collections::{BTreeMap, HashMap};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    OpenApi, OpenApiService,
    registry::{MetaApi, MetaOperation, MetaSchemaRef, Registry},
};
use serde_json::Value;

use crate::{
    endpoint::{
        AttemptApi, BuildApi, BuildChrootApi, BuildCreateApi, EventApi, FleetApi, GeneralApi, MonitorApi,
        PackageApi, ProjectApi, ProjectChrootApi, ProjectWriteApi, RpmrepoApi,
    },
    state::ApiState,
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
    OpenApiService::new(operations, "Verdigris", env!("CARGO_PKG_VERSION"))
        .description("Copr's API version 3, and what the farm adds to it. Every error has a string `error`.")
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
    fitting.into_iter().map(|(_, method)| method).collect()
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
        for operation in paths
            .values_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(|path| path.values_mut())
        {
            straighten(operation);
        }
    }
    if let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        schemas.values_mut().for_each(allow_null);
    }
    let mut text = serde_json::to_string_pretty(&sorted(document)).unwrap_or(raw);
    text.push('\n');
    text
}

/// Takes away the errors that an operation cannot have, and names media types plainly.
fn straighten(operation: &mut Value) {
    let needs_login = operation.get("security").is_some();
    let has_body = operation.get("requestBody").is_some();
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        if !needs_login {
            responses.remove("401");
            responses.remove("403");
        }
        // What needs a login may write, and whatever writes needs room.
        if needs_login && let Some(mut full) = responses.get("413").cloned() {
            if let Some(full) = full.as_object_mut() {
                full.insert(
                    "description".to_owned(),
                    "There is not enough free disk space.".into(),
                );
            }
            responses.insert("507".to_owned(), full);
        }
        if !has_body {
            for status in ["408", "413", "415"] {
                responses.remove(status);
            }
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
}

/// Says of every field that may be missing that it may be null as well: that is how answers show what is not
/// there, and how Copr's clients say nothing.
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
