//! Terminate, stop, start and reboot: all named instances or none.

use std::sync::Arc;

use time::OffsetDateTime;

use devcloud_dialect::{
    ApiError, Xml,
    request::{RebootInstances, StartInstances, StopInstances, TerminateInstances},
};

use super::{find_all, required_ids, view};
use crate::{
    api::actions::{Call, Change},
    ledger::{Instance, InstanceState, StateReason},
};

/// How an instance is changed.
type Move = fn(&mut Instance);

impl Change for TerminateInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        let buries = call.service.config.profile.buries_twice_terminated;
        change(call, self.instance_id, move |instance| {
        if instance.termination_protected {
            let message = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute \
                 and try again.",
                instance.id
            );
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        Ok(match instance.state {
            InstanceState::Terminated if buries => Some(Instance::bury),
            InstanceState::Terminated | InstanceState::ShuttingDown => None,
            _ => Some(|instance| instance.enter(InstanceState::ShuttingDown, by_user())),
        })
    })
    .await
    }
}

impl Change for StopInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        if self.hibernate == Some(true) {
            let message = "No instance here was launched to be hibernated";
            return Err(ApiError::new("UnsupportedHibernationConfiguration", message));
        }
        // `Force` asks for what is done anyway: a machine that does not end politely is killed.
        change(call, self.instance_id, |instance| match instance.state {
        _ if instance.spot => {
            let message = format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request.",
                instance.id
            );
            Err(ApiError::new("UnsupportedOperation", message))
        }
        _ if instance.stop_protected => {
            let message = format!(
                "The instance '{}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
                instance.id
            );
            Err(ApiError::new("OperationNotPermitted", message))
        }
        InstanceState::Stopped | InstanceState::Stopping => Ok(None),
        InstanceState::Running => Ok(Some(|instance| instance.enter(InstanceState::Stopping, by_user()))),
        _ => Err(wrong_state(instance, "from which it can be stopped")),
    })
    .await
    }
}

impl Change for StartInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        change(call, self.instance_id, |instance| match instance.state {
            InstanceState::Running | InstanceState::Pending => Ok(None),
            InstanceState::Stopped => Ok(Some(|instance| {
                instance.launch_time = OffsetDateTime::now_utc();
                instance.enter(InstanceState::Pending, None);
            })),
            _ => Err(wrong_state(instance, "from which it can be started")),
        })
        .await
    }
}

impl Change for RebootInstances {
    async fn make(self, call: Call<'_>) -> Result<Xml, ApiError> {
        change(call, self.instance_id, |instance| match instance.state {
            InstanceState::Running => Ok(Some(|instance| instance.reboot_requested = true)),
            _ => Err(wrong_state(instance, "in which it can be rebooted")),
        })
        .await?;
        let mut xml = Xml::default();
        xml.put("return", true);
        Ok(xml)
    }
}

fn by_user() -> Option<StateReason> {
    Some(StateReason::new(
        "Client.UserInitiatedShutdown",
        "User initiated shutdown",
    ))
}

fn wrong_state(instance: &Instance, what: &str) -> ApiError {
    let message = format!("The instance '{}' is not in a state {what}.", instance.id);
    ApiError::new("IncorrectInstanceState", message)
}

/// Does to each instance what `step` says of it: `Ok(None)` leaves it as it is.
async fn change(
    call: Call<'_>,
    ids: Vec<String>,
    step: impl Fn(&Instance) -> Result<Option<Move>, ApiError> + Send + 'static,
) -> Result<Xml, ApiError> {
    let ids = required_ids(ids)?;
    let (service, dry_run) = (call.service, call.dry_run);
    let linger = call.work.linger(OffsetDateTime::now_utc());
    let changes = service
        .ledger
        .commit(move |state| {
            let found: Vec<Arc<Instance>> = find_all(state, &ids)?.into_iter().cloned().collect();
            let mut changes = Vec::new();
            for instance in found {
                let change = step(&instance)?;
                changes.push((instance.id.clone(), instance.state, change));
            }
            dry_run.end()?;
            let mut done = Vec::new();
            for (id, before, change) in changes {
                if let Some(instance) = state.instance_mut(&id) {
                    if let Some(change) = change {
                        change(instance);
                        if instance.state == InstanceState::ShuttingDown {
                            instance.faults.linger = linger;
                        }
                    }
                    done.push((id, before, instance.state, change.is_some()));
                }
            }
            Ok::<_, ApiError>(done)
        })
        .await?;
    for (id, _, _, _) in changes.iter().filter(|(_, _, _, changed)| *changed) {
        service.life.reconcile_soon(id.clone());
    }
    let mut xml = Xml::default();
    xml.list("instancesSet", &changes, |xml, (id, before, now, _)| {
        xml.put("instanceId", id);
        view::instance_state(xml, "currentState", *now);
        view::instance_state(xml, "previousState", *before);
    });
    Ok(xml)
}
