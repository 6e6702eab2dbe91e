//! What may be done to an instance in which state, and what the filters of DescribeInstances find.

use super::Harness;
use crate::ledger::{InstanceState, StateReason};

/// A cloud with one instance, and its id.
async fn one(more: &str) -> (Harness, String) {
    let harness = Harness::new(|_| ());
    harness
        .run(&format!("MinCount=1&MaxCount=1{more}"))
        .await
        .unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    (harness, id)
}

/// Puts the instance into a state, without anything that would go on from there.
async fn put(harness: &Harness, id: &str, state: InstanceState) {
    let id = id.to_owned();
    let change = move |ledger: &mut crate::ledger::State| {
        ledger.instance_mut(&id).unwrap().enter(state, None);
        Ok::<_, crate::Error>(())
    };
    harness.service.ledger.commit(change).await.unwrap();
}

/// The code of what a trial is answered with; `DryRunOperation` is EC2's word for what would have succeeded.
#[tokio::test]
async fn each_action_is_allowed_in_the_states_that_ec2_allows_it_in() {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let (harness, id) = one("").await;
    for (action, allowed) in [
        (
            "TerminateInstances",
            &[Pending, Running, Stopping, Stopped, ShuttingDown, Terminated][..],
        ),
        ("StopInstances", &[Running, Stopping, Stopped]),
        ("StartInstances", &[Stopped, Pending, Running]),
        ("RebootInstances", &[Running]),
    ] {
        for state in [Pending, Running, Stopping, Stopped, ShuttingDown, Terminated] {
            put(&harness, &id, state).await;
            let code = harness
                .refused(action, &format!("InstanceId.1={id}&DryRun=true"))
                .await;
            let expected = if allowed.contains(&state) {
                "DryRunOperation"
            } else {
                "IncorrectInstanceState"
            };
            assert_eq!(code, expected, "{action} of an instance that is {}", state.name());
            assert_eq!(
                harness.service.ledger.instances()[0].state,
                state,
                "a trial changes nothing"
            );
        }
    }
}

#[tokio::test]
async fn an_instance_type_is_changed_while_the_instance_is_stopped() {
    let (harness, id) = one("").await;
    let change = format!("InstanceId={id}&InstanceType.Value=t3.small");
    for (state, code) in [
        (InstanceState::Running, "IncorrectInstanceState"),
        (InstanceState::Stopping, "IncorrectInstanceState"),
    ] {
        put(&harness, &id, state).await;
        assert_eq!(harness.refused("ModifyInstanceAttribute", &change).await, code);
    }
    put(&harness, &id, InstanceState::Stopped).await;
    harness.call("ModifyInstanceAttribute", &change).await.unwrap();
    assert_eq!(harness.service.ledger.instances()[0].instance_type, "t3.small");
    for (form, code) in [
        ("InstanceType.Value=t99.huge", "InvalidParameterValue"),
        (
            "InstanceInitiatedShutdownBehavior.Value=burn",
            "InvalidParameterValue",
        ),
        ("Attribute=kernel&Value=aki-1", "InvalidParameterValue"),
        ("Attribute=disableApiStop&Value=yes", "InvalidParameterValue"),
        ("Attribute=disableApiStop", "MissingParameter"),
        ("Value=true", "MissingParameter"),
        ("", "InvalidParameterCombination"),
        (
            "DisableApiStop.Value=true&DisableApiTermination.Value=true",
            "InvalidParameterCombination",
        ),
    ] {
        let form = format!("InstanceId={id}&{form}");
        assert_eq!(
            harness.refused("ModifyInstanceAttribute", &form).await,
            code,
            "{form}"
        );
    }
}

#[tokio::test]
async fn filters_find_an_instance_by_everything_that_its_answer_shows() {
    let tags = "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=role\
                &TagSpecification.1.Tag.1.Value=builder&InstanceType=t3.small&ClientToken=t-1\
                &InstanceMarketOptions.MarketType=spot";
    let (harness, id) = one(tags).await;
    let instance = harness.service.ledger.instances()[0].clone();
    let state = harness.service.ledger.snapshot();
    let (private, public) = (
        instance.private_address.to_string(),
        instance.public_address.to_string(),
    );
    let owner = state.owner_id.clone();
    let group = instance.group_ids[0].clone();
    for (name, value, found) in [
        ("instance-id", id.as_str(), true),
        ("instance-id", "i-*", true),
        ("instance-id", "i-0", false),
        ("instance-state-name", "running", true),
        ("instance-state-name", "stopped", false),
        ("instance-state-code", "16", true),
        ("instance-state-code", "016", false),
        ("instance-type", "t3.*", true),
        ("instance-type", "t3", false),
        ("instance-lifecycle", "spot", true),
        ("client-token", "t-1", true),
        ("client-token", "T-1", false),
        ("tag:role", "build*", true),
        ("tag:role", "", false),
        ("tag:Role", "builder", false),
        ("tag-key", "role", true),
        ("tag-value", "builder", true),
        ("private-ip-address", private.as_str(), true),
        ("ip-address", public.as_str(), true),
        ("ip-address", private.as_str(), false),
        ("owner-id", owner.as_str(), true),
        ("group-id", group.as_str(), true),
        ("instance.group-name", "default", true),
        ("architecture", "x86_64", true),
        ("availability-zone", "dev-1a", true),
        ("launch-index", "0", true),
        ("root-device-type", "ebs", true),
        ("tenancy", "default", true),
        ("key-name", "*", false),
        ("state-reason-code", "*", false),
    ] {
        let form = format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
        let answer = harness.call("DescribeInstances", &form).await.unwrap();
        assert_eq!(answer.contains(&id), found, "{name}={value}");
    }
    let empty = harness
        .call("DescribeInstances", "Filter.1.Name=instance-id")
        .await
        .unwrap();
    assert!(empty.contains("<reservationSet></reservationSet>"), "{empty}");
}

#[tokio::test]
async fn what_an_instance_has_lost_no_filter_finds() {
    let (harness, id) = one("").await;
    let running = harness.service.ledger.instances()[0].clone();
    let reason = StateReason::new("Server.InternalError", "gone");
    let ended = id.clone();
    let change = move |ledger: &mut crate::ledger::State| {
        let instance = ledger.instance_mut(&ended).unwrap();
        instance.enter(InstanceState::Terminated, Some(reason));
        Ok::<_, crate::Error>(())
    };
    harness.service.ledger.commit(change).await.unwrap();
    for (name, value, found) in [
        ("ip-address", running.public_address.to_string(), false),
        ("subnet-id", "*".to_owned(), false),
        ("vpc-id", "*".to_owned(), false),
        ("dns-name", "*".to_owned(), false),
        ("state-reason-code", "Server.*".to_owned(), true),
        ("instance-state-name", "terminated".to_owned(), true),
    ] {
        let form = format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
        let answer = harness.call("DescribeInstances", &form).await.unwrap();
        assert_eq!(answer.contains(&id), found, "{name}={value}");
    }
}

#[tokio::test]
async fn pages_of_instances_follow_each_other_and_are_not_asked_for_with_ids() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=12&MaxCount=12").await.unwrap();
    let (mut seen, mut token) = (Vec::new(), String::new());
    for _ in 0..3 {
        let answer = harness
            .call("DescribeInstances", &format!("MaxResults=5{token}"))
            .await
            .unwrap();
        seen.extend(
            answer
                .split("<instanceId>")
                .skip(1)
                .filter_map(|rest| rest.split_once('<'))
                .map(|(id, _)| id.to_owned()),
        );
        token = answer
            .split("<nextToken>")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .map(|token| format!("&NextToken={token}"))
            .unwrap_or_default();
    }
    assert_eq!(token, "", "the third page is the last");
    let mut ids = harness.ids();
    // Each is named twice: by itself and by its interface.
    seen.dedup();
    seen.retain(|id| id.starts_with("i-"));
    seen.sort();
    seen.dedup();
    ids.sort();
    assert_eq!(seen, ids);
    let with_ids = format!("InstanceId.1={}&MaxResults=5", ids[0]);
    assert_eq!(
        harness.refused("DescribeInstances", &with_ids).await,
        "InvalidParameterCombination"
    );
    assert_eq!(
        harness.refused("DescribeInstances", "NextToken=%21").await,
        "InvalidNextToken"
    );
}
