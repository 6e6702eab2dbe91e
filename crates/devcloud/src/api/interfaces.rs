//! What the filters of DescribeNetworkInterfaces know of an interface; DescribeInstances has them too, behind
//! `network-interface.`.

use devcloud_dialect::tag_values;

use super::{
    view,
    vpc::{attachment_id, interface_id, subnet_id, vpc_id},
};
use crate::{
    hypervisor::mac_address,
    ledger::{Instance, State},
};

/// The names of the filters.
pub(super) const FILTERS: &[&str] = &[
    "addresses.association.ip-owner-id",
    "addresses.association.owner-id",
    "addresses.association.public-ip",
    "addresses.primary",
    "addresses.private-ip-address",
    "association.allocation-id",
    "association.association-id",
    "association.ip-owner-id",
    "association.public-ip",
    "attachment.attach-time",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "description",
    "group-id",
    "group-name",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-ip-address",
    "requester-id",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tag:",
    "vpc-id",
];

/// What the interface of an instance has under the name of a filter.
pub(super) fn values(state: &State, instance: &Instance, name: &str) -> Vec<String> {
    let one = |value: &str| vec![value.to_owned()];
    let public = view::has_public_address(instance);
    match name {
        "association.ip-owner-id"
        | "addresses.association.ip-owner-id"
        | "addresses.association.owner-id" => public.then(|| state.owner_id.clone()).into_iter().collect(),
        "association.public-ip" | "addresses.association.public-ip" => public
            .then(|| instance.public_address.to_string())
            .into_iter()
            .collect(),
        // No address is elastic, and none is of IPv6; nobody asked for the interface on somebody's behalf.
        "association.allocation-id"
        | "association.association-id"
        | "ipv6-addresses.ipv6-address"
        | "requester-id" => Vec::new(),
        "addresses.primary" | "attachment.delete-on-termination" | "source-dest-check" => one("true"),
        "addresses.private-ip-address" | "private-ip-address" => vec![instance.private_address.to_string()],
        "attachment.attach-time" => vec![view::timestamp(instance.launch_time)],
        "attachment.attachment-id" => vec![attachment_id(instance)],
        "attachment.device-index" => one("0"),
        "attachment.instance-id" => one(&instance.id),
        "attachment.instance-owner-id" | "owner-id" => one(&state.owner_id),
        "attachment.status" => one("attached"),
        "availability-zone" => one(&instance.zone),
        "description" => one(""),
        "group-id" => instance.group_ids.clone(),
        "group-name" => group_names(state, instance),
        "mac-address" => vec![mac_address(instance.private_address)],
        "network-interface-id" => vec![interface_id(instance)],
        "requester-managed" => one("false"),
        "status" => one("in-use"),
        "subnet-id" => vec![subnet_id(state)],
        "vpc-id" => vec![vpc_id(state)],
        other => tag_values(state.tags.get(&interface_id(instance)), other),
    }
}

/// The names of the security groups of an instance.
pub(super) fn group_names(state: &State, instance: &Instance) -> Vec<String> {
    let ids = instance.group_ids.iter();
    let groups = ids.filter_map(|id| state.security_groups.get(id));
    groups.map(|group| group.name.clone()).collect()
}
