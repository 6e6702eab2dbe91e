//! The files that a controller works by. They are read anew while it runs; what cannot be used changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cloud::Cloud;
use model::fleet::{FleetSpec, Machines, about_to_be_launched, machines_left};
use provisioner::Provisioner;
use store::{FleetCache, Store, machines_by_cloud};
use tokio::sync::watch;

use crate::Reach;

/// The fleet file and what belongs to it, all as it was at one moment.
#[derive(Clone)]
pub struct Files {
    pub fleet: Arc<FleetSpec>,
    /// The clouds, by their names in the fleet.
    pub clouds: BTreeMap<String, Arc<dyn Cloud>>,
    /// The playbooks and files that make a machine a builder.
    pub provisioner: Arc<Provisioner>,
    /// How machines are opened to play them.
    pub reach: Arc<dyn Reach>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("fleet", &self.fleet.name)
            .finish_non_exhaustive()
    }
}

/// What was read since the files changed. Only the last counts, since a controller that waits for its turn may take it up days later.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The last files that could be read as a whole.
    files: Option<Files>,
    /// What is wrong with those that stand now, as a text for operators.
    problem: Option<String>,
}

impl News {
    /// Takes note of what was read now: files, or what is wrong with them.
    pub fn note(&mut self, read: Result<Files, String>) {
        match read {
            Ok(files) => {
                (self.files, self.problem) = (Some(files), None);
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// The files, where they are others than those that were taken up last.
    pub(crate) fn files_beside(&self, taken_up: &Arc<FleetSpec>) -> Option<&Files> {
        let files = self.files.as_ref();
        files.filter(|files| !Arc::ptr_eq(&files.fleet, taken_up))
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

/// Where news come from.
pub type Reader = watch::Receiver<News>;

/// What a controller knows of its files.
#[derive(Debug)]
pub(crate) struct Following {
    news: Option<Reader>,
    /// The fleet file that was taken up last. What is in force may have clouds besides, see [`FleetSpec::keeping`].
    pub(crate) file: Arc<FleetSpec>,
    /// What was read and not taken up yet.
    pub(crate) read: Option<News>,
    /// The machines to which the files do not lead, for which this controller does not lead; once that was said.
    pub(crate) forsakes: Option<String>,
    /// Why the files as they stand are not in force.
    pub(crate) problem: Option<String>,
    /// Whether the database says what is in force, and why the files that stand are not.
    pub(crate) is_recorded: bool,
}

impl Following {
    /// A file that is taken up, and where those come from that are read anew, if they are.
    pub(crate) fn new(file: Arc<FleetSpec>, news: Option<Reader>) -> Self {
        Self {
            news,
            file,
            read: None,
            forsakes: None,
            problem: None,
            is_recorded: false,
        }
    }

    /// Another controller may have written since.
    pub(crate) fn forget_what_is_recorded(&mut self) {
        self.is_recorded = false;
    }

    /// Waits for files that are read anew.
    pub(crate) async fn change(&mut self) -> Option<()> {
        let news = self.news.as_mut()?;
        news.changed().await.ok()?;
        self.read = Some(news.borrow_and_update().clone());
        Some(())
    }

    /// Whether something was read that is not taken up yet.
    pub(crate) fn are_waiting(&mut self) -> bool {
        let news = self.news.as_mut();
        if let Some(news) = news.filter(|news| news.has_changed().unwrap_or_default()) {
            self.read = Some(news.borrow_and_update().clone());
        }
        self.read.is_some()
    }
}

/// Why a fleet file cannot take the place of another while these machines are there, and builders are planned.
pub(crate) fn unusable(
    old: &FleetSpec,
    new: &FleetSpec,
    machines: &BTreeMap<String, Machines>,
) -> Option<String> {
    if old.fleet != new.fleet {
        let (old, new) = (old.fleet, new.fleet);
        return Some(format!(
            "fleet: {new} is another fleet than {old}, which this controller leads; restart it to lead another"
        ));
    }
    if let Some(words) = machines_left(old, new, machines) {
        return Some(words);
    }
    let changed = about_to_be_launched(old, new, machines);
    (!changed.is_empty()).then(|| {
        format!(
            "builders are about to be launched in {}, which it changes: it is taken up when they are not any more; with `max` of their \
             pools at 0 none is launched",
            changed.join(", ")
        )
    })
}

/// The fleet by which a controller leads with this file: the file, with those clouds of the one in force that it lacks and that still
/// have machines. As the inner error, in words, which machines would run on with nobody to end them: then nobody leads by it.
///
/// # Errors
/// When the database is away.
pub async fn to_lead_by(store: &Store, file: &FleetSpec) -> Result<Result<FleetSpec, String>, store::Error> {
    let builders = store
        .look_at_builders(file.fleet, &mut FleetCache::default())
        .await?;
    let strays = store.orphans(file.fleet, None).await?;
    let machines = machines_by_cloud(&builders, &strays);
    let in_force = store.fleet_file(Some(file.fleet)).await?;
    // Of a file that an older version wrote and this one does not understand, the names of the clouds are known by the builders.
    let in_force = in_force.and_then(|spec| serde_json::from_value::<FleetSpec>(spec).ok());
    let in_force = in_force.as_ref().unwrap_or(file);
    Ok(match machines_left(in_force, file, &machines) {
        Some(words) => Err(words),
        None => Ok(file.keeping(in_force, &machines)),
    })
}

/// What a file changes, in one line.
pub(crate) fn changes(old: &FleetSpec, new: &FleetSpec) -> String {
    let names: BTreeSet<_> = old.pools.keys().chain(new.pools.keys()).collect();
    let mut told: Vec<String> = Vec::new();
    for name in names {
        match (old.pools.get(name), new.pools.get(name)) {
            (None, Some(_)) => told.push(format!("pool {name} is new")),
            (Some(_), None) => told.push(format!("pool {name} is gone")),
            (old, new) if old != new => told.push(format!("pool {name} changes")),
            _ => {}
        }
    }
    for (what, differs) in [
        ("controller", old.controller != new.controller),
        ("clouds", old.clouds != new.clouds),
        ("images", old.images != new.images),
        ("provision", old.provision != new.provision),
        ("fairness", old.fairness != new.fairness),
        ("hooks", old.hooks != new.hooks),
        ("name", old.name != new.name),
    ] {
        if differs {
            told.push(format!("`{what}` changes"));
        }
    }
    if told.is_empty() {
        return "it says the same as before".to_owned();
    }
    told.join(", ")
}

#[cfg(test)]
mod tests;
