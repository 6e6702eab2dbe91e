use serde_json::json;

use super::{Fields, MistakeStyle};

fn fields(value: serde_json::Value, style: MistakeStyle) -> Fields {
    Fields::new(value.as_object().unwrap().clone(), style)
}

#[test]
fn what_copr_clients_send_is_understood() {
    let mut body = fields(
        json!({"timeout": "3600", "background": "True", "isolation": null, "chroots": ["a", "b"],
               "repos": "http://a, http://b", "id": 7, "multilib": false, "empty": "", "progress_callback": null}),
        MistakeStyle::Lines,
    );
    assert_eq!(body.number("timeout"), Some(3600));
    assert_eq!(body.flag("background"), Some(true));
    assert_eq!(body.text("isolation"), None);
    assert_eq!(body.texts("chroots"), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(
        body.texts("repos"),
        Some(vec!["http://a".to_owned(), "http://b".to_owned()])
    );
    assert_eq!(body.text("id").as_deref(), Some("7"));
    assert_eq!(body.flag("multilib"), Some(false));
    assert_eq!(body.number("empty"), None);
    body.finish().unwrap();
}

#[test]
fn every_mistake_is_told_in_the_style_of_the_operation() {
    let bad = json!({"timeout": "soon", "background": [1], "chroots": {"a": 1}});
    for (style, expected) in [
        (
            MistakeStyle::Lines,
            "background: Not a valid boolean.\nchroots: Not a valid list of strings.\nname: This field is required.\n\
             timeout: Not a valid integer value.",
        ),
        (
            MistakeStyle::Dictionary,
            "Bad request parameters: {'background': ['Not a valid boolean.'], 'chroots': ['Not a valid list of \
             strings.'], 'name': ['This field is required.'], 'timeout': ['Not a valid integer value.']}",
        ),
    ] {
        let mut body = fields(bad.clone(), style);
        body.number("timeout");
        body.flag("background");
        body.texts("chroots");
        body.required_text("name");
        assert_eq!(body.finish().unwrap_err().to_string(), expected);
    }
}

#[test]
fn texts_are_quoted_as_python_quotes_them() {
    assert_eq!(super::python_text("it's"), "\"it's\"");
    assert_eq!(super::python_text("a\"b'c"), "'a\"b\\'c'");
    assert_eq!(super::python_text("two\nlines\\"), "'two\\nlines\\\\'");
}
