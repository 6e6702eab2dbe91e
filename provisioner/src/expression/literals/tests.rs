use super::*;

#[test]
fn a_backslash_counts_in_statements_and_expressions_and_not_between_braces() {
    let cases = [
        (r"a\n b", r"a\n b"),
        (r"{{ 'a\n' }}", r"{{ 'a\\n' }}"),
        (r#"{{ "it's\"" }}"#, r#"{{ "it's\\\"" }}"#),
        (
            r"{% if 'a\x41' == x %}\n{% endif %}",
            r"{% if 'aA' == x %}\n{% endif %}",
        ),
        (r"{% set a = '\u00e9\d\'' %}", r"{% set a = 'é\\d\'' %}"),
        (r"{# '\n #}{{ '\n' }}", r"{# '\n #}{{ '\\n' }}"),
        (
            r"{% raw %}{{ '\n' }}{% endraw %}{{ '\n' }}",
            r"{% raw %}{{ '\n' }}{% endraw %}{{ '\\n' }}",
        ),
        (r"{{ {'a': '}}'} }}{{ '\n' }}", r"{{ {'a': '}}'} }}{{ '\\n' }}"),
        ("a\r\nb\rc", "a\nb\nc"),
    ];
    for (source, expected) in cases {
        assert_eq!(in_template(source).as_deref(), Ok(expected), "{source}");
    }
    let cases = [
        (r"a == 'x\ty' and b == '\\'", "a == 'x\ty' and b == '\\\\'"),
        ("plain", "plain"),
    ];
    for (source, expected) in cases {
        assert_eq!(in_expression(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_text_that_is_not_closed_and_an_escape_that_is_not_known_are_refused() {
    for source in [r"'a", r"'a\'", r"'\N{DIGIT ONE}'", r"'\7'", r"'\x4'", r"'\ud800'"] {
        assert!(in_expression(source).is_err(), "{source}");
    }
    assert_eq!(in_template("{{ 'a }}"), Err("a ' is never closed".to_owned()));
}
