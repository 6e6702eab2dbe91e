//! The fleet and the queue: observe, plan, commit, act.
//!
//! One controller of a fleet holds the lease and acts; others wait for it. Each round it reads the database
//! and, when due, the clouds; asks [`model::plan()`] what to do; writes the decisions down; and then does
//! one step for every builder that needs one, many at a time. Whatever it does to the outside is on record
//! before it is done, so that a controller that starts anew goes on where another was killed.
//!
//! It alone reads cloud credentials. It never sees sources, results or signing keys. Start with `round`.

mod adopt;
mod agent;
mod calls;
mod clients;
mod clouds;
mod commit;
mod console;
mod consoles;
mod doubts;
mod files;
mod heard;
mod hooks;
mod host_keys;
mod image;
mod intents;
mod lead;
mod lines;
mod lives;
mod notices;
mod observe;
mod passes;
mod pauses;
mod place;
mod reach;
mod recipe;
mod reload;
mod request;
mod round;
mod selection;
mod snapshot;
mod step;
mod steps;
mod term;
#[cfg(test)]
mod testing;
mod turns;
mod warnings;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

pub use calls::{Calls, Spender, rationed};
pub use clients::Clients;
use cloud::Cloud;
pub use files::{Files, News, Reader, to_lead_by};
use futures_util::FutureExt as _;
pub use hooks::{HookRunner, Order, Tried};
pub use image::{BOOT_TAG, playbook_digest};
use model::fleet::{CloudSpec, FleetSpec};
use provisioner::Provisioner;
pub use reach::{Machine, OverSsh, Reach};
pub use round::Controller;
use runtime::{CancellationToken, clock::Clock};
pub use selection::listed;
use shell::ClientKey;
pub use snapshot::{budgets, quota, snapshot};
pub use step::playbook_variables;
use store::Store;
pub use term::Term;

/// All that a controller needs: database, fleet file, clouds, and a way into machines.
#[derive(Clone)]
pub struct Context {
    pub store: Store,
    /// The fleet file, as it was read at the start.
    pub fleet: Arc<FleetSpec>,
    /// The clouds, by their names in the fleet.
    pub clouds: BTreeMap<String, Arc<dyn Cloud>>,
    /// How it gets a client of a cloud that the file does not name any more, and that still has machines.
    pub clients: Clients,
    /// How many calls this process may make to them.
    pub calls: Calls,
    /// Until when this process may act as the leader.
    pub term: Term,
    /// The playbooks and files that make a machine a builder.
    pub provisioner: Arc<Provisioner>,
    /// How the controller opens machines: over SSH, or in tests not at all.
    pub reach: Arc<dyn Reach>,
    /// The private key that the machines let in.
    pub key: Arc<ClientKey>,
    /// The farm's address as builders reach it.
    pub builder_url: String,
    /// This controller's name in the lease.
    pub holder: String,
    /// The clock of all its decisions; tests move it by hand.
    pub clock: Clock,
    /// Cancelled when nothing new is to be begun: what runs goes on, nothing is launched and nothing assigned.
    pub quiesce: CancellationToken,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("fleet", &self.fleet.name)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Itself, with clouds that are called no more often than the fleet file says.
    fn rationed(mut self) -> Self {
        let clouds = std::mem::take(&mut self.clouds);
        let clouds = clouds
            .into_iter()
            .map(|(name, cloud)| match self.fleet.clouds.get(&name) {
                Some(spec) => {
                    let cloud = self.ration(cloud, &name, spec);
                    (name, cloud)
                }
                None => (name, cloud),
            });
        let clouds = clouds.collect();
        Self { clouds, ..self }
    }

    /// A client of a cloud that is called no more often than the fleet file says.
    fn ration(&self, cloud: Arc<dyn Cloud>, name: &str, spec: &CloudSpec) -> Arc<dyn Cloud> {
        let spender = Spender {
            store: self.store.clone(),
            clock: self.clock.clone(),
            calls: self.calls.clone(),
        };
        rationed(cloud, (self.fleet.fleet, name, spec), &spender)
    }
}

/// What stops a controller, or one of its steps.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused a call, or does not answer; the next round tries again.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A cloud refused a call, or does not answer.
    #[error("cloud {cloud}")]
    Cloud {
        /// The cloud's name in the fleet file.
        cloud: String,
        #[source]
        source: cloud::Error,
    },
    /// A key could not be made or read.
    #[error("keys of a builder")]
    Keys(#[source] shell::Error),
    /// A row and `fleet.yaml` contradict each other.
    #[error("{0}")]
    Contradiction(String),
    /// The fleet file does not lead to these machines, which run.
    #[error(
        "the fleet file leads to some machines of the farm no more, and nobody would end them: {0}. Write back what was there"
    )]
    Forsakes(String),
    /// The lease could not be renewed in time: another controller may lead by now.
    #[error("the lease could not be renewed in time")]
    LeaseNotRenewed,
    /// A part of this program panicked.
    #[error("{0} panicked")]
    Panicked(String),
}

/// A panic as an error: one bad row or answer must not take the others' work with it.
async fn caught<T>(what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            tracing::error!("A fault of this program: {what} panicked.");
            Err(Error::Panicked(what.to_owned()))
        }
    }
}
