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

fn json(text: &str) -> serde_json::Value {
    let root = parse("x.yml", text).unwrap_or_else(|mistake| panic!("{text:?}: {mistake}"));
    root.to_value().to_json()
}

#[test]
fn anchors_merges_and_texts_of_several_lines() {
    let cases = [
        ("a: &x [1]\nb: *x\n", serde_json::json!({ "a": [1], "b": [1] })),
        (
            "a: &x { c: 1, d: 2 }\nb: { <<: *x, d: 3 }\n",
            serde_json::json!({ "a": { "c": 1, "d": 2 }, "b": { "c": 1, "d": 3 } }),
        ),
        (
            "a: |\n  x\n  y\n\nb: >-\n  x\n  y\n\n",
            serde_json::json!({ "a": "x\ny\n", "b": "x y" }),
        ),
        (
            "a: ~\nb:\nc: ''\n",
            serde_json::json!({ "a": null, "b": null, "c": "" }),
        ),
        ("a: !!str 5\n", serde_json::json!({ "a": "5" })),
        ("---\na: 1 # no text\n...\n", serde_json::json!({ "a": 1 })),
        ("# nothing\n", serde_json::Value::Null),
    ];
    for (text, expected) in cases {
        assert_eq!(json(text), expected, "{text:?}");
    }
}

/// A complaint about what an alias stands for is made where the alias is, not where it was defined.
#[test]
fn an_alias_has_a_place_of_its_own() {
    let root = parse("x.yml", "a: &x\n  b: 1\nc: *x\n").expect("a tree");
    let [(_, first), (_, second)] = entries(&root) else {
        panic!("{root:?}")
    };
    assert_eq!((first.line, second.line, second.column), (2, 3, 4));
}

#[test]
fn what_is_no_document_for_us_is_refused_with_its_place() {
    let cases = [
        ("a: 1\na: 2\n", "x.yml:2:1: the key `a` stands twice here"),
        (
            "a: *x\n",
            "x.yml:1:4: `*` refers to an anchor, and there is no `&` with this name above",
        ),
        (
            "a: .inf\n",
            "x.yml:1:4: expected a number that is not too large, or a text in quotation marks",
        ),
        (
            "a: !vault |\n  x\n",
            "x.yml:2:3: the tag `!vault` is not understood here",
        ),
        (
            "a: !unsafe '{{ x }}'\n",
            "x.yml:1:12: the tag `!unsafe` is not understood here",
        ),
        ("a: &x\n  b: *x\n", "x.yml:2:6: an anchor refers to itself"),
        (
            "a: 1\n---\nb: 1\n",
            "x.yml:3:1: there is more than one document; take out the line `---`",
        ),
        (
            "a: 1\n\tb: 2\n",
            "x.yml:1:4: a tab stands here, but lines are indented with spaces only",
        ),
        ("null: x\n", "x.yml:1:1: "),
        ("[a]: x\n", "x.yml:1:1: "),
    ];
    for (text, expected) in cases {
        let mistake = parse("x.yml", text).expect_err(text).to_string();
        assert!(mistake.starts_with(expected), "{text:?}: {mistake}");
        let is_for_programmers = ["Policy", "Option", "from_str"]
            .iter()
            .any(|word| mistake.contains(word));
        assert!(!is_for_programmers, "{text:?}: {mistake}");
    }
}

#[test]
fn depth_and_repetition_have_a_limit() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let mistake = parse("x.yml", &deep).expect_err("too deep");
    let expected = "the file is too large, too deep, or repeats its anchors too often";
    assert_eq!(mistake.message, expected);
    let mut laughs = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for (one, next) in ('a'..='h').zip('b'..='i') {
        let many = vec![format!("*{one}"); 10].join(", ");
        laughs.push_str(&format!("{next}: &{next} [{many}]\n"));
    }
    let mistake = parse("x.yml", &laughs).expect_err("too much");
    assert_eq!(mistake.message, expected);
}

/// The values that PyYAML, behind Ansible, makes of these were looked up by running it.
#[test]
fn bare_values_that_ansible_reads_otherwise_are_found() {
    let other = [
        "0644",
        "010",
        "08",
        "-007",
        "0o10",
        "1e+3",
        "1e3",
        "1.5e3",
        "99999999999999999999",
        "12:30:45",
        "1:30",
        "8080:22",
        "190:20:30.15",
        "2026-01-01",
        "2026-1-1",
        "2026-01-01 10:00:00",
        "2026-01-01T10:00:00Z",
        "1__0",
        "0_1",
        "-1_0.5",
    ];
    for word in other {
        for text in [
            format!("a: {word}\n"),
            format!("- b\n- {word} # why\n"),
            format!("a: [x, {word}, y]\n"),
            format!("a: {{ b: {word} }}\n"),
        ] {
            let root = parse("x.yml", &text).expect("a tree");
            let found: Vec<&str> = read_otherwise(&root, &text)
                .into_iter()
                .map(|(.., word)| word)
                .collect();
            assert_eq!(found, [word], "{text}");
        }
    }
}

#[test]
fn bare_values_that_mean_the_same_to_ansible_are_left_alone() {
    let same = [
        "5",
        "0",
        "-5",
        "+5",
        "1_000",
        "0x1F",
        "0b101",
        "1.0",
        ".5",
        "1.",
        "0.5",
        "1.5e+3",
        "1.5E-3",
        "9223372036854775807",
        "'0644'",
        "\"12:30\"",
        "true",
        "yes",
        "1.2.3",
        "10.0.0.1",
        "22:80",
        "a:1",
        "12:30:x",
        "1_a",
        "2026-01",
        "2026-01-01-a",
        "2026-01-01 update",
        "1-2-3",
        "fedora-43",
        "~",
    ];
    for word in same {
        let text = format!("a: [{word}]\n");
        let root = parse("x.yml", &text).expect("a tree");
        assert_eq!(read_otherwise(&root, &text), [], "{text}");
    }
    // An alias is looked at where it is defined, and of a block only its text counts.
    for (text, count) in [
        ("a: &x 0644\nb: *x\n", 1),
        ("a: |\n  0644\n", 0),
        ("a: >\n  12:30\n", 0),
        ("- a: >-\n    12:30\n", 0),
    ] {
        let root = parse("x.yml", text).expect("a tree");
        assert_eq!(read_otherwise(&root, text).len(), count, "{text}");
    }
}
