//! Bounds of parameters and fields that the handlers' types do not tell: what names look like, how long lists are, which
//! numbers builds have. The same is checked where they are read; a test asks the server on both sides of each bound.

use model::{AttemptId, name::Grammar};
use serde_json::{Value, json};

use crate::{
    endpoint::{KINDS, SHORTEST_QUERY},
    http::parameters::{LARGEST, id_pattern},
};

/// The grammar of the names that a parameter or a field holds.
fn grammar(name: &str) -> Option<Grammar> {
    match name {
        "ownername" => Some(Grammar::Owner),
        "projectname" => Some(Grammar::Project),
        "project_dirname" | "dirname" => Some(Grammar::Directory),
        "packagename" => Some(Grammar::Package),
        "chrootname" => Some(Grammar::Chroot),
        _ => None,
    }
}

/// Where an empty text is taken for none, unless it has to be there: it filters nothing, and names the project's own directory.
const MAY_BE_EMPTY: [&str; 2] = ["project_dirname", "packagename"];

/// Adds what is known of a parameter.
pub(super) fn bound_parameter(parameter: &mut Value) {
    let name = parameter.get("name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let is_required = parameter.get("required").and_then(Value::as_bool) == Some(true);
    let Some(schema) = parameter.get_mut("schema") else {
        return;
    };
    match name.as_str() {
        "build_id" => number(schema),
        "attempt_id" => set(schema, "pattern", id_pattern(AttemptId::PREFIX)),
        "kind" => set(schema, "enum", json!(KINDS)),
        "query" => set(schema, "minLength", SHORTEST_QUERY),
        "name_release" => set(schema, "minLength", 1),
        _ => {
            if let Some(grammar) = grammar(&name) {
                named(
                    schema,
                    grammar,
                    is_required || !MAY_BE_EMPTY.contains(&name.as_str()),
                );
            }
        }
    }
}

/// Adds what is known of the fields of bodies.
pub(super) fn bound_fields(schemas: &mut Value) {
    for name in ["ProjectAdd", "ProjectEdit"] {
        if let Some(chroots) = property(schemas, name, "chroots") {
            set(chroots, "minItems", 1);
            if let Some(items) = chroots.get_mut("items") {
                named(items, Grammar::Chroot, true);
            }
        }
    }
    if let Some(name) = property(schemas, "ProjectAdd", "name") {
        named(name, Grammar::Project, true);
    }
    // The settings of a project that is changed have it as well, where it need not be given.
    let required = schemas.pointer_mut("/ProjectAdd/required");
    if let Some(required) = required.and_then(Value::as_array_mut) {
        required.push("chroots".into());
    }
    for field in ["ownername", "projectname", "project_dirname"] {
        if let (Some(grammar), Some(property)) = (grammar(field), property(schemas, "BuildArguments", field))
        {
            named(property, grammar, !MAY_BE_EMPTY.contains(&field));
        }
    }
    let numbers = property(schemas, "BuildIds", "builds");
    if let Some(items) = numbers.and_then(|numbers| numbers.get_mut("items")) {
        number(items);
    }
}

/// The schema of a field of a body.
fn property<'a>(schemas: &'a mut Value, name: &str, field: &str) -> Option<&'a mut Value> {
    schemas.pointer_mut(&format!("/{name}/properties/{field}"))
}

/// A name of this grammar, or also an empty text.
fn named(schema: &mut Value, grammar: Grammar, is_filled: bool) {
    set(schema, "maxLength", grammar.longest());
    if is_filled {
        set(schema, "pattern", grammar.pattern());
        set(schema, "minLength", 1);
    } else {
        set(schema, "pattern", format!("^$|{}", grammar.pattern()));
    }
}

/// The number of a build.
fn number(schema: &mut Value) {
    set(schema, "minimum", 1);
    set(schema, "maximum", LARGEST);
}

fn set(schema: &mut Value, keyword: &str, value: impl Into<Value>) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(keyword.to_owned(), value.into());
    }
}

/// Writes whole numbers as such: the framework has all bounds as floating-point numbers.
pub(super) fn straighten_bounds(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                if ["minimum", "maximum"].contains(&key.as_str())
                    && let Some(bound) = value.as_f64()
                    && let Ok(bound) = format!("{bound:.0}").parse::<i64>()
                {
                    *value = bound.into();
                } else {
                    straighten_bounds(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(straighten_bounds),
        _ => {}
    }
}
