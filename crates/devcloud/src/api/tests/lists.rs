//! What the actions answer that change nothing: which things are found, and by what.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Harness, texts, told};
use crate::{ImageConfig, Profile};

/// Asks each question of a table, and compares what is told of one element.
async fn tell(harness: &Harness, action: &str, element: &str, table: &[(&str, &str)]) {
    for (form, expected) in table {
        let answer = harness.call(action, form).await;
        assert_eq!(told(answer, element), *expected, "{action} {form}");
    }
}

/// A form with one filter.
fn by(name: &str, value: &str) -> String {
    format!("Filter.1.Name={name}&Filter.1.Value.1={value}")
}

#[tokio::test]
async fn there_is_one_region_and_one_zone_and_others_are_unknown() {
    let harness = Harness::new(|config| config.region = "dev-7".to_owned());
    let wrong = "InvalidParameterValue: Invalid region name: dev-8. There is only dev-7.";
    let regions = [
        ("", "dev-7"),
        ("RegionName.1=dev-7", "dev-7"),
        ("RegionName.1=dev-7&RegionName.2=dev-8", wrong),
        ("AllRegions=true", "dev-7"),
        (&by("region-name", "dev-*"), "dev-7"),
        (&by("region-name", "eu-*"), ""),
        (&by("opt-in-status", "opt-in-not-required"), "dev-7"),
        (&by("opt-in-status", "opted-in"), ""),
        (
            &by("region", "x"),
            "InvalidParameterValue: The filter 'region' is invalid",
        ),
    ];
    tell(&harness, "DescribeRegions", "regionName", &regions).await;
    let zones = [
        ("", "dev-7a"),
        ("ZoneName.1=dev-7a&ZoneId.1=dev-7-az1", "dev-7a"),
        (
            "ZoneName.1=dev-7b",
            "InvalidParameterValue: Invalid availability zone: [dev-7b]",
        ),
        (
            "ZoneId.1=dev-7a",
            "InvalidParameterValue: Invalid availability zone: [dev-7a]",
        ),
        (&by("zone-type", "availability-zone"), "dev-7a"),
        (&by("zone-type", "local-zone"), ""),
        (&by("state", "available"), "dev-7a"),
        (&by("state", "impaired"), ""),
        (&by("region-name", "dev-7"), "dev-7a"),
        (&by("zone-id", "dev-7-az?"), "dev-7a"),
    ];
    tell(&harness, "DescribeAvailabilityZones", "zoneName", &zones).await;
}

#[tokio::test]
async fn the_account_says_how_many_instances_it_may_have() {
    let harness = Harness::new(|config| config.capacity.max_instances = 7);
    let owner = harness.service.ledger.snapshot().owner_id.clone();
    let vpc = format!("vpc-{owner:0>17}");
    let unknown = "InvalidParameterValue: Value (max-volumes) for parameter AttributeName is invalid. \
                   There is no such attribute.";
    let attributes = [
        ("", format!("{vpc} 0 7 VPC 0")),
        ("AttributeName.1=max-instances", "7".to_owned()),
        (
            "AttributeName.1=default-vpc&AttributeName.2=max-elastic-ips",
            format!("{vpc} 0"),
        ),
        (
            "AttributeName.1=max-instances&AttributeName.2=max-volumes",
            unknown.to_owned(),
        ),
    ];
    let table: Vec<(&str, &str)> = attributes
        .iter()
        .map(|(form, told)| (*form, told.as_str()))
        .collect();
    tell(&harness, "DescribeAccountAttributes", "attributeValue", &table).await;
}

#[tokio::test]
async fn instance_types_have_amazons_figures_and_are_found_by_them() {
    let harness = Harness::new(|_| ());
    let types = [
        (
            "InstanceType.1=t3.micro&InstanceType.2=m1.small",
            "m1.small t3.micro",
        ),
        (
            "InstanceType.1=t3.micro&InstanceType.2=t3.giant",
            "InvalidInstanceType: The following supplied instance types do not exist: [t3.giant]",
        ),
        (&by("instance-type", "c7i.*"), "c7i.2xlarge c7i.large c7i.xlarge"),
        (&by("vcpu-info.default-vcpus", "8"), "c7i.2xlarge"),
        (&by("bare-metal", "true"), ""),
        (&by("processor-info.supported-architecture", "arm64"), ""),
    ];
    tell(&harness, "DescribeInstanceTypes", "instanceType", &types).await;
    // Amazon's: processors and memory in MiB.
    for (name, processors, memory) in [
        ("t3.micro", "2", "1024"),
        ("t3.small", "2", "2048"),
        ("c7i.large", "2", "4096"),
        ("c7i.xlarge", "4", "8192"),
        ("c7i.2xlarge", "8", "16384"),
    ] {
        let form = format!("InstanceType.1={name}");
        let answer = harness.call("DescribeInstanceTypes", &form).await.unwrap();
        assert_eq!(texts(&answer, "defaultVCpus"), [processors], "{name}");
        assert_eq!(texts(&answer, "sizeInMiB"), [memory], "{name}");
        let burstable = name.starts_with('t').to_string();
        assert_eq!(
            texts(&answer, "burstablePerformanceSupported"),
            [burstable],
            "{name}"
        );
    }
}

#[tokio::test]
async fn types_are_offered_in_the_region_the_zone_and_by_its_id() {
    let harness = Harness::new(|_| ());
    let micro = by("instance-type", "t3.micro");
    for (kind, expected) in [
        ("", "dev-1"),
        ("&LocationType=region", "dev-1"),
        ("&LocationType=availability-zone", "dev-1a"),
        ("&LocationType=availability-zone-id", "dev-1-az1"),
        (
            "&LocationType=outpost",
            "InvalidParameterValue: Value (outpost) for parameter LocationType is invalid. \
             It must be one of: region, availability-zone, availability-zone-id.",
        ),
        ("&Filter.2.Name=location&Filter.2.Value.1=dev-2", ""),
    ] {
        let answer = harness
            .call("DescribeInstanceTypeOfferings", &format!("{micro}{kind}"))
            .await;
        assert_eq!(told(answer, "location"), expected, "{kind}");
    }
}

#[tokio::test]
async fn images_are_found_by_what_they_are_and_whose() {
    let harness = Harness::new(|config| {
        config.images.push(ImageConfig {
            id: Profile::AWS.image_id("other"),
            name: "other".to_owned(),
            description: "for builders".to_owned(),
            architecture: "arm64".to_owned(),
            layers: Vec::new(),
            keeps_volume: false,
        });
    });
    let owner = harness.service.ledger.snapshot().owner_id.clone();
    let (fake, other) = (Profile::AWS.image_id("fake"), Profile::AWS.image_id("other"));
    let tag = format!("ResourceId.1={other}&Tag.1.Key=kind&Tag.1.Value=builder");
    harness.call("CreateTags", &tag).await.unwrap();
    for (form, expected) in [
        (format!("ImageId.1={fake}"), "fake"),
        (
            "ImageId.1=ami-0123".to_owned(),
            "InvalidAMIID.Malformed: Invalid id: \"ami-0123\"",
        ),
        (
            "ImageId.1=ami-0123456789abcdef0".to_owned(),
            "InvalidAMIID.NotFound: The image id '[ami-0123456789abcdef0]' does not exist",
        ),
        (format!("ImageId.1={fake}&Owner.1={owner}"), "fake"),
        (format!("ImageId.1={fake}&Owner.1=amazon"), ""),
        (
            "Owner.1=amazon&Owner.2=self&".to_owned() + &by("name", "f*"),
            "fake",
        ),
        (by("architecture", "arm64"), "other"),
        (by("architecture", "arm64") + "&ExecutableBy.1=all", ""),
        (by("architecture", "arm64") + "&ExecutableBy.1=self", "other"),
        (by("description", "*builders"), "other"),
        (by("is-public", "true"), ""),
        (by("image-type", "kernel"), ""),
        (by("root-device-type", "instance-store"), ""),
        (by("virtualization-type", "paravirtual"), ""),
        (by("tag:kind", "builder"), "other"),
        (by("tag-key", "kind"), "other"),
        (
            by("boot-mode", "uefi"),
            "InvalidParameterValue: The filter 'boot-mode' is invalid",
        ),
    ] {
        let answer = harness.call("DescribeImages", &form).await;
        assert_eq!(told(answer, "name"), expected, "{form}");
    }
}

#[tokio::test]
async fn the_status_is_told_of_running_instances_and_of_others_when_asked() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=2&MaxCount=2").await.unwrap();
    harness.settled().await;
    let ids = harness.ids();
    let [up, down] = ids.as_slice() else {
        panic!("two instances: {ids:?}")
    };
    harness
        .call("StopInstances", &format!("InstanceId.1={down}"))
        .await
        .unwrap();
    for _ in 0..1000 {
        let stopped = by("instance-state-name", "stopped");
        let answer = harness.call("DescribeInstances", &stopped).await.unwrap();
        if texts(&answer, "amiLaunchIndex").len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut both = [up.as_str(), down.as_str()];
    both.sort_unstable();
    for (form, expected) in [
        (String::new(), vec![up.as_str()]),
        ("IncludeAllInstances=true".to_owned(), both.to_vec()),
        (format!("InstanceId.1={down}"), Vec::new()),
        (
            format!("InstanceId.1={down}&IncludeAllInstances=true"),
            vec![down],
        ),
        (
            by("instance-status.status", "ok") + "&IncludeAllInstances=true",
            vec![up],
        ),
        (
            by("system-status.reachability", "not-applicable") + "&IncludeAllInstances=true",
            vec![down],
        ),
        (by("instance-state-code", "80"), Vec::new()),
        (
            by("instance-state-code", "80") + "&IncludeAllInstances=true",
            vec![down],
        ),
        (by("availability-zone", "dev-1b"), Vec::new()),
    ] {
        let answer = harness.call("DescribeInstanceStatus", &form).await.unwrap();
        let mut found = texts(&answer, "instanceId");
        found.sort_unstable();
        assert_eq!(found, expected, "{form}");
    }
}

#[tokio::test]
async fn the_console_is_told_of_one_instance_at_a_time() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    let id = harness.service.ledger.instances()[0].id.clone();
    let answer = harness
        .call("GetConsoleOutput", &format!("InstanceId={id}&Latest=true"))
        .await
        .unwrap();
    let output = STANDARD.decode(texts(&answer, "output")[0]).unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), format!("console of {id}\n"));
    for (form, code) in [
        ("", "MissingParameter"),
        ("InstanceId=i-1", "InvalidInstanceID.Malformed"),
        ("InstanceId=i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
    ] {
        assert_eq!(harness.refused("GetConsoleOutput", form).await, code, "{form}");
    }
}

#[tokio::test]
async fn the_vpc_has_no_names_and_every_other_network_is_unknown() {
    let harness = Harness::new(|_| ());
    let owner = harness.service.ledger.snapshot().owner_id.clone();
    let vpc = format!("VpcId=vpc-{owner:0>17}");
    for (action, form, element, expected) in [
        (
            "DescribeVpcAttribute",
            format!("{vpc}&Attribute=enableDnsHostnames"),
            "value",
            "false",
        ),
        (
            "DescribeVpcAttribute",
            format!("{vpc}&Attribute=enableDnsEverything"),
            "value",
            "InvalidParameterValue: Value (enableDnsEverything) for parameter Attribute is invalid. It must be one of: \
             enableDnsSupport, enableDnsHostnames, enableNetworkAddressUsageMetrics.",
        ),
        (
            "DescribeVpcAttribute",
            "Attribute=enableDnsSupport".to_owned(),
            "value",
            "MissingParameter: The request must contain the parameter VpcId",
        ),
        (
            "DescribeVpcs",
            "VpcId.1=vpc-1".to_owned(),
            "vpcId",
            "InvalidVpcID.Malformed: Invalid id: \"vpc-1\"",
        ),
        (
            "DescribeVpcs",
            "VpcId.1=vpc-0123456789abcdef0".to_owned(),
            "vpcId",
            "InvalidVpcID.NotFound: The vpc ID 'vpc-0123456789abcdef0' does not exist",
        ),
        (
            "DescribeSubnets",
            "SubnetId.1=subnet-0123456789abcdef0".to_owned(),
            "subnetId",
            "InvalidSubnetID.NotFound: The subnet ID 'subnet-0123456789abcdef0' does not exist",
        ),
        (
            "DescribeSubnets",
            by("cidr-block", "10.88.0.0/16"),
            "availableIpAddressCount",
            "65009",
        ),
        (
            "DescribeSubnets",
            by("availability-zone", "dev-1b"),
            "subnetId",
            "",
        ),
    ] {
        let answer = harness.call(action, &form).await;
        assert_eq!(told(answer, element), expected, "{action} {form}");
    }
}

#[tokio::test]
async fn there_are_no_elastic_addresses_placement_groups_or_interfaces_without_instances() {
    let harness = Harness::new(|_| ());
    for (action, form, element, expected) in [
        (
            "DescribeAddresses",
            "PublicIp.1=192.0.2.1",
            "publicIp",
            "InvalidAddress.NotFound: Address '192.0.2.1' not found.",
        ),
        (
            "DescribePlacementGroups",
            "GroupName.1=near",
            "groupName",
            "InvalidPlacementGroup.Unknown: The Placement Group 'near' is unknown.",
        ),
        (
            "DescribeNetworkInterfaces",
            "NetworkInterfaceId.1=eni-0123456789abcdef0",
            "networkInterfaceId",
            "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-0123456789abcdef0' does not exist",
        ),
    ] {
        let answer = harness.call(action, form).await;
        assert_eq!(told(answer, element), expected, "{action} {form}");
    }
}
