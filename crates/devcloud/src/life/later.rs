//! What faults put off: a public address that opens late, an end that nobody asked for or one that does not come, a mishap,
//! tags that somebody edits. What is to come is in the ledger, so that it comes after a new start of the cloud as well.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::Life;
use crate::{
    Error,
    ledger::{Instance, InstanceState, Interruption, MishapKind, StateReason},
    machine::MachineState,
    machines::MachineError,
};

impl Life {
    /// Sees to what comes later to an instance that was just started.
    pub(super) fn later(self: &Arc<Self>, instance: &Instance) {
        let slow_boot = Duration::from_millis(instance.faults.slow_boot_milliseconds);
        if !slow_boot.is_zero() && !instance.without_ssh {
            let (life, id) = (Arc::clone(self), instance.id.clone());
            self.tasks.spawn(async move {
                if life.waits(slow_boot).await {
                    life.open(&id).await;
                }
            });
        }
        let faults = &instance.faults;
        if let Some(interruption) = faults.interruption.filter(|one| !one.spared) {
            self.take_back_at(instance.id.clone(), interruption.end);
        }
        if let Some(end) = faults.end.clone() {
            let reason = StateReason::new(&end.code, &end.message);
            self.end_at(instance.id.clone(), end.at, reason);
        }
        if let Some(mishap) = faults.mishap {
            let (life, id) = (Arc::clone(self), instance.id.clone());
            self.tasks.spawn(async move {
                if life.waits_until(mishap.at).await
                    && let Err(error) = life.befall(&id, mishap.kind).await
                {
                    tracing::error!(instance = id, %error, kind = ?mishap.kind, "A mishap did not come.");
                }
            });
        }
        if !faults.tag_edits.is_empty() {
            let (life, id) = (Arc::clone(self), instance.id.clone());
            self.tasks.spawn(async move { life.edit_tags(&id).await });
        }
    }

    /// Something befalls the machine of an instance.
    async fn befall(self: &Arc<Self>, id: &str, kind: MishapKind) -> Result<(), MachineError> {
        let (owned, name) = (id.to_owned(), format!("{kind:?}").to_lowercase());
        self.ledger
            .commit(move |state| {
                if let Some(instance) = state.instance_mut(&owned) {
                    instance.note("fault", name);
                }
                Ok::<_, Error>(())
            })
            .await?;
        match kind {
            MishapKind::Freeze => self.machines.set_frozen(id, true).await,
            MishapKind::Partition => self.machines.set_link(id, false).await,
            MishapKind::PowerCut => Ok(self.cut_power(id).await?),
        }
    }

    /// Edits the tags of an instance, each time when it comes to it.
    async fn edit_tags(self: &Arc<Self>, id: &str) {
        loop {
            let snapshot = self.ledger.snapshot();
            let Some(instance) = snapshot.instances.get(id) else {
                return;
            };
            let Some(next) = instance.faults.tag_edits.iter().map(|edit| edit.at).min() else {
                return;
            };
            if !self.waits_until(next).await {
                return;
            }
            let owned = id.to_owned();
            let edited = self.ledger.commit(move |state| {
                state.edit_tags(&owned, next);
                Ok::<_, Error>(())
            });
            if let Err(error) = edited.await {
                tracing::error!(instance = id, %error, "Tags could not be edited.");
                return;
            }
        }
    }

    /// Whether an instance that is to end does not end yet. Its end, or its return, is seen to.
    pub(super) fn lingers(self: &Arc<Self>, instance: &Instance) -> bool {
        let linger = instance.faults.linger;
        let Some(linger) = linger.filter(|_| instance.state == InstanceState::ShuttingDown) else {
            return false;
        };
        if linger.until <= OffsetDateTime::now_utc() && !linger.returns {
            return false;
        }
        let (life, id) = (Arc::clone(self), instance.id.clone());
        self.tasks.spawn(async move {
            if !life.waits_until(linger.until).await {
                return;
            }
            if linger.returns {
                life.bring_back(&id).await;
            } else {
                life.reconcile_soon(id);
            }
        });
        true
    }

    /// An instance that was to end runs again. After a new start of the cloud its machine has to be started for that.
    async fn bring_back(self: &Arc<Self>, id: &str) {
        let machines = self.machines.machines().await;
        let runs = machines.is_ok_and(|all| {
            all.iter()
                .any(|(other, state)| other == id && *state == MachineState::Running)
        });
        let to = if runs {
            InstanceState::Running
        } else {
            InstanceState::Pending
        };
        let owned = id.to_owned();
        let brought = self.ledger.commit(move |state| {
            if let Some(instance) = state.instance_mut(&owned)
                && instance.state == InstanceState::ShuttingDown
            {
                instance.faults.linger = None;
                instance.enter(to, None);
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = brought.await {
            tracing::error!(instance = id, %error, "An instance could not be brought back.");
        }
        self.reconcile_soon(id.to_owned());
    }

    /// Has the cloud take an instance back, as it does with those of the spot market, after a notice of so long.
    pub(crate) async fn take_back(self: &Arc<Self>, id: &str, notice: Duration) -> Result<(), MachineError> {
        let now = OffsetDateTime::now_utc();
        let interruption = Interruption {
            notice: now,
            end: now + notice,
            spared: false,
        };
        let owned = id.to_owned();
        self.ledger
            .commit(move |state| match state.instance_mut(&owned) {
                Some(instance) if is_up(instance) => {
                    instance.faults.interruption = Some(interruption);
                    instance.note("fault", "spot-loss");
                    Ok(())
                }
                Some(instance) => {
                    let state = instance.state.name();
                    Err(MachineError::from(format!("instance {owned} is {state}")))
                }
                None => Err(MachineError::from(format!("there is no instance {owned}"))),
            })
            .await?;
        self.take_back_at(id.to_owned(), interruption.end);
        Ok(())
    }

    fn take_back_at(self: &Arc<Self>, id: String, end: OffsetDateTime) {
        let code = "Server.SpotInstanceTermination";
        self.end_at(id, end, StateReason::new(code, "Spot instance termination"));
    }

    /// Ends an instance that is up then, for a reason that is not its client's.
    fn end_at(self: &Arc<Self>, id: String, end: OffsetDateTime, reason: StateReason) {
        let life = Arc::clone(self);
        self.tasks.spawn(async move {
            if !life.waits_until(end).await {
                return;
            }
            let up = &[InstanceState::Pending, InstanceState::Running];
            match life
                .move_to(&id, up, InstanceState::ShuttingDown, || Some(reason))
                .await
            {
                Ok(()) => life.reconcile(&id).await,
                Err(error) => tracing::error!(instance = id, %error, "An end could not be recorded."),
            }
        });
    }

    /// Opens the public address of an instance that still runs.
    async fn open(&self, id: &str) {
        let lock = self.lock_of(id);
        let _guard = lock.lock().await;
        let _step = self.steps.read().await;
        let snapshot = self.ledger.snapshot();
        let running = |one: &&Arc<Instance>| one.state == InstanceState::Running;
        let Some(instance) = snapshot.instances.get(id).filter(running) else {
            return;
        };
        if let Err(error) = self.publish(instance).await {
            let error: Error = error;
            tracing::error!(instance = id, %error, "A slow instance could not be reached in the end.");
        }
    }

    async fn waits_until(&self, moment: OffsetDateTime) -> bool {
        let left = Duration::try_from(moment - OffsetDateTime::now_utc()).unwrap_or_default();
        self.waits(left).await
    }

    /// Waits; whether the cloud is still there then.
    async fn waits(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.ending.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

fn is_up(instance: &Instance) -> bool {
    matches!(instance.state, InstanceState::Pending | InstanceState::Running)
}
