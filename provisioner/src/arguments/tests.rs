use super::*;
use crate::value::map;

/// The arguments of a module `m`, as JSON.
fn arguments(json: &str) -> Arguments {
    match serde_json::from_str(json) {
        Ok(Value::Map(values)) => Arguments::new("m", values),
        other => panic!("{json}: {other:?}"),
    }
}

fn why<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
    result.expect_err("refused").message
}

#[test]
fn a_text_is_a_text_or_one_value_as_python_writes_it() {
    let all = arguments(
        r#"{"t": " x ", "n": 5, "f": 1.0, "b": true, "null": null, "empty": "", "l": ["a"], "m": {"a": 1}}"#,
    );
    let cases = [
        ("t", Some(" x ")),
        ("n", Some("5")),
        ("f", Some("1.0")),
        ("b", Some("True")),
        ("empty", Some("")),
        ("null", None),
        ("none", None),
    ];
    for (name, expected) in cases {
        assert_eq!(all.text(name).expect("a text").as_deref(), expected, "{name}");
        assert_eq!(
            all.word(name).expect("a word"),
            expected.unwrap_or_default(),
            "{name}"
        );
    }
    for name in ["l", "m"] {
        assert!(why(all.text(name)).ends_with(", expected text"), "{name}");
    }
}

#[test]
fn what_is_wrong_is_said_with_the_parameter_and_its_value() {
    let long = "x".repeat(500);
    let all = arguments(&format!(r#"{{"a": "", "b": null, "l": [1], "long": "{long}"}}"#));
    let cases = [
        ("a", "the parameter a of m is \"\", expected text"),
        ("b", "the parameter b of m is null, expected text"),
        ("l", "the parameter l of m is [1], expected text"),
        ("none", "the parameter none of m is missing, expected text"),
    ];
    for (name, expected) in cases {
        assert_eq!(why(all.required(name)), expected);
    }
    assert!(why(all.path("long")).chars().count() < 200);
}

#[test]
fn paths_are_absolute_and_never_the_root() {
    let path = |text: &str| Arguments::new("m", map([("p", Value::from(text))])).path("p");
    for text in ["/a", "/a/b/", "/a/./b", "/a b", "/..a", "//a", "/a/..b/c"] {
        assert_eq!(path(text).expect("a path"), text);
    }
    for text in [
        "a", "./a", "~/a", "/", "//", "/.", "/./", "/..", "/a/..", "/a/../b", "/a\nb", "/a\0b",
    ] {
        let why = why(path(text));
        assert!(why.ends_with("expected an absolute path"), "{text:?}: {why}");
    }
    assert!(why(path("")).ends_with("expected text"));
}

#[test]
fn flags_are_the_words_that_ansible_takes() {
    let flag = |value: Value, default| Arguments::new("m", map([("f", value)])).flag("f", default);
    for word in ["yes", "On", "TRUE", "y", "t", "1"] {
        assert!(flag(Value::from(word), false).expect("a flag"), "{word}");
    }
    for word in ["no", "OFF", "false", "N", "f", "0"] {
        assert!(!flag(Value::from(word), true).expect("a flag"), "{word}");
    }
    for (value, expected) in [
        (Value::Bool(true), true),
        (Value::Bool(false), false),
        (Value::Int(1), true),
        (Value::Int(0), false),
    ] {
        assert_eq!(flag(value, !expected).expect("a flag"), expected);
    }
    for default in [true, false] {
        assert_eq!(flag(Value::Null, default).expect("the default"), default);
    }
    let others = ["maybe", "", " yes", "2"].map(Value::from);
    for value in others.into_iter().chain([Value::Int(2), Value::List(Vec::new())]) {
        assert!(why(flag(value, true)).ends_with("expected true or false"));
    }
    let all = arguments("{\"f\": \"yes\"}");
    assert_eq!(all.bit("f", false).expect("a bit"), "1");
    assert_eq!(all.bit("g", false).expect("a bit"), "0");
}

#[test]
fn numbers_are_whole_and_have_a_limit() {
    let number = |json: &str| arguments(json).number("n", 7, 100);
    for (json, expected) in [
        ("{}", 7),
        ("{\"n\": null}", 7),
        ("{\"n\": 0}", 0),
        ("{\"n\": 100}", 100),
        ("{\"n\": \"42\"}", 42),
    ] {
        assert_eq!(number(json).expect("a number"), expected, "{json}");
    }
    for json in [
        "101",
        "-1",
        "1.5",
        "\"\"",
        "\"x\"",
        "\" 1\"",
        "true",
        "\"99999999999999999999\"",
    ] {
        let why = why(number(&format!("{{\"n\": {json}}}")));
        assert!(why.ends_with("expected a whole number from 0 to 100"), "{why}");
    }
    assert_eq!(
        why(number("{\"n\": [1]}")),
        "the parameter n of m is [1], expected text"
    );
}

#[test]
fn lists_are_lists_or_a_text_with_commas() {
    let cases: &[(&str, &[&str])] = &[
        ("[\"a\", 1, true, 1.5]", &["a", "1", "True", "1.5"]),
        ("[]", &[]),
        ("[\"a,b\", \" c \"]", &["a,b", " c "]),
        ("\"a, b ,,c,\"", &["a", "b", "c"]),
        ("\"\"", &[]),
        ("5", &["5"]),
        ("null", &[]),
    ];
    for (json, expected) in cases {
        let list = arguments(&format!("{{\"l\": {json}}}")).list("l");
        assert_eq!(list.expect("a list"), *expected, "{json}");
    }
    for json in ["[[1]]", "[null]", "[{\"a\": 1}]"] {
        let why = why(arguments(&format!("{{\"l\": {json}}}")).list("l"));
        assert!(why.ends_with("expected a list of texts"), "{why}");
    }
    assert!(arguments("{\"l\": {\"a\": 1}}").list("l").is_err());
}

#[test]
fn modes_are_octal_texts_and_owners_are_names() {
    let mode = |json: &str| arguments(&format!("{{\"m\": {json}}}")).mode("m");
    for (json, expected) in [
        ("\"0644\"", "644"),
        ("\"0007\"", "7"),
        ("\"01777\"", "1777"),
        ("\"000\"", "0"),
        ("null", ""),
    ] {
        assert_eq!(mode(json).expect("a mode"), expected, "{json}");
    }
    for (json, expected) in [
        ("420", "420, expected an octal mode in quotes such as \"0644\""),
        ("\"u=rw\"", "\"u=rw\", expected an octal mode such as \"0644\""),
        ("\"\"", "\"\", expected an octal mode such as \"0644\""),
    ] {
        assert_eq!(why(mode(json)), format!("the parameter m of m is {expected}"));
    }
    let owner = |json: &str| arguments(&format!("{{\"o\": {json}}}")).owner("o");
    for (json, expected) in [
        ("\"a.b_c-d\"", "a.b_c-d"),
        ("0", "0"),
        ("\"host$\"", "host$"),
        ("null", ""),
    ] {
        assert_eq!(owner(json).expect("an owner"), expected);
    }
    for json in ["\"-x\"", "\"a:b\"", "\"a b\"", "\"a\\n\"", "\"ä\""] {
        assert!(owner(json).is_err(), "{json}");
    }
}

#[test]
fn of_several_words_one_is_taken() {
    let all = arguments("{\"s\": \"b\", \"n\": 1}");
    assert_eq!(all.choice("s", "a", &["a", "b"]).expect("a word"), "b");
    assert_eq!(all.choice("none", "a", &["a", "b"]).expect("the default"), "a");
    assert_eq!(
        why(all.choice("s", "a", &["a", "c"])),
        "the parameter s of m is \"b\", expected a, c"
    );
    assert_eq!(
        why(all.choice("n", "a", &["a"])),
        "the parameter n of m is 1, expected a"
    );
}
