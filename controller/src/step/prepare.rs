//! From a machine that boots to a builder that is ready: connect with the pinned host key, run the playbook,
//! prove it.

use std::time::Duration;

use model::{BuilderState, fleet::ProvisionSpec};
use runtime::{Backoff, supervisor::chain};
use serde_json::{Map, Value, json};
use shell::{Endpoint, HostKey};
use store::{Builder, Chroot, Lease};
use tracing::{debug, info, warn};

use super::{Turn, advance, because};
use crate::{Error, Machine, Parts};

/// How much of the time that a machine has to boot is kept for saying why it did not: once it is over, the next plan moves
/// the builder on, and it does not know.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long one try to connect may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Goes through all that is left of booting, provisioning and checking on one connection.
pub(super) async fn prepare(
    parts: &Parts,
    lease: &Lease,
    mut builder: Builder,
    turn: &Turn,
) -> Result<(), Error> {
    let machine = match connect(parts, &builder).await? {
        Reached::Machine(machine) => machine,
        Reached::Nobody(words) | Reached::Stranger(words) => {
            warn!(builder.id = %builder.id, "Builder {} is given up: {words}.", builder.id);
            return give_up(parts, lease, &builder, words).await;
        }
    };
    // To be connected costs little; only so many are worked on at once.
    let _place = turn.playing.acquire().await.ok();
    if builder.state == BuilderState::Booting {
        let change = because("SSH answers with its host key");
        builder = advance(parts, lease, &builder, BuilderState::Provisioning, change).await?;
    }
    let vars = variables(parts, &builder).await?;
    let open = Open {
        parts,
        lease,
        machine: machine.as_ref(),
        vars: &vars,
    };
    open.work(builder).await?;
    machine.close().await;
    Ok(())
}

/// Who answered at a builder's address.
enum Reached {
    Machine(Box<dyn Machine>),
    /// Nobody, in all its time; what happened instead.
    Nobody(String),
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
    let pinned = HostKey::parse(pinned).map_err(Error::Keys)?;
    let mut pauses = Backoff::new(Duration::from_millis(60), Duration::from_secs(2));
    let mut last = "it was not asked".to_owned();
    while let Some(left) = time_left(parts, builder) {
        match parts.reach.open(&endpoint, &pinned, left.min(HANDSHAKE)).await {
            Ok(machine) => return Ok(Reached::Machine(machine)),
            Err(error @ shell::Error::HostKeyMismatch { .. }) => {
                return Ok(Reached::Stranger(error.to_string()));
            }
            Err(error) => last = chain(&error),
        }
        debug!(builder.id = %builder.id, "No connection yet: {last}");
        let pause = pauses.pause().min(time_left(parts, builder).unwrap_or_default());
        parts.clock.sleep(pause).await;
    }
    let seconds = parts.clock.now().since(builder.entered_at).as_secs();
    Ok(Reached::Nobody(format!(
        "SSH did not answer within {seconds} s of {}: {last}",
        builder.state
    )))
}

/// How long a connection may still be tried; `None` when its time is over.
fn time_left(parts: &Parts, builder: &Builder) -> Option<Duration> {
    let Some(deadline) = builder.deadline else {
        return Some(HANDSHAKE);
    };
    let whole = deadline.since(builder.entered_at);
    let end = deadline.minus(LAST_WORDS.min(whole / 4));
    Some(end.since(parts.clock.now())).filter(|left| !left.is_zero())
}

/// A machine that is being made a builder.
struct Open<'a> {
    parts: &'a Parts,
    lease: &'a Lease,
    machine: &'a dyn Machine,
    vars: &'a Map<String, Value>,
}

impl Open<'_> {
    /// Provisions and checks, from where the builder is.
    async fn work(&self, mut builder: Builder) -> Result<(), Error> {
        // Left in that state by a controller that was interrupted, it may have booted anew since: what only the memory of
        // its kernel holds is gone then. Playing the playbook again brings it back and changes nothing else.
        if builder.state == BuilderState::Checking && !self.provision_again(&builder).await? {
            return Ok(());
        }
        if builder.state == BuilderState::Provisioning {
            let Some(next) = self.play(&builder, BuilderState::Checking).await? else {
                return Ok(());
            };
            builder = next;
        }
        if builder.state == BuilderState::Checking {
            self.play(&builder, BuilderState::Ready).await?;
        }
        Ok(())
    }

    /// Runs the playbook of the builder's stage and moves the builder on. `None` when it failed: the builder is on its way
    /// out then.
    async fn play(&self, builder: &Builder, next: BuilderState) -> Result<Option<Builder>, Error> {
        let provision = provision_of(self.parts, builder)?;
        let deadlines = self.parts.deadlines(&builder.pool);
        let (playbook, limit) = if builder.state == BuilderState::Provisioning {
            (&provision.playbook, deadlines.provision)
        } else {
            (&provision.check, deadlines.check)
        };
        match self.run(builder, playbook, limit).await {
            Ok(words) => advance(self.parts, self.lease, builder, next, because(words))
                .await
                .map(Some),
            Err(words) => give_up(self.parts, self.lease, builder, words)
                .await
                .map(|()| None),
        }
    }

    /// Runs the provisioning playbook once more; whether it went well. The builder is on its way out otherwise.
    async fn provision_again(&self, builder: &Builder) -> Result<bool, Error> {
        let provision = provision_of(self.parts, builder)?;
        let limit = self.parts.deadlines(&builder.pool).provision;
        match self.run(builder, &provision.playbook, limit).await {
            Ok(_) => Ok(true),
            Err(words) => give_up(self.parts, self.lease, builder, words)
                .await
                .map(|()| false),
        }
    }

    /// Runs one playbook; what came of it, in words.
    async fn run(&self, builder: &Builder, playbook: &str, limit: Duration) -> Result<String, String> {
        let played = self.machine.play(playbook, self.vars, limit).await;
        match &played {
            Ok(words) => info!(builder.id = %builder.id, "Played on builder {}: {words}", builder.id),
            Err(words) => warn!(builder.id = %builder.id, "Failed on builder {}: {words}", builder.id),
        }
        played
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
