use super::{Form, MOST};

#[test]
fn broken_forms_are_refused() {
    for broken in ["A=%zz", "A=%f", "A=1&B=%", "A=%ff", "%=1"] {
        assert_eq!(
            Form::parse(&[broken]).unwrap_err().code,
            "MalformedQueryString",
            "{broken}"
        );
    }
    assert_eq!(
        Form::parse(&["A=1", "A=2"]).unwrap_err().code,
        "InvalidParameterCombination"
    );
}

#[test]
fn what_is_asked_for_leaves_the_signature_out() {
    let form = Form::parse(&[
        "Action=X&Version=1&B=a+b%2B%C3%BC",
        "Timestamp=now&Signature=s&A=",
    ])
    .unwrap();
    assert_eq!(form.asked().collect::<Vec<_>>(), [("A", ""), ("B", "a b+ü")]);
    assert_eq!((form.get("A"), form.get("Action")), (None, Some("X")));
}

#[test]
fn a_trial_is_asked_for_by_a_boolean_and_nothing_else() {
    let dry_run = |form: &str| Form::parse(&[form]).unwrap().dry_run();
    assert_eq!((dry_run("A=1"), dry_run("DryRun=true")), (Ok(false), Ok(true)));
    assert_eq!(dry_run("DryRun=maybe").unwrap_err().code, "InvalidParameterValue");
}

#[test]
fn a_form_is_read_as_browsers_write_it() {
    for (form, name, value) in [
        ("A=b", "A", Some("b")),
        ("A=b&", "A", Some("b")),
        ("&&A=b", "A", Some("b")),
        ("A=b=c", "A", Some("b=c")),
        ("A=b+c", "A", Some("b c")),
        ("A=b%2Bc", "A", Some("b+c")),
        ("A=%F0%9F%9A%80", "A", Some("\u{1f680}")),
        ("%41=b", "A", Some("b")),
        ("A.1=b", "A.1", Some("b")),
        ("A", "A", None),
        ("A=", "A", None),
        ("a=b", "A", None),
        ("", "A", None),
    ] {
        assert_eq!(Form::parse(&[form]).unwrap().get(name), value, "{form}");
    }
}

#[test]
fn a_name_comes_once_in_query_and_body_together() {
    for forms in [
        &["A=1&A=1"][..],
        &["A=1", "A=1"],
        &["A=", "%41="],
        &["A=1&B=1&A=2"],
    ] {
        let error = Form::parse(forms).unwrap_err();
        assert_eq!(error.code, "InvalidParameterCombination", "{forms:?}");
        assert_eq!(error.message, "The parameter A appears more than once");
    }
    let both = Form::parse(&["A=1", "a=2"]).unwrap();
    assert_eq!(both.iter().collect::<Vec<_>>(), [("A", "1"), ("a", "2")]);
}

#[test]
fn parameters_are_counted_before_they_are_kept() {
    let form = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|number| format!("P{number}=")).collect();
        pairs.join("&")
    };
    assert_eq!(Form::parse(&[&form(MOST)]).unwrap().iter().count(), MOST);
    let error = Form::parse(&[&form(MOST), "One=more"]).unwrap_err();
    assert_eq!(error.code, "RequestLimitExceeded");
}

#[test]
fn names_are_sorted_as_bytes_as_signatures_of_version_2_want_them() {
    let form = Form::parse(&["b=&a.10=&a.2=&B=&%C3%BC=&a="]).unwrap();
    let names: Vec<&str> = form.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["B", "a", "a.10", "a.2", "b", "ü"]);
}

#[test]
fn a_trial_is_spelled_as_any_boolean() {
    for (form, asked) in [
        ("DryRun=true", Some(true)),
        ("DryRun=True", Some(true)),
        ("DryRun=1", Some(true)),
        ("DryRun=false", Some(false)),
        ("DryRun=False", Some(false)),
        ("DryRun=0", Some(false)),
        ("DryRun=", Some(false)),
        ("", Some(false)),
        ("DryRun=TRUE", None),
        ("DryRun=yes", None),
        ("DryRun=+true", None),
        ("DryRun=01", None),
    ] {
        assert_eq!(Form::parse(&[form]).unwrap().dry_run().ok(), asked, "{form}");
    }
}

#[test]
fn a_form_can_be_read_without_some_of_its_parameters() {
    let form = Form::parse(&["MaxResults=5&NextToken=x&NextTokens=y&Action=A"]).unwrap();
    let rest = form.without(&["MaxResults", "NextToken", "Absent"]);
    let names: Vec<&str> = rest.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Action", "NextTokens"]);
    assert_eq!(form.iter().count(), 4, "the form itself stays");
}
