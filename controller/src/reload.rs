//! Files that were read anew take the place of those before: all of them or none.

use std::sync::Arc;

use store::{Builder, Lease};
use tracing::{info, warn};

use crate::{
    Context, Error,
    clouds::Clouds,
    files::{Files, changes, left_behind, unusable},
    round::Controller,
};

impl Controller {
    /// Takes up files that were read anew, all or nothing, and writes down whether those that stand are in force.
    ///
    /// # Errors
    /// When the database is away; they are taken up later then.
    pub(crate) async fn take_up_files(&mut self, lease: &Lease) -> Result<(), Error> {
        if self.files.are_waiting() {
            let (store, fleet) = (&self.context.store, self.context.fleet.fleet);
            let builders = store.look_at_builders(fleet, &mut self.cache).await?;
            self.decide_on_files(&builders).await;
        }
        if !self.files.is_recorded {
            let context = &self.context;
            let spec = serde_json::to_value(&*context.fleet);
            let spec = spec.map_err(|cause| Error::Contradiction(cause.to_string()))?;
            let (problem, now) = (self.files.problem.as_deref(), context.clock.now());
            context
                .store
                .record_fleet_file(lease, &spec, problem, now)
                .await?;
            self.files.is_recorded = true;
        }
        Ok(())
    }

    /// Takes up what was read while another led: that one compared it with the files in force, and these may be younger than this
    /// controller. Why it may not lead then, if so: its files do not lead to all machines of the fleet. That is on record, beside the file
    /// in force, which stays.
    ///
    /// # Errors
    /// When the database is away, or the lease is lost.
    pub(crate) async fn settle_on_files(&mut self, lease: &Lease) -> Result<Option<String>, Error> {
        if self.files.are_waiting()
            && let Some(files) = self.files_to_lead_by()
        {
            self.put_in_force(files).await;
        }
        let (context, store) = (&self.context, &self.context.store);
        let Some(words) = left_behind(store, &context.fleet).await? else {
            self.files.forsakes = None;
            return Ok(None);
        };
        if let Some(in_force) = store.fleet_file(Some(context.fleet.fleet)).await? {
            store
                .record_fleet_file(lease, &in_force, Some(&words), context.clock.now())
                .await?;
        }
        Ok(Some(words))
    }

    /// Files of this fleet that were read and are not in force.
    fn files_to_lead_by(&self) -> Option<Files> {
        let context = &self.context;
        let files = self.files.read.as_ref()?.files_beside(&context.fleet)?;
        (files.fleet.fleet == context.fleet.fleet).then(|| files.clone())
    }

    /// Whether the files for which it did not lead would still lose the same machines: nothing is to be taken or written for that.
    pub(crate) async fn still_forsakes(&mut self) -> bool {
        let Some(words) = self.files.forsakes.clone() else {
            return false;
        };
        self.files.are_waiting();
        let files = self.files_to_lead_by();
        let fleet = files.as_ref().map_or(&self.context.fleet, |files| &files.fleet);
        let left = left_behind(&self.context.store, fleet).await;
        left.is_ok_and(|left| left.as_ref() == Some(&words))
    }

    async fn decide_on_files(&mut self, builders: &[Builder]) {
        let Some(news) = self.files.read.take() else {
            return;
        };
        let mut problem = news.problem().map(str::to_owned);
        if let Some(files) = news.files_beside(&self.context.fleet).cloned() {
            match unusable(&self.context.fleet, &files.fleet, builders) {
                None => {
                    self.put_in_force(files).await;
                    self.files.is_recorded = false;
                }
                // The machines that are in its way may end: the next round looks again.
                Some(words) => {
                    self.files.read = Some(news);
                    problem.get_or_insert(words);
                }
            }
        }
        if problem == self.files.problem {
            return;
        }
        if let Some(words) = &problem {
            warn!("The fleet file as it stands is not used, the one before stays in force: {words}");
        }
        self.files.problem = problem;
        self.files.is_recorded = false;
    }

    /// Steps that are under way end by the files with which they began.
    async fn put_in_force(&mut self, files: Files) {
        info!(
            "The fleet file was changed and is in force: {}.",
            changes(&self.context.fleet, &files.fleet)
        );
        let Files {
            fleet,
            clouds,
            provisioner,
            reach,
        } = files;
        let context = Context {
            fleet,
            clouds,
            provisioner,
            reach,
            ..Context::clone(&self.context)
        };
        self.context = Arc::new(context.rationed());
        self.clouds.stop().await;
        self.clouds = Clouds::new(&self.context);
        self.recorded.clear();
    }
}
