//! Whether an answer is what the OpenAPI document says of it. Only what our document uses of JSON Schema is
//! known here, and a keyword that is not known is a mistake as well: it would be checked by nobody.

use serde_json::Value;

/// What says something about a value, and what only explains.
const KNOWN: [&str; 16] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "nullable",
    "properties",
    "required",
    "title",
    "type",
];

/// How a value differs from its schema, one line for each place; nothing when it fits.
pub(crate) fn mistakes(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        document,
        mistakes: Vec::new(),
    };
    comparison.check(schema, value, "the answer");
    comparison.mistakes
}

struct Comparison<'a> {
    document: &'a Value,
    mistakes: Vec<String>,
}

impl Comparison<'_> {
    fn differs(&mut self, at: &str, how: impl std::fmt::Display) {
        self.mistakes.push(format!("{at}: {how}"));
    }

    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let keywords = schema.as_object().unwrap();
        for keyword in keywords.keys().filter(|name| !KNOWN.contains(&name.as_str())) {
            self.differs(at, format!("the keyword {keyword} is not known to this test"));
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.trim_start_matches('#'));
            return self.check(&target.unwrap().clone(), value, at);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, value, at);
        }
        let fits = match schema["type"].as_str() {
            None => true,
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some(other) => return self.differs(at, format!("the type {other} is not known to this test")),
        };
        if !fits {
            return self.differs(at, format!("{value} is not of type {}", schema["type"]));
        }
        if schema["enum"]
            .as_array()
            .is_some_and(|words| !words.contains(value))
        {
            self.differs(at, format!("{value} is none of {}", schema["enum"]));
        }
        if let (Some(most), Some(items)) = (schema["maxItems"].as_u64(), value.as_array())
            && items.len() as u64 > most
        {
            self.differs(at, format!("{} items are more than {most}", items.len()));
        }
        if let (Some(fewest), Some(items)) = (schema["minItems"].as_u64(), value.as_array())
            && (items.len() as u64) < fewest
        {
            self.differs(at, format!("{} items are fewer than {fewest}", items.len()));
        }
        if let Some(number) = value.as_i64()
            && (schema["minimum"].as_i64().is_some_and(|least| number < least)
                || schema["maximum"].as_i64().is_some_and(|most| number > most))
        {
            self.differs(at, format!("{number} is out of bounds"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{index}]"));
        }
        self.check_properties(schema, value, at);
    }

    fn check_properties(&mut self, schema: &Value, value: &Value, at: &str) {
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.get(name.as_str().unwrap()).is_none() {
                self.differs(at, format!("{name} is missing"));
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let place = format!("{at}.{name}");
            if let Some(property) = schema["properties"].get(name) {
                self.check(property, value, &place);
            } else if schema["additionalProperties"].is_object() {
                self.check(&schema["additionalProperties"], value, &place);
            } else if schema["properties"].is_object() {
                self.differs(&place, "the document does not know of it");
            }
        }
    }
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let document = serde_json::json!({"components": {"schemas": {"Thing": {
        "type": "object", "required": ["id"],
        "properties": {"id": {"type": "integer"}, "name": {"type": "string", "nullable": true}},
    }}}});
    let things = serde_json::json!({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}});
    let found = |value| mistakes(&document, &things, &value);
    assert!(found(serde_json::json!([{"id": 1, "name": null}, {"id": 2, "name": "x"}])).is_empty());
    assert_eq!(
        found(serde_json::json!([{"name": 5}, {"id": null, "colour": "red"}])),
        [
            "the answer[0]: \"id\" is missing",
            "the answer[0].name: 5 is not of type \"string\"",
            "the answer[1].colour: the document does not know of it",
            "the answer[1].id: null is not of type \"integer\"",
        ]
    );
    let few = serde_json::json!({"type": "array", "maxItems": 1, "items": {"type": "integer"}});
    assert_eq!(
        mistakes(&document, &few, &serde_json::json!([1, 2])),
        ["the answer: 2 items are more than 1"]
    );
    let some = serde_json::json!({"type": "array", "minItems": 2,
        "items": {"type": "integer", "minimum": 1, "maximum": 3}});
    assert_eq!(
        mistakes(&document, &some, &serde_json::json!([4])),
        [
            "the answer: 1 items are fewer than 2",
            "the answer[0]: 4 is out of bounds"
        ]
    );
    assert_eq!(
        found(serde_json::json!({})),
        ["the answer: {} is not of type \"array\""]
    );
}
