//! A cloud of which there is no client yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use cloud::{Cloud, Dialect, End, Error, Image, Instance, LaunchRequest, NewImage, Owner};
use model::{
    FleetId,
    fleet::{CloudSpec, CredentialsSource},
};

use super::Clients;

/// A cloud that is gone from the fleet file and of which no client can be made: each call tries to make one, and fails with the reason.
#[derive(Debug)]
pub(super) struct Retried {
    name: String,
    spec: CloudSpec,
    clients: Clients,
    client: OnceLock<Arc<dyn Cloud>>,
}

impl Retried {
    pub(super) fn new(name: &str, spec: &CloudSpec, clients: &Clients) -> Self {
        Self {
            name: name.to_owned(),
            spec: spec.clone(),
            clients: clients.clone(),
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> Result<&dyn Cloud, Error> {
        if let Some(client) = self.client.get() {
            return Ok(&**client);
        }
        let made = self.clients.make(&self.name, &self.spec);
        let made = made.map_err(|why| Error::NoAccess {
            why: format!(
                "clouds.{} is no longer in fleet.yaml, and machines are left there: {why}. {}",
                self.name,
                advice(self.spec.credentials.source)
            ),
        })?;
        Ok(&**self.client.get_or_init(|| made))
    }
}

/// What there is to do for whoever is told that a cloud cannot be asked.
const fn advice(source: CredentialsSource) -> &'static str {
    match source {
        CredentialsSource::File | CredentialsSource::Environment => {
            "Put its access key back where it was: it is used as soon as it can be read"
        }
        CredentialsSource::InstanceRole | CredentialsSource::Embedded => {
            "Until it can be asked, end its machines where they run"
        }
    }
}

#[async_trait]
impl Cloud for Retried {
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        self.client()?.launch(request).await
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        self.client()?.describe(instance_ids).await
    }

    async fn list(&self, fleet: FleetId) -> Result<Vec<Instance>, Error> {
        self.client()?.list(fleet).await
    }

    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        self.client()?.list_all().await
    }

    async fn tag(&self, instance_id: &str, owner: &Owner) -> Result<(), Error> {
        self.client()?.tag(instance_id, owner).await
    }

    async fn terminate(&self, instance_id: &str) -> Result<End, Error> {
        self.client()?.terminate(instance_id).await
    }

    async fn unprotect(&self, instance_id: &str) -> Result<(), Error> {
        self.client()?.unprotect(instance_id).await
    }

    async fn console_output(&self, instance_id: &str) -> Result<String, Error> {
        self.client()?.console_output(instance_id).await
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, Error> {
        self.client()?.image(id).await
    }

    async fn images(&self, fleet: FleetId) -> Result<Vec<Image>, Error> {
        self.client()?.images(fleet).await
    }

    async fn images_named(&self, owner: &str, name: &str) -> Result<Vec<Image>, Error> {
        self.client()?.images_named(owner, name).await
    }

    async fn create_image(&self, wanted: &NewImage) -> Result<String, Error> {
        self.client()?.create_image(wanted).await
    }

    async fn tag_image(&self, id: &str, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        self.client()?.tag_image(id, tags).await
    }

    async fn delete_image(&self, id: &str) -> Result<(), Error> {
        self.client()?.delete_image(id).await
    }

    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        self.client()?.dialect().await
    }
}
