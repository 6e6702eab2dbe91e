//! What is heard beside the rounds of builders that serve no more, or not for long, and what the next round makes of it.

use model::{BuilderState, mark::Mark, step::Move};
use store::{Builder, FleetView, Lease};
use tracing::{debug, warn};

use crate::{Error, round::Controller, step::advance};

/// The builders of which something is heard, with that.
fn heard<'a>(view: &FleetView, of: impl Fn(&Builder) -> Option<&'a str>) -> Vec<(Builder, String)> {
    let one = |builder: &Builder| of(builder).map(|words| (builder.clone(), words.to_owned()));
    view.builders.iter().filter_map(one).collect()
}

impl Controller {
    /// Writes down what machines were told by their clouds. The view is as it is after that.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn take_up_notices(&mut self, lease: &Lease, view: &mut FleetView) -> Result<(), Error> {
        let about = heard(view, |builder| self.notices.told(builder));
        if about.is_empty() {
            return Ok(());
        }
        for (builder, words) in about {
            let mark = Mark::taken_back(&builder.cloud, &words);
            let (store, now) = (&self.context.store, self.context.clock.now());
            if store.mark_builder(lease, builder.id, &mark, now).await? {
                warn!(builder.id = %builder.id, "Builder {}, which is {}, is {}.", builder.id, builder.state, mark.in_words());
            }
        }
        *view = self.view().await?;
        Ok(())
    }

    /// Drains the builders that are not what they were. The view is as it is after that.
    ///
    /// # Errors
    /// When the database is away or the lease is lost.
    pub(crate) async fn drain_what_died(&mut self, lease: &Lease, view: &mut FleetView) -> Result<(), Error> {
        let dead = heard(view, |builder| self.lives.verdict(builder));
        if dead.is_empty() {
            return Ok(());
        }
        for (builder, why) in dead {
            let step = Move::new(BuilderState::Draining, why.clone());
            match advance(&self.context, lease, &builder, step).await {
                Ok(_) => warn!(builder.id = %builder.id, "Builder {} is used no more: {why}.", builder.id),
                // It was given to an attempt meanwhile, whose worker sees for itself.
                Err(store::Error::Conflict { what }) => debug!("Not drained, something was quicker: {what}"),
                Err(error) => return Err(error.into()),
            }
        }
        *view = self.view().await?;
        Ok(())
    }
}
