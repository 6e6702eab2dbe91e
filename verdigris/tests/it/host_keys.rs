//! Machines that are given a host key in their user data, and make another one before they serve.

use std::process::Command;

use crate::{
    clouds::{Fleet, answering_devcloud, boto3, ledger},
    farm::{eventually, text},
};

/// The public key of ed25519 that whoever listens at an address shows, as base64; nothing where nobody does.
fn shown(address: &str) -> Option<String> {
    let port = devcloud::config::default_ssh_port().to_string();
    let scan = Command::new("ssh-keyscan")
        .args(["-t", "ed25519", "-p", &port, address])
        .output()
        .unwrap();
    let said = text(&scan.stdout);
    said.lines()
        .find_map(|line| line.split_once(" ssh-ed25519 "))
        .map(|(_, data)| data.trim().to_owned())
}

#[test]
fn a_machine_serves_with_a_host_key_that_its_user_data_never_held_also_after_a_reboot() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let fleet = Fleet::new(
        directory.path(),
        &cloud,
        cloud.port,
        "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n",
        "{boot: 3m, provision: 30m, check: 30m}",
    );
    let _controller = fleet.controller();
    eventually("a builder is ready", || {
        fleet.status()["builders"][0]["state"] == "ready"
    });
    assert_eq!(ledger(directory.path()).len(), 1, "{}", fleet.log());
    let status = fleet.status();
    let [id, instance] = ["id", "instance_id"].map(|key| status["builders"][0][key].as_str().unwrap());
    let facts = boto3(
        cloud.port,
        &format!(
            "import base64\n\
             one = ec2.describe_instances(InstanceIds=['{instance}'])['Reservations'][0]['Instances'][0]\n\
             print(one.get('PublicIpAddress') or one['PrivateIpAddress'])\n\
             a = ec2.describe_instance_attribute(InstanceId='{instance}', Attribute='userData')\n\
             print(base64.b64decode(a['UserData']['Value']).decode())"
        ),
    );
    let (address, user_data) = facts.split_once('\n').unwrap();
    let given = user_data
        .lines()
        .find_map(|line| line.trim().strip_prefix("ed25519_public: ssh-ed25519 "))
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    assert!(user_data.contains("PRIVATE KEY"), "{user_data}");
    let made = shown(address).unwrap();
    assert_ne!(made, given, "whoever has read the user data could take its place");
    let why = fleet.run(&["fleet", "why", id]);
    for words in [
        format!("it has made the host key ssh-ed25519 {made}, and is told to use that"),
        format!("its host key is ssh-ed25519 {made} from now on: the one of its user data counts no more"),
    ] {
        assert_eq!(why.matches(&words).count(), 1, "{words}: {why}");
    }
    let said = boto3(
        cloud.port,
        &format!(
            "print(ec2.reboot_instances(InstanceIds=['{instance}'])['ResponseMetadata']['HTTPStatusCode'])"
        ),
    );
    assert_eq!(said.trim(), "200");
    let mut seen = None;
    eventually("the machine has gone and is back", || {
        let before = seen.take();
        seen = shown(address);
        before.is_none() && seen.is_some()
    });
    assert_eq!(seen, Some(made), "the user data is not done a second time");
}
