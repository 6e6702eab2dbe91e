//! Which variable wins, and which is evaluated first.

use std::time::Duration;

use super::told;
use crate::host::tests::fake::Fake;
use crate::host::tests::here::run_with;
use crate::playbook::Playbook;
use crate::report::Mode;
use crate::runner::scope::{evaluated_vars, in_order};
use crate::value::{Map, Value, map};

fn vars(entries: &[(&str, &str)]) -> Vec<(String, Value)> {
    entries
        .iter()
        .map(|(name, text)| ((*name).to_owned(), Value::from(*text)))
        .collect()
}

#[test]
fn variables_come_behind_those_that_they_name() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("a", "1"), ("b", "2")], &["a", "b"]),
        (
            &[("a", "{{ b }}"), ("b", "{{ c }}"), ("c", "1")],
            &["c", "b", "a"],
        ),
        // A part of a word is no name.
        (&[("a", "{{ bb }}"), ("b", "{{ a }}")], &["a", "b"]),
        // What goes in a circle, or names itself, keeps its order.
        (
            &[("a", "{{ b }}"), ("b", "{{ a }}"), ("c", "1")],
            &["c", "a", "b"],
        ),
        (&[("a", "{{ a }}"), ("b", "1")], &["a", "b"]),
    ];
    for (entries, expected) in cases {
        let ordered = in_order(&vars(entries));
        let names: Vec<&str> = ordered.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, *expected, "{entries:?}");
    }
}

#[test]
fn variables_of_templates_are_evaluated_unless_they_are_given() {
    let given = map([("b", Value::from("given"))]);
    let mut view = given.clone().into_iter().collect();
    let found = evaluated_vars(
        &vars(&[("a", "{{ b }}!"), ("b", "{{ nope }}")]),
        &given,
        &mut view,
    );
    assert_eq!(found, Ok(map([("a", Value::from("given!"))])));
    let error = evaluated_vars(&vars(&[("a", "{{ nope }}")]), &given, &mut view);
    assert_eq!(error, Err("a: `{{ nope }}`: `nope` is undefined".to_owned()));
}

/// What the last task of a play says, with `a` given.
async fn said(text: &str) -> String {
    let playbook = Playbook::parse("p.yml", text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:?}"));
    let given: Map = map([("a", Value::from("given"))]);
    let fake = Fake::new([]);
    let run = run_with(&fake, &playbook, given, Mode::Apply, Duration::from_secs(60));
    let report = run.await.unwrap_or_else(|error| panic!("{text}\n{error}"));
    told(&report).pop().expect("a task")
}

#[tokio::test]
async fn later_kinds_of_variables_win_over_earlier_ones() {
    let cases = [
        // Given ones win over all but the element of a loop.
        ("vars: { a: play }", "", "a", "given"),
        ("vars: {}", "- set_fact: { a: fact }", "a", "given"),
        // Facts win over the task's and the play's.
        ("vars: { b: play }", "", "b", "play"),
        ("vars: { b: play }", "- set_fact: { b: fact }", "b", "fact"),
        (
            "vars: { b: play }",
            "- debug: {}\n    register: b",
            "b.msg",
            "Hello world!",
        ),
        // A play's variable follows what it names.
        (
            "vars: { b: \"{{ c }}\", c: play }",
            "- set_fact: { c: fact }",
            "b",
            "fact",
        ),
        // One that is wrong matters only where it is used.
        ("vars: { b: \"{{ nope }}\" }", "", "b | default('none')", "none"),
        ("vars: { b: \"{{ 1 < 'a' }}\", c: \"1\" }", "", "c", "1"),
    ];
    for (vars, before, shown, expected) in cases {
        let text = format!(
            "- hosts: all\n  gather_facts: false\n  {vars}\n  tasks:\n  {before}\n  - debug: {{ msg: \"{{{{ {shown} }}}}\" }}\n"
        );
        assert_eq!(said(&text).await, format!("ok: {expected}"), "{text}");
    }
}

#[tokio::test]
async fn a_tasks_own_variables_and_its_element_end_with_it() {
    let head = "- hosts: all\n  gather_facts: false\n  vars: { t: play, item: play }\n  tasks:\n";
    let own = "  - debug: { msg: \"{{ t }} {{ item }} {{ a }}\" }\n    loop: [1, 2]\n    vars: { t: \"own {{ item }}\", a: own }\n";
    assert_eq!(
        said(&format!("{head}{own}")).await,
        "ok: own 1 1 given\nown 2 2 given"
    );
    let behind = "  - debug: { msg: \"{{ t }} {{ item }}\" }\n";
    assert_eq!(said(&format!("{head}{own}{behind}")).await, "ok: play play");
}
