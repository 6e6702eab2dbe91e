//! The fleet and the queue: observe, plan, commit, act.
//!
//! One controller of a fleet holds the lease and acts; others wait for it. Each round it reads the database
//! and, when due, the clouds; asks [`model::plan()`] what to do; writes the decisions down; and then does
//! one step for every builder that needs one, many at a time. Whatever it does to the outside is on record
//! before it is done, so that a controller that starts anew goes on where another was killed.
//!
//! It alone reads cloud credentials. It never sees sources, results or signing keys. Start with `round`.

mod observe;
mod pauses;
mod request;
mod round;
mod snapshot;
mod step;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cloud::Cloud;
use model::fleet::FleetSpec;
use provisioner::Provisioner;
pub use round::Controller;
use shell::ClientKey;
pub use snapshot::snapshot;
use store::Store;

/// How long an instance that nobody knows is watched before it is ended.
pub const STRAY_GRACE: Duration = Duration::from_secs(120);

/// What a controller works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// What the operator wants.
    pub fleet: Arc<FleetSpec>,
    /// The clouds, by their names in the fleet.
    pub clouds: BTreeMap<String, Arc<dyn Cloud>>,
    /// What makes a machine a builder.
    pub provisioner: Arc<Provisioner>,
    /// What opens builders.
    pub key: Arc<ClientKey>,
    /// The farm's address as builders reach it.
    pub builder_url: String,
    /// This controller's name in the lease.
    pub holder: String,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("fleet", &self.fleet.name)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// What stops a controller, or one of its steps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is away; the next round tries again.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A cloud refused or is away.
    #[error("cloud {cloud}")]
    Cloud {
        /// Its name in the fleet.
        cloud: String,
        /// What it said.
        #[source]
        source: cloud::Error,
    },
    /// A key could not be made or read.
    #[error("keys of a builder")]
    Keys(#[source] shell::Error),
    /// A row and `fleet.yaml` contradict each other.
    #[error("{0}")]
    Contradiction(String),
}
