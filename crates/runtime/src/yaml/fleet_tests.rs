//! The fleet file: each mistake, and the whole of what an operator is told of it.

use model::{Market, fleet::FleetSpec};
use serde::Deserialize;

use super::{parse, parse_and_check};

/// Each a fleet file that is sound, and the mistakes. Whether an editor sees them is tested with the schema.
const MISTAKES: [&str; 3] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/fleet-mistakes.yaml"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/fleet-mistakes-hooks.yaml"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/fleet-mistakes-limits.yaml"),
];

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

fn tables() -> [Table; 3] {
    MISTAKES.map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        parse(&text, path).unwrap()
    })
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
    let mut wrong = Vec::new();
    for (Table { file, mistakes }, least) in tables().into_iter().zip([40, 10, 10]) {
        assert_eq!(said(&file), "");
        assert!(mistakes.len() >= least, "{}", mistakes.len());
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
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What the language itself has against a value is found again in all that it is part of.
#[test]
fn a_mistake_is_told_once_and_not_again_for_each_map_around_it() {
    let [Table { file, .. }, ..] = tables();
    let number = "expected a number that is not too large, or a text in quotation marks";
    let binary = "what follows the tag `!!binary` is no text in base64";
    for (old, new, expected) in [
        (
            "motd: hello",
            "motd: .nan",
            &[(27, 18, "provision.builder.vars.motd", number)][..],
        ),
        (
            "motd: hello",
            "motd: [{a: -.inf}, 1e400]",
            &[
                (27, 23, "provision.builder.vars.motd[0].a", number),
                (27, 31, "provision.builder.vars.motd[1]", number),
            ],
        ),
        (
            "zones: [eu-central-1a]",
            "max_price: 1e400",
            &[(37, 54, "pools.x86.offerings[0].max_price", number)],
        ),
        (
            "min: 0, ",
            "<<: 3, min: 0, ",
            &[(34, 16, "pools.x86.size", "`<<` takes a map, or a list of maps")],
        ),
        (
            "motd: hello",
            "motd: !!binary x",
            &[(27, 27, "provision.builder.vars.motd", binary)],
        ),
        (
            "idle: 2",
            "idle: !!binary x",
            &[(34, 44, "pools.x86.size.idle", binary)],
        ),
    ] {
        let text = file.replace(old, new);
        assert_ne!(text, file, "{old}");
        let said = said(&text);
        let found: Vec<&str> = said.lines().filter(|line| line.starts_with("f:")).collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|(line, column, key, words)| format!("f:{line}:{column}: {key}: {words}"))
            .collect();
        assert_eq!(found, expected, "{new}");
        // Nothing behind it is hidden, unless the text cannot be read on.
        let text = text.replace("idle_for: 10m", "idle_for: soon");
        let count = usize::from(!new.contains("<<") && !new.contains("!!"));
        let found = super::fleet_tests::said(&text);
        assert_eq!(
            found.matches("pools.x86.shrink.idle_for: `soon`").count(),
            count,
            "{found}"
        );
    }
}

/// What the guide says of a pool that is like another.
#[test]
fn a_pool_of_the_guide_has_the_keys_of_another_but_for_those_that_it_gives_itself() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fleet.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, section) = guide.split_once("\n## A pool that is like another\n").unwrap();
    let block = section.split_once("```yaml\n").unwrap().1;
    let (pools, _) = block.split_once("```").unwrap();
    let [Table { file, .. }, ..] = tables();
    let (before, _) = file.split_once("pools:\n").unwrap();
    let text = format!("{before}{pools}");
    let read = parse_and_check(&text, "f", FleetSpec::contradictions).unwrap();
    let pool = |name: &str| read.pools[&name.parse().unwrap()].clone();
    let (first, mut second) = (pool("x86"), pool("x86-on-demand"));
    assert_eq!((second.priority, second.size.max, second.size.min), (-1, 5, 0));
    assert_eq!(second.offerings[0].market, Market::OnDemand);
    second.priority = first.priority;
    second.size = first.size.clone();
    second.offerings.clone_from(&first.offerings);
    assert_eq!(second, first);
    // A mistake in what it has from the other is told at the other, for each of both.
    let wrong = said(&text.replace(
        "provision: builder\n    size: {min: 2",
        "provision: base\n    size: {min: 2",
    ));
    let told = |pool: &str| format!("pools.{pool}.provision: there is no provision `base`");
    assert!(
        wrong.contains(&told("x86")) && wrong.contains(&told("x86-on-demand")),
        "{wrong}"
    );
}
