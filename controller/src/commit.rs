//! Decisions are written down before anything is done.

use std::collections::BTreeMap;

use model::{
    BuilderId, BuilderState, PoolName, Timestamp,
    fleet::{HOSTS, PoolKind},
    plan::{Action, Plan},
    step::Move,
};
use runtime::chance::new_id;
use store::{Assignment, Builder, FleetView, Lease, NewBuilder, NewHost};
use tracing::{debug, info, warn};

use crate::{
    Error,
    recipe::key_of,
    round::Controller,
    step::{advance, advance_until},
};

impl Controller {
    /// Writes down what the pools' builders are made from, when that is new.
    pub(crate) async fn record_pools(&mut self, lease: &Lease, view: &FleetView) -> Result<(), Error> {
        if self.recorded.is_empty() {
            let names: Vec<&PoolName> = self.context.fleet.pools.keys().collect();
            self.context.store.retire_pools(lease, &names).await?;
        }
        for (name, pool) in &self.context.fleet.pools {
            let hash = key_of(&self.context.recipe(name, view));
            if self.recorded.get(name) == Some(&hash) {
                continue;
            }
            let spec = serde_json::to_value(pool).map_err(|cause| Error::Contradiction(cause.to_string()))?;
            self.context
                .store
                .record_pool(lease, name, &spec, &hash, self.context.clock.now())
                .await?;
            self.recorded.insert(name.clone(), hash);
        }
        Ok(())
    }

    /// Writes the decisions down. One that lost a race is left for the next round.
    pub(crate) async fn commit(&mut self, lease: &Lease, view: &FleetView, plan: &Plan) -> Result<(), Error> {
        let by_id: BTreeMap<BuilderId, &Builder> = view
            .builders
            .iter()
            .map(|builder| (builder.id, builder))
            .collect();
        self.hand_out(lease, &by_id, plan).await?;
        for action in &plan.actions {
            let done = match action {
                Action::Assign { .. } => continue,
                Action::Launch {
                    pool,
                    host,
                    reason,
                    intent,
                } => {
                    let place = (pool, host.as_deref());
                    let why = (reason.as_str(), intent.as_deref());
                    self.plan_builder(lease, view, place, why).await
                }
                Action::Drain { builder, reason } => {
                    self.move_on(lease, by_id.get(builder).copied(), BuilderState::Draining, reason)
                        .await
                }
                Action::Move {
                    builder,
                    to,
                    until,
                    reason,
                } => {
                    self.obey(lease, by_id.get(builder).copied(), (*to, *until), reason)
                        .await
                }
                Action::Expire {
                    builder, to, reason, ..
                } => {
                    self.move_on(lease, by_id.get(builder).copied(), *to, reason)
                        .await
                }
            };
            settle(action, done)?;
        }
        Ok(())
    }

    /// Gives builders to attempts.
    async fn hand_out(
        &mut self,
        lease: &Lease,
        by_id: &BTreeMap<BuilderId, &Builder>,
        plan: &Plan,
    ) -> Result<(), Error> {
        let now = self.context.clock.now();
        let (mut actions, mut wanted) = (Vec::new(), Vec::new());
        for action in &plan.actions {
            let Action::Assign { attempt, builder } = action else {
                continue;
            };
            let Some(&builder) = by_id.get(builder) else {
                continue;
            };
            self.cache.forget(*attempt);
            actions.push(action);
            wanted.push(Assignment {
                attempt: *attempt,
                builder,
                deadline: now.plus(self.context.deadlines(&builder.pool).reserved),
            });
        }
        let given = self.context.store.assign_all(lease, &wanted, now).await?;
        for (action, given) in actions.into_iter().zip(given) {
            settle(action, given.map(drop))?;
        }
        Ok(())
    }

    async fn move_on(
        &self,
        lease: &Lease,
        builder: Option<&Builder>,
        to: BuilderState,
        reason: &str,
    ) -> Result<(), store::Error> {
        let Some(builder) = builder else { return Ok(()) };
        advance(&self.context, lease, builder, Move::new(to, reason)).await?;
        Ok(())
    }

    /// Moves a builder where an operator wants it. That is neither its pool's failure nor that of what ran on it.
    async fn obey(
        &self,
        lease: &Lease,
        builder: Option<&Builder>,
        (to, until): (BuilderState, Option<Timestamp>),
        reason: &str,
    ) -> Result<(), store::Error> {
        let Some(builder) = builder else { return Ok(()) };
        let is_at_work = matches!(builder.state, BuilderState::Reserved | BuilderState::Busy);
        let step = Move {
            is_excused: is_at_work || BuilderState::STARTING.contains(&builder.state),
            ..Move::new(to, reason)
        };
        advance_until(&self.context, lease, builder, step, until).await?;
        Ok(())
    }

    async fn plan_builder(
        &self,
        lease: &Lease,
        view: &FleetView,
        (pool, host): (&PoolName, Option<&str>),
        (reason, intent): (&str, Option<&str>),
    ) -> Result<(), store::Error> {
        let fleet = &self.context.fleet;
        let Some(spec) = fleet.pools.get(pool) else {
            return Ok(());
        };
        let Some(provision) = fleet.provision.get(&spec.provision) else {
            return Ok(());
        };
        let host = host.and_then(|name| spec.host(name));
        let (cloud, image) = match (spec.kind(), host) {
            (PoolKind::Cloud { image }, _) => {
                let id = fleet.image_id(image, &view.images);
                match fleet.images.get(image).zip(id) {
                    Some((image, id)) => (image.cloud.as_str(), id),
                    None => return Ok(()),
                }
            }
            (PoolKind::Hosts(_), Some(_)) => (HOSTS, ""),
            (PoolKind::Hosts(_), None) => return Ok(()),
        };
        let connect = provision.connect.port;
        let now = self.context.clock.now();
        let builder = NewBuilder {
            id: BuilderId(new_id()),
            pool: pool.clone(),
            cloud: cloud.to_owned(),
            image: image.to_owned(),
            spec_hash: self.context.recipe(pool, view),
            port: host.map_or(connect, |host| host.port_or(connect)),
            host: host.map(|host| NewHost {
                name: host.name.clone(),
                address: host.address.clone(),
            }),
            reason: reason.to_owned(),
            deadline: now.plus(self.context.deadlines(pool).planned),
        };
        let planned = self.context.store.plan_builder_for(lease, &builder, intent, now);
        planned.await?;
        info!(builder.id = %builder.id, "Builder {} of pool {pool} is planned: {reason}.", builder.id);
        Ok(())
    }
}

/// What came of a decision. One that lost a race is none.
fn settle(action: &Action, done: Result<(), store::Error>) -> Result<(), Error> {
    match done {
        Ok(()) => debug!("Decided: {action:?}"),
        // Somebody moved it, or deleted it with its project.
        Err(store::Error::Conflict { what } | store::Error::NotFound { what }) => {
            debug!("Not done, something was quicker: {what}");
        }
        // What an operator has to look at keeps nobody else from being served.
        Err(error) if error.is_of_one_row() => warn!("Not done: {action:?}: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_of_one_thing_keeps_no_other_from_being_done_and_a_lost_lease_does() {
        let action = Action::Drain {
            builder: BuilderId(uuid::Uuid::from_u128(1)),
            reason: String::new(),
        };
        let corrupt = store::Error::Corrupt {
            table: "build",
            id: "7".to_owned(),
            why: "column state".to_owned(),
        };
        assert!(settle(&action, Err(corrupt)).is_ok());
        let lost = store::Error::LeaseLost {
            fleet: model::FleetId(uuid::Uuid::from_u128(1)),
            epoch: 2,
        };
        assert!(settle(&action, Err(lost)).is_err());
    }
}
