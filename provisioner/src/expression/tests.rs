//! Every filter, test, operator and form of template by a table of what ansible-core 2.19 makes of it, in `cases/`. A
//! line is `input => value`, `=> error`, or `=> unsupported` where Ansible may know an answer and we refuse to give one.

mod ansible;

use super::*;
use crate::playbook::Playbook;

/// What the lines of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A bare expression.
    Expression,
    /// A template, as a JSON text.
    Template,
    /// What stands behind `when`, as JSON.
    Condition,
}

const TABLES: [(Kind, &str); 5] = [
    (Kind::Expression, include_str!("cases/filters.txt")),
    (Kind::Expression, include_str!("cases/tests.txt")),
    (Kind::Expression, include_str!("cases/operators.txt")),
    (Kind::Template, include_str!("cases/templates.txt")),
    (Kind::Condition, include_str!("cases/conditions.txt")),
];

/// The lines of a table: what is evaluated, and what comes out.
fn lines(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        line.rsplit_once(" => ")
            .unwrap_or_else(|| panic!("no result in {line}"))
    })
}

fn variables() -> Variables {
    match serde_json::from_str(include_str!("cases/variables.json")) {
        Ok(Value::Map(entries)) => entries.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

fn template_of(kind: Kind, input: &str) -> String {
    match kind {
        Kind::Template => serde_json::from_str(input).unwrap_or_else(|error| panic!("{input}: {error}")),
        _ => format!("{{{{ {input} }}}}"),
    }
}

/// What we make of it: a value as JSON, `runs`, `skipped`, or why it is wrong.
fn ours(kind: Kind, input: &str) -> Result<Value, String> {
    let variables = variables();
    if kind == Kind::Condition {
        let text = format!("- hosts: all\n  gather_facts: false\n  tasks:\n  - debug:\n    when: {input}\n");
        let playbook = Playbook::parse("p.yml", &text).map_err(|mistakes| format!("{mistakes:?}"))?;
        let holds = holds(&playbook.plays[0].tasks[0].when, &variables)?;
        return Ok(Value::from(if holds { "runs" } else { "skipped" }));
    }
    let template = template_of(kind, input);
    check_template(&template)?;
    match evaluate_text(&template, &variables)? {
        // Of `debug`, to which the real one gives it, the message is then this.
        Value::Omit => Ok(Value::from("Hello world!")),
        value => Ok(value),
    }
}

#[test]
fn everything_is_evaluated_as_ansible_does() {
    let mut differences = Vec::new();
    for (kind, table) in TABLES {
        for (input, expected) in lines(table) {
            let got = ours(kind, input);
            let is_right = match (expected, &got) {
                ("error" | "unsupported", got) => got.is_err(),
                (word @ ("runs" | "skipped"), Ok(got)) => got.as_text() == Some(word),
                (json, Ok(got)) => serde_json::from_str::<Value>(json).is_ok_and(|value| value == *got),
                (_, Err(_)) => false,
            };
            if !is_right {
                differences.push(format!("{input} => {expected}, but ours: {got:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_tables_have_every_filter_and_test_that_is_claimed() {
    let tables: String = TABLES.iter().map(|(_, table)| *table).collect();
    for (list, before) in [(language::FILTERS, "| "), (language::TESTS, " is ")] {
        for name in language::names(list) {
            let call = format!("{before}{name}");
            let is_there = tables.lines().any(|line| {
                let mut rest = line.split(&call).skip(1);
                rest.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
            });
            assert!(is_there, "no case of {before}{name}");
        }
    }
}

#[test]
fn the_readme_of_playbooks_has_the_same_lists() {
    let readme = include_str!("../../../playbooks/README.md");
    for (list, title, end) in [
        (language::FILTERS, "**Filters**", "**Tests**"),
        (language::TESTS, "**Tests**", "**Statements**"),
    ] {
        let section = readme.split(title).nth(1).and_then(|rest| rest.split(end).next());
        let words = section.expect("a section").split('`').skip(1).step_by(2);
        let words: Vec<&str> = words
            .filter(|word| word.starts_with(char::is_alphabetic))
            .collect();
        let mut names = language::names(list);
        names.sort_unstable();
        let mut written = words.clone();
        written.sort_unstable();
        assert_eq!(written, names, "{title}");
    }
}

#[test]
fn what_is_wrong_is_said_with_the_expression() {
    let variables = variables();
    let cases = [
        ("{{ missing }}", "`{{ missing }}`: `missing` is undefined"),
        ("a {{ missing }}", "`a {{ missing }}`: `missing` is undefined"),
        ("{{ d.x }}", "`{{ d.x }}`: a mapping has no member `x`"),
        (
            "{{ 1 < 'a' }}",
            "`{{ 1 < 'a' }}`: a number and text have no order",
        ),
        (
            "{{ 5 | length }}",
            "`{{ 5 | length }}`: filter length: a number has no length",
        ),
        (
            "{{ '1.0rc1' is version('1.0.1', '<') }}",
            "`{{ '1.0rc1' is version('1.0.1', '<') }}`: test version: the versions \"1.0rc1\" and \"1.0.1\" have no order: \"rc\" \
             against \"1\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(evaluate_text(text, &variables).expect_err("wrong"), expected);
    }
    let error = holds(&["s".to_owned()], &variables).expect_err("a text");
    assert_eq!(
        error,
        "`s` is text, not true or false: write a comparison, or `| bool`"
    );
}

#[test]
fn what_is_not_supported_is_refused_when_it_is_read() {
    let cases = [
        (
            "{{ x | nofilter }}",
            "there is no filter \"nofilter\" (supported: abs, ",
        ),
        (
            "{{ x | lenght }}",
            "there is no filter \"lenght\"; did you mean \"length\"?",
        ),
        ("{{ x | difference(y) }}", "there is no filter \"difference\""),
        ("{{ x is match('a') }}", "there is no test \"match\""),
        (
            "{{ x | int(1, 2, 3) }}",
            "the filter int takes at most 2 parameters",
        ),
        ("{{ x | replace('a') }}", "the filter replace needs old and new"),
        (
            "{{ x | to_json(indent=2) }}",
            "the filter to_json has no parameter \"indent\" that is supported",
        ),
        (
            "{{ x | map('nofilter') }}",
            "there is no filter \"nofilter\" for the filter map",
        ),
        (
            "{{ x | map(y) }}",
            "the filter map needs the name of a filter as a plain text",
        ),
        (
            "{{ x is version('1', version_type='semver') }}",
            "the test version compares as version_type='loose' only",
        ),
        (
            "{{ lookup('env', 'HOME') }}",
            "the function lookup is not supported (supported: range)",
        ),
        (
            "{{ x.split(',') }}",
            "the method split is not supported: filters such as split",
        ),
        ("{{ range(3) }}", "range is supported only"),
        ("{{ '%d%%' % n }}", "formatting a text with % is not supported"),
        ("{{ (1, 2) }}", "a tuple is not supported here"),
        ("{{ {1: 2} }}", "a key of a mapping must be text"),
        (
            "{% macro a() %}{% endmacro %}",
            "this statement is not supported (supported: for, if, set, raw)",
        ),
        ("{{ a b }}", "expected `}}`"),
        ("{{ 'a }}", "a ' is never closed"),
        ("{% if %}", "expected a value, found `%}`"),
    ];
    for (text, expected) in cases {
        let error = check_template(text).expect_err(text);
        assert!(error.starts_with(&format!("`{text}`: {expected}")), "{error}");
    }
    assert!(check_expression("a ==").is_err());
    assert!(check_expression("a | nofilter").is_err());
    assert_eq!(check_template("{{ anything.at.all | default(1) }}"), Ok(()));
}
