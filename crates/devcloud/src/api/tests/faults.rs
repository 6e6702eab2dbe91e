//! What clients see of the faults of a plan.

use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::{Harness, count};
use crate::{faults::FaultPlan, ledger::InstanceState, testing::GREETING};

pub(super) fn plan(harness: &Harness, rules: &str) {
    let plan: FaultPlan = serde_json::from_str(&format!(r#"{{"rules": [{rules}]}}"#)).unwrap();
    harness.service.faults.set(plan);
}

/// Plans a fault of the next launch, launches, and answers the id.
async fn launch(harness: &Harness, effect: &str) -> String {
    plan(
        harness,
        &format!(r#"{{"action": "RunInstances", "effect": {effect}}}"#),
    );
    harness.run("MinCount=1&MaxCount=1&ClientToken=t").await.unwrap();
    let instances = harness.service.ledger.instances();
    instances.last().unwrap().id.clone()
}

fn state(harness: &Harness, id: &str) -> InstanceState {
    harness.service.ledger.snapshot().instances[id].state
}

#[tokio::test]
async fn an_instance_that_is_not_visible_yet_is_in_no_list_and_its_id_is_unknown() {
    let harness = Harness::new(|_| ());
    let id = launch(&harness, r#"{"delay-visibility": {"milliseconds": 600000}}"#).await;
    let tag = format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=b");
    for (action, form, element) in [
        ("DescribeInstances", "", "amiLaunchIndex"),
        ("DescribeInstanceStatus", "IncludeAllInstances=true", "instanceId"),
        ("DescribeTags", "", "resourceId"),
        ("DescribeNetworkInterfaces", "", "networkInterfaceId"),
    ] {
        let answer = harness.call(action, form).await.unwrap();
        assert_eq!(count(&answer, element), 0, "{action}: {answer}");
    }
    for action in ["DescribeInstances", "TerminateInstances", "RebootInstances"] {
        let form = format!("InstanceId.1={id}");
        let code = harness.refused(action, &form).await;
        assert_eq!(code, "InvalidInstanceID.NotFound", "{action}");
    }
    assert_eq!(
        harness.refused("CreateTags", &tag).await,
        "InvalidInstanceID.NotFound"
    );
    // Who launched it is told of it, again and again.
    let again = harness.run("MinCount=1&MaxCount=1&ClientToken=t").await.unwrap();
    assert!(
        again.contains(&format!("<instanceId>{id}</instanceId>")),
        "{again}"
    );

    let shown = harness.service.ledger.commit({
        let id = id.clone();
        move |state| {
            let instance = state.instance_mut(&id).unwrap();
            instance.faults.hidden_until = Some(time::OffsetDateTime::now_utc());
            Ok::<_, crate::Error>(())
        }
    });
    shown.await.unwrap();
    let answer = harness.call("DescribeInstances", "").await.unwrap();
    assert_eq!(count(&answer, "amiLaunchIndex"), 1);
    harness.call("CreateTags", &tag).await.unwrap();
}

#[tokio::test]
async fn a_wrong_list_is_a_good_answer_with_too_few_instances_or_each_of_them_twice() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=6&MaxCount=6").await.unwrap();
    let id = harness.service.ledger.instances()[0].id.clone();
    plan(
        &harness,
        r#"{"action": "DescribeInstances", "count": 2, "effect": {"leave-out": {"percent": 100}}},
           {"action": "DescribeInstances", "after": 2, "effect": "double"}"#,
    );
    let by_id = format!("InstanceId.1={id}");
    for (form, instances) in [("", 0), (by_id.as_str(), 0), ("MaxResults=5", 10), ("", 6)] {
        let status = harness
            .call("DescribeInstanceStatus", "IncludeAllInstances=true")
            .await;
        assert_eq!(count(&status.unwrap(), "instanceId"), 6, "another action");
        let answer = harness.call("DescribeInstances", form).await.unwrap();
        assert_eq!(count(&answer, "amiLaunchIndex"), instances, "{form}");
        assert_eq!(
            count(&answer, "nextToken"),
            usize::from(form == "MaxResults=5"),
            "the pages stay as they are"
        );
    }
}

#[tokio::test]
async fn a_slow_instance_runs_before_its_public_address_opens() {
    let harness = Harness::new(|_| ());
    let began = Instant::now();
    let id = launch(&harness, r#"{"slow-boot": {"milliseconds": 1500}}"#).await;
    harness.settled().await;
    assert_eq!(state(&harness, &id), InstanceState::Running);
    let address = harness.service.ledger.instances()[0].public_address;
    let target = (address, harness.service.config.ssh_port);
    TcpStream::connect(target).await.unwrap_err();
    let mut stream = loop {
        match TcpStream::connect(target).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never opens");
    };
    assert!(began.elapsed() >= Duration::from_millis(1500));
    let mut greeting = vec![0; GREETING.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
}

#[tokio::test]
async fn an_instance_that_ends_before_it_opened_stays_shut() {
    let harness = Harness::new(|_| ());
    let id = launch(&harness, r#"{"slow-boot": {"milliseconds": 300}}"#).await;
    harness.settled().await;
    harness
        .call("TerminateInstances", &format!("InstanceId.1={id}"))
        .await
        .unwrap();
    harness.settled().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let address = harness.service.ledger.instances()[0].public_address;
    TcpStream::connect((address, harness.service.config.ssh_port))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn an_instance_that_the_cloud_takes_back_ends_with_the_reason_of_the_spot_market() {
    let harness = Harness::new(|_| ());
    let id = launch(
        &harness,
        r#"{"spot-loss": {"after_milliseconds": 300, "notice_milliseconds": 300}}"#,
    )
    .await;
    harness.settled().await;
    assert_eq!(state(&harness, &id), InstanceState::Running, "it has its time");
    let deadline = Instant::now() + Duration::from_secs(30);
    while state(&harness, &id) != InstanceState::Terminated {
        assert!(Instant::now() < deadline, "it is never taken back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let filter = "Filter.1.Name=state-reason-code&Filter.1.Value.1=Server.SpotInstanceTermination";
    let answer = harness.call("DescribeInstances", filter).await.unwrap();
    let reason = "<stateReason><code>Server.SpotInstanceTermination</code>\
                  <message>Server.SpotInstanceTermination: Spot instance termination</message></stateReason>";
    assert!(answer.contains(reason), "{answer}");
    assert!(
        answer.contains("<reason>Server.SpotInstanceTermination</reason>"),
        "{answer}"
    );
    // Its token gives nothing new.
    let again = harness.run("MinCount=1&MaxCount=1&ClientToken=t").await;
    assert_eq!(again.unwrap_err().code, "IdempotentInstanceTerminated");
}

#[tokio::test]
async fn only_an_instance_that_is_up_can_be_taken_back() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    let life = &harness.service.life;
    let unknown = life.take_back("i-00000000000000000", Duration::ZERO).await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "there is no instance i-00000000000000000"
    );
    life.take_back(&id, Duration::ZERO).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while state(&harness, &id) != InstanceState::Terminated {
        assert!(Instant::now() < deadline, "it is never taken back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let over = life.take_back(&id, Duration::ZERO).await;
    assert_eq!(
        over.unwrap_err().to_string(),
        format!("instance {id} is terminated")
    );
    let instances = harness.service.ledger.instances();
    let events: Vec<&str> = instances[0]
        .history
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(
        events,
        ["pending", "running", "fault", "shutting-down", "terminated"]
    );
}
