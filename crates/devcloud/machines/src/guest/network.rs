//! The cloud's network: a bridge in a network namespace with no way out but the one that was asked for, and a namespace and a pair of virtual
//! Ethernet devices for each machine. All by `ip` of iproute2.

use std::{
    io::Write as _,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::hypervisor::{
    Failure, GATEWAY, METADATA, NETWORK_BITS, OUTSIDE_DEVICE, OUTSIDE_GATEWAY, mac_address,
};

/// The bridge of the cloud.
const BRIDGE: &str = "br0";

/// The file of a machine's network namespace.
pub(super) fn namespace_file(id: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(id)
}

/// The bridge's end of a machine's link. The name of a device has 15 bytes at most, so it is made of the address.
fn link(address: Ipv4Addr) -> String {
    format!("v{:08x}", u32::from(address))
}

/// Brings the bridge up, with the addresses of the gateway and of the metadata service.
pub(super) fn up() -> Result<(), Failure> {
    for scope in ["all", "default"] {
        // Only saves a hundred machines' worth of neighbour discovery; absent where the kernel has no IPv6.
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").ok();
    }
    // A bridge without an address of its own takes the lowest of its ports', and changes it as they come and go.
    let mac = mac_address(GATEWAY);
    ip(
        None,
        &format!(
            "link set lo up\n\
             link add {BRIDGE} address {mac} type bridge\n\
             addr add {GATEWAY}/{NETWORK_BITS} dev {BRIDGE}\n\
             addr add {METADATA}/32 dev {BRIDGE}\n\
             link set {BRIDGE} up\n\
             netns add first\n\
             netns del first\n"
        ),
    )
}

/// Takes the device of the way to the outside into the bridge.
pub(super) fn join_outside() -> Result<(), Failure> {
    ip(None, &format!("link set {OUTSIDE_DEVICE} master {BRIDGE} up\n"))
}

/// Makes the network of one machine.
///
/// Without a way to the outside everything goes to the gateway; with one, what is for the metadata service does.
pub(super) fn attach(id: &str, address: Ipv4Addr, link_up: bool, outside: bool) -> Result<(), Failure> {
    let (link, mac) = (link(address), mac_address(address));
    let state = if link_up { "up" } else { "down" };
    let router = if outside { OUTSIDE_GATEWAY } else { GATEWAY };
    ip(
        None,
        &format!(
            "netns add {id}\n\
             link add {link} type veth peer name eth0 address {mac} netns {id}\n\
             link set {link} master {BRIDGE} {state}\n"
        ),
    )?;
    ip(
        Some(id),
        &format!(
            "link set lo up\n\
             addr add {address}/{NETWORK_BITS} dev eth0\n\
             link set eth0 up\n\
             route add {METADATA} via {GATEWAY}\n\
             route add default via {router}\n"
        ),
    )
}

/// Removes the network of one machine, or what there is of it.
pub(super) fn detach(id: &str, address: Ipv4Addr) {
    let script = format!("link del {}\nnetns del {id}\n", link(address));
    if let Err(failure) = run_ip(&["-force", "-batch", "-"], &script) {
        tracing::warn!(id, ?failure, "The network of a machine was not removed in full.");
    }
}

/// Cuts or mends the bridge's end of a machine's link.
pub(super) fn set_link(address: Ipv4Addr, up: bool) -> Result<(), Failure> {
    ip(
        None,
        &format!("link set {} {}\n", link(address), if up { "up" } else { "down" }),
    )
}

fn ip(namespace: Option<&str>, script: &str) -> Result<(), Failure> {
    match namespace {
        Some(namespace) => run_ip(&["-n", namespace, "-batch", "-"], script),
        None => run_ip(&["-batch", "-"], script),
    }
}

/// Runs `ip` over a list of commands.
fn run_ip(arguments: &[&str], script: &str) -> Result<(), Failure> {
    let failure = |reason: String| Failure::step("set up the network with `ip` of iproute2", reason);
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failure(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A command that has ended early says why below.
        input.write_all(script.as_bytes()).ok();
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failure(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(
        String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
    ))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::Ipv4Addr, path::Path};

    use super::{link, namespace_file};
    use crate::hypervisor::mac_address;

    #[test]
    fn a_machines_devices_are_named_after_its_address() {
        for (address, device, mac) in [
            ([10, 88, 0, 1], "v0a580001", "0a:58:0a:58:00:01"),
            ([10, 88, 1, 16], "v0a580110", "0a:58:0a:58:01:10"),
            ([10, 88, 255, 254], "v0a58fffe", "0a:58:0a:58:ff:fe"),
        ] {
            let address = Ipv4Addr::from(address);
            assert_eq!(
                (link(address).as_str(), mac_address(address).as_str()),
                (device, mac)
            );
        }
        assert_eq!(namespace_file("i-12345678"), Path::new("/run/netns/i-12345678"));
    }

    #[test]
    fn no_two_machines_of_the_network_share_a_device() {
        let first = u32::from(Ipv4Addr::new(10, 88, 0, 0));
        let addresses: Vec<Ipv4Addr> = (0..65_536).map(|host| Ipv4Addr::from(first + host)).collect();
        let links: BTreeSet<String> = addresses.iter().map(|address| link(*address)).collect();
        let macs: BTreeSet<String> = addresses.iter().map(|address| mac_address(*address)).collect();
        assert_eq!((links.len(), macs.len()), (65_536, 65_536));
        assert!(
            links.iter().all(|name| name.len() <= 15),
            "Linux takes no longer name"
        );
    }
}
