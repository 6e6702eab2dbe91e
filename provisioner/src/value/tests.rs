use super::*;
use serde_json::json;

#[test]
fn numbers_with_a_fraction_are_written_as_python_does() {
    let cases = [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (2.5e-5, "2.5e-05"),
        (0.0001, "0.0001"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (123_456_789.125, "123456789.125"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];
    for (number, expected) in cases {
        assert_eq!(Value::Float(number).to_text().as_deref(), Ok(expected));
    }
    let texts =
        [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(|number| Value::Float(number).to_json_text());
    assert_eq!(
        texts,
        ["Infinity", "-Infinity", "NaN"].map(|text| Ok(text.to_owned()))
    );
}

#[test]
fn what_is_not_there_is_an_error_once_it_is_used() {
    let missing = || Value::Undefined("`x` is undefined".to_owned());
    let error = || "`x` is undefined".to_owned();
    let list = Value::List(vec![Value::Int(1), missing()]);
    assert_eq!(list.to_text(), Err(error()));
    assert_eq!(list.to_json_text(), Err(error()));
    assert_eq!(missing().is_true(), Err(error()));
    assert_eq!(list.finished(), Err(error()));
    assert!(Value::NoElse.present().is_err());
}

#[test]
fn omit_is_left_out_of_lists_and_mappings() {
    let inner = Value::Map(map([("a", Value::Omit), ("b", Value::Int(1))]));
    let list = Value::List(vec![Value::Omit, inner]);
    let left = list.finished().expect("the rest");
    assert_eq!(left.to_json(), json!([{ "b": 1 }]));
    assert_eq!(Value::Omit.finished(), Ok(Value::Omit));
    assert!(Value::Omit.to_text().is_err() && Value::Omit.to_json_text().is_err());
}

#[test]
fn json_goes_both_ways_and_keeps_the_order() {
    let text = r#"{"b": 1, "a": [true, null, 1.5, "x"], "c": {}}"#;
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(value.to_json_text().as_deref(), Ok(text));
    assert_eq!(Value::from(value.to_json()).to_json(), value.to_json());
    let large = serde_json::from_str::<Value>("18446744073709551615").expect_err("too large");
    assert!(
        large.to_string().starts_with("a number is larger than 64 bits"),
        "{large}"
    );
}
