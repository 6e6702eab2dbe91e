//! The API with machines that are none: boto3 drives it, and the ledger says what really happened.

use std::{net::SocketAddrV4, sync::Arc};

use devcloud::{
    Cloud, Error, Forward, Profile,
    cloud::{GATEWAY, METADATA, Machines},
    ledger::InstanceState,
    machine::MachineState,
    testing::{FakeMachines, GREETING},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{boto3, client, config, fake_image, launch, reaches, until};

/// A cloud whose machines are none.
pub(crate) struct Harness {
    directory: tempfile::TempDir,
    pub(crate) machines: Arc<FakeMachines>,
    pub(crate) image: String,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = fake_image(directory.path()).id;
        Self {
            directory,
            machines: FakeMachines::new(),
            image,
        }
    }

    async fn try_start(&self) -> Result<Cloud, Error> {
        self.start_as(Profile::AWS).await
    }

    async fn start_as(&self, profile: Profile) -> Result<Cloud, Error> {
        let mut config = config(self.directory.path());
        config.profile = profile;
        config.images.push(fake_image(self.directory.path()));
        let machines: Arc<dyn Machines> = self.machines.clone();
        Cloud::start_with(config, machines).await
    }

    pub(crate) async fn start(&self) -> Cloud {
        self.try_start().await.unwrap()
    }
}

async fn scenario(name: &str) {
    scenario_as(Profile::AWS, name).await;
}

async fn scenario_as(profile: Profile, name: &str) {
    let harness = Harness::new();
    let image = profile.image_id("fake");
    let cloud = harness.start_as(profile).await.unwrap();
    boto3(&cloud.endpoint(), &image, &[name]).await;
    until(
        "each instance that is not terminated has a machine, and no other",
        || {
            let listed = cloud.ledger().snapshot();
            let kept = listed
                .instances
                .values()
                .filter(|instance| instance.state != InstanceState::Terminated);
            let mut kept: Vec<&str> = kept.map(|instance| instance.id.as_str()).collect();
            let mut machines: Vec<String> = harness.machines.states().into_keys().collect();
            kept.sort_unstable();
            machines.sort_unstable();
            machines == kept
        },
    )
    .await;
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn boto3_launches_describes_and_terminates_with_tokens_and_tags() {
    scenario("life").await;
}

#[tokio::test]
async fn boto3_meets_amazons_dialect() {
    scenario("dialect").await;
}

#[tokio::test]
async fn boto3_meets_the_dialect_of_eucalyptus() {
    scenario_as(Profile::EUCALYPTUS, "dialect").await;
}

#[tokio::test]
async fn boto3_signs_with_version_2() {
    scenario_as(Profile::EUCALYPTUS, "signature_version_2").await;
}

#[tokio::test]
async fn libcloud_handles_nodes_sizes_images_and_key_pairs_of_eucalyptus() {
    let harness = Harness::new();
    let cloud = harness.start_as(Profile::EUCALYPTUS).await.unwrap();
    client(
        "python",
        "libcloud_client.py",
        &[&cloud.endpoint(), &Profile::EUCALYPTUS.image_id("fake")],
    )
    .await;
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn ansibles_amazon_aws_makes_finds_and_removes_instances_keys_and_groups() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let (endpoint, image) = (
        format!("endpoint={}", cloud.endpoint()),
        format!("image={}", harness.image),
    );
    let arguments = ["-i", "localhost,", "-e", &endpoint, "-e", &image];
    client("ansible-playbook", "amazon_aws.yml", &arguments).await;
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn boto3_stops_starts_and_reboots() {
    scenario("stop_start").await;
}

#[tokio::test]
async fn boto3_filters_pages_and_tags() {
    scenario("pages_and_filters").await;
}

#[tokio::test]
async fn boto3_handles_key_pairs() {
    scenario("key_pairs").await;
}

#[tokio::test]
async fn boto3_handles_security_groups() {
    scenario("groups").await;
}

#[tokio::test]
async fn boto3_asks_for_regions_images_and_types() {
    scenario("places").await;
}

#[tokio::test]
async fn boto3_gets_the_errors_that_ec2_gives() {
    scenario("errors").await;
}

#[tokio::test]
async fn boto3_meets_the_faults_that_were_asked_for() {
    scenario("faults").await;
}

#[tokio::test]
async fn boto3_loses_answers_and_the_ledger_says_what_was_done() {
    scenario("lost").await;
}

#[tokio::test]
async fn boto3_meets_the_limits_of_a_plan() {
    scenario("limits").await;
}

#[tokio::test]
async fn boto3_meets_the_faults_of_a_plan() {
    scenario("plans").await;
}

#[tokio::test]
async fn a_running_instance_is_reached_at_its_public_address_and_a_terminated_one_is_not() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let ids = launch(&cloud, &harness.image, 1).await;
    let instance = cloud.ledger().snapshot().instances[&ids[0]].clone();
    let address = (instance.public_address, cloud.ssh_port());
    let mut connection = TcpStream::connect(address).await.unwrap();
    let mut greeting = vec![0; GREETING.len()];
    connection.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);

    harness.machines.power_off(&ids[0]);
    reaches(&cloud, &ids[0], InstanceState::Stopped).await;
    assert_eq!(
        connection.read_u8().await.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    TcpStream::connect(address).await.unwrap_err();
    let reason = cloud.ledger().snapshot().instances[&ids[0]]
        .state_reason
        .clone()
        .unwrap();
    assert_eq!(reason.code, "Client.InstanceInitiatedShutdown");
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_cannot_run_ends_terminated_and_says_why() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    harness.machines.fail("run", "the disk is full");
    let endpoint = cloud.endpoint();
    // The client's wait for `running` fails; what counts is what the ledger says afterwards.
    let client = tokio::spawn({
        let image = harness.image.clone();
        async move { boto3(&endpoint, &image, &["launch"]).await }
    });
    until("an instance was launched", || {
        !cloud.ledger().instances().is_empty()
    })
    .await;
    let id = cloud.ledger().instances()[0].id.clone();
    reaches(&cloud, &id, InstanceState::Terminated).await;
    let reason = cloud.ledger().snapshot().instances[&id]
        .state_reason
        .clone()
        .unwrap();
    assert_eq!(reason.code, "Server.InternalError");
    assert!(reason.message.contains("the disk is full"), "{}", reason.message);
    client.await.unwrap_err();
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_termination_that_fails_is_tried_again_until_nothing_is_left() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let ids = launch(&cloud, &harness.image, 1).await;
    harness.machines.fail("terminate", "busy");
    let endpoint = cloud.endpoint();
    let image = harness.image.clone();
    let client = tokio::spawn(async move { boto3(&endpoint, &image, &["terminate_all"]).await });
    let tries = || {
        harness
            .machines
            .calls()
            .iter()
            .filter(|call| call.starts_with("terminate"))
            .count()
    };
    until("termination was tried twice", || tries() >= 2).await;
    assert_eq!(
        cloud.ledger().snapshot().instances[&ids[0]].state,
        InstanceState::ShuttingDown
    );
    harness.machines.fail("terminate", "");
    reaches(&cloud, &ids[0], InstanceState::Terminated).await;
    assert!(harness.machines.states().is_empty());
    client.await.unwrap();
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_start_recovers_what_has_a_disk_gives_up_what_has_none_and_removes_strangers() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let ids = launch(&cloud, &harness.image, 3).await;
    let before = cloud.ledger().snapshot();
    cloud.shutdown().await.unwrap();

    harness.machines.place(&ids[1], None);
    harness
        .machines
        .place("i-0000000000000dead", Some(MachineState::Stopped));
    let cloud = harness.start().await;
    reaches(&cloud, &ids[0], InstanceState::Running).await;
    reaches(&cloud, &ids[1], InstanceState::Terminated).await;
    reaches(&cloud, &ids[2], InstanceState::Running).await;
    let after = cloud.ledger().snapshot();
    assert_eq!(
        after.instances[&ids[0]].private_address,
        before.instances[&ids[0]].private_address
    );
    assert_eq!(
        after.instances[&ids[1]].state_reason.as_ref().unwrap().code,
        "Server.InternalError"
    );
    let left: Vec<String> = harness.machines.states().into_keys().collect();
    let mut expected = vec![ids[0].clone(), ids[2].clone()];
    expected.sort();
    assert_eq!(left, expected);
    let history: Vec<&str> = after.instances[&ids[0]]
        .history
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(history, ["pending", "running", "recovered", "pending", "running"]);
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_second_cloud_on_the_same_state_is_refused() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let error = harness.try_start().await.err().unwrap();
    assert!(matches!(error, Error::StateInUse { .. }), "{error}");
    assert!(
        error.to_string().contains("cloud is in use by another devcloud"),
        "{error}"
    );
    cloud.shutdown().await.unwrap();
    harness.start().await.shutdown().await.unwrap();
}

#[tokio::test]
async fn terminated_instances_are_forgotten_after_their_time_and_archived() {
    let harness = Harness::new();
    let mut config = config(harness.directory.path());
    config.images.push(fake_image(harness.directory.path()));
    config.terminated_retention = std::time::Duration::from_secs(0);
    let state = config.state_dir.clone();
    let cloud = Cloud::start_with(config, harness.machines.clone()).await.unwrap();
    let ids = launch(&cloud, &harness.image, 1).await;
    boto3(&cloud.endpoint(), &harness.image, &["terminate_all"]).await;
    until("the instance is forgotten", || {
        cloud.ledger().instances().is_empty()
    })
    .await;
    cloud.shutdown().await.unwrap();
    let archive = fs_err::read_to_string(state.join("archive.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(archive.lines().next().unwrap()).unwrap();
    assert_eq!(line["id"], ids[0].as_str());
    assert_eq!(
        line["history"].as_array().unwrap().last().unwrap()["event"],
        "terminated"
    );
}

#[tokio::test]
async fn a_forward_leads_from_the_gateway_to_the_host_and_can_be_moved() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    for text in [b"first", b"other"] {
        let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = host.local_addr().unwrap();
        cloud.add_forward(Forward { port: 8080, target }).await.unwrap();
        let inside = harness
            .machines
            .listener(SocketAddrV4::new(GATEWAY, 8080))
            .unwrap();
        let mut builder = TcpStream::connect(inside).await.unwrap();
        let (mut server, _) = host.accept().await.unwrap();
        server.write_all(text).await.unwrap();
        let mut read = [0; 5];
        builder.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, text);
    }
    assert!(cloud.remove_forward(8080).await);
    assert!(!cloud.remove_forward(8080).await);
    cloud.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_metadata_service_knows_no_strangers() {
    let harness = Harness::new();
    let cloud = harness.start().await;
    let address = harness
        .machines
        .listener(SocketAddrV4::new(METADATA, 80))
        .unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = b"GET /latest/meta-data/ HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
    cloud.shutdown().await.unwrap();
}
