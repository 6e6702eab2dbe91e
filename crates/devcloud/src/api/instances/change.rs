//! Terminate, stop, start and reboot: all named instances or none.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{find_all, required_ids, view};
use crate::{
    api::{Service, actions::refuse_dry_run, error::ApiError, parameters::Parameters, xml::Xml},
    ledger::{Instance, InstanceState, StateReason},
};

/// What these actions know.
pub(in crate::api) const PARAMETERS: &[&str] = &[
    "InstanceId",
    "Force",
    "Hibernate",
    "SkipOsShutdown",
    "AdditionalInfo",
];

/// What one action does to one instance: `Ok(None)` leaves it as it is.
type Step = fn(&Instance) -> Result<Option<Change>, ApiError>;

/// How an instance is changed.
type Change = fn(&mut Instance);

pub(in crate::api) async fn terminate(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    change(service, parameters, |instance| {
        if instance.termination_protected {
            let message = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute \
                 and try again.",
                instance.id
            );
            return Err(ApiError::new("OperationNotPermitted", message));
        }
        Ok(match instance.state {
            InstanceState::Terminated | InstanceState::ShuttingDown => None,
            _ => Some(|instance| instance.enter(InstanceState::ShuttingDown, by_user())),
        })
    })
    .await
}

pub(in crate::api) async fn stop(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    change(service, parameters, |instance| match instance.state {
        _ if instance.spot => {
            let message = format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request.",
                instance.id
            );
            Err(ApiError::new("UnsupportedOperation", message))
        }
        InstanceState::Stopped | InstanceState::Stopping => Ok(None),
        InstanceState::Running => Ok(Some(|instance| instance.enter(InstanceState::Stopping, by_user()))),
        _ => Err(wrong_state(instance, "from which it can be stopped")),
    })
    .await
}

pub(in crate::api) async fn start(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    change(service, parameters, |instance| match instance.state {
        InstanceState::Running | InstanceState::Pending => Ok(None),
        InstanceState::Stopped => Ok(Some(|instance| {
            instance.launch_time = OffsetDateTime::now_utc();
            instance.enter(InstanceState::Pending, None);
        })),
        _ => Err(wrong_state(instance, "from which it can be started")),
    })
    .await
}

pub(in crate::api) async fn reboot(service: &Service, parameters: &Parameters) -> Result<Xml, ApiError> {
    change(service, parameters, |instance| match instance.state {
        InstanceState::Running => Ok(Some(|instance| instance.reboot_requested = true)),
        _ => Err(wrong_state(instance, "in which it can be rebooted")),
    })
    .await?;
    let mut xml = Xml::default();
    xml.put("return", true);
    Ok(xml)
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

async fn change(service: &Service, parameters: &Parameters, step: Step) -> Result<Xml, ApiError> {
    let ids = required_ids(parameters)?;
    let dry_run = refuse_dry_run(parameters);
    let changes = service
        .ledger
        .commit(move |state| {
            let found: Vec<Arc<Instance>> = find_all(state, &ids)?.into_iter().cloned().collect();
            let mut changes = Vec::new();
            for instance in found {
                let change = step(&instance)?;
                changes.push((instance.id.clone(), instance.state, change));
            }
            dry_run?;
            let mut done = Vec::new();
            for (id, before, change) in changes {
                if let Some(instance) = state.instance_mut(&id) {
                    if let Some(change) = change {
                        change(instance);
                    }
                    done.push((id, before, instance.state, change.is_some()));
                }
            }
            Ok::<_, ApiError>(done)
        })
        .await?;
    for (id, _, _, _) in changes.iter().filter(|(_, _, _, changed)| *changed) {
        service.life.settle_soon(id.clone());
    }
    let mut xml = Xml::default();
    xml.list("instancesSet", &changes, |xml, (id, before, now, _)| {
        xml.put("instanceId", id);
        view::instance_state(xml, "currentState", *now);
        view::instance_state(xml, "previousState", *before);
    });
    Ok(xml)
}
