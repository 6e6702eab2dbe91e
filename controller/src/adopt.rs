//! Instances that operators want as builders: a cloud is asked what they are, and then it is decided.

use cloud::Instance;
use model::{
    BuilderId,
    intent::{self, Decision, Intent, IntentState, Request},
    stray::{self, Candidate},
};
use runtime::chance::new_id;
use store::{Adoption, Builder, FleetView, Lease, NewBuilder};
use tracing::{debug, info};

use crate::{Error, observe::Found, round::Controller, snapshot::snapshot_with};

/// What stands in the place of the image of an adopted instance: the farm has not chosen it.
const OWN_IMAGE: &str = "of its own";

impl Controller {
    /// Decides about the instances that operators want and clouds have been asked for, and gives up those that no pool has room
    /// for meanwhile. The view is as it is after that.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn adopt(&mut self, lease: &Lease, view: &mut FleetView) -> Result<(), Error> {
        let mut found = self.clouds.take_found();
        let waiting: Vec<Intent> = view
            .intents
            .iter()
            .filter(|it| it.wants().is_some())
            .cloned()
            .collect();
        for intent in waiting {
            let Some((instance, pool)) = intent.wants() else {
                continue;
            };
            let snapshot = snapshot_with(&self.context, view, &self.clouds.health());
            if let Some(why) = intent::no_room(instance, pool, &snapshot) {
                self.settle(lease, &intent, &Decision::of(IntentState::Refused, why))
                    .await?;
                continue;
            }
            let Some(index) = found.iter().position(|it| it.intent == intent.key) else {
                continue;
            };
            let answer = found.swap_remove(index);
            match self.judge(&intent, &answer, view).await? {
                Ok(adoption) => self.take_in(lease, &intent, &adoption).await?,
                Err(decision) => self.settle(lease, &intent, &decision).await?,
            }
            *view = self.view().await?;
        }
        Ok(())
    }

    /// What becomes of an instance that a cloud was asked for: a builder, or the decision against it.
    async fn judge(
        &self,
        intent: &Intent,
        found: &Found,
        view: &FleetView,
    ) -> Result<Result<Adoption, Decision>, Error> {
        let refused = |why: String| Ok(Err(Decision::of(IntentState::Refused, why)));
        let Request::Adopt {
            instance: id,
            pool,
            host_key,
        } = &intent.request
        else {
            return refused("it wants no instance".to_owned());
        };
        let Some(instance) = &found.instance else {
            return refused(format!("cloud {} knows no instance {id}", found.cloud));
        };
        let (store, fleet) = (&self.context.store, self.context.fleet.fleet);
        if let Some(decision) = self.has_builder((id, instance), found, view).await? {
            return Ok(Err(decision));
        }
        let key = match host_key {
            Some(key) => Some(key.clone()),
            None => {
                let tagged = instance.builder().zip(instance.launch());
                store.key_of_instance(fleet, (&found.cloud, id), tagged).await?
            }
        };
        let candidate = Candidate {
            instance: id,
            state: instance.state,
            fleet: instance.fleet(),
            has_key: key.is_some(),
        };
        let unfit = stray::unfit(&candidate, fleet);
        let (None, Some(host_key)) = (&unfit, key) else {
            return refused(unfit.unwrap_or_default());
        };
        let lines = self.steps.lines(&self.context, &view.builders);
        let offering = instance.offering.as_ref();
        if let Some(why) = offering.and_then(|offering| lines.refusal(&self.context, pool, offering)) {
            return refused(why);
        }
        let now = self.context.clock.now();
        let provision = self.context.fleet.pools.get(pool);
        let provision = provision.and_then(|spec| self.context.fleet.provision.get(&spec.provision));
        let builder = BuilderId(new_id());
        Ok(Ok(Adoption {
            builder: NewBuilder {
                id: builder,
                pool: pool.clone(),
                cloud: found.cloud.clone(),
                image: OWN_IMAGE.to_owned(),
                spec_hash: self.context.recipe(pool, view),
                port: provision.map_or(22, |provision| provision.connect.port),
                host: None,
                reason: format!("instance {id} is adopted as builder {builder}"),
                deadline: now.plus(self.context.deadlines(pool).pending),
            },
            instance_id: id.clone(),
            host_key,
            offering: instance.offering.clone(),
        }))
    }

    /// What an instance that is a builder already, or is becoming one, is told; `None` where it is none.
    async fn has_builder(
        &self,
        (id, instance): (&str, &Instance),
        found: &Found,
        view: &FleetView,
    ) -> Result<Option<Decision>, Error> {
        let owner = self.context.store.builder_by_instance(id).await?;
        if let Some(owner) = owner.filter(|it| !it.state.is_final() && it.cloud == found.cloud) {
            return Ok(Some(match view.builders.iter().any(|it| it.id == owner.id) {
                true => {
                    let words = format!("instance {id} is builder {} already", owner.id);
                    Decision::of(IntentState::Nothing, words)
                }
                false => {
                    let words = format!("instance {id} is a builder of another fleet in this database");
                    Decision::of(IntentState::Refused, words)
                }
            }));
        }
        let is_its_launch = |it: &&Builder| Some(it.id) == instance.builder() && it.instance_id.is_none();
        let launching = view.builders.iter().find(is_its_launch);
        Ok(launching.map(|launching| {
            let words = format!("instance {id} is being launched as builder {}", launching.id);
            Decision::of(IntentState::Nothing, words)
        }))
    }

    async fn take_in(&mut self, lease: &Lease, intent: &Intent, adoption: &Adoption) -> Result<(), Error> {
        let now = self.context.clock.now();
        match self.context.store.adopt(lease, intent, adoption, now).await {
            Ok(()) => {
                let new = &adoption.builder;
                info!(builder.id = %new.id, "{} wants it: {}, of pool {}.", intent.actor, new.reason, new.pool);
                // It may have been one of the machines of others.
                self.clouds.count_again(&new.cloud);
                Ok(())
            }
            // Whoever was quicker is seen in the next look, for which the intent stays as it is.
            Err(store::Error::Conflict { what }) => {
                debug!("Not adopted, something was quicker: {what}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
