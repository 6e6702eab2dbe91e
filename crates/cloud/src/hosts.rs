//! Machines that are always there, behind the same trait as those of a cloud: they are neither launched nor terminated.
//!
//! Nothing is kept here. Which builder has which host is in the database, where a host has one builder at a time, so that
//! controllers may follow each other as they like.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::{FleetId, fleet::FleetSpec};

use crate::{Cloud, Dialect, End, Error, Image, Instance, InstanceState, LaunchRequest, NewImage, Owner};

/// The fixed hosts of a fleet file.
#[derive(Debug, Default)]
pub struct HostCloud {
    /// The addresses by the names of the hosts.
    addresses: BTreeMap<String, String>,
}

impl HostCloud {
    /// The hosts of all pools.
    #[must_use]
    pub fn new(fleet: &FleetSpec) -> Self {
        let hosts = fleet.pools.values().flat_map(|pool| &pool.hosts);
        Self {
            addresses: hosts
                .map(|host| (host.name.clone(), host.address.clone()))
                .collect(),
        }
    }

    /// A host, which is there whether or not the file still names it.
    fn instance(&self, name: &str) -> Instance {
        Instance {
            id: name.to_owned(),
            state: InstanceState::Running,
            address: self.addresses.get(name).cloned(),
            state_reason: None,
            offering: None,
            // Nobody tags them: what belongs to nobody is never taken for an orphan.
            tags: BTreeMap::new(),
        }
    }
}

#[async_trait]
impl Cloud for HostCloud {
    /// The host that the offering names; asking again gives the same.
    async fn launch(&self, request: &LaunchRequest) -> Result<Instance, Error> {
        let name = &request.offering.instance_type;
        if self.addresses.contains_key(name) {
            Ok(self.instance(name))
        } else {
            Err(Error::Refused {
                code: "InvalidHost.NotFound".to_owned(),
                message: format!("there is no host {name} in fleet.yaml"),
            })
        }
    }

    async fn describe(&self, instance_ids: &[String]) -> Result<Vec<Instance>, Error> {
        Ok(instance_ids.iter().map(|name| self.instance(name)).collect())
    }

    /// All that the file names, without tags: whoever uses them.
    async fn list(&self, _: FleetId) -> Result<Vec<Instance>, Error> {
        Ok(self.addresses.keys().map(|name| self.instance(name)).collect())
    }

    /// None: what is always there takes up nobody's quota.
    async fn list_all(&self) -> Result<Vec<Instance>, Error> {
        Ok(Vec::new())
    }

    /// Nothing: whose a host is stands in the database alone.
    async fn tag(&self, _: &str, _: &Owner) -> Result<(), Error> {
        Ok(())
    }

    /// Gives a host back. It goes on running, and whoever had it has it no more at once.
    async fn terminate(&self, _: &str) -> Result<End, Error> {
        Ok(End::Over)
    }

    async fn unprotect(&self, _instance_id: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn console_output(&self, _: &str) -> Result<String, Error> {
        Ok(String::new())
    }

    /// None: a host has no image.
    async fn image(&self, _: &str) -> Result<Option<Image>, Error> {
        Ok(None)
    }

    async fn images(&self, _: FleetId) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn images_named(&self, _: &str, _: &str) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn create_image(&self, _: &NewImage) -> Result<String, Error> {
        Err(no_images())
    }

    async fn tag_image(&self, _: &str, _: &BTreeMap<String, String>) -> Result<(), Error> {
        Err(no_images())
    }

    async fn delete_image(&self, _: &str) -> Result<(), Error> {
        Err(no_images())
    }

    /// None: there is no endpoint.
    async fn dialect(&self) -> Result<Option<Dialect>, Error> {
        Ok(None)
    }
}

fn no_images() -> Error {
    Error::Refused {
        code: "Unsupported".to_owned(),
        message: "fixed hosts have no images".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use model::{BuilderId, LaunchId, Offering};

    use super::*;

    fn fleet() -> FleetSpec {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "provision": {"p": {}},
            "pools": {
                "one": {
                    "labels": ["arch:x86_64"], "provision": "p", "size": {"max": 2},
                    "hosts": [{"name": "rack-2", "address": "192.0.2.2"}, {"name": "rack-1", "address": "192.0.2.1"}],
                },
                "two": {
                    "labels": ["arch:aarch64"], "provision": "p", "size": {"max": 1},
                    "hosts": [{"name": "arm", "address": "arm.example.org"}],
                },
            },
        }))
        .unwrap()
    }

    fn request(host: &str) -> LaunchRequest {
        LaunchRequest {
            launch: LaunchId(uuid()),
            builder: BuilderId(uuid()),
            fleet: fleet().fleet,
            pool: "one".parse().unwrap(),
            image: String::new(),
            offering: Offering::of_host(host),
            volumes: Vec::new(),
            security_groups: Vec::new(),
            user_data: String::new(),
            metadata_options: false,
            limit: std::time::Duration::from_secs(60),
        }
    }

    fn uuid() -> uuid::Uuid {
        uuid::Uuid::from_u128(7)
    }

    #[tokio::test]
    async fn a_launch_gives_the_host_that_it_names_as_often_as_it_is_asked_for() {
        let cloud = HostCloud::new(&fleet());
        for _ in 0..2 {
            let host = cloud.launch(&request("rack-2")).await.unwrap();
            assert_eq!((host.id.as_str(), host.state), ("rack-2", InstanceState::Running));
            assert_eq!(host.address.as_deref(), Some("192.0.2.2"));
        }
        let error = cloud.launch(&request("rack-9")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the cloud refuses: InvalidHost.NotFound: there is no host rack-9 in fleet.yaml"
        );
    }

    #[tokio::test]
    async fn what_is_listed_belongs_to_nobody_and_a_host_that_left_the_file_is_still_there() {
        let cloud = HostCloud::new(&fleet());
        let listed = cloud.list(fleet().fleet).await.unwrap();
        let names: Vec<&str> = listed.iter().map(|host| host.id.as_str()).collect();
        assert_eq!(names, ["arm", "rack-1", "rack-2"]);
        assert!(listed.iter().all(|host| !host.belongs_to(fleet().fleet)));
        assert_eq!(cloud.list_all().await.unwrap(), [], "they take up no quota");
        let asked = cloud.describe(&["rack-9".to_owned()]).await.unwrap();
        assert_eq!(
            (asked[0].state, &asked[0].address),
            (InstanceState::Running, &None)
        );
    }

    #[tokio::test]
    async fn a_host_that_is_given_back_is_gone_at_once_and_may_be_had_again() {
        let cloud = HostCloud::new(&fleet());
        assert_eq!(cloud.terminate("rack-1").await.unwrap(), End::Over);
        let again = cloud.launch(&request("rack-1")).await.unwrap();
        assert_eq!(again.state, InstanceState::Running);
    }
}
