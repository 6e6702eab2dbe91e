//! The cloud with real machines: boto3 launches, a real ssh logs in, `kill -9` is survived, nothing is left.

use std::time::Duration;

use devcloud::{Cloud, Error, Forward, ledger::InstanceState};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    host::{groups_of, processes_of},
    real::{Harness, Served},
    support::{boto3, free_port, reaches, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_cannot_listen_leaves_nothing_of_its_hypervisor() {
    let mut harness = Harness::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    harness.config.listen = taken.local_addr().unwrap();
    let refused = Cloud::start(harness.config.clone()).await.map(drop).unwrap_err();
    assert!(matches!(refused, Error::Listen { .. }), "{refused}");
    let ledger = std::fs::read(harness.config.state_dir.join("ledger.json")).unwrap();
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).unwrap();
    let owner = ledger["owner_id"].as_str().unwrap();
    assert_eq!(
        groups_of(&format!("vd-{owner}")),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(processes_of(&harness.config.state_dir), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_instance_is_launched_logged_into_stopped_started_and_gone_without_a_trace() {
    let mut harness = Harness::new().await;
    let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
    harness.config.forwards.push(Forward {
        port: 8080,
        target: host.local_addr().unwrap(),
    });
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let id = ids[0].as_str();
    let instance = cloud.ledger().snapshot().instances[id].clone();
    let address = instance.public_address.to_string();

    let name = harness.ssh(&address, "hostname").await;
    assert_eq!(
        name.trim(),
        format!("ip-{}", instance.private_address.to_string().replace('.', "-"))
    );
    let wait = "until [ -e /root/proof ]; do sleep 0.05; done; cat /root/proof; echo kept > /root/kept";
    assert_eq!(harness.ssh(&address, wait).await, "from user data\n");
    let ask = "exec 3<>/dev/tcp/169.254.169.254/80; \
               printf 'GET /latest/meta-data/instance-id HTTP/1.0\\r\\n\\r\\n' >&3; tail -n1 <&3";
    assert_eq!(
        harness.ssh(&address, &format!("bash -c \"{ask}\"")).await.trim(),
        id
    );

    let served = tokio::spawn(async move {
        let (mut connection, _) = host.accept().await.unwrap();
        connection.write_all(b"from the host\n").await.unwrap();
    });
    let read = harness
        .ssh(&address, "bash -c 'cat < /dev/tcp/10.88.0.1/8080'")
        .await;
    assert_eq!(read, "from the host\n");
    served.await.unwrap();

    boto3(&cloud.endpoint(), &harness.image, &["console_has_host_key", id]).await;
    boto3(&cloud.endpoint(), &harness.image, &["stop", id]).await;
    boto3(&cloud.endpoint(), &harness.image, &["start", id]).await;
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    reaches(&cloud, id, InstanceState::Terminated).await;
    assert_eq!(harness.disks(), Vec::<String>::new());
    harness.trash_is_emptied().await;
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_off_from_inside_terminates_when_that_was_asked_for() {
    let harness = Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let address = cloud.ledger().snapshot().instances[&ids[0]]
        .public_address
        .to_string();
    harness
        .ssh(
            &address,
            "nohup sh -c 'sleep 0.2; kill -TERM 1' > /dev/null 2>&1 &",
        )
        .await;
    reaches(&cloud, &ids[0], InstanceState::Terminated).await;
    let reason = cloud.ledger().snapshot().instances[&ids[0]]
        .state_reason
        .clone()
        .unwrap();
    assert_eq!(reason.code, "Client.InstanceInitiatedShutdown");
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_instance_is_silent_and_a_healed_one_answers_again() {
    let harness = Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let public = cloud.ledger().snapshot().instances[&ids[0]].public_address;
    harness.ssh(&public.to_string(), "true").await;
    boto3(
        &cloud.endpoint(),
        &harness.image,
        &["make_fault", "partition", &ids[0]],
    )
    .await;
    let mut connection = tokio::net::TcpStream::connect((public, cloud.ssh_port()))
        .await
        .unwrap();
    let greeting = tokio::time::timeout(Duration::from_secs(2), connection.read_u8()).await;
    assert!(!matches!(greeting, Ok(Ok(_))), "a partitioned machine greets");
    boto3(
        &cloud.endpoint(),
        &harness.image,
        &["make_fault", "heal", &ids[0]],
    )
    .await;
    harness.ssh(&public.to_string(), "true").await;
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_next_start_has_what_the_ledger_lists_and_nothing_else() {
    let harness = Harness::new().await;
    let port = free_port();
    let served = Served::start(&harness, port).await;
    let ids = harness.launch(&served.endpoint, "2").await;
    let before = harness.state();
    let address = before.instances[&ids[0]].public_address.to_string();
    harness.ssh(&address, "echo kept > /root/kept; sync").await;
    served.kill().await;

    let served = Served::start(&harness, port).await;
    let running = || {
        let state = harness.state();
        ids.iter()
            .all(|id| state.instances[id].state == InstanceState::Running)
    };
    until("both instances run again", running).await;
    let after = harness.state();
    assert_eq!(
        after.instances[&ids[0]].public_address,
        before.instances[&ids[0]].public_address
    );
    assert_eq!(harness.ssh(&address, "cat /root/kept").await, "kept\n");
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(harness.disks(), expected);

    boto3(&served.endpoint, &harness.image, &["terminate_all"]).await;
    // Killed in the middle of the termination: the next start ends it.
    served.kill().await;
    let served = Served::start(&harness, port).await;
    let terminated = || {
        harness
            .state()
            .instances
            .values()
            .all(|one| one.state == InstanceState::Terminated)
    };
    until("both instances are terminated", terminated).await;
    assert_eq!(harness.disks(), Vec::<String>::new());
    served.interrupt().await;
    harness.nothing_is_left().await;
}

/// Changes a machine so that an overlay has to mark things: a file is removed, a directory made anew.
pub(crate) const CHANGE: &str = "set -e; echo baked > /root/baked; ln /root/baked /root/link; rm /etc/os-release; \
                                 test -n \"$(ls -A /etc/cron.d)\"; rm -r /etc/cron.d; mkdir /etc/cron.d; \
                                 touch /etc/cron.d/new; mkdir -m 700 /opt/own; chown 12:34 /opt/own; echo done";

/// Looks at what [`CHANGE`] has made.
pub(crate) const LOOK: &str = "cat /root/baked; stat -c '%a %u:%g' /opt/own; stat -c %h /root/link; ls -A /etc/cron.d; \
                               test ! -e /etc/os-release && echo removed";

pub(crate) const LOOKED: &str = "baked\n700 12:34\n2\nnew\nremoved\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_real_instance_has_its_files_lacks_what_it_removed_and_has_host_keys_of_its_own() {
    let mut harness = Harness::new().await;
    let cloud = Cloud::start(harness.config.clone()).await.unwrap();
    let public = |id: &str| cloud.ledger().snapshot().instances[id].public_address.to_string();
    let host_key = "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub";
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let address = public(&ids[0]);
    assert_eq!(harness.ssh(&address, CHANGE).await, "done\n");
    let first_key = harness.ssh(&address, host_key).await;
    let arguments = ["make_image", &ids[0], "baked builder"];
    let made = boto3(&cloud.endpoint(), &harness.image, &arguments).await;
    // The instance was stopped for it, and runs again.
    assert_eq!(harness.ssh(&address, "cat /root/baked").await, "baked\n");
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    reaches(&cloud, &ids[0], InstanceState::Terminated).await;

    harness.image = made.trim().to_owned();
    let ids = harness.launch(&cloud.endpoint(), "1").await;
    let address = public(&ids[0]);
    assert_eq!(harness.ssh(&address, LOOK).await, LOOKED);
    assert_ne!(harness.ssh(&address, host_key).await, first_key);
    boto3(&cloud.endpoint(), &harness.image, &["deregister_image"]).await;
    assert_eq!(harness.ssh(&address, LOOK).await, LOOKED, "it runs on");
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    reaches(&cloud, &ids[0], InstanceState::Terminated).await;
    cloud.shutdown().await.unwrap();
    harness.nothing_is_left().await;
}
