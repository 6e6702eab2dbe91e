//! The fleet file: each mistake, and the whole of what an operator is told of it.

use model::fleet::FleetSpec;
use serde::Deserialize;

use super::{parse, parse_and_check};

/// A fleet file that is sound, and the mistakes. Whether an editor sees them is tested with the schema.
const MISTAKES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/fleet-mistakes.yaml");

#[derive(Deserialize)]
struct Table {
    file: String,
    mistakes: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    r#for: String,
    put: String,
    said: Vec<(String, String, String)>,
}

fn table() -> Table {
    let text = std::fs::read_to_string(MISTAKES).unwrap();
    parse(&text, MISTAKES).unwrap()
}

fn said(text: &str) -> String {
    parse_and_check(text, "f", FleetSpec::contradictions)
        .map_or_else(|error| error.to_string(), |_| String::new())
}

/// What is told of a mistake: place and words, the line, and a mark below what stands there.
fn told(text: &str, (place, there, words): &(String, String, String)) -> String {
    let (row, column) = place.split_once(':').unwrap();
    let (row, column): (usize, usize) = (row.parse().unwrap(), column.parse().unwrap());
    let line = text.lines().nth(row - 1).unwrap();
    let at = line.chars().skip(column - 1).collect::<String>();
    assert!(at.starts_with(there), "{place} is {at:?} and not {there:?}");
    let line = line.replace('\t', " ");
    let (blank, margin) = (" ".repeat(column - 1), " ".repeat(row.to_string().len()));
    format!("\nf:{place}: {words}\n  {row} | {line}\n  {margin} | {blank}^")
}

#[test]
fn each_mistake_of_a_fleet_file_is_told_in_these_words() {
    let Table { file, mistakes } = table();
    assert_eq!(said(&file), "");
    assert!(mistakes.len() >= 40, "{}", mistakes.len());
    let mut wrong = Vec::new();
    for mistake in &mistakes {
        let (old, new) = (&mistake.r#for, &mistake.put);
        assert_eq!(file.matches(old).count(), 1, "{old}");
        let text = file.replace(old, new);
        let expected: String = mistake.said.iter().map(|it| told(&text, it)).collect();
        let found = said(&text);
        if found != format!("f has mistakes:{expected}") {
            wrong.push(format!("{old:?} => {new:?}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
