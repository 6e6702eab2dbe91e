//! Files that were read anew take the place of those before: all of them or none.

use std::{collections::BTreeMap, sync::Arc};

use model::fleet::{FleetSpec, Machines};
use store::{Lease, machines_by_cloud};
use tracing::{info, warn};

use crate::{
    Context, Error,
    clouds::Clouds,
    files::{Files, changes, to_lead_by, unusable},
    round::Controller,
};

impl Controller {
    /// Takes up files that were read anew, all or nothing, and writes down whether those that stand are in force.
    ///
    /// # Errors
    /// When the database is away; they are taken up later then.
    pub(crate) async fn take_up_files(&mut self, lease: &Lease) -> Result<(), Error> {
        let keeps_clouds = !self.context.fleet.clouds_beside(&self.files.file).is_empty();
        if self.files.are_waiting() || keeps_clouds {
            let (store, fleet) = (&self.context.store, self.context.fleet.fleet);
            let builders = store.look_at_builders(fleet, &mut self.cache).await?;
            let machines = machines_by_cloud(&builders, &store.orphans(fleet, None).await?);
            self.decide_on_files(&machines).await;
            self.keep_clouds(&machines).await;
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
        let running = Arc::clone(&self.context);
        if self.files.are_waiting()
            && let Some(files) = self.files_to_lead_by()
        {
            let (file, context) = self.with_files(files);
            self.put_in_force(file, context).await;
        }
        let store = &self.context.store;
        let words = match to_lead_by(store, &self.files.file).await? {
            Ok(fleet) => {
                self.files.forsakes = None;
                if fleet != *self.context.fleet {
                    let context = self.context.with_clouds_of(Arc::new(fleet), &running);
                    self.put_in_force(Arc::clone(&self.files.file), context).await;
                }
                return Ok(None);
            }
            Err(words) => words,
        };
        if let Some(in_force) = store.fleet_file(Some(self.context.fleet.fleet)).await? {
            let now = self.context.clock.now();
            store
                .record_fleet_file(lease, &in_force, Some(&words), now)
                .await?;
        }
        Ok(Some(words))
    }

    /// Files of this fleet that were read and are not in force.
    fn files_to_lead_by(&self) -> Option<Files> {
        let files = self.files.read.as_ref()?.files_beside(&self.files.file)?;
        (files.fleet.fleet == self.context.fleet.fleet).then(|| files.clone())
    }

    /// Whether the files for which it did not lead would still lose the same machines: nothing is to be taken or written for that.
    pub(crate) async fn still_forsakes(&mut self) -> bool {
        let Some(words) = self.files.forsakes.clone() else {
            return false;
        };
        self.files.are_waiting();
        let files = self.files_to_lead_by();
        let file = files.as_ref().map_or(&self.files.file, |files| &files.fleet);
        let led_by = to_lead_by(&self.context.store, file).await;
        led_by.is_ok_and(|led_by| led_by.is_err_and(|found| found == words))
    }

    /// Takes up what was read, where it can be.
    async fn decide_on_files(&mut self, machines: &BTreeMap<String, Machines>) {
        let Some(news) = self.files.read.take() else {
            return;
        };
        let mut problem = news.problem().map(str::to_owned);
        if let Some(files) = news.files_beside(&self.files.file).cloned() {
            match unusable(&self.context.fleet, &files.fleet, machines) {
                None => {
                    let (file, context) = self.with_files(files);
                    let fleet = file.keeping(&self.context.fleet, machines);
                    let context = context.with_clouds_of(Arc::new(fleet), &self.context);
                    self.put_in_force(file, context).await;
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

    /// Lets those clouds go that the file does not name and that have nothing left of the fleet.
    async fn keep_clouds(&mut self, machines: &BTreeMap<String, Machines>) {
        let fleet = self.files.file.keeping(&self.context.fleet, machines);
        if fleet == *self.context.fleet {
            return;
        }
        let context = self.context.with_clouds_of(Arc::new(fleet), &self.context);
        self.put_in_force(Arc::clone(&self.files.file), context).await;
    }

    /// What these files lead to by themselves.
    fn with_files(&self, files: Files) -> (Arc<FleetSpec>, Context) {
        let Files {
            fleet,
            clouds,
            provisioner,
            reach,
        } = files;
        let context = Context {
            fleet: Arc::clone(&fleet),
            clouds,
            provisioner,
            reach,
            ..Context::clone(&self.context)
        };
        (fleet, context.rationed())
    }

    /// Steps that are under way end by the files with which they began.
    async fn put_in_force(&mut self, file: Arc<FleetSpec>, context: Context) {
        let changes = changes(&self.context.fleet, &context.fleet);
        info!("The fleet file was changed and is in force: {changes}.");
        for cloud in context.fleet.clouds_beside(&file) {
            info!("Cloud {cloud} is gone from the fleet file, and kept until its last machine has ended.");
        }
        self.context = Arc::new(context);
        self.clouds.stop().await;
        self.clouds = Clouds::new(&self.context);
        self.selection.stop().await;
        self.recorded.clear();
        self.files.file = file;
        self.files.is_recorded = false;
    }
}
