//! What is taken of a request and what is refused: nothing is passed over.

use devcloud_dialect::Form;

use super::{Harness, count};
use crate::{
    api::actions::{ACTIONS, dispatch},
    ledger::InstanceState,
};

/// A key of nobody's.
const PUBLIC_KEY: &str = "c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUt0UTJqTVRtQnZRMG1QOGMxejh5cUo1aDBRMkUyWHEwYnExY1owY1EwYUIgdGVzdA%3D%3D";

#[tokio::test]
async fn every_action_refuses_a_parameter_that_it_does_not_know_and_says_its_name() {
    let harness = Harness::new(|_| ());
    for (api, action, _) in ACTIONS {
        for (form, name) in [
            ("Colour=red", "Colour"),
            ("Colour.1.Shade=red", "Colour.1.Shade"),
            ("A.B.C=1&SubnetIdd=x", "A.B.C"),
        ] {
            let form = Form::parse(&[form]).unwrap();
            let error = dispatch(&harness.service, *api, action, &form).await.unwrap_err();
            assert_eq!(error.code, "UnknownParameter", "{action}");
            assert_eq!(
                error.message,
                format!("The parameter {name} is not recognized"),
                "{action}"
            );
        }
    }
}

#[tokio::test]
async fn every_action_that_lists_heeds_a_trial_and_refuses_what_is_no_boolean() {
    let harness = Harness::new(|_| ());
    let mut lists = 0;
    for (api, action, _) in ACTIONS
        .iter()
        .filter(|(_, action, _)| action.starts_with("Describe"))
    {
        let service = &harness.service;
        let ask = async |form: &str| {
            let form = Form::parse(&[form]).unwrap();
            dispatch(service, *api, action, &form).await.map(drop)
        };
        assert_eq!(
            ask("DryRun=maybe").await.unwrap_err().code,
            "InvalidParameterValue",
            "{action}"
        );
        // Actions about one thing want its name first.
        if action.ends_with("Attribute") {
            continue;
        }
        assert_eq!(
            ask("DryRun=true").await.unwrap_err().code,
            "DryRunOperation",
            "{action}"
        );
        assert_eq!(ask("DryRun=false").await, Ok(()), "{action}");
        lists += 1;
    }
    assert!(lists >= 15, "{lists} actions were tried");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn a_list_without_a_number_is_a_list_of_one() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=2&MaxCount=2").await.unwrap();
    harness.settled().await;
    for name in ["a", "b"] {
        let form = format!("KeyName={name}&PublicKeyMaterial={PUBLIC_KEY}");
        harness.call("ImportKeyPair", &form).await.unwrap();
    }
    let ids = harness.ids();
    let one = harness
        .call("DescribeInstances", &format!("InstanceId={}", ids[1]))
        .await
        .unwrap();
    assert!(one.contains(&ids[1]) && !one.contains(&ids[0]), "{one}");
    let pair = harness.call("DescribeKeyPairs", "KeyName=b").await.unwrap();
    assert!(
        pair.contains("<keyName>b</keyName>") && !pair.contains("<keyName>a</keyName>"),
        "{pair}"
    );
    let groups = harness
        .call("DescribeSecurityGroups", "GroupName=default")
        .await
        .unwrap();
    assert_eq!(count(&groups, "groupDescription"), 1);
    for (action, form, code) in [
        (
            "DescribeInstances",
            "InstanceId=i-0123456789abcdef0",
            "InvalidInstanceID.NotFound",
        ),
        ("DescribeInstances", "InstanceId=", "InvalidInstanceID.Malformed"),
        (
            "DescribeInstanceStatus",
            "InstanceId=i-0123456789abcdef0",
            "InvalidInstanceID.NotFound",
        ),
        ("DescribeKeyPairs", "KeyName=gone", "InvalidKeyPair.NotFound"),
        (
            "DescribeKeyPairs",
            "KeyPairId=key-0123456789abcdef0",
            "InvalidKeyPair.NotFound",
        ),
        (
            "DescribeSecurityGroups",
            "GroupId=sg-0123456789abcdef0",
            "InvalidGroup.NotFound",
        ),
        (
            "DescribeSecurityGroups",
            "GroupName=gone",
            "InvalidGroup.NotFound",
        ),
        (
            "DescribeImages",
            "ImageId=ami-0123456789abcdef0",
            "InvalidAMIID.NotFound",
        ),
        (
            "DescribeInstanceTypes",
            "InstanceType=t99.huge",
            "InvalidInstanceType",
        ),
        ("DescribeRegions", "RegionName=moon-1", "InvalidParameterValue"),
        (
            "DescribeAvailabilityZones",
            "ZoneName=moon-1a",
            "InvalidParameterValue",
        ),
        (
            "DescribeVpcs",
            "VpcId=vpc-0123456789abcdef0",
            "InvalidVpcID.NotFound",
        ),
        (
            "DescribeSubnets",
            "SubnetId=subnet-0123456789abcdef0",
            "InvalidSubnetID.NotFound",
        ),
        (
            "DescribeAddresses",
            "PublicIp=192.0.2.1",
            "InvalidAddress.NotFound",
        ),
        (
            "DescribeNetworkInterfaces",
            "NetworkInterfaceId=eni-0123456789abcdef0",
            "InvalidNetworkInterfaceID.NotFound",
        ),
        (
            "CreateTags",
            "ResourceId=i-0123456789abcdef0&Tag.1.Key=a",
            "InvalidInstanceID.NotFound",
        ),
        (
            "TerminateInstances",
            "InstanceId=i-0123456789abcdef0",
            "InvalidInstanceID.NotFound",
        ),
        (
            "DeleteKeyPair",
            "KeyName=a&KeyPairId=key-0123456789abcdef0",
            "InvalidParameterCombination",
        ),
    ] {
        assert_eq!(harness.refused(action, form).await, code, "{action} {form}");
    }
    harness
        .call("TerminateInstances", &format!("InstanceId={}", ids[0]))
        .await
        .unwrap();
    harness.settled().await;
    let states = |id: &str| harness.service.ledger.snapshot().instances[id].state;
    assert_eq!(states(&ids[0]), InstanceState::Terminated);
    assert_eq!(states(&ids[1]), InstanceState::Running);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn what_a_launch_asks_for_is_done_or_refused_with_ec2s_code() {
    let harness = Harness::new(|_| ());
    for (form, code) in [
        ("MetadataOptions.HttpTokenz=required", "UnknownParameter"),
        (
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tags.1.Key=a",
            "UnknownParameter",
        ),
        ("SubnetId=subnet-0123456789abcdef0", "InvalidSubnetID.NotFound"),
        ("SubnetId=elsewhere", "InvalidSubnetID.Malformed"),
        ("Placement.GroupName=together", "InvalidPlacementGroup.Unknown"),
        ("Placement.Tenancy=host", "Unsupported"),
        ("Placement.Tenancy=dedicated", "Unsupported"),
        ("Placement.HostId=h-0123456789abcdef0", "InvalidHostID.NotFound"),
        ("IamInstanceProfile.Name=builder", "InvalidParameterValue"),
        (
            "IamInstanceProfile.Arn=arn:aws:iam::1:instance-profile/x",
            "InvalidParameterValue",
        ),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.SnapshotId=snap-0123456789abcdef0",
            "InvalidSnapshot.NotFound",
        ),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1.Ebs.VolumeSize=10",
            "InvalidBlockDeviceMapping",
        ),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1.VirtualName=ephemeral0",
            "InvalidBlockDeviceMapping",
        ),
        ("BlockDeviceMapping.1.Ebs.VolumeSize=10", "MissingParameter"),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.Encrypted=true",
            "Unsupported",
        ),
        (
            "HibernationOptions.Configured=true",
            "UnsupportedHibernationConfiguration",
        ),
        (
            "InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.MaxPrice=0.1",
            "Unsupported",
        ),
        (
            "InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.SpotInstanceType=persistent",
            "Unsupported",
        ),
        ("Monitoring.Enabled=true", "Unsupported"),
        ("EbsOptimized=true", "Unsupported"),
        (
            "CpuOptions.CoreCount=1&CpuOptions.ThreadsPerCore=1",
            "Unsupported",
        ),
        ("MaintenanceOptions.AutoRecovery=disabled", "Unsupported"),
        ("NetworkInterface.1.DeviceIndex=1", "InvalidParameterValue"),
        (
            "NetworkInterface.1.DeviceIndex=0&NetworkInterface.2.DeviceIndex=1",
            "AttachmentLimitExceeded",
        ),
        (
            "NetworkInterface.1.NetworkInterfaceId=eni-0123456789abcdef0",
            "InvalidNetworkInterfaceID.NotFound",
        ),
        ("NetworkInterface.1.AssociatePublicIpAddress=false", "Unsupported"),
        (
            "NetworkInterface.1.DeviceIndex=0&SecurityGroup.1=default",
            "InvalidParameterCombination",
        ),
        (
            "TagSpecification.1.ResourceType=spot-instances-request",
            "InvalidParameterValue",
        ),
        ("LaunchTemplate.LaunchTemplateName=x", "UnknownParameter"),
        ("KernelId=aki-1", "UnknownParameter"),
        ("DisableApiStop=perhaps", "InvalidParameterValue"),
    ] {
        let error = harness
            .run(&format!("MinCount=1&MaxCount=1&{form}"))
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{form}: {}", error.message);
    }
    assert!(harness.service.ledger.instances().is_empty());

    let state = harness.service.ledger.snapshot();
    let subnet = format!("subnet-{:0>17}", state.owner_id);
    for form in [
        format!("SubnetId={subnet}&Placement.Tenancy=default&Monitoring.Enabled=false&EbsOptimized=false"),
        format!("NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId={subnet}"),
        "HibernationOptions.Configured=false&EnclaveOptions.Enabled=false".to_owned(),
        "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=20".to_owned(),
        "InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time"
            .to_owned(),
    ] {
        harness
            .run(&format!("MinCount=1&MaxCount=1&{form}"))
            .await
            .unwrap_or_else(|error| panic!("{form}: {error:?}"));
    }
}

#[tokio::test]
async fn a_trial_of_a_launch_is_refused_as_the_launch_itself_would_be() {
    let harness = Harness::new(|config| {
        config.capacity.instances = 2;
        config.capacity.max_instances = 3;
    });
    harness
        .run("MinCount=1&MaxCount=1&ClientToken=used")
        .await
        .unwrap();
    let before = harness.service.ledger.snapshot();
    for (form, code) in [
        ("MinCount=1&MaxCount=1&KeyName=nokey", "InvalidKeyPair.NotFound"),
        (
            "MinCount=1&MaxCount=1&SecurityGroupId.1=sg-00000000000000000",
            "InvalidGroup.NotFound",
        ),
        (
            "MinCount=1&MaxCount=1&SecurityGroupId.1=xyz",
            "InvalidGroupId.Malformed",
        ),
        (
            "MinCount=1&MaxCount=1&SecurityGroup.1=nosuch",
            "InvalidGroup.NotFound",
        ),
        (
            "MinCount=1&MaxCount=1&NetworkInterface.1.SecurityGroupId.1=sg-00000000000000000",
            "InvalidGroup.NotFound",
        ),
        ("MinCount=2&MaxCount=2", "InsufficientInstanceCapacity"),
        ("MinCount=3&MaxCount=3", "InstanceLimitExceeded"),
        (
            "MinCount=1&MaxCount=1&ClientToken=used&InstanceType=t3.small",
            "IdempotentParameterMismatch",
        ),
        (
            "MinCount=1&MaxCount=1&InstanceType=t99.huge",
            "InvalidParameterValue",
        ),
    ] {
        for trial in ["", "&DryRun=true"] {
            let error = harness.run(&format!("{form}{trial}")).await.unwrap_err();
            assert_eq!(error.code, code, "{form}{trial}: {}", error.message);
        }
    }
    for form in [
        "MinCount=1&MaxCount=1&SecurityGroup.1=default&ClientToken=new",
        "MinCount=1&MaxCount=1&ClientToken=used",
    ] {
        let error = harness.run(&format!("{form}&DryRun=true")).await.unwrap_err();
        assert_eq!(error.code, "DryRunOperation", "{form}");
    }
    let after = harness.service.ledger.snapshot();
    assert_eq!(after.instances.len(), 1, "a trial makes nothing");
    assert_eq!(
        (after.sequence, after.tokens.len(), after.address_cursor),
        (before.sequence, before.tokens.len(), before.address_cursor)
    );
}

#[tokio::test]
async fn an_instance_that_is_protected_from_stops_is_not_stopped() {
    let harness = Harness::new(|_| ());
    harness
        .run("MinCount=1&MaxCount=1&DisableApiStop=true")
        .await
        .unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    let stop = format!("InstanceId.1={id}");
    assert_eq!(
        harness.refused("StopInstances", &stop).await,
        "OperationNotPermitted"
    );
    let shown = harness
        .call(
            "DescribeInstanceAttribute",
            &format!("InstanceId={id}&Attribute=disableApiStop"),
        )
        .await
        .unwrap();
    assert!(
        shown.contains("<disableApiStop><value>true</value></disableApiStop>"),
        "{shown}"
    );
    harness
        .call(
            "ModifyInstanceAttribute",
            &format!("InstanceId={id}&DisableApiStop.Value=false"),
        )
        .await
        .unwrap();
    harness.call("StopInstances", &stop).await.unwrap();
}
