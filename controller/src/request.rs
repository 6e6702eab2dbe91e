//! What is asked of a cloud for a builder. It is a function of the builder's row, of its image and of the parts of its cloud and its pool in
//! the fleet file, so that a request whose answer was lost can be repeated word for word.

use std::time::Duration;

use cloud::{LaunchRequest, Volume};
use model::{
    Offering,
    builder::Deadlines,
    fleet::{CloudProfile, FleetSpec},
};
use sha2::{Digest as _, Sha256};
use shell::ClientKey;
use store::{Builder, LaunchAttempt};

use crate::Error;

/// The cloud-init text that gives an instance its host key, where it does not make one itself, and lets the farm in, as root:
/// images that cloud-init would keep root out of are told not to, since builds are started by root.
pub(crate) fn user_data(host_key: Option<&ClientKey>, key: &ClientKey) -> Result<String, Error> {
    let login = key.public_openssh().map_err(Error::Keys)?;
    let given = host_key.map(ssh_keys).transpose()?.unwrap_or_default();
    Ok(format!(
        "#cloud-config\ndisable_root: false\n{given}ssh_authorized_keys:\n  - {}\n",
        login.trim()
    ))
}

/// The part of it with a host key.
fn ssh_keys(host_key: &ClientKey) -> Result<String, Error> {
    let private = host_key.private_openssh().map_err(Error::Keys)?;
    let public = host_key.public_openssh().map_err(Error::Keys)?;
    let indented: String = private.lines().map(|line| format!("    {line}\n")).collect();
    Ok(format!(
        "ssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {}\n",
        public.trim()
    ))
}

/// The host key that a builder's machine is given; `None` where it makes one itself. Its row says so, and not the fleet file,
/// which may be another by now.
fn given_host_key(builder: &Builder) -> Result<Option<ClientKey>, Error> {
    match (&builder.host_key_secret, &builder.host_key) {
        (Some(secret), _) => ClientKey::parse(secret).map(Some).map_err(Error::Keys),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::Contradiction(format!(
            "builder {} is being launched without the secret half of its host key",
            builder.id
        ))),
    }
}

/// The request for a builder's current launch, with what is said of its volumes.
pub(crate) fn launch_request(
    fleet: &FleetSpec,
    builder: &Builder,
    launch: &LaunchAttempt,
    (key, volumes): (&ClientKey, Vec<Volume>),
) -> Result<LaunchRequest, Error> {
    if builder.host.is_some() {
        return Ok(of_host(fleet, builder, launch));
    }
    let host_key = given_host_key(builder)?;
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
        volumes,
        security_groups: cloud.network.security_groups.clone(),
        user_data: user_data(host_key.as_ref(), key)?,
        metadata_options: cloud.profile == CloudProfile::Aws,
        limit: limit(fleet, builder),
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
        volumes: Vec::new(),
        security_groups: Vec::new(),
        user_data: String::new(),
        metadata_options: false,
        limit: limit(fleet, builder),
    }
}

/// How long the answer to a launch is waited for: after that it is not known whether there is a machine.
fn limit(fleet: &FleetSpec, builder: &Builder) -> Duration {
    let provision = fleet.pools.get(&builder.pool).map(|pool| &pool.provision);
    let provision = provision.and_then(|name| fleet.provision.get(name));
    provision
        .map_or(Deadlines::USUAL, |it| it.timeouts.deadlines())
        .launch
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
