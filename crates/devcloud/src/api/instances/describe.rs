//! DescribeInstances: by ids, filters and pages, grouped by reservation.

use std::sync::Arc;

use devcloud_dialect::{ApiError, Filters, Page, Xml, request::DescribeInstances, tag_values};

use super::{find_all, view, visible};
use crate::{
    addresses::{private_dns_name, public_dns_name},
    api::{
        actions::{Call, Listing},
        service::Service,
        vpc,
    },
    config::Profile,
    ledger::{Instance, State},
};

const FILTERS: &[&str] = &[
    "architecture",
    "availability-zone",
    "client-token",
    "dns-name",
    "hypervisor",
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
    "monitoring-state",
    "network-interface.network-interface-id",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "reservation-id",
    "root-device-name",
    "root-device-type",
    "source-dest-check",
    "state-reason-code",
    "subnet-id",
    "tag-key",
    "tag-value",
    "tag:",
    "tenancy",
    "virtualization-type",
    "vpc-id",
];

impl Listing for DescribeInstances {
    async fn list(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let service = call.service;
        let ids = self.instance_id;
        let max_results = match service.config.profile {
            Profile::Aws => self.max_results,
            // It takes the parameter and gives everything.
            Profile::Eucalyptus => None,
        };
        let page = Page::check("DescribeInstances", max_results, self.next_token.as_deref(), 5)?;
        if !ids.is_empty() && page.is_asked_for() {
            let message = "The parameter instancesSet cannot be used with the parameter maxResults";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        let filters = Filters::check(self.filter, FILTERS)?;
        let state = service.ledger.snapshot();
        let mut found: Vec<Arc<Instance>> = if ids.is_empty() {
            visible(&state)
        } else {
            find_all(&state, &ids)?.into_iter().cloned().collect()
        };
        found.retain(|instance| filters.pass(|name| values(service, &state, instance, name)));
        found.sort_by_key(|instance| instance.sequence);
        found.dedup_by_key(|instance| instance.sequence);
        let (found, next) = page.cut(found, |instance| format!("{:020}", instance.sequence));
        let found = call.list.spoil(found);
        let mut xml = Xml::default();
        let reservations = found.chunk_by(|one, other| one.reservation_id == other.reservation_id);
        xml.list("reservationSet", reservations, |xml, instances| {
            view::reservation(xml, service, &state, instances);
        });
        xml.put_some("nextToken", next);
        Ok(xml)
    }
}

/// What an instance has under the name of a filter.
fn values(service: &Service, state: &State, instance: &Instance, name: &str) -> Vec<String> {
    let region = service.life.region();
    let public = view::has_public_address(instance);
    let there = view::has_interface(instance);
    let one = |value: &str| vec![value.to_owned()];
    let some = |value: Option<&String>| value.cloned().into_iter().collect();
    match name {
        "architecture" => one(&instance.architecture),
        "availability-zone" => one(&instance.zone),
        "client-token" => some(instance.client_token.as_ref()),
        "dns-name" if public => vec![public_dns_name(instance.public_address, region)],
        "hypervisor" => one("xen"),
        "monitoring-state" => one("disabled"),
        "root-device-name" => one("/dev/sda1"),
        "source-dest-check" => one("true"),
        "tenancy" => one("default"),
        "virtualization-type" => one("hvm"),
        "launch-time" => vec![view::timestamp(instance.launch_time)],
        "network-interface.network-interface-id" if there => vec![vpc::interface_id(instance)],
        "subnet-id" if there => vec![vpc::subnet_id(state)],
        "vpc-id" if there => vec![vpc::vpc_id(state)],
        "group-id" | "instance.group-id" => instance.group_ids.clone(),
        "image-id" => one(&instance.image_id),
        "instance-id" => one(&instance.id),
        "instance-lifecycle" if instance.spot => one("spot"),
        "instance-state-code" => vec![instance.state.code().to_string()],
        "instance-state-name" => one(instance.state.name()),
        "instance-type" => one(&instance.instance_type),
        "instance.group-name" => {
            let groups = instance
                .group_ids
                .iter()
                .filter_map(|id| state.security_groups.get(id));
            groups.map(|group| group.name.clone()).collect()
        }
        "ip-address" if public => vec![instance.public_address.to_string()],
        "key-name" => some(instance.key_name.as_ref()),
        "launch-index" => vec![instance.launch_index.to_string()],
        "owner-id" => one(&state.owner_id),
        "private-dns-name" => vec![private_dns_name(instance.private_address, region)],
        "private-ip-address" => vec![instance.private_address.to_string()],
        "reservation-id" => one(&instance.reservation_id),
        "root-device-type" => one("ebs"),
        "state-reason-code" => instance
            .state_reason
            .as_ref()
            .map(|reason| reason.code.clone())
            .into_iter()
            .collect(),
        other => tag_values(state.tags.get(&instance.id), other),
    }
}
