//! The files that a controller works by. They are read anew while it runs; what cannot be used changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cloud::Cloud;
use model::{
    BuilderState,
    fleet::{FleetSpec, machines_left},
};
use provisioner::Provisioner;
use store::{Builder, Store, machines_by_cloud};
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

/// What was read when the files had changed: they themselves, or what is wrong with them, as a text for operators.
pub type News = Result<Files, String>;

/// Where news come from: only the last are kept, since a controller that waits for its turn may take them up days later. `None`: there
/// were none yet.
pub type Reader = watch::Receiver<Option<News>>;

/// What a controller knows of its files.
#[derive(Debug, Default)]
pub(crate) struct Following {
    news: Option<Reader>,
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
    /// Files that are read anew and come from there.
    pub(crate) fn new(news: Reader) -> Self {
        Self {
            news: Some(news),
            ..Self::default()
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
        self.read.clone_from(&*news.borrow_and_update());
        Some(())
    }

    /// Whether files were read that are not taken up yet; only the last ones count.
    pub(crate) fn are_waiting(&mut self) -> bool {
        let news = self.news.as_mut();
        if let Some(news) = news.filter(|news| news.has_changed().unwrap_or_default()) {
            self.read.clone_from(&*news.borrow_and_update());
        }
        self.read.is_some()
    }
}

/// Why a fleet file cannot take the place of another while these builders are there.
pub(crate) fn unusable(old: &FleetSpec, new: &FleetSpec, builders: &[Builder]) -> Option<String> {
    if old.fleet != new.fleet {
        let (old, new) = (old.fleet, new.fleet);
        return Some(format!(
            "fleet: {new} is another fleet than {old}, which this controller leads; restart it to lead another"
        ));
    }
    if let Some(words) = machines_left(old, new, &machines_by_cloud(builders)) {
        return Some(words);
    }
    // Their steps go on by the file with which they began, and may launch in the next moment.
    let planned = builders
        .iter()
        .filter(|builder| builder.state == BuilderState::Planned && builder.host.is_none());
    let about_to_be = planned.map(|builder| (builder.cloud.clone(), 1)).collect();
    machines_left(old, new, &about_to_be)?;
    let clouds: Vec<&str> = about_to_be.keys().map(String::as_str).collect();
    Some(format!(
        "builders are about to be launched in {}, which it changes: it is taken up when they are not any more; with `max` of their \
         pools at 0 none is launched",
        clouds.join(", ")
    ))
}

/// The machines of a fleet that would run on with nobody to end them, if a controller led by this file, in words; `None` where there
/// are none. The file in force says where they were launched.
///
/// # Errors
/// When the database is away.
pub async fn left_behind(store: &Store, fleet: &FleetSpec) -> Result<Option<String>, store::Error> {
    let machines = store.machines_by_cloud(fleet.fleet).await?;
    let in_force = store.fleet_file(Some(fleet.fleet)).await?;
    // Of a file that an older version wrote and this one does not understand, the names of the clouds are known by the builders.
    let in_force = in_force.and_then(|spec| serde_json::from_value::<FleetSpec>(spec).ok());
    Ok(machines_left(
        in_force.as_ref().unwrap_or(fleet),
        fleet,
        &machines,
    ))
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
