//! A cloud that is a table in memory, for tests of the controller. It keeps client tokens as EC2 does, and fails as it is told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use model::FleetId;

use crate::{
    Cloud, Dialect, End, Error, Image, Instance, InstanceState, LAUNCH_TAG, LaunchRequest, NewImage, Owner,
};

mod images;

/// A cloud without machines.
#[derive(Debug, Default)]
pub struct FakeCloud {
    world: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    instances: BTreeMap<String, Instance>,
    by_token: BTreeMap<String, String>,
    asked: Vec<LaunchRequest>,
    launch_failures: VecDeque<LaunchFailure>,
    away: Option<Error>,
    protected: BTreeMap<String, Error>,
    unprotected: Vec<String>,
    keeps_protection: Option<Error>,
    unlisted: BTreeSet<String>,
    hidden: BTreeSet<String>,
    terminated: Vec<String>,
    refused_types: BTreeMap<String, Error>,
    uncountable: Option<Error>,
    untaggable: Option<Error>,
    dialect: Option<Dialect>,
    silent_on_dialect: Option<Error>,
    images: images::Images,
    consoles: BTreeMap<String, Console>,
    read_consoles: Vec<String>,
    calls: u64,
    counts: u64,
}

/// What comes of a question for a console.
#[derive(Clone, Debug)]
enum Console {
    Answer(Result<String, Error>),
    /// Nothing, ever.
    Silence,
}

/// How a launch fails.
#[derive(Clone, Debug)]
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

    /// Counts a call, which fails when the cloud is away.
    fn call(&self) -> Result<MutexGuard<'_, World>, Error> {
        let mut world = self.world();
        world.calls += 1;
        match &world.away {
            Some(error) => Err(error.clone()),
            None => Ok(world),
        }
    }

    /// Has the next launch fail; called again, the one after it.
    pub fn fail_next_launch(&self, failure: LaunchFailure) {
        self.world().launch_failures.push_back(failure);
    }

    /// Has every launch of an instance type fail before anything is made, or none any more.
    pub fn refuse_type(&self, instance_type: &str, error: Option<Error>) {
        let mut world = self.world();
        match error {
            Some(error) => world.refused_types.insert(instance_type.to_owned(), error),
            None => world.refused_types.remove(instance_type),
        };
    }

    /// Has every call fail from now on, or none any more.
    pub fn set_away(&self, error: Option<Error>) {
        self.world().away = error;
    }

    /// Has every list of all instances fail from now on, or none any more.
    pub fn refuse_to_count(&self, error: Option<Error>) {
        self.world().uncountable = error;
    }

    /// Has the cloud refuse to tag instances from now on, or not any more.
    pub fn refuse_to_tag(&self, error: Option<Error>) {
        self.world().untaggable = error;
    }

    /// Has the endpoint show a dialect from now on, or none any more.
    pub fn show_dialect(&self, dialect: Option<Dialect>) {
        self.world().dialect = dialect;
    }

    /// Has every question for the dialect fail from now on, or none any more.
    pub fn refuse_to_show_dialect(&self, error: Option<Error>) {
        self.world().silent_on_dialect = error;
    }

    /// Has the cloud refuse to end an instance, or not any more.
    pub fn protect(&self, instance_id: &str, error: Option<Error>) {
        let mut world = self.world();
        match error {
            Some(error) => world.protected.insert(instance_id.to_owned(), error),
            None => world.protected.remove(instance_id),
        };
    }

    /// Has the cloud refuse to take any protection away from now on, or not any more.
    pub fn keep_protection(&self, error: Option<Error>) {
        self.world().keeps_protection = error;
    }

    /// The ids of the instances whose protection was to be taken away, as often as it was asked.
    #[must_use]
    pub fn unprotected(&self) -> Vec<String> {
        self.world().unprotected.clone()
    }

    /// Leaves an instance out of lists; asked for by its id it is still there.
    pub fn leave_out(&self, instance_id: &str) {
        self.world().unlisted.insert(instance_id.to_owned());
    }

    /// Leaves an instance out of every answer, or shows it everywhere again.
    pub fn hide(&self, instance_id: &str, is_hidden: bool) {
        let mut world = self.world();
        if is_hidden {
            world.hidden.insert(instance_id.to_owned());
        } else {
            world.hidden.remove(instance_id);
            world.unlisted.remove(instance_id);
        }
    }

    /// Has an instance's console show this from now on, or every question for it fail. It is empty before.
    pub fn show_console(&self, instance_id: &str, console: Result<String, Error>) {
        let console = Console::Answer(console);
        self.world().consoles.insert(instance_id.to_owned(), console);
    }

    /// Has no question for an instance's console be answered from now on.
    pub fn silence_console(&self, instance_id: &str) {
        self.world()
            .consoles
            .insert(instance_id.to_owned(), Console::Silence);
    }

    /// The ids of the instances whose consoles were asked for, in the order of asking.
    #[must_use]
    pub fn read_consoles(&self) -> Vec<String> {
        self.world().read_consoles.clone()
    }

    /// Every instance there ever was.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.world().instances.values().cloned().collect()
    }

    /// The launches that reached the cloud, with those that it refused and those that were repeated.
    #[must_use]
    pub fn asked(&self) -> Vec<LaunchRequest> {
        self.world().asked.clone()
    }

    /// The ids of the instances that were to be ended, in the order of asking, as often as it was asked.
    #[must_use]
    pub fn terminated(&self) -> Vec<String> {
        self.world().terminated.clone()
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

    /// How many of these asked for all instances.
    #[must_use]
    pub fn counts(&self) -> u64 {
        self.world().counts
    }
}

fn new_instance(number: usize, request: &LaunchRequest) -> Instance {
    let owner = request.owner().tags();
    let tags = owner
        .into_iter()
        .chain([(LAUNCH_TAG, request.launch.to_string())]);
    Instance {
        id: format!("i-{number:017x}"),
        state: InstanceState::Pending,
        address: None,
        state_reason: None,
        offering: Some(request.offering.clone()),
        tags: tags.map(|(key, value)| (key.to_owned(), value)).collect(),
    }
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        let mut world = self.call()?;
        world.asked.push(request.clone());
        let failure = world.launch_failures.pop_front();
        if let Some(LaunchFailure::Before(error)) = failure {
            return Err(error);
        }
        if let Some(error) = world.refused_types.get(&request.offering.instance_type) {
            return Err(error.clone());
        }
        let token = request.launch.to_string();
        let made = world
            .by_token
            .get(&token)
            .and_then(|id| world.instances.get(id))
            .cloned();
        let instance = match made {
            Some(instance) if instance.state == InstanceState::Terminated => return Err(Error::Ended),
            Some(instance) => instance,
            None => new_instance(world.instances.len() + 1, request),
        };
        world.by_token.insert(token, instance.id.clone());
        world.instances.insert(instance.id.clone(), instance.clone());
        match failure {
            Some(LaunchFailure::After(error)) => Err(error),
            Some(LaunchFailure::Before(_)) | None => Ok(instance),
        }
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        let world = self.call()?;
        Ok(instance_ids
            .iter()
            .filter(|id| !world.hidden.contains(*id))
            .filter_map(|id| world.instances.get(id).cloned())
            .collect())
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        let world = self.call()?;
        let is_shown = |instance: &&Instance| {
            let id = &instance.id;
            instance.belongs_to(fleet) && !world.unlisted.contains(id) && !world.hidden.contains(id)
        };
        Ok(world.instances.values().filter(is_shown).cloned().collect())
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        let mut world = self.call()?;
        world.counts += 1;
        match &world.uncountable {
            Some(error) => Err(error.clone()),
            None => Ok(world.instances.values().cloned().collect()),
        }
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        let mut world = self.call()?;
        if let Some(error) = &world.untaggable {
            return Err(error.clone());
        }
        if let Some(instance) = world.instances.get_mut(instance_id) {
            let tags = owner.tags().map(|(key, value)| (key.to_owned(), value));
            instance.tags.extend(tags);
        }
        Ok(())
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        let mut world = self.call()?;
        world.terminated.push(instance_id.to_owned());
        if let Some(error) = world.protected.get(instance_id) {
            return Err(error.clone());
        }
        if let Some(instance) = world.instances.get_mut(instance_id) {
            instance.state = InstanceState::Terminated;
        }
        Ok(End::Asked)
    }

    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        let mut world = self.call()?;
        world.unprotected.push(instance_id.to_owned());
        if let Some(error) = &world.keeps_protection {
            return Err(error.clone());
        }
        world.protected.remove(instance_id);
        Ok(())
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        let console = {
            let mut world = self.call()?;
            world.read_consoles.push(instance_id.to_owned());
            world.consoles.get(instance_id).cloned()
        };
        match console {
            Some(Console::Answer(answer)) => answer,
            Some(Console::Silence) => std::future::pending().await,
            None => Ok(String::new()),
        }
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, Error> {
        self.call()?.images.find(id)
    }

    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        Ok(self.call()?.images.of(fleet))
    }

    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.call()?.images.named(owner, name)
    }

    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error> {
        self.call()?.images.create(wanted)
    }

    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        self.call()?.images.tag(id, tags)
    }

    async fn delete_image(&self, id: &str) -> Result<(), Error> {
        self.call()?.images.delete(id);
        Ok(())
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        let world = self.call()?;
        match &world.silent_on_dialect {
            Some(error) => Err(error.clone()),
            None => Ok(world.dialect.clone()),
        }
    }
}
