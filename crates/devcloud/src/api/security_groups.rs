//! Security groups: recorded with their rules and shown again. Nothing enforces them.

pub(super) mod rules;

use std::collections::BTreeMap;

use super::{
    Service,
    actions::refuse_dry_run,
    error::ApiError,
    filters::{Filters, tag_values},
    instances::view,
    paging::Page,
    parameters::Parameters,
    tags,
    xml::Xml,
};
use crate::{
    encoding::{is_resource_id, resource_id},
    ledger::{InstanceState, Permission, SecurityGroup, State},
};

/// What CreateSecurityGroup knows.
pub(super) const CREATE: &[&str] = &["GroupDescription", "GroupName", "TagSpecification", "VpcId"];

/// What DescribeSecurityGroups knows.
pub(super) const DESCRIBE: &[&str] = &["Filter", "GroupId", "GroupName", "MaxResults", "NextToken"];

/// What DeleteSecurityGroup knows.
pub(super) const DELETE: &[&str] = &["GroupId", "GroupName"];

/// What the actions on rules know.
pub(super) const RULES: &[&str] = &[
    "CidrIp",
    "FromPort",
    "GroupId",
    "GroupName",
    "IpPermissions",
    "IpProtocol",
    "SecurityGroupRuleId",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
    "TagSpecification",
    "ToPort",
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
fn named(state: &State, parameters: &Parameters) -> Result<String, ApiError> {
    match (parameters.optional("GroupId"), parameters.optional("GroupName")) {
        (Some(id), _) => Ok(by_id(state, id)?.id.clone()),
        (None, Some(name)) => Ok(by_name(state, name)?.id.clone()),
        (None, None) => Err(ApiError::missing("GroupId")),
    }
}

pub(super) async fn create(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let name = parameters.required("GroupName")?.to_owned();
    let description = parameters.required("GroupDescription")?.to_owned();
    for (parameter, text) in [("GroupName", &name), ("GroupDescription", &description)] {
        if text.chars().count() > 255 || text.chars().any(char::is_control) || text.starts_with("sg-") {
            let reason = "It must have at most 255 printable characters and not begin with sg-.";
            return Err(ApiError::invalid(parameter, text, reason));
        }
    }
    let specifications = tags::Specifications::parse(parameters)?;
    let dry_run = refuse_dry_run(parameters);
    let group = service
        .ledger
        .commit(move |state| {
            if by_name(state, &name).is_ok() {
                let message = format!("The security group '{name}' already exists");
                return Err(ApiError::new("InvalidGroup.Duplicate", message));
            }
            dry_run?;
            let group = SecurityGroup {
                id: resource_id("sg")?,
                name,
                description,
                ingress: Vec::new(),
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

pub(super) fn describe(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let (ids, names) = (parameters.list("GroupId")?, parameters.list("GroupName")?);
    let filters = Filters::parse(
        parameters,
        &[
            "description",
            "group-id",
            "group-name",
            "ip-permission.cidr",
            "owner-id",
            "tag-key",
            "tag:",
        ],
    )?;
    let page = Page::parse(parameters, "DescribeSecurityGroups", 5)?;
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
    found.retain(|group| {
        filters.pass(|name| match name {
            "description" => vec![group.description.clone()],
            "group-id" => vec![group.id.clone()],
            "group-name" => vec![group.name.clone()],
            "ip-permission.cidr" => group.ingress.iter().map(|rule| rule.source.clone()).collect(),
            "owner-id" => vec![state.owner_id.clone()],
            other => tag_values(state.tags.get(&group.id), other),
        })
    });
    let (found, next) = page.cut(found, |group| group.id.clone());
    let mut xml = Xml::default();
    xml.list("securityGroupInfo", found, |xml, group| {
        xml.put("ownerId", &state.owner_id);
        xml.put("groupId", &group.id);
        xml.put("groupName", &group.name);
        xml.put("groupDescription", &group.description);
        permissions(xml, &state, group);
        xml.element("ipPermissionsEgress", |_| {});
        view::tags(xml, &state, &group.id);
    });
    xml.put_some("nextToken", next);
    Ok(xml)
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
        });
        xml.list("ipRanges", narrow, |xml, rule| xml.put("cidrIp", &rule.source));
        xml.list("ipv6Ranges", wide, |xml, rule| xml.put("cidrIpv6", &rule.source));
        xml.element("prefixListIds", |_| {});
    });
}

pub(super) async fn delete(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    let id = named(&service.ledger.snapshot(), parameters)?;
    let dry_run = refuse_dry_run(parameters);
    let id = service
        .ledger
        .commit(move |state| {
            let group = by_id(state, &id)?;
            if group.name == "default" {
                let message =
                    format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
                return Err(ApiError::new("CannotDelete", message));
            }
            let alive = state
                .instances
                .values()
                .filter(|one| one.state != InstanceState::Terminated);
            if alive.into_iter().any(|instance| instance.group_ids.contains(&id)) {
                let message = format!("resource {id} has a dependent object");
                return Err(ApiError::new("DependencyViolation", message));
            }
            dry_run?;
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
