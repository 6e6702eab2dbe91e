use std::time::Duration;

use time::OffsetDateTime;

use super::{Fault, FaultPlan, Faults, LostAnswer, Struck, Work, die, read};
use crate::ledger::{InstanceFaults, Interruption};

mod limits;
mod rows;
mod stages;

fn plan(text: &str) -> Result<FaultPlan, String> {
    let plan: FaultPlan = read(text.as_bytes())?;
    let actions = [
        "DescribeInstances",
        "GetConsoleOutput",
        "RunInstances",
        "TerminateInstances",
    ];
    plan.check(|action| actions.contains(&action))?;
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
        (first.failure, first.work.is_without_ssh()),
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
        ..Struck::default()
    };
    assert_eq!(faults.before("DescribeInstances"), slow);
    assert_eq!(
        failures(&faults, "DescribeInstances", 3),
        "RequestLimitExceeded RequestLimitExceeded -"
    );
    let answers: Vec<_> = (0..3).map(|_| faults.after("RunInstances").lost).collect();
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
            (struck.failure.as_deref(), struck.work.is_without_ssh()),
            (Some("VcpuLimitExceeded"), false)
        );
    }
    let struck = faults.before("RunInstances");
    assert_eq!((struck.failure, struck.work.is_without_ssh()), (None, true));
    assert_eq!(faults.after("RunInstances").lost, Some(LostAnswer::Reset));
    assert_eq!(faults.after("RunInstances").lost, None);
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

/// A plan whose second rule is this.
fn second_rule(rest: &str) -> String {
    format!(r#"{{"rules": [{{"action": "RunInstances", "effect": "no-ssh"}}, {{{rest}}}]}}"#)
}

fn is_refused(text: &str, reason: &str) {
    let refused = plan(text).unwrap_err();
    assert!(refused.starts_with(reason), "{text}: {refused}");
}

#[test]
fn a_plan_that_would_not_do_what_it_says_is_refused_with_the_place() {
    let fail = r#""action": "RunInstances", "effect": {"fail": {"code": "X"}}"#;
    for (text, reason) in [
        (
            r#"{"rule": []}"#,
            "there is no member `rule`: there are `seed`, `rules`, `buckets`, `quotas`",
        ),
        ("{}", "the member `rules` is missing"),
        (
            r#"{"rules": [], "seed": -1}"#,
            "seed: it is -1, not a whole number from 0",
        ),
    ] {
        is_refused(text, reason);
    }
    let effect = r#""action": "RunInstances", "effect""#;
    for (rule, reason) in [
        (
            r#""action": "RunInstances""#,
            "rules[1]: the member `effect` is missing",
        ),
        (
            &format!(r#"{effect}: "flood""#),
            "rules[1].effect: there is no `flood`: there are `fail`, `pause`",
        ),
        (
            &format!(r#"{effect}: {{"fail": {{"kode": "X"}}}}"#),
            "rules[1].effect.fail: there is no member `kode`: there are `code` and `done`",
        ),
        (
            &format!(r#"{fail}, "first": 1"#),
            "rules[1]: there is no member `first`: there are `action`",
        ),
        (
            r#""action": "RunInstance", "effect": "no-ssh""#,
            "rules[1].action: this cloud has no action RunInstance",
        ),
        (
            &format!(r#"{fail}, "count": 0"#),
            "rules[1].count: a rule strikes at least one call",
        ),
        (
            &format!(r#"{fail}, "percent": 0"#),
            "rules[1].percent: 0 is not from 1 to 100",
        ),
        (
            &format!(r#"{fail}, "percent": 101"#),
            "rules[1].percent: 101 is not from 1 to 100",
        ),
    ] {
        is_refused(&second_rule(rule), reason);
    }
    let many = vec![format!("{{{fail}}}"); 1001].join(",");
    assert_eq!(
        plan(&format!(r#"{{"rules": [{many}]}}"#)).unwrap_err(),
        "rules: there are more than 1000"
    );
}

/// An action, an effect that its calls cannot have, and how that is refused.
const NO_EFFECTS: &str = r#"
RunInstances {"fail": {"code": "a <b>"}} => effect.fail.code: "a <b>" is not letters
RunInstances {"fail": {"code": ""}} => effect.fail.code: "" is not letters
RunInstances {"pause": {"milliseconds": 0}} => effect.pause.milliseconds: 0 is not from 1 to 3600000
RunInstances {"slow-boot": {"milliseconds": 0}} => effect.slow-boot.milliseconds: 0 is not from 1 to 3600000
RunInstances {"delay-visibility": {"milliseconds": 3600001}} => effect.delay-visibility.milliseconds: 3600001 is not from 1 to 3600000
RunInstances {"spot-loss": {"after_milliseconds": 3600001}} => effect.spot-loss.after_milliseconds: 3600001 is not from 0 to 3600000
RunInstances {"spot-loss": {"after_milliseconds": 0, "notice_milliseconds": 3600001}} => effect.spot-loss.notice_milliseconds: 3600001 is not from 0 to 3600000
DescribeInstances {"leave-out": {"percent": 0}} => effect.leave-out.percent: 0 is not from 1 to 100
DescribeInstances {"leave-out": {"percent": 101}} => effect.leave-out.percent: 101 is not from 1 to 100
DescribeInstances "no-ssh" => effect: this one is of calls of RunInstances, not of DescribeInstances
DescribeInstances "wrong-host-key" => effect: this one is of calls of RunInstances, not of DescribeInstances
DescribeInstances {"slow-boot": {"milliseconds": 1}} => effect: this one is of calls of RunInstances, not of DescribeInstances
DescribeInstances {"delay-visibility": {"milliseconds": 1}} => effect: this one is of calls of RunInstances, not of DescribeInstances
DescribeInstances {"spot-loss": {"after_milliseconds": 1}} => effect: this one is of calls of RunInstances, not of DescribeInstances
RunInstances {"delay-tags": {"milliseconds": 0}} => effect.delay-tags.milliseconds: 0 is not from 1 to 3600000
RunInstances {"edit-tags": {}} => effect.edit-tags: it sets and removes nothing
RunInstances {"edit-tags": {"set": ["a"]}} => effect.edit-tags.set: it is a list, not a mapping
RunInstances {"end": {"after_milliseconds": 0, "code": "a b"}} => effect.end.code: "a b" is not letters
RunInstances {"mishap": {"after_milliseconds": 0, "kind": "fire"}} => effect.mishap.kind: there is no `fire`: there are `freeze`, `partition`, `power-cut`
RunInstances {"slow-link": {"bytes_per_second": 0}} => effect.slow-link.bytes_per_second: 0 is not from 1
RunInstances {"shortage": {"milliseconds": 0}} => effect.shortage.milliseconds: 0 is not from 1 to 3600000
RunInstances {"shortage": {"milliseconds": 1, "market": "black"}} => effect.shortage.market: there is no `black`: there are `spot` and `on-demand`
RunInstances {"strangers": {"count": 101}} => effect.strangers.count: 101 is not from 1 to 100
RunInstances {"lose-answer": {"when": "never"}} => effect.lose-answer.when: there is no `never`: there are `before`, `during`, `after`
DescribeInstances {"bare-rows": {"percent": 0}} => effect.bare-rows.percent: 0 is not from 1 to 100
DescribeInstances {"old-states": {"percent": 101}} => effect.old-states.percent: 101 is not from 1 to 100
TerminateInstances {"linger": {"milliseconds": 0}} => effect.linger.milliseconds: 0 is not from 1 to 3600000
DescribeInstances {"linger": {"milliseconds": 1}} => effect: this one is of calls of TerminateInstances, not of DescribeInstances
RunInstances {"cut-console": {}} => effect: this one is of calls of GetConsoleOutput, not of RunInstances
* "no-ssh" => effect: this one is of calls of RunInstances, not of *
RunInstances "double" => effect: this one is of calls of DescribeInstances, not of RunInstances
RunInstances {"leave-out": {"percent": 5}} => effect: this one is of calls of DescribeInstances, not of RunInstances
"#;

#[test]
fn an_effect_that_is_none_is_refused() {
    for line in NO_EFFECTS.lines().skip(1) {
        let (rule, reason) = line.split_once(" => ").unwrap();
        let (action, effect) = rule.split_once(' ').unwrap();
        let rule = second_rule(&format!(r#""action": "{action}", "effect": {effect}"#));
        is_refused(&rule, &format!("rules[1].{reason}"));
    }
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
        (
            r#"{"fault": "spot-loss", "instance": "i-1", "notice_milliseconds": 3600001}"#,
            "notice_milliseconds: 3600001 is not from 0 to 3600000",
        ),
    ] {
        let fault: Fault = serde_json::from_str(text).unwrap();
        let refused = faults.line_up(&fault).unwrap_err();
        assert!(refused.starts_with(reason), "{text}: {refused}");
    }
    for text in [
        r#"{"fault": "flood"}"#,
        r#"{"fault": "heal"}"#,
        r#"{"fault": "spot-loss"}"#,
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

#[test]
fn what_a_launch_meets_is_written_into_its_instances() {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let at = |milliseconds: i64| now + time::Duration::milliseconds(milliseconds);
    let nothing = InstanceFaults::default();
    for (effect, without_ssh, expected) in [
        (r#"{"pause": {"milliseconds": 1}}"#, false, nothing.clone()),
        (r#""no-ssh""#, true, nothing.clone()),
        (
            r#""wrong-host-key""#,
            false,
            InstanceFaults {
                other_host_key: true,
                ..nothing.clone()
            },
        ),
        (
            r#"{"slow-boot": {"milliseconds": 20000}}"#,
            false,
            InstanceFaults {
                slow_boot_milliseconds: 20_000,
                ..nothing.clone()
            },
        ),
        (
            r#"{"delay-visibility": {"milliseconds": 1500}}"#,
            false,
            InstanceFaults {
                hidden_until: Some(at(1500)),
                ..nothing.clone()
            },
        ),
        (
            r#"{"spot-loss": {"after_milliseconds": 2000}}"#,
            false,
            InstanceFaults {
                interruption: Some(Interruption {
                    notice: at(2000),
                    end: at(2000),
                    spared: false,
                }),
                ..nothing.clone()
            },
        ),
        (
            r#"{"spot-loss": {"after_milliseconds": 0, "notice_milliseconds": 120000}}"#,
            false,
            InstanceFaults {
                interruption: Some(Interruption {
                    notice: now,
                    end: at(120_000),
                    spared: false,
                }),
                ..nothing.clone()
            },
        ),
    ] {
        let rule = format!(r#"{{"rules": [{{"action": "RunInstances", "effect": {effect}}}]}}"#);
        let faults = planned(&rule);
        let other = faults.before("DescribeInstances");
        assert_eq!(other, Struck::default(), "{effect} is of launches");
        let struck = faults.before("RunInstances");
        assert_eq!(
            (struck.work.is_without_ssh(), struck.work.of_instance(now)),
            (without_ssh, expected),
            "{effect}"
        );
        let next = faults.before("RunInstances").work;
        assert_eq!(next, Work::default(), "{effect} strikes once");
    }
}

#[test]
fn a_launch_may_meet_several_faults_and_one_that_fails_none() {
    let faults = planned(
        r#"{"rules": [
            {"action": "RunInstances", "effect": {"fail": {"code": "X"}}},
            {"action": "RunInstances", "effect": "wrong-host-key"},
            {"action": "RunInstances", "effect": {"delay-visibility": {"milliseconds": 10}}}]}"#,
    );
    assert_eq!(faults.before("RunInstances").work, Work::default());
    let now = OffsetDateTime::UNIX_EPOCH;
    let launched = faults.before("RunInstances").work.of_instance(now);
    assert!(launched.other_host_key);
    assert_eq!(launched.hidden_until, Some(now + Duration::from_millis(10)));
}
