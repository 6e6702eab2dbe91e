//! What is answered: the network, groups, tags, and Eucalyptus's own ways.

use super::Harness;

#[tokio::test]
async fn there_is_one_vpc_with_one_subnet_and_an_interface_for_each_instance() {
    let harness = Harness::new(|_| ());
    harness.run("MinCount=1&MaxCount=1").await.unwrap();
    harness.settled().await;
    let instance = harness.service.ledger.instances()[0].clone();
    let vpcs = harness
        .call("DescribeVpcs", "Filter.1.Name=isDefault&Filter.1.Value.1=true")
        .await
        .unwrap();
    let state = harness.service.ledger.snapshot();
    let (vpc, subnet) = (
        format!("vpc-{:0>17}", state.owner_id),
        format!("subnet-{:0>17}", state.owner_id),
    );
    assert!(vpcs.contains(&format!("<vpcId>{vpc}</vpcId>")), "{vpcs}");
    let form = format!(
        "Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}&Filter.2.Name=default-for-az&Filter.2.Value.1=true"
    );
    let subnets = harness.call("DescribeSubnets", &form).await.unwrap();
    assert!(
        subnets.contains(&format!("<subnetId>{subnet}</subnetId>")),
        "{subnets}"
    );
    let form = format!("Filter.1.Name=subnet-id&Filter.1.Value.1={subnet}");
    let instances = harness.call("DescribeInstances", &form).await.unwrap();
    assert!(instances.contains(&instance.id), "{instances}");
    let interface = instance.id.replace("i-", "eni-");
    assert!(instances.contains(&format!("<networkInterfaceId>{interface}</networkInterfaceId>")));
    let form = format!("NetworkInterfaceId.1={interface}");
    let interfaces = harness.call("DescribeNetworkInterfaces", &form).await.unwrap();
    assert!(
        interfaces.contains(&format!(
            "<privateIpAddress>{}</privateIpAddress>",
            instance.private_address
        )),
        "{interfaces}"
    );
    let form = format!("Filter.1.Name=instance-id&Filter.1.Value.1={}", instance.id);
    let addresses = harness.call("DescribeAddresses", &form).await.unwrap();
    assert!(addresses.contains("<addressesSet></addressesSet>"), "{addresses}");
    let elsewhere = "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-0123456789abcdef0";
    let none = harness.call("DescribeSubnets", elsewhere).await.unwrap();
    assert!(none.contains("<subnetSet></subnetSet>"), "{none}");
}

#[tokio::test]
async fn a_group_that_anothers_rule_names_cannot_be_deleted_and_networks_are_kept_canonical() {
    let harness = Harness::new(|_| ());
    let mut ids = Vec::new();
    for name in ["web", "db"] {
        let form = format!("GroupName={name}&GroupDescription=d");
        let made = harness.call("CreateSecurityGroup", &form).await.unwrap();
        ids.push(
            made.split("groupId>")
                .nth(1)
                .unwrap()
                .trim_end_matches("</")
                .to_owned(),
        );
    }
    let tcp = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=1&IpPermissions.1.ToPort=2";
    let rule = format!(
        "GroupId={}&{tcp}&IpPermissions.1.Groups.1.GroupId={}",
        ids[1], ids[0]
    );
    harness
        .call("AuthorizeSecurityGroupIngress", &rule)
        .await
        .unwrap();
    let web = format!("GroupId={}", ids[0]);
    assert_eq!(
        harness.refused("DeleteSecurityGroup", &web).await,
        "DependencyViolation"
    );
    harness.call("RevokeSecurityGroupIngress", &rule).await.unwrap();
    let network = format!("{web}&{tcp}&IpPermissions.1.IpRanges.1.CidrIp=100.68.0.18/18");
    harness
        .call("AuthorizeSecurityGroupIngress", &network)
        .await
        .unwrap();
    let shown = harness.call("DescribeSecurityGroups", &web).await.unwrap();
    assert!(shown.contains("<cidrIp>100.68.0.0/18</cidrIp>"), "{shown}");
    for (form, code) in [
        ("IpProtocol=tcp&FromPort=1&ToPort=2", "MissingParameter"),
        ("CidrIp=10.0.0.0/8", "MissingParameter"),
        (
            "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=5&IpPermissions.1.ToPort=4&IpPermissions.1.IpRanges.1.CidrIp=::/0",
            "InvalidParameterValue",
        ),
        (
            "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.IpRange.1.CidrIp=::/0",
            "UnknownParameter",
        ),
        (
            "IpPermissions.1.IpProtocol=-1&IpPermissions.1.Groups.1.UserId=1&IpPermissions.1.Groups.1.GroupName=db",
            "InvalidParameterValue",
        ),
    ] {
        let code_of = harness
            .refused("AuthorizeSecurityGroupIngress", &format!("{web}&{form}"))
            .await;
        assert_eq!(code_of, code, "{form}");
    }
    harness.call("DeleteSecurityGroup", &web).await.unwrap();
}

#[tokio::test]
async fn tags_hold_256_characters_and_those_of_a_disk_go_with_its_instance() {
    let harness = Harness::new(|_| ());
    let tags = format!(
        "TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value={}\
         &TagSpecification.2.ResourceType=network-interface&TagSpecification.2.Tag.1.Key=b",
        "x".repeat(256)
    );
    harness
        .run(&format!("MinCount=1&MaxCount=1&{tags}"))
        .await
        .unwrap();
    harness.settled().await;
    let id = harness.service.ledger.instances()[0].id.clone();
    assert_eq!(harness.service.ledger.snapshot().tags.len(), 2);
    let long = format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value={}", "x".repeat(257));
    assert_eq!(
        harness.refused("CreateTags", &long).await,
        "InvalidParameterValue"
    );
    harness
        .call("TerminateInstances", &format!("InstanceId.1={id}"))
        .await
        .unwrap();
    harness.settled().await;
    let later = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    let retention = std::time::Duration::from_secs(5);
    harness
        .service
        .ledger
        .commit(move |state| {
            state.forget(later, retention);
            Ok::<_, crate::Error>(())
        })
        .await
        .unwrap();
    let state = harness.service.ledger.snapshot();
    assert!(
        state.instances.is_empty() && state.tags.is_empty(),
        "{:?}",
        state.tags
    );
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn rules_say_what_they_are_told_to_say_and_all_of_a_call_or_none() {
    let harness = Harness::new(|_| ());
    let tcp = |at: u8, range: &str| {
        format!(
            "IpPermissions.{at}.IpProtocol=tcp&IpPermissions.{at}.FromPort=22&IpPermissions.{at}.ToPort=22&IpPermissions.{at}.\
             IpRanges.1.CidrIp={range}"
        )
    };
    let all = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0";
    let (office, home) = (tcp(1, "10.0.0.0/8"), tcp(2, "192.0.2.0/24"));
    let form = format!("GroupName=default&{office}&IpPermissions.1.IpRanges.1.Description=old&{home}");
    harness
        .call("AuthorizeSecurityGroupIngress", &form)
        .await
        .unwrap();
    let state = harness.service.ledger.snapshot();
    let group = state.security_groups.values().next().unwrap();
    let rule_id = group.ingress[1].rule_id.clone();
    let by_id = format!("SecurityGroupRuleDescription.1.SecurityGroupRuleId={rule_id}");
    let says = async |direction: &str, form: &str| {
        let action = format!("UpdateSecurityGroupRuleDescriptions{direction}");
        let answer = harness.call(&action, &format!("GroupName=default&{form}")).await;
        let state = harness.service.ledger.snapshot();
        let group = state.security_groups.values().next().unwrap();
        let said: Vec<&str> = group
            .ingress
            .iter()
            .map(|rule| &rule.description)
            .chain([&group.egress_description])
            .map(|text| text.as_deref().unwrap_or("-"))
            .collect();
        let code = answer.map_or_else(|error| error.code.into_owned(), |_| "ok".to_owned());
        format!("{code}: {}", said.join(", "))
    };
    let described =
        |rule: &str, at: u8, text: &str| format!("{rule}&IpPermissions.{at}.IpRanges.1.Description={text}");
    for (direction, form, expected) in [
        ("Ingress", described(&office, 1, "new"), "ok: new, -, -"),
        (
            "Ingress",
            format!("{by_id}&SecurityGroupRuleDescription.1.Description=b"),
            "ok: new, b, -",
        ),
        ("Ingress", by_id.clone(), "ok: new, -, -"),
        (
            "Ingress",
            format!("{}&DryRun=true", described(&office, 1, "x")),
            "DryRunOperation: new, -, -",
        ),
        // The second rule is not there, so the first is left as it is.
        (
            "Ingress",
            format!("{}&{}", described(&office, 1, "x"), tcp(2, "198.51.100.0/24")),
            "InvalidPermission.NotFound: new, -, -",
        ),
        (
            "Ingress",
            described(&office, 1, "it's"),
            "InvalidParameterValue: new, -, -",
        ),
        ("Ingress", String::new(), "MissingParameter: new, -, -"),
        (
            "Ingress",
            format!("{by_id}&{office}"),
            "InvalidParameterCombination: new, -, -",
        ),
        (
            "Ingress",
            "SecurityGroupRuleDescription.1.SecurityGroupRuleId=sgr-1".to_owned(),
            "InvalidSecurityGroupRuleId.NotFound: new, -, -",
        ),
        ("Egress", described(all, 1, "out"), "ok: new, -, out"),
        (
            "Egress",
            described(&office, 1, "x"),
            "InvalidPermission.NotFound: new, -, out",
        ),
        (
            "Egress",
            by_id.clone(),
            "InvalidSecurityGroupRuleId.NotFound: new, -, out",
        ),
        // A rule of which nothing is said loses its sentence.
        ("Ingress", office.clone(), "ok: -, -, out"),
    ] {
        assert_eq!(says(direction, &form).await, expected, "{direction} {form}");
    }
    let shown = harness.call("DescribeSecurityGroups", "").await.unwrap();
    assert!(
        shown.contains("<cidrIp>0.0.0.0/0</cidrIp><description>out</description>"),
        "{shown}"
    );
}
