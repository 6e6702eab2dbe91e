//! Security groups: recorded with their rules and shown again. Nothing enforces them.

mod descriptions;
mod rules;

use std::collections::BTreeMap;

use devcloud_dialect::{
    ApiError, Filters, Page, Xml,
    ids::is_resource_id,
    request::{CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups},
    tag_values,
};

use super::{
    actions::{Call, Change, Question},
    service::Service,
    tags, view, vpc,
};
use crate::ledger::{InstanceState, Permission, SecurityGroup, State};

const FILTERS: &[&str] = &[
    "description",
    "group-id",
    "group-name",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.group-name",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.group-name",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "owner-id",
    "tag-key",
    "tag:",
    "vpc-id",
];

/// The group of this id.
fn by_id<'a>(state: &'a State, id: &str) -> Result<&'a SecurityGroup, ApiError> {
    if !is_resource_id(id, "sg") {
        return Err(ApiError::new(
            "InvalidGroupId.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    state.security_groups.get(id).ok_or_else(|| not_found(id))
}

/// The group of this name.
fn by_name<'a>(state: &'a State, name: &str) -> Result<&'a SecurityGroup, ApiError> {
    state
        .security_groups
        .values()
        .find(|group| group.name == name)
        .ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "InvalidGroup.NotFound",
        format!("The security group '{name}' does not exist"),
    )
}

/// The ids of groups named by id or by name; the default group when none is named.
pub(super) fn resolve(state: &State, ids: &[String], names: &[String]) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    for id in ids {
        found.push(by_id(state, id)?.id.clone());
    }
    for name in names {
        // Some clients put ids where names belong.
        let group = if is_resource_id(name, "sg") {
            by_id(state, name)?
        } else {
            by_name(state, name)?
        };
        found.push(group.id.clone());
    }
    if found.is_empty() {
        found.push(by_name(state, "default")?.id.clone());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The one group that `GroupId` or `GroupName` names.
fn named(state: &State, id: Option<&str>, name: Option<&str>) -> Result<String, ApiError> {
    match (id, name) {
        (Some(id), _) => Ok(by_id(state, id)?.id.clone()),
        (None, Some(name)) => Ok(by_name(state, name)?.id.clone()),
        (None, None) => Err(ApiError::missing("GroupId")),
    }
}

impl Change for CreateSecurityGroup {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let name = self.group_name.ok_or_else(|| ApiError::missing("GroupName"))?.0;
        let description = self
            .group_description
            .ok_or_else(|| ApiError::missing("GroupDescription"))?
            .0;
        if let Some(vpc) = &self.vpc_id {
            vpc::check_vpc(&service.ledger.snapshot(), vpc)?;
        }
        let specifications = tags::Specifications::check(&self.tag_specification, &["security-group"])?;
        let profile = service.config.profile.clone();
        let group = service
            .ledger
            .commit(move |state| {
                if by_name(state, &name).is_ok() {
                    let message = format!("The security group '{name}' already exists");
                    return Err(ApiError::new("InvalidGroup.Duplicate", message));
                }
                dry_run.end()?;
                let group = SecurityGroup {
                    id: profile.new_id("sg")?,
                    name,
                    description,
                    ingress: Vec::new(),
                    egress_description: None,
                };
                specifications.apply(state, &[("security-group", &group.id)]);
                state.security_groups.insert(group.id.clone(), group.clone());
                Ok(group)
            })
            .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        xml.put("groupId", &group.id);
        view::tags(&mut xml, &service.ledger.snapshot(), &group.id);
        Ok(xml)
    }
}

impl Question for DescribeSecurityGroups {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let (ids, names) = (self.group_id, self.group_name);
        let filters = Filters::check(self.filter, FILTERS)?;
        let page = Page::check(
            "DescribeSecurityGroups",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        let state = service.ledger.snapshot();
        let asked = if ids.is_empty() && names.is_empty() {
            state.security_groups.keys().cloned().collect()
        } else {
            resolve(&state, &ids, &names)?
        };
        let mut found: Vec<&SecurityGroup> = asked
            .iter()
            .filter_map(|id| state.security_groups.get(id))
            .collect();
        found.retain(|group| filters.pass(|name| values(&state, group, name)));
        let (found, next) = page.cut(found, |group| group.id.clone());
        let mut xml = Xml::default();
        xml.list("securityGroupInfo", found, |xml, group| {
            xml.put("ownerId", &state.owner_id);
            xml.put("groupId", &group.id);
            xml.put("groupName", &group.name);
            xml.put("groupDescription", &group.description);
            permissions(xml, &state, group);
            everything_goes_out(xml, group);
            xml.put("vpcId", vpc::vpc_id(&state));
            view::tags(xml, &state, &group.id);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

/// What a group has under the name of a filter.
fn values(state: &State, group: &SecurityGroup, name: &str) -> Vec<String> {
    if let Some(name) = name.strip_prefix("egress.ip-permission.") {
        return rule_values(state, &[outgoing()], name);
    }
    if let Some(name) = name.strip_prefix("ip-permission.") {
        return rule_values(state, &group.ingress, name);
    }
    match name {
        "description" => vec![group.description.clone()],
        "group-id" => vec![group.id.clone()],
        "group-name" => vec![group.name.clone()],
        "owner-id" => vec![state.owner_id.clone()],
        "vpc-id" => vec![vpc::vpc_id(state)],
        other => tag_values(state.tags.get(&group.id), other),
    }
}

/// What rules have under the name of a filter.
fn rule_values(state: &State, rules: &[Permission], name: &str) -> Vec<String> {
    let value = |rule: &Permission| {
        let (is_group, is_wide) = (rule.source.starts_with("sg-"), rule.source.contains(':'));
        match name {
            "cidr" => (!is_group && !is_wide).then(|| rule.source.clone()),
            "ipv6-cidr" => is_wide.then(|| rule.source.clone()),
            "group-id" => is_group.then(|| rule.source.clone()),
            "group-name" => state
                .security_groups
                .get(&rule.source)
                .map(|group| group.name.clone()),
            "user-id" => is_group.then(|| state.owner_id.clone()),
            "protocol" => Some(rule.protocol.clone()),
            "from-port" => rule.from_port.map(|port| port.to_string()),
            "to-port" => rule.to_port.map(|port| port.to_string()),
            // There are no lists of prefixes.
            _ => None,
        }
    };
    rules.iter().filter_map(value).collect()
}

/// The rule for what goes out: EC2's usual one, of which only what it says can be changed here.
fn outgoing() -> Permission {
    Permission {
        protocol: "-1".to_owned(),
        from_port: None,
        to_port: None,
        source: "0.0.0.0/0".to_owned(),
        rule_id: String::new(),
        description: None,
    }
}

fn everything_goes_out(xml: &mut Xml, group: &SecurityGroup) {
    xml.list("ipPermissionsEgress", [outgoing()], |xml, rule| {
        xml.put("ipProtocol", rule.protocol);
        xml.element("groups", |_| {});
        xml.list("ipRanges", [rule.source], |xml, source| {
            xml.put("cidrIp", source);
            xml.put_some("description", group.egress_description.as_ref());
        });
        xml.element("ipv6Ranges", |_| {});
        xml.element("prefixListIds", |_| {});
    });
}

/// The rules, those of the same protocol and ports together.
fn permissions(xml: &mut Xml, state: &State, group: &SecurityGroup) {
    let mut together = BTreeMap::<_, Vec<&Permission>>::new();
    for rule in &group.ingress {
        together
            .entry((rule.protocol.as_str(), rule.from_port, rule.to_port))
            .or_default()
            .push(rule);
    }
    xml.list("ipPermissions", together, |xml, ((protocol, from, to), rules)| {
        xml.put("ipProtocol", protocol);
        xml.put_some("fromPort", from);
        xml.put_some("toPort", to);
        let (groups, networks): (Vec<_>, Vec<_>) = rules
            .into_iter()
            .partition(|rule| is_resource_id(&rule.source, "sg"));
        let (wide, narrow): (Vec<_>, Vec<_>) =
            networks.into_iter().partition(|rule| rule.source.contains(':'));
        xml.list("groups", groups, |xml, rule| {
            xml.put("userId", &state.owner_id);
            xml.put("groupId", &rule.source);
            xml.put_some("description", rule.description.as_ref());
        });
        for (list, member, rules) in [("ipRanges", "cidrIp", narrow), ("ipv6Ranges", "cidrIpv6", wide)] {
            xml.list(list, rules, |xml, rule| {
                xml.put(member, &rule.source);
                xml.put_some("description", rule.description.as_ref());
            });
        }
        xml.element("prefixListIds", |_| {});
    });
}

impl Change for DeleteSecurityGroup {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let (service, dry_run) = (call.service, call.dry_run);
        let id = named(
            &service.ledger.snapshot(),
            self.group_id.as_deref(),
            self.group_name.as_deref(),
        )?;
        let id = service
            .ledger
            .commit(move |state| {
                let group = by_id(state, &id)?;
                if group.name == "default" {
                    let message = format!(
                        "the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"
                    );
                    return Err(ApiError::new("CannotDelete", message));
                }
                let alive = state
                    .instances
                    .values()
                    .filter(|one| one.state != InstanceState::Terminated);
                let named_by_another = state
                    .security_groups
                    .values()
                    .any(|other| other.id != id && other.ingress.iter().any(|rule| rule.source == id));
                let used = alive.into_iter().any(|instance| instance.group_ids.contains(&id));
                if used || named_by_another {
                    let message = format!("resource {id} has a dependent object");
                    return Err(ApiError::new("DependencyViolation", message));
                }
                dry_run.end()?;
                state.security_groups.remove(&id);
                state.tags.remove(&id);
                Ok(id)
            })
            .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        xml.put("groupId", id);
        Ok(xml)
    }
}
