//! Intents in the rounds: those that are new are taken up before the plan is made, and those under way are looked at after it.

use std::collections::BTreeMap;

use model::{
    intent::{self, Decision, Intent, IntentState, Made, Pass, Request},
    plan::{Action, Plan},
};
use store::{FleetView, Lease};
use tracing::{debug, info};

use crate::{Error, passes::Progress, round::Controller, snapshot::snapshot_with};

impl Controller {
    /// Writes down what new intents mean, and takes away marks whose time is over. The view is as it is after that.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn take_up_intents(&mut self, lease: &Lease, view: &mut FleetView) -> Result<(), Error> {
        let marked = view
            .builders
            .iter()
            .filter_map(|it| Some((it.id, it.mark.as_ref()?)));
        let over = intent::expired(marked, view.at);
        if !over.is_empty() {
            self.context.store.lift_marks(lease, &over, view.at).await?;
            *view = self.view().await?;
        }
        let is_new = |intent: &&Intent| intent.state == IntentState::New;
        let new: Vec<Intent> = view.intents.iter().filter(is_new).cloned().collect();
        for intent in new {
            // What the cloud is being told at this moment is known when it has answered.
            if intent
                .stray()
                .is_some_and(|instance| self.clouds.is_ending(instance))
            {
                continue;
            }
            // Each sees what the one before it has changed.
            let snapshot = snapshot_with(&self.context, view, &self.clouds.health());
            let decision = intent::take_up(&intent, &snapshot);
            self.settle(lease, &intent, &decision).await?;
            *view = self.view().await?;
        }
        self.passes
            .retain(|key, _| view.intents.iter().any(|it| it.key == *key));
        for intent in &view.intents {
            if intent.request == Request::Reconcile && intent.state == IntentState::Running {
                let begins = Progress {
                    since: self.context.clock.elapsed(),
                    has_acted: false,
                };
                let progress = self.passes.entry(intent.key.clone()).or_insert(begins);
                self.clouds.have_been_asked_since(progress.since);
            }
        }
        Ok(())
    }

    /// Writes down what has become of intents that are under way.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn follow_intents(
        &mut self,
        lease: &Lease,
        view: &FleetView,
        plan: &Plan,
    ) -> Result<(), Error> {
        let made: BTreeMap<_, &Made> = view.made.iter().map(|made| (made.id, made)).collect();
        for intent in &view.intents {
            let is_launched_for = |action: &Action| match action {
                Action::Launch {
                    intent: Some(key), ..
                } => *key == intent.key,
                _ => false,
            };
            // What was launched for it a moment ago is not in the view: the next round tells of it.
            if intent.state != IntentState::Running || plan.actions.iter().any(is_launched_for) {
                continue;
            }
            let own: Vec<Made> = (intent.builders.iter())
                .filter_map(|id| made.get(id).copied().cloned())
                .collect();
            let unmet = plan.unmet.iter().find(|it| it.intent == intent.key);
            let pass = self.pass(&intent.key, view, plan);
            if let Some(decision) = intent::follow(intent, &own, unmet, (&pass, view.at)) {
                self.settle(lease, intent, &decision).await?;
            }
        }
        Ok(())
    }

    /// What has come of a whole pass that an operator asked for.
    fn pass(&mut self, key: &str, view: &FleetView, plan: &Plan) -> Pass {
        // Who leads for one command leaves nothing in the middle: nobody may lead after it for a long time.
        let is_moving = self.only_for.is_some() && self.is_anything_moving(view, plan);
        let is_hearing = self.only_for.is_some() && self.is_hearing;
        let Some(progress) = self.passes.get_mut(key) else {
            return Pass::default();
        };
        progress.has_acted |=
            is_moving || !plan.actions.is_empty() || self.clouds.have_changed_something_since(progress.since);
        Pass {
            is_whole: self.clouds.have_been_asked_since(progress.since),
            has_acted: progress.has_acted,
            is_moving: is_moving || is_hearing,
            silent: self.clouds.troubles(),
        }
    }

    /// Whether something would be left in the middle if this controller ended now.
    fn is_anything_moving(&self, view: &FleetView, plan: &Plan) -> bool {
        !plan.actions.is_empty()
            || self.steps.under_way() > 0
            || self.hooks.is_busy()
            || view.builders.iter().any(|builder| builder.state.is_on_its_way())
    }

    pub(crate) async fn settle(
        &self,
        lease: &Lease,
        intent: &Intent,
        decision: &Decision,
    ) -> Result<(), Error> {
        let (store, now) = (&self.context.store, self.context.clock.now());
        match store.settle_intent(lease, intent, decision, now).await {
            Ok(()) if decision.state == intent.state => Ok(()),
            Ok(()) => {
                let (key, state, words) = (&intent.key, decision.state, &decision.words);
                info!("Intent {key} of {} is {state}: {words}.", intent.actor);
                Ok(())
            }
            Err(store::Error::Conflict { what }) => {
                debug!("Not written down, something was quicker: {what}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the intent for which alone this controller leads is over. A database that does not say so is asked again after the next
    /// round.
    pub(crate) async fn has_done_its_intent(&self) -> bool {
        let Some(key) = &self.only_for else {
            return false;
        };
        let found = self.context.store.intent(self.context.fleet.fleet, key).await;
        found.is_ok_and(|found| found.is_none_or(|intent| intent.state.is_final()))
    }
}
