//! Clients of clouds that the fleet file does not name any more.

use std::{fmt, sync::Arc};

use cloud::Cloud;
use model::fleet::{CloudSpec, FleetSpec, HOSTS};

use crate::Context;

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
    /// clouds that the fleet has no more. As an error in words why it cannot have one.
    pub(crate) fn with_clouds_of(&self, fleet: Arc<FleetSpec>) -> Result<Self, String> {
        let mut context = Self {
            fleet: Arc::clone(&fleet),
            ..self.clone()
        };
        context
            .clouds
            .retain(|name, _| name == HOSTS || fleet.clouds.contains_key(name));
        for (name, spec) in &fleet.clouds {
            if !context.clouds.contains_key(name) {
                let client = self.clients.make(name, spec).map_err(|why| {
                    format!("clouds.{name} is gone, and its machines cannot be ended: {why}")
                })?;
                let client = context.ration(client, name, spec);
                context.clouds.insert(name.clone(), client);
            }
        }
        Ok(context)
    }
}
