//! From a machine that boots to a builder that is ready: connect with the pinned host key, run the playbook,
//! prove it.

use std::{pin::pin, sync::Arc, time::Duration};

use model::{
    BuilderState, PoolName,
    fleet::{FleetSpec, ProvisionSpec},
    step::Move,
};
use runtime::{Backoff, supervisor::error_chain};
use serde_json::{Map, Value, json};
use shell::{ClientKey, Endpoint, HostKey};
use store::{Builder, Chroot, Lease};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info, warn};

use super::{LAST_WORDS, Turn, advance, host, key, renewal, time_left};
use crate::{
    Context, Error, Machine,
    image::part_of,
    place::{next_key, open},
};

/// How long one try to connect may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// By how much the time of a builder that waits for its turn is made longer at once.
const WAIT: Duration = Duration::from_secs(20);
/// How long a look may take at whether an attempt runs on a machine.
const LOOK: Duration = Duration::from_secs(10);

/// Goes through all that is left of booting, provisioning and checking on one connection.
pub(super) async fn prepare(
    context: &Context,
    lease: &Lease,
    mut builder: Builder,
    turn: &Turn,
) -> Result<(), Error> {
    if builder.state == BuilderState::Booting && key::is_unknown(&builder) {
        builder = match key::find(context, lease, builder.clone(), turn).await? {
            Ok(with_key) => with_key,
            Err(words) => return give_up_aloud(context, lease, &builder, words).await,
        };
    }
    let (mut machine, shown) = match connect(context, lease, &builder).await? {
        Reached::Machine(machine, shown) => (machine, shown),
        Reached::Nobody(words) | Reached::Stranger(words) => {
            return give_up_aloud(context, lease, &builder, words).await;
        }
    };
    if builder.state == BuilderState::Booting && builder.host_key_is_given {
        let renewed = renewal::renew(context, lease, builder, (machine, &shown)).await?;
        builder = renewed.builder;
        machine = match renewed.machine {
            Ok(machine) => machine,
            Err(words) => return give_up_aloud(context, lease, &builder, words).await,
        };
    }
    // To be connected costs little; only so many are worked on at once.
    let _place;
    (builder, _place) = place(context, lease, builder, turn).await?;
    if builder.state == BuilderState::Booting {
        if let Some(words) = host::left_behind(context, lease, &builder, machine.as_ref()).await? {
            machine.close().await;
            return give_up(context, lease, &builder, words).await;
        }
        let step = Move::new(BuilderState::Provisioning, "SSH answers with its host key");
        builder = advance(context, lease, &builder, step).await?;
    }
    let vars = variables(context, &builder).await?;
    let provision = provision_of(context, &builder)?;
    let part = part_of(context, &builder, provision, (&vars, &turn.images)).await;
    let open = Open {
        context,
        lease,
        machine: machine.as_ref(),
        vars: &vars,
        part,
    };
    open.work(builder).await?;
    machine.close().await;
    Ok(())
}

/// Waits for a place among those that are worked on. The builder's own time stands still meanwhile: that others are before it is no
/// fault of its machine.
pub(crate) async fn place(
    context: &Context,
    lease: &Lease,
    mut builder: Builder,
    turn: &Turn,
) -> Result<(Builder, OwnedSemaphorePermit), Error> {
    if let Ok(place) = Arc::clone(&turn.playing).try_acquire_owned() {
        return Ok((builder, place));
    }
    let mut waiting = pin!(Arc::clone(&turn.playing).acquire_owned());
    let end = builder.deadline.ok_or_else(|| {
        let words = format!("builder {} is {} without a time limit", builder.id, builder.state);
        Error::Contradiction(words)
    })?;
    let left = end.since(context.clock.now()).max(LAST_WORDS);
    loop {
        let place = tokio::select! {
            biased;
            place = &mut waiting => Some(place),
            () = context.clock.sleep(left.min(WAIT) / 2) => None,
        };
        let until = context.clock.now().plus(left);
        builder = context.store.give_time(lease, &builder, until).await?;
        if let Some(place) = place {
            let place =
                place.map_err(|_| Error::Contradiction("no machine is worked on any more".to_owned()))?;
            return Ok((builder, place));
        }
    }
}

/// Who answered at a builder's address.
pub(super) enum Reached {
    /// A machine that is ours, and the key that it has shown.
    Machine(Box<dyn Machine>, HostKey),
    /// Nobody, in all its time; what happened instead.
    Nobody(String),
    /// A machine with another host key.
    Stranger(String),
}

/// Tries to connect until it works or the builder's time is over. A wrong host key is the end at once: the
/// machine at that address is not ours.
pub(super) async fn connect(context: &Context, lease: &Lease, builder: &Builder) -> Result<Reached, Error> {
    let contradiction = |what: &str| {
        Error::Contradiction(format!(
            "builder {} is {} without {what}",
            builder.id, builder.state
        ))
    };
    let address = builder
        .address
        .as_deref()
        .ok_or_else(|| contradiction("an address"))?;
    let pinned = builder.host_key.as_deref().map(HostKey::parse).transpose();
    let mut pinned = pinned.map_err(Error::Keys)?;
    let next = next_key(builder).map_err(Error::Keys)?;
    if pinned.is_none() && key::is_unknown(builder) {
        return Err(contradiction("a host key"));
    }
    let endpoint = Endpoint::new(address, builder.port, context.user_of(&builder.pool));
    let mut pauses = Backoff::new(Duration::from_millis(60), Duration::from_secs(2));
    let mut last = "it was not asked".to_owned();
    while let Some(left) = time_left(context, builder) {
        let limit = left.min(HANDSHAKE);
        let opened = match &pinned {
            Some(pinned) => open(context.reach.as_ref(), &endpoint, (next.as_ref(), pinned), limit).await,
            None => match context.reach.host_key(&endpoint, limit).await {
                Ok(key) => {
                    host::keep_key(context, lease, builder, &key).await?;
                    pinned = Some(key);
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        match opened {
            Ok((machine, shown)) => return Ok(Reached::Machine(machine, shown)),
            Err(error @ shell::Error::HostKeyMismatch { .. }) => {
                return Ok(Reached::Stranger(error.to_string()));
            }
            Err(error) => last = error_chain(&error),
        }
        debug!(builder.id = %builder.id, "No connection yet: {last}");
        let pause = pauses
            .pause()
            .min(time_left(context, builder).unwrap_or_default());
        context.clock.sleep(pause).await;
    }
    let seconds = context.clock.now().since(builder.entered_at).as_secs();
    Ok(Reached::Nobody(format!(
        "SSH did not answer within {seconds} s of {}: {last}",
        builder.state
    )))
}

/// A machine that is being made a builder.
struct Open<'a> {
    context: &'a Context,
    lease: &'a Lease,
    machine: &'a dyn Machine,
    vars: &'a Map<String, Value>,
    /// The part of the playbook that is played on it; `None`: all of it.
    part: Option<&'static str>,
}

impl Open<'_> {
    /// Provisions and checks, from where the builder is.
    async fn work(&self, mut builder: Builder) -> Result<(), Error> {
        // One that is being checked was left so by a controller that was interrupted, and may have booted anew since: what only
        // the memory of its kernel holds is gone then. Playing the playbook again brings it back and changes nothing else.
        if !self.provision(&builder).await? {
            return Ok(());
        }
        let provision = provision_of(self.context, &builder)?;
        if builder.state == BuilderState::Provisioning {
            let step = self.passed(&builder, provision, BuilderState::Checking);
            builder = advance(self.context, self.lease, &builder, step).await?;
        }
        let limit = self.context.deadlines(&builder.pool).check;
        if let Err(words) = self.run(&builder, (&provision.check, None), limit).await {
            return give_up(self.context, self.lease, &builder, words).await;
        }
        let mut step = self.passed(&builder, provision, BuilderState::Ready);
        if let Err(words) = self.prepare_for_more(&builder, &mut step).await? {
            return give_up(self.context, self.lease, &builder, words).await;
        }
        advance(self.context, self.lease, &builder, step).await?;
        Ok(())
    }

    /// Runs the playbook that makes a machine a builder; whether it went well. The builder is on its way out otherwise. A machine
    /// on which an attempt runs is left as it is: this controller was paused, and another has handed it out since. What this one
    /// says of the builder is refused then; where it is not, nobody knows of that attempt, and the pool has not failed by it.
    async fn provision(&self, builder: &Builder) -> Result<bool, Error> {
        if let Some(words) = self.machine.running(LOOK).await {
            let step = Move {
                is_excused: true,
                ..Move::new(
                    BuilderState::Terminating,
                    format!("it is not provisioned while a build runs there: {words}"),
                )
            };
            advance(self.context, self.lease, builder, step).await?;
            warn!(builder.id = %builder.id, "Builder {} is not provisioned: {words}", builder.id);
            return Ok(false);
        }
        let provision = provision_of(self.context, builder)?;
        let limit = self.context.deadlines(&builder.pool).provision;
        match self.run(builder, (&provision.playbook, self.part), limit).await {
            Ok(_) => Ok(true),
            Err(words) => give_up(self.context, self.lease, builder, words)
                .await
                .map(|()| false),
        }
    }

    /// The move of a builder for which the playbook of its stage has gone well.
    fn passed(&self, builder: &Builder, provision: &ProvisionSpec, next: BuilderState) -> Move {
        let age = self.context.clock.now().since(builder.created_at);
        Move::new(next, passed(provision, self.part.is_some(), next, age))
    }

    /// Looks at what a builder is like that may be used more than once, so that it can be compared after each use. The inner
    /// error: why a fixed host, which is always used more than once, cannot be used.
    async fn prepare_for_more(
        &self,
        builder: &Builder,
        step: &mut Move,
    ) -> Result<Result<(), String>, Error> {
        let now = self.context.clock.now();
        let pool = self.context.fleet.pools.get(&builder.pool);
        let until = pool.and_then(|pool| pool.reuse.until(builder.uses, now));
        if until.is_none() && builder.host.is_none() {
            return Ok(Ok(()));
        }
        let limit = self.context.deadlines(&builder.pool).check;
        let baseline = match (self.machine.baseline(limit).await, &builder.host) {
            (Ok(baseline), _) => baseline,
            (Err(words), Some(_)) => return Ok(Err(format!("what it is like cannot be told: {words}"))),
            // It is as good as any for one build.
            (Err(words), None) => {
                warn!(
                    builder.id = %builder.id,
                    "Builder {} will run one build: what it is like cannot be told: {words}", builder.id
                );
                return Ok(Ok(()));
            }
        };
        if let Some(name) = &builder.host {
            let kept = self
                .context
                .store
                .keep_host_baseline(self.lease, name, Some((builder.id, &baseline)));
            kept.await?;
        }
        (step.baseline, step.reusable_until) = (Some(baseline), until);
        Ok(Ok(()))
    }

    /// Runs one playbook; what came of it, in words for the log.
    async fn run(
        &self,
        builder: &Builder,
        (playbook, part): (&str, Option<&str>),
        limit: Duration,
    ) -> Result<String, String> {
        let provision = provision_of(self.context, builder).map_err(|error| error.to_string())?;
        let played = self
            .machine
            .play(provision, playbook, (self.vars, part), limit)
            .await;
        match &played {
            Ok(words) => info!(builder.id = %builder.id, "Played on builder {}: {words}", builder.id),
            Err(words) => warn!(builder.id = %builder.id, "Failed on builder {}: {words}", builder.id),
        }
        played
    }
}

/// What a builder is when the playbook of its stage has gone well.
fn passed(provision: &ProvisionSpec, is_in_image: bool, next: BuilderState, age: Duration) -> String {
    let whose = if is_in_image { "from an image " } else { "" };
    match next {
        BuilderState::Ready => format!(
            "{whose}made by {} and checked by {}, {} s after it was planned",
            provision.playbook,
            provision.check,
            age.as_secs()
        ),
        _ => format!("{whose}made by {}, not checked yet", provision.playbook),
    }
}

fn provision_of<'a>(context: &'a Context, builder: &Builder) -> Result<&'a ProvisionSpec, Error> {
    let pool = context.fleet.pools.get(&builder.pool);
    let provision = pool.and_then(|pool| context.fleet.provision.get(&pool.provision));
    provision.ok_or_else(|| Error::Contradiction(format!("pool {} is no longer in fleet.yaml", builder.pool)))
}

async fn give_up(context: &Context, lease: &Lease, builder: &Builder, words: String) -> Result<(), Error> {
    advance(
        context,
        lease,
        builder,
        Move::new(BuilderState::Terminating, words),
    )
    .await?;
    Ok(())
}

/// The same where nothing was told of it in the log yet.
async fn give_up_aloud(
    context: &Context,
    lease: &Lease,
    builder: &Builder,
    words: String,
) -> Result<(), Error> {
    give_up(context, lease, builder, words.clone()).await?;
    warn!(builder.id = %builder.id, "Builder {} is given up: {words}.", builder.id);
    Ok(())
}

async fn variables(context: &Context, builder: &Builder) -> Result<Map<String, Value>, Error> {
    let known = context.store.chroots().await?;
    let id = builder.id.to_string();
    let made = playbook_variables(
        &context.fleet,
        (&builder.pool, &id),
        &context.key,
        &context.builder_url,
        &known,
    );
    made.map_err(Error::Keys)
}

/// What the playbooks may use on a pool's machine: the farm's address and key, those of the chroots that the pool offers, and
/// what `fleet.yaml` adds. A machine that is no builder has an empty id.
///
/// # Errors
/// Where the key has no public half.
pub fn playbook_variables(
    fleet: &FleetSpec,
    (pool, builder): (&PoolName, &str),
    key: &ClientKey,
    builder_url: &str,
    chroots: &[Chroot],
) -> Result<Map<String, Value>, shell::Error> {
    let spec = fleet.pools.get(pool);
    let offered = chroots
        .iter()
        .filter(|chroot| spec.is_some_and(|spec| spec.offers(&chroot.name)));
    let chroots: Vec<Value> = offered.map(|chroot| definition(chroot, builder_url)).collect();
    let mut vars = Map::new();
    vars.insert("fleet".to_owned(), json!(fleet.name));
    vars.insert("pool".to_owned(), json!(pool));
    vars.insert("builder".to_owned(), json!(builder));
    vars.insert("ssh_keys".to_owned(), json!([key.public_openssh()?.trim()]));
    vars.insert("chroots".to_owned(), Value::Array(chroots));
    let provision = spec.and_then(|spec| fleet.provision.get(&spec.provision));
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
