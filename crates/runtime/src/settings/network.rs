//! A network, as settings write it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A network such as `10.0.0.0/8`, or one address such as `192.0.2.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8 or fd00::/8")]
pub struct InvalidNetwork(String);

impl Network {
    /// The network.
    #[must_use]
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| invalid())?,
        };
        // IPv4 inside IPv6 is compared as IPv4, which such a network would never hold.
        let is_mapped =
            matches!(network.network(), IpAddr::V6(address) if Ipv6Addr::to_ipv4_mapped(&address).is_some());
        if is_mapped {
            Err(invalid())
        } else {
            Ok(Self(network))
        }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{IpAddr, Network};

    #[test]
    fn an_address_is_a_network_of_one_and_what_is_neither_is_named() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), expected);
        }
        for bad in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.0/8 ",
            "::ffff:10.0.0.0/104",
        ] {
            let said = bad.parse::<Network>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("`{bad}` is neither")), "{said}");
        }
    }

    #[test]
    fn a_network_holds_what_its_length_says_and_is_written_as_it_is_read() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("0.0.0.0/0", "203.0.113.9", "::"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::/0", "2001:db8::1", "0.0.0.0"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(
                network.get().contains(&inside.parse::<IpAddr>().unwrap()),
                "{network} {inside}"
            );
            assert!(
                !network.get().contains(&outside.parse::<IpAddr>().unwrap()),
                "{network} {outside}"
            );
            assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
            let written = serde_json::to_string(&network).unwrap();
            assert_eq!(serde_json::from_str::<Network>(&written).unwrap(), network);
        }
        let said = serde_json::from_str::<Network>("\"10.0.0.0/33\"")
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with(
                "`10.0.0.0/33` is neither an address nor a network such as 10.0.0.0/8 or fd00::/8"
            ),
            "{said}"
        );
    }
}
