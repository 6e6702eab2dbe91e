use std::time::Duration;

use super::{Fault, FaultPlan, Faults, LostAnswer, Struck, die};

fn plan(text: &str) -> Result<FaultPlan, String> {
    let plan: FaultPlan = serde_json::from_str(text).map_err(|error| error.to_string())?;
    plan.check(|action| ["RunInstances", "DescribeInstances"].contains(&action))?;
    Ok(plan)
}

fn planned(text: &str) -> Faults {
    let faults = Faults::default();
    faults.set(plan(text).unwrap());
    faults
}

/// The codes of the next calls' failures; `-` for a call that passes.
fn failures(faults: &Faults, action: &str, calls: usize) -> String {
    let codes = (0..calls).map(|_| faults.before(action).failure.unwrap_or_else(|| "-".to_owned()));
    codes.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_plan_says_in_full_what_becomes_of_which_calls() {
    let faults = planned(
        r#"{"seed": 7, "rules": [
            {"action": "RunInstances", "after": 1, "count": 2, "effect": {"fail": {"code": "A"}}},
            {"action": "RunInstances", "after": 2, "effect": {"fail": {"code": "B.C"}}},
            {"action": "DescribeInstances", "count": 3, "effect": {"fail": {"code": "RequestLimitExceeded"}}},
            {"action": "DescribeInstances", "effect": {"pause": {"milliseconds": 250}}},
            {"action": "RunInstances", "effect": "no-ssh"},
            {"action": "RunInstances", "effect": {"lose-answer": {}}},
            {"action": "RunInstances", "effect": {"lose-answer": {"hang": true}}}]}"#,
    );
    let first = faults.before("RunInstances");
    assert_eq!(
        (first.failure, first.without_ssh),
        (None, true),
        "the rest of it passes"
    );
    assert_eq!(
        failures(&faults, "RunInstances", 5),
        "A A - B.C -",
        "a rule counts the calls that come to it"
    );
    let slow = Struck {
        pause: Some(Duration::from_millis(250)),
        failure: Some("RequestLimitExceeded".to_owned()),
        without_ssh: false,
    };
    assert_eq!(faults.before("DescribeInstances"), slow);
    assert_eq!(
        failures(&faults, "DescribeInstances", 3),
        "RequestLimitExceeded RequestLimitExceeded -"
    );
    let answers: Vec<_> = (0..3).map(|_| faults.after("RunInstances")).collect();
    assert_eq!(answers, [Some(LostAnswer::Reset), Some(LostAnswer::Hang), None]);
    assert_eq!(
        faults.before("RunInstances"),
        Struck::default(),
        "all rules are used up"
    );
}

#[test]
fn a_call_that_fails_uses_up_nothing_of_what_it_never_came_to() {
    let faults = Faults::default();
    for text in [
        r#"{"fault": "no-ssh"}"#,
        r#"{"fault": "lose-answer"}"#,
        r#"{"fault": "fail-run-instances", "code": "VcpuLimitExceeded", "count": 2}"#,
        // One of an instance is made at once, and no launch meets it.
        r#"{"fault": "freeze", "instance": "i-00000001"}"#,
    ] {
        let fault: Fault = serde_json::from_str(text).unwrap();
        faults.line_up(&fault).unwrap();
    }
    assert_eq!(
        failures(&faults, "DescribeInstances", 1),
        "-",
        "they are of launches"
    );
    for _ in 0..2 {
        let struck = faults.before("RunInstances");
        assert_eq!(
            (struck.failure.as_deref(), struck.without_ssh),
            (Some("VcpuLimitExceeded"), false)
        );
    }
    let struck = faults.before("RunInstances");
    assert_eq!((struck.failure, struck.without_ssh), (None, true));
    assert_eq!(faults.after("RunInstances"), Some(LostAnswer::Reset));
    assert_eq!(faults.after("RunInstances"), None);
}

#[test]
fn a_seed_strikes_the_same_calls_again_and_about_as_many_as_it_says() {
    let struck = |seed: u64| {
        let faults = planned(&format!(
            r#"{{"seed": {seed}, "rules": [{{"action": "RunInstances", "count": 1000, "percent": 30,
                "effect": {{"fail": {{"code": "X"}}}}}}]}}"#
        ));
        failures(&faults, "RunInstances", 1000)
    };
    let first = struck(1);
    assert_eq!(first, struck(1));
    assert_ne!(first, struck(2));
    for seed in 1..4 {
        let count = struck(seed).matches('X').count();
        assert!((250..350).contains(&count), "seed {seed} struck {count} of 1000");
    }
    let mut faces: Vec<u8> = (0..2000).map(|cast| die(1, cast)).collect();
    faces.sort();
    faces.dedup();
    assert_eq!(
        (faces.first(), faces.last(), faces.len()),
        (Some(&0), Some(&99), 100)
    );
}

#[test]
fn a_new_plan_replaces_what_was_left_of_the_old_one() {
    let faults = planned(
        r#"{"rules": [{"action": "RunInstances", "count": 9, "effect": {"fail": {"code": "Old"}}}]}"#,
    );
    assert_eq!(failures(&faults, "RunInstances", 1), "Old");
    faults.set(plan(r#"{"rules": []}"#).unwrap());
    assert_eq!(failures(&faults, "RunInstances", 1), "-");
}

#[test]
fn a_plan_that_would_not_do_what_it_says_is_refused_with_the_place() {
    let rule = |rest: &str| {
        format!(r#"{{"rules": [{{"action": "RunInstances", "effect": "no-ssh"}}, {{{rest}}}]}}"#)
    };
    let fail = r#""action": "RunInstances", "effect": {"fail": {"code": "X"}}"#;
    for (text, reason) in [
        (r#"{"rule": []}"#.to_owned(), "unknown field `rule`"),
        ("{}".to_owned(), "missing field `rules`"),
        (
            r#"{"rules": [], "seed": -1}"#.to_owned(),
            "invalid value: integer `-1`",
        ),
        (rule(r#""action": "RunInstances""#), "missing field `effect`"),
        (
            rule(r#""action": "RunInstances", "effect": "flood""#),
            "unknown variant `flood`",
        ),
        (
            rule(r#""action": "RunInstances", "effect": {"fail": {"kode": "X"}}"#),
            "unknown field `kode`",
        ),
        (rule(&format!(r#"{fail}, "first": 1"#)), "unknown field `first`"),
        (
            rule(r#""action": "RunInstance", "effect": "no-ssh""#),
            "rules[1].action: this cloud has no action RunInstance",
        ),
        (
            rule(&format!(r#"{fail}, "count": 0"#)),
            "rules[1].count: a rule strikes at least one call",
        ),
        (
            rule(&format!(r#"{fail}, "percent": 0"#)),
            "rules[1].percent: 0 is not from 1 to 100",
        ),
        (
            rule(&format!(r#"{fail}, "percent": 101"#)),
            "rules[1].percent: 101 is not from 1 to 100",
        ),
        (
            rule(r#""action": "RunInstances", "effect": {"fail": {"code": "a <b>"}}"#),
            r#"rules[1].effect.fail.code: "a <b>" is not letters"#,
        ),
        (
            rule(r#""action": "RunInstances", "effect": {"fail": {"code": ""}}"#),
            r#"rules[1].effect.fail.code: "" is not letters"#,
        ),
        (
            rule(r#""action": "RunInstances", "effect": {"pause": {"milliseconds": 0}}"#),
            "rules[1].effect.pause.milliseconds: 0 is not from 1 to 600000",
        ),
        (
            rule(r#""action": "RunInstances", "effect": {"pause": {"milliseconds": 600001}}"#),
            "rules[1].effect.pause.milliseconds: 600001 is not from 1 to 600000",
        ),
        (
            rule(r#""action": "DescribeInstances", "effect": "no-ssh""#),
            "rules[1].effect: only RunInstances launches instances, not DescribeInstances",
        ),
    ] {
        let refused = plan(&text).unwrap_err();
        assert!(refused.starts_with(reason), "{text}: {refused}");
    }
    let many = vec![format!("{{{fail}}}"); 1001].join(",");
    assert_eq!(
        plan(&format!(r#"{{"rules": [{many}]}}"#)).unwrap_err(),
        "rules: there are more than 1000"
    );
}

#[test]
fn one_fault_is_checked_as_a_plans_is() {
    let faults = Faults::default();
    for (text, reason) in [
        (
            r#"{"fault": "no-ssh", "count": 0}"#,
            "count: a rule strikes at least one call",
        ),
        (
            r#"{"fault": "fail-run-instances", "code": "no code"}"#,
            "effect.fail.code: \"no code\" is not",
        ),
    ] {
        let fault: Fault = serde_json::from_str(text).unwrap();
        let refused = faults.line_up(&fault).unwrap_err();
        assert!(refused.starts_with(reason), "{text}: {refused}");
    }
    for text in [
        r#"{"fault": "flood"}"#,
        r#"{"fault": "heal"}"#,
        r#"{"fault": "no-ssh", "instance": "i-1"}"#,
    ] {
        assert!(serde_json::from_str::<Fault>(text).is_err(), "{text}");
    }
    let fault: Fault = serde_json::from_str(r#"{"fault": "no-ssh"}"#).unwrap();
    for _ in 0..1000 {
        faults.line_up(&fault).unwrap();
    }
    assert_eq!(
        faults.line_up(&fault).unwrap_err(),
        "more than 1000 faults are lined up"
    );
}
