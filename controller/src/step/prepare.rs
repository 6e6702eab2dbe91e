//! From a machine that boots to a builder that is ready: connect with the pinned host key, run the playbook,
//! prove it.

use std::time::Duration;

use model::BuilderState;
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
    if builder.state == BuilderState::Provisioning {
        let to = BuilderState::Checking;
        let Some(next) = play(parts, lease, &builder, &connection, (&vars, to)).await? else {
            return Ok(());
        };
        builder = next;
    }
    if builder.state == BuilderState::Checking {
        play(parts, lease, &builder, &connection, (&vars, BuilderState::Ready)).await?;
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

/// Runs the playbook of the builder's stage. `None` when it failed: the builder is on its way out then.
async fn play(
    parts: &Parts,
    lease: &Lease,
    builder: &Builder,
    connection: &Connection,
    (vars, next): (&Map<String, Value>, BuilderState),
) -> Result<Option<Builder>, Error> {
    let provision = parts
        .fleet
        .pools
        .get(&builder.pool)
        .and_then(|pool| parts.fleet.provision.get(&pool.provision))
        .ok_or_else(|| Error::Contradiction(format!("pool {} is no longer in fleet.yaml", builder.pool)))?;
    let deadlines = parts.deadlines(&builder.pool);
    let (playbook, limit) = if builder.state == BuilderState::Provisioning {
        (&provision.playbook, deadlines.provision)
    } else {
        (&provision.check, deadlines.check)
    };
    match parts
        .provisioner
        .run(connection, playbook, vars, Mode::Apply, limit)
        .await
    {
        Ok(report) => {
            info!(builder.id = %builder.id, "Playbook {playbook} on builder {}: {}", builder.id, summary(&report));
            let change = because(format!("{playbook}: {}", summary(&report)));
            advance(parts, lease, builder, next, change).await.map(Some)
        }
        Err(error) => {
            let words = chain(&error);
            warn!(builder.id = %builder.id, "Playbook {playbook} failed on builder {}: {words}", builder.id);
            let change = because(format!("{playbook}: {words}"));
            advance(parts, lease, builder, BuilderState::Terminating, change).await?;
            Ok(None)
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
    let pool = parts.fleet.pools.get(&builder.pool);
    let mut chroots = Vec::new();
    for chroot in parts.store.chroots().await? {
        if !chroot.is_active || !pool.is_some_and(|pool| pool.offers(&chroot.name)) {
            continue;
        }
        chroots.push(definition(&chroot, &parts.builder_url));
    }
    let key = parts.key.public_openssh().map_err(Error::Keys)?;
    let vars = json!({
        "fleet": parts.fleet.name, "pool": builder.pool, "builder": builder.id.to_string(),
        "ssh_keys": [key.trim()], "chroots": chroots,
    });
    let mut vars = match vars {
        Value::Object(vars) => vars,
        _ => Map::new(),
    };
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
