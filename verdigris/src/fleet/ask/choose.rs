//! Which intent on record answers a command, or under which key it asks anew.

use model::{
    Timestamp,
    fleet::FleetSpec,
    intent::{self, Intent, Request},
};
use store::Store;

use super::key::key_of;

/// The key of what is asked for, and the intent with that key that is on record already. `given`: the slot that the operator gave,
/// of which there is only one; without it that of the moment, with the first number whose intent answers or is not on record. All
/// equal commands of one moment so come to the same key.
pub(super) async fn choose(
    store: &Store,
    fleet: &FleetSpec,
    request: &Request,
    (given, now): (Option<&str>, Timestamp),
) -> anyhow::Result<(String, Option<Intent>)> {
    if let Some(slot) = given {
        let key = key_of(request, slot)?;
        let found = store.intent(fleet.fleet, &key).await?;
        return Ok((key, found));
    }
    let mut since: Option<Vec<Intent>> = None;
    let mut number = 1;
    loop {
        let key = key_of(request, &intent::slot(now, number))?;
        let Some(found) = store.intent(fleet.fleet, &key).await? else {
            return Ok((key, None));
        };
        // Those that are found later were asked later.
        let others = match since.take() {
            Some(others) => others,
            None => store.intents_since(fleet.fleet, found.created_at).await?,
        };
        if intent::answers(&found, &others) {
            return Ok((key, Some(found)));
        }
        since = Some(others);
        number += 1;
    }
}
