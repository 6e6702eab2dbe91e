//! Security groups.

use serde::Deserialize;

use super::{
    Filter, TagSpecification, requests,
    text::{GroupText, Network, NetworkV6, Protocol},
};

/// `IpPermissions.N.IpRanges.M`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IpRange {
    /// The network.
    pub cidr_ip: Network,
    /// A sentence for people.
    pub description: Option<String>,
}

/// `IpPermissions.N.Ipv6Ranges.M`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Ipv6Range {
    /// The network.
    pub cidr_ipv6: NetworkV6,
    /// A sentence for people.
    pub description: Option<String>,
}

requests! {
    /// `IpPermissions.N.Groups.M`: another group, by id or by name.
    GroupPair {
        group_id: Option<String>,
        group_name: Option<String>,
        user_id: Option<String>,
        vpc_id: Option<String>,
        description: Option<String>,
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

/// AuthorizeSecurityGroupIngress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct AuthorizeSecurityGroupIngress(pub GroupRules);

/// RevokeSecurityGroupIngress.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct RevokeSecurityGroupIngress(pub GroupRules);
