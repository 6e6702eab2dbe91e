//! Actions on instances, one file for each kind of action.

mod attributes;
mod change;
mod console;
mod describe;
mod filters;
mod run;
mod status;
pub(super) mod view;

use std::sync::Arc;

use devcloud_dialect::{ApiError, ids::is_resource_id};
use time::OffsetDateTime;

use crate::ledger::{Instance, State};

/// All instances that clients are told of.
fn visible(state: &State) -> Vec<Arc<Instance>> {
    let now = OffsetDateTime::now_utc();
    let instances = state.instances.values();
    instances.filter(|one| !one.is_hidden(now)).cloned().collect()
}

/// The instances of these ids, or why not: one that is unknown fails the whole request.
fn find_all<'a>(state: &'a State, ids: &[String]) -> Result<Vec<&'a Arc<Instance>>, ApiError> {
    if let Some(id) = ids.iter().find(|id| !is_resource_id(id, "i")) {
        return Err(ApiError::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let now = OffsetDateTime::now_utc();
    let unknown: Vec<&str> = ids
        .iter()
        .filter(|id| state.instances.get(*id).is_none_or(|one| one.is_hidden(now)))
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
pub(super) fn find_one<'a>(state: &'a State, id: &str) -> Result<&'a Arc<Instance>, ApiError> {
    find_all(state, &[id.to_owned()])?
        .into_iter()
        .next()
        .ok_or_else(ApiError::internal)
}

/// `InstanceId.N`, which has to name at least one and at most 1000, each once.
fn required_ids(mut ids: Vec<String>) -> Result<Vec<String>, ApiError> {
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

/// The one id of a call that is about one instance.
fn required_id(id: Option<String>) -> Result<String, ApiError> {
    id.ok_or_else(|| ApiError::missing("InstanceId"))
}
