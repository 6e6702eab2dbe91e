use super::*;
use serde_json::json;

fn variables() -> Variables {
    let values = json!({
        "name": "x-y", "list": ["a", "b"], "yes": "yes", "number": 5, "off": false, "nothing": null,
        "result": { "rc": 3, "changed": true, "failed": false, "stdout_lines": ["one", "two"] },
    });
    let values = values.as_object().expect("an object").clone();
    values
        .iter()
        .map(|(name, value)| (name.clone(), variable(value)))
        .collect()
}

#[test]
fn texts_are_evaluated_as_ansible_does() {
    let cases = [
        ("plain", json!("plain")),
        ("{{ name }}", json!("x-y")),
        ("{{ list }}", json!(["a", "b"])),
        ("{{ number + 1 }}", json!(6)),
        ("n={{ number }} {{ off }}{{ nothing }}", json!("n=5 False")),
        ("{{ list | join(',') }}\n", json!("a,b\n")),
        ("{{ missing | default('d') }}", json!("d")),
        ("{{ '' | default('d', true) }}", json!("d")),
        ("{{ name | replace('-', '_') }}", json!("x_y")),
        ("{{ '12' | int + 1 }}", json!(13)),
        ("{{ 'x' | int }}", json!(0)),
        ("{{ yes | bool }}", json!(true)),
        ("{{ result.stdout_lines[1] }}", json!("two")),
        ("{{ list | length }}", json!(2)),
        (
            "{{ {'b': [1, true], 'a': 'é'} | to_json }}",
            json!("{\"a\": \"é\", \"b\": [1, true]}"),
        ),
        (
            "{{ \"it's\" | quote }} {{ name | quote }}",
            json!("'it'\"'\"'s' x-y"),
        ),
        ("{{ '/a/b' | basename }}{{ '/a/b' | dirname }}", json!("b/a")),
        ("{{ 'a' if off else 'b' }}", json!("b")),
        ("{% for x in list %}\n{{ x }}\n{% endfor %}\n", json!("a\nb\n")),
    ];
    for (text, expected) in cases {
        assert_eq!(evaluate_text(text, &variables()), Ok(expected), "{text}");
    }
}

#[test]
fn conditions_are_true_or_false_and_nothing_else() {
    let cases = [
        ("name == 'x-y'", true),
        ("missing is defined", false),
        ("missing is not defined and number > 4", true),
        ("result is changed and result is not failed", true),
        ("'a' in list", true),
        ("not off", true),
        ("'1.10' is version('1.9', '>')", true),
        ("'4.18.0' is version('4.18', '>=')", true),
        ("'1.0rc1' is version('1.0.1', '<')", true),
        ("'1.0' is version('1.0')", true),
    ];
    for (text, expected) in cases {
        assert_eq!(holds(&[text.to_owned()], &variables()), Ok(expected), "{text}");
    }
    let error = holds(&["name".to_owned()], &variables()).expect_err("text");
    assert_eq!(error, "`name` is \"x-y\", not true or false");
}

#[test]
fn what_is_wrong_is_said_with_the_expression() {
    let cases = [
        ("{{ missing }}", "`missing` is undefined"),
        ("a {{ missing }}", "`a {{ missing }}`: `missing` is undefined"),
        (
            "a {{ list }}",
            "`a {{ list }}`: invalid operation: sequence inside a text: use the filter join or to_json",
        ),
        (
            "{{ name | nofilter }}",
            "`name | nofilter`: unknown filter: filter nofilter is unknown",
        ),
    ];
    for (text, expected) in cases {
        let error = evaluate_text(text, &variables()).expect_err("wrong");
        assert_eq!(error, expected);
    }
    assert!(check_template("{{ a b }}").is_err());
    assert!(check_template("{% if %}").is_err());
    assert!(check_expression("a ==").is_err());
    assert_eq!(check_template("{{ anything.at.all | default(1) }}"), Ok(()));
}
