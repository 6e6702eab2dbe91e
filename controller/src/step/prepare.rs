//! From a machine that boots to a builder that is ready: connect with the pinned host key, run the playbook,
//! prove it.

use std::time::Duration;

use model::{BuilderState, fleet::ProvisionSpec};
use provisioner::{Mode, Report};
use runtime::{Backoff, clock, supervisor::chain};
use serde_json::{Map, Value, json};
use shell::{Connection, Endpoint, HostKey, HostKeyPolicy, Timeouts};
use store::{Builder, Chroot, Lease};
use tracing::{debug, info, warn};

use super::{advance, because};
use crate::{Error, Parts};

/// Goes through all that is left of booting, provisioning and checking on one connection.
pub(super) async fn prepare(parts: &Parts, lease: &Lease, mut builder: Builder) -> Result<(), Error> {
    let connection = match connect(parts, &builder).await? {
        Reached::Connection(connection) => connection,
        // The deadline speaks: the next plan moves the builder on.
        Reached::Nobody => return Ok(()),
        Reached::Stranger(words) => {
            warn!(builder.id = %builder.id, "{words}");
            let (to, change) = (BuilderState::Terminating, because(words));
            return advance(parts, lease, &builder, to, change).await.map(drop);
        }
    };
    if builder.state == BuilderState::Booting {
        builder = advance(
            parts,
            lease,
            &builder,
            BuilderState::Provisioning,
            because("SSH answers with its host key"),
        )
        .await?;
    }
    let vars = variables(parts, &builder).await?;
    let was_checking = builder.state == BuilderState::Checking;
    if builder.state == BuilderState::Provisioning {
        let to = BuilderState::Checking;
        let Some(next) = play(parts, lease, &builder, &connection, (&vars, to)).await? else {
            return Ok(());
        };
        builder = next;
    }
    if builder.state == BuilderState::Checking {
        // Left there by a controller that was interrupted, it may have booted anew since: what only the memory of its
        // kernel holds is gone then. Playing the playbook again brings it back and changes nothing else.
        let is_new = !was_checking || again(parts, lease, &builder, &connection, &vars).await?;
        if is_new {
            play(parts, lease, &builder, &connection, (&vars, BuilderState::Ready)).await?;
        }
    }
    connection.close().await;
    Ok(())
}

/// Who answered at a builder's address.
enum Reached {
    Connection(Box<Connection>),
    /// Nobody, in all its time.
    Nobody,
    /// A machine with another host key.
    Stranger(String),
}

/// Tries to connect until it works or the builder's time is over. A wrong host key is the end at once: the
/// machine at that address is not ours.
async fn connect(parts: &Parts, builder: &Builder) -> Result<Reached, Error> {
    let contradiction =
        |what: &str| Error::Contradiction(format!("builder {} boots without {what}", builder.id));
    let address = builder
        .address
        .as_deref()
        .ok_or_else(|| contradiction("an address"))?;
    let pinned = builder
        .host_key
        .as_deref()
        .ok_or_else(|| contradiction("a host key"))?;
    let user = parts
        .fleet
        .pools
        .get(&builder.pool)
        .and_then(|pool| parts.fleet.provision.get(&pool.provision))
        .map_or("root", |provision| provision.connect.user.as_str());
    let endpoint = Endpoint::new(address, builder.port, user);
    let policy = HostKeyPolicy::Pinned(HostKey::parse(pinned).map_err(Error::Keys)?);
    let timeouts = Timeouts {
        handshake: Duration::from_secs(10),
        ..Timeouts::default()
    };
    let mut pauses = Backoff::new(Duration::from_millis(60), Duration::from_secs(2));
    while builder.deadline.is_none_or(|deadline| clock::now() < deadline) {
        match Connection::open(&endpoint, &parts.key, &policy, timeouts).await {
            Ok(connection) => return Ok(Reached::Connection(Box::new(connection))),
            Err(error @ shell::Error::HostKeyMismatch { .. }) => {
                return Ok(Reached::Stranger(error.to_string()));
            }
            Err(error) => debug!(builder.id = %builder.id, "No connection yet: {}", chain(&error)),
        }
        tokio::time::sleep(pauses.pause()).await;
    }
    Ok(Reached::Nobody)
}

/// Runs the playbook of the builder's stage and moves the builder on. `None` when it failed: the builder is on its way
/// out then.
async fn play(
    parts: &Parts,
    lease: &Lease,
    builder: &Builder,
    connection: &Connection,
    (vars, next): (&Map<String, Value>, BuilderState),
) -> Result<Option<Builder>, Error> {
    let provision = provision_of(parts, builder)?;
    let deadlines = parts.deadlines(&builder.pool);
    let playbook = if builder.state == BuilderState::Provisioning {
        (&provision.playbook, deadlines.provision)
    } else {
        (&provision.check, deadlines.check)
    };
    match run(parts, builder, connection, vars, playbook).await {
        Ok(words) => advance(parts, lease, builder, next, because(words))
            .await
            .map(Some),
        Err(words) => give_up(parts, lease, builder, words).await.map(|()| None),
    }
}

/// Runs the provisioning playbook once more; whether it went well. The builder is on its way out otherwise.
async fn again(
    parts: &Parts,
    lease: &Lease,
    builder: &Builder,
    connection: &Connection,
    vars: &Map<String, Value>,
) -> Result<bool, Error> {
    let provision = provision_of(parts, builder)?;
    let limit = parts.deadlines(&builder.pool).provision;
    match run(parts, builder, connection, vars, (&provision.playbook, limit)).await {
        Ok(_) => Ok(true),
        Err(words) => give_up(parts, lease, builder, words).await.map(|()| false),
    }
}

fn provision_of<'a>(parts: &'a Parts, builder: &Builder) -> Result<&'a ProvisionSpec, Error> {
    let pool = parts.fleet.pools.get(&builder.pool);
    let provision = pool.and_then(|pool| parts.fleet.provision.get(&pool.provision));
    provision.ok_or_else(|| Error::Contradiction(format!("pool {} is no longer in fleet.yaml", builder.pool)))
}

async fn give_up(parts: &Parts, lease: &Lease, builder: &Builder, words: String) -> Result<(), Error> {
    let to = BuilderState::Terminating;
    advance(parts, lease, builder, to, because(words)).await.map(drop)
}

/// Runs one playbook; what came of it, in words.
async fn run(
    parts: &Parts,
    builder: &Builder,
    connection: &Connection,
    vars: &Map<String, Value>,
    (playbook, limit): (&String, Duration),
) -> Result<String, String> {
    let played = parts
        .provisioner
        .run(connection, playbook, vars, Mode::Apply, limit)
        .await;
    match played {
        Ok(report) => {
            let words = format!("{playbook}: {}", summary(&report));
            info!(builder.id = %builder.id, "Played on builder {}: {words}", builder.id);
            Ok(words)
        }
        Err(error) => {
            let words = format!("{playbook}: {}", chain(&error));
            warn!(builder.id = %builder.id, "Failed on builder {}: {words}", builder.id);
            Err(words)
        }
    }
}

fn summary(report: &Report) -> String {
    format!(
        "{} tasks, {} changed something, in {} ms",
        report.tasks.len(),
        report.changed(),
        report.duration.as_millis()
    )
}

/// What the playbooks may use: the farm's address and key, the chroots that the pool offers, and what
/// `fleet.yaml` adds.
async fn variables(parts: &Parts, builder: &Builder) -> Result<Map<String, Value>, Error> {
    let known = parts.store.chroots().await?;
    let chroots: Vec<Value> = parts
        .chroots_of(&builder.pool, &known)
        .map(|chroot| definition(chroot, &parts.builder_url))
        .collect();
    let key = parts.key.public_openssh().map_err(Error::Keys)?;
    let vars = json!({
        "fleet": parts.fleet.name, "pool": builder.pool, "builder": builder.id.to_string(),
        "ssh_keys": [key.trim()], "chroots": chroots,
    });
    let mut vars = match vars {
        Value::Object(vars) => vars,
        _ => Map::new(),
    };
    let pool = parts.fleet.pools.get(&builder.pool);
    let provision = pool.and_then(|pool| parts.fleet.provision.get(&pool.provision));
    for (name, value) in provision.iter().flat_map(|provision| &provision.vars) {
        vars.insert(name.clone(), value.clone());
    }
    Ok(vars)
}

/// A chroot in the words of `provision-files/builder/README.md`. Packages are verified where there is a key.
fn definition(chroot: &Chroot, farm: &str) -> Value {
    let (os, release, arch) = chroot.name.parts();
    let repositories = chroot.definition.repositories.iter().map(|repository| {
        json!({
            "id": repository.id,
            "name": repository.id,
            "baseurl": repository.baseurl.replace("{farm}", farm),
            "gpgcheck": repository.gpgkey.is_some(),
            "gpgkey": repository.gpgkey.as_ref().map(|key| key.replace("{farm}", farm)),
        })
    });
    json!({
        "name": chroot.name, "os": os, "release": release, "arch": arch,
        "base": repositories.collect::<Vec<Value>>(),
        "buildroot_packages": chroot.definition.buildroot_packages, "macros": chroot.definition.macros,
    })
}

#[cfg(test)]
mod tests;
