//! The filters of DescribeInstances: those of EC2's for what the answer shows, and for what is the same of all instances here.

use devcloud_dialect::tag_values;

use super::view;
use crate::{
    addresses::{private_dns_name, public_dns_name},
    api::{interfaces, service::Service, vpc},
    ledger::{Instance, State},
};

/// Before the names of filters for the interface.
const OF_INTERFACES: &str = "network-interface.";

/// Before those for the disk, which an instance has as long as it has its interface.
const OF_DISKS: &str = "block-device-mapping.";

/// What differs between instances.
const OWN: &[&str] = &[
    "architecture",
    "availability-zone",
    "availability-zone-id",
    "block-device-mapping.attach-time",
    "block-device-mapping.delete-on-termination",
    "block-device-mapping.device-name",
    "block-device-mapping.status",
    "block-device-mapping.volume-id",
    "client-token",
    "dns-name",
    "group-id",
    "image-id",
    "instance-id",
    "instance-lifecycle",
    "instance-state-code",
    "instance-state-name",
    "instance-type",
    "instance.group-id",
    "instance.group-name",
    "ip-address",
    "key-name",
    "launch-index",
    "launch-time",
    "metadata-options.http-endpoint",
    "metadata-options.http-put-response-hop-limit",
    "metadata-options.http-tokens",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "reason",
    "reservation-id",
    "state-reason-code",
    "state-reason-message",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tag:",
    "vpc-id",
];

/// What is the same of all; nothing is what no instance here has.
const SAME: &[(&str, Option<&str>)] = &[
    ("capacity-reservation-id", None),
    ("ebs-optimized", Some("false")),
    ("enclave-options.enabled", Some("false")),
    ("hibernation-options.configured", Some("false")),
    ("host-id", None),
    ("hypervisor", Some("xen")),
    ("iam-instance-profile.arn", None),
    ("iam-instance-profile.id", None),
    ("ipv6-address", None),
    ("kernel-id", None),
    ("maintenance-options.auto-recovery", Some("default")),
    ("metadata-options.http-protocol-ipv6", Some("disabled")),
    ("metadata-options.instance-metadata-tags", Some("disabled")),
    ("metadata-options.state", Some("applied")),
    ("monitoring-state", Some("disabled")),
    ("outpost-arn", None),
    ("placement-group-name", None),
    ("placement-partition-number", None),
    ("platform", None),
    ("platform-details", Some("Linux/UNIX")),
    (
        "private-dns-name-options.enable-resource-name-dns-a-record",
        Some("false"),
    ),
    (
        "private-dns-name-options.enable-resource-name-dns-aaaa-record",
        Some("false"),
    ),
    ("private-dns-name-options.hostname-type", Some("ip-name")),
    ("product-code", None),
    ("product-code.type", None),
    ("ramdisk-id", None),
    ("requester-id", None),
    ("root-device-name", Some("/dev/sda1")),
    ("root-device-type", Some("ebs")),
    ("source-dest-check", Some("true")),
    ("spot-instance-request-id", None),
    ("tenancy", Some("default")),
    ("virtualization-type", Some("hvm")),
];

/// The names of all filters.
pub(super) fn known() -> Vec<String> {
    let own = OWN.iter().chain(SAME.iter().map(|(name, _)| name));
    let of_interfaces = interfaces::FILTERS.iter().filter(|name| **name != "tag:");
    own.map(|name| (*name).to_owned())
        .chain(of_interfaces.map(|name| format!("{OF_INTERFACES}{name}")))
        .collect()
}

/// What an instance has under the name of a filter.
pub(super) fn values(service: &Service, state: &State, instance: &Instance, name: &str) -> Vec<String> {
    let there = view::has_interface(instance);
    if let Some((_, value)) = SAME.iter().find(|(known, _)| *known == name) {
        return value.map(str::to_owned).into_iter().collect();
    }
    if let Some(name) = name.strip_prefix(OF_INTERFACES) {
        let values = there.then(|| interfaces::values(state, instance, name));
        return values.unwrap_or_default();
    }
    if let Some(name) = name.strip_prefix(OF_DISKS) {
        return there.then(|| of_disk(instance, name)).into_iter().collect();
    }
    let region = service.life.region();
    let public = view::has_public_address(instance);
    let one = |value: &str| vec![value.to_owned()];
    let some = |value: Option<&String>| value.cloned().into_iter().collect();
    let reason = instance.state_reason.as_ref();
    match name {
        "architecture" => one(&instance.architecture),
        "availability-zone" => one(&instance.zone),
        "availability-zone-id" => vec![service.config.zone_id()],
        "client-token" => some(instance.client_token.as_ref()),
        "dns-name" if public => vec![public_dns_name(instance.public_address, region)],
        "group-id" | "instance.group-id" => instance.group_ids.clone(),
        "image-id" => one(&instance.image_id),
        "instance-id" => one(&instance.id),
        "instance-lifecycle" if instance.spot => one("spot"),
        "instance-state-code" => vec![instance.state.code().to_string()],
        "instance-state-name" => one(instance.state.name()),
        "instance-type" => one(&instance.instance_type),
        "instance.group-name" => interfaces::group_names(state, instance),
        "ip-address" if public => vec![instance.public_address.to_string()],
        "key-name" => some(instance.key_name.as_ref()),
        "launch-index" => vec![instance.launch_index.to_string()],
        "launch-time" => vec![view::timestamp(instance.launch_time)],
        "metadata-options.http-endpoint" => one(view::endpoint(instance)),
        "metadata-options.http-put-response-hop-limit" => vec![instance.metadata.hop_limit.to_string()],
        "metadata-options.http-tokens" => one(view::tokens(instance)),
        "owner-id" => one(&state.owner_id),
        "private-dns-name" => vec![private_dns_name(instance.private_address, region)],
        "private-ip-address" => vec![instance.private_address.to_string()],
        "reason" => vec![view::transition_reason(instance)],
        "reservation-id" => one(&instance.reservation_id),
        "state-reason-code" => some(reason.map(|reason| &reason.code)),
        "state-reason-message" => some(reason.map(|reason| &reason.message)),
        "subnet-id" if there => vec![vpc::subnet_id(state)],
        "vpc-id" if there => vec![vpc::vpc_id(state)],
        other => tag_values(state.tags.get(&instance.id), other),
    }
}

fn of_disk(instance: &Instance, name: &str) -> String {
    match name {
        "attach-time" => view::timestamp(instance.launch_time),
        "delete-on-termination" => "true".to_owned(),
        "device-name" => "/dev/sda1".to_owned(),
        "status" => "attached".to_owned(),
        _ => instance.root_volume_id.clone(),
    }
}
