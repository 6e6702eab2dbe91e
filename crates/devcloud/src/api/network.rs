//! The network as EC2's clients see it: one default VPC with one default subnet, an interface for each instance that is
//! there, no elastic addresses and no placement groups. Nothing of it can be changed.

use std::sync::Arc;

use devcloud_dialect::{
    ApiError, Filters, Page, Xml,
    ids::is_resource_id,
    request::{
        DescribeAddresses, DescribeNetworkInterfaces, DescribePlacementGroups, DescribeSubnets,
        DescribeVpcAttribute, DescribeVpcs,
    },
    tag_values,
};
use time::OffsetDateTime;

use super::{
    actions::Question,
    interfaces,
    service::Service,
    view,
    vpc::{CIDR, check_subnet, check_vpc, interface, interface_id, malformed, subnet_id, vpc_id},
};
use crate::{addresses, ledger::Instance};

impl Question for DescribeVpcs {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let state = service.ledger.snapshot();
        for id in &self.vpc_id {
            check_vpc(&state, id)?;
        }
        let filters = Filters::check(
            self.filter,
            &[
                "cidr",
                "cidr-block-association.cidr-block",
                "dhcp-options-id",
                "is-default",
                // The name that boto3's users and Ansible send.
                "isDefault",
                "owner-id",
                "state",
                "tag-key",
                "tag:",
                "vpc-id",
            ],
        )?;
        let page = Page::check("DescribeVpcs", self.max_results, self.next_token.as_deref(), 5)?;
        let id = vpc_id(&state);
        let passes = filters.pass(|name| match name {
            "cidr" | "cidr-block-association.cidr-block" => vec![CIDR.to_owned()],
            "dhcp-options-id" => vec!["default".to_owned()],
            "is-default" | "isDefault" => vec!["true".to_owned()],
            "owner-id" => vec![state.owner_id.clone()],
            "state" => vec!["available".to_owned()],
            "vpc-id" => vec![id.clone()],
            other => tag_values(state.tags.get(&id), other),
        });
        let found: Vec<&String> = passes.then_some(&id).into_iter().collect();
        let (found, next) = page.cut(found, |id| (*id).clone());
        let mut xml = Xml::default();
        xml.list("vpcSet", found, |xml, id| {
            xml.put("vpcId", id);
            xml.put("ownerId", &state.owner_id);
            xml.put("state", "available");
            xml.put("cidrBlock", CIDR);
            xml.list("cidrBlockAssociationSet", [id], |xml, id| {
                xml.put("cidrBlock", CIDR);
                xml.put("associationId", id.replacen("vpc-", "vpc-cidr-assoc-", 1));
                xml.element("cidrBlockState", |xml| xml.put("state", "associated"));
            });
            xml.put("dhcpOptionsId", "default");
            xml.put("instanceTenancy", "default");
            xml.put("isDefault", true);
            view::tags(xml, &state, id);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

impl Question for DescribeVpcAttribute {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let id = self.vpc_id.ok_or_else(|| ApiError::missing("VpcId"))?;
        check_vpc(&service.ledger.snapshot(), &id)?;
        let attribute = self.attribute.ok_or_else(|| ApiError::missing("Attribute"))?;
        let name = match attribute.as_str() {
            "enableDnsSupport" => "enableDnsSupport",
            "enableDnsHostnames" => "enableDnsHostnames",
            "enableNetworkAddressUsageMetrics" => "enableNetworkAddressUsageMetrics",
            other => {
                let reason = "It must be one of: enableDnsSupport, enableDnsHostnames, \
                              enableNetworkAddressUsageMetrics.";
                return Err(ApiError::invalid("Attribute", other, reason));
            }
        };
        let mut xml = Xml::default();
        xml.put("vpcId", id);
        // No name server knows the instances.
        xml.element(name, |xml| xml.put("value", false));
        Ok(xml)
    }
}

impl Question for DescribeSubnets {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let state = service.ledger.snapshot();
        for id in &self.subnet_id {
            check_subnet(&state, id)?;
        }
        let filters = Filters::check(
            self.filter,
            &[
                "availability-zone",
                "availability-zone-id",
                "cidr",
                "cidr-block",
                "default-for-az",
                "defaultForAz",
                "map-public-ip-on-launch",
                "owner-id",
                "state",
                "subnet-id",
                "tag-key",
                "tag:",
                "vpc-id",
            ],
        )?;
        let page = Page::check("DescribeSubnets", self.max_results, self.next_token.as_deref(), 5)?;
        let (id, zone, zone_id) = (subnet_id(&state), service.config.zone(), service.config.zone_id());
        let passes = filters.pass(|name| match name {
            "availability-zone" => vec![zone.clone()],
            "availability-zone-id" => vec![zone_id.clone()],
            "cidr" | "cidr-block" => vec![CIDR.to_owned()],
            "default-for-az" | "defaultForAz" | "map-public-ip-on-launch" => vec!["true".to_owned()],
            "owner-id" => vec![state.owner_id.clone()],
            "state" => vec!["available".to_owned()],
            "subnet-id" => vec![id.clone()],
            "vpc-id" => vec![vpc_id(&state)],
            other => tag_values(state.tags.get(&id), other),
        });
        let found: Vec<&String> = passes.then_some(&id).into_iter().collect();
        let (found, next) = page.cut(found, |id| (*id).clone());
        let mut xml = Xml::default();
        xml.list("subnetSet", found, |xml, id| {
            xml.put("subnetId", id);
            xml.put("ownerId", &state.owner_id);
            xml.put("state", "available");
            xml.put("vpcId", vpc_id(&state));
            xml.put("cidrBlock", CIDR);
            xml.element("ipv6CidrBlockAssociationSet", |_| {});
            xml.put("availableIpAddressCount", addresses::free(&state));
            xml.put("availabilityZone", &zone);
            xml.put("availabilityZoneId", &zone_id);
            xml.put("defaultForAz", true);
            xml.put("mapPublicIpOnLaunch", true);
            xml.put("assignIpv6AddressOnCreation", false);
            view::tags(xml, &state, id);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

impl Question for DescribeAddresses {
    async fn answer(self, _: &Service) -> Result<Xml, ApiError> {
        Filters::check(
            self.filter,
            &[
                "allocation-id",
                "association-id",
                "domain",
                "instance-id",
                "network-border-group",
                "network-interface-id",
                "network-interface-owner-id",
                "private-ip-address",
                "public-ip",
                "tag-key",
                "tag:",
            ],
        )?;
        if let Some(id) = self.allocation_id.first() {
            let message = format!("The allocation ID '{id}' does not exist");
            return Err(ApiError::new("InvalidAllocationID.NotFound", message));
        }
        if let Some(address) = self.public_ip.first() {
            let message = format!("Address '{address}' not found.");
            return Err(ApiError::new("InvalidAddress.NotFound", message));
        }
        let mut xml = Xml::default();
        // The public address of an instance is its own and goes with it: none is elastic.
        xml.element("addressesSet", |_| {});
        Ok(xml)
    }
}

impl Question for DescribePlacementGroups {
    async fn answer(self, _: &Service) -> Result<Xml, ApiError> {
        Filters::check(
            self.filter,
            &["group-name", "group-arn", "state", "strategy", "tag-key", "tag:"],
        )?;
        if let Some(name) = self.group_name.first().or(self.group_id.first()) {
            return Err(unknown_placement_group(name));
        }
        let mut xml = Xml::default();
        xml.element("placementGroupSet", |_| {});
        Ok(xml)
    }
}

/// There are no placement groups.
pub(super) fn unknown_placement_group(name: &str) -> ApiError {
    let message = format!("The Placement Group '{name}' is unknown.");
    ApiError::new("InvalidPlacementGroup.Unknown", message)
}

impl Question for DescribeNetworkInterfaces {
    async fn answer(self, service: &Service) -> Result<Xml, ApiError> {
        let state = service.ledger.snapshot();
        let now = OffsetDateTime::now_utc();
        let there: Vec<Arc<Instance>> = state
            .instances
            .values()
            .filter(|one| view::has_interface(one) && !one.is_hidden(now))
            .cloned()
            .collect();
        for id in &self.network_interface_id {
            if !is_resource_id(id, "eni") {
                return Err(malformed("InvalidNetworkInterfaceId.Malformed", id));
            }
            if !there.iter().any(|one| interface_id(one) == *id) {
                let message = format!("The networkInterface ID '{id}' does not exist");
                return Err(ApiError::new("InvalidNetworkInterfaceID.NotFound", message));
            }
        }
        let filters = Filters::check(self.filter, interfaces::FILTERS)?;
        let page = Page::check(
            "DescribeNetworkInterfaces",
            self.max_results,
            self.next_token.as_deref(),
            5,
        )?;
        let asked = &self.network_interface_id;
        let mut found: Vec<Arc<Instance>> = there
            .into_iter()
            .filter(|one| asked.is_empty() || asked.contains(&interface_id(one)))
            .filter(|one| filters.pass(|name| interfaces::values(&state, one, name)))
            .collect();
        found.sort_by_key(|one| one.sequence);
        let (found, next) = page.cut(found, |one| format!("{:020}", one.sequence));
        let mut xml = Xml::default();
        xml.list("networkInterfaceSet", &found, |xml, one| {
            interface(xml, &state, one);
            xml.put("availabilityZone", &one.zone);
            xml.put("interfaceType", "interface");
            xml.put("requesterManaged", false);
            view::tags_named(xml, "tagSet", &state, &interface_id(one));
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}
