//! The control endpoint of tests: `GET /_devcloud/ledger` shows the truth, `POST /_devcloud/fault` makes one fault,
//! `PUT /_devcloud/faults` plans what becomes of calls. All want the secret key as a bearer token.

use std::time::Duration;

use poem::{
    Request, Response,
    http::{Method, StatusCode, header::AUTHORIZATION},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{actions, service::Service};
use crate::{
    describe,
    faults::{Fault, FaultPlan, read},
    machines::MachineError,
};

/// Answers a request to `/_devcloud/{path}`.
pub(super) async fn answer(service: &Service, request: &Request, path: &str, body: &[u8]) -> Response {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    // Digests are compared, so that the time taken says nothing about the key.
    let good = token.is_some_and(|token| {
        Sha256::digest(token.as_bytes()) == Sha256::digest(service.config.secret_key.as_bytes())
    });
    if !good {
        return refuse(StatusCode::UNAUTHORIZED, "the bearer token is not the secret key");
    }
    match (request.method(), path) {
        (&Method::GET, "ledger") => match serde_json::to_value(&*service.ledger.snapshot()) {
            Ok(state) => answer_json(StatusCode::OK, &state),
            Err(error) => {
                tracing::error!(%error, "The ledger could not be shown.");
                refuse(StatusCode::INTERNAL_SERVER_ERROR, "the ledger could not be shown")
            }
        },
        (&Method::POST, "fault") => match fault(service, body) {
            Ok(fault) => match make(service, fault).await {
                Ok(()) => answer_json(StatusCode::OK, &json!({ "done": true })),
                Err(error) => refuse(StatusCode::CONFLICT, &describe(&*error)),
            },
            Err(reason) => refuse(
                StatusCode::BAD_REQUEST,
                &format!("the fault is not understood: {reason}"),
            ),
        },
        (&Method::PUT, "faults") => match plan(service, body) {
            Ok(()) => answer_json(StatusCode::OK, &json!({ "done": true })),
            Err(reason) => refuse(
                StatusCode::BAD_REQUEST,
                &format!("the plan of faults is not understood: {reason}"),
            ),
        },
        (_, "ledger" | "fault" | "faults") => refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "GET ledger, POST fault, PUT faults",
        ),
        _ => refuse(
            StatusCode::NOT_FOUND,
            "there is /_devcloud/ledger, /_devcloud/fault and /_devcloud/faults",
        ),
    }
}

/// Reads one fault, and lines it up if it is one that calls meet.
fn fault(service: &Service, body: &[u8]) -> Result<Fault, String> {
    let fault = read(body)?;
    tracing::info!(?fault, "A fault is made on purpose.");
    service.faults.line_up(&fault)?;
    Ok(fault)
}

/// Replaces the plan of faults.
fn plan(service: &Service, body: &[u8]) -> Result<(), String> {
    let plan: FaultPlan = read(body)?;
    plan.check(actions::is_action)?;
    tracing::info!(?plan, "Faults are planned.");
    service.faults.set(plan);
    Ok(())
}

async fn make(service: &Service, fault: Fault) -> Result<(), MachineError> {
    match fault {
        Fault::Partition { instance } => {
            service.machines.set_link(&instance, false).await?;
            note(service, instance, "partition").await
        }
        Fault::Heal { instance } => {
            service.machines.set_link(&instance, true).await?;
            note(service, instance, "heal").await
        }
        Fault::Freeze { instance } => {
            service.machines.set_frozen(&instance, true).await?;
            note(service, instance, "freeze").await
        }
        Fault::Thaw { instance } => {
            service.machines.set_frozen(&instance, false).await?;
            note(service, instance, "thaw").await
        }
        Fault::PowerCut { instance } => {
            note(service, instance.clone(), "power-cut").await?;
            Ok(service.life.cut_power(&instance).await?)
        }
        Fault::SpotLoss {
            instance,
            notice_milliseconds,
        } => {
            let notice = Duration::from_millis(notice_milliseconds);
            Ok(service.life.take_back(&instance, notice).await?)
        }
        // They were lined up above.
        Fault::FailRunInstances { .. } | Fault::LoseAnswer { .. } | Fault::NoSsh { .. } => Ok(()),
    }
}

/// Writes the fault into the instance's history.
async fn note(service: &Service, id: String, fault: &'static str) -> Result<(), MachineError> {
    service
        .ledger
        .commit(move |state| match state.instance_mut(&id) {
            Some(instance) => {
                instance.note("fault", fault);
                Ok(())
            }
            None => Err(MachineError::from(format!("there is no instance {id}"))),
        })
        .await
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    answer_json(status, &json!({ "error": reason }))
}

fn answer_json(status: StatusCode, value: &Value) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json")
        .body(value.to_string())
}
