//! What the end of the farm means for attempts whose machines ended with it.

use model::{AttemptState, BuildId, BuilderId, BuilderState, ChrootName, FleetId, Timestamp, UseEnd};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{
    finish::{fence, open_allocation, release, withdraw},
    verdict::{End, lock_attempt},
};
use crate::{
    AllocationState,
    convert::Row,
    database::{Store, Tx},
    entity::{allocation, builder},
    error::{Result, TxError},
};

const ACTOR: &str = "farm";
const WHY: &str = "the farm was stopped while it ran";

impl Store {
    /// Ends the attempts on machines of a fleet's clouds that ended with the farm. Nobody is to blame for it, and none counts
    /// as a try: each goes back into the queue. Their builders are drained. Answers what was being built.
    ///
    /// To be called before a worker or a controller of the farm begins.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn lose_to_stop(
        &self,
        fleet: FleetId,
        clouds: &[String],
        now: Timestamp,
    ) -> Result<Vec<(BuildId, ChrootName)>> {
        let open = self
            .read(|tx| async move {
                // Put in order here: a database that is asked for it walks through all allocations by their numbers.
                let states = [AllocationState::Offered, AllocationState::Accepted];
                let found = allocation::Entity::find()
                    .filter(allocation::Column::EndedAt.is_null())
                    .filter(allocation::Column::State.is_in(states.map(AllocationState::as_str)));
                let mut open = found.all(&*tx).await?;
                open.sort_by_key(|allocation| allocation.epoch);
                Ok(open)
            })
            .await?;
        let mut lost = Vec::new();
        for allocation in open {
            let is_lost = self.write(|tx| {
                let allocation = allocation.clone();
                async move { lose(&tx, &allocation, (fleet, clouds), now).await }
            });
            lost.extend(is_lost.await?);
        }
        Ok(lost)
    }
}

/// Ends one, if its machine was one of these; each has a transaction of its own.
async fn lose(
    tx: &Tx,
    allocation: &allocation::Model,
    (fleet, clouds): (FleetId, &[String]),
    now: Timestamp,
) -> Result<Option<(BuildId, ChrootName)>, TxError> {
    let machine = builder::Entity::find_by_id(allocation.builder).one(&**tx).await?;
    if machine.is_none_or(|machine| machine.fleet != fleet.0 || !clouds.contains(&machine.cloud)) {
        return Ok(None);
    }
    let attempt = lock_attempt(tx, allocation.attempt).await?;
    let is_it = allocation::Column::Epoch.eq(allocation.epoch);
    let Some(found) = open_allocation(tx, is_it).await? else {
        return Ok(None);
    };
    let builder = BuilderId(found.builder);
    let was_begun = found.state != AllocationState::Offered.as_str();
    let from = if was_begun {
        BuilderState::Busy
    } else {
        BuilderState::Reserved
    };
    release(tx, builder, (from, UseEnd::MachineGone), (ACTOR, WHY, now)).await?;
    if !was_begun && !attempt.cancel_requested {
        withdraw(tx, &found, &attempt, (ACTOR, WHY, now)).await?;
        return Ok(None);
    }
    let end = End {
        excused: true,
        ..End::new(AttemptState::Lost, None, WHY)
    };
    fence(tx, &found, &attempt, end, (ACTOR, now)).await?;
    let chroot = Row::new("attempt", &attempt.id).parse("chroot", &attempt.chroot)?;
    Ok(Some((BuildId(attempt.build), chroot)))
}
