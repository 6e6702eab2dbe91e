//! The hypervisor dies under a cloud that goes on.

use std::{net::SocketAddrV4, time::Duration};

use devcloud::{
    Cloud, Error, Forward,
    cloud::{GATEWAY, METADATA},
    ledger::InstanceState,
    testing::GREETING,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    ec2,
    host::kill_hypervisor,
    real,
    support::{boto3, launch, reaches, until},
};

fn recoveries(cloud: &Cloud, id: &str) -> usize {
    let snapshot = cloud.ledger().snapshot();
    let history = &snapshot.instances[id].history;
    history.iter().filter(|entry| entry.event == "recovered").count()
}

/// Waits until an instance was recovered and runs again.
async fn recovered(cloud: &Cloud, id: &str) {
    until(&format!("{id} was recovered"), || recoveries(cloud, id) > 0).await;
    reaches(cloud, id, InstanceState::Running).await;
}

#[tokio::test]
async fn when_the_hypervisor_dies_instances_and_services_inside_come_back() {
    let harness = ec2::Harness::new();
    let cloud = harness.start().await;
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = host.local_addr().unwrap();
    cloud.add_forward(Forward { port: 8080, target }).await.unwrap();
    let ids = launch(&cloud, &harness.image, 2).await;
    let public = cloud.ledger().snapshot().instances[&ids[0]].public_address;
    let address = (public, cloud.ssh_port());
    let mut greeting = vec![0; GREETING.len()];
    let mut before = TcpStream::connect(address).await.unwrap();
    before.read_exact(&mut greeting).await.unwrap();

    harness.machines.die();
    for id in &ids {
        recovered(&cloud, id).await;
    }
    let error = before.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let mut after = TcpStream::connect(address).await.unwrap();
    after.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
    let gateway = harness
        .machines
        .listener(SocketAddrV4::new(GATEWAY, 8080))
        .unwrap();
    let mut builder = TcpStream::connect(gateway).await.unwrap();
    let (mut server, _) = host.accept().await.unwrap();
    server.write_all(b"x").await.unwrap();
    assert_eq!(builder.read_u8().await.unwrap(), b'x');
    let metadata = harness
        .machines
        .listener(SocketAddrV4::new(METADATA, 80))
        .unwrap();
    let mut question = TcpStream::connect(metadata).await.unwrap();
    question.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    question.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    for id in &ids {
        reaches(&cloud, id, InstanceState::Terminated).await;
    }
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_hypervisor_that_does_not_come_back_ends_the_cloud_with_an_error() {
    let harness = ec2::Harness::new();
    let cloud = harness.start().await;
    let ids = launch(&cloud, &harness.image, 1).await;
    let endpoint = cloud.endpoint();
    harness.machines.fail("restart", "no memory is left");
    harness.machines.die();
    let error = tokio::time::timeout(Duration::from_secs(60), cloud.failed())
        .await
        .expect("the cloud gives up within its bound");
    assert!(
        matches!(&error, Error::Lost { reason } if reason.contains("no memory is left")),
        "{error}"
    );
    let address = endpoint.strip_prefix("http://").unwrap().to_owned();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&address).await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "the API still answers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // What was promised is kept for the next start.
    let state = cloud.ledger().snapshot().instances[&ids[0]].state;
    assert_eq!(state, InstanceState::Running);
    cloud.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_of_the_hypervisor_alone_instances_boot_from_their_disks() {
    let harness = real::Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let public = cloud.ledger().snapshot().instances[&ids[0]].public_address;
    let address = public.to_string();
    harness.ssh(&address, "echo kept > /root/kept; sync").await;
    let machines = harness.config.state_dir.join("machines");

    kill_hypervisor(&machines);
    recovered(&cloud, &ids[0]).await;
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    // The metadata service is back, too.
    let ask = "exec 3<>/dev/tcp/169.254.169.254/80; \
               printf 'GET /latest/meta-data/instance-id HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3";
    let told = harness.ssh(&address, &format!("bash -c \"{ask}\"")).await;
    assert_eq!(told.trim(), ids[0]);

    // Once more, in the middle of launches.
    let known = cloud.ledger().instances().len();
    let launching = tokio::spawn({
        let (endpoint, image) = (cloud.endpoint(), harness.image.clone());
        async move { boto3(&endpoint, &image, &["launch", "4"]).await }
    });
    until("instances were promised", || {
        cloud.ledger().instances().len() > known
    })
    .await;
    kill_hypervisor(&machines);
    let launched = launching.await.unwrap();
    let all: Vec<&str> = launched.split_whitespace().chain([ids[0].as_str()]).collect();
    assert_eq!(all.len(), 5);
    until("the first was recovered twice", || {
        recoveries(&cloud, &ids[0]) == 2
    })
    .await;
    for id in &all {
        reaches(&cloud, id, InstanceState::Running).await;
    }
    assert_eq!(harness.disks().len(), 5);

    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    for id in &all {
        reaches(&cloud, id, InstanceState::Terminated).await;
    }
    assert_eq!(harness.disks(), Vec::<String>::new());
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}
