//! Security groups: which rules are taken, how they are shown, and by what they are taken away.

use super::{Harness, texts, told};

/// A cloud with the groups `a` and `b`, and their ids.
async fn two_groups() -> (Harness, String, String) {
    let harness = Harness::new(|_| ());
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let form = format!("GroupName={name}&GroupDescription=group+{name}");
        let made = harness.call("CreateSecurityGroup", &form).await.unwrap();
        ids.push(texts(&made, "groupId")[0].to_owned());
    }
    let b = ids.pop().unwrap();
    let a = ids.pop().unwrap();
    (harness, a, b)
}

/// The rules of a group, one a line: protocol, ports, sources.
async fn rules(harness: &Harness, group: &str) -> Vec<String> {
    let snapshot = harness.service.ledger.snapshot();
    let rules = snapshot.security_groups[group].ingress.iter();
    rules
        .map(|rule| {
            let port = |port: Option<i32>| port.map_or_else(|| "-".to_owned(), |port| port.to_string());
            let (from, to) = (port(rule.from_port), port(rule.to_port));
            format!("{} {from} {to} {}", rule.protocol, rule.source)
        })
        .collect()
}

#[tokio::test]
async fn a_rule_is_kept_as_ec2_understands_it_whichever_form_it_came_in() {
    let (harness, a, b) = two_groups().await;
    let one = "IpPermissions.1.";
    for (form, kept) in [
        (
            "IpProtocol=tcp&FromPort=22&ToPort=22&CidrIp=10.0.0.1/8".to_owned(),
            vec!["tcp 22 22 10.0.0.0/8".to_owned()],
        ),
        // A number is the protocol's name where it has one; all protocols have no ports.
        (
            format!("{one}IpProtocol=6&{one}FromPort=0&{one}ToPort=65535&{one}IpRanges.1.CidrIp=0.0.0.0/0"),
            vec!["tcp 0 65535 0.0.0.0/0".to_owned()],
        ),
        (
            format!("{one}IpProtocol=-1&{one}FromPort=1&{one}ToPort=2&{one}IpRanges.1.CidrIp=10.1.0.0/16"),
            vec!["-1 - - 10.1.0.0/16".to_owned()],
        ),
        (
            format!(
                "{one}IpProtocol=icmp&{one}FromPort=-1&{one}ToPort=-1&{one}IpRanges.1.CidrIp=10.2.0.0/16"
            ),
            vec!["icmp -1 -1 10.2.0.0/16".to_owned()],
        ),
        (
            format!(
                "{one}IpProtocol=udp&{one}FromPort=53&{one}ToPort=53&{one}IpRanges.1.CidrIp=10.3.0.0/16\
                 &{one}IpRanges.2.CidrIp=10.4.0.0/16&{one}Ipv6Ranges.1.CidrIpv6=2001:db8::1/32&{one}Groups.1.GroupId={b}"
            ),
            vec![
                "udp 53 53 10.3.0.0/16".to_owned(),
                "udp 53 53 10.4.0.0/16".to_owned(),
                "udp 53 53 2001:db8::/32".to_owned(),
                format!("udp 53 53 {b}"),
            ],
        ),
        (
            "SourceSecurityGroupName=b".to_owned(),
            vec![format!("-1 - - {b}")],
        ),
    ] {
        let group = format!("GroupId={a}");
        let all = format!("{group}&{form}");
        harness
            .call("AuthorizeSecurityGroupIngress", &all)
            .await
            .unwrap_or_else(|error| panic!("{form}: {error:?}"));
        assert_eq!(rules(&harness, &a).await, kept, "{form}");
        let again = harness.refused("AuthorizeSecurityGroupIngress", &all).await;
        assert_eq!(again, "InvalidPermission.Duplicate", "{form}");
        harness.call("RevokeSecurityGroupIngress", &all).await.unwrap();
        assert_eq!(rules(&harness, &a).await, Vec::<String>::new(), "{form}");
        let gone = harness.refused("RevokeSecurityGroupIngress", &all).await;
        assert_eq!(gone, "InvalidPermission.NotFound", "{form}");
    }
}

#[tokio::test]
async fn a_rule_that_says_too_little_or_too_much_is_refused_and_nothing_of_it_is_kept() {
    let (harness, a, b) = two_groups().await;
    let one = "IpPermissions.1.";
    let tcp = format!("{one}IpProtocol=tcp&{one}FromPort=1&{one}ToPort=2");
    let good = format!("{tcp}&{one}IpRanges.1.CidrIp=10.0.0.0/8");
    for (form, code) in [
        (String::new(), "MissingParameter"),
        (tcp.clone(), "MissingParameter"),
        (
            format!("{one}FromPort=1&{one}ToPort=2&{one}IpRanges.1.CidrIp=10.0.0.0/8"),
            "MissingParameter",
        ),
        (
            format!("{one}IpProtocol=tcp&{one}IpRanges.1.CidrIp=10.0.0.0/8"),
            "InvalidParameterValue",
        ),
        (
            format!("{one}IpProtocol=tcp&{one}FromPort=-1&{one}ToPort=2&{one}IpRanges.1.CidrIp=10.0.0.0/8"),
            "InvalidParameterValue",
        ),
        (
            format!(
                "{one}IpProtocol=tcp&{one}FromPort=1&{one}ToPort=65536&{one}IpRanges.1.CidrIp=10.0.0.0/8"
            ),
            "InvalidParameterValue",
        ),
        (
            format!("{tcp}&{one}IpRanges.1.CidrIp=10.0.0.0/33"),
            "InvalidParameterValue",
        ),
        (
            format!("{tcp}&{one}IpRanges.1.CidrIp=10.0.0.0"),
            "InvalidParameterValue",
        ),
        (
            format!("{tcp}&{one}Groups.1.GroupId=sg-0123456789abcdef0"),
            "InvalidGroup.NotFound",
        ),
        (
            format!("{tcp}&{one}Groups.1.GroupName=c"),
            "InvalidGroup.NotFound",
        ),
        (format!("{tcp}&{one}Groups.1.Description=x"), "MissingParameter"),
        (format!("{good}&IpProtocol=tcp"), "InvalidParameterCombination"),
        (
            format!("{good}&SecurityGroupRuleId.1=sgr-0123456789abcdef0"),
            "UnknownParameter",
        ),
        (
            "SourceSecurityGroupName=b&SourceSecurityGroupOwnerId=1".to_owned(),
            "InvalidParameterValue",
        ),
        // The second permission is wrong, and with it the whole call.
        (
            format!("{good}&IpPermissions.2.IpProtocol=tcp"),
            "MissingParameter",
        ),
    ] {
        let form = format!("GroupId={a}&{form}");
        assert_eq!(
            harness.refused("AuthorizeSecurityGroupIngress", &form).await,
            code,
            "{form}"
        );
    }
    let form = format!("GroupId={b}&DryRun=true&{good}");
    let trial = harness.refused("AuthorizeSecurityGroupIngress", &form).await;
    assert_eq!(trial, "DryRunOperation");
    for group in [&a, &b] {
        assert_eq!(rules(&harness, group).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_group_has_sixty_rules_and_one_more_is_refused() {
    let (harness, a, _) = two_groups().await;
    let rule =
        |number: u8| format!("GroupId={a}&IpProtocol=tcp&FromPort=1&ToPort=1&CidrIp=10.0.{number}.0/24");
    for number in 0..60 {
        harness
            .call("AuthorizeSecurityGroupIngress", &rule(number))
            .await
            .unwrap();
    }
    assert_eq!(
        harness.refused("AuthorizeSecurityGroupIngress", &rule(60)).await,
        "RulesPerSecurityGroupLimitExceeded"
    );
    assert_eq!(rules(&harness, &a).await.len(), 60);
}

#[tokio::test]
async fn a_rule_is_taken_away_by_its_id_and_by_nothing_beside_it() {
    let (harness, a, _) = two_groups().await;
    let group = "GroupName=a";
    let mut ids = Vec::new();
    for port in [1, 2] {
        let form = format!("{group}&IpProtocol=tcp&FromPort={port}&ToPort={port}&CidrIp=10.0.0.0/8");
        let made = harness
            .call("AuthorizeSecurityGroupIngress", &form)
            .await
            .unwrap();
        ids.push(texts(&made, "securityGroupRuleId")[0].to_owned());
    }
    for (form, code) in [
        (
            format!(
                "{group}&SecurityGroupRuleId.1={}&SecurityGroupRuleId.2=sgr-0123456789abcdef0",
                ids[0]
            ),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        (
            format!("{group}&SecurityGroupRuleId.1={}&IpProtocol=tcp", ids[0]),
            "InvalidParameterCombination",
        ),
        (
            format!("GroupName=b&SecurityGroupRuleId.1={}", ids[0]),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        (
            format!("{group}&DryRun=true&SecurityGroupRuleId.1={}", ids[0]),
            "DryRunOperation",
        ),
    ] {
        let code_of = harness.refused("RevokeSecurityGroupIngress", &form).await;
        assert_eq!(code_of, code, "{form}");
    }
    assert_eq!(
        rules(&harness, &a).await.len(),
        2,
        "nothing was taken away so far"
    );
    let form = format!("{group}&SecurityGroupRuleId.1={}", ids[0]);
    harness.call("RevokeSecurityGroupIngress", &form).await.unwrap();
    assert_eq!(rules(&harness, &a).await, ["tcp 2 2 10.0.0.0/8"]);
}

#[tokio::test]
async fn groups_are_found_by_id_name_and_filter() {
    let (harness, a, b) = two_groups().await;
    let rule = format!("GroupId={a}&IpProtocol=tcp&FromPort=1&ToPort=1&CidrIp=10.9.0.0/16");
    harness
        .call("AuthorizeSecurityGroupIngress", &rule)
        .await
        .unwrap();
    let by = |name: &str, value: &str| format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
    for (form, expected) in [
        (format!("GroupId.1={a}"), "a"),
        ("GroupName.1=b".to_owned(), "b"),
        // Some clients put ids where names belong.
        (format!("GroupName.1={b}"), "b"),
        (format!("GroupId.1={a}&GroupName.1=a"), "a"),
        (by("description", "group ?"), "a b"),
        (by("ip-permission.cidr", "10.9.*"), "a"),
        (by("group-name", "default"), "default"),
        (by("vpc-id", "vpc-0123456789abcdef0"), ""),
        (
            "GroupId.1=sg-1".to_owned(),
            "InvalidGroupId.Malformed: Invalid id: \"sg-1\"",
        ),
        (
            "GroupName.1=c".to_owned(),
            "InvalidGroup.NotFound: The security group 'c' does not exist",
        ),
    ] {
        let answer = harness.call("DescribeSecurityGroups", &form).await;
        let told = told(answer, "groupName");
        let mut names: Vec<&str> = told.split(' ').collect();
        if expected.len() < 8 {
            names.sort_unstable();
        }
        assert_eq!(names.join(" "), expected, "{form}");
    }
    for (form, code) in [
        ("GroupName=a&GroupDescription=again", "InvalidGroup.Duplicate"),
        ("GroupName=c", "MissingParameter"),
        ("GroupDescription=c", "MissingParameter"),
        (
            "GroupName=c&GroupDescription=c&VpcId=vpc-0123456789abcdef0",
            "InvalidVpcID.NotFound",
        ),
        ("GroupName=c&GroupDescription=c&DryRun=true", "DryRunOperation"),
    ] {
        assert_eq!(harness.refused("CreateSecurityGroup", form).await, code, "{form}");
    }
    for (form, code) in [
        ("GroupName=default", "CannotDelete"),
        ("", "MissingParameter"),
        ("GroupName=c", "InvalidGroup.NotFound"),
    ] {
        assert_eq!(harness.refused("DeleteSecurityGroup", form).await, code, "{form}");
    }
}
