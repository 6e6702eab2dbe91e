//! The one VPC, its subnet, and the interfaces of instances: their ids, and an interface as it is shown.

use std::net::Ipv4Addr;

use devcloud_dialect::{ApiError, Xml, ids::is_resource_id};

use super::view;
use crate::{
    hypervisor::mac_address,
    ledger::{Instance, State},
};

/// The network of all instances.
pub(super) const CIDR: &str = "10.88.0.0/16";

/// The account's default VPC. Its id is made of the account's number, so that it needs no place in the ledger.
pub(super) fn vpc_id(state: &State) -> String {
    format!("vpc-{:0>17}", state.owner_id)
}

/// The subnet of the one zone.
pub(super) fn subnet_id(state: &State) -> String {
    format!("subnet-{:0>17}", state.owner_id)
}

/// The interface of an instance.
pub(super) fn interface_id(instance: &Instance) -> String {
    instance.id.replacen("i-", "eni-", 1)
}

/// The place of an interface in its instance.
pub(super) fn attachment_id(instance: &Instance) -> String {
    instance.id.replacen("i-", "eni-attach-", 1)
}

/// The instance whose interface this is.
pub(super) fn interface_owner(id: &str) -> String {
    id.replacen("eni-", "i-", 1)
}

/// Checks that a subnet is the one there is.
pub(super) fn check_subnet(state: &State, id: &str) -> Result<(), ApiError> {
    if !is_resource_id(id, "subnet") {
        return Err(malformed("InvalidSubnetID.Malformed", id));
    }
    if id != subnet_id(state) {
        let message = format!("The subnet ID '{id}' does not exist");
        return Err(ApiError::new("InvalidSubnetID.NotFound", message));
    }
    Ok(())
}

/// Checks that a VPC is the one there is.
pub(super) fn check_vpc(state: &State, id: &str) -> Result<(), ApiError> {
    if !is_resource_id(id, "vpc") {
        return Err(malformed("InvalidVpcID.Malformed", id));
    }
    if id != vpc_id(state) {
        let message = format!("The vpc ID '{id}' does not exist");
        return Err(ApiError::new("InvalidVpcID.NotFound", message));
    }
    Ok(())
}

pub(super) fn malformed(code: &'static str, id: &str) -> ApiError {
    ApiError::new(code, format!("Invalid id: \"{id}\""))
}

/// The one interface of an instance.
pub(super) fn interface(xml: &mut Xml, state: &State, instance: &Instance) {
    xml.put("networkInterfaceId", interface_id(instance));
    xml.put("subnetId", subnet_id(state));
    xml.put("vpcId", vpc_id(state));
    xml.put("description", "");
    xml.put("ownerId", &state.owner_id);
    xml.put("status", "in-use");
    xml.put("macAddress", mac_address(instance.private_address));
    xml.put("privateIpAddress", instance.private_address);
    xml.put("sourceDestCheck", true);
    view::groups(xml, state, instance);
    xml.element("attachment", |xml| {
        xml.put("attachmentId", attachment_id(instance));
        xml.put("instanceId", &instance.id);
        xml.put("instanceOwnerId", &state.owner_id);
        xml.put("deviceIndex", 0);
        xml.put("status", "attached");
        xml.put("attachTime", view::timestamp(instance.launch_time));
        xml.put("deleteOnTermination", true);
    });
    let public = view::has_public_address(instance).then_some(instance.public_address);
    association(xml, state, public);
    xml.list("privateIpAddressesSet", [instance], |xml, instance| {
        xml.put("privateIpAddress", instance.private_address);
        xml.put("primary", true);
        association(xml, state, public);
    });
    xml.element("ipv6AddressesSet", |_| {});
}

fn association(xml: &mut Xml, state: &State, public: Option<Ipv4Addr>) {
    if let Some(public) = public {
        xml.element("association", |xml| {
            xml.put("publicIp", public);
            xml.put("publicDnsName", "");
            xml.put("ipOwnerId", &state.owner_id);
        });
    }
}
