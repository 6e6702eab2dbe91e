use super::*;

fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.tree {
        Tree::Map(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_and_value_knows_its_place() {
    let root = parse("x.yml", "a: 1\nb:\n  - c: text\n    d: [true, null, 1.5]\n").expect("a tree");
    let (key, value) = &entries(&root)[1];
    assert_eq!((key.text.as_str(), key.line, key.column), ("b", 2, 1));
    let Tree::List(items) = &value.tree else {
        panic!("{value:?}")
    };
    let (key, value) = &entries(&items[0])[1];
    assert_eq!((key.text.as_str(), key.line, key.column), ("d", 4, 5));
    assert_eq!((value.line, value.column), (4, 8));
    let expected = serde_json::json!({ "a": 1, "b": [{ "c": "text", "d": [true, null, 1.5] }] });
    assert_eq!(root.to_value().to_json(), expected);
}

#[test]
fn words_that_yaml_1_1_takes_for_booleans_stay_text_and_quoted_numbers_too() {
    let root = parse("x.yml", "y: no\nn: on\nmode: \"0644\"\nversion: '1.10'\n").expect("a tree");
    let expected = serde_json::json!({ "y": "no", "n": "on", "mode": "0644", "version": "1.10" });
    assert_eq!(root.to_value().to_json(), expected);
}

#[test]
fn mistakes_of_syntax_have_a_place() {
    for (text, line) in [("a: [1\nb: 2\n", 2), ("a: 1\na: 2\n", 2), ("a: 1\n  b: 2\n", 2)] {
        let mistake = parse("x.yml", text).expect_err("broken");
        assert_eq!(
            (mistake.file.as_str(), mistake.line),
            ("x.yml", line),
            "{mistake}"
        );
        assert!(
            !mistake.message.is_empty() && !mistake.message.contains('\n'),
            "{mistake}"
        );
    }
}
