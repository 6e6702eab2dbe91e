//! How many instances a launch makes: the account's quotas are refusals, the cloud's room may shorten it.

use devcloud_dialect::ApiError;
use time::OffsetDateTime;

use super::Launch;
use crate::{
    faults::Held,
    instance_types,
    ledger::{InstanceState, State},
};

impl Launch {
    /// How many instances there is room for: the account's quota is a refusal, the cloud's room may shorten.
    pub(super) fn count(&self, state: &State) -> Result<usize, ApiError> {
        let held = state
            .instances
            .values()
            .filter(|instance| takes_place(instance.state))
            .count();
        let quota = usize::try_from(self.capacity.max_instances).unwrap_or(usize::MAX);
        let room = usize::try_from(self.capacity.instances).unwrap_or(usize::MAX);
        if held + self.least > quota {
            let message = format!(
                "You have requested more instances ({}) than your current instance limit of {quota} allows.",
                held + self.least
            );
            return Err(ApiError::new("InstanceLimitExceeded", message));
        }
        if held + self.least > room {
            let message = format!("Insufficient capacity: {held} of {room} instances are in use.");
            return Err(self.profile.no_room(message));
        }
        let room = self.most.min(quota - held).min(room - held);
        let room = room.min(self.work.fewer().unwrap_or(usize::MAX));
        if room < self.least {
            return Err(self
                .profile
                .no_room(format!("There is room for {room} instances only.")));
        }
        self.within_quotas(state, room)
    }

    /// How many of them the quotas of a plan allow.
    fn within_quotas(&self, state: &State, most: usize) -> Result<usize, ApiError> {
        let now = OffsetDateTime::now_utc();
        let freed_after = self.quotas.freed_after();
        let mut held = Held::default();
        for instance in state.instances.values() {
            let ended = instance.terminated_at;
            if !takes_place(instance.state) && ended.is_none_or(|ended| now - ended >= freed_after) {
                continue;
            }
            held.instances += 1;
            held.processors += processors(&instance.instance_type);
            held.spot_instances += u64::from(instance.spot);
        }
        let room = self.quotas.room(
            held,
            processors(self.instance_type),
            self.spot,
            (self.least, most),
        );
        room.map_err(|code| ApiError::new(code, "The account has as much as it may have."))
    }
}

fn processors(instance_type: &str) -> u64 {
    instance_types::find(instance_type).map_or(0, |kind| u64::from(kind.processors))
}

/// Whether an instance in this state takes a place: a stopped or terminated one does not.
fn takes_place(state: InstanceState) -> bool {
    !matches!(state, InstanceState::Stopped | InstanceState::Terminated)
}
