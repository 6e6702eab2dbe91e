//! What is wrong with the fixed hosts of a fleet file.

use std::collections::BTreeMap;

use super::{Contradiction, FleetSpec, PoolSpec, empty};
use crate::{
    fleet::{HOSTS, HostKeySource, HostSpec},
    offering::is_word,
};

/// What is wrong with one pool of hosts.
pub(super) fn of_pool(name: &str, pool: &PoolSpec, found: &mut Vec<Contradiction>) {
    for (key, is_given) in [
        ("image", pool.image.is_some()),
        ("offerings", !pool.offerings.is_empty()),
        ("disk", pool.disk.is_some()),
    ] {
        if is_given {
            let words = format!("a pool of `hosts` launches nothing, so that it has no `{key}`");
            let here = Contradiction::new(&["pools", name, key], words);
            found.push(here.beside(&["pools", name, "hosts"]));
        }
    }
    if pool.host_key == HostKeySource::Console {
        let words = "fixed hosts have no console: each host has a `host_key` of its own, or the key is kept that it shows first";
        let here = Contradiction::new(&["pools", name, "host_key"], words);
        found.push(here.beside(&["pools", name, "hosts"]));
    }
    let count = u32::try_from(pool.hosts.len()).unwrap_or(u32::MAX);
    if pool.size.max > count {
        let (max, hosts) = (pool.size.max, if count == 1 { "host" } else { "hosts" });
        let words = format!("{max} must not be above the number of its hosts: it has {count} {hosts}");
        let here = Contradiction::new(&["pools", name, "size", "max"], words);
        found.push(here.beside(&["pools", name, "hosts"]));
    }
    for (index, host) in pool.hosts.iter().enumerate() {
        let index = index.to_string();
        of_host(&["pools", name, "hosts", &index], host, found);
    }
}

fn of_host(at: &[&str; 4], host: &HostSpec, found: &mut Vec<Contradiction>) {
    let [pools, pool, hosts, index] = *at;
    let place = |key| [pools, pool, hosts, index, key];
    let mut tell = |key, words: String| found.push(Contradiction::new(&place(key), words));
    if !is_word(&host.name) {
        let words = "a host has a name of letters, digits, `.`, `_` and `-`, such as rack-1";
        tell("name", format!("`{}`: {words}", host.name));
    }
    let is_odd = |c: char| c.is_whitespace() || "/@[]".contains(c);
    if host.address.contains(is_odd) {
        let words = "is no IP address without brackets and no host name; `port` and `connect.user` stand for themselves";
        tell("address", format!("`{}` {words}", host.address));
    }
    if host.port == Some(0) {
        tell("port", "0 is no port; those are from 1 to 65535".to_owned());
    }
    let kind = host.host_key.as_ref().map(|key| key.split_whitespace().count());
    if matches!(kind, Some(0 | 1)) {
        let words =
            "it is no public host key, such as `ssh-ed25519 AAAA…` in /etc/ssh/ssh_host_ed25519_key.pub";
        tell("host_key", words.to_owned());
    }
    let words = "a host, such as 192.0.2.7 or rack-1.example.org";
    found.extend(empty(&place("address"), &host.address, words));
}

/// What is wrong between hosts of all pools: two builders on one machine would disturb each other.
pub(super) fn in_fleet(fleet: &FleetSpec, found: &mut Vec<Contradiction>) {
    if fleet.clouds.contains_key(HOSTS) {
        let words = "fixed hosts have this name in the place of a cloud's: name the cloud otherwise";
        found.push(Contradiction::new(&["clouds", HOSTS], words));
    }
    let mut names: BTreeMap<&str, [String; 4]> = BTreeMap::new();
    let mut places: BTreeMap<(&str, u16), [String; 4]> = BTreeMap::new();
    for (pool, spec) in &fleet.pools {
        let connect = fleet.provision.get(&spec.provision).map(|it| it.connect.port);
        for (index, host) in spec.hosts.iter().enumerate() {
            let here = ["pools", pool.as_str(), "hosts", &index.to_string()].map(str::to_owned);
            let mut compare = |first: Option<[String; 4]>, key: &str, what: String| {
                let Some(first) = first else { return };
                let path: Vec<&str> = here.iter().map(String::as_str).chain([key]).collect();
                let other: Vec<&str> = first.iter().map(String::as_str).chain([key]).collect();
                let words =
                    format!("{what} is that of another host as well, and each machine is one builder");
                found.push(Contradiction::new(&path, words).beside(&other));
            };
            let what = format!("the name `{}`", host.name);
            compare(names.insert(&host.name, here.clone()), "name", what);
            let port = host.port_or(connect.unwrap_or_default());
            let what = format!("the address {} with port {port}", host.address);
            compare(
                places.insert((&host.address, port), here.clone()),
                "address",
                what,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Two pools of hosts, in which nothing is wrong.
    fn sound() -> Value {
        json!({
            "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test",
            "provision": {"p": {}, "q": {"connect": {"port": 2222}}},
            "pools": {
                "one": {
                    "labels": ["arch:x86_64"], "provision": "p", "size": {"max": 2},
                    "hosts": [
                        {"name": "rack-1", "address": "192.0.2.1", "host_key": "ssh-ed25519 AAAA"},
                        {"name": "rack-2", "address": "fe80::2", "port": 2222},
                    ],
                },
                "two": {
                    "labels": ["arch:aarch64"], "provision": "q", "size": {"max": 0},
                    "hosts": [{"name": "rack-3", "address": "192.0.2.1"}],
                },
            },
        })
    }

    fn found(file: Value) -> Vec<String> {
        let fleet: FleetSpec = serde_json::from_value(file).unwrap();
        fleet.contradictions().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_fleet_of_hosts_needs_no_cloud_and_no_image() {
        assert_eq!(found(sound()), [""; 0]);
    }

    /// What is put where, and the first complaint.
    const MISTAKES: &[(&str, &str, &str)] = &[
        (
            "/pools/one/image",
            r#""i""#,
            "pools.one.image: a pool of `hosts` launches nothing, so that it has no `image`",
        ),
        (
            "/pools/one/offerings",
            r#"[{"types": ["t"]}]"#,
            "pools.one.offerings: a pool of `hosts` launches nothing, so that it has no `offerings`",
        ),
        (
            "/pools/one/host_key",
            r#""console""#,
            "pools.one.host_key: fixed hosts have no console: each host has a `host_key` of its own, or the key is kept that it \
                 shows first",
        ),
        (
            "/pools/one/size/max",
            r#"3"#,
            "pools.one.size.max: 3 must not be above the number of its hosts: it has 2 hosts",
        ),
        (
            "/pools/two/size/max",
            r#"2"#,
            "pools.two.size.max: 2 must not be above the number of its hosts: it has 1 host",
        ),
        (
            "/pools/one/hosts/1/name",
            r#""rack 2""#,
            "pools.one.hosts[1].name: `rack 2`: a host has a name of letters, digits, `.`, `_` and `-`, such as rack-1",
        ),
        (
            "/pools/one/hosts/1/name",
            r#""rack-1""#,
            "pools.one.hosts[1].name: the name `rack-1` is that of another host as well, and each machine is one builder",
        ),
        (
            "/pools/two/hosts/0/name",
            r#""rack-1""#,
            "pools.two.hosts[0].name: the name `rack-1` is that of another host as well, and each machine is one builder",
        ),
        (
            "/pools/two/hosts/0/port",
            r#"22"#,
            "pools.two.hosts[0].address: the address 192.0.2.1 with port 22 is that of another host as well, and each machine \
                 is one builder",
        ),
        (
            "/pools/one/hosts/0/port",
            r#"0"#,
            "pools.one.hosts[0].port: 0 is no port; those are from 1 to 65535",
        ),
        (
            "/pools/one/hosts/0/address",
            r#""""#,
            "pools.one.hosts[0].address: it is empty; it names a host, such as 192.0.2.7 or rack-1.example.org",
        ),
        (
            "/pools/one/hosts/0/address",
            r#""root@192.0.2.1""#,
            "pools.one.hosts[0].address: `root@192.0.2.1` is no IP address without brackets and no host name; `port` and \
                 `connect.user` stand for themselves",
        ),
        (
            "/pools/one/hosts/0/host_key",
            r#""AAAA""#,
            "pools.one.hosts[0].host_key: it is no public host key, such as `ssh-ed25519 AAAA…` in \
                 /etc/ssh/ssh_host_ed25519_key.pub",
        ),
        (
            "/clouds",
            r#"{"hosts": {"kind": "ec2", "region": "r", "credentials": {"source": "environment"}}}"#,
            "clouds.hosts: fixed hosts have this name in the place of a cloud's: name the cloud otherwise",
        ),
        (
            "/pools/two/hosts",
            r#"[]"#,
            "pools.two.image: it is missing; only a pool of `hosts` has none",
        ),
    ];

    #[test]
    fn what_is_wrong_with_a_host_is_told_with_its_place() {
        for (place, value, words) in MISTAKES {
            let mut file = sound();
            let (parent, key) = place.rsplit_once('/').unwrap();
            file.pointer_mut(parent).unwrap()[key] = serde_json::from_str(value).unwrap();
            let told = found(file);
            assert_eq!(told.first().map(String::as_str), Some(*words), "{told:?}");
        }
    }

    #[test]
    fn all_that_a_pool_of_no_kind_lacks_is_told_at_once() {
        let mut file = sound();
        file["pools"]["two"]["hosts"] = json!([]);
        let lacks = [
            "pools.two.image: it is missing; only a pool of `hosts` has none",
            "pools.two.offerings: at least one offering is needed, such as {types: [c7i.xlarge]}",
        ];
        assert_eq!(found(file), lacks);
    }
}
