//! Who is at the other end, and how much of something one of them may take.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client, as far as limits tell them apart: an IPv4 address, or the first 64 bits of an IPv6 address, since whoever has
/// one of those has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Client(IpAddr);

impl Client {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                Ipv6Addr::from_bits(network).into()
            }
            other => other,
        })
    }

    /// The client of a request that came from `peer`: whom a trusted proxy names as the one before it, else the peer itself.
    /// What a client writes into the header by himself stands before what proxies add, and is not looked at.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: &IpAddr| is_in(trusted, *address);
        if !is_trusted(&peer) {
            return Self::new(peer);
        }
        let named = headers
            .get_all(FORWARDED_FOR)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|text| text.trim().parse::<IpAddr>())
            .collect::<Vec<_>>();
        let mut nearest = peer;
        for address in named.into_iter().rev() {
            // What cannot be read was written by nobody who is trusted.
            let Ok(address) = address else { break };
            nearest = address.to_canonical();
            if !is_trusted(&nearest) {
                break;
            }
        }
        Self::new(nearest)
    }
}

/// Whether an address is in one of the networks.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The limit that a new connection would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// That of all clients together.
    All,
    /// That of this client.
    Client,
}

/// Something of which there is only so much: in all, and for each client.
#[derive(Debug)]
pub(crate) struct Quota {
    most: usize,
    most_per_client: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_client: HashMap<Client, usize>,
}

impl Quota {
    pub(crate) fn new(most: usize, most_per_client: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_client,
            taken: Mutex::default(),
        })
    }

    /// Takes one; dropping it gives it back. Without a client only the sum is limited.
    pub(crate) fn take(self: &Arc<Self>, client: Option<Client>) -> Result<Place, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= self.most {
            return Err(Full::All);
        }
        if let Some(client) = client {
            let count = taken.by_client.entry(client).or_default();
            if *count >= self.most_per_client {
                return Err(Full::Client);
            }
            *count = count.saturating_add(1);
        }
        taken.all = taken.all.saturating_add(1);
        Ok(Place {
            quota: Arc::clone(self),
            client,
        })
    }
}

/// A place that was taken; it is given back when this value goes.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Arc<Quota>,
    client: Option<Client>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(client) = self.client
            && let Some(count) = taken.by_client.get_mut(&client)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use poem::http::HeaderMap;

    use super::{Client, FORWARDED_FOR, Full, Quota};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(text: &str) -> Client {
        Client::new(address(text))
    }

    #[test]
    fn addresses_of_one_owner_are_one_client() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn a_proxy_is_believed_only_where_it_is_trusted_and_only_what_it_added() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let of = |peer: &str, header: &str| {
            let mut headers = HeaderMap::new();
            for line in header.split('|').filter(|line| !line.is_empty()) {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            Client::of(address(peer), &headers, &trusted)
        };
        for (peer, header, expected) in [
            ("192.0.2.1", "", "192.0.2.1"),
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9|198.51.100.7, 10.0.0.2", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
            ("fd00::1", "2001:db8::5", "2001:db8::"),
        ] {
            assert_eq!(of(peer, header), client(expected), "{peer} {header}");
        }
    }

    #[test]
    fn one_client_cannot_take_what_all_share() {
        let quota = Quota::new(3, 2);
        let (one, other) = (Some(client("192.0.2.1")), Some(client("192.0.2.2")));
        let first = quota.take(one).unwrap();
        let _second = quota.take(one).unwrap();
        assert_eq!(quota.take(one).unwrap_err(), Full::Client);
        let _third = quota.take(other).unwrap();
        assert_eq!(quota.take(other).unwrap_err(), Full::All);
        drop(first);
        let _again = quota.take(one).unwrap();
        assert_eq!(quota.take(None).unwrap_err(), Full::All);
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let quota = Quota::new(2, 1);
        for number in 0..100_u8 {
            quota.take(Some(client(&format!("192.0.2.{number}")))).unwrap();
        }
        let taken = quota.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_client.len()), (0, 0));
    }
}
