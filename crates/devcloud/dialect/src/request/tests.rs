//! Forms as clients send them (the examples of EC2's API reference, boto3, libcloud, Ansible), as types.

use serde::de::DeserializeOwned;

use super::*;
use crate::{ApiError, Form};

fn decode<T: DeserializeOwned>(form: &str) -> Result<T, ApiError> {
    Form::parse(&[form]).unwrap().decode()
}

/// The error's code and the parameter or the reason in it.
fn refused<T: DeserializeOwned>(form: &str) -> (String, String) {
    match decode::<T>(form) {
        Ok(_) => panic!("it is taken: {form}"),
        Err(error) => (error.code.into_owned(), error.message),
    }
}

#[test]
fn a_launch_of_the_reference_is_read_in_full() {
    let launch: RunInstances = decode(
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-0abcdef1234567890&InstanceType=t2.small&MinCount=1&MaxCount=3\
         &KeyName=my-key-pair&SecurityGroupId.1=sg-1a2b3c4d&SubnetId=subnet-1a2b3c4d\
         &BlockDeviceMapping.1.DeviceName=/dev/sdf&BlockDeviceMapping.1.Ebs.VolumeSize=100\
         &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=webserver\
         &TagSpecification.1.Tag.1.Value=production&TagSpecification.2.ResourceType=volume\
         &TagSpecification.2.Tag.1.Key=cost-center&TagSpecification.2.Tag.1.Value=cc123",
    )
    .unwrap();
    assert_eq!(launch.image_id.as_deref(), Some("ami-0abcdef1234567890"));
    assert_eq!((launch.min_count, launch.max_count), (Some(1), Some(3)));
    assert_eq!(launch.security_group_id, ["sg-1a2b3c4d"]);
    assert_eq!(launch.subnet_id.as_deref(), Some("subnet-1a2b3c4d"));
    let [disk] = launch.block_device_mapping.as_slice() else {
        panic!("{:?}", launch.block_device_mapping)
    };
    assert_eq!(
        (disk.device_name.as_deref(), disk.ebs.volume_size),
        (Some("/dev/sdf"), Some(100))
    );
    let tags: Vec<_> = launch
        .tag_specification
        .iter()
        .map(|one| {
            (
                one.resource_type.as_str(),
                one.tag[0].key.0.as_str(),
                one.tag[0].value.0.as_str(),
            )
        })
        .collect();
    assert_eq!(
        tags,
        [
            ("instance", "webserver", "production"),
            ("volume", "cost-center", "cc123")
        ]
    );
    assert_eq!(launch.metadata_options, MetadataOptions::default());
}

#[test]
fn the_options_of_a_launch_are_words_numbers_and_switches() {
    let launch: RunInstances = decode(
        "MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=1&MetadataOptions.HttpEndpoint=enabled\
         &InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions.MaxPrice=0.02\
         &InstanceInitiatedShutdownBehavior=terminate&DisableApiTermination=true&Monitoring.Enabled=False\
         &PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord=false&ClientToken=550e8400-e29b\
         &NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.AssociatePublicIpAddress=true\
         &NetworkInterface.1.SecurityGroupId.1=sg-1&NetworkInterface.1.SecurityGroupId.2=sg-2",
    )
    .unwrap();
    assert_eq!(launch.metadata_options.http_tokens, Some(HttpTokens::Required));
    assert_eq!(launch.metadata_options.http_put_response_hop_limit, Some(1));
    assert_eq!(launch.metadata_options.http_endpoint, Some(Switch::Enabled));
    assert_eq!(launch.instance_market_options.market_type, Some(MarketType::Spot));
    assert_eq!(
        launch.instance_market_options.spot_options.max_price.as_deref(),
        Some("0.02")
    );
    assert_eq!(
        launch.instance_initiated_shutdown_behavior,
        Some(ShutdownBehavior::Terminate)
    );
    assert_eq!(
        (launch.disable_api_termination, launch.monitoring.enabled),
        (Some(true), Some(false))
    );
    assert_eq!(
        launch
            .private_dns_name_options
            .enable_resource_name_dns_aaaa_record,
        Some(false)
    );
    assert_eq!(launch.client_token.unwrap().0, "550e8400-e29b");
    assert_eq!(launch.network_interface[0].security_group_id, ["sg-1", "sg-2"]);
}

#[test]
fn a_launch_is_refused_by_the_full_name_of_what_is_wrong() {
    let long_token = format!("ClientToken={}", "t".repeat(65));
    for (form, code, name) in [
        ("Imageid=ami-1", "UnknownParameter", "Imageid"),
        (
            "MetadataOptions.HttpTokenz=required",
            "UnknownParameter",
            "MetadataOptions.HttpTokenz",
        ),
        (
            "TagSpecification.1.Tags.1.Key=a",
            "UnknownParameter",
            "TagSpecification.1.Tags.1.Key",
        ),
        (
            "TagSpecification.1.Tag.1.Key=a",
            "MissingParameter",
            "TagSpecification.1.ResourceType",
        ),
        (
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.2.Value=a",
            "MissingParameter",
            "TagSpecification.1.Tag.2.Key",
        ),
        (
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=aws:x",
            "InvalidParameterValue",
            "TagSpecification.1.Tag.1.Key",
        ),
        (
            "BlockDeviceMapping.1.Ebs.VolumeSize=+8",
            "InvalidParameterValue",
            "BlockDeviceMapping.1.Ebs.VolumeSize",
        ),
        ("MinCount=01", "InvalidParameterValue", "MinCount"),
        ("MaxCount=1x", "InvalidParameterValue", "MaxCount"),
        (
            "MetadataOptions.HttpTokens=Required",
            "InvalidParameterValue",
            "MetadataOptions.HttpTokens",
        ),
        (
            "DisableApiTermination=yes",
            "InvalidParameterValue",
            "DisableApiTermination",
        ),
        (&long_token, "InvalidParameterValue", "ClientToken"),
    ] {
        let (found, message) = refused::<RunInstances>(form);
        assert_eq!(found, code, "{form}: {message}");
        assert!(
            message.contains(&format!(" {name} ")) || message.ends_with(name),
            "{form}: {message}"
        );
    }
}

#[test]
fn rules_are_read_in_both_forms() {
    let AuthorizeSecurityGroupIngress(rules) = decode(
        "GroupId=sg-112233&IpPermissions.1.IpProtocol=6&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22\
         &IpPermissions.1.IpRanges.1.CidrIp=192.0.2.7/24&IpPermissions.1.IpRanges.1.Description=SSH+access\
         &IpPermissions.1.Ipv6Ranges.1.CidrIpv6=2001:db8::1/64\
         &IpPermissions.2.IpProtocol=-1&IpPermissions.2.Groups.1.GroupId=sg-445566\
         &IpPermissions.3.IpProtocol=icmp&IpPermissions.3.FromPort=-1&IpPermissions.3.ToPort=-1\
         &IpPermissions.3.UserIdGroupPairs.1.GroupName=web",
    )
    .unwrap();
    let [ssh, all, ping] = rules.ip_permissions.as_slice() else {
        panic!("{rules:?}")
    };
    assert_eq!(ssh.ip_protocol.as_ref().unwrap().0, "tcp");
    assert_eq!((ssh.from_port, ssh.to_port), (Some(22), Some(22)));
    assert_eq!(ssh.ip_ranges[0].cidr_ip.0, "192.0.2.0/24");
    assert_eq!(
        ssh.ip_ranges[0].description.as_ref().map(|text| text.0.as_str()),
        Some("SSH access")
    );
    assert_eq!(ssh.ipv6_ranges[0].cidr_ipv6.0, "2001:db8::/64");
    assert_eq!(all.ip_protocol.as_ref().unwrap().0, "-1");
    assert_eq!(all.groups[0].group_id.as_deref(), Some("sg-445566"));
    assert_eq!((ping.from_port, ping.to_port), (Some(-1), Some(-1)));
    assert_eq!(ping.user_id_group_pairs[0].group_name.as_deref(), Some("web"));

    let RevokeSecurityGroupIngress(older) =
        decode("GroupName=web&IpProtocol=tcp&FromPort=80&ToPort=80&CidrIp=0.0.0.0/0").unwrap();
    assert_eq!(older.cidr_ip.unwrap().0, "0.0.0.0/0");
    assert_eq!((older.from_port, older.to_port), (Some(80), Some(80)));
    assert_eq!(older.ip_permissions, []);
}

#[test]
fn a_rule_that_is_oddly_spelled_is_refused_with_ec2s_code() {
    for (form, name) in [
        ("IpPermissions.1.IpProtocol=06", "IpPermissions.1.IpProtocol"),
        ("IpPermissions.1.IpProtocol=%2B6", "IpPermissions.1.IpProtocol"),
        ("IpPermissions.1.IpProtocol=all", "IpPermissions.1.IpProtocol"),
        ("IpProtocol=+6", "IpProtocol"),
        ("IpPermissions.1.FromPort=022", "IpPermissions.1.FromPort"),
        ("IpPermissions.1.ToPort=22-23", "IpPermissions.1.ToPort"),
        ("FromPort=%2B22", "FromPort"),
        (
            "IpPermissions.2.IpRanges.1.CidrIp=10.0.0.0/08",
            "IpPermissions.2.IpRanges.1.CidrIp",
        ),
        (
            "IpPermissions.1.IpRanges.1.CidrIp=::/0",
            "IpPermissions.1.IpRanges.1.CidrIp",
        ),
        (
            "IpPermissions.1.Ipv6Ranges.1.CidrIpv6=0.0.0.0/0",
            "IpPermissions.1.Ipv6Ranges.1.CidrIpv6",
        ),
        ("CidrIp=010.0.0.0/8", "CidrIp"),
    ] {
        let (code, message) = refused::<AuthorizeSecurityGroupIngress>(form);
        assert_eq!(code, "InvalidParameterValue", "{form}: {message}");
        assert!(
            message.contains(&format!("for parameter {name} is invalid")),
            "{message}"
        );
    }
    let (code, message) =
        refused::<AuthorizeSecurityGroupIngress>("IpPermissions.1.IpRanges.1.Description=x");
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "MissingParameter",
            "The request must contain the parameter IpPermissions.1.IpRanges.1.CidrIp"
        )
    );
}

#[test]
fn a_tag_is_removed_with_its_value_or_whatever_that_is() {
    let request: DeleteTags = decode(
        "ResourceId.1=i-1&ResourceId.2=i-2&Tag.1.Key=stack&Tag.2.Key=empty&Tag.2.Value=&Tag.3.Key=role&Tag.3.Value=x",
    )
    .unwrap();
    assert_eq!(request.resource_id, ["i-1", "i-2"]);
    let tags: Vec<_> = request
        .tag
        .iter()
        .map(|tag| (tag.key.as_str(), tag.value.as_deref()))
        .collect();
    assert_eq!(tags, [("stack", None), ("empty", Some("")), ("role", Some("x"))]);
    let request: CreateTags = decode("ResourceId=i-1&Tag.1.Key=stack&Tag.2.Key=empty&Tag.2.Value=").unwrap();
    assert!(
        request.tag.iter().all(|tag| tag.value.0.is_empty()),
        "{request:?}"
    );
}

#[test]
fn filters_are_read_as_every_client_writes_them() {
    let values =
        |filter: &Filter| -> Vec<String> { filter.value.iter().map(|value| value.0.clone()).collect() };
    for (form, name, expected) in [
        (
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc-2",
            Some("vpc-id"),
            &["vpc-1", "vpc-2"][..],
        ),
        (
            "Filter.1.Name=vpc-id&Filter.1.Value=vpc-1",
            Some("vpc-id"),
            &["vpc-1"],
        ),
        ("Filter.1.Name=vpc-id", Some("vpc-id"), &[]),
        ("Filter.1.Value.1=vpc-1", None, &["vpc-1"]),
        ("Filter.Name=vpc-id", None, &[]),
    ] {
        match decode::<DescribeSubnets>(form) {
            Ok(request) => {
                assert_eq!(request.filter[0].name.as_deref(), name, "{form}");
                assert_eq!(values(&request.filter[0]), expected, "{form}");
            }
            Err(error) => assert_eq!(
                (error.code.as_ref(), form),
                ("UnknownParameter", "Filter.Name=vpc-id")
            ),
        }
    }
    for form in [
        "Filter.1.Names=x",
        "Filter.1.Values.1=x",
        "Filters.1.Name=x",
        "Filter.01.Name=x",
        "Filter.1.Value.x=1",
    ] {
        assert_eq!(refused::<DescribeSubnets>(form).0, "UnknownParameter", "{form}");
    }
}

#[test]
fn keys_are_of_two_kinds_and_one_format() {
    for (form, kind, format) in [
        ("KeyName=a", None, None),
        ("KeyName=a&KeyType=rsa", Some(KeyType::Rsa), None),
        (
            "KeyName=a&KeyType=ed25519&KeyFormat=pem",
            Some(KeyType::Ed25519),
            Some(KeyFormat::Pem),
        ),
    ] {
        let request: CreateKeyPair = decode(form).unwrap();
        assert_eq!((request.key_type, request.key_format), (kind, format), "{form}");
    }
    assert_eq!(
        (KeyType::default().name(), KeyType::Ed25519.name()),
        ("rsa", "ed25519")
    );
    for (form, reason) in [
        ("KeyType=dsa", "It must be one of: rsa, ed25519."),
        ("KeyType=RSA", "It must be one of: rsa, ed25519."),
        ("KeyFormat=ppk", "It must be one of: pem."),
        (
            "KeyName=%C3%BC",
            "It must have 1 to 255 printable ASCII characters.",
        ),
    ] {
        let (code, message) = refused::<CreateKeyPair>(form);
        assert_eq!(code, "InvalidParameterValue", "{form}");
        assert!(message.ends_with(reason), "{form}: {message}");
    }
}

#[test]
fn an_attribute_is_changed_in_each_of_its_forms() {
    let by_name: ModifyInstanceAttribute =
        decode("InstanceId=i-1&DisableApiTermination.Value=true&InstanceType.Value=t3.micro").unwrap();
    assert_eq!(by_name.disable_api_termination.value, Some(true));
    assert_eq!(by_name.instance_type.value.as_deref(), Some("t3.micro"));
    let generic: ModifyInstanceAttribute =
        decode("InstanceId=i-1&Attribute=disableApiTermination&Value=true").unwrap();
    assert_eq!(
        (generic.attribute.as_deref(), generic.value.as_deref()),
        (Some("disableApiTermination"), Some("true"))
    );
    for form in [
        "DisableApiTermination=true",
        "DisableApiTermination.Values=true",
        "InstanceType=t3.micro",
    ] {
        assert_eq!(
            refused::<ModifyInstanceAttribute>(form).0,
            "UnknownParameter",
            "{form}"
        );
    }
}
