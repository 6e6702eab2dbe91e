//! AuthorizeSecurityGroupIngress and RevokeSecurityGroupIngress.

use std::net::IpAddr;

use super::{by_id, by_name, named};
use crate::{
    api::{Service, actions::refuse_dry_run, error::ApiError, parameters::Parameters, xml::Xml},
    encoding::resource_id,
    ledger::{Permission, State},
};

/// EC2's limit of rules of one group.
const MOST: usize = 60;

pub(in crate::api) async fn authorize(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let state = service.ledger.snapshot();
    let id = named(&state, parameters)?;
    let asked = parse(&state, parameters)?;
    let dry_run = refuse_dry_run(parameters);
    let (id, added) = service
        .ledger
        .commit(move |state| {
            by_id(state, &id)?;
            let group = state
                .security_groups
                .get_mut(&id)
                .ok_or_else(ApiError::internal)?;
            let mut added = Vec::new();
            for mut rule in asked {
                if group.ingress.iter().any(|old| same(old, &rule)) {
                    let message = format!(
                        "the specified rule \"peer: {}, {}\" already exists",
                        rule.source, rule.protocol
                    );
                    return Err(ApiError::new("InvalidPermission.Duplicate", message));
                }
                rule.rule_id = resource_id("sgr")?;
                group.ingress.push(rule.clone());
                added.push(rule);
            }
            if group.ingress.len() > MOST {
                let message = format!("A security group can have at most {MOST} rules");
                return Err(ApiError::new("RulesPerSecurityGroupLimitExceeded", message));
            }
            dry_run?;
            Ok((id, added))
        })
        .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    xml.list("securityGroupRuleSet", added, |xml, rule| {
        xml.put("securityGroupRuleId", rule.rule_id);
        xml.put("groupId", &id);
        xml.put("groupOwnerId", &state.owner_id);
        xml.put("isEgress", false);
        xml.put("ipProtocol", rule.protocol);
        xml.put_some("fromPort", rule.from_port);
        xml.put_some("toPort", rule.to_port);
        let member = if rule.source.contains(':') {
            "cidrIpv6"
        } else {
            "cidrIpv4"
        };
        if !rule.source.starts_with("sg-") {
            xml.put(member, rule.source);
        }
    });
    Ok(xml)
}

pub(in crate::api) async fn revoke(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let state = service.ledger.snapshot();
    let id = named(&state, parameters)?;
    let rule_ids = parameters.list("SecurityGroupRuleId")?;
    let asked = if rule_ids.is_empty() {
        parse(&state, parameters)?
    } else {
        Vec::new()
    };
    let dry_run = refuse_dry_run(parameters);
    service
        .ledger
        .commit(move |state| {
            by_id(state, &id)?;
            let group = state
                .security_groups
                .get_mut(&id)
                .ok_or_else(ApiError::internal)?;
            for rule_id in &rule_ids {
                if !group.ingress.iter().any(|old| old.rule_id == *rule_id) {
                    let message = format!("The security group rule ID '{rule_id}' does not exist");
                    return Err(ApiError::new("InvalidSecurityGroupRuleId.NotFound", message));
                }
            }
            if asked
                .iter()
                .any(|rule| !group.ingress.iter().any(|old| same(old, rule)))
            {
                let message = "The specified rule does not exist in this security group.";
                return Err(ApiError::new("InvalidPermission.NotFound", message));
            }
            dry_run?;
            group
                .ingress
                .retain(|old| !rule_ids.contains(&old.rule_id) && !asked.iter().any(|rule| same(old, rule)));
            Ok::<_, ApiError>(())
        })
        .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    Ok(xml)
}

fn same(one: &Permission, other: &Permission) -> bool {
    (&one.protocol, one.from_port, one.to_port, &one.source)
        == (&other.protocol, other.from_port, other.to_port, &other.source)
}

/// Reads `IpPermissions.N`, or the older form with one rule among the parameters.
fn parse(state: &State, parameters: &Parameters) -> Result<Vec<Permission>, ApiError> {
    let mut rules = Vec::new();
    for permission in parameters.structures("IpPermissions")? {
        let mut sources = Vec::new();
        for (list, member) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
            for range in permission.structures(list)? {
                sources.push(network(&range, member)?);
            }
        }
        for list in ["Groups", "UserIdGroupPairs"] {
            for group in permission.structures(list)? {
                sources.push(match group.optional("GroupId") {
                    Some(id) => by_id(state, id)?.id.clone(),
                    None => by_name(state, group.required("GroupName")?)?.id.clone(),
                });
            }
        }
        if sources.is_empty() {
            return Err(ApiError::missing(&permission.name("IpRanges")));
        }
        for source in sources {
            rules.push(rule(&permission, source)?);
        }
    }
    if rules.is_empty() && parameters.optional("IpProtocol").is_some() {
        rules.push(rule(parameters, network(parameters, "CidrIp")?)?);
    }
    if let Some(name) = parameters.optional("SourceSecurityGroupName") {
        let source = by_name(state, name)?.id.clone();
        let protocol = "-1".to_owned();
        rules.push(Permission {
            protocol,
            from_port: None,
            to_port: None,
            source,
            rule_id: String::new(),
        });
    }
    if rules.is_empty() {
        return Err(ApiError::missing("IpPermissions"));
    }
    Ok(rules)
}

fn rule(parameters: &Parameters, source: String) -> Result<Permission, ApiError> {
    let protocol = match parameters.required("IpProtocol")? {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        other => other,
    };
    let known =
        matches!(protocol, "tcp" | "udp" | "icmp" | "icmpv6" | "-1") || protocol.parse::<u8>().is_ok();
    if !known {
        let name = parameters.name("IpProtocol");
        return Err(ApiError::invalid(
            &name,
            protocol,
            "It must be tcp, udp, icmp, icmpv6, a number or -1.",
        ));
    }
    let port = |name: &str| -> Result<Option<i32>, ApiError> {
        Ok(parameters
            .integer(name, -1, 65_535)?
            .and_then(|number| i32::try_from(number).ok()))
    };
    let (from_port, to_port) = (port("FromPort")?, port("ToPort")?);
    if matches!(protocol, "tcp" | "udp") {
        match (from_port, to_port) {
            (Some(from), Some(to)) if from <= to && from >= 0 => {}
            _ => {
                let message =
                    "A TCP or UDP rule needs FromPort and ToPort, the first not greater than the second";
                return Err(ApiError::new("InvalidParameterValue", message));
            }
        }
    }
    let (from_port, to_port) = if protocol == "-1" {
        (None, None)
    } else {
        (from_port, to_port)
    };
    Ok(Permission {
        protocol: protocol.to_owned(),
        from_port,
        to_port,
        source,
        rule_id: String::new(),
    })
}

/// A network in the form ADDRESS/BITS.
fn network(parameters: &Parameters, name: &str) -> Result<String, ApiError> {
    let text = parameters.required(name)?;
    let good = text.split_once('/').is_some_and(|(address, bits)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    });
    if !good {
        let full = parameters.name(name);
        return Err(ApiError::invalid(
            &full,
            text,
            "It must be a network such as 10.0.0.0/8.",
        ));
    }
    Ok(text.to_owned())
}
