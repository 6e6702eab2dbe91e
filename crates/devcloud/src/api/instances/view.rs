//! Instances as XML.

use std::sync::Arc;

use devcloud_dialect::Xml;
use time::{UtcOffset, macros::format_description};

use crate::{
    addresses::{private_dns_name, public_dns_name},
    api::{
        service::Service,
        view::{groups, tags},
        vpc,
    },
    instance_types,
    ledger::{Instance, InstanceState, State},
};

pub(super) use crate::api::view::{has_interface, has_public_address, timestamp};

/// What a reservation has besides its instances, and those of `instances`.
pub(super) fn reservation(xml: &mut Xml, service: &Service, state: &State, instances: &[Arc<Instance>]) {
    let Some(first) = instances.first() else { return };
    xml.put("reservationId", &first.reservation_id);
    xml.put("ownerId", &state.owner_id);
    groups(xml, state, first);
    xml.list("instancesSet", instances, |xml, one| {
        instance(xml, service, state, one)
    });
}

/// `<name><code/><name/></name>` of a state.
pub(super) fn instance_state(xml: &mut Xml, name: &'static str, state: InstanceState) {
    xml.element(name, |xml| {
        xml.put("code", state.code());
        xml.put("name", state.name());
    });
}

fn instance(xml: &mut Xml, service: &Service, state: &State, instance: &Instance) {
    let region = service.life.region();
    let alive = has_interface(instance);
    let public = has_public_address(instance);
    xml.put("instanceId", &instance.id);
    xml.put("imageId", &instance.image_id);
    instance_state(xml, "instanceState", instance.state);
    let name = |shown: bool, name: String| if shown { name } else { String::new() };
    xml.put(
        "privateDnsName",
        name(alive, private_dns_name(instance.private_address, region)),
    );
    xml.put(
        "dnsName",
        name(public, public_dns_name(instance.public_address, region)),
    );
    xml.put("reason", transition_reason(instance));
    xml.put_some("keyName", instance.key_name.as_ref());
    xml.put("amiLaunchIndex", instance.launch_index);
    xml.element("productCodes", |_| {});
    xml.put("instanceType", &instance.instance_type);
    xml.put("launchTime", timestamp(instance.launch_time));
    xml.element("placement", |xml| {
        xml.put("availabilityZone", &instance.zone);
        xml.put("groupName", "");
        xml.put("tenancy", "default");
    });
    xml.element("monitoring", |xml| xml.put("state", "disabled"));
    if alive {
        xml.put("subnetId", vpc::subnet_id(state));
        xml.put("vpcId", vpc::vpc_id(state));
        xml.put("privateIpAddress", instance.private_address);
        xml.put("sourceDestCheck", true);
    }
    if public {
        xml.put("ipAddress", instance.public_address);
    }
    groups(xml, state, instance);
    if let Some(reason) = &instance.state_reason {
        xml.element("stateReason", |xml| {
            xml.put("code", &reason.code);
            xml.put("message", &reason.message);
        });
    }
    hardware(xml, instance, alive);
    xml.put(
        "clientToken",
        instance.client_token.as_deref().unwrap_or_default(),
    );
    tags(xml, state, &instance.id);
    xml.list("networkInterfaceSet", alive.then_some(instance), |xml, one| {
        vpc::interface(xml, state, one);
    });
    if service.config.profile.has_metadata_options {
        metadata_options(xml, instance);
    }
}

/// Whether the metadata service wants a token.
pub(super) fn tokens(instance: &Instance) -> &'static str {
    match instance.metadata.tokens_required {
        true => "required",
        false => "optional",
    }
}

/// Whether there is a metadata service for the instance.
pub(super) fn endpoint(instance: &Instance) -> &'static str {
    match instance.metadata.enabled {
        true => "enabled",
        false => "disabled",
    }
}

fn metadata_options(xml: &mut Xml, instance: &Instance) {
    xml.element("metadataOptions", |xml| {
        xml.put("state", "applied");
        xml.put("httpTokens", tokens(instance));
        xml.put("httpPutResponseHopLimit", instance.metadata.hop_limit);
        xml.put("httpEndpoint", endpoint(instance));
        xml.put("httpProtocolIpv6", "disabled");
        xml.put("instanceMetadataTags", "disabled");
    });
}

/// What the instance would be made of in Amazon's halls.
fn hardware(xml: &mut Xml, instance: &Instance, alive: bool) {
    xml.put("architecture", &instance.architecture);
    xml.put("hypervisor", "xen");
    xml.put("virtualizationType", "hvm");
    xml.put("ebsOptimized", false);
    xml.put_some("instanceLifecycle", instance.spot.then_some("spot"));
    if let Some(kind) = instance_types::find(&instance.instance_type) {
        xml.element("cpuOptions", |xml| {
            xml.put("coreCount", kind.processors);
            xml.put("threadsPerCore", 1);
        });
    }
    xml.put("rootDeviceType", "ebs");
    xml.put("rootDeviceName", "/dev/sda1");
    block_devices(xml, instance, alive);
}

/// The disks of an instance: its root, as long as it is there.
pub(super) fn block_devices(xml: &mut Xml, instance: &Instance, alive: bool) {
    let volumes = alive.then_some(&instance.root_volume_id);
    xml.list("blockDeviceMapping", volumes, |xml, volume| {
        xml.put("deviceName", "/dev/sda1");
        xml.element("ebs", |xml| {
            xml.put("volumeId", volume);
            xml.put("status", "attached");
            xml.put("attachTime", timestamp(instance.launch_time));
            xml.put("deleteOnTermination", !instance.keeps_volume);
        });
    });
}

/// `reason`: a sentence with a time, as EC2 gives it for what users did.
pub(super) fn transition_reason(instance: &Instance) -> String {
    match &instance.state_reason {
        Some(reason) if reason.code == "Client.UserInitiatedShutdown" => {
            let began = instance
                .history
                .iter()
                .rev()
                .find(|entry| matches!(entry.event.as_str(), "stopping" | "shutting-down"));
            began.map_or_else(String::new, |entry| {
                let layout = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] GMT");
                let time = entry
                    .time
                    .to_offset(UtcOffset::UTC)
                    .format(&layout)
                    .unwrap_or_default();
                format!("User initiated ({time})")
            })
        }
        Some(reason) => reason.code.clone(),
        None => String::new(),
    }
}
