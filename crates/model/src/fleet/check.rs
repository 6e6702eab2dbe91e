//! What is wrong between the parts of a fleet file, beyond what its types refuse.

use std::fmt;

use crate::{
    chroot::{is_architecture, no_architecture},
    nearest::did_you_mean,
    quantity::Span,
};

use super::{CloudSpec, ControllerSpec, CredentialsSource, FleetSpec, PoolSpec, ProvisionSpec};

/// What a label may say.
const LABELS: [&str; 2] = ["arch:", "chroot:"];
/// What a stage on the way to a builder may be given: in less nothing is done, and in more nobody waits any longer.
const SHORTEST_STAGE: Span = Span::seconds(1);
const LONGEST_STAGE: Span = Span::seconds(24 * 3600);
/// For how long the controller may pause. In less it would never rest, in more nobody knows what clouds do.
const SHORTEST_TICK: Span = Span::milliseconds(10);
const LONGEST_TICK: Span = Span::seconds(600);
/// For how long a fleet may be without a leader after one was killed.
const LONGEST_LEASE: Span = Span::seconds(3600);

/// Something that is wrong in a fleet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The keys on the way to it, and the numbers of items in lists.
    pub path: Vec<String>,
    /// What is wrong there.
    pub words: String,
}

impl Contradiction {
    /// Something wrong at that place.
    #[must_use]
    pub fn new(path: &[&str], words: impl Into<String>) -> Self {
        Self {
            path: path.iter().copied().map(str::to_owned).collect(),
            words: words.into(),
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.join("."), self.words)
    }
}

impl FleetSpec {
    /// What is wrong between the parts of the file.
    #[must_use]
    pub fn contradictions(&self) -> Vec<Contradiction> {
        let mut found = Vec::new();
        if self.schema != 1 {
            let words = format!("{} is not a known version; this program knows 1", self.schema);
            found.push(Contradiction::new(&["schema"], words));
        }
        of_controller(&self.controller, &mut found);
        for (name, image) in &self.images {
            let path = ["images", name, "cloud"];
            found.extend(unknown(&path, "cloud", &image.cloud, self.clouds.keys()));
        }
        for (name, cloud) in &self.clouds {
            of_cloud(name, cloud, &mut found);
        }
        for (name, provision) in &self.provision {
            of_provision(name, provision, &mut found);
        }
        for (name, pool) in &self.pools {
            let name = name.as_str();
            let path = ["pools", name, "image"];
            found.extend(unknown(&path, "image", &pool.image, self.images.keys()));
            let path = ["pools", name, "provision"];
            found.extend(unknown(
                &path,
                "provision",
                &pool.provision,
                self.provision.keys(),
            ));
            of_pool(name, pool, &mut found);
        }
        found
    }
}

/// That a name refers to nothing, if it does, and to what it may be meant to refer.
fn unknown<'a>(
    path: &[&str],
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> Option<Contradiction> {
    let known: Vec<&String> = known.collect();
    if known.iter().any(|other| *other == name) {
        return None;
    }
    let hint = did_you_mean(name, known.iter().copied());
    let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let words = match (all.as_slice(), hint.as_str()) {
        ([], _) => format!("there is no {kind} `{name}`, and no other"),
        (_, "") => format!("there is no {kind} `{name}`. There is {}", all.join(", ")),
        (_, hint) => format!("there is no {kind} `{name}`{hint} There is {}", all.join(", ")),
    };
    Some(Contradiction::new(path, words))
}

fn of_controller(controller: &ControllerSpec, found: &mut Vec<Contradiction>) {
    let (tick, lease) = (&controller.tick, &controller.lease);
    for (path, value, least, most) in [
        (
            ["controller", "tick", "min"],
            tick.min,
            SHORTEST_TICK,
            LONGEST_TICK,
        ),
        (
            ["controller", "tick", "max"],
            tick.max,
            SHORTEST_TICK,
            LONGEST_TICK,
        ),
        (
            ["controller", "lease", "ttl"],
            lease.ttl,
            SHORTEST_STAGE,
            LONGEST_LEASE,
        ),
    ] {
        if !(least..=most).contains(&value) {
            let words = format!("{value} is not from {least} to {most}");
            found.push(Contradiction::new(&path, words));
        }
    }
    if tick.max < tick.min {
        let words = format!("max ({}) must not be below min ({})", tick.max, tick.min);
        found.push(Contradiction::new(&["controller", "tick"], words));
    }
    if lease.renew.get().is_zero() || lease.renew >= lease.ttl {
        let words = format!(
            "{} must be above zero and below the ttl of {}, or the lease ends before it is renewed",
            lease.renew, lease.ttl
        );
        found.push(Contradiction::new(&["controller", "lease", "renew"], words));
    }
}

fn of_cloud(name: &str, cloud: &CloudSpec, found: &mut Vec<Contradiction>) {
    let at = |key| ["clouds", name, key];
    if cloud.credentials.source == CredentialsSource::File && cloud.credentials.path.is_none() {
        let words = "`source: file` needs a `path`";
        found.push(Contradiction::new(&at("credentials"), words));
    }
    if cloud.region.trim().is_empty() {
        let words = "it is empty; it names a region, such as eu-central-1";
        found.push(Contradiction::new(&at("region"), words));
    }
    let schemes = ["http://", "https://"];
    if let Some(endpoint) = &cloud.endpoint
        && !schemes.iter().any(|scheme| endpoint.starts_with(scheme))
    {
        let words = format!("`{endpoint}` does not begin with http:// or https://");
        found.push(Contradiction::new(&at("endpoint"), words));
    }
}

fn of_provision(name: &str, provision: &ProvisionSpec, found: &mut Vec<Contradiction>) {
    let limits = &provision.timeouts;
    for (stage, limit) in [
        ("launch", limits.launch),
        ("pending", limits.pending),
        ("boot", limits.boot),
        ("provision", limits.provision),
        ("check", limits.check),
    ] {
        if let Some(limit) = limit
            && !(SHORTEST_STAGE..=LONGEST_STAGE).contains(&limit)
        {
            let words = format!("{limit} is not from {SHORTEST_STAGE} to {LONGEST_STAGE}");
            found.push(Contradiction::new(&["provision", name, "timeouts", stage], words));
        }
    }
    if provision.connect.port == 0 {
        let path = ["provision", name, "connect", "port"];
        found.push(Contradiction::new(&path, "0 is no port"));
    }
    if provision.connect.user.trim().is_empty() {
        let path = ["provision", name, "connect", "user"];
        found.push(Contradiction::new(
            &path,
            "it is empty; it names who logs in, such as root",
        ));
    }
}

fn of_pool(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    let mut tell = |path: &[&str], words: String| {
        let path: Vec<&str> = ["pools", name].iter().chain(path).copied().collect();
        found.push(Contradiction::new(&path, words));
    };
    let size = &pool.size;
    for (key, count) in [("min", size.min), ("idle", size.idle)] {
        if count > size.max {
            tell(
                &["size", key],
                format!("{count} must not be above the max of {}", size.max),
            );
        }
    }
    for (key, count) in [
        ("parallel", pool.launch.parallel),
        ("attempts", pool.launch.attempts),
    ] {
        if count == 0 {
            let words = "with 0 no builder is ever launched; `size: {max: 0}` closes a pool";
            tell(&["launch", key], words.to_owned());
        }
    }
    if pool.offerings.is_empty() || pool.offerings.iter().any(|offering| offering.types.is_empty()) {
        let words = "each needs at least one instance type, and at least one is needed";
        tell(&["offerings"], words.to_owned());
    }
    if !pool.labels.iter().any(|label| label.starts_with("arch:")) {
        tell(
            &["labels"],
            "an `arch:` label is needed, such as arch:x86_64".to_owned(),
        );
    }
    for label in &pool.labels {
        let value = LABELS.iter().find_map(|key| label.strip_prefix(key));
        if value.is_none_or(str::is_empty) {
            tell(
                &["labels"],
                format!("`{label}` is neither arch:ARCHITECTURE nor chroot:PATTERN"),
            );
        } else if let Some(name) = label.strip_prefix("arch:")
            && !is_architecture(name)
        {
            tell(&["labels"], no_architecture(name));
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
            "/controller",
            r#"{"lease": {"ttl": "2d"}}"#,
            "controller.lease.ttl: 2d is not from 1s to 1h",
        ),
        (
            "/controller",
            r#"{"tick": {"max": "2h"}}"#,
            "controller.tick.max: 2h is not from 10ms to 10m",
        ),
        (
            "/images/i/cloud",
            r#""moon""#,
            "images.i.cloud: there is no cloud `moon`. There is `c`",
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
            "pools.here.image: there is no image `j`. There is `i`",
        ),
        ("/pools/here/provision", r#""q""#, "pools.here.provision:"),
        (
            "/pools/here/size/idle",
            "2",
            "pools.here.size.idle: 2 must not be above the max of 1",
        ),
        ("/pools/here/size/min", "2", "pools.here.size.min:"),
        ("/clouds/c/region", r#"" ""#, "clouds.c.region:"),
        (
            "/provision/p/connect",
            r#"{"user": ""}"#,
            "provision.p.connect.user:",
        ),
        (
            "/provision/p/timeouts",
            r#"{"check": "8d"}"#,
            "provision.p.timeouts.check: 8d is not from 1s to",
        ),
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
        spec.contradictions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_reference_that_is_nearly_right_is_told_what_was_meant() {
        let mut spec = sound();
        spec["images"] = serde_json::json!({"builder": {"cloud": "c", "id": "ami-1"}});
        spec["pools"]["here"]["image"] = "bulider".into();
        let words =
            "pools.here.image: there is no image `bulider`, did you mean `builder`? There is `builder`";
        assert_eq!(found(spec), [words]);
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
