//! What clients see of the two dialects, where they differ.

use std::collections::BTreeSet;

use devcloud_dialect::ApiError;
use futures_util::future::join_all;

use super::{Harness, count, texts, told};
use crate::{Profile, ledger::InstanceState};

fn eucalyptus() -> Harness {
    Harness::new(|config| config.profile = Profile::EUCALYPTUS)
}

/// The ids of the instances in an answer, or why there is none.
fn instances(answer: Result<String, ApiError>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return error.code.into_owned(),
    };
    // An interface names its instance again.
    let ids: BTreeSet<&str> = texts(&answer, "instanceId").into_iter().collect();
    ids.into_iter().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn eucalyptus_gives_all_at_once_and_takes_the_parameters_of_pages_where_it_reads_them() {
    for (harness, rows, token) in [(Harness::new(|_| ()), 5, 1), (eucalyptus(), 6, 0)] {
        harness.run("MinCount=6&MaxCount=6").await.unwrap();
        harness.settled().await;
        for (action, element) in [
            ("DescribeInstances", "amiLaunchIndex"),
            ("DescribeInstanceStatus", "instanceId"),
        ] {
            let page = harness.call(action, "MaxResults=5").await.unwrap();
            assert_eq!(
                (count(&page, element), count(&page, "nextToken")),
                (rows, token),
                "{action}"
            );
        }
    }
    // A token that no list ever gave is no matter there.
    let harness = eucalyptus();
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    let all = harness.call("DescribeInstances", "NextToken=x").await.unwrap();
    assert_eq!(count(&all, "amiLaunchIndex"), 1);
}

#[tokio::test]
async fn eucalyptus_has_ids_types_and_answers_of_its_own_form() {
    let harness = eucalyptus();
    let launched = harness.run("MinCount=1&MaxCount=1").await.unwrap();
    for (element, length) in [("instanceId", 10), ("imageId", 12), ("reservationId", 10)] {
        let ids = texts(&launched, element);
        assert!(ids.iter().all(|id| id.len() == length), "{element}: {ids:?}");
    }
    assert!(texts(&launched, "imageId")[0].starts_with("emi-"), "{launched}");
    assert_eq!(count(&launched, "metadataOptions"), 0);
    let tag = format!("ResourceId.1={}&Tag.1.Key=a", texts(&launched, "imageId")[0]);
    harness.call("CreateTags", &tag).await.unwrap();
    let types = harness.call("DescribeInstanceTypes", "").await.unwrap();
    assert!(
        types.contains("xmlns=\"http://msgs.eucalyptus.com/3.3.0\""),
        "{types}"
    );
    let small = "<name>m1.small</name><cpu>1</cpu><disk>10</disk><memory>1740</memory>";
    assert!(types.contains(small), "{types}");
    // An id of Amazon's form is none there.
    let form = format!("ImageId={}&MinCount=1&MaxCount=1", Profile::AWS.image_id("fake"));
    assert_eq!(
        harness.refused("RunInstances", &form).await,
        "InvalidAMIID.Malformed"
    );
}

#[tokio::test]
async fn an_amazon_of_today_and_a_eucalyptus_refuse_what_neither_has() {
    for action in [
        "CreateFleet",
        "CreateLaunchTemplate",
        "DescribeLaunchTemplates",
        "RequestSpotFleet",
        "RequestSpotInstances",
    ] {
        for harness in [Harness::new(|_| ()), eucalyptus()] {
            assert_eq!(harness.refused(action, "").await, "InvalidAction", "{action}");
        }
    }
    let spot = "MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot";
    Harness::new(|_| ()).run(spot).await.unwrap();
    let refused = eucalyptus().run(spot).await.unwrap_err();
    assert_eq!(
        refused.message,
        "The parameter InstanceMarketOptions.MarketType is not recognized"
    );
}

#[tokio::test]
async fn a_token_of_eucalyptus_gives_what_it_gave_whatever_is_asked_with_it_and_also_when_that_has_ended() {
    let harness = eucalyptus();
    let token = "MinCount=2&MaxCount=2&ClientToken=t";
    let first = instances(harness.run(token).await);
    let other = "MinCount=1&MaxCount=1&InstanceType=t3.small&ClientToken=t";
    assert_eq!(instances(harness.run(other).await), first);
    let ids = harness.ids();
    let form = format!("InstanceId.1={}&InstanceId.2={}", ids[0], ids[1]);
    harness.call("TerminateInstances", &form).await.unwrap();
    harness.settled().await;
    assert_eq!(instances(harness.run(token).await), first, "no word of its end");
    // Once they are forgotten, the token is as new.
    let retention = std::time::Duration::ZERO;
    harness.service.life.forget(retention).await.unwrap();
    harness.run(other).await.unwrap();
    let new = harness.ids();
    assert!(new.len() == 1 && !ids.contains(&new[0]), "{new:?} after {ids:?}");
}

#[tokio::test]
async fn calls_of_eucalyptus_with_one_token_at_the_same_time_make_one_set_or_fail() {
    let harness = eucalyptus();
    // The ledger is busy, so that all are checked before the first is done.
    let busy = harness.service.ledger.commit(|_| {
        std::thread::sleep(std::time::Duration::from_secs(1));
        Ok::<_, crate::Error>(())
    });
    let launches = (0..4).map(|_| harness.run("MinCount=2&MaxCount=2&ClientToken=same"));
    let (busy, answers) = tokio::join!(busy, join_all(launches));
    busy.unwrap();
    let mut told: Vec<String> = answers.into_iter().map(instances).collect();
    told.sort();
    told.dedup();
    let ids = harness.ids();
    assert_eq!(told, ["InternalFailure".to_owned(), ids.join(" ")]);
    assert_eq!(ids.len(), 2);
    // Who asks once more finds what was made.
    let again = harness.run("MinCount=2&MaxCount=2&ClientToken=same").await;
    assert_eq!(instances(again), ids.join(" "));
}

#[tokio::test]
async fn an_instance_of_eucalyptus_stops_when_it_ends_by_itself_whatever_was_asked_for() {
    let behavior = "InstanceInitiatedShutdownBehavior";
    for (harness, expected) in [
        (Harness::new(|_| ()), ["terminate", "stop"]),
        (eucalyptus(), ["stop", "stop"]),
    ] {
        harness
            .run(&format!("MinCount=1&MaxCount=1&{behavior}=terminate"))
            .await
            .unwrap();
        let id = harness.ids()[0].clone();
        let asked = format!("InstanceId={id}&Attribute=instanceInitiatedShutdownBehavior");
        let mut shown = Vec::new();
        for change in ["terminate", "stop"] {
            let form = format!("InstanceId={id}&{behavior}.Value={change}");
            harness.call("ModifyInstanceAttribute", &form).await.unwrap();
            shown.push(told(
                harness.call("DescribeInstanceAttribute", &asked).await,
                "value",
            ));
        }
        assert_eq!(shown, expected);
        let unknown = format!("InstanceId=i-00000000&{behavior}.Value=stop");
        let code = harness.refused("ModifyInstanceAttribute", &unknown).await;
        assert_eq!(code, "InvalidInstanceID.NotFound");
    }
    let harness = eucalyptus();
    harness
        .run(&format!("MinCount=1&MaxCount=1&{behavior}=terminate"))
        .await
        .unwrap();
    let kept = harness.service.ledger.instances();
    assert_eq!(kept[0].shutdown_behavior.name(), "stop");
}

#[tokio::test]
async fn an_instance_of_eucalyptus_that_is_terminated_twice_is_in_no_list_any_more() {
    for (harness, left) in [(Harness::new(|_| ()), 1), (eucalyptus(), 0)] {
        harness.run("MinCount=1&MaxCount=1").await.unwrap();
        let form = format!("InstanceId.1={}", harness.ids()[0]);
        for _ in 0..2 {
            harness.call("TerminateInstances", &form).await.unwrap();
            harness.settled().await;
        }
        let ended = harness.service.ledger.instances()[0].state;
        assert_eq!(ended, InstanceState::Terminated);
        let all = harness.call("DescribeInstances", "").await.unwrap();
        assert_eq!(count(&all, "amiLaunchIndex"), left);
        harness
            .service
            .life
            .forget(std::time::Duration::from_secs(3600))
            .await
            .unwrap();
        assert_eq!(harness.ids().len(), left);
    }
}
