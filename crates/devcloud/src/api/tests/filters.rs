//! What filters find: an instance, an image or a group by what the answer shows of it, and nothing by what none has.

use super::{Harness, count};
use crate::{
    Profile,
    ledger::{Instance, InstanceState},
};

/// How many things an action finds by one filter, or the error's code.
async fn found(
    harness: &Harness,
    action: &str,
    element: &str,
    name: &str,
    value: &str,
) -> Result<usize, String> {
    let form = format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
    match harness.call(action, &form).await {
        Ok(answer) => Ok(count(&answer, element)),
        Err(error) => Err(error.code.into_owned()),
    }
}

/// Filters and their values, one pair in a line; `-` is what no instance here has.
fn pairs(table: &str) -> Vec<(&str, &str)> {
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap()).collect()
}

/// What the answer shows of an instance, behind the filters for it.
fn shown(harness: &Harness, one: &Instance) -> String {
    let owner = harness.service.ledger.snapshot().owner_id.clone();
    let mac = crate::hypervisor::mac_address(one.private_address);
    format!(
        "availability-zone-id {zone}
         block-device-mapping.attach-time 20*Z
         block-device-mapping.delete-on-termination true
         block-device-mapping.device-name /dev/sda1
         block-device-mapping.status attached
         block-device-mapping.volume-id {volume}
         ebs-optimized false
         enclave-options.enabled false
         hibernation-options.configured false
         iam-instance-profile.arn -
         kernel-id -
         metadata-options.http-endpoint enabled
         metadata-options.http-put-response-hop-limit 1
         metadata-options.http-tokens required
         metadata-options.state applied
         network-interface.addresses.association.public-ip {public}
         network-interface.addresses.private-ip-address {private}
         network-interface.association.public-ip {public}
         network-interface.attachment.device-index 0
         network-interface.attachment.instance-id {id}
         network-interface.attachment.status attached
         network-interface.group-name default
         network-interface.ipv6-addresses.ipv6-address -
         network-interface.mac-address {mac}
         network-interface.owner-id {owner}
         network-interface.requester-id -
         network-interface.status in-use
         network-interface.tag-value wire
         placement-group-name -
         platform -
         platform-details Linux/UNIX
         product-code -
         requester-id -
         spot-instance-request-id -",
        zone = harness.service.config.zone_id(),
        volume = one.root_volume_id,
        public = one.public_address,
        private = one.private_address,
        id = one.id,
    )
}

#[tokio::test]
async fn an_instance_is_found_by_all_that_its_answer_shows() {
    let harness = Harness::new(|_| ());
    let form = "MinCount=1&MaxCount=1&ClientToken=token&SecurityGroup.1=default&MetadataOptions.HttpTokens=required\
                &TagSpecification.1.ResourceType=network-interface&TagSpecification.1.Tag.1.Key=role\
                &TagSpecification.1.Tag.1.Value=wire";
    harness.run(form).await.unwrap();
    harness.settled().await;
    let one = harness.service.ledger.instances()[0].clone();
    let table = shown(&harness, &one);
    let find = async |name: &str, value: &str| {
        found(&harness, "DescribeInstances", "reservationId", name, value).await
    };
    for (name, value) in pairs(&table) {
        let is_there = usize::from(value != "-");
        let value = if value == "-" { "*" } else { value };
        assert_eq!(find(name, value).await, Ok(is_there), "{name}={value}");
        assert_eq!(find(name, "other").await, Ok(0), "{name}=other");
    }
    for name in [
        "boot-mode",
        "network-interface.tag:role",
        "network-interface",
        "block-device-mapping.size",
    ] {
        assert_eq!(
            find(name, "*").await,
            Err("InvalidParameterValue".to_owned()),
            "{name}"
        );
    }
    let form = format!("InstanceId.1={}", one.id);
    harness.call("TerminateInstances", &form).await.unwrap();
    harness.settled().await;
    assert_eq!(
        harness.service.ledger.instances()[0].state,
        InstanceState::Terminated
    );
    // Disk and interface go with the instance.
    for name in ["block-device-mapping.volume-id", "network-interface.mac-address"] {
        assert_eq!(find(name, "*").await, Ok(0), "{name}");
    }
    assert_eq!(find("reason", "User initiated*").await, Ok(1));
    assert_eq!(
        find("state-reason-message", "*: User initiated shutdown").await,
        Ok(1)
    );
}

#[tokio::test]
async fn an_interface_an_image_and_a_group_are_found_by_what_they_are() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    harness.settled().await;
    let group = harness
        .service
        .ledger
        .snapshot()
        .security_groups
        .keys()
        .next()
        .unwrap()
        .clone();
    let tcp = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=23";
    let from =
        "IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=2001:db8::/32";
    let rules = format!("GroupName=default&{tcp}&{from}&IpPermissions.1.Groups.1.GroupName=default");
    harness
        .call("AuthorizeSecurityGroupIngress", &rules)
        .await
        .unwrap();
    let image = Profile::AWS.image_id("fake");
    for (action, element, table) in [
        (
            "DescribeNetworkInterfaces",
            "macAddress",
            "attachment.device-index 0 1
             addresses.primary true 1
             association.allocation-id * 0"
                .to_owned(),
        ),
        (
            "DescribeImages",
            "imageId",
            format!(
                "creation-date 2024-01-* 1
                 creation-date 2023* 0
                 image-id {image} 1
                 manifest-location */fake 1
                 block-device-mapping.volume-type standard 1
                 platform * 0"
            ),
        ),
        (
            "DescribeSecurityGroups",
            "groupName",
            format!(
                "ip-permission.cidr 10.0.0.0/8 1
                 ip-permission.cidr *:* 0
                 ip-permission.cidr sg-* 0
                 ip-permission.ipv6-cidr 2001:db8::/32 1
                 ip-permission.group-id {group} 1
                 ip-permission.group-name default 1
                 ip-permission.protocol tcp 1
                 ip-permission.from-port 22 1
                 ip-permission.to-port 22 0
                 ip-permission.prefix-list-id * 0
                 egress.ip-permission.protocol -1 1
                 egress.ip-permission.cidr 10.0.0.0/8 0"
            ),
        ),
    ] {
        for (name, rest) in pairs(&table) {
            let (value, expected) = rest.rsplit_once(' ').unwrap();
            let answer = found(&harness, action, element, name, value).await;
            assert_eq!(answer, Ok(expected.parse().unwrap()), "{action} {name}={value}");
        }
    }
}
