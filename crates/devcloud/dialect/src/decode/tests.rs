use serde::Deserialize;

use crate::{ApiError, Form};

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wish {
    name: Option<String>,
    count: Option<i64>,
    flag: Option<bool>,
    kind: Option<Kind>,
    #[serde(default)]
    id: Vec<String>,
    #[serde(default)]
    filter: Vec<Filter>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Small,
    VeryLarge,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    name: Short,
    #[serde(default)]
    value: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    tokens: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Short(String);

impl TryFrom<String> for Short {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > 4 {
            return Err("It must have at most 4 bytes.");
        }
        Ok(Self(text))
    }
}

fn decode(form: &str) -> Result<Wish, ApiError> {
    Form::parse(&[form])?.decode()
}

#[test]
fn lists_and_structures_are_read_in_the_order_of_their_numbers() {
    let wish = decode(
        "Id.2=b&Id.10=c&Id.1=a&Filter.1.Name=n+1&Filter.1.Value.1=v%20w&Options.Tokens=required&Kind=very-large\
         &Count=-7&Flag=True&Name=",
    )
    .unwrap();
    assert_eq!(wish.id, ["a", "b", "c"]);
    assert_eq!(wish.filter[0].name, Short("n 1".to_owned()));
    assert_eq!(wish.filter[0].value, ["v w"]);
    assert_eq!(wish.options.tokens.as_deref(), Some("required"));
    assert_eq!(
        (wish.kind, wish.count, wish.flag, wish.name),
        (Some(Kind::VeryLarge), Some(-7), Some(true), None)
    );
}

#[test]
fn a_list_without_numbers_is_a_list_of_one_even_when_it_is_empty() {
    assert_eq!(decode("Id=a").unwrap().id, ["a"]);
    assert_eq!(decode("Id=").unwrap().id, [""]);
    assert_eq!(decode("").unwrap(), Wish::default());
    let filter = decode("Filter.1.Name=n&Filter.1.Value=v").unwrap().filter;
    assert_eq!(filter[0].value, ["v"]);
}

#[test]
fn whatever_has_no_place_is_named_in_full_and_what_is_wrong_too() {
    for (form, code, name) in [
        ("Colour=red", "UnknownParameter", "Colour "),
        ("Colour.1.Shade=red", "UnknownParameter", "Colour.1.Shade "),
        ("Options.Tokenz=required", "UnknownParameter", "Options.Tokenz "),
        ("Options=required", "UnknownParameter", "Options "),
        (
            "Filter.1.Names=x&Filter.1.Name=y",
            "UnknownParameter",
            "Filter.1.Names ",
        ),
        ("Filter.Name=x", "UnknownParameter", "Filter.Name "),
        ("Filter=x", "UnknownParameter", "Filter "),
        ("Id.x=1", "UnknownParameter", "Id.x "),
        ("Id.+1=1", "UnknownParameter", "Id. 1 "),
        ("Id.1=a&Id.01=b", "UnknownParameter", "Id.01 "),
        ("Id.1.More=1", "UnknownParameter", "Id.1.More "),
        ("Id.4294967296=1", "UnknownParameter", "Id.4294967296 "),
        ("Name.1=x", "UnknownParameter", "Name.1 "),
        ("name=x", "UnknownParameter", "name "),
        ("a.a.a.a.a.a.a.a.a.a.a.a=x", "UnknownParameter", "a.a.a"),
        ("Id=a&Id.1=b", "InvalidParameterCombination", "Id.1 "),
        ("Filter.2.Value.1=x", "MissingParameter", "Filter.2.Name"),
        (
            "Filter.3.Name=longer",
            "InvalidParameterValue",
            "(longer) for parameter Filter.3.Name is",
        ),
        (
            "Count=many",
            "InvalidParameterValue",
            "(many) for parameter Count is",
        ),
        ("Flag=maybe", "InvalidParameterValue", "It must be true or false."),
        (
            "Kind=huge",
            "InvalidParameterValue",
            "It must be one of: small, very-large.",
        ),
    ] {
        let error = decode(form).unwrap_err();
        assert_eq!(error.code, code, "{form}: {error:?}");
        assert!(error.message.contains(name), "{form}: {}", error.message);
    }
}

#[test]
fn numbers_have_one_spelling_wherever_they_are() {
    for (form, read) in [
        ("Count=0", Some(0)),
        ("Count=-1", Some(-1)),
        ("Count=9223372036854775807", Some(i64::MAX)),
        ("Count=%2B5", None),
        ("Count=007", None),
        ("Count=+5", None),
        ("Count=5+", None),
        ("Count=5.0", None),
        ("Count=-0", None),
        ("Count=9223372036854775808", None),
    ] {
        let decoded = decode(form);
        match read {
            Some(number) => assert_eq!(decoded.unwrap().count, Some(number), "{form}"),
            None => {
                let error = decoded.unwrap_err();
                assert_eq!(error.code, "InvalidParameterValue", "{form}");
                assert!(
                    error
                        .message
                        .ends_with("for parameter Count is invalid. It must be a whole number."),
                    "{}",
                    error.message
                );
            }
        }
    }
    for part in ["01", "%2B1", "-1", "1.", "", "0x1", "1+", "%C2%B2"] {
        let error = decode(&format!("Id.{part}=a")).unwrap_err();
        assert_eq!(error.code, "UnknownParameter", "{part}");
    }
    assert_eq!(decode("Id.4294967295=b&Id.0=a").unwrap().id, ["a", "b"]);
}

#[test]
fn what_is_empty_is_left_out_but_in_lists() {
    let wish = decode("Name=&Count=&Flag=&Kind=&Options=&Id.1=&Filter.1.Name=n&Filter.1.Value.1=").unwrap();
    assert_eq!(
        (wish.name, wish.count, wish.flag, wish.kind, wish.options),
        (None, None, None, None, Options::default())
    );
    assert_eq!(wish.id, [""]);
    assert_eq!(wish.filter[0].value, [""]);
}

#[test]
fn words_are_taken_in_their_own_case_and_with_nothing_below_them() {
    for (form, kind) in [
        ("Kind=small", Some(Kind::Small)),
        ("Kind=very-large", Some(Kind::VeryLarge)),
    ] {
        assert_eq!(decode(form).unwrap().kind, kind);
    }
    for (form, code) in [
        ("Kind=Small", "InvalidParameterValue"),
        ("Kind=small+", "InvalidParameterValue"),
        ("Kind=VeryLarge", "InvalidParameterValue"),
        ("Kind.1=small", "UnknownParameter"),
        ("Kind.Small=1", "UnknownParameter"),
        ("Flag.1=true", "UnknownParameter"),
        ("Flag=TRUE", "InvalidParameterValue"),
        ("Count.1=5", "UnknownParameter"),
        ("Options.Tokens.1=x", "UnknownParameter"),
        ("Options.1.Tokens=x", "UnknownParameter"),
        ("Options.Tokens=a&Options=b", "InvalidParameterCombination"),
    ] {
        assert_eq!(decode(form).unwrap_err().code, code, "{form}");
    }
}

#[test]
fn a_value_that_is_told_is_cut() {
    let error = decode(&format!("Count={}", "9".repeat(5000))).unwrap_err();
    assert!(
        error
            .message
            .contains(&format!("Value ({}) for", "9".repeat(100))),
        "{}",
        error.message
    );
    let error = decode(&format!("{}=1", "N".repeat(5000))).unwrap_err();
    assert_eq!(
        error.message,
        format!("The parameter {} is not recognized", "N".repeat(200))
    );
}
