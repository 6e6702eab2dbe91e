//! AuthorizeSecurityGroupIngress and RevokeSecurityGroupIngress.

use devcloud_dialect::{
    ApiError, Xml,
    request::{
        AuthorizeSecurityGroupIngress, GroupPair, GroupRules, RevokeSecurityGroupIngress,
        text::{Network, Protocol, RuleText},
    },
    within,
};

use super::{by_id, by_name, named};
use crate::{
    api::actions::{Call, Change},
    ledger::{Permission, State},
};

/// EC2's limit of rules of one group.
const MOST: usize = 60;

impl Change for AuthorizeSecurityGroupIngress {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let rules = self.0;
        let state = service.ledger.snapshot();
        let id = named(&state, rules.group_id.as_deref(), rules.group_name.as_deref())?;
        if !rules.security_group_rule_id.is_empty() {
            return Err(ApiError::unknown_parameter("SecurityGroupRuleId"));
        }
        let asked = permissions(&state, &rules)?;
        let profile = service.config.profile.clone();
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
                    rule.rule_id = profile.new_id("sgr")?;
                    group.ingress.push(rule.clone());
                    added.push(rule);
                }
                if group.ingress.len() > MOST {
                    let message = format!("A security group can have at most {MOST} rules");
                    return Err(ApiError::new("RulesPerSecurityGroupLimitExceeded", message));
                }
                dry_run.end()?;
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
            if rule.source.starts_with("sg-") {
                xml.element("referencedGroupInfo", |xml| {
                    xml.put("groupId", &rule.source);
                    xml.put("userId", &state.owner_id);
                });
            } else {
                xml.put(member, rule.source);
            }
            xml.put_some("description", rule.description);
        });
        Ok(xml)
    }
}

impl Change for RevokeSecurityGroupIngress {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let rules = self.0;
        let state = service.ledger.snapshot();
        let id = named(&state, rules.group_id.as_deref(), rules.group_name.as_deref())?;
        let asked = if rules.security_group_rule_id.is_empty() {
            permissions(&state, &rules)?
        } else if rules.ip_permissions.is_empty() && rules.ip_protocol.is_none() {
            Vec::new()
        } else {
            let message = "Rules are named by their ids or by what they say, not by both";
            return Err(ApiError::new("InvalidParameterCombination", message));
        };
        let rule_ids = rules.security_group_rule_id;
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
                        return Err(unknown_id(rule_id));
                    }
                }
                if asked
                    .iter()
                    .any(|rule| !group.ingress.iter().any(|old| same(old, rule)))
                {
                    return Err(unknown_rule());
                }
                dry_run.end()?;
                group.ingress.retain(|old| {
                    !rule_ids.contains(&old.rule_id) && !asked.iter().any(|rule| same(old, rule))
                });
                Ok::<_, ApiError>(())
            })
            .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        Ok(xml)
    }
}

pub(super) fn unknown_id(id: &str) -> ApiError {
    let message = format!("The security group rule ID '{id}' does not exist");
    ApiError::new("InvalidSecurityGroupRuleId.NotFound", message)
}

pub(super) fn unknown_rule() -> ApiError {
    let message = "The specified rule does not exist in this security group.";
    ApiError::new("InvalidPermission.NotFound", message)
}

/// What a rule says, where it says something.
pub(super) fn sentence(text: Option<&RuleText>) -> Option<String> {
    text.map(|text| text.0.clone()).filter(|text| !text.is_empty())
}

/// Whether two rules allow the same, whatever they say.
pub(super) fn same(one: &Permission, other: &Permission) -> bool {
    (&one.protocol, one.from_port, one.to_port, &one.source)
        == (&other.protocol, other.from_port, other.to_port, &other.source)
}

/// One protocol and range of ports.
struct Traffic<'a> {
    /// What errors put before the names of parameters, with its last dot.
    prefix: &'a str,
    protocol: Option<&'a Protocol>,
    ports: [Option<i64>; 2],
}

/// The rules of `IpPermissions.N`, or of the older form with one rule among the parameters.
pub(super) fn permissions(state: &State, asked: &GroupRules) -> Result<Vec<Permission>, ApiError> {
    let mut rules = Vec::new();
    for (place, permission) in asked.ip_permissions.iter().enumerate() {
        let prefix = format!("IpPermissions.{}.", place + 1);
        let narrow = permission
            .ip_ranges
            .iter()
            .map(|range| (range.cidr_ip.0.clone(), sentence(range.description.as_ref())));
        let wide = permission
            .ipv6_ranges
            .iter()
            .map(|range| (range.cidr_ipv6.0.clone(), sentence(range.description.as_ref())));
        let mut sources: Vec<(String, Option<String>)> = narrow.chain(wide).collect();
        for pair in permission.groups.iter().chain(&permission.user_id_group_pairs) {
            let sentence = sentence(pair.description.as_ref());
            sources.push((other_group(state, pair, &prefix)?, sentence));
        }
        if sources.is_empty() {
            return Err(ApiError::missing(&format!("{prefix}IpRanges")));
        }
        let traffic = Traffic {
            prefix: &prefix,
            protocol: permission.ip_protocol.as_ref(),
            ports: [permission.from_port, permission.to_port],
        };
        for (source, description) in sources {
            rules.push(Permission {
                description,
                ..rule(&traffic, source)?
            });
        }
    }
    if let Some(rule) = older_form(asked)? {
        rules.push(rule);
    }
    if let Some(owner) = asked
        .source_security_group_owner_id
        .as_ref()
        .filter(|owner| **owner != state.owner_id)
    {
        let reason = "There are only this account's groups.";
        return Err(ApiError::invalid("SourceSecurityGroupOwnerId", owner, reason));
    }
    if let Some(name) = &asked.source_security_group_name {
        rules.push(Permission {
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            source: by_name(state, name)?.id.clone(),
            rule_id: String::new(),
            description: None,
        });
    }
    if rules.is_empty() {
        return Err(ApiError::missing("IpPermissions"));
    }
    Ok(rules)
}

/// The one rule among the parameters. A part of one is refused, not passed over.
fn older_form(asked: &GroupRules) -> Result<Option<Permission>, ApiError> {
    let ports = [asked.from_port, asked.to_port];
    let given = asked.ip_protocol.is_some() || asked.cidr_ip.is_some() || ports.iter().any(Option::is_some);
    if !given {
        return Ok(None);
    }
    if !asked.ip_permissions.is_empty() {
        let message =
            "The parameter ipPermissions may not be used with ipProtocol, cidrIp, fromPort and toPort";
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    let Network(source) = asked.cidr_ip.clone().ok_or_else(|| ApiError::missing("CidrIp"))?;
    let traffic = Traffic {
        prefix: "",
        protocol: asked.ip_protocol.as_ref(),
        ports,
    };
    rule(&traffic, source).map(Some)
}

/// The group that a pair names: one of the account's own.
fn other_group(state: &State, pair: &GroupPair, prefix: &str) -> Result<String, ApiError> {
    if let Some(user) = pair.user_id.as_ref().filter(|user| **user != state.owner_id) {
        let reason = "There are only this account's groups.";
        return Err(ApiError::invalid(&format!("{prefix}Groups.UserId"), user, reason));
    }
    if let Some(vpc) = &pair.vpc_id {
        crate::api::vpc::check_vpc(state, vpc)?;
    }
    let group = match (&pair.group_id, &pair.group_name) {
        (Some(id), _) => by_id(state, id)?,
        (None, Some(name)) => by_name(state, name)?,
        (None, None) => return Err(ApiError::missing(&format!("{prefix}Groups.GroupId"))),
    };
    Ok(group.id.clone())
}

fn rule(traffic: &Traffic<'_>, source: String) -> Result<Permission, ApiError> {
    let name = |member: &str| format!("{}{member}", traffic.prefix);
    let Protocol(protocol) = traffic
        .protocol
        .ok_or_else(|| ApiError::missing(&name("IpProtocol")))?
        .clone();
    let port = |member: &str, number: Option<i64>| -> Result<Option<i32>, ApiError> {
        let number = number
            .map(|number| within(&name(member), number, -1, 65_535))
            .transpose()?;
        Ok(number.and_then(|number| i32::try_from(number).ok()))
    };
    let [from, to] = traffic.ports;
    let (from_port, to_port) = (port("FromPort", from)?, port("ToPort", to)?);
    if matches!(protocol.as_str(), "tcp" | "udp") {
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
        protocol,
        from_port,
        to_port,
        source,
        rule_id: String::new(),
        description: None,
    })
}
