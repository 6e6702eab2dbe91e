//! Attributes of instances, one by one: shown, changed, and refused.

use super::{Harness, count, told};

const ZERO: &str = "i-0123456789abcdef0";

async fn launched() -> (Harness, String) {
    let harness = Harness::new(|_| ());
    harness
        .run(
            "MinCount=1&MaxCount=1&InstanceType=t3.small&UserData=IyEvYmluL3No&DisableApiTermination=true\
             &InstanceInitiatedShutdownBehavior=terminate",
        )
        .await
        .unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    (harness, id)
}

#[tokio::test]
async fn each_attribute_is_shown_as_it_is() {
    let (harness, id) = launched().await;
    let instance = harness.service.ledger.instances()[0].clone();
    let volume = instance.root_volume_id.as_str();
    for (attribute, element, expected) in [
        ("instanceType", "value", "t3.small"),
        ("userData", "value", "IyEvYmluL3No"),
        ("disableApiTermination", "value", "true"),
        ("disableApiStop", "value", "false"),
        ("instanceInitiatedShutdownBehavior", "value", "terminate"),
        ("rootDeviceName", "value", "/dev/sda1"),
        ("sourceDestCheck", "value", "true"),
        ("ebsOptimized", "value", "false"),
        ("enclaveOptions", "enabled", "false"),
        ("groupSet", "groupId", instance.group_ids[0].as_str()),
        ("blockDeviceMapping", "volumeId", volume),
        // It has none of these.
        ("kernel", "value", ""),
        ("ramdisk", "value", ""),
        ("sriovNetSupport", "value", ""),
        ("productCodes", "productCode", ""),
    ] {
        let form = format!("InstanceId={id}&Attribute={attribute}");
        let answer = harness.call("DescribeInstanceAttribute", &form).await;
        if let Ok(answer) = &answer {
            assert_eq!(
                count(answer, attribute),
                1,
                "{attribute} has its element: {answer}"
            );
        }
        assert_eq!(told(answer, element), expected, "{attribute}");
    }
    for (form, code) in [
        (format!("InstanceId={id}"), "MissingParameter"),
        ("Attribute=userData".to_owned(), "MissingParameter"),
        (
            format!("InstanceId={id}&Attribute=UserData"),
            "InvalidParameterValue",
        ),
        (
            format!("InstanceId={ZERO}&Attribute=userData"),
            "InvalidInstanceID.NotFound",
        ),
    ] {
        assert_eq!(
            harness.refused("DescribeInstanceAttribute", &form).await,
            code,
            "{form}"
        );
    }
}

#[tokio::test]
async fn an_attribute_is_changed_in_both_forms_and_a_trial_changes_nothing() {
    let (harness, id) = launched().await;
    let group = harness
        .call("CreateSecurityGroup", "GroupName=a&GroupDescription=a")
        .await
        .unwrap();
    let group = super::texts(&group, "groupId")[0].to_owned();
    let seen = || {
        let one = harness.service.ledger.instances()[0].clone();
        format!(
            "{} {} {} {}",
            one.termination_protected,
            one.stop_protected,
            one.shutdown_behavior.name(),
            one.group_ids.contains(&group)
        )
    };
    assert_eq!(seen(), "true false terminate false");
    for (form, expected) in [
        (
            "DisableApiTermination.Value=false".to_owned(),
            "false false terminate false",
        ),
        (
            "Attribute=disableApiTermination&Value=true".to_owned(),
            "true false terminate false",
        ),
        (
            "DisableApiStop.Value=true".to_owned(),
            "true true terminate false",
        ),
        (
            "Attribute=disableApiStop&Value=false".to_owned(),
            "true false terminate false",
        ),
        (
            "InstanceInitiatedShutdownBehavior.Value=stop".to_owned(),
            "true false stop false",
        ),
        (
            "Attribute=instanceInitiatedShutdownBehavior&Value=terminate".to_owned(),
            "true false terminate false",
        ),
        (format!("GroupId.1={group}"), "true false terminate true"),
    ] {
        let before = seen();
        let trial = format!("InstanceId={id}&DryRun=true&{form}");
        assert_eq!(
            harness.refused("ModifyInstanceAttribute", &trial).await,
            "DryRunOperation"
        );
        assert_eq!(seen(), before, "{trial}");
        harness
            .call("ModifyInstanceAttribute", &format!("InstanceId={id}&{form}"))
            .await
            .unwrap();
        assert_eq!(seen(), expected, "{form}");
    }
}

#[tokio::test]
async fn a_change_for_nothing_that_is_there_is_refused_and_protection_holds() {
    let (harness, id) = launched().await;
    for (form, code) in [
        (
            format!("InstanceId={id}&GroupId.1=sg-0123456789abcdef0"),
            "InvalidGroup.NotFound",
        ),
        (
            format!("InstanceId={ZERO}&DisableApiStop.Value=true"),
            "InvalidInstanceID.NotFound",
        ),
        ("DisableApiStop.Value=true".to_owned(), "MissingParameter"),
    ] {
        assert_eq!(
            harness.refused("ModifyInstanceAttribute", &form).await,
            code,
            "{form}"
        );
    }
    // An instance that is protected is not ended, nor is one beside it in the same call.
    let terminate = format!("InstanceId.1={id}");
    assert_eq!(
        harness.refused("TerminateInstances", &terminate).await,
        "OperationNotPermitted"
    );
}
