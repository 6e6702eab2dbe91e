//! What faults put off: a public address that opens late, an instance that the cloud takes back. What is to come is in the
//! ledger, so that it comes after a new start of the cloud as well.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::Life;
use crate::{
    Error,
    ledger::{Instance, InstanceState, Interruption, StateReason},
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
        if let Some(interruption) = instance.faults.interruption {
            self.take_back_at(instance.id.clone(), interruption.end);
        }
    }

    /// Has the cloud take an instance back, as it does with those of the spot market, after a notice of so long.
    pub(crate) async fn take_back(self: &Arc<Self>, id: &str, notice: Duration) -> Result<(), MachineError> {
        let now = OffsetDateTime::now_utc();
        let interruption = Interruption {
            notice: now,
            end: now + notice,
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
        let life = Arc::clone(self);
        let left = Duration::try_from(end - OffsetDateTime::now_utc()).unwrap_or_default();
        self.tasks.spawn(async move {
            if !life.waits(left).await {
                return;
            }
            let up = &[InstanceState::Pending, InstanceState::Running];
            let reason = || {
                let code = "Server.SpotInstanceTermination";
                Some(StateReason::new(code, "Spot instance termination"))
            };
            match life.move_to(&id, up, InstanceState::ShuttingDown, reason).await {
                Ok(()) => life.reconcile(&id).await,
                Err(error) => tracing::error!(instance = id, %error, "A spot loss could not be recorded."),
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
