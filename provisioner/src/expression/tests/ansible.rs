//! The tables against the real ansible-core: each is one playbook. It runs here, without a host.

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{Kind, TABLES, lines, template_of};

#[path = "../../../tests/it/real.rs"]
mod real;

/// The results of all lines, in their order: a value as JSON, `runs`, `skipped` or `error`.
fn theirs(kind: Kind, inputs: &[&str]) -> Vec<Json> {
    let scratch = TempDir::new().expect("a directory");
    let results = scratch.path().join("results.json");
    let variables = scratch.path().join("variables.json");
    // As it is written, since the order of mappings is to be seen.
    std::fs::write(&variables, include_str!("../cases/variables.json")).expect("a file");
    let templates: Vec<Json> = inputs
        .iter()
        .map(|input| match kind {
            Kind::Condition => serde_json::from_str(input).expect("JSON"),
            _ => json!(template_of(kind, input)),
        })
        .collect();
    // What is a variable is evaluated when it is used, so that one that is wrong fails alone, and all can be one task. A
    // condition that is more than an expression has to stand in a task itself.
    let stands_alone =
        |case: &Json| kind == Kind::Condition && case.as_str().is_none_or(|text| text.contains("{{"));
    let (alone, together): (Vec<usize>, Vec<usize>) =
        (0..templates.len()).partition(|at| stands_alone(&templates[*at]));
    let mut each = json!({ "loop": together, "register": "r", "ignore_errors": true, "debug": { "msg": "{{ cases[item] }}" } });
    if kind == Kind::Condition {
        each["debug"] = json!({ "msg": "" });
        each["when"] = json!("{{ cases[item] }}");
    }
    let mut tasks = vec![each];
    for at in &alone {
        tasks.push(json!({
            "debug": { "msg": "" },
            "when": templates[*at],
            "register": format!("r{at}"),
            "ignore_errors": true,
        }));
    }
    // Nothing but what is looked at: a result has the condition's text in it, which would be evaluated once more.
    let all_of = |member: &str, otherwise: &str| {
        let rest: Vec<String> = alone
            .iter()
            .map(|at| format!("r{at}.{member} | default({otherwise})"))
            .collect();
        let looped = format!("r.results | map(attribute='{member}', default={otherwise}) | list");
        format!("'{member}': ({looped}) + [{}]", rest.join(", "))
    };
    let members = [
        all_of("failed", "false"),
        all_of("skipped", "false"),
        all_of("msg", "''"),
    ];
    let all = format!("{{{{ {{{}}} | to_json }}}}", members.join(", "));
    tasks.push(json!({ "copy": { "dest": results, "content": all } }));
    let playbook = scratch.path().join("cases.yml");
    let play = json!([{ "hosts": "localhost", "connection": "local", "gather_facts": false, "vars_files": [variables],
        "vars": { "cases": templates }, "tasks": tasks }]);
    std::fs::write(&playbook, play.to_string()).expect("a file");
    let output = real::ansible_playbook(scratch.path(), &["-i", "localhost,"], &playbook);
    let text = String::from_utf8_lossy(&output.stdout);
    let written = std::fs::read_to_string(&results).unwrap_or_else(|error| panic!("{error}: {text}"));
    let written: Json = serde_json::from_str(&written).expect("results");
    let word = |at: usize| match (kind, &written["failed"][at], &written["skipped"][at]) {
        (_, Json::Bool(true), _) => json!("error"),
        (Kind::Condition, _, Json::Bool(true)) => json!("skipped"),
        (Kind::Condition, ..) => json!("runs"),
        _ => written["msg"][at].clone(),
    };
    let mut results = vec![Json::Null; inputs.len()];
    for (at, input) in together.into_iter().chain(alone).enumerate() {
        results[input] = word(at);
    }
    results
}

#[test]
fn the_real_ansible_comes_to_the_results_in_the_tables() {
    let mut differences = Vec::new();
    for (kind, table) in TABLES {
        let (inputs, expected): (Vec<&str>, Vec<&str>) = lines(table).unzip();
        let got = theirs(kind, &inputs);
        assert_eq!(got.len(), inputs.len());
        for ((input, expected), got) in inputs.iter().zip(expected).zip(got) {
            let wanted = match expected {
                "unsupported" => continue,
                word @ ("error" | "runs" | "skipped") => json!(word),
                value => serde_json::from_str(value).expect("JSON"),
            };
            if wanted != got {
                differences.push(format!("{input} => {expected}, but the real one: {got}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
