//! What is wrong between the parts of a fleet file, beyond what its types refuse.

use crate::chroot::{is_architecture, no_architecture};

use super::{CloudSpec, ControllerSpec, CredentialsSource, FleetSpec, PoolSpec, ProvisionSpec};

/// What a label may say.
const LABELS: [&str; 2] = ["arch:", "chroot:"];

impl FleetSpec {
    /// What is wrong between the parts of the file: each entry names the place and what it lacks.
    #[must_use]
    pub fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.schema != 1 {
            found.push(format!(
                "schema: {} is not a known version; this program knows 1",
                self.schema
            ));
        }
        of_controller(&self.controller, &mut found);
        for (name, image) in &self.images {
            if !self.clouds.contains_key(&image.cloud) {
                found.push(format!(
                    "images.{name}.cloud: there is no cloud `{}`",
                    image.cloud
                ));
            }
        }
        for (name, cloud) in &self.clouds {
            of_cloud(&format!("clouds.{name}"), cloud, &mut found);
        }
        for (name, provision) in &self.provision {
            of_provision(&format!("provision.{name}"), provision, &mut found);
        }
        for (name, pool) in &self.pools {
            let place = format!("pools.{name}");
            self.of_references(&place, pool, &mut found);
            of_pool(&place, pool, &mut found);
        }
        found
    }

    fn of_references(&self, place: &str, pool: &PoolSpec, found: &mut Vec<String>) {
        if !self.images.contains_key(&pool.image) {
            found.push(format!("{place}.image: there is no image `{}`", pool.image));
        }
        if !self.provision.contains_key(&pool.provision) {
            found.push(format!(
                "{place}.provision: there is no provision `{}`",
                pool.provision
            ));
        }
    }
}

fn of_controller(controller: &ControllerSpec, found: &mut Vec<String>) {
    let (tick, lease) = (&controller.tick, &controller.lease);
    if tick.min.get().is_zero() {
        found.push("controller.tick.min: the controller would never pause".to_owned());
    }
    if tick.max < tick.min {
        found.push("controller.tick: max must not be below min".to_owned());
    }
    if lease.renew.get().is_zero() || lease.renew >= lease.ttl {
        found.push(format!(
            "controller.lease.renew: {} must be above zero and below the ttl of {}, or the lease ends before it is renewed",
            lease.renew, lease.ttl
        ));
    }
}

fn of_cloud(place: &str, cloud: &CloudSpec, found: &mut Vec<String>) {
    if cloud.credentials.source == CredentialsSource::File && cloud.credentials.path.is_none() {
        found.push(format!("{place}.credentials: `source: file` needs a `path`"));
    }
    let schemes = ["http://", "https://"];
    if let Some(endpoint) = &cloud.endpoint
        && !schemes.iter().any(|scheme| endpoint.starts_with(scheme))
    {
        found.push(format!(
            "{place}.endpoint: `{endpoint}` does not begin with http:// or https://"
        ));
    }
}

fn of_provision(place: &str, provision: &ProvisionSpec, found: &mut Vec<String>) {
    let limits = &provision.timeouts;
    for (stage, limit) in [
        ("launch", limits.launch),
        ("pending", limits.pending),
        ("boot", limits.boot),
        ("provision", limits.provision),
        ("check", limits.check),
    ] {
        if limit.is_some_and(|limit| limit.get().is_zero()) {
            found.push(format!("{place}.timeouts.{stage}: it must be above zero"));
        }
    }
    if provision.connect.port == 0 {
        found.push(format!("{place}.connect.port: 0 is no port"));
    }
}

fn of_pool(place: &str, pool: &PoolSpec, found: &mut Vec<String>) {
    if pool.size.min > pool.size.max || pool.size.idle > pool.size.max {
        found.push(format!("{place}.size: min and idle must not be above max"));
    }
    for (key, count) in [
        ("parallel", pool.launch.parallel),
        ("attempts", pool.launch.attempts),
    ] {
        if count == 0 {
            found.push(format!(
                "{place}.launch.{key}: with 0 no builder is ever launched; `size: {{max: 0}}` closes a pool"
            ));
        }
    }
    if pool.offerings.is_empty() || pool.offerings.iter().any(|offering| offering.types.is_empty()) {
        found.push(format!(
            "{place}.offerings: each needs at least one instance type, and at least one is needed"
        ));
    }
    if !pool.labels.iter().any(|label| label.starts_with("arch:")) {
        found.push(format!(
            "{place}.labels: an `arch:` label is needed, such as arch:x86_64"
        ));
    }
    for label in &pool.labels {
        let value = LABELS.iter().find_map(|key| label.strip_prefix(key));
        if value.is_none_or(str::is_empty) {
            found.push(format!(
                "{place}.labels: `{label}` is neither arch:ARCHITECTURE nor chroot:PATTERN"
            ));
        } else if let Some(name) = label.strip_prefix("arch:")
            && !is_architecture(name)
        {
            found.push(format!("{place}.labels: {}", no_architecture(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FleetSpec;

    /// What is put where, and how the complaint begins.
    const MISTAKES: &[(&str, &str, &str)] = &[
        ("/schema", "2", "schema: 2"),
        (
            "/controller",
            r#"{"tick": {"min": "0s"}}"#,
            "controller.tick.min:",
        ),
        (
            "/controller",
            r#"{"tick": {"min": "9s", "max": "3s"}}"#,
            "controller.tick:",
        ),
        (
            "/controller",
            r#"{"lease": {"ttl": "5s", "renew": "5s"}}"#,
            "controller.lease.renew:",
        ),
        (
            "/images/i/cloud",
            r#""moon""#,
            "images.i.cloud: there is no cloud `moon`",
        ),
        (
            "/clouds/c/credentials/source",
            r#""file""#,
            "clouds.c.credentials:",
        ),
        (
            "/clouds/c/endpoint",
            r#""localhost:8773""#,
            "clouds.c.endpoint: `localhost:8773`",
        ),
        (
            "/provision/p/timeouts",
            r#"{"boot": "0s"}"#,
            "provision.p.timeouts.boot:",
        ),
        (
            "/provision/p/connect",
            r#"{"port": 0}"#,
            "provision.p.connect.port:",
        ),
        (
            "/pools/here/image",
            r#""j""#,
            "pools.here.image: there is no image `j`",
        ),
        ("/pools/here/provision", r#""q""#, "pools.here.provision:"),
        ("/pools/here/size/idle", "2", "pools.here.size:"),
        (
            "/pools/here/launch",
            r#"{"parallel": 0}"#,
            "pools.here.launch.parallel:",
        ),
        (
            "/pools/here/launch",
            r#"{"attempts": 0}"#,
            "pools.here.launch.attempts:",
        ),
        ("/pools/here/offerings", "[]", "pools.here.offerings:"),
        ("/pools/here/offerings/0/types", "[]", "pools.here.offerings:"),
        (
            "/pools/here/labels",
            r#"["chroot:*"]"#,
            "pools.here.labels: an `arch:` label",
        ),
        (
            "/pools/here/labels",
            r#"["arch:x86_64", "chrot:*"]"#,
            "pools.here.labels: `chrot:*`",
        ),
        (
            "/pools/here/labels",
            r#"["arch:x86-64"]"#,
            "pools.here.labels: `x86-64` is no architecture, did you mean `x86_64`?",
        ),
        (
            "/pools/here/labels",
            r#"["arch:amd64", "arch:aarch64"]"#,
            "pools.here.labels: `amd64` is no architecture that chroots have",
        ),
    ];

    fn sound() -> serde_json::Value {
        serde_json::json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "clouds": {"c": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
            "images": {"i": {"cloud": "c", "id": "ami-1"}},
            "provision": {"p": {}},
            "pools": {"here": {
                "labels": ["arch:x86_64"], "image": "i", "provision": "p", "size": {"max": 1},
                "offerings": [{"types": ["t"]}],
            }},
        })
    }

    fn found(value: serde_json::Value) -> Vec<String> {
        let spec: FleetSpec = serde_json::from_value(value).unwrap();
        spec.contradictions()
    }

    #[test]
    fn a_sound_file_has_none() {
        assert_eq!(found(sound()), Vec::<String>::new());
    }

    #[test]
    fn each_names_its_place() {
        for (pointer, value, place) in MISTAKES {
            let mut spec = sound();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
            let found = found(spec);
            assert_eq!(found.len(), 1, "{pointer}: {found:?}");
            assert!(found[0].starts_with(place), "{found:?}");
        }
    }
}
