//! The table of bounds that the values of the chart are held to as well.

use std::{collections::BTreeMap, ffi::OsString};

use serde::Deserialize;

use super::Settings;

/// One setting of the table that the chart's schema is held to as well (`charts/tests/test_bounds.py`).
#[derive(Deserialize)]
struct Row {
    taken: Vec<String>,
    refused: Vec<String>,
    #[serde(default)]
    unseen: Vec<String>,
}

#[test]
fn settings_take_and_refuse_what_the_table_says_that_the_chart_is_held_to() {
    let table: BTreeMap<String, Row> =
        serde_json::from_str(include_str!("../../testdata/settings-bounds.json")).unwrap();
    let mut wrong = Vec::new();
    for (setting, row) in &table {
        let variable = format!("VERDIGRIS_{}", setting.replace('.', "__").to_uppercase());
        let is_taken = |value: &String| {
            Settings::load_with(None, [(OsString::from(&variable), OsString::from(value))]).is_ok()
        };
        wrong.extend(
            row.taken
                .iter()
                .filter(|value| !is_taken(value))
                .map(|value| format!("{variable}={value} is refused")),
        );
        let refused = row.refused.iter().chain(&row.unseen);
        wrong.extend(
            refused
                .filter(|value| is_taken(value))
                .map(|value| format!("{variable}={value} is taken")),
        );
    }
    assert!(table.len() > 10 && wrong.is_empty(), "{wrong:#?}");
}
