//! Machines that a fleet file does not lead to any more: nobody would end them.

use anyhow::bail;
use model::{Timestamp, fleet::FleetSpec};
use store::Store;

use crate::parts::BadConfig;

/// Refuses a fleet file whose id was changed while there are machines of the old one, or one of whose clouds is somewhere
/// else while there are machines in it: nobody would end them. `at` is when the file is to be used: a fleet that a controller
/// leads then is not forsaken.
pub(crate) async fn refuse_forsaken_machines(
    store: &Store,
    fleet: &FleetSpec,
    at: Timestamp,
) -> anyhow::Result<()> {
    let forsaken = store.forsaken_fleets(fleet.fleet, at).await?;
    let Some((old, builders)) = forsaken.first() else {
        return refuse_to_lose_clouds(store, fleet).await;
    };
    let builders = if *builders == 1 {
        "1 builder".to_owned()
    } else {
        format!("{builders} builders")
    };
    bail!(BadConfig(format!(
        "the fleet file's `fleet` is {}, but {builders} of fleet {} are on record, whose machines would run on with nobody \
         to end them. Write `fleet: {}` back. To change it after that, set `max` of every pool to 0, wait until \
         `verdigris fleet status` shows no builder, and stop the controller first.",
        fleet.fleet.0, old.0, old.0
    )))
}

async fn refuse_to_lose_clouds(store: &Store, fleet: &FleetSpec) -> anyhow::Result<()> {
    match controller::to_lead_by(store, fleet).await? {
        Err(words) => bail!(BadConfig(format!(
            "the fleet file leads to some machines of the farm no more, which would run on with nobody to end them: {words}. \
             Write back what was there, and change it then as it says."
        ))),
        Ok(_) => Ok(()),
    }
}
