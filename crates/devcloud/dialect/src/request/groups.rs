//! Security groups.

use serde::Deserialize;

use super::{
    Filter, TagSpecification, requests,
    text::{GroupText, Network, NetworkV6, Protocol, RuleText},
};

/// `IpPermissions.N.IpRanges.M`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IpRange {
    /// The network.
    pub cidr_ip: Network,
    /// A sentence for people.
    pub description: Option<RuleText>,
}

/// `IpPermissions.N.Ipv6Ranges.M`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Ipv6Range {
    /// The network.
    pub cidr_ipv6: NetworkV6,
    /// A sentence for people.
    pub description: Option<RuleText>,
}

requests! {
    /// `IpPermissions.N.Groups.M`: another group, by id or by name.
    GroupPair {
        group_id: Option<String>,
        group_name: Option<String>,
        user_id: Option<String>,
        vpc_id: Option<String>,
        description: Option<RuleText>,
    }
    /// `IpPermissions.N`.
    IpPermission {
        ip_protocol: Option<Protocol>,
        from_port: Option<i64>,
        to_port: Option<i64>,
        ip_ranges: Vec<IpRange>,
        ipv6_ranges: Vec<Ipv6Range>,
        groups: Vec<GroupPair>,
        user_id_group_pairs: Vec<GroupPair>,
    }
    CreateSecurityGroup {
        group_name: Option<GroupText>,
        group_description: Option<GroupText>,
        vpc_id: Option<String>,
        tag_specification: Vec<TagSpecification>,
    }
    DescribeSecurityGroups {
        group_id: Vec<String>,
        group_name: Vec<String>,
        filter: Vec<Filter>,
        max_results: Option<i64>,
        next_token: Option<String>,
    }
    DeleteSecurityGroup {
        group_id: Option<String>,
        group_name: Option<String>,
    }
    /// Which rules of which group: `IpPermissions`, or the older form with one rule among the parameters.
    GroupRules {
        group_id: Option<String>,
        group_name: Option<String>,
        ip_permissions: Vec<IpPermission>,
        ip_protocol: Option<Protocol>,
        from_port: Option<i64>,
        to_port: Option<i64>,
        cidr_ip: Option<Network>,
        source_security_group_name: Option<String>,
        source_security_group_owner_id: Option<String>,
        security_group_rule_id: Vec<String>,
    }
}

/// `SecurityGroupRuleDescription.N`: what a rule is to say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RuleDescription {
    /// The rule's id.
    pub security_group_rule_id: String,
    /// The sentence; without one the rule loses its own.
    pub description: Option<RuleText>,
}

requests! {
    /// What rules of a group are to say, by what they allow or by their ids.
    RuleDescriptions {
        group_id: Option<String>,
        group_name: Option<String>,
        ip_permissions: Vec<IpPermission>,
        security_group_rule_description: Vec<RuleDescription>,
    }
}

/// UpdateSecurityGroupRuleDescriptionsIngress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct UpdateSecurityGroupRuleDescriptionsIngress(pub RuleDescriptions);

/// UpdateSecurityGroupRuleDescriptionsEgress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct UpdateSecurityGroupRuleDescriptionsEgress(pub RuleDescriptions);

/// AuthorizeSecurityGroupIngress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct AuthorizeSecurityGroupIngress(pub GroupRules);

/// RevokeSecurityGroupIngress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct RevokeSecurityGroupIngress(pub GroupRules);
