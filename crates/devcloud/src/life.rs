//! The life of instances: brings the machines to where the ledger says they should be.
//!
//! Handlers of the API only change the ledger and then call [`Life::reconcile_soon`]. Reconciling an instance takes its
//! lock, reads its state, does the one effect that the state asks for, writes what came of it, and looks again.
//! So a start after `kill -9`, a request, and an event of a machine all take the same path.

mod images;
mod later;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error, addresses, describe, hypervisor, instance_types,
    ledger::{Instance, InstanceState, Ledger, ShutdownBehavior, StateReason},
    machine::{MachineSpec, MachineState},
    machines::{MachineError, MachineFuture, Machines},
    proxy::{Line, Publisher},
};

/// How long any effect on a machine may take before it counts as failed.
const EFFECT_PATIENCE: Duration = Duration::from_secs(60);

/// Longest wait between two tries of an effect that has to succeed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Brings machines to where the ledger says they should be.
pub(crate) struct Life {
    ledger: Ledger,
    machines: Arc<dyn Machines>,
    publisher: Publisher,
    region: String,
    memory_percent: Option<u32>,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Each change of a machine holds it to read; it is held to write while there is no hypervisor.
    steps: RwLock<()>,
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl Life {
    pub(crate) fn new(
        ledger: Ledger,
        machines: Arc<dyn Machines>,
        config: &crate::CloudConfig,
        ending: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            publisher: Publisher::new(Arc::clone(&machines), config.ssh_port),
            machines,
            region: config.region.clone(),
            memory_percent: config.memory_percent,
            locks: Mutex::default(),
            steps: RwLock::default(),
            tasks: TaskTracker::new(),
            ending,
        })
    }

    /// Settles an instance in a task of its own.
    pub(crate) fn reconcile_soon(self: &Arc<Self>, id: String) {
        let life = Arc::clone(self);
        self.tasks.spawn(async move { life.reconcile(&id).await });
    }

    /// A machine ended by itself: what that means for its instance is the instance's shutdown behaviour.
    pub(crate) fn machine_ended(self: &Arc<Self>, id: String) {
        let life = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = life.power_off(&id).await {
                tracing::error!(instance = id, %error, "A power-off could not be recorded.");
            }
            life.reconcile(&id).await;
        });
    }

    /// Looks whether any machine of a running instance has ended.
    pub(crate) fn look_at_all(self: &Arc<Self>) {
        for instance in self.ledger.instances() {
            if instance.state == InstanceState::Running {
                self.machine_ended(instance.id.clone());
            }
        }
    }

    /// Waits for what is under way and closes the public addresses. Nothing is begun any more.
    pub(crate) async fn end(&self) {
        self.tasks.close();
        if tokio::time::timeout(EFFECT_PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("Some instances are still changing; the next start will go on with them.");
        }
        self.publisher.close().await;
    }

    /// Holds all reconciling for as long as the guard lives.
    pub(crate) async fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.steps.write().await
    }

    /// Closes every public address; instances that are started again open theirs.
    pub(crate) async fn close_addresses(&self) {
        self.publisher.close().await;
    }

    /// Cuts an instance off as a power cut does, and has it removed.
    pub(crate) async fn cut_power(self: &Arc<Self>, id: &str) -> Result<(), Error> {
        if let Err(error) = self.machines.set_link(id, false).await {
            tracing::warn!(instance = id, error = %error, "The link could not be cut before the power.");
        }
        self.publisher.silence(id);
        self.move_to(id, &[InstanceState::Running], InstanceState::ShuttingDown, || {
            Some(StateReason::new(
                "Server.InternalError",
                "The host of the instance lost its power",
            ))
        })
        .await?;
        self.reconcile_soon(id.to_owned());
        Ok(())
    }

    /// After a start: instances that ran are started from their disks, those without one are given up, and
    /// machines that the ledger does not list are removed.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), Error> {
        let failed = |action| move |source: MachineError| Error::Machines { action, source };
        let disks: BTreeMap<String, MachineState> = self
            .machines
            .machines()
            .await
            .map_err(failed("list the machines"))?
            .into_iter()
            .collect();
        let known = self.ledger.snapshot();
        for id in disks.keys() {
            let listed = known
                .instances
                .get(id)
                .is_some_and(|one| one.state != InstanceState::Terminated);
            if !listed {
                tracing::warn!(instance = id, "A machine is not in the ledger; it is removed.");
                self.machines
                    .terminate(id)
                    .await
                    .map_err(failed("remove a machine"))?;
            }
        }
        let changed: Vec<String> = self
            .ledger
            .commit(move |state| {
                let mut changed = Vec::new();
                let ids: Vec<String> = state.instances.keys().cloned().collect();
                for id in ids {
                    if let Some(instance) = state.instance_mut(&id)
                        && recover_one(instance, disks.contains_key(&id))
                    {
                        changed.push(id);
                    }
                }
                Ok::<_, Error>(changed)
            })
            .await?;
        for id in changed {
            self.reconcile_soon(id);
        }
        self.make_images_again();
        Ok(())
    }

    /// Removes what is kept of instances that nobody can describe any more.
    pub(crate) async fn forget(&self, retention: Duration) -> Result<(), Error> {
        let now = time::OffsetDateTime::now_utc();
        let forgotten: Vec<String> = self
            .ledger
            .snapshot()
            .instances
            .values()
            .filter(|instance| instance.is_forgotten(now, retention))
            .map(|instance| instance.id.clone())
            .collect();
        for id in &forgotten {
            if let Err(error) = self.machines.forget(id).await {
                tracing::warn!(instance = id, %error, "The console of a terminated instance stays for now.");
            }
            self.locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(id);
        }
        self.ledger
            .commit(move |state| {
                state.forget(now, retention);
                Ok::<_, Error>(())
            })
            .await?;
        self.forget_images().await
    }

    /// The lock of an instance: who holds it alone changes its machine.
    fn lock_of(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(id.to_owned()).or_default())
    }

    async fn reconcile(self: &Arc<Self>, id: &str) {
        let lock = self.lock_of(id);
        let _guard = lock.lock().await;
        let mut wait = Duration::from_millis(250);
        loop {
            let step = self.steps.read().await;
            if self.ending.is_cancelled() {
                return;
            }
            let snapshot = self.ledger.snapshot();
            let Some(instance) = snapshot.instances.get(id) else {
                return;
            };
            if self.lingers(instance) {
                return;
            }
            let reconciled = match instance.state {
                InstanceState::Pending => self.bring_up(instance).await,
                InstanceState::Running if instance.reboot_requested => self.reboot(instance).await,
                InstanceState::Stopping => self.stop(instance).await,
                InstanceState::ShuttingDown => self.remove(instance).await,
                InstanceState::Running | InstanceState::Stopped | InstanceState::Terminated => return,
            };
            drop(step);
            if let Err(error) = reconciled {
                tracing::warn!(instance = id, %error, state = instance.state.name(), "Trying again soon.");
                tokio::select! {
                    () = self.ending.cancelled() => return,
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                }
            }
        }
    }

    async fn bring_up(self: &Arc<Self>, instance: &Instance) -> Result<(), Error> {
        let id = instance.id.as_str();
        let started = if instance.has_disk {
            patiently("start the machine", self.machines.start_again(id)).await
        } else {
            patiently("run the machine", self.machines.run(&self.spec(instance))).await
        };
        let started = match started {
            Ok(()) if !instance.without_ssh && instance.faults.slow_boot_milliseconds == 0 => {
                self.publish(instance).await
            }
            other => other,
        };
        if let Err(error) = started {
            if is_gone(&error) {
                // Not the instance's fault: it is tried again when there is a new hypervisor.
                return Err(error);
            }
            tracing::error!(instance = id, error = %describe(&error), "The instance could not be started.");
            let sentence = format!("The instance could not be started: {}", describe(&error));
            return self
                .move_to(
                    id,
                    &[InstanceState::Pending],
                    InstanceState::ShuttingDown,
                    move || Some(StateReason::new("Server.InternalError", &sentence)),
                )
                .await;
        }
        let owned = id.to_owned();
        self.ledger
            .commit(move |state| {
                if let Some(instance) = state.instance_mut(&owned) {
                    instance.has_disk = true;
                    if instance.state == InstanceState::Pending {
                        instance.enter(InstanceState::Running, None);
                    }
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.later(instance);
        Ok(())
    }

    async fn publish(&self, instance: &Instance) -> Result<(), Error> {
        let addresses = (instance.private_address, instance.public_address);
        let line = Line {
            stall_after_bytes: instance.faults.stall_after_bytes,
            bytes_per_second: instance.faults.bytes_per_second,
        };
        self.publisher.publish(&instance.id, addresses, line).await
    }

    async fn reboot(&self, instance: &Instance) -> Result<(), Error> {
        let id = instance.id.clone();
        let outcome = match patiently("reboot the machine", self.machines.reboot(&id)).await {
            Ok(()) => String::new(),
            Err(error) => {
                tracing::error!(instance = id, error = %describe(&error), "The instance did not reboot.");
                describe(&error)
            }
        };
        self.ledger
            .commit(move |state| {
                if let Some(instance) = state.instance_mut(&id) {
                    instance.reboot_requested = false;
                    instance.note("reboot", outcome);
                }
                Ok(())
            })
            .await
    }

    async fn stop(&self, instance: &Instance) -> Result<(), Error> {
        self.publisher.withdraw(&instance.id).await;
        patiently("stop the machine", self.machines.stop(&instance.id)).await?;
        self.finish(&instance.id, InstanceState::Stopping, InstanceState::Stopped)
            .await
    }

    async fn remove(&self, instance: &Instance) -> Result<(), Error> {
        self.publisher.withdraw(&instance.id).await;
        patiently("remove the machine", self.machines.terminate(&instance.id)).await?;
        self.finish(
            &instance.id,
            InstanceState::ShuttingDown,
            InstanceState::Terminated,
        )
        .await
    }

    /// Ends a transition and keeps the reason that began it.
    async fn finish(&self, id: &str, from: InstanceState, to: InstanceState) -> Result<(), Error> {
        let id = id.to_owned();
        self.ledger
            .commit(move |state| {
                if let Some(instance) = state.instance_mut(&id)
                    && instance.state == from
                {
                    let reason = instance.state_reason.take();
                    instance.enter(to, reason);
                    let left = (to == InstanceState::Terminated && instance.keeps_volume)
                        .then(|| instance.root_volume_id.clone());
                    if let Some(volume) = left {
                        state.left_volumes.insert(volume, id);
                    }
                }
                Ok(())
            })
            .await
    }

    async fn move_to(
        &self,
        id: &str,
        from: &'static [InstanceState],
        to: InstanceState,
        reason: impl FnOnce() -> Option<StateReason> + Send + 'static,
    ) -> Result<(), Error> {
        let id = id.to_owned();
        self.ledger
            .commit(move |state| {
                if let Some(instance) = state.instance_mut(&id)
                    && from.contains(&instance.state)
                {
                    instance.enter(to, reason());
                }
                Ok(())
            })
            .await
    }

    async fn power_off(&self, id: &str) -> Result<(), Error> {
        let machines = self.machines.machines().await;
        let machines = machines.map_err(|source| Error::Machines {
            action: "list the machines",
            source,
        })?;
        // The event may be older than a start that came after it.
        if machines
            .iter()
            .any(|(other, state)| other == id && *state == MachineState::Running)
        {
            return Ok(());
        }
        let Some(instance) = self.ledger.snapshot().instances.get(id).cloned() else {
            return Ok(());
        };
        let to = match instance.shutdown_behavior {
            ShutdownBehavior::Stop => InstanceState::Stopping,
            ShutdownBehavior::Terminate => InstanceState::ShuttingDown,
        };
        self.move_to(id, &[InstanceState::Running], to, || {
            let code = "Client.InstanceInitiatedShutdown";
            Some(StateReason::new(code, "Instance initiated shutdown"))
        })
        .await
    }

    fn spec(&self, instance: &Instance) -> MachineSpec {
        MachineSpec {
            instance_id: instance.id.clone(),
            private_address: instance.private_address,
            layers: instance.layers.clone(),
            host_name: addresses::host_name(instance.private_address),
            memory_bytes: self.memory_percent.and_then(|percent| {
                let mebibytes = instance_types::find(&instance.instance_type)?.memory_mebibytes;
                Some(u64::from(mebibytes) * 1024 * 1024 * u64::from(percent) / 100)
            }),
            other_host_key: instance.faults.other_host_key,
            host_key_changes: instance.faults.host_key_changes,
        }
    }

    /// The region, for names of hosts.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }
}

/// What a start means for one instance; whether it has to be reconciled.
fn recover_one(instance: &mut Instance, disk: bool) -> bool {
    let lost = || {
        Some(StateReason::new(
            "Server.InternalError",
            "The disk of the instance was lost",
        ))
    };
    match instance.state {
        InstanceState::Terminated => return false,
        // Promised, and not made yet.
        InstanceState::Pending if !instance.has_disk && !disk => {}
        InstanceState::ShuttingDown => {}
        InstanceState::Stopped if disk => return false,
        InstanceState::Stopping if disk => {}
        InstanceState::Pending | InstanceState::Running if disk => {
            instance.has_disk = true;
            instance.note("recovered", "The cloud was started again");
            instance.enter(InstanceState::Pending, None);
        }
        InstanceState::Pending
        | InstanceState::Running
        | InstanceState::Stopping
        | InstanceState::Stopped => {
            instance.enter(InstanceState::ShuttingDown, lost());
        }
    }
    true
}

/// Whether an effect failed because there is no hypervisor any more.
fn is_gone(error: &Error) -> bool {
    match error {
        Error::Machines { source, .. } => {
            matches!(source.downcast_ref(), Some(hypervisor::Error::Gone))
        }
        _ => false,
    }
}

async fn patiently(action: &'static str, effect: MachineFuture<'_, ()>) -> Result<(), Error> {
    match tokio::time::timeout(EFFECT_PATIENCE, effect).await {
        Ok(outcome) => outcome.map_err(|source| Error::Machines { action, source }),
        Err(elapsed) => Err(Error::Machines {
            action,
            source: elapsed.into(),
        }),
    }
}

#[cfg(test)]
mod tests;
