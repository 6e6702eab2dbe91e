//! The way to the outside, for clouds that were asked to have one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};

use crate::{
    host::processes_of,
    support::{Farm, until_none},
};

/// Serves a line at an address of the host.
async fn serve(address: IpAddr, line: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let place = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // A client that is gone does not want the line.
            connection.write_all(line.as_bytes()).await.ok();
        }
    });
    (place, served)
}

/// An address that this host has beside loopback: that from which it would send to others. Nothing is sent.
fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

#[tokio::test]
async fn machines_reach_the_network_outside_when_asked_to_but_not_the_hosts_loopback() {
    let mut farm = Farm::start_with("", |config| config.outside = true).await;
    assert!(farm.hypervisor.reaches_outside());
    let (first, second) = (farm.run(1).await, farm.run(2).await);
    let (first_port, second_port) = (farm.forward(&first).await, farm.forward(&second).await);
    let read = |address: IpAddr, port: u16| format!("timeout 20 bash -c 'cat < /dev/tcp/{address}/{port}'");
    if let Some(address) = host_address() {
        let (place, served) = serve(address, "from outside\n").await;
        for port in [first_port, second_port] {
            let text = farm.ssh(port, &read(address, place.port())).await.unwrap();
            assert_eq!(text, "from outside\n");
        }
        served.abort();
    }
    let (loopback, served) = serve(Ipv4Addr::LOCALHOST.into(), "secret\n").await;
    for gateway in [Ipv4Addr::new(10, 88, 0, 2), Ipv4Addr::new(10, 88, 0, 1)] {
        let refused = farm.ssh(first_port, &read(gateway.into(), loopback.port())).await;
        assert!(refused.is_err(), "the host's loopback was reached: {refused:?}");
    }
    served.abort();
    let resolver = farm.ssh(first_port, "cat /etc/resolv.conf").await.unwrap();
    assert_eq!(resolver, "nameserver 10.88.0.3\n");
    let state_dir = farm.state_dir();
    farm.hypervisor.shutdown().await.unwrap();
    until_none("processes", || processes_of(&state_dir)).await;
}
