//! Whether the clouds have what the fleet file asks them for. They are asked; nothing is launched.

use cloud::{Cloud as _, Ec2};
use model::fleet::{CloudProfile, CloudSpec, Contradiction, CredentialsSource, FleetSpec};
use runtime::{Settings, clock};

use crate::{
    embedded,
    instance_types::{is_in, types_of, unknown_types},
    parts,
};

/// What is told of the instance types of a Eucalyptus.
const TYPES_UNCHECKED: &str = "instance types are not checked with `profile: eucalyptus`: Eucalyptus describes them in a form of its own";

/// What was found out.
#[derive(Default)]
pub(super) struct Findings {
    /// What is wrong.
    pub(super) wrong: Vec<String>,
    /// What the clouds do not tell this account.
    pub(super) unknown: Vec<String>,
}

/// What is wrong with access keys, images, instance types and networks.
pub(super) async fn look(settings: &Settings, fleet: &FleetSpec, is_up: bool) -> Findings {
    let mut findings = Findings::default();
    let mut in_file = Vec::new();
    if is_up {
        match embedded::image(settings) {
            Ok(image) => in_file.extend(embedded::mistakes(fleet, &image.id)),
            Err(error) => findings.wrong.push(format!("{error:#}")),
        }
    }
    for (name, spec) in &fleet.clouds {
        if is_up && spec.credentials.source == CredentialsSource::Embedded {
            continue;
        }
        let client = match parts::ec2(spec, None) {
            Ok(client) => client,
            Err(error) => {
                findings.wrong.push(format!("clouds.{name}: {error:#}"));
                continue;
            }
        };
        let mut asked = Asked {
            name,
            spec,
            client,
            in_file: Vec::new(),
            unknown: Vec::new(),
        };
        if let Err(error) = asked.about(fleet).await {
            findings
                .wrong
                .push(format!("clouds.{name}: {:#}", anyhow::Error::from(error)));
        }
        in_file.extend(asked.in_file);
        findings.unknown.extend(asked.unknown);
    }
    findings.wrong.extend(parts::in_fleet_file(settings, &in_file));
    findings
}

/// One cloud, and what it said.
struct Asked<'a> {
    name: &'a str,
    spec: &'a CloudSpec,
    client: Ec2,
    in_file: Vec<Contradiction>,
    unknown: Vec<String>,
}

impl Asked<'_> {
    /// Asks for everything.
    ///
    /// # Errors
    /// When it does not answer, or refuses to say which images it has, which every cloud says.
    async fn about(&mut self, fleet: &FleetSpec) -> Result<(), cloud::Error> {
        let name = self.name;
        self.profile().await?;
        for (image, spec) in fleet.images.iter().filter(|(_, image)| image.cloud == name) {
            if let Some(id) = &spec.id
                && !self.client.has_image(id).await?
            {
                self.lacks(&["images", image, "id"], &format!("image {id}"), "");
            }
            if let Some(select) = &spec.select {
                let found = self.client.images_named(&select.owner, &select.name).await?;
                let found: Vec<_> = found.iter().map(controller::listed).collect();
                if model::fleet::select(&found, select, clock::now()).is_none() {
                    self.lacks(&["images", image, "select"], "image that matches", "");
                }
            }
        }
        self.types(fleet).await?;
        self.zones(fleet).await?;
        self.network().await
    }

    fn lacks(&mut self, path: &[&str], what: &str, more: &str) {
        let words = format!(
            "the cloud {} has no {what}, or none that this account may use{more}",
            self.name
        );
        self.in_file.push(Contradiction::new(path, words));
    }

    /// An answer; `None` when the account may not ask, or the cloud does not know the question or answers in another form.
    fn told<T>(&mut self, answer: Result<T, cloud::Error>, what: &str) -> Result<Option<T>, cloud::Error> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error @ (cloud::Error::Refused { .. } | cloud::Error::Unclear { .. })) => {
                self.unknown.push(format!(
                    "clouds.{}: whether it has the {what} is not known: {}",
                    self.name,
                    error.in_public()
                ));
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Whether the endpoint speaks another dialect than the file says.
    async fn profile(&mut self) -> Result<(), cloud::Error> {
        let answer = self.client.dialect().await;
        let shown = self.told(answer, "dialect of its `profile`")?.flatten();
        let words = shown.and_then(|dialect| dialect.contradicts(self.spec.profile));
        let path = ["clouds", self.name, "profile"];
        self.in_file
            .extend(words.map(|words| Contradiction::new(&path, words)));
        Ok(())
    }

    async fn types(&mut self, fleet: &FleetSpec) -> Result<(), cloud::Error> {
        let uses = types_of(fleet, self.name);
        if self.spec.profile == CloudProfile::Eucalyptus {
            let words = format!("clouds.{}: {TYPES_UNCHECKED}", self.name);
            self.unknown.extend((!uses.is_empty()).then_some(words));
            return Ok(());
        }
        let names: Vec<String> = uses.keys().map(|name| (*name).to_owned()).collect();
        let answer = self.client.unknown_types(&names).await;
        if let Some(found) = self.told(answer, "instance types")? {
            self.in_file.extend(unknown_types(&uses, &found, self.name));
        }
        Ok(())
    }

    async fn zones(&mut self, fleet: &FleetSpec) -> Result<(), cloud::Error> {
        let mut uses = Vec::new();
        for (pool, spec) in fleet
            .pools
            .iter()
            .filter(|(_, pool)| is_in(fleet, pool, self.name))
        {
            for (offering, spec) in spec.offerings.iter().enumerate() {
                for (number, zone) in spec.zones.iter().enumerate() {
                    uses.push((pool, offering.to_string(), number.to_string(), zone));
                }
            }
        }
        if uses.is_empty() {
            return Ok(());
        }
        let answer = self.client.zones().await;
        let Some(known) = self.told(answer, "availability zones")? else {
            return Ok(());
        };
        for (pool, offering, number, zone) in uses {
            if !known.contains(zone) {
                let path = ["pools", pool.as_str(), "offerings", &offering, "zones", &number];
                let there_is = format!(". There is {}", known.join(", "));
                self.lacks(&path, &format!("availability zone {zone}"), &there_is);
            }
        }
        Ok(())
    }

    async fn network(&mut self) -> Result<(), cloud::Error> {
        let network = &self.spec.network;
        let cloud = self.name;
        let of_cloud = network.subnet.iter().map(|subnet| (vec!["subnet"], subnet));
        let of_zones = network.subnets.iter();
        let of_zones = of_zones.map(|(zone, subnet)| (vec!["subnets", zone.as_str()], subnet));
        for (keys, subnet) in of_cloud.chain(of_zones) {
            let answer = self.client.has_subnet(subnet).await;
            if self.told(answer, "subnet")? == Some(false) {
                let path: Vec<&str> = ["clouds", cloud, "network"].into_iter().chain(keys).collect();
                self.lacks(&path, &format!("subnet {subnet}"), "");
            }
        }
        for (number, group) in network.security_groups.iter().enumerate() {
            let answer = self.client.has_security_group(group).await;
            if self.told(answer, "security groups")? == Some(false) {
                let path = ["clouds", cloud, "network", "security_groups", &number.to_string()];
                self.lacks(&path, &format!("security group {group}"), "");
            }
        }
        Ok(())
    }
}
