use super::*;

#[test]
fn the_tree_is_tidy() {
    let root = workspace::root().unwrap();
    let findings = look(&root, &workspace::read().unwrap()).unwrap();
    let lines = findings
        .iter()
        .map(Finding::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(findings.is_empty(), "{} findings:\n{lines}", findings.len());
}

#[test]
fn a_finding_says_where_it_is() {
    assert_eq!(Finding::new("a.rs", 3, "b").to_string(), "a.rs:3: b");
    assert_eq!(Finding::new("a.rs", 0, "b").to_string(), "a.rs: b");
}
