use std::{collections::BTreeMap, os::unix::ffi::OsStringExt as _};

use figment::providers::Serialized;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Section {
    count: i64,
    quick: bool,
    names: Vec<String>,
    places: BTreeMap<String, String>,
    max_log: String,
    url: Option<String>,
}

fn defaults() -> Figment {
    let section = Section {
        count: 1,
        quick: false,
        names: vec!["default".to_owned()],
        places: BTreeMap::new(),
        max_log: String::new(),
        url: None,
    };
    Figment::from(Serialized::defaults(BTreeMap::from([("part", section)])))
}

/// What is read of some variables, and what is wrong with them.
fn merged(variables: &[(&str, &str)]) -> (Section, Vec<String>) {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let mut mistakes = Mistakes::new("the environment", None);
    let figment = merge(defaults(), &defaults(), variables, &mut mistakes);
    let told = mistakes.into_error().map_or(Vec::new(), |error| {
        error.to_string().lines().skip(1).map(str::to_owned).collect()
    });
    (figment.extract_inner("part").unwrap(), told)
}

#[test]
fn a_number_is_a_whole_one_with_blanks_around_it_or_none() {
    for (text, expected) in [
        ("0", 0),
        (" 7\n", 7),
        ("-7", -7),
        ("007", 7),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        let (section, mistakes) = merged(&[("VERDIGRIS_PART__COUNT", text)]);
        assert_eq!((section.count, mistakes), (expected, vec![]), "{text}");
    }
    for text in [
        "",
        " ",
        "7.0",
        "7 8",
        "0x7",
        "1e3",
        "1_000",
        "18446744073709551616",
    ] {
        let (section, mistakes) = merged(&[("VERDIGRIS_PART__COUNT", text)]);
        assert_eq!(
            mistakes,
            [format!("  VERDIGRIS_PART__COUNT: `{text}` is no whole number")]
        );
        assert_eq!(section.count, 1, "the default stays");
    }
}

#[test]
fn a_switch_is_true_or_false_and_nothing_that_resembles_them() {
    for (text, expected) in [("true", true), (" false ", false)] {
        assert_eq!(merged(&[("VERDIGRIS_PART__QUICK", text)]).0.quick, expected);
    }
    for text in ["", "1", "yes", "True", "on"] {
        let (_, mistakes) = merged(&[("VERDIGRIS_PART__QUICK", text)]);
        assert_eq!(
            mistakes,
            [format!(
                "  VERDIGRIS_PART__QUICK: `{text}` is neither true nor false"
            )]
        );
    }
}

#[test]
fn a_list_has_commas_between_its_items_and_may_be_empty() {
    for (text, expected) in [
        ("a", &["a"][..]),
        ("a,b", &["a", "b"]),
        (" a , b c ,", &["a", "b c"]),
        ("", &[]),
        (",,", &[]),
    ] {
        let (section, mistakes) = merged(&[("VERDIGRIS_PART__NAMES", text)]);
        assert_eq!(
            (section.names, mistakes),
            (expected.iter().map(|item| (*item).to_owned()).collect(), vec![])
        );
    }
}

#[test]
fn a_table_is_written_as_one_or_key_by_key_and_both_add_up() {
    let (section, mistakes) = merged(&[
        ("VERDIGRIS_PART__PLACES", "{a = \"1\", b = \"2\"}"),
        ("VERDIGRIS_PART__PLACES__B", "3"),
        ("VERDIGRIS_PART__PLACES__C_D", "4"),
    ]);
    let expected = [("a", "1"), ("b", "3"), ("c_d", "4")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!((section.places, mistakes), (BTreeMap::from(expected), vec![]));
    for text in ["", "a", "a = 1", "[1]"] {
        let (_, mistakes) = merged(&[("VERDIGRIS_PART__PLACES", text)]);
        let words = format!("  VERDIGRIS_PART__PLACES: `{text}` is no table, such as {{name = \"value\"}}");
        assert_eq!(mistakes, [words]);
    }
}

#[test]
fn what_is_left_out_by_default_is_a_text_whatever_it_looks_like() {
    for text in ["", "7", "true", "{a = 1}", " x "] {
        let (section, mistakes) = merged(&[("VERDIGRIS_PART__URL", text)]);
        assert_eq!((section.url.as_deref(), mistakes), (Some(text), vec![]));
    }
}

#[test]
fn names_are_read_in_any_letters_and_only_after_the_farms_own_word() {
    for (name, is_read) in [
        ("VERDIGRIS_PART__URL", true),
        ("VERDIGRIS_part__Url", true),
        ("verdigris_PART__URL", false),
        ("VERDIGRIS__PART__URL", false),
        ("OTHER_VERDIGRIS_PART__URL", false),
    ] {
        let (section, mistakes) = merged(&[(name, "x")]);
        assert_eq!((section.url.is_some(), mistakes), (is_read, vec![]), "{name}");
        assert_eq!(is_variable(name), name.starts_with("VERDIGRIS_"));
    }
}

#[test]
fn one_line_too_few_is_noticed_where_a_setting_or_a_section_is_meant() {
    for (name, words) in [
        (
            "VERDIGRIS_PART",
            "[part] is a section; each of its settings has a variable, such as VERDIGRIS_PART__COUNT",
        ),
        (
            "VERDIGRIS_PART_MAX_LOG",
            "two `_` stand between a section and its setting, as in VERDIGRIS_PART__MAX_LOG",
        ),
        (
            "VERDIGRIS_part_quick",
            "two `_` stand between a section and its setting, as in VERDIGRIS_PART__QUICK",
        ),
    ] {
        assert_eq!(merged(&[(name, "x")]).1, [format!("  {name}: {words}")]);
    }
    for other in [
        "VERDIGRIS_PARTS",
        "VERDIGRIS_PART_",
        "VERDIGRIS_PART_OTHER",
        "VERDIGRIS_",
        "VERDIGRIS",
    ] {
        assert_eq!(merged(&[(other, "x")]).1, [""; 0], "{other} is for somebody else");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_where_they_are_meant_for_the_farm() {
    let odd = || OsString::from_vec(vec![b'a', 0xff]);
    let variables = [
        (OsString::from("VERDIGRIS_PART__URL"), odd()),
        (OsString::from("PATH"), odd()),
        (odd(), OsString::from("x")),
    ];
    let mut mistakes = Mistakes::new("f", None);
    merge(defaults(), &defaults(), variables, &mut mistakes);
    let said = mistakes.into_error().unwrap().to_string();
    assert_eq!(said, "f has mistakes:\n  VERDIGRIS_PART__URL: it is no UTF-8");
}
