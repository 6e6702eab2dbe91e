//! The chart's environment, as its golden files have it, is understood by the program.

use std::{collections::BTreeMap, path::Path, process::Command};

/// The variables of a rendered Deployment. What comes from a Secret or from the pod is given a value of digits: nothing may
/// take it for a number.
fn environment(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().map(str::trim).peekable();
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        let Some(name) = line
            .strip_prefix("- name: ")
            .filter(|name| name.starts_with("VERDIGRIS_"))
        else {
            continue;
        };
        let value = lines.peek().and_then(|next| next.strip_prefix("value: "));
        let secret = match name {
            "VERDIGRIS_DATABASE__URL" => "postgres://1234:1234@1234/1234",
            _ => "1234",
        };
        let value = value.map_or(secret, |value| value.trim_matches('"'));
        found.insert(name.to_owned(), value.to_owned());
    }
    found
}

#[test]
fn every_variable_of_the_chart_is_a_setting_of_the_program() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tests/golden");
    for values in ["minimal", "external", "large"] {
        for role in ["api", "controller", "worker", "migrate"] {
            let variables = environment(&golden.join(values).join(format!("{role}.yaml")));
            assert!(
                variables.contains_key("VERDIGRIS_DATABASE__URL"),
                "{values} {role}"
            );
            let shown = Command::new(env!("CARGO_BIN_EXE_verdigris"))
                .args(["config", "show"])
                .env_clear()
                .envs(&variables)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&shown.stderr);
            assert!(shown.status.success(), "{values} {role}: {errors}");
            if role != "migrate" {
                let port = if role == "api" {
                    "0.0.0.0:5080"
                } else {
                    "0.0.0.0:5081"
                };
                let text = String::from_utf8_lossy(&shown.stdout);
                assert!(text.contains(port), "{values} {role}: {text}");
            }
        }
    }
}
