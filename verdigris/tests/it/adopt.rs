//! Machines that the farm did not launch: they count for the cloud's limit, and become builders by an operator's command, with no
//! controller running.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    clouds::{CloudFacts, Fleet, answering_devcloud, boto3, host_key, moto, states},
    farm::eventually,
};

/// A fleet whose cloud has a limit.
fn limited(directory: &Path, cloud: &CloudFacts, instances: u32, pool: &str) -> Fleet {
    let fleet = Fleet::new(
        directory,
        cloud,
        cloud.port,
        pool,
        "{boot: 3m, pending: 3m, provision: 30m, check: 30m}",
    );
    let (old, limit) = (
        "credentials: {source: environment}\n",
        format!("    limits: {{instances: {instances}}}\n"),
    );
    assert!(fleet.edit(old, &format!("{old}{limit}")));
    fleet
}

/// Starts machines of somebody else's; the id of the first.
fn strangers(cloud: &CloudFacts, count: u32, more: &str) -> String {
    let said = boto3(
        cloud.port,
        &format!(
            "made = ec2.run_instances(ImageId='{}', InstanceType='t3.micro', MinCount={count}, MaxCount={count}{more})\n\
             print(made['Instances'][0]['InstanceId'])",
            cloud.image
        ),
    );
    assert!(said.starts_with("i-"), "{said}");
    said.trim().to_owned()
}

/// A command that is to end well; its line of JSON.
fn ask(fleet: &Fleet, line: &[&str]) -> Value {
    let said = fleet.run(&[&["fleet"], line].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{line:?}: {said}: {error}"))
}

#[test]
fn machines_of_others_leave_less_room_in_a_cloud_with_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    let pool = "    size: {max: 4, idle: 4}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = limited(directory.path(), &cloud, 3, pool);
    strangers(&cloud, 2, "");
    let plan = fleet.run(&["fleet", "plan"]);
    let uncounted = "cloud rented has 0 + ? of others of 3 machines; nobody has counted the others yet";
    assert!(plan.contains(uncounted), "{plan}");
    let _controller = fleet.controller();
    let expected = json!({"limit": 3, "ours": 1, "others": 2});
    eventually("one is launched beside two of others", || {
        let quota = fleet.status()["quotas"]["rented"].clone();
        expected
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, value)| quota[key] == *value)
    });
    let plan = fleet.run(&["fleet", "plan"]);
    let full = "cloud rented has as many machines as it may: 3, with 1 of its pools and 2 of others";
    assert!(plan.contains(full), "{plan}");
    assert_eq!(states(cloud.port).len(), 3, "{}", fleet.log());
}

#[test]
fn a_machine_that_somebody_started_is_adopted_and_ended_by_commands_alone() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 2}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = limited(directory.path(), &cloud, 2, pool);
    let login = fleet.run(&["fleet", "key"]);
    let (secret, public) = host_key(&directory.path().join("host_key"));
    let secret: String = secret.lines().map(|line| format!("    {line}\n")).collect();
    let data = format!(
        "#cloud-config\ndisable_root: false\nssh_authorized_keys:\n  - {}\nssh_keys:\n  ed25519_private: |\n{secret}",
        login.trim()
    );
    let lent = strangers(&cloud, 1, &format!(", UserData={data:?}"));
    let theirs = strangers(
        &cloud,
        1,
        ", TagSpecifications=[{'ResourceType': 'instance', 'Tags': [{'Key': 'verdigris:fleet', 'Value': 'flt_x'}]}]",
    );

    let refused = fleet.refused(&["fleet", "adopt", &theirs, "--pool", "x86", "--host-key", &public]);
    let words = format!("instance {theirs} belongs to another fleet: its tag says flt_x");
    assert!(refused.contains(&words), "{refused}");
    let refused = fleet.refused(&["fleet", "adopt", &lent, "--pool", "x86"]);
    assert!(
        refused.contains(&format!("no host key of instance {lent} is known")),
        "{refused}"
    );

    let adopted = ask(
        &fleet,
        &[
            "adopt",
            &lent,
            "--pool",
            "x86",
            "--host-key",
            &public,
            "--timeout",
            "10m",
        ],
    );
    assert_eq!(
        (&adopted["state"], &adopted["code"]),
        (&json!("done"), &json!(0)),
        "{adopted}"
    );
    let status = fleet.status();
    let builder = &status["builders"][0];
    assert_eq!(
        (&builder["state"], &builder["instance_id"]),
        (&json!("ready"), &json!(lent)),
        "{status}"
    );
    assert_eq!(builder["id"], adopted["builders"][0]);
    let tags = boto3(
        cloud.port,
        &format!(
            "one = ec2.describe_instances(InstanceIds=['{lent}'])['Reservations'][0]['Instances'][0]\n\
             print({{t['Key']: t['Value'] for t in one['Tags']}}['verdigris:builder'])"
        ),
    );
    assert_eq!(json!(tags.trim()), builder["id"]);
    let told = fleet.run(&["fleet", "status"]);
    assert!(
        told.contains("cloud rented has 1 + 1 of others of 2 machines"),
        "{told}"
    );

    let ended = ask(&fleet, &["terminate", &lent, "--timeout", "5m"]);
    assert_eq!(ended["state"], "done", "{ended}");
    let mut left = states(cloud.port);
    left.sort();
    assert_eq!(left, ["running", "terminated"]);
}
