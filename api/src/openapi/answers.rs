//! What a good answer is, in words: those of the schema that it follows.

use serde_json::Value;

/// Describes every answer that has no words of its own.
pub(super) fn describe_answers(document: &mut Value) {
    let schemas = document
        .pointer("/components/schemas")
        .cloned()
        .unwrap_or_default();
    let operations = document
        .get_mut("paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.values_mut());
    for operation in operations {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for response in responses.into_iter().flat_map(|all| all.values_mut()) {
            if response["description"] == "" {
                response["description"] = words(response, &schemas).into();
            }
        }
    }
}

fn words(response: &Value, schemas: &Value) -> String {
    let content = response.get("content").and_then(Value::as_object);
    let Some((kind, media)) = content.and_then(|content| content.iter().next()) else {
        return "Done. The answer has no body.".to_owned();
    };
    let schema = &media["schema"];
    if let Some(told) = told(schema, schemas) {
        return told;
    }
    match told(&schema["items"], schemas) {
        Some(told) if kind == "text/event-stream" => format!("A stream of events. The data of each: {told}"),
        Some(told) => format!("A list. Each item: {told}"),
        None => format!("The content, as {kind}."),
    }
}

/// The description of the schema that a reference leads to.
fn told(schema: &Value, schemas: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    let told = schemas.get(name)?.get("description")?.as_str()?;
    Some(told.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::describe_answers;

    #[test]
    fn an_answer_is_described_by_its_schema_and_one_that_has_words_keeps_them() {
        let of =
            |kind: &str, schema: Value| json!({"description": "", "content": {kind: {"schema": schema}}});
        let thing = json!({"$ref": "#/components/schemas/Thing"});
        let list = json!({"type": "array", "items": thing});
        for (response, expected) in [
            (of("application/json", thing.clone()), "A thing."),
            (
                of("application/json", list.clone()),
                "A list. Each item: A thing.",
            ),
            (
                of("text/event-stream", list),
                "A stream of events. The data of each: A thing.",
            ),
            (
                of("text/plain", json!({"type": "string"})),
                "The content, as text/plain.",
            ),
            (json!({"description": ""}), "Done. The answer has no body."),
            (json!({"description": "It is full."}), "It is full."),
        ] {
            let mut document = json!({
                "paths": {"/x": {"get": {"responses": {"200": response}}}},
                "components": {"schemas": {"Thing": {"description": "A thing."}}},
            });
            describe_answers(&mut document);
            let found = &document["paths"]["/x"]["get"]["responses"]["200"]["description"];
            assert_eq!(found, expected);
        }
    }
}
