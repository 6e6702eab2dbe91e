//! Images that are made from instances: their states, who may launch them, and when they are gone.

use std::{path::PathBuf, time::Duration};

use super::{Harness, texts, told};
use crate::{ledger::ImageState, testing::FakeMachines};

const ONE: &str = "MinCount=1&MaxCount=1";

/// A harness with one instance that runs.
async fn running() -> (Harness, std::sync::Arc<FakeMachines>, String) {
    let (harness, machines) = Harness::with_machines();
    harness.run(ONE).await.unwrap();
    harness.settled().await;
    let id = harness.ids()[0].clone();
    (harness, machines, id)
}

/// Makes an image and waits until it is what it becomes.
async fn make(harness: &Harness, form: &str) -> String {
    let made = harness.call("CreateImage", form).await;
    let id = told(made, "imageId");
    for _ in 0..1000 {
        if harness.service.ledger.snapshot().images[&id].state != ImageState::Pending {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the image stays pending");
}

/// The states of images in a list.
async fn states(harness: &Harness, form: &str) -> String {
    told(harness.call("DescribeImages", form).await, "imageState")
}

#[tokio::test]
async fn a_disk_stays_or_goes_with_its_instance_as_the_launch_says_or_else_its_image() {
    let root = "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs";
    for is_kept in [false, true] {
        let harness = Harness::on(FakeMachines::new(), |config| {
            config.images[0].keeps_volume = is_kept;
        });
        let goes = (!is_kept).to_string();
        let shown = harness.call("DescribeImages", "").await.unwrap();
        assert_eq!(texts(&shown, "deleteOnTermination"), [goes.as_str()]);
        for (value, expected) in [("true", 1), ("false", 0)] {
            let form =
                format!("Filter.1.Name=block-device-mapping.delete-on-termination&Filter.1.Value.1={value}");
            let found = harness.call("DescribeImages", &form).await.unwrap();
            let expected = if is_kept { 1 - expected } else { expected };
            assert_eq!(texts(&found, "imageId").len(), expected, "{value}");
        }
        // As the snapshot of its image is the least that the disk may be.
        let small = harness
            .run(&format!("{ONE}&{root}.VolumeSize=7"))
            .await
            .unwrap_err();
        assert_eq!(small.code, "InvalidBlockDeviceMapping");
        assert!(
            small.message.contains("is smaller than snapshot 'snap-"),
            "{}",
            small.message
        );
        assert_eq!(texts(&shown, "volumeSize"), ["8"]);
        let snapshot = texts(&shown, "snapshotId")[0];
        for (name, value, count) in [
            ("snapshot-id", snapshot, 1),
            ("snapshot-id", "snap-0", 0),
            ("volume-size", "8", 1),
            ("volume-size", "7", 0),
        ] {
            let form = format!("Filter.1.Name=block-device-mapping.{name}&Filter.1.Value.1={value}");
            let found = harness.call("DescribeImages", &form).await.unwrap();
            assert_eq!(texts(&found, "imageId").len(), count, "{name} {value}");
        }
        for (said, expected) in [
            (String::new(), goes.as_str()),
            (format!("&{root}.VolumeSize=8"), goes.as_str()),
            (format!("&{root}.VolumeSize=9"), goes.as_str()),
            (format!("&{root}.DeleteOnTermination=true"), "true"),
            (format!("&{root}.DeleteOnTermination=false"), "false"),
        ] {
            let made = harness.run(&format!("{ONE}{said}")).await.unwrap();
            // Its network interface goes with it in any case.
            let stays = expected == "false";
            let told = texts(&made, "deleteOnTermination");
            let kept = told.iter().filter(|it| **it == "false").count();
            assert_eq!(kept, usize::from(stays), "{said}");
            let id = texts(&made, "instanceId")[0];
            let state = harness.service.ledger.snapshot();
            assert_eq!(state.instances[id].keeps_volume, stays, "{said}");
        }
    }
}

#[tokio::test]
async fn an_image_is_made_of_an_instance_launched_and_kept_until_nothing_is_on_it() {
    let (harness, machines, instance) = running().await;
    let tags = "TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=playbook&TagSpecification.1.Tag.1.Value=abc";
    let form = format!("InstanceId={instance}&Name=builder%201&Description=mine&{tags}");
    let image = make(&harness, &form).await;
    assert!(
        machines.calls().contains(&format!("capture {instance}")),
        "it stands still for that"
    );
    let by_tag = "Filter.1.Name=tag:playbook&Filter.1.Value.1=abc";
    let shown = harness.call("DescribeImages", by_tag).await.unwrap();
    for (element, expected) in [
        ("imageId", image.as_str()),
        ("imageState", "available"),
        ("name", "builder 1"),
        ("description", "mine"),
        ("architecture", "x86_64"),
        ("sourceInstanceId", &instance),
    ] {
        assert_eq!(texts(&shown, element), [expected], "{shown}");
    }
    assert_eq!(states(&harness, "").await, "available available");

    let launch = format!("ImageId={image}&{ONE}");
    harness.call("RunInstances", &launch).await.unwrap();
    harness.settled().await;
    let instances = harness.service.ledger.instances();
    let second = instances.iter().find(|one| one.image_id == image).unwrap();
    assert_eq!(second.layers, [PathBuf::from(format!("/images/{image}/root"))]);

    let form = format!("ImageId={image}");
    harness.call("DeregisterImage", &form).await.unwrap();
    assert_eq!(
        harness.refused("DeregisterImage", &form).await,
        "InvalidAMIID.NotFound"
    );
    assert_eq!(
        harness.refused("RunInstances", &launch).await,
        "InvalidAMIID.NotFound"
    );
    assert_eq!(states(&harness, "").await, "available", "that of the settings");
    assert!(harness.service.ledger.snapshot().tags.is_empty());
    let day = Duration::from_secs(86_400);
    let discarded = format!("discard-image {image}");
    harness.service.life.forget(day).await.unwrap();
    assert!(!machines.calls().contains(&discarded), "an instance is on it");
    let end = format!("InstanceId.1={}", second.id);
    harness.call("TerminateInstances", &end).await.unwrap();
    harness.settled().await;
    harness.service.life.forget(day).await.unwrap();
    assert!(machines.calls().contains(&discarded));
    assert!(harness.service.ledger.snapshot().images.is_empty());
}

#[tokio::test]
async fn an_image_of_an_image_keeps_the_layer_below_it() {
    let (harness, machines, instance) = running().await;
    let first = make(
        &harness,
        &format!("InstanceId={instance}&Name=first&NoReboot=true"),
    )
    .await;
    assert!(machines.calls().contains(&format!("capture-live {instance}")));
    harness
        .call("RunInstances", &format!("ImageId={first}&{ONE}"))
        .await
        .unwrap();
    harness.settled().await;
    let instances = harness.service.ledger.instances();
    let upon = instances
        .iter()
        .find(|one| one.image_id == first)
        .unwrap()
        .id
        .clone();
    let second = make(&harness, &format!("InstanceId={upon}&Name=second")).await;
    let layers = harness.service.ledger.snapshot().images[&second].layers.clone();
    assert_eq!(
        layers,
        [&second, &first].map(|id| PathBuf::from(format!("/images/{id}/root")))
    );
    harness
        .call("DeregisterImage", &format!("ImageId={first}"))
        .await
        .unwrap();
    harness
        .call("TerminateInstances", &format!("InstanceId.1={upon}"))
        .await
        .unwrap();
    harness.settled().await;
    harness.service.life.forget(Duration::ZERO).await.unwrap();
    assert!(
        harness.service.ledger.snapshot().images.contains_key(&first),
        "the second is on it"
    );
    // The name is free all the same.
    make(&harness, &format!("InstanceId={instance}&Name=first")).await;
}

#[tokio::test]
async fn an_image_that_cannot_be_made_says_why_and_is_not_launched() {
    let (harness, machines, instance) = running().await;
    machines.fail("capture", "the disk is full");
    let image = make(&harness, &format!("InstanceId={instance}&Name=broken")).await;
    let filter = "Filter.1.Name=state-reason-message&Filter.1.Value.1=*the%20disk%20is%20full";
    let shown = harness.call("DescribeImages", filter).await.unwrap();
    assert_eq!(texts(&shown, "imageState"), ["failed"]);
    assert_eq!(
        texts(&shown, "message"),
        ["Server.InternalError: the disk is full"]
    );
    let launch = format!("ImageId={image}&{ONE}");
    for state in [ImageState::Failed, ImageState::Pending] {
        let id = image.clone();
        let set = harness.service.ledger.commit(move |ledger| {
            ledger.images.get_mut(&id).unwrap().state = state;
            Ok::<_, crate::Error>(())
        });
        set.await.unwrap();
        let refused = harness.call("RunInstances", &launch).await.unwrap_err();
        assert_eq!(refused.code, "InvalidAMIID.Unavailable");
        assert!(refused.message.contains(state.name()), "{}", refused.message);
    }
    // A start of the cloud makes anew what was being made.
    machines.fail("capture", "");
    harness.service.life.recover().await.unwrap();
    for _ in 0..1000 {
        if states(&harness, &format!("ImageId.1={image}")).await == "available" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it was not made anew");
}

#[tokio::test]
async fn what_cannot_be_an_image_is_refused_and_makes_none() {
    let (harness, _machines, instance) = running().await;
    let given = harness.service.config.images[0].id.clone();
    let long = "n".repeat(129);
    for (action, form, code) in [
        ("CreateImage", "Name=abc".to_owned(), "MissingParameter"),
        (
            "CreateImage",
            format!("InstanceId={instance}"),
            "MissingParameter",
        ),
        (
            "CreateImage",
            "InstanceId=i-00000000&Name=abc".to_owned(),
            "InvalidInstanceID.NotFound",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=ab"),
            "InvalidAMIName.Malformed",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name={long}"),
            "InvalidAMIName.Malformed",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=a%0Ab"),
            "InvalidAMIName.Malformed",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=fake"),
            "InvalidAMIName.Duplicate",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=abc&DryRun=true"),
            "DryRunOperation",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=abc&BlockDeviceMapping.1.DeviceName=a"),
            "Unsupported",
        ),
        (
            "CreateImage",
            format!("InstanceId={instance}&Name=abc&TagSpecification.1.ResourceType=instance"),
            "InvalidParameterValue",
        ),
        ("DeregisterImage", String::new(), "MissingParameter"),
        (
            "DeregisterImage",
            "ImageId=ami-1".to_owned(),
            "InvalidAMIID.Malformed",
        ),
        (
            "DeregisterImage",
            "ImageId=ami-00000001".to_owned(),
            "InvalidAMIID.NotFound",
        ),
        ("DeregisterImage", format!("ImageId={given}"), "Unsupported"),
    ] {
        assert_eq!(harness.refused(action, &form).await, code, "{action} {form}");
    }
    assert!(harness.service.ledger.snapshot().images.is_empty());
    let end = format!("InstanceId.1={instance}");
    harness.call("TerminateInstances", &end).await.unwrap();
    let form = format!("InstanceId={instance}&Name=abc");
    assert_eq!(harness.refused("CreateImage", &form).await, "IncorrectState");
}
