//! What is found at which path. Directories are not kept: they are the common beginnings of the paths.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    CloudConfig,
    addresses::{private_dns_name, public_dns_name},
    hypervisor::mac_address,
    ledger::{Instance, State},
};

/// Whose metadata is asked for, and where the rest of it comes from.
pub(super) struct Context<'a> {
    pub(super) instance: &'a Instance,
    pub(super) state: &'a State,
    pub(super) config: &'a CloudConfig,
    pub(super) now: OffsetDateTime,
}

/// The body at `path`, and whether it is binary.
pub(super) fn find(context: &Context<'_>, path: &str) -> Option<(Vec<u8>, bool)> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Some((context.config.profile.metadata_versions.into(), false));
    }
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    let dated = version.len() == 10 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !dated && !matches!(version, "latest" | "1.0") {
        return None;
    }
    if matches!(rest, "user-data" | "user-data/") {
        let user_data = user_data(context.instance)?;
        return Some((STANDARD.decode(user_data).ok()?, true));
    }
    let entries = entries(context);
    if let Some(value) = entries.get(rest) {
        return Some((value.clone().into_bytes(), false));
    }
    let listing = list(&entries, rest.trim_end_matches('/'), context);
    (!listing.is_empty()).then(|| (listing.join("\n").into_bytes(), false))
}

/// The names directly below `directory`; those of directories end in a slash.
fn list(entries: &BTreeMap<String, String>, directory: &str, context: &Context<'_>) -> Vec<String> {
    if directory == "meta-data/public-keys" {
        let name = context.instance.key_name.as_ref();
        return name.map(|name| format!("0={name}")).into_iter().collect();
    }
    let prefix = if directory.is_empty() {
        String::new()
    } else {
        format!("{directory}/")
    };
    let mut names = BTreeSet::new();
    for rest in entries.keys().filter_map(|path| path.strip_prefix(&prefix)) {
        names.insert(match rest.split_once('/') {
            Some((first, _)) => format!("{first}/"),
            None => rest.to_owned(),
        });
    }
    if directory.is_empty() {
        let top: BTreeSet<&str> = names.iter().map(|name| name.trim_end_matches('/')).collect();
        let user_data = user_data(context.instance).map(|_| "user-data");
        return top.into_iter().chain(user_data).map(str::to_owned).collect();
    }
    names.into_iter().collect()
}

/// The user data as far as the instance is told of it.
fn user_data(instance: &Instance) -> Option<&str> {
    let told = instance.user_data.as_deref();
    told.filter(|_| !instance.faults.without_user_data)
}

fn entries(context: &Context<'_>) -> BTreeMap<String, String> {
    let instance = context.instance;
    let private = instance.private_address.to_string();
    let public = instance.public_address.to_string();
    let private_name = private_dns_name(instance.private_address, &context.config.region);
    let public_name = public_dns_name(instance.public_address, &context.config.region);
    let mac = mac_address(instance.private_address);
    let groups: Vec<&str> = instance
        .group_ids
        .iter()
        .filter_map(|id| context.state.security_groups.get(id))
        .map(|group| group.name.as_str())
        .collect();
    let groups = groups.join("\n");
    let life_cycle = if instance.spot { "spot" } else { "on-demand" };
    let mut entries = BTreeMap::new();
    let mut put = |path: &str, value: &str| entries.insert(path.to_owned(), value.to_owned());
    put("meta-data/ami-id", &instance.image_id);
    put("meta-data/ami-launch-index", &instance.launch_index.to_string());
    put("meta-data/hostname", &private_name);
    put("meta-data/instance-action", "none");
    put("meta-data/instance-id", &instance.id);
    put("meta-data/instance-life-cycle", life_cycle);
    put("meta-data/instance-type", &instance.instance_type);
    put("meta-data/local-hostname", &private_name);
    put("meta-data/local-ipv4", &private);
    put("meta-data/mac", &mac);
    put("meta-data/placement/availability-zone", &instance.zone);
    put("meta-data/placement/region", &context.config.region);
    put("meta-data/public-hostname", &public_name);
    put("meta-data/public-ipv4", &public);
    put("meta-data/reservation-id", &instance.reservation_id);
    put("meta-data/security-groups", &groups);
    put("meta-data/services/domain", "devcloud.internal");
    if let Some(key) = &instance.public_key {
        put("meta-data/public-keys/0/openssh-key", key);
    }
    if let Some(end) = told_end(context) {
        let action = serde_json::json!({"action": "terminate", "time": end});
        put("meta-data/spot/instance-action", &action.to_string());
        put("meta-data/spot/termination-time", &end);
    }
    put("dynamic/instance-identity/document", &document(context));
    let interface = format!("meta-data/network/interfaces/macs/{mac}");
    put(&format!("{interface}/device-number"), "0");
    put(&format!("{interface}/local-ipv4s"), &private);
    put(&format!("{interface}/mac"), &mac);
    put(&format!("{interface}/public-ipv4s"), &public);
    let absent = context.config.profile.absent_metadata;
    entries.retain(|path, _| !absent.iter().any(|absent| path.starts_with(absent)));
    entries
}

/// When the cloud takes the instance back, once it tells.
fn told_end(context: &Context<'_>) -> Option<String> {
    let interruption = context.instance.faults.interruption?;
    let is_told = (interruption.notice..interruption.end).contains(&context.now);
    is_told.then(|| to_the_second(interruption.end))
}

fn to_the_second(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    let time = time.replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

fn document(context: &Context<'_>) -> String {
    let instance = context.instance;
    let document = serde_json::json!({
        "accountId": context.state.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.zone,
        "billingProducts": null,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": null,
        "pendingTime": to_the_second(instance.launch_time),
        "privateIp": instance.private_address,
        "ramdiskId": null,
        "region": context.config.region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}
