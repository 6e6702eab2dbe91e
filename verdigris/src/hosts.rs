//! What is wrong with the fixed hosts of a fleet file that the file's own rules do not see.

use model::fleet::{Contradiction, FleetSpec};
use shell::HostKey;

/// The host keys that are none.
pub(crate) fn mistakes(fleet: &FleetSpec) -> Vec<Contradiction> {
    let mut found = Vec::new();
    for (pool, spec) in &fleet.pools {
        for (index, host) in spec.hosts.iter().enumerate() {
            // One that is no line of two words is told of already.
            let key = host.host_key.as_deref();
            let Some(key) = key.filter(|key| key.split_whitespace().count() > 1) else {
                continue;
            };
            if let Err(error) = HostKey::parse(key) {
                let path = ["pools", pool.as_str(), "hosts", &index.to_string(), "host_key"];
                found.push(Contradiction::new(&path, error.to_string()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_one_that_ssh_can_read() {
        for (key, is_good) in [
            (
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
                true,
            ),
            (
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti root@rack-1",
                true,
            ),
            ("ssh-ed25519 AAAA", false),
            (
                "rack-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
                false,
            ),
        ] {
            let fleet: FleetSpec = serde_json::from_value(serde_json::json!({
                "schema": 1, "fleet": "019ac1f0-0000-7000-8000-000000000000", "name": "test", "provision": {"p": {}},
                "pools": {"rack": {
                    "labels": ["arch:x86_64"], "provision": "p", "size": {"max": 1},
                    "hosts": [{"name": "rack-1", "address": "192.0.2.1", "host_key": key}],
                }},
            }))
            .unwrap();
            assert_eq!(fleet.contradictions(), []);
            let found = mistakes(&fleet);
            assert_eq!(found.is_empty(), is_good, "{key}: {found:?}");
            for mistake in found {
                let words = mistake.to_string();
                assert!(
                    words.starts_with("pools.rack.hosts[0].host_key: the host key "),
                    "{words}"
                );
            }
        }
    }
}
