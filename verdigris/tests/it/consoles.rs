//! Consoles of real machines: the host keys of those that make them themselves, on clouds that show consoles late, then cut, then
//! whole; and what one said that never became a builder.

use devcloud::Profile;

use crate::{
    clouds::{Fleet, boto3, devcloud_of, ledger, plan_faults},
    farm::eventually,
};

/// The console is empty twice, then it ends within the block of keys; and one question is refused.
const FAULTS: &str = r#"{"seed": 7, "rules": [
    {"action": "GetConsoleOutput", "count": 2, "effect": {"cut-console": {"bytes": 0}}},
    {"action": "GetConsoleOutput", "effect": {"fail": {"code": "RequestLimitExceeded"}}},
    {"action": "GetConsoleOutput", "effect": {"cut-console": {"bytes": 330}}}]}"#;

#[test]
fn a_machine_that_makes_its_host_key_itself_becomes_a_builder_once_its_console_shows_it() {
    for (profile, path, more, instance_type) in [
        (&Profile::AWS, "", "", "t3.micro"),
        (
            &Profile::EUCALYPTUS,
            "/services/compute",
            "    profile: eucalyptus\n",
            "m1.small",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let cloud = devcloud_of(directory.path(), profile);
        plan_faults(cloud.port, FAULTS);
        let pool = format!(
            "    host_key: console\n    size: {{max: 1, idle: 1}}\n    offerings: [{{types: [{instance_type}]}}]\n"
        );
        let fleet = Fleet::new(
            directory.path(),
            &cloud,
            cloud.port,
            &pool,
            "{boot: 3m, provision: 30m, check: 30m}",
        );
        let endpoint = format!("endpoint: http://127.0.0.1:{}", cloud.port);
        assert!(fleet.edit(&format!("{endpoint}\n"), &format!("{endpoint}{path}\n{more}")));
        let _controller = fleet.controller();
        eventually("a builder is ready", || {
            fleet.status()["builders"][0]["state"] == "ready"
        });
        assert_eq!(ledger(directory.path()).len(), 1, "{}", fleet.log());
        let status = fleet.status();
        let [id, instance] = ["id", "instance_id"].map(|key| status["builders"][0][key].as_str().unwrap());
        let why = fleet.run(&["fleet", "why", id]);
        let words = " from now on: its console shows it";
        assert_eq!(why.matches(words).count(), 1, "{why}");
        if profile == &Profile::AWS {
            let shown = format!(
                "import base64\na = ec2.describe_instance_attribute(InstanceId='{instance}', Attribute='userData')\n\
                 print(base64.b64decode(a['UserData']['Value']).decode())"
            );
            let user_data = boto3(cloud.port, &shown);
            assert!(
                user_data.contains("ssh_authorized_keys") && !user_data.contains("PRIVATE"),
                "{user_data}"
            );
        }
    }
}

#[test]
fn what_a_machine_said_that_never_became_a_builder_is_told_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = devcloud_of(directory.path(), &Profile::AWS);
    plan_faults(
        cloud.port,
        r#"{"seed": 7, "rules": [{"action": "RunInstances", "effect": "no-ssh"}]}"#,
    );
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n";
    let limits = "{boot: 6s, provision: 30m, check: 30m}";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, limits);
    let _controller = fleet.controller();
    let mut first = String::new();
    eventually("a machine is there", || {
        let status = fleet.status();
        first = status["builders"][0]["instance_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        !first.is_empty()
    });
    eventually("it has ended", || {
        fleet
            .run(&["fleet", "why", &first])
            .contains("for ever: it has ended")
    });
    let why = fleet.run(&["fleet", "why", &first]);
    let (history, console) = why.split_once("\nIts console ended with, ").unwrap();
    assert!(history.contains("its console was read before its end: "), "{why}");
    assert!(console.contains("  -----END SSH HOST KEY KEYS-----\n"), "{why}");
}
