use super::*;

const NOTHING: [usize; 0] = [];

fn lines_of(file: &str, text: &str) -> Vec<usize> {
    let known = [
        "README.md",
        "docs/fleet.md",
        "docs/devcloud.md",
        "xtask/src/main.rs",
    ]
    .map(str::to_owned);
    let findings = check(file, text, &known);
    findings.iter().map(|finding| finding.line).collect()
}

#[test]
fn a_link_to_a_missing_file_is_found() {
    assert_eq!(
        lines_of("README.md", "[a](docs/fleet.md)\n[b](docs/copr.md)\n"),
        [2]
    );
    assert_eq!(
        lines_of("README.md", "| x | [a](docs/x.md) and ![b](y.svg) |\n"),
        [1, 1]
    );
    assert_eq!(lines_of("README.md", "[a]: docs/x.md\n[^1]: a note\n"), [1]);
    assert_eq!(lines_of("README.md", "[`x`](docs/x.md \"title\")\n"), [1]);
}

#[test]
fn a_link_starts_where_its_file_is() {
    assert_eq!(
        lines_of("docs/devcloud.md", "[a](fleet.md) [b](../README.md)\n"),
        NOTHING
    );
    assert_eq!(lines_of("docs/devcloud.md", "[a](docs/fleet.md)\n"), [1]);
    assert_eq!(lines_of("docs/devcloud.md", "[a](../../README.md)\n"), [1]);
}

#[test]
fn a_link_may_lead_to_a_directory_or_a_heading() {
    let text = "[a](docs) [b](xtask/src/) [c](.) [d](docs/fleet.md#keys) [e](#here) [f](<docs/fleet.md>)\n";
    assert_eq!(lines_of("README.md", text), NOTHING);
    assert_eq!(lines_of("README.md", "[a](doc)\n"), [1]);
}

#[test]
fn other_places_and_code_are_no_links_of_ours() {
    let text = "[a](https://example.org/x.md) [b](mailto:a@example.org) `[c](x.md)`\n```\n[d](x.md)\n```\n";
    assert_eq!(lines_of("README.md", text), NOTHING);
    assert_eq!(lines_of("a.rs", "[a](x.md)\n"), NOTHING);
    assert_eq!(lines_of("README.md", "```\n[a](x)\n```\n[b](x)\n"), [4]);
}
