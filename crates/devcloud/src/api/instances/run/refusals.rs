//! What of a launch this cloud cannot do. EC2 knows all of it, so it is refused with EC2's codes and never passed over:
//! who asks for a second disk and gets none without a word finds out too late.

use devcloud_dialect::{
    ApiError,
    request::{NetworkInterface, Placement, RunInstances, SpotOptions, Switch},
    within,
};

use super::disk;
use crate::{
    api::{network, service::Service, vpc},
    ledger::State,
};

/// Refuses what cannot be done.
pub(super) fn check(service: &Service, request: &RunInstances) -> Result<(), ApiError> {
    let state = service.ledger.snapshot();
    placement(service, &request.placement)?;
    interfaces(&state, request)?;
    for (place, disk) in request.block_device_mapping.iter().enumerate() {
        disk::check(place + 1, disk)?;
    }
    spot(&request.instance_market_options.spot_options)?;
    profile(request)?;
    if request.hibernation_options.configured == Some(true) {
        let message = "Instances here cannot be hibernated";
        return Err(ApiError::new("UnsupportedHibernationConfiguration", message));
    }
    switches(request)
}

/// Refuses what cannot be switched on, or be other than it is. What is off, or is as it is anyway, can be asked for.
fn switches(request: &RunInstances) -> Result<(), ApiError> {
    let metadata = &request.metadata_options;
    let credits = &request.credit_specification.cpu_credits;
    let reservation = &request
        .capacity_reservation_specification
        .capacity_reservation_preference;
    let names = &request.private_dns_name_options;
    for (refused, what) in [
        (
            request.monitoring.enabled == Some(true),
            "Monitoring.Enabled=true",
        ),
        (
            request.enclave_options.enabled == Some(true),
            "EnclaveOptions.Enabled=true",
        ),
        (request.ebs_optimized == Some(true), "EbsOptimized=true"),
        (
            metadata.http_protocol_ipv6 == Some(Switch::Enabled),
            "MetadataOptions.HttpProtocolIpv6=enabled",
        ),
        (
            metadata.instance_metadata_tags == Some(Switch::Enabled),
            "MetadataOptions.InstanceMetadataTags=enabled",
        ),
        (request.cpu_options.core_count.is_some(), "CpuOptions.CoreCount"),
        (
            request
                .cpu_options
                .threads_per_core
                .is_some_and(|threads| threads != 1),
            "CpuOptions.ThreadsPerCore other than 1",
        ),
        (
            is_other(credits.as_deref(), &["unlimited"]),
            "CreditSpecification.CpuCredits other than unlimited",
        ),
        (
            is_other(reservation.as_deref(), &["open", "none"]),
            "CapacityReservationSpecification.CapacityReservationPreference other than open and none",
        ),
        (
            is_other(request.maintenance_options.auto_recovery.as_deref(), &["default"]),
            "MaintenanceOptions.AutoRecovery other than default",
        ),
        (
            is_other(names.hostname_type.as_deref(), &["ip-name"]),
            "PrivateDnsNameOptions.HostnameType other than ip-name",
        ),
        (
            names.enable_resource_name_dns_a_record == Some(true)
                || names.enable_resource_name_dns_aaaa_record == Some(true),
            "PrivateDnsNameOptions.EnableResourceNameDnsARecord=true",
        ),
    ] {
        if refused {
            return Err(ApiError::unsupported(what));
        }
    }
    Ok(())
}

fn is_other(value: Option<&str>, known: &[&str]) -> bool {
    value.is_some_and(|value| !known.contains(&value))
}

fn placement(service: &Service, placement: &Placement) -> Result<(), ApiError> {
    let (zone, zone_id) = (service.config.zone(), service.config.zone_id());
    for (asked, there) in [
        (&placement.availability_zone, &zone),
        (&placement.availability_zone_id, &zone_id),
    ] {
        if let Some(asked) = asked.as_ref().filter(|asked| *asked != there) {
            let message = format!("Invalid availability zone: [{asked}]. There is only {there}.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    if let Some(group) = placement.group_name.as_ref().or(placement.group_id.as_ref()) {
        return Err(network::unknown_placement_group(group));
    }
    if let Some(host) = &placement.host_id {
        let message = format!("The host ID '{host}' does not exist");
        return Err(ApiError::new("InvalidHostID.NotFound", message));
    }
    if is_other(placement.tenancy.as_deref(), &["default"]) {
        return Err(ApiError::unsupported("Placement.Tenancy other than default"));
    }
    Ok(())
}

/// An instance has one interface, in the one subnet, with an address of its own choice and a public one.
fn interfaces(state: &State, request: &RunInstances) -> Result<(), ApiError> {
    if let Some(subnet) = &request.subnet_id {
        vpc::check_subnet(state, subnet)?;
    }
    let [only] = request.network_interface.as_slice() else {
        if request.network_interface.is_empty() {
            return Ok(());
        }
        let message = format!(
            "Interface count {} exceeds the limit of 1",
            request.network_interface.len()
        );
        return Err(ApiError::new("AttachmentLimitExceeded", message));
    };
    let above = request.subnet_id.is_some()
        || !request.security_group_id.is_empty()
        || !request.security_group.is_empty();
    if above {
        let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on \
                       the same request";
        return Err(ApiError::new("InvalidParameterCombination", message));
    }
    interface(state, only)
}

fn interface(state: &State, interface: &NetworkInterface) -> Result<(), ApiError> {
    if let Some(id) = &interface.network_interface_id {
        let message = format!("The networkInterface ID '{id}' does not exist");
        return Err(ApiError::new("InvalidNetworkInterfaceID.NotFound", message));
    }
    if let Some(subnet) = &interface.subnet_id {
        vpc::check_subnet(state, subnet)?;
    }
    within(
        "NetworkInterface.1.DeviceIndex",
        interface.device_index.unwrap_or(0),
        0,
        0,
    )?;
    for (refused, what) in [
        (
            interface.associate_public_ip_address == Some(false),
            "NetworkInterface.1.AssociatePublicIpAddress=false",
        ),
        (
            interface.delete_on_termination == Some(false),
            "NetworkInterface.1.DeleteOnTermination=false",
        ),
        (interface.description.is_some(), "NetworkInterface.1.Description"),
        (
            interface.private_ip_address.is_some(),
            "NetworkInterface.1.PrivateIpAddress",
        ),
    ] {
        if refused {
            return Err(ApiError::unsupported(what));
        }
    }
    Ok(())
}

/// Spot instances are spot by name: nothing has a price, and nothing is taken away.
fn spot(options: &SpotOptions) -> Result<(), ApiError> {
    let prefix = "InstanceMarketOptions.SpotOptions";
    for (refused, what) in [
        (options.max_price.is_some(), "MaxPrice"),
        (options.valid_until.is_some(), "ValidUntil"),
        (
            is_other(options.spot_instance_type.as_deref(), &["one-time"]),
            "SpotInstanceType other than one-time",
        ),
        (
            is_other(options.instance_interruption_behavior.as_deref(), &["terminate"]),
            "InstanceInterruptionBehavior other than terminate",
        ),
    ] {
        if refused {
            return Err(ApiError::unsupported(&format!("{prefix}.{what}")));
        }
    }
    Ok(())
}

/// There are no instance profiles.
fn profile(request: &RunInstances) -> Result<(), ApiError> {
    let asked = &request.iam_instance_profile;
    for (value, member, reason) in [
        (&asked.arn, "Arn", "Invalid IAM Instance Profile ARN"),
        (&asked.name, "Name", "Invalid IAM Instance Profile name"),
    ] {
        if let Some(value) = value {
            return Err(ApiError::invalid(
                &format!("IamInstanceProfile.{member}"),
                value,
                reason,
            ));
        }
    }
    Ok(())
}
