use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::schema;
use crate::{builder::Deadlines, fleet::FleetSpec, quantity::Span};

/// The guide, which has a line for each key.
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fleet-file.md");

/// A file in which each key stands.
fn whole() -> Value {
    json!({
        "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
        "controller": {"tick": {"min": "1s", "max": "2s"}, "lease": {"ttl": "9s", "renew": "3s"}, "reap_per_hour": 5},
        "clouds": {"c": {
            "kind": "ec2", "region": "r", "endpoint": "http://x/", "profile": "aws",
            "credentials": {"source": "file", "path": "p"}, "api_share": 0.5,
            "limits": {
                "instances": 1, "calls": {"launch": 1, "change": 1, "read": 1},
                "money": {"per_day": 9, "soft_from": 1, "soft": "nothing", "hard": "nothing"},
            },
            "prices": {"t": {"on-demand": 0.1, "spot": 0.05}},
            "network": {"subnet": "s", "subnets": {"z": "s"}, "security_groups": ["g"]},
        }},
        "images": {"i": {
            "cloud": "c", "id": "ami-1", "select": {"owner": "self", "name": "b-*", "min_age": "1h"},
        }},
        "provision": {"p": {
            "connect": {"user": "u", "port": 1}, "playbook": "b", "check": "c",
            "runner": "ansible", "ansible": {"command": "a"},
            "timeouts": {"launch": "1s", "pending": "1s", "boot": "1s", "provision": "1s", "check": "1s"},
            "vars": {},
        }},
        "pools": {"n": {
            "labels": ["arch:x86_64"], "priority": 1, "paused": true, "image": "i", "provision": "p",
            "host_key": "console", "size": {"min": 1, "max": 1, "idle": "1%", "idle_cap": 1}, "launch": {"parallel": 1, "attempts": 1, "rate": "1/s"},
            "offerings": [{"types": ["t"], "zones": ["z"], "market": "spot", "max_price": 0.1, "max": 1, "after": "1s"}],
            "disk": {"size": "8g", "type": "gp3"},
            "hosts": [{"name": "h", "address": "a", "port": 1, "host_key": "ssh-ed25519 AAAA"}],
            "schedule": [{"days": "mon", "hours": "07:00-19:00", "zone": "UTC", "idle": 1, "min": 1}],
            "shrink": {"idle_for": "1s"},
            "reuse": {"scope": "sandbox", "idle_for": "1s", "max_uses": 1, "max_age": "1s"},
            "drift": {"budget": "10%", "urgent_on": ["image"], "when": {"days": "mon", "hours": "01:00-05:00", "zone": "UTC"}},
            "hold": {"default": "1s", "max": "1s", "limit": 1},
        }},
        "fairness": {"caps": {"owner": 1}},
        "hooks": {
            "before_spawn": [hook()], "after_spawn": [hook()], "after_ready": [hook()], "before_terminate": [hook()],
            "after_terminate": [hook()],
        },
    })
}

fn hook() -> Value {
    json!({
        "cmd": ["/a"], "timeout": "1s", "on_failure": "retry", "attempts": 1, "skip_if": "unreachable", "pools": ["n"],
    })
}

/// A key of the file, as the schema has it.
struct Key {
    /// As the guide names it: `pools.NAME.offerings[].types`.
    name: String,
    /// To the map in [`whole`] that it stands in.
    map: String,
    key: String,
    of: Value,
    is_needed: bool,
}

impl Key {
    fn pointer(&self) -> String {
        format!("{}/{}", self.map, self.key)
    }

    /// Whether it is a map of keys itself: these have lines of their own.
    fn is_map_of_keys(&self, root: &Value) -> bool {
        let below = resolved(root, &self.of);
        let by_name = &below["additionalProperties"];
        below["type"] == "object" && *by_name != json!(true) && by_name["type"] != "string"
    }

    /// What may be its value, in a word.
    fn kind(&self, root: &Value) -> String {
        let of = resolved(root, &self.of);
        let word = |choice: &Value| choice["const"].as_str().map(|word| format!("`{word}`"));
        if let Some(choices) = of["oneOf"].as_array() {
            return choices.iter().filter_map(word).collect::<Vec<_>>().join(", ");
        }
        if let Some(only) = of.get("const") {
            return format!("`{only}`");
        }
        let names =
            |it: &str| of["type"] == it || of["type"].as_array().is_some_and(|all| all.contains(&json!(it)));
        let is_duration = of["pattern"].as_str().is_some_and(|it| it.contains("ms|s|m|h|d"));
        let is_size = of["pattern"].as_str().is_some_and(|it| it.contains("GiB"));
        let most = of["maximum"]
            .as_u64()
            .map_or_else(|| " or more".to_owned(), |most| format!(" to {most}"));
        match of["minimum"].as_u64() {
            _ if is_duration => "duration".to_owned(),
            _ if is_size => "size".to_owned(),
            _ if names("string") && names("number") => "price".to_owned(),
            _ if names("string") && names("integer") => "number or percentage".to_owned(),
            Some(least) => format!("{least}{most}"),
            None if names("boolean") => "`true`, `false`".to_owned(),
            None if names("integer") => "whole number".to_owned(),
            None if names("number") => format!("number up to {}", of["maximum"]),
            None if names("array") && of["items"].get("pattern").is_some() => "list of texts".to_owned(),
            None if names("array") => "list".to_owned(),
            None if names("object") => "map".to_owned(),
            None => "text".to_owned(),
        }
    }

    /// What it is when it is left out.
    fn default(&self) -> String {
        match &self.of["default"] {
            _ if self.is_needed => "needed".to_owned(),
            Value::String(text) => format!("`{text}`"),
            Value::Null => "none".to_owned(),
            Value::Array(list) if list.is_empty() => "none".to_owned(),
            other => format!("`{other}`"),
        }
    }
}

/// The schema that another refers to, or that it is beside `null`.
fn resolved(root: &Value, of: &Value) -> Value {
    if let Some(reference) = of["$ref"].as_str() {
        return resolved(root, root.pointer(reference.trim_start_matches('#')).unwrap());
    }
    match of["anyOf"].as_array() {
        Some(choices) => resolved(root, &choices[0]),
        None => of.clone(),
    }
}

/// All keys below a map.
fn keys(root: &Value, of: &Value, map: &str, name: &str) -> Vec<Key> {
    let of = resolved(root, of);
    let needed = of["required"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for (key, below) in of["properties"].as_object().into_iter().flatten() {
        let name = if name.is_empty() {
            key.clone()
        } else {
            format!("{name}.{key}")
        };
        found.push(Key {
            name: name.clone(),
            map: map.to_owned(),
            key: key.clone(),
            of: below.clone(),
            is_needed: needed.contains(&json!(key)),
        });
        let value = resolved(root, below);
        let (map, pointer) = (format!("{map}/{key}"), format!("{map}/{key}"));
        let named = value["patternProperties"]
            .as_object()
            .and_then(|all| all.values().next());
        let named = named.or_else(|| value.get("additionalProperties").filter(|it| it.is_object()));
        if let Some(named) = named {
            let whole = whole();
            let first = whole
                .pointer(&pointer)
                .unwrap()
                .as_object()
                .unwrap()
                .keys()
                .next()
                .unwrap()
                .clone();
            found.extend(keys(
                root,
                named,
                &format!("{map}/{first}"),
                &format!("{name}.NAME"),
            ));
        } else if let Some(item) = value.get("items") {
            found.extend(keys(root, item, &format!("{map}/0"), &format!("{name}[]")));
        } else {
            found.extend(keys(root, below, &map, &name));
        }
    }
    found
}

fn all() -> (Value, Vec<Key>) {
    let root = schema();
    let found = keys(&root, &root, "", "");
    assert!(found.len() > 40, "{}", found.len());
    (root, found)
}

/// The names in backquotes of what serde says may stand somewhere.
fn expected(said: &str) -> BTreeSet<String> {
    let (_, list) = said.split_once("expected ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_of_the_types_and_no_other_in_each_map() {
    let (_, all) = all();
    let mut maps: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for key in &all {
        maps.entry(&key.map).or_default().insert(key.key.clone());
    }
    assert!(serde_json::from_value::<FleetSpec>(whole()).is_ok());
    assert_eq!(maps.len(), 37, "{:?}", maps.keys());
    for (map, known) in maps {
        let mut file = whole();
        file.pointer_mut(map).unwrap()["colour"] = "red".into();
        let said = serde_json::from_value::<FleetSpec>(file).unwrap_err().to_string();
        assert!(said.contains("unknown field `colour`"), "{map}: {said}");
        assert_eq!(expected(&said), known, "{map}");
    }
}

#[test]
fn the_schema_needs_the_keys_that_the_types_need_and_no_other() {
    for key in all().1 {
        let mut file = whole();
        file.pointer_mut(&key.map)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&key.key)
            .unwrap();
        let read = serde_json::from_value::<FleetSpec>(file);
        let is_missed = read.is_err_and(|error| {
            error
                .to_string()
                .contains(&format!("missing field `{}`", key.key))
        });
        assert_eq!(is_missed, key.is_needed, "{}", key.name);
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_types() {
    let (root, all) = all();
    let limits = Deadlines::default();
    for key in all
        .iter()
        .filter(|key| !key.is_needed && !key.is_map_of_keys(&root))
    {
        let mut file = whole();
        file.pointer_mut(&key.map)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&key.key)
            .unwrap();
        let read: FleetSpec = serde_json::from_value(file).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        let stage = key.name.strip_prefix("provision.NAME.timeouts.");
        let expected = match stage {
            None => written.pointer(&key.pointer()).cloned().unwrap(),
            Some(stage) => {
                let limit = match stage {
                    "launch" => limits.launch,
                    "pending" => limits.pending,
                    "boot" => limits.boot,
                    "provision" => limits.provision,
                    _ => limits.check,
                };
                Span::seconds(limit.as_secs()).to_string().into()
            }
        };
        assert_eq!(key.of["default"], expected, "{}", key.name);
    }
}

#[test]
fn each_key_is_described_and_no_map_takes_another() {
    let (root, all) = all();
    for key in &all {
        let words = key.of["description"].as_str().unwrap_or_default();
        assert!(
            words.ends_with(['.', '`']) && !words.contains('['),
            "{}: {words:?}",
            key.name
        );
        let of = resolved(&root, &key.of);
        let has_keys = of.get("properties").is_some();
        assert_eq!(
            has_keys,
            of["additionalProperties"] == json!(false) && has_keys,
            "{}",
            key.name
        );
    }
    assert_eq!(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

/// The name of a key in the guide, which tells those of all hooks once: `None` where it has told it.
fn shown(name: &str) -> Option<String> {
    let of_hook = name
        .strip_prefix("hooks.")
        .and_then(|rest| rest.split_once("[]."));
    match of_hook {
        Some(("before_terminate", key)) => Some(format!("hooks.HOOK[].{key}")),
        Some(_) => None,
        None => Some(name.to_owned()),
    }
}

#[test]
fn the_guide_has_a_line_for_each_key_with_its_value_and_its_default() {
    let (root, all) = all();
    let mut table = "| key | value | default | what it says |\n|---|---|---|---|\n".to_owned();
    for key in all.iter().filter(|key| !key.is_map_of_keys(&root)) {
        let Some(name) = shown(&key.name) else { continue };
        let words = key.of["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " ");
        let (kind, default) = (key.kind(&root), key.default());
        let words = words.trim_end_matches('.');
        table.push_str(&format!("| `{name}` | {kind} | {default} | {words} |\n"));
    }
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    assert!(
        guide.contains(&table),
        "docs/fleet-file.md lacks this table:\n{table}"
    );
}
