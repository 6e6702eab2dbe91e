//! What is wrong with the fleet, for the operator who looks at it.

use model::{
    Condition, Timestamp,
    condition::{FileProblem, Trouble},
    fleet::FleetSpec,
};
use runtime::Settings;
use store::Store;

use crate::{
    lock::{self, is_stopping},
    parts,
};

/// The fleet file that is in force, and what is wrong with the fleet.
pub(super) async fn in_force(
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<(FleetSpec, Condition)> {
    let (fleet, complaint) = parts::fleet_in_force(settings, store).await?;
    let mut condition = condition(settings, store, &fleet, now).await?;
    if let (Some(words), None) = (complaint, &condition.file) {
        condition.file = Some(FileProblem { since: now, words });
    }
    Ok((fleet, condition))
}

/// What is wrong with the fleet, as the database and the farm in one process that may be here say.
pub(super) async fn condition(
    settings: &Settings,
    store: &Store,
    fleet: &FleetSpec,
    now: Timestamp,
) -> anyhow::Result<Condition> {
    let mut condition = store.fleet_condition(Some(fleet.fleet), now).await?;
    if is_stopping(&settings.storage.directory.join(lock::OF_FARM)) {
        condition.stopping = Some(store.accepted_allocations(None).await?.len());
    }
    Ok(condition)
}

/// What is wrong, in words for operators.
pub(super) fn troubles(condition: &Condition, now: Timestamp) -> Vec<String> {
    let troubles = condition.troubles(now);
    troubles.iter().map(Trouble::for_operators).collect()
}

/// The same for people, each in a line of its own that cannot be overlooked, and what can be done.
pub(super) fn warnings(condition: &Condition, now: Timestamp) -> String {
    let mut text: String = troubles(condition, now)
        .iter()
        .map(|trouble| format!("! {trouble}\n"))
        .collect();
    let held = condition
        .pools
        .iter()
        .filter(|(_, history)| history.held_until().is_some());
    for (name, _) in held {
        text.push_str(&format!(
            "  When the cause is mended: verdigris fleet resume {name}\n"
        ));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
