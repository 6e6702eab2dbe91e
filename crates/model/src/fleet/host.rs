//! The fixed hosts of a fleet file: machines that are always there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name under which rows of builders have fixed hosts in the place of a cloud's name. No cloud may be named so.
pub const HOSTS: &str = "hosts";

/// A machine that is always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Its name, which no other host of the file has: letters, digits, `.`, `_` and `-`.
    #[schemars(extend("pattern" = r"^[A-Za-z0-9._-]+$"))]
    pub name: String,
    /// Where it is reached: an IP address, without brackets, or a host name.
    #[schemars(extend("pattern" = r"^[^\s/@\[\]]+$"))]
    pub address: String,
    /// The port that its sshd listens on, where it is another one than that of `connect`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Its public host key, as in `/etc/ssh/ssh_host_ed25519_key.pub`. When left out, the key is kept that it shows first.
    #[serde(default)]
    #[schemars(extend("pattern" = r"^\S+ +\S+"))]
    pub host_key: Option<String>,
}

impl HostSpec {
    /// The port that its sshd listens on; `connect`: that of the others.
    #[must_use]
    pub fn port_or(&self, connect: u16) -> u16 {
        self.port.unwrap_or(connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_port_of_its_own_is_reached_there() {
        let host = |port| HostSpec {
            name: "rack-1".to_owned(),
            address: "fe80::1".to_owned(),
            port,
            host_key: None,
        };
        assert_eq!(host(None).port_or(22), 22);
        assert_eq!(host(Some(2222)).port_or(22), 2222);
    }
}
