use std::collections::BTreeMap;

use super::{Filters, matches, tag_values};
use crate::{ApiError, Form, request::DescribeTags};

fn filters(form: &str, known: &[&str]) -> Result<Filters, ApiError> {
    let request: DescribeTags = Form::parse(&[form])?.decode()?;
    Filters::check(request.filter, known)
}

#[test]
fn wildcards_match_as_in_ec2() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", true),
        ("a*c", "abbbc", true),
        ("a*c", "abbb", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*.micro", "t3.micro", true),
        ("t3", "t3.micro", false),
        (r"a\*", "a*", true),
        (r"a\*", "ab", false),
        ("a*b*c*", "aXbYc", true),
        ("ü?", "üö", true),
        // The case counts.
        ("Builder", "builder", false),
        ("?", "", false),
        ("??", "a", false),
        ("**", "", true),
        ("*?*", "", false),
        ("*?*", "a", true),
        ("", "a", false),
        (r"a\?", "a?", true),
        (r"a\?", "ab", false),
        (r"a\\*", r"a\b", true),
        (r"a\\*", "ab", false),
        // A backslash at the end, and before what has no meaning, is no more than the character.
        (r"a\", r"a\", true),
        (r"\a", "a", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_hostile_pattern_ends_in_bounded_time() {
    let pattern = "*a".repeat(500) + "b";
    assert!(!matches(&pattern, &"a".repeat(2000)));
}

#[test]
fn values_are_alternatives_and_filters_add_up() {
    let form = "Filter.1.Name=tag:role&Filter.1.Value.1=x&Filter.1.Value.2=build*&Filter.2.Name=tag-key&Filter.2.Value.1=role";
    let filters = filters(form, &["tag:", "tag-key"]).unwrap();
    let tags = BTreeMap::from([("role".to_owned(), "builder".to_owned())]);
    assert!(filters.pass(|name| tag_values(Some(&tags), name)));
    assert!(!filters.pass(|name| tag_values(None, name)));
}

#[test]
fn unknown_names_and_too_much_to_compare_are_refused() {
    let error = filters("Filter.1.Name=colour&Filter.1.Value.1=x", &["tag:"]).unwrap_err();
    assert_eq!(
        (error.code.as_ref(), error.message.as_str()),
        ("InvalidParameterValue", "The filter 'colour' is invalid")
    );
    let long = format!("Filter.1.Name=tag:a&Filter.1.Value.1={}", "*".repeat(1025));
    assert_eq!(
        filters(&long, &["tag:"]).unwrap_err().code,
        "InvalidParameterValue"
    );
    let values: Vec<String> = (1..=201).map(|n| format!("&Filter.1.Value.{n}=x")).collect();
    let many = format!("Filter.1.Name=tag:a{}", values.concat());
    assert_eq!(filters(&many, &["tag:"]).unwrap_err().code, "FilterLimitExceeded");
}

#[test]
fn a_filter_without_values_lets_nothing_pass() {
    for form in [
        "Filter.1.Name=tag:role",
        "Filter.1.Name=tag:role&Filter.2.Name=tag-key&Filter.2.Value.1=role",
    ] {
        let filters = filters(form, &["tag:", "tag-key"]).unwrap();
        let tags = BTreeMap::from([("role".to_owned(), "builder".to_owned())]);
        assert!(!filters.pass(|name| tag_values(Some(&tags), name)), "{form}");
    }
    let none = filters("", &["tag:"]).unwrap();
    assert!(none.pass(|_| Vec::new()), "no filter lets everything pass");
}

#[test]
fn an_empty_value_is_a_value() {
    let empty = BTreeMap::from([("role".to_owned(), String::new())]);
    for form in [
        "Filter.1.Name=tag:role&Filter.1.Value.1=",
        "Filter.1.Name=tag:role&Filter.1.Value=",
    ] {
        let filters = filters(form, &["tag:"]).unwrap();
        assert!(filters.pass(|name| tag_values(Some(&empty), name)), "{form}");
        assert!(!filters.pass(|name| tag_values(None, name)), "{form}");
    }
}

#[test]
fn names_are_taken_as_they_are_known_and_no_further() {
    let known = &["tag:", "tag-key", "instance-id"];
    for (name, admitted) in [
        ("tag:role", true),
        ("tag:", true),
        ("tag:a:b", true),
        ("tag-key", true),
        ("instance-id", true),
        ("tag", false),
        ("Tag:role", false),
        ("tag-value", false),
        ("instance-id ", false),
        ("instance", false),
    ] {
        let form = format!("Filter.1.Name={}&Filter.1.Value.1=x", name.replace(' ', "+"));
        let checked = filters(&form, known);
        assert_eq!(checked.is_ok(), admitted, "{name}");
        if let Err(error) = checked {
            assert_eq!(error.message, format!("The filter '{name}' is invalid"));
        }
    }
    // A cloud that has no tags there admits none.
    assert!(filters("Filter.1.Name=tag:role&Filter.1.Value.1=x", &["instance-id"]).is_err());
}

#[test]
fn a_filter_without_a_name_is_called_null_as_at_amazon() {
    for form in ["Filter=", "Filter.1.Name=", "Filter.1.Value.1=x", "Filter.1="] {
        let error = filters(form, &["tag:"]).unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("InvalidParameterValue", "The filter 'null' is invalid"),
            "{form}"
        );
    }
}

#[test]
fn two_hundred_values_are_taken_however_they_are_spread() {
    let form = |counts: &[usize]| {
        let mut form = String::new();
        for (filter, count) in counts.iter().enumerate() {
            form.push_str(&format!("&Filter.{}.Name=tag:a", filter + 1));
            for value in 1..=*count {
                form.push_str(&format!("&Filter.{}.Value.{value}=x", filter + 1));
            }
        }
        form
    };
    for (counts, taken) in [
        (&[200][..], true),
        (&[100, 100], true),
        (&[100, 101], false),
        (&[201], false),
    ] {
        assert_eq!(filters(&form(counts), &["tag:"]).is_ok(), taken, "{counts:?}");
    }
}

#[test]
fn tags_answer_by_key_by_keys_and_by_values() {
    let tags: BTreeMap<String, String> = [("Name", "one"), ("role", "builder"), ("tag-key", "odd")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    for (name, values) in [
        ("tag:role", &["builder"][..]),
        ("tag:Role", &[]),
        ("tag:", &[]),
        ("tag:tag-key", &["odd"]),
        ("tag-key", &["Name", "role", "tag-key"]),
        ("tag-value", &["one", "builder", "odd"]),
        ("instance-id", &[]),
    ] {
        assert_eq!(tag_values(Some(&tags), name), values, "{name}");
        assert_eq!(tag_values(None, name), [""; 0], "{name}");
    }
}
