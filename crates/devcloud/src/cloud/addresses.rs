//! Addresses and names: 10.88.x.y inside, 127.N.x.y as the public address, in step with each other.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::ledger::{InstanceState, State};

/// The private and the public address for the same two last numbers.
fn pair(public_network: u8, number: u16) -> (Ipv4Addr, Ipv4Addr) {
    let [third, fourth] = number.to_be_bytes();
    (
        Ipv4Addr::new(10, 88, third, fourth),
        Ipv4Addr::new(127, public_network, third, fourth),
    )
}

/// Takes the next free pair of addresses after the one given last, so that a freed address comes again as late as
/// possible. An address whose public side another program listens on is passed over. `None`: all are taken.
pub(crate) fn allocate(state: &mut State, public_network: u8, ssh_port: u16) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let taken: BTreeSet<Ipv4Addr> = state
        .instances
        .values()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .map(|instance| instance.private_address)
        .collect();
    for _ in 0..=u16::MAX {
        state.address_cursor = state.address_cursor.wrapping_add(1);
        let [third, fourth] = state.address_cursor.to_be_bytes();
        let reserved = matches!(fourth, 0 | 255) || (third == 0 && fourth < 16);
        let (private, public) = pair(public_network, state.address_cursor);
        if !reserved
            && !taken.contains(&private)
            && TcpListener::bind(SocketAddr::from((public, ssh_port))).is_ok()
        {
            return Some((private, public));
        }
    }
    None
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
    use super::{allocate, host_name};
    use crate::ledger::State;

    #[test]
    fn addresses_mirror_each_other_skip_reserved_ones_and_go_round() {
        let mut state = State::new().unwrap();
        state.address_cursor = u16::MAX - 2;
        let first = allocate(&mut state, 77, 4022).unwrap();
        assert_eq!(first.0.octets()[2..], first.1.octets()[2..]);
        assert_eq!((first.0.octets()[2], first.0.octets()[3]), (255, 254));
        let next = allocate(&mut state, 77, 4022).unwrap();
        assert_eq!(next.1.to_string(), "127.77.0.16");
        assert_eq!(host_name(next.0), "ip-10-88-0-16");
    }

    #[test]
    fn an_address_that_another_program_listens_on_is_passed_over() {
        let mut state = State::new().unwrap();
        state.address_cursor = 0x0520;
        let _other = std::net::TcpListener::bind("127.77.5.33:4023").unwrap();
        let (_, public) = allocate(&mut state, 77, 4023).unwrap();
        assert_eq!(public.to_string(), "127.77.5.34");
    }
}
