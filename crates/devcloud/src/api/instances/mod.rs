//! Actions on instances, one file for each kind of action.

pub(super) mod attributes;
pub(super) mod change;
pub(super) mod console;
pub(super) mod describe;
pub(super) mod run;
pub(super) mod status;
pub(super) mod view;

use std::sync::Arc;

use super::error::ApiError;
use crate::{
    encoding::is_resource_id,
    ledger::{Instance, State},
};

/// The instances of these ids, or why not: one that is unknown fails the whole request.
fn find_all<'a>(state: &'a State, ids: &[String]) -> Result<Vec<&'a Arc<Instance>>, ApiError> {
    if let Some(id) = ids.iter().find(|id| !is_resource_id(id, "i")) {
        return Err(ApiError::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let unknown: Vec<&str> = ids
        .iter()
        .filter(|id| !state.instances.contains_key(*id))
        .map(String::as_str)
        .collect();
    match unknown.as_slice() {
        [] => Ok(ids.iter().filter_map(|id| state.instances.get(id)).collect()),
        [id] => {
            let message = format!("The instance ID '{id}' does not exist");
            Err(ApiError::new("InvalidInstanceID.NotFound", message))
        }
        several => {
            let message = format!("The instance IDs '{}' do not exist", several.join(", "));
            Err(ApiError::new("InvalidInstanceID.NotFound", message))
        }
    }
}

/// The one instance of this id.
fn find_one<'a>(state: &'a State, id: &str) -> Result<&'a Arc<Instance>, ApiError> {
    find_all(state, &[id.to_owned()])?
        .into_iter()
        .next()
        .ok_or_else(ApiError::internal)
}

/// `InstanceId.N`, which has to name at least one and at most 1000, each once.
fn required_ids(parameters: &super::parameters::Parameters) -> Result<Vec<String>, ApiError> {
    let mut ids = parameters.list("InstanceId")?;
    if ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    if ids.len() > 1000 {
        return Err(ApiError::new(
            "InvalidParameterValue",
            "At most 1000 instances can be named at once",
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    Ok(ids)
}
