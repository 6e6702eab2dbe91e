//! Addresses and names: 10.88.x.y inside, 127.N.x.y as the public address, in step with each other.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::{
    Error,
    ledger::{InstanceState, State},
};

/// The numbers below this one are not given to instances: the gateway is among them, and addresses to try a port on.
const RESERVED: u16 = 16;

/// The private and the public address for the same two last numbers.
fn pair(public_network: u8, number: u16) -> (Ipv4Addr, Ipv4Addr) {
    let [third, fourth] = number.to_be_bytes();
    (
        Ipv4Addr::new(10, 88, third, fourth),
        Ipv4Addr::new(127, public_network, third, fourth),
    )
}

/// Whether the port of public addresses can be listened on at all.
///
/// Tried are addresses that no instance is ever given. One of them can be in use for the moment in which another
/// cloud tries it; all of them are only when a program listens on the port of every address, as sshd does on 22.
pub(crate) fn probe(public_network: u8, port: u16) -> Result<(), Error> {
    let mut last = None;
    for number in 1..RESERVED {
        let address = SocketAddr::from((pair(public_network, number).1, port));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(address),
            Err(error) => {
                let reason = error.to_string();
                return Err(Error::PublicPort { address, reason });
            }
        }
    }
    match last {
        Some(address) => Err(Error::PublicPort {
            address,
            reason: format!("another program listens on port {port} of all addresses"),
        }),
        None => Ok(()),
    }
}

/// Takes the next free pair of addresses after the one given last, so that a freed address comes again as late as
/// possible. An address whose public side another program listens on is passed over. `None`: all are taken.
///
/// # Errors
/// [`Error::PublicPort`] when the next address would be no better.
pub(crate) fn allocate(
    state: &mut State,
    public_network: u8,
    ssh_port: u16,
) -> Result<Option<(Ipv4Addr, Ipv4Addr)>, Error> {
    let taken: BTreeSet<Ipv4Addr> = state
        .instances
        .values()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .map(|instance| instance.private_address)
        .collect();
    for _ in 0..=u16::MAX {
        state.address_cursor = state.address_cursor.wrapping_add(1);
        let [_, fourth] = state.address_cursor.to_be_bytes();
        let reserved = matches!(fourth, 0 | 255) || state.address_cursor < RESERVED;
        let (private, public) = pair(public_network, state.address_cursor);
        if reserved || taken.contains(&private) {
            continue;
        }
        let address = SocketAddr::from((public, ssh_port));
        match TcpListener::bind(address) {
            Ok(_) => return Ok(Some((private, public))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => probe(public_network, ssh_port)?,
            Err(error) => {
                let reason = error.to_string();
                return Err(Error::PublicPort { address, reason });
            }
        }
    }
    Ok(None)
}

/// The pair of addresses that was freed last and is nobody's now: a fault.
pub(crate) fn freed_last(state: &State) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let ended = state
        .instances
        .values()
        .filter(|one| one.state == InstanceState::Terminated);
    let last = ended.max_by_key(|one| one.terminated_at)?;
    let is_taken = state
        .instances
        .values()
        .any(|one| one.state != InstanceState::Terminated && one.private_address == last.private_address);
    (!is_taken).then_some((last.private_address, last.public_address))
}

/// How many addresses can still be given.
pub(crate) fn free(state: &State) -> usize {
    let taken = state
        .instances
        .values()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .count();
    // Of each 256 the first and the last are not given, nor are the others below `RESERVED`.
    let all = 256 * 254 - (usize::from(RESERVED) - 1);
    all.saturating_sub(taken)
}

/// The host name of a machine, as EC2 forms it from the private address.
pub(crate) fn host_name(private: Ipv4Addr) -> String {
    format!("ip-{}", private.to_string().replace('.', "-"))
}

/// `privateDnsName` of an instance. No name server knows it.
pub(crate) fn private_dns_name(private: Ipv4Addr, region: &str) -> String {
    format!("{}.{region}.compute.internal", host_name(private))
}

/// `dnsName` of an instance. No name server knows it; clients use the address.
pub(crate) fn public_dns_name(public: Ipv4Addr, region: &str) -> String {
    format!(
        "ec2-{}.{region}.compute.devcloud.internal",
        public.to_string().replace('.', "-")
    )
}

#[cfg(test)]
mod tests {
    use super::{allocate, free, host_name, private_dns_name, probe, public_dns_name};
    use crate::{
        api::samples,
        ledger::{InstanceState, State},
    };

    #[test]
    fn addresses_mirror_each_other_skip_reserved_ones_and_go_round() {
        let mut state = State::new().unwrap();
        state.address_cursor = u16::MAX - 2;
        let first = allocate(&mut state, 77, 4022).unwrap().unwrap();
        assert_eq!(first.0.octets()[2..], first.1.octets()[2..]);
        assert_eq!((first.0.octets()[2], first.0.octets()[3]), (255, 254));
        let next = allocate(&mut state, 77, 4022).unwrap().unwrap();
        assert_eq!(next.1.to_string(), "127.77.0.16");
        assert_eq!(host_name(next.0), "ip-10-88-0-16");
    }

    #[test]
    fn all_addresses_are_free_until_instances_that_live_have_them() {
        let mut state = State::new().unwrap();
        let all = free(&state);
        // 256 networks with 254 hosts each, without the fifteen that are nobody's.
        assert_eq!(all, 65_009);
        for (number, (alive, taken)) in [
            (InstanceState::Stopped, 1),
            (InstanceState::Terminated, 1),
            (InstanceState::Running, 2),
        ]
        .into_iter()
        .enumerate()
        {
            let mut instance = samples::instance(&format!("i-{number}"));
            instance.state = alive;
            state.instances.insert(instance.id.clone(), instance.into());
            assert_eq!(free(&state), all - taken, "{}", alive.name());
        }
    }

    #[test]
    fn names_are_made_of_addresses_as_ec2_makes_them() {
        let (private, public) = ("10.88.1.20".parse().unwrap(), "127.88.1.20".parse().unwrap());
        assert_eq!(host_name(private), "ip-10-88-1-20");
        assert_eq!(
            private_dns_name(private, "dev-1"),
            "ip-10-88-1-20.dev-1.compute.internal"
        );
        assert_eq!(
            public_dns_name(public, "dev-1"),
            "ec2-127-88-1-20.dev-1.compute.devcloud.internal"
        );
    }

    #[test]
    fn an_address_that_another_program_listens_on_is_passed_over() {
        let mut state = State::new().unwrap();
        state.address_cursor = 0x0520;
        let _other = std::net::TcpListener::bind("127.77.5.33:4023").unwrap();
        let (_, public) = allocate(&mut state, 77, 4023).unwrap().unwrap();
        assert_eq!(public.to_string(), "127.77.5.34");
    }

    #[test]
    fn a_port_that_another_program_has_on_all_addresses_is_an_error_with_its_name_and_costs_no_search() {
        let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();
        let mut state = State::new().unwrap();
        state.address_cursor = 1000;
        for error in [
            probe(77, port).unwrap_err(),
            allocate(&mut state, 77, port).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains(&format!("127.77.0.15:{port}")), "{text}");
            assert!(
                text.contains(&format!("listens on port {port} of all addresses")),
                "{text}"
            );
        }
        assert_eq!(state.address_cursor, 1001);
        drop(everywhere);
        probe(77, port).unwrap();
    }
}
