//! Tests that a page names as those which hold a behaviour: one that was renamed holds nothing for the reader.

use std::collections::BTreeSet;

use super::Finding;

/// The page whose tables end with the names of tests.
const PAGE: &str = "docs/discovery.md";

/// The names of the functions of a file of Rust or Python.
pub(super) fn functions<'a>(file: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let word = match file.rsplit_once('.') {
        Some((_, "rs")) => Some("fn "),
        Some((_, "py")) => Some("def "),
        _ => None,
    };
    let lines = word.map(|word| (word, text.lines())).into_iter();
    lines.flat_map(|(word, lines)| {
        lines.filter_map(move |line| {
            let name = line.split_once(word)?.1;
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            name.get(..end)
        })
    })
}

/// Checks one file against the functions of all.
pub(super) fn check(file: &str, text: &str, functions: &BTreeSet<String>) -> Vec<Finding> {
    if file != PAGE {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for name in named(line).filter(|name| !functions.contains(*name)) {
            let advice = format!("no test has the name `{name}`: name the one that holds the behaviour now");
            findings.push(Finding::new(file, index + 1, advice));
        }
    }
    findings
}

/// The tests in the last column of a table's row.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let row = line
        .trim_end()
        .strip_prefix('|')
        .and_then(|row| row.strip_suffix('|'));
    let last = row
        .and_then(|row| row.rsplit_once('|'))
        .map_or("", |(_, last)| last);
    let quoted = last.split('`').skip(1).step_by(2);
    // A name of several words; a module may stand before it.
    let names = quoted.map(|text| text.rsplit_once("::").map_or(text, |(_, name)| name));
    names.filter(|name| name.contains('_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::{check, functions, named};

    #[test]
    fn a_test_that_is_not_there_is_found_with_its_line() {
        let known = functions(
            "a/b.rs",
            "#[test]\nfn it_works() {\n    async fn so_does_this(farm: Farm) {\nlet x = 1;\n",
        )
        .chain(functions("c.py", "    def test_that(self):\n"))
        .chain(functions("d.md", "fn nobody() {"))
        .map(str::to_owned)
        .collect();
        let page = "| a | b | `not_looked_at` | `it_works`, `m::so_does_this`, `test_that` |\n| a | b | c | `gone_by_now` |\n";
        let found = check("docs/discovery.md", page, &known);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "docs/discovery.md:2: no test has the name `gone_by_now`: name the one that holds the behaviour now"
        );
        assert!(check("docs/other.md", page, &known).is_empty());
    }

    #[test]
    fn only_names_in_the_last_column_of_a_row_are_tests() {
        let of = |line| named(line).collect::<Vec<_>>();
        assert_eq!(
            of("| `a_b` | x | `c_d`, [f](../findings/e_f.sh), `plain` |"),
            ["c_d"]
        );
        assert_eq!(of("no row `a_b`"), [""; 0]);
    }
}
