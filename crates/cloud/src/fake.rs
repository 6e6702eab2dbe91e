//! A cloud that is a table in memory, for tests of the controller. It keeps client tokens as EC2 does.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use model::FleetId;

use crate::{
    BUILDER_TAG, Cloud, Error, FLEET_TAG, Instance, InstanceState, LAUNCH_TAG, LaunchRequest, POOL_TAG,
};

/// A cloud without machines.
#[derive(Debug, Default)]
pub struct FakeCloud {
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    instances: BTreeMap<String, Instance>,
    by_token: BTreeMap<String, String>,
    launch_failures: VecDeque<LaunchFailure>,
    calls: u64,
}

/// How the next launch fails.
#[derive(Debug)]
pub enum LaunchFailure {
    /// Nothing is made.
    Before(Error),
    /// The machine is made, and the answer is lost.
    After(Error),
}

impl FakeCloud {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next launch fail.
    pub fn fail_next_launch(&self, failure: LaunchFailure) {
        self.world().launch_failures.push_back(failure);
    }

    /// Every instance there ever was.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.world().instances.values().cloned().collect()
    }

    /// Puts an instance into another state, with an address once it runs.
    pub fn set_state(&self, instance_id: &str, state: InstanceState) {
        if let Some(instance) = self.world().instances.get_mut(instance_id) {
            instance.state = state;
            if state == InstanceState::Running {
                instance.address = Some("127.0.0.1".to_owned());
            }
        }
    }

    /// Adds an instance that no launch of ours made.
    pub fn add(&self, instance: Instance) {
        self.world().instances.insert(instance.id.clone(), instance);
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world().calls
    }
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        let mut world = self.world();
        world.calls += 1;
        let failure = world.launch_failures.pop_front();
        if let Some(LaunchFailure::Before(error)) = failure {
            return Err(error);
        }
        let token = request.launch.to_string();
        let made = world
            .by_token
            .get(&token)
            .and_then(|id| world.instances.get(id))
            .cloned();
        let instance = made.unwrap_or_else(|| {
            let tags = [
                (FLEET_TAG, request.fleet.to_string()),
                (BUILDER_TAG, request.builder.to_string()),
                (LAUNCH_TAG, token.clone()),
                (POOL_TAG, request.pool.to_string()),
            ];
            Instance {
                id: format!("i-{:017x}", world.instances.len() + 1),
                state: InstanceState::Pending,
                address: None,
                state_reason: None,
                tags: tags
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
            }
        });
        world.by_token.insert(token, instance.id.clone());
        world.instances.insert(instance.id.clone(), instance.clone());
        match failure {
            Some(LaunchFailure::After(error)) => Err(error),
            Some(LaunchFailure::Before(_)) | None => Ok(instance),
        }
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        let mut world = self.world();
        world.calls += 1;
        Ok(instance_ids
            .iter()
            .filter_map(|id| world.instances.get(id).cloned())
            .collect())
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        let mut world = self.world();
        world.calls += 1;
        Ok(world
            .instances
            .values()
            .filter(|instance| instance.belongs_to(fleet))
            .cloned()
            .collect())
    }

    async fn terminate(&self, instance_id: &str) -> Result<(), Error> {
        let mut world = self.world();
        world.calls += 1;
        if let Some(instance) = world.instances.get_mut(instance_id) {
            instance.state = InstanceState::Terminated;
        }
        Ok(())
    }

    async fn console_output(&self, _instance_id: &str) -> Result<String, Error> {
        self.world().calls += 1;
        Ok(String::new())
    }
}
