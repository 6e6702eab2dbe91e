//! A cloud that is called no more often than it may be.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use cloud::{
    Cloud, Dialect, End, Error, IDS_AT_ONCE, INSTANCES_ON_A_PAGE, Image, Instance, LaunchRequest, NewImage,
    Owner,
};
use model::{
    FleetId,
    calls::{Buckets, CallClass},
    fleet::CloudSpec,
};
use runtime::clock::Clock;
use store::{CallBudget, Store};

use super::{Calls, Taking};

/// How many calls the question for a dialect is.
const CALLS_FOR_DIALECT: u32 = 2;

/// How long a call of each class waits for its turn: not so long that the deadline of whoever makes it is over. For launches and
/// ends nobody waits here but those that were begun a moment too late.
const fn patience(class: CallClass) -> Duration {
    match class {
        CallClass::Launch | CallClass::Terminate => Duration::from_secs(2),
        CallClass::Tag | CallClass::Read => Duration::from_secs(10),
        CallClass::Change => Duration::from_secs(30),
    }
}

/// Where calls are counted, and by whose clock.
#[derive(Clone, Debug)]
pub struct Spender {
    pub store: Store,
    pub clock: Clock,
    pub calls: Calls,
}

/// A cloud, called only as often as its fleet file says; the cloud itself where that is no limit.
#[must_use]
pub fn rationed(
    cloud: Arc<dyn Cloud>,
    (fleet, name, spec): (FleetId, &str, &CloudSpec),
    spender: &Spender,
) -> Arc<dyn Cloud> {
    let buckets = spec.buckets();
    if buckets.is_empty() {
        return cloud;
    }
    Arc::new(Rationed {
        cloud,
        fleet,
        name: name.to_owned(),
        buckets,
        spender: spender.clone(),
    })
}

/// A cloud whose calls are counted before they are made.
#[derive(Debug)]
struct Rationed {
    cloud: Arc<dyn Cloud>,
    fleet: FleetId,
    name: String,
    buckets: Buckets,
    spender: Spender,
}

impl Rationed {
    /// Makes so many calls of a class, when there are so many.
    async fn spend<T>(
        &self,
        class: CallClass,
        cost: u32,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let Some(taking) = self.taking(class).filter(|_| cost > 0) else {
            return call.await;
        };
        let taken = taking.take(cost, patience(class)).await;
        taken.map_err(|wait| Error::Rationed { class, wait })?;
        let asked_at = self.spender.clock.now();
        let answer = call.await;
        if matches!(answer, Err(Error::Throttled { .. })) {
            taking.slow(asked_at).await;
        }
        answer
    }

    /// How calls of a class are taken; `None` where they have no limit.
    fn taking(&self, class: CallClass) -> Option<Taking<'_>> {
        Some(Taking {
            calls: &self.spender.calls,
            store: &self.spender.store,
            clock: &self.spender.clock,
            budget: CallBudget {
                fleet: self.fleet,
                cloud: &self.name,
                class,
                bucket: *self.buckets.get(&class)?,
            },
        })
    }

    /// A list, whose further pages are counted when it is known how many there were.
    async fn listed(
        &self,
        call: impl Future<Output = Result<Vec<Instance>, Error>> + Send,
    ) -> Result<Vec<Instance>, Error> {
        let listed = self.spend(CallClass::Read, 1, call).await?;
        if let Some(taking) = self.taking(CallClass::Read) {
            taking
                .charge(times(listed.len(), usize::from(INSTANCES_ON_A_PAGE)).saturating_sub(1))
                .await;
        }
        Ok(listed)
    }
}

/// How many calls it takes to ask for so many, of which one call holds some.
fn times(count: usize, at_once: usize) -> u32 {
    u32::try_from(count.div_ceil(at_once)).unwrap_or(u32::MAX)
}

#[async_trait]
impl Cloud for Rationed {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        self.spend(CallClass::Launch, 1, self.cloud.launch(request)).await
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        let calls = times(instance_ids.len(), IDS_AT_ONCE);
        self.spend(CallClass::Read, calls, self.cloud.describe(instance_ids))
            .await
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        self.listed(self.cloud.list(fleet)).await
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        self.listed(self.cloud.list_all()).await
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        self.spend(CallClass::Tag, 1, self.cloud.tag(instance_id, owner))
            .await
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        self.spend(CallClass::Terminate, 1, self.cloud.terminate(instance_id))
            .await
    }

    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        self.spend(CallClass::Change, 1, self.cloud.unprotect(instance_id))
            .await
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        self.spend(CallClass::Read, 1, self.cloud.console_output(instance_id))
            .await
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, Error> {
        self.spend(CallClass::Read, 1, self.cloud.image(id)).await
    }

    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        self.spend(CallClass::Read, 1, self.cloud.images(fleet)).await
    }

    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.spend(CallClass::Read, 1, self.cloud.images_named(owner, name))
            .await
    }

    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error> {
        self.spend(CallClass::Change, 1, self.cloud.create_image(wanted))
            .await
    }

    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        self.spend(CallClass::Tag, 1, self.cloud.tag_image(id, tags))
            .await
    }

    async fn delete_image(&self, id: &str) -> Result<(), Error> {
        self.spend(CallClass::Change, 1, self.cloud.delete_image(id))
            .await
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        self.spend(CallClass::Read, CALLS_FOR_DIALECT, self.cloud.dialect())
            .await
    }
}
