use serde_json::json;

use super::*;

pub(super) fn event(kind: &str, id: &str, state: &str, at: &str) -> Value {
    json!({"subject_kind": kind, "subject_id": id, "new_state": state, "at": format!("2026-11-28T12:00:{at}Z")})
}

#[test]
fn a_fleet_is_settled_when_all_of_it_is_as_the_case_wants_it() {
    for (builders, is_warm, is_cold) in [
        (json!({}), false, true),
        (json!({"ready": 1}), true, false),
        (json!({"ready": 2, "gone": 0}), true, false),
        (json!({"ready": 1, "launching": 1}), false, false),
        (json!({"draining": 1}), false, false),
        (json!({"ready": 0, "draining": 0}), false, true),
    ] {
        let fleet = json!({ "builders": builders });
        assert_eq!(is_settled(&fleet, Readiness::Warm).unwrap(), is_warm, "{fleet}");
        assert_eq!(is_settled(&fleet, Readiness::Cold).unwrap(), is_cold, "{fleet}");
    }
    let error = is_settled(&json!({"error": "x"}), Readiness::Warm).unwrap_err();
    assert_eq!(error.to_string(), "/api/fleet tells no builders");
}

#[test]
fn cases_are_named_or_all_are_measured() {
    let wanted = |cases: &[Case]| Pipeline {
        runs: 1,
        cases: cases.to_vec(),
        no_install: true,
    };
    for (cases, has_once, has_reuse) in [
        (&[][..], true, true),
        (&[Case::Once][..], true, false),
        (&[Case::Reuse][..], false, true),
        (&[Case::Reuse, Case::Once][..], true, true),
    ] {
        let wanted = wanted(cases);
        assert_eq!(wanted.has(Case::Once), has_once, "{cases:?}");
        assert_eq!(wanted.has(Case::Reuse), has_reuse, "{cases:?}");
    }
}

#[test]
fn a_build_came_into_a_state_when_its_event_says_so() {
    let events = [
        event("attempt", "1", "succeeded", "01"),
        event("build", "7", "pending", "02"),
        event("build", "7", "succeeded", "09.25"),
    ];
    let took = when(&events, "succeeded").unwrap() - when(&events, "pending").unwrap();
    assert!((took.as_seconds_f64() - 7.25).abs() < 1e-9, "{took}");
    let error = when(&events, "canceled").unwrap_err();
    assert_eq!(error.to_string(), "no event says when the build was canceled");
}

/// The words of the line that begins so, after that.
pub(super) fn figures(report: &str, what: &str) -> String {
    let line = report
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(what));
    let words = line.unwrap_or_else(|| panic!("no line {what}: {report}"));
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn passage(bare: Option<f64>, accepted: f64) -> Passage {
    Passage {
        bare,
        whole: accepted + 0.5,
        accepted,
        phases: vec![
            ("queue", Some(0.25)),
            ("root", None),
            ("rpmbuild", Some(accepted - 1.0)),
        ],
        seen: 0.75,
        builder: "b".to_owned(),
    }
}

#[test]
fn the_report_compares_each_passage_with_the_bare_build_beside_it() {
    let warm = vec![
        passage(Some(2.0), 5.0),
        passage(Some(4.0), 9.0),
        passage(Some(2.5), 6.0),
    ];
    let cold = vec![passage(None, 30.0)];
    let text = report("hello", &[(warm, "builder ready"), (cold, "no builder")]);
    for (what, expected) in [
        ("bare rpmbuild --rebuild, on the builder", "3 2.50 2.00 4.00"),
        (
            "accepted to installable, builder ready",
            "3 6.00 5.00 9.00 x 2.40",
        ),
        (
            "copr-cli's start to installable, builder ready",
            "3 6.50 5.50 9.50 x 2.60",
        ),
        // In pairs: 3, 5 and 3.5.
        (
            "accepted to installable over bare, builder ready",
            "3 3.50 3.00 5.00",
        ),
        (
            "accepted to installable, no builder",
            "1 30.00 30.00 30.00 x 12.00",
        ),
        (
            "accepted to installable over bare, no builder",
            "1 27.50 27.50 27.50",
        ),
        ("queue ", "3 0.25 0.25 0.25"),
        ("root ", "not measured"),
        ("rpmbuild ", "3 5.00 4.00 8.00"),
        ("publish ", "not measured"),
        ("seen by a dnf that asks anew", "3 0.75 0.75 0.75"),
    ] {
        assert_eq!(figures(&text, what), expected, "{what}");
    }
    assert!(
        report("hello", &[]).contains("not measured"),
        "nothing to divide by"
    );
}
