//! A cloud with EC2's buckets, counted in another way than ours: by the calls of the past.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use cloud::{Cloud, Dialect, End, Error, FakeCloud, Image, Instance, LaunchRequest, NewImage, Owner};
use model::{FleetId, calls::CallClass};
use runtime::clock::{Clock, ManualClock};

use super::lock;

/// What is left of each bucket when it was looked at last, in seconds since the beginning, and what came of calls.
#[derive(Debug, Default)]
struct Seen {
    left: f64,
    at: f64,
    granted: u32,
    refused: u32,
    /// How many calls are refused whatever is left.
    to_refuse: u32,
}

#[derive(Debug)]
pub(super) struct Strict {
    cloud: FakeCloud,
    clock: Clock,
    seen: Mutex<BTreeMap<CallClass, Seen>>,
}

/// Size and rate as EC2's documentation has them.
const fn size(class: CallClass) -> (f64, f64) {
    match class {
        CallClass::Launch => (5.0, 2.0),
        CallClass::Terminate => (100.0, 5.0),
        CallClass::Tag => (100.0, 10.0),
        CallClass::Change => (50.0, 5.0),
        CallClass::Read => (100.0, 20.0),
    }
}

impl Strict {
    pub(super) fn new(clock: &ManualClock) -> Self {
        let full = |class: CallClass| Seen {
            left: size(class).0,
            ..Seen::default()
        };
        Self {
            cloud: FakeCloud::default(),
            clock: Clock::Manual(clock.clone()),
            seen: Mutex::new(CallClass::ALL.map(|class| (class, full(class))).into()),
        }
    }

    pub(super) fn granted(&self, class: CallClass) -> u32 {
        lock(&self.seen)[&class].granted
    }

    pub(super) fn refused(&self, class: CallClass) -> u32 {
        lock(&self.seen)[&class].refused
    }

    /// Has the next call of a class refused.
    pub(super) fn refuse_next(&self, class: CallClass) {
        lock(&self.seen).get_mut(&class).unwrap().to_refuse += 1;
    }

    fn call(&self, class: CallClass) -> Result<(), Error> {
        let mut all = lock(&self.seen);
        let seen = all.get_mut(&class).unwrap();
        let (now, (capacity, rate)) = (self.clock.elapsed().as_secs_f64(), size(class));
        seen.left = (seen.left + (now - seen.at) * rate).min(capacity);
        seen.at = now;
        // What is lost in the last digit is not held against anybody.
        if seen.to_refuse > 0 || seen.left < 1.0 - 1e-4 {
            seen.to_refuse = seen.to_refuse.saturating_sub(1);
            seen.refused += 1;
            return Err(Error::Throttled {
                code: "RequestLimitExceeded".to_owned(),
            });
        }
        seen.left -= 1.0;
        seen.granted += 1;
        Ok(())
    }
}

#[async_trait]
impl Cloud for Strict {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        self.call(CallClass::Launch)?;
        self.cloud.launch(request).await
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.describe(instance_ids).await
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.list(fleet).await
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.list_all().await
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        self.call(CallClass::Tag)?;
        self.cloud.tag(instance_id, owner).await
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        self.call(CallClass::Terminate)?;
        self.cloud.terminate(instance_id).await
    }

    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        self.call(CallClass::Change)?;
        self.cloud.unprotect(instance_id).await
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        self.call(CallClass::Read)?;
        self.cloud.console_output(instance_id).await
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.image(id).await
    }

    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.images(fleet).await
    }

    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.images_named(owner, name).await
    }

    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error> {
        self.call(CallClass::Change)?;
        self.cloud.create_image(wanted).await
    }

    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        self.call(CallClass::Tag)?;
        self.cloud.tag_image(id, tags).await
    }

    async fn delete_image(&self, id: &str) -> Result<(), Error> {
        self.call(CallClass::Change)?;
        self.cloud.delete_image(id).await
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        self.call(CallClass::Read)?;
        self.cloud.dialect().await
    }
}
