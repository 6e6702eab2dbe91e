//! When in the course of a call its effects are asked for.

use std::time::Duration;

use time::OffsetDateTime;

use super::{LostAnswer, planned};
use crate::{
    faults::{StruckAfter, When},
    ledger::{End, InstanceFaults, Interruption, Linger, Mishap, MishapKind, TagEdit},
};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn an_answer_can_be_lost_before_during_and_after_its_work() {
    use LostAnswer::{Hang, Reset};
    for (members, arriving, after) in [
        (r#""when": "before""#, Some((Reset, When::Before)), None),
        (
            r#""when": "before", "hang": true"#,
            Some((Hang, When::Before)),
            None,
        ),
        (r#""when": "during""#, Some((Reset, When::During)), None),
        (r#""when": "after""#, None, Some(Reset)),
        (r#""hang": true"#, None, Some(Hang)),
    ] {
        let faults = planned(&format!(
            r#"{{"rules": [{{"action": "RunInstances", "effect": {{"lose-answer": {{{members}}}}}}}]}}"#
        ));
        assert_eq!(faults.arriving("DescribeInstances"), None, "{members}");
        assert_eq!(faults.arriving("RunInstances"), arriving, "{members}");
        assert_eq!(faults.after("RunInstances").lost, after, "{members}");
        assert_eq!(faults.arriving("RunInstances"), None, "{members}");
    }
}

#[test]
fn a_call_can_fail_or_wait_although_its_work_is_done() {
    let faults = planned(
        r#"{"rules": [
            {"action": "RunInstances", "effect": {"fail": {"code": "InternalError", "done": true}}},
            {"action": "RunInstances", "effect": {"pause": {"milliseconds": 20000, "done": true}}}]}"#,
    );
    let before = faults.before("RunInstances");
    assert_eq!((before.pause, before.failure), (None, None));
    let expected = StruckAfter {
        pause: Some(Duration::from_secs(20)),
        failure: Some("InternalError".to_owned()),
        lost: None,
    };
    assert_eq!(faults.after("RunInstances"), expected);
    assert_eq!(faults.after("RunInstances"), StruckAfter::default());
}

#[test]
fn a_call_meets_one_effect_of_each_kind_and_the_next_rule_waits() {
    let faults = planned(
        r#"{"rules": [
            {"action": "TerminateInstances", "effect": {"linger": {"milliseconds": 1000}}},
            {"action": "TerminateInstances", "effect": {"linger": {"milliseconds": 2000, "returns": true}}},
            {"action": "GetConsoleOutput", "count": 2, "effect": {"cut-console": {}}},
            {"action": "GetConsoleOutput", "effect": {"cut-console": {"bytes": 10}}}]}"#,
    );
    let now = OffsetDateTime::UNIX_EPOCH;
    let lingers = [(); 3].map(|()| faults.before("TerminateInstances").work.linger(now));
    let linger = |seconds, returns| {
        let until = now + Duration::from_secs(seconds);
        Some(Linger { until, returns })
    };
    assert_eq!(lingers, [linger(1, false), linger(2, true), None]);
    // The console comes late, then cut, then whole.
    let bytes = [(); 4].map(|()| faults.before("GetConsoleOutput").work.console());
    assert_eq!(bytes, [Some(0), Some(0), Some(10), None]);
}

/// What an effect is to write into an instance.
type Written = fn(&mut InstanceFaults, OffsetDateTime);

const WRITTEN: &[(&str, Written)] = &[
    (
        r#"{"spot-loss": {"after_milliseconds": 5, "notice_milliseconds": 5, "spared": true}}"#,
        |faults, now| {
            let (notice, end) = (now + 5 * MILLISECOND, now + 10 * MILLISECOND);
            let spared = true;
            faults.interruption = Some(Interruption { notice, end, spared });
        },
    ),
    (
        r#"{"end": {"after_milliseconds": 7, "code": "Client.VolumeLimitExceeded", "message": "Volume limit exceeded"}}"#,
        |faults, now| {
            faults.end = Some(End {
                at: now + 7 * MILLISECOND,
                code: "Client.VolumeLimitExceeded".to_owned(),
                message: "Volume limit exceeded".to_owned(),
            });
        },
    ),
    (
        r#"{"mishap": {"after_milliseconds": 0, "kind": "power-cut"}}"#,
        |faults, at| {
            let kind = MishapKind::PowerCut;
            faults.mishap = Some(Mishap { at, kind });
        },
    ),
    (r#"{"stall": {"after_bytes": 40}}"#, |faults, _| {
        faults.stall_after_bytes = Some(40);
    }),
    (r#"{"slow-link": {"bytes_per_second": 1}}"#, |faults, _| {
        faults.bytes_per_second = Some(1);
    }),
    (r#""no-user-data""#, |faults, _| faults.without_user_data = true),
    (
        r#"{"edit-tags": {"after_milliseconds": 3, "set": {"a": "b"}, "remove": ["c"]}}"#,
        |faults, now| {
            faults.tag_edits = vec![TagEdit {
                at: now + 3 * MILLISECOND,
                set: [("a".to_owned(), "b".to_owned())].into(),
                remove: vec!["c".to_owned()],
            }];
        },
    ),
    (r#""host-key-changes""#, |faults, _| {
        faults.host_key_changes = true
    }),
    (r#""reuse-address""#, |_, _| {}),
];

#[test]
fn what_befalls_instances_is_written_into_them() {
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    for (effect, write) in WRITTEN {
        let mut expected = InstanceFaults::default();
        write(&mut expected, now);
        let faults = planned(&format!(
            r#"{{"rules": [{{"action": "RunInstances", "effect": {effect}}}]}}"#
        ));
        let written = faults.before("RunInstances").work.of_instance(now);
        assert_eq!(written, expected, "{effect}");
        // The ledger's file has it, and gives it back.
        let text = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<InstanceFaults>(&text).unwrap(), expected);
    }
}
