//! Where the machines of a cloud are found, and whether another fleet file still finds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CloudSpec, CredentialsSource, CredentialsSpec, FleetSpec};

/// Where a cloud is and who asks it, as the fleet file says. An id of a machine or an image says nothing of another place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudPlace {
    pub region: String,
    /// The address of its API; `None` where it is Amazon's of that region.
    pub endpoint: Option<String>,
    pub credentials: CredentialsSpec,
}

impl CloudSpec {
    /// Where it is, and who asks it.
    #[must_use]
    pub fn place(&self) -> CloudPlace {
        CloudPlace {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            credentials: self.credentials.clone(),
        }
    }
}

/// What a fleet has in one cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machines {
    /// Builders that have, or may have, a machine there.
    pub builders: u64,
    /// Instances with the fleet's tag that no builder has, and that are to be ended.
    pub strays: u64,
    /// Builders for which the cloud has not been asked. A controller that runs may ask it in the next moment.
    pub planned: u64,
}

impl Machines {
    /// How many machines are there, or may be.
    #[must_use]
    pub fn there(self) -> u64 {
        self.builders.saturating_add(self.strays)
    }

    /// Whether the cloud is needed still.
    fn need_it(self) -> bool {
        self.there() > 0 || self.planned > 0
    }
}

/// Why a fleet file cannot take the place of another while there are these machines, by cloud: they would go on costing with
/// nobody to end them. `None` where all of them are found as before, also by what is kept of the other file.
///
/// A machine is known by the id that its cloud gave it. In another region, at another endpoint or in another account that id says
/// nothing, and an answer from there would pass for the machine's end. A stray of a cloud that the other file does not name was forgotten
/// before, and is missed no more.
#[must_use]
pub fn machines_left(
    old: &FleetSpec,
    new: &FleetSpec,
    machines: &BTreeMap<String, Machines>,
) -> Option<String> {
    let left = machines.iter().filter_map(|(cloud, machines)| {
        let count = match old.clouds.contains_key(cloud) {
            true => machines.there(),
            false => machines.builders,
        };
        let words = moved(cloud, old, new).filter(|_| count > 0)?;
        Some(match count {
            1 => format!("{words}, and 1 machine is left there"),
            more => format!("{words}, and {more} machines are left there"),
        })
    });
    let left: Vec<String> = left.collect();
    let hint = "set `max` of its pools to 0, and change the cloud when its machines have ended";
    (!left.is_empty()).then(|| format!("{}: {hint}", left.join("; ")))
}

/// The clouds in which builders are planned and which another file changes so that their machines would be lost: a step that is under way
/// goes on by the file with which it began, and may launch in the next moment.
#[must_use]
pub fn about_to_be_launched(
    old: &FleetSpec,
    new: &FleetSpec,
    machines: &BTreeMap<String, Machines>,
) -> Vec<String> {
    let planned = machines.iter().filter(|(_, machines)| machines.planned > 0);
    planned
        .filter(|(cloud, _)| moved(cloud, old, new).is_some())
        .map(|(cloud, _)| cloud.clone())
        .collect()
}

/// How another file leads to the machines of a cloud no more, in words; `None` where it does, also by what is kept of the one before.
fn moved(cloud: &str, old: &FleetSpec, new: &FleetSpec) -> Option<String> {
    match (old.clouds.get(cloud), new.clouds.get(cloud)) {
        (Some(old_cloud), None) => renamed(cloud, old_cloud, (old, new)),
        (None, None) => Some(format!("clouds.{cloud} is gone")),
        (Some(old), Some(new)) => differs(cloud, old, new),
        (None, Some(_)) => None,
    }
}

impl FleetSpec {
    /// This file, with those clouds of the one before that it lacks and in which the fleet has these machines, or is about to have
    /// them: they are to be ended still. No pool uses them, so that nothing is launched there.
    #[must_use]
    pub fn keeping(&self, before: &Self, machines: &BTreeMap<String, Machines>) -> Self {
        let has_some = |cloud: &String| machines.get(cloud).is_some_and(|there| there.need_it());
        let kept = before
            .clouds
            .iter()
            .filter(|(name, _)| has_some(name) && !self.clouds.contains_key(*name));
        let mut fleet = self.clone();
        fleet
            .clouds
            .extend(kept.map(|(name, spec)| (name.clone(), spec.clone())));
        fleet
    }

    /// The clouds that a file does not name and that are kept beside it.
    #[must_use]
    pub fn clouds_beside(&self, file: &Self) -> Vec<String> {
        let names = self.clouds.keys().filter(|name| !file.clouds.contains_key(*name));
        names.cloned().collect()
    }
}

/// That a cloud which is gone is there under another name: kept beside that, its machines would be listed twice, or not be counted for a
/// limit of the account. With another access key it may be the same account.
fn renamed(name: &str, cloud: &CloudSpec, (old, new): (&FleetSpec, &FleetSpec)) -> Option<String> {
    let added = new
        .clouds
        .iter()
        .filter(|(name, _)| !old.clouds.contains_key(*name));
    let place = |cloud: &CloudSpec| {
        let amazon = format!("https://ec2.{}.amazonaws.com", cloud.region);
        let endpoint = cloud.endpoint.clone().unwrap_or(amazon);
        (cloud.region.clone(), endpoint.trim_end_matches('/').to_owned())
    };
    let mut same = added.filter(|(_, other)| place(other) == place(cloud));
    let (other, _) = same.next()?;
    Some(format!("clouds.{name} is called {other}"))
}

/// What of a cloud is another one, of all that tells which machines are there.
fn differs(name: &str, old: &CloudSpec, new: &CloudSpec) -> Option<String> {
    let path = |cloud: &CloudSpec| cloud.credentials.path.clone();
    let source = |cloud: &CloudSpec| {
        let word = match cloud.credentials.source {
            CredentialsSource::Environment => "environment",
            CredentialsSource::File => "file",
            CredentialsSource::Embedded => "embedded",
            CredentialsSource::InstanceRole => "instance-role",
        };
        Some(word.to_owned())
    };
    let parts = [
        ("region", Some(old.region.clone()), Some(new.region.clone())),
        ("endpoint", old.endpoint.clone(), new.endpoint.clone()),
        ("credentials.source", source(old), source(new)),
        ("credentials.path", path(old), path(new)),
    ];
    let (key, old, new) = parts.into_iter().find(|(_, old, new)| old != new)?;
    let told = |value: Option<String>| value.map_or("not set".to_owned(), |value| format!("`{value}`"));
    Some(format!(
        "clouds.{name}.{key} was {} and is {}",
        told(old),
        told(new)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> FleetSpec {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "fleet": "019a0000-0000-7000-8000-000000000001", "name": "test",
            "clouds": {"aws": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}},
            "images": {"builder": {"cloud": "aws", "id": "ami-1"}}, "provision": {"base": {}},
            "pools": {},
        }))
        .unwrap()
    }

    /// So many builders of a cloud, strays and planned builders.
    fn there(cloud: &str, [builders, strays, planned]: [u64; 3]) -> BTreeMap<String, Machines> {
        let machines = Machines {
            builders,
            strays,
            planned,
        };
        BTreeMap::from([(cloud.to_owned(), machines)])
    }

    fn left(change: impl FnOnce(&mut CloudSpec), builders: u64) -> Option<String> {
        let mut new = fleet();
        change(new.clouds.get_mut("aws").unwrap());
        machines_left(&fleet(), &new, &there("aws", [builders, 0, 0]))
    }

    #[test]
    fn strays_are_left_where_the_file_before_led_to_them_and_what_is_planned_is_left_nowhere() {
        let hint = "set `max` of its pools to 0, and change the cloud when its machines have ended";
        let mut moved = fleet();
        moved.clouds.get_mut("aws").unwrap().region = "q".to_owned();
        let region = "clouds.aws.region was `r` and is `q`";
        for (cloud, counts, expected, is_awaited) in [
            ("aws", [0, 0, 0], None, false),
            (
                "aws",
                [0, 1, 0],
                Some(format!("{region}, and 1 machine is left there")),
                false,
            ),
            (
                "aws",
                [2, 1, 1],
                Some(format!("{region}, and 3 machines are left there")),
                true,
            ),
            ("aws", [0, 0, 1], None, true),
            ("lab", [0, 1, 0], None, false),
            (
                "lab",
                [1, 1, 0],
                Some("clouds.lab is gone, and 1 machine is left there".to_owned()),
                false,
            ),
        ] {
            let machines = there(cloud, counts);
            let expected = expected.map(|words| format!("{words}: {hint}"));
            assert_eq!(
                machines_left(&fleet(), &moved, &machines),
                expected,
                "{cloud} {counts:?}"
            );
            let awaited = about_to_be_launched(&fleet(), &moved, &machines);
            assert_eq!(awaited == ["aws"], is_awaited, "{cloud} {counts:?}");
            assert_eq!(
                about_to_be_launched(&fleet(), &fleet(), &there("aws", counts)),
                [""; 0]
            );
        }
    }

    #[test]
    fn a_cloud_that_has_machines_stays_where_it_is() {
        let hint = "set `max` of its pools to 0, and change the cloud when its machines have ended";
        type Change = fn(&mut CloudSpec);
        for (change, words) in [
            (
                (|it| it.region = "q".to_owned()) as Change,
                "region was `r` and is `q`",
            ),
            (
                |it| it.endpoint = Some("http://192.0.2.1".to_owned()),
                "endpoint was not set and is `http://192.0.2.1`",
            ),
            (
                |it| it.credentials.source = CredentialsSource::Embedded,
                "credentials.source was `environment` and is `embedded`",
            ),
            (
                |it| it.credentials.path = Some("other.toml".to_owned()),
                "credentials.path was not set and is `other.toml`",
            ),
        ] {
            assert_eq!(left(change, 0), None, "{words}");
            assert_eq!(
                left(change, 1).unwrap(),
                format!("clouds.aws.{words}, and 1 machine is left there: {hint}")
            );
        }
        assert_eq!(
            left(|it| it.limits.instances = Some(1), 3),
            None,
            "they are found"
        );
    }

    #[test]
    fn a_cloud_of_which_neither_file_says_where_it_is_is_missed_where_it_has_machines() {
        let machines = there("lab", [2, 0, 0]);
        let words = machines_left(&fleet(), &fleet(), &machines).unwrap();
        assert!(
            words.starts_with("clouds.lab is gone, and 2 machines are left there: "),
            "{words}"
        );
    }

    #[test]
    fn a_cloud_that_is_gone_from_the_file_is_kept_as_it_was_while_it_has_builders() {
        let old = fleet();
        let mut new = fleet();
        new.clouds.clear();
        new.images.clear();
        let with = |count| there("aws", [count, 0, 0]);
        for (counts, is_kept) in [([0, 0, 0], false), ([0, 1, 0], true), ([0, 0, 1], true)] {
            let kept = new.keeping(&old, &there("aws", counts));
            assert_eq!(kept.clouds.contains_key("aws"), is_kept, "{counts:?}");
        }
        assert_eq!(machines_left(&old, &new, &with(2)), None, "they are ended still");
        let kept = new.keeping(&old, &with(2));
        assert_eq!((&kept.clouds, kept.images.len()), (&old.clouds, 0));
        assert_eq!(kept.clouds_beside(&new), ["aws"]);
        assert_eq!(new.keeping(&kept, &with(1)), kept, "also by what was kept");
        assert_eq!(new.keeping(&kept, &with(0)), new, "until the last one has ended");
        // What the file says of a cloud counts.
        let mut limited = fleet();
        limited.clouds.get_mut("aws").unwrap().limits.instances = Some(1);
        assert_eq!(limited.keeping(&old, &with(2)), limited);
    }

    #[test]
    fn a_cloud_with_machines_gets_no_other_name() {
        let mut new = fleet();
        let mut cloud = new.clouds.remove("aws").unwrap();
        cloud.limits.instances = Some(9);
        new.clouds.insert("amazon".to_owned(), cloud);
        let left = |new: &FleetSpec| machines_left(&fleet(), new, &there("aws", [1, 0, 0]));
        let words = left(&new).unwrap();
        assert!(
            words.starts_with("clouds.aws is called amazon, and 1 machine is left there: "),
            "{words}"
        );
        let credentials = &mut new.clouds.get_mut("amazon").unwrap().credentials;
        credentials.source = CredentialsSource::InstanceRole;
        assert_eq!(left(&new).as_ref(), Some(&words), "it may be the same account");
        new.clouds.get_mut("amazon").unwrap().endpoint = Some("https://ec2.r.amazonaws.com/".to_owned());
        assert_eq!(left(&new).as_ref(), Some(&words), "that is Amazon's own");
        new.clouds.get_mut("amazon").unwrap().region = "q".to_owned();
        assert_eq!(left(&new), None, "another one takes its place");
    }
}
