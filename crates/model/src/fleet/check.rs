//! What is wrong between the parts of a fleet file, beyond what its types refuse.

use std::{fmt, time::Duration};

use crate::{
    chroot::{is_architecture, no_architecture},
    nearest::did_you_mean,
    offering::{Market, is_word},
    quantity::Span,
};

use super::{
    CloudProfile, CloudSpec, ControllerSpec, CredentialsSource, FleetSpec, NetworkSpec, PoolKind, PoolSpec,
    ProvisionSpec,
};

mod calls;
mod disk;
mod hold;
mod hooks;
mod hosts;
mod image;
mod money;
mod size;

/// What a label may say.
const LABELS: [&str; 2] = ["arch:", "chroot:"];
/// What a stage on the way to a builder may be given: in less nothing is done, and in more nobody waits any longer.
const SHORTEST_STAGE: Span = Span::seconds(1);
const LONGEST_STAGE: Span = Span::seconds(24 * 3600);
/// How long a builder may be kept waiting for a line of offerings at most.
const LONGEST_AFTER: Duration = Duration::from_secs(300);
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
    /// What the item says that it is about, of a list in which items have no numbers.
    pub item: Option<String>,
    /// The keys on the way to the other value that it is about, where there is one.
    pub beside: Option<Vec<String>>,
    /// What is wrong there.
    pub words: String,
}

impl Contradiction {
    /// Something wrong at that place.
    #[must_use]
    pub fn new(path: &[&str], words: impl Into<String>) -> Self {
        Self {
            path: path.iter().copied().map(str::to_owned).collect(),
            item: None,
            beside: None,
            words: words.into(),
        }
    }

    /// The same, about the item of the list that says this.
    #[must_use]
    pub fn of_item(self, text: &str) -> Self {
        Self {
            item: Some(text.to_owned()),
            ..self
        }
    }

    /// The same, which would be right if another value were another one.
    #[must_use]
    pub fn beside(self, path: &[&str]) -> Self {
        let beside = path.iter().copied().map(str::to_owned).collect();
        Self {
            beside: Some(beside),
            ..self
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut before = "";
        for (depth, key) in keys.iter().enumerate() {
            // What lies right below a section has a name of the operator's, which may be a number, as a variable may.
            let is_number = depth > 1 && before != "vars" && key.bytes().all(|byte| byte.is_ascii_digit());
            match (is_number, depth) {
                (true, _) => write!(f, "[{key}]")?,
                (false, 0) => write!(f, "{key}")?,
                (false, _) => write!(f, ".{key}")?,
            }
            before = key;
        }
        write!(f, ": {}", self.words)
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
        let words = "the fleet for people, such as production";
        found.extend(empty(&["name"], &self.name, words));
        of_controller(&self.controller, &mut found);
        for (name, image) in &self.images {
            let path = ["images", name, "cloud"];
            let unknown = unknown(&path, "cloud", &image.cloud, self.clouds.keys());
            found.extend(unknown.map(|it| it.beside(&["clouds"])));
            image::of_image(name, image, &mut found);
        }
        for (name, cloud) in &self.clouds {
            of_cloud(name, cloud, &mut found);
        }
        for (name, provision) in &self.provision {
            of_provision(name, provision, &mut found);
        }
        for (name, pool) in &self.pools {
            let name = name.as_str();
            of_kind(self, name, pool, &mut found);
            let path = ["pools", name, "provision"];
            let provision = unknown(&path, "provision", &pool.provision, self.provision.keys());
            found.extend(provision.map(|it| it.beside(&["provision"])));
            of_pool(name, pool, &mut found);
        }
        if self.fairness.caps.owner == Some(0) {
            let words = "0 lets nobody build anything; without the key there is no limit";
            found.push(Contradiction::new(&["fairness", "caps", "owner"], words));
        }
        hosts::in_fleet(self, &mut found);
        hooks::in_fleet(self, &mut found);
        money::in_fleet(self, &mut found);
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

/// That a text is empty where a name is needed, if it is, and what it names.
fn empty(path: &[&str], text: &str, names: &str) -> Option<Contradiction> {
    let is_empty = text.trim().is_empty();
    is_empty.then(|| Contradiction::new(path, format!("it is empty; it names {names}")))
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
    // A controller stops acting at two thirds of its lease; the renewal needs time of its own before that.
    if lease.renew.get().is_zero() || lease.renew.get() > lease.ttl.get() / 2 {
        let words = format!(
            "{} must be above zero and at most half of the ttl of {}, or the lease ends before it is renewed",
            lease.renew, lease.ttl
        );
        let found_here = Contradiction::new(&["controller", "lease", "renew"], words);
        found.push(found_here.beside(&["controller", "lease", "ttl"]));
    }
}

fn of_cloud(name: &str, cloud: &CloudSpec, found: &mut Vec<Contradiction>) {
    let at = |key| ["clouds", name, key];
    if cloud.credentials.source == CredentialsSource::File && cloud.credentials.path.is_none() {
        let words = "`source: file` needs a `path`";
        found.push(Contradiction::new(&at("credentials"), words));
    }
    if cloud.credentials.source != CredentialsSource::File && cloud.credentials.path.is_some() {
        let words = "a `path` is read with `source: file` only";
        let found_here = Contradiction::new(&["clouds", name, "credentials", "path"], words);
        found.push(found_here.beside(&["clouds", name, "credentials", "source"]));
    }
    if cloud.credentials.source == CredentialsSource::InstanceRole
        && cloud.profile == CloudProfile::Eucalyptus
    {
        let words = "with the profile eucalyptus there are no keys of a role: it has no metadata service of the version 2";
        let here = Contradiction::new(&["clouds", name, "credentials", "source"], words);
        found.push(here.beside(&at("profile")));
    }
    let words = "a region, such as eu-central-1";
    found.extend(empty(&at("region"), &cloud.region, words));
    money::of_cloud(name, cloud, found);
    calls::of_calls(name, cloud, found);
    found.extend(calls::of_name(name));
    if let Some(path) = &cloud.credentials.path {
        let words = "the file with the access key";
        found.extend(empty(&["clouds", name, "credentials", "path"], path, words));
    }
    if let Some(subnet) = &cloud.network.subnet {
        let words = "a subnet's id, such as subnet-0123456789abcdef0";
        found.extend(empty(&["clouds", name, "network", "subnet"], subnet, words));
    }
    for (zone, subnet) in &cloud.network.subnets {
        let words = "a subnet's id, such as subnet-0123456789abcdef0";
        found.extend(empty(
            &["clouds", name, "network", "subnets", zone],
            subnet,
            words,
        ));
    }
    for (number, group) in cloud.network.security_groups.iter().enumerate() {
        let number = number.to_string();
        let path = ["clouds", name, "network", "security_groups", &number];
        let words = "a security group's id, such as sg-0123456789abcdef0";
        found.extend(empty(&path, group, words));
    }
    let schemes = ["http://", "https://"];
    if let Some(endpoint) = &cloud.endpoint {
        let host = schemes.iter().find_map(|scheme| endpoint.strip_prefix(scheme));
        let words = match host {
            None => "does not begin with http:// or https://",
            Some(host) if host.is_empty() || host.starts_with(['/', ':', '?']) => "names no host",
            Some(host) if host.contains(char::is_whitespace) => "holds a space",
            Some(_) => return,
        };
        let words = format!("`{endpoint}` {words}");
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
        found.push(Contradiction::new(
            &path,
            "0 is no port; those are from 1 to 65535",
        ));
    }
    let path = ["provision", name, "connect", "user"];
    found.extend(empty(&path, &provision.connect.user, "who logs in, such as root"));
    if let Some(command) = &provision.ansible.command {
        let words = "the program, such as /opt/ansible/bin/ansible-playbook";
        found.extend(empty(&["provision", name, "ansible", "command"], command, words));
    }
    for (key, playbook) in [("playbook", &provision.playbook), ("check", &provision.check)] {
        let words = "a playbook, such as builder.yml";
        found.extend(empty(&["provision", name, key], playbook, words));
    }
}

fn of_pool(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    size::of_pool(name, pool, found);
    hold::of_pool(name, pool, found);
    let mut tell = |path: &[&str], words: String| {
        let path: Vec<&str> = ["pools", name].iter().chain(path).copied().collect();
        found.push(Contradiction::new(&path, words));
    };
    for (key, count) in [
        ("parallel", pool.launch.parallel),
        ("attempts", pool.launch.attempts),
    ] {
        if count == 0 {
            let words = "with 0 no builder is ever launched; `size: {max: 0}` closes a pool";
            tell(&["launch", key], words.to_owned());
        }
    }
    of_offerings(pool, &mut tell);
    of_labels(name, pool, found);
}

/// What is wrong with where a pool's machines come from.
fn of_kind(fleet: &FleetSpec, name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    let PoolKind::Cloud { image } = pool.kind() else {
        return hosts::of_pool(name, pool, found);
    };
    if pool.image.is_none() {
        let words = "it is missing; only a pool of `hosts` has none";
        found.push(Contradiction::new(&["pools", name, "image"], words));
        return;
    }
    let path = ["pools", name, "image"];
    let unknown = unknown(&path, "image", image, fleet.images.keys());
    found.extend(unknown.map(|it| it.beside(&["images"])));
    let image = fleet.images.get(image);
    let Some((cloud, spec)) = image.and_then(|image| fleet.clouds.get_key_value(&image.cloud)) else {
        return;
    };
    if let Some(wanted) = &pool.disk {
        disk::of_pool(name, wanted, (cloud.as_str(), spec), found);
    }
    for (index, line) in pool.offerings.iter().enumerate() {
        if line.market == Market::Spot && spec.profile == CloudProfile::Eucalyptus {
            let path = ["pools", name, "offerings", &index.to_string(), "market"];
            let words = format!("cloud `{cloud}` has the profile eucalyptus: there is no spot market");
            found.push(Contradiction::new(&path, words).beside(&["clouds", cloud, "profile"]));
        }
    }
}

fn of_offerings(pool: &PoolSpec, tell: &mut impl FnMut(&[&str], String)) {
    if pool.offerings.is_empty() && pool.hosts.is_empty() {
        let words = "at least one offering is needed, such as {types: [c7i.xlarge]}";
        tell(&["offerings"], words.to_owned());
    }
    for (index, offering) in pool.offerings.iter().enumerate() {
        let index = index.to_string();
        if offering.types.is_empty() {
            let words = "at least one instance type is needed, such as c7i.xlarge";
            tell(&["offerings", &index, "types"], words.to_owned());
        }
        for (key, texts, words) in [
            ("types", &offering.types, "an instance type, such as c7i.xlarge"),
            ("zones", &offering.zones, "a zone, such as eu-central-1a"),
        ] {
            for (number, text) in texts.iter().enumerate() {
                let words = if text.trim().is_empty() {
                    format!("it is empty; it names {words}")
                } else if is_word(text) {
                    continue;
                } else {
                    format!("`{text}` is not {words}: letters, digits, `.`, `_` and `-`")
                };
                tell(&["offerings", &index, key, &number.to_string()], words);
            }
        }
        if offering.max == Some(0) {
            let words = "with 0 it is never asked for; without the line it is not either";
            tell(&["offerings", &index, "max"], words.to_owned());
        }
        let after = offering.after.map_or(Duration::ZERO, Span::get);
        if index == "0" && !after.is_zero() {
            let words = "there is no line before it that could be refused";
            tell(&["offerings", &index, "after"], words.to_owned());
        } else if after > LONGEST_AFTER {
            let words = "at most 5m: a builder for which nothing is launched is given up after ten minutes";
            tell(&["offerings", &index, "after"], words.to_owned());
        }
        if offering.max_price.is_some() && offering.market == Market::OnDemand {
            let words =
                "only machines of the spot market have a price of the moment: `market: spot` is missing";
            tell(&["offerings", &index, "max_price"], words.to_owned());
        }
    }
    for index in lines_that_offer_nothing(pool) {
        let words = "all that it offers is in lines before it already, so no machine is ever of this line: raise their `max`, or leave it out";
        tell(&["offerings", &index.to_string()], words.to_owned());
    }
}

/// The lines of offerings that say twice what others say, of a pool that limits any: it would wait for room in a line that can have no
/// machine. Without a limit they do no harm.
fn lines_that_offer_nothing(pool: &PoolSpec) -> Vec<usize> {
    if pool.offerings.iter().all(|line| line.max.is_none()) {
        return Vec::new();
    }
    // A subnet follows from the zone: it makes no two of one offering.
    let offered = pool.offerings_by_line(&NetworkSpec::default());
    let lines = pool.offerings.iter().zip(offered).enumerate();
    let is_empty = lines.filter(|(_, (line, offered))| !line.types.is_empty() && offered.is_empty());
    is_empty.map(|(index, _)| index).collect()
}

fn of_labels(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    let path = ["pools", name, "labels"];
    if !pool.labels.iter().any(|label| label.starts_with("arch:")) {
        let words = "an `arch:` label is needed, such as arch:x86_64";
        found.push(Contradiction::new(&path, words));
    }
    for label in &pool.labels {
        let value = LABELS.iter().find_map(|key| label.strip_prefix(key));
        let words = match (value, label.strip_prefix("arch:")) {
            (None | Some(""), _) => format!("`{label}` is neither arch:ARCHITECTURE nor chroot:PATTERN"),
            (_, Some(name)) if !is_architecture(name) => no_architecture(name),
            _ => continue,
        };
        found.push(Contradiction::new(&path, words).of_item(label));
    }
}

#[cfg(test)]
mod tests;
