//! Clients of clouds that the fleet file does not name any more.

use std::{fmt, sync::Arc};

use cloud::Cloud;
use model::fleet::{CloudSpec, FleetSpec, HOSTS};
use retried::Retried;

use crate::Context;

mod retried;

type Make = dyn Fn(&str, &CloudSpec) -> Result<Arc<dyn Cloud>, String> + Send + Sync;

/// How a client of a cloud is made, by the cloud's name and what a fleet file said of it; by default nobody makes one.
#[derive(Clone, Default)]
pub struct Clients(Option<Arc<Make>>);

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Clients that are made by a function, which says in words for operators why it makes none.
    pub fn new(
        make: impl Fn(&str, &CloudSpec) -> Result<Arc<dyn Cloud>, String> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(make)))
    }

    fn make(&self, name: &str, spec: &CloudSpec) -> Result<Arc<dyn Cloud>, String> {
        match &self.0 {
            Some(make) => make(name, spec),
            None => Err("this program makes no client of it".to_owned()),
        }
    }
}

impl Context {
    /// Itself with this fleet in force, which has other clouds besides those of the file: it gets clients of them, and loses those of
    /// clouds that the fleet has no more. Where none can be made, for one since the access key went with the cloud, that of the
    /// controller as it runs serves on; without one the cloud counts as away until a client can be made.
    pub(crate) fn with_clouds_of(&self, fleet: Arc<FleetSpec>, running: &Self) -> Self {
        let mut context = Self {
            fleet: Arc::clone(&fleet),
            ..self.clone()
        };
        context
            .clouds
            .retain(|name, _| name == HOSTS || fleet.clouds.contains_key(name));
        for (name, spec) in &fleet.clouds {
            if !context.clouds.contains_key(name) {
                let client = context.client_of_kept(name, spec, running);
                context.clouds.insert(name.clone(), client);
            }
        }
        context
    }

    fn client_of_kept(&self, name: &str, spec: &CloudSpec, running: &Self) -> Arc<dyn Cloud> {
        let made = match self.clients.make(name, spec) {
            Ok(made) => made,
            Err(_) => {
                let is_same = running.fleet.clouds.get(name) == Some(spec);
                if let Some(client) = running.clouds.get(name).filter(|_| is_same) {
                    return Arc::clone(client);
                }
                Arc::new(Retried::new(name, spec, &self.clients))
            }
        };
        self.ration(made, name, spec)
    }
}
