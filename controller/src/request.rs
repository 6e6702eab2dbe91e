//! What is asked of a cloud for a builder. It is a function of the builder's row and of the cloud's part of the fleet file, so
//! that a request whose answer was lost can be repeated word for word.

use cloud::LaunchRequest;
use model::{
    Offering,
    fleet::{CloudProfile, FleetSpec},
};
use sha2::{Digest as _, Sha256};
use shell::ClientKey;
use store::{Builder, LaunchAttempt};

use crate::Error;

/// The cloud-init text that gives an instance its host key and lets the farm in, as root: images that cloud-init would keep
/// root out of are told not to, since builds are started by root.
pub(crate) fn user_data(host_key: &ClientKey, key: &ClientKey) -> Result<String, Error> {
    let private = host_key.private_openssh().map_err(Error::Keys)?;
    let public = host_key.public_openssh().map_err(Error::Keys)?;
    let login = key.public_openssh().map_err(Error::Keys)?;
    let indented: String = private.lines().map(|line| format!("    {line}\n")).collect();
    Ok(format!(
        "#cloud-config\ndisable_root: false\nssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {}\nssh_authorized_keys:\n  - {}\n",
        public.trim(),
        login.trim()
    ))
}

/// The request for a builder's current launch.
pub(crate) fn launch_request(
    fleet: &FleetSpec,
    builder: &Builder,
    launch: &LaunchAttempt,
    key: &ClientKey,
) -> Result<LaunchRequest, Error> {
    if builder.host.is_some() {
        return Ok(of_host(fleet, builder, launch));
    }
    let secret = builder.host_key_secret.as_deref().ok_or_else(|| {
        Error::Contradiction(format!(
            "builder {} is being launched without a host key",
            builder.id
        ))
    })?;
    let host_key = ClientKey::parse(secret).map_err(Error::Keys)?;
    let cloud = fleet.clouds.get(&builder.cloud).ok_or_else(|| {
        Error::Contradiction(format!("there is no cloud `{}` in fleet.yaml", builder.cloud))
    })?;
    Ok(LaunchRequest {
        launch: launch.id,
        builder: builder.id,
        fleet: fleet.fleet,
        pool: builder.pool.clone(),
        image: builder.image.clone(),
        offering: launch.offering.clone(),
        security_groups: cloud.network.security_groups.clone(),
        user_data: user_data(&host_key, key)?,
        metadata_options: cloud.profile == CloudProfile::Aws,
    })
}

/// What is asked for a fixed host: it is there, and is given nothing.
fn of_host(fleet: &FleetSpec, builder: &Builder, launch: &LaunchAttempt) -> LaunchRequest {
    LaunchRequest {
        launch: launch.id,
        builder: builder.id,
        fleet: fleet.fleet,
        pool: builder.pool.clone(),
        image: builder.image.clone(),
        offering: launch.offering.clone(),
        security_groups: Vec::new(),
        user_data: String::new(),
        metadata_options: false,
    }
}

/// The digest of what a launch chose anew, kept beside its token for whoever looks into the books: what cost money was asked
/// for with this image, this offering and this host key.
pub(crate) fn parameters_hash(image: &str, offering: &Offering, public_host_key: &str) -> String {
    let mut digest = Sha256::new();
    for part in [image, &offering.to_string(), public_host_key] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests;
