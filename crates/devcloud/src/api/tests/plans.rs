//! What clients see of effects that befall instances, lists and accounts.

use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{Harness, count, faults::plan, texts, told};
use crate::{
    faults::FaultPlan,
    ledger::{Instance, InstanceState},
    testing::{FakeMachines, GREETING},
};

const ONE: &str = "MinCount=1&MaxCount=1";

/// Plans an effect of the next call of an action.
fn next(harness: &Harness, action: &str, effect: &str) {
    plan(
        harness,
        &format!(r#"{{"action": "{action}", "effect": {effect}}}"#),
    );
}

fn instance(harness: &Harness, place: usize) -> std::sync::Arc<Instance> {
    let mut all = harness.service.ledger.instances();
    all.sort_by_key(|one| one.sequence);
    all.swap_remove(place)
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "it is never so that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn tags_come_late_and_somebody_else_edits_them() {
    let tags = "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=pool\
                &TagSpecification.1.Tag.1.Value=ours&TagSpecification.1.Tag.2.Key=owner&TagSpecification.1.Tag.2.Value=me";
    for (effect, at_once, later) in [
        (r#"{"delay-tags": {"milliseconds": 1500}}"#, "", "me ours"),
        (
            r#"{"edit-tags": {"after_milliseconds": 1500, "set": {"pool": "theirs"}, "remove": ["owner"]}}"#,
            "me ours",
            "theirs",
        ),
        (
            r#"{"edit-tags": {"after_milliseconds": 1500, "remove": ["owner", "pool"]}}"#,
            "me ours",
            "",
        ),
    ] {
        let harness = Harness::new(|_| ());
        next(&harness, "RunInstances", effect);
        let launched = harness.run(&format!("{ONE}{tags}")).await.unwrap();
        assert_eq!(texts(&launched, "value").join(" "), at_once, "{effect}");
        until("its tags are edited", || {
            instance(&harness, 0).faults.tag_edits.is_empty()
        })
        .await;
        let described = harness.call("DescribeTags", "").await;
        assert_eq!(told(described, "value"), later, "{effect}");
        let filter = "Filter.1.Name=tag:pool&Filter.1.Value.1=ours";
        let found = harness.call("DescribeInstances", filter).await.unwrap();
        assert_eq!(
            count(&found, "amiLaunchIndex"),
            usize::from(later.contains("ours")),
            "{effect}"
        );
    }
}

#[tokio::test]
async fn an_instance_runs_and_then_ends_for_a_reason_of_its_own() {
    let harness = Harness::new(|_| ());
    next(
        &harness,
        "RunInstances",
        r#"{"end": {"after_milliseconds": 1500, "code": "Client.VolumeLimitExceeded", "message": "Volume limit exceeded"}}"#,
    );
    harness.run(ONE).await.unwrap();
    harness.settled().await;
    assert_eq!(instance(&harness, 0).state, InstanceState::Running);
    until("it ends", || {
        instance(&harness, 0).state == InstanceState::Terminated
    })
    .await;
    let shown = harness.call("DescribeInstances", "").await.unwrap();
    let reason = "<stateReason><code>Client.VolumeLimitExceeded</code>\
                  <message>Client.VolumeLimitExceeded: Volume limit exceeded</message></stateReason>";
    assert!(shown.contains(reason), "{shown}");
}

#[tokio::test]
async fn a_notice_need_not_be_followed_by_an_end() {
    let harness = Harness::new(|_| ());
    next(
        &harness,
        "RunInstances",
        r#"{"spot-loss": {"after_milliseconds": 0, "notice_milliseconds": 200, "spared": true}}"#,
    );
    harness.run(ONE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let instance = instance(&harness, 0);
    assert!(instance.faults.interruption.is_some(), "it is told");
    assert_eq!(instance.state, InstanceState::Running);
}

#[tokio::test]
async fn a_mishap_reaches_the_machine_when_its_time_comes() {
    for (kind, call) in [
        ("freeze", "freeze"),
        ("partition", "partition"),
        ("power-cut", "terminate"),
    ] {
        let (harness, machines) = Harness::with_machines();
        let effect = format!(r#"{{"mishap": {{"after_milliseconds": 1500, "kind": "{kind}"}}}}"#);
        next(&harness, "RunInstances", &effect);
        harness.run(ONE).await.unwrap();
        harness.settled().await;
        let call = format!("{call} {}", harness.ids()[0]);
        let is_made = |machines: &FakeMachines| machines.calls().contains(&call);
        assert!(!is_made(&machines), "{kind} has its time");
        until("the mishap comes", || is_made(&machines)).await;
    }
}

#[tokio::test]
async fn a_termination_is_accepted_and_done_late_or_never() {
    for (returns, end) in [(false, InstanceState::Terminated), (true, InstanceState::Running)] {
        let (harness, machines) = Harness::with_machines();
        harness.run(ONE).await.unwrap();
        harness.settled().await;
        let id = harness.ids()[0].clone();
        let effect = format!(r#"{{"linger": {{"milliseconds": 1500, "returns": {returns}}}}}"#);
        next(&harness, "TerminateInstances", &effect);
        let form = format!("InstanceId.1={id}");
        let accepted = harness.call("TerminateInstances", &form).await;
        assert_eq!(told(accepted, "name"), "shutting-down running");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let again = harness.call("TerminateInstances", &form).await;
        assert_eq!(
            told(again, "name"),
            "shutting-down shutting-down",
            "once more is no help"
        );
        until("it has left the state", || instance(&harness, 0).state == end).await;
        assert_eq!(machines.states().contains_key(&id), returns);
        // The next one ends as ever.
        harness.call("TerminateInstances", &form).await.unwrap();
        until("it ends", || {
            instance(&harness, 0).state == InstanceState::Terminated
        })
        .await;
        until("its machine is gone", || machines.states().is_empty()).await;
    }
}

#[tokio::test]
async fn fewer_instances_than_were_asked_for_or_none_when_they_are_too_few() {
    let harness = Harness::new(|_| ());
    for (form, launched) in [
        ("MinCount=1&MaxCount=10", Ok(6)),
        ("MinCount=6&MaxCount=6", Ok(6)),
        ("MinCount=7&MaxCount=10", Err("InsufficientInstanceCapacity")),
        ("MinCount=1&MaxCount=2", Ok(2)),
    ] {
        next(&harness, "RunInstances", r#"{"fewer": {"count": 6}}"#);
        let answer = harness.run(form).await;
        let told = answer.map(|answer| count(&answer, "amiLaunchIndex"));
        let told = told.map_err(|error| error.code.into_owned());
        assert_eq!(told, launched.map_err(str::to_owned), "{form}");
    }
}

#[tokio::test]
async fn where_there_is_no_room_other_types_and_markets_still_have_some() {
    let harness = Harness::new(|_| ());
    let spot = "InstanceMarketOptions.MarketType=spot";
    next(
        &harness,
        "RunInstances",
        r#"{"shortage": {"milliseconds": 600000, "instance_type": "t3.micro", "market": "spot"}}"#,
    );
    for (form, room) in [
        (format!("{ONE}&InstanceType=t3.micro&{spot}"), false),
        (format!("{ONE}&InstanceType=t3.micro"), true),
        (format!("{ONE}&InstanceType=t3.nano&{spot}"), true),
        (format!("{ONE}&InstanceType=t3.micro&{spot}"), false),
    ] {
        match harness.run(&form).await {
            Ok(_) => assert!(room, "{form}"),
            Err(error) => {
                let told = (room, error.code.as_ref(), error.status.as_u16());
                assert_eq!(told, (false, "InsufficientInstanceCapacity", 500), "{form}");
            }
        }
    }
}

#[tokio::test]
async fn a_freed_address_is_given_to_another_and_one_in_use_never() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=2&MaxCount=2").await.unwrap();
    harness.settled().await;
    let freed = instance(&harness, 0);
    let form = format!("InstanceId.1={}", freed.id);
    harness.call("TerminateInstances", &form).await.unwrap();
    harness.settled().await;
    let reuse = r#"{"action": "RunInstances", "count": 2, "effect": "reuse-address"}"#;
    plan(&harness, reuse);
    harness.run(ONE).await.unwrap();
    let heir = instance(&harness, 2);
    assert_eq!(heir.public_address, freed.public_address);
    assert_ne!(heir.id, freed.id);
    harness.run(ONE).await.unwrap();
    assert_ne!(instance(&harness, 3).public_address, freed.public_address);
    harness.service.ledger.snapshot().check().unwrap();
}

#[tokio::test]
async fn strangers_are_in_the_list_and_in_no_answer_of_a_launch() {
    let harness = Harness::new(|_| ());
    next(
        &harness,
        "RunInstances",
        r#"{"strangers": {"count": 2, "tags": {"pool": "ours"}}}"#,
    );
    let form = format!("{ONE}&ClientToken=t&UserData=IyEvYmluL3No");
    let launched = harness.run(&form).await.unwrap();
    assert_eq!(count(&launched, "amiLaunchIndex"), 1);
    harness.settled().await;
    let all = harness.call("DescribeInstances", "").await.unwrap();
    assert_eq!(count(&all, "amiLaunchIndex"), 3);
    assert_eq!(texts(&all, "clientToken"), ["t", "", ""]);
    assert_eq!(texts(&all, "value"), ["ours", "ours"]);
    let strangers: Vec<bool> = (0..3)
        .map(|place| instance(&harness, place).faults.is_stranger)
        .collect();
    assert_eq!(strangers, [false, true, true], "the ledger knows them");
    assert!(instance(&harness, 1).user_data.is_none());
}

#[tokio::test]
async fn a_quota_counts_strangers_and_what_ended_a_moment_ago() {
    let harness = Harness::new(|_| ());
    let plan: FaultPlan = serde_json::from_str(
        r#"{"rules": [{"action": "RunInstances", "effect": {"strangers": {"count": 1}}}],
            "quotas": {"instances": 2, "freed_after_milliseconds": 2500}}"#,
    )
    .unwrap();
    harness.service.faults.set(plan);
    harness.run(ONE).await.unwrap();
    assert_eq!(harness.run(ONE).await.unwrap_err().code, "InstanceLimitExceeded");
    harness.settled().await;
    let form = format!("InstanceId.1={}", instance(&harness, 1).id);
    harness.call("TerminateInstances", &form).await.unwrap();
    harness.settled().await;
    assert_eq!(
        harness.run(ONE).await.unwrap_err().code,
        "InstanceLimitExceeded",
        "not yet"
    );
    tokio::time::sleep(Duration::from_millis(2600)).await;
    harness.run(ONE).await.unwrap();
}

#[tokio::test]
async fn rows_lack_their_addresses_or_are_old() {
    let harness = Harness::new(|_| ());
    harness.run(ONE).await.unwrap();
    harness.settled().await;
    next(
        &harness,
        "DescribeInstances",
        r#"{"bare-rows": {"percent": 100}}"#,
    );
    let bare = harness.call("DescribeInstances", "").await.unwrap();
    let whole = harness.call("DescribeInstances", "").await.unwrap();
    for (element, there) in [("ipAddress", 1), ("privateIpAddress", 3)] {
        assert_eq!(
            (count(&bare, element), count(&whole, element)),
            (0, there),
            "{element}"
        );
    }
    assert!(bare.contains("<name>running</name>"), "{bare}");
    next(
        &harness,
        "DescribeInstances",
        r#"{"old-states": {"percent": 100}}"#,
    );
    let old = harness.call("DescribeInstances", "").await;
    let new = harness.call("DescribeInstances", "").await;
    let state = |answer| told(answer, "name").split(' ').next().map(str::to_owned);
    assert_eq!(
        (state(old).as_deref(), state(new).as_deref()),
        (Some("pending"), Some("running"))
    );
}

#[tokio::test]
async fn pages_can_overlap_or_leave_a_gap() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=7&MaxCount=7").await.unwrap();
    for (effect, second) in [
        (r#""repeat-row""#, vec!["4", "5", "6"]),
        (r#""skip-row""#, vec!["6"]),
        (r#"{"pause": {"milliseconds": 1}}"#, vec!["5", "6"]),
    ] {
        next(&harness, "DescribeInstances", effect);
        let first = harness.call("DescribeInstances", "MaxResults=5").await.unwrap();
        assert_eq!(texts(&first, "amiLaunchIndex"), ["0", "1", "2", "3", "4"]);
        let token = texts(&first, "nextToken")[0];
        let next = harness
            .call("DescribeInstances", &format!("NextToken={token}"))
            .await
            .unwrap();
        assert_eq!(texts(&next, "amiLaunchIndex"), second, "{effect}");
    }
}

#[tokio::test]
async fn a_console_is_empty_or_cut_before_it_is_whole() {
    let harness = Harness::new(|_| ());
    harness.run(ONE).await.unwrap();
    plan(
        &harness,
        r#"{"action": "GetConsoleOutput", "effect": {"cut-console": {}}},
           {"action": "GetConsoleOutput", "effect": {"cut-console": {"bytes": 3}}}"#,
    );
    let form = format!("InstanceId={}", harness.ids()[0]);
    let mut outputs = Vec::new();
    for _ in 0..3 {
        outputs.push(told(harness.call("GetConsoleOutput", &form).await, "output"));
    }
    // `con`, and the whole sentence, in base64.
    assert_eq!(outputs[..2], ["", "Y29u"]);
    assert!(outputs[2].len() > 20, "{outputs:?}");
}

#[tokio::test]
async fn an_empty_bucket_refuses_and_does_nothing_and_other_calls_pass() {
    let harness = Harness::new(|_| ());
    let plan: FaultPlan = serde_json::from_str(
        r#"{"rules": [], "buckets": [{"actions": ["RunInstances"], "size": 3, "per_minute": 0, "counts": "instances"}]}"#,
    )
    .unwrap();
    harness.service.faults.set(plan);
    harness.run("MinCount=2&MaxCount=2").await.unwrap();
    let refused = harness.run("MinCount=1&MaxCount=2").await.unwrap_err();
    assert_eq!(
        (refused.code.as_ref(), refused.status.as_u16()),
        ("RequestLimitExceeded", 503)
    );
    harness.run(ONE).await.unwrap();
    harness.call("DescribeInstances", "").await.unwrap();
    assert_eq!(harness.ids().len(), 3);
}

#[tokio::test]
async fn a_call_that_failed_may_have_done_its_work() {
    let harness = Harness::new(|_| ());
    next(
        &harness,
        "RunInstances",
        r#"{"fail": {"code": "InternalError", "done": true}}"#,
    );
    let form = format!("{ONE}&ClientToken=t");
    let failed = harness.run(&form).await.unwrap_err();
    assert_eq!(
        (failed.code.as_ref(), failed.status.as_u16()),
        ("InternalError", 500)
    );
    let again = harness.run(&form).await.unwrap();
    assert!(again.contains(&harness.ids()[0]), "{again}");
    assert_eq!(harness.ids().len(), 1);
}

#[tokio::test]
async fn a_port_is_open_and_nobody_greets() {
    let harness = Harness::new(|_| ());
    for (effect, greeting) in [
        (r#"{"stall": {}}"#, &b""[..]),
        (r#"{"stall": {"after_bytes": 4}}"#, b"SSH-"),
        (r#"{"pause": {"milliseconds": 1}}"#, GREETING),
    ] {
        next(&harness, "RunInstances", effect);
        harness.run(ONE).await.unwrap();
        harness.settled().await;
        let last = instance(&harness, harness.ids().len() - 1);
        let target = (last.public_address, harness.service.config.ssh_port);
        let mut stream = TcpStream::connect(target).await.unwrap();
        let mut told = vec![0; greeting.len()];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, greeting, "{effect}");
        let more = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
        assert!(more.is_err(), "{effect}: {more:?}");
    }
}
