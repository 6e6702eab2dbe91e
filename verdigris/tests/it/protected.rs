//! Machines that somebody protected in their cloud from being ended.

use crate::{
    clouds::{Fleet, answering_devcloud, boto3, ledger},
    farm::eventually,
};

#[test]
fn a_machine_that_is_protected_in_its_cloud_is_ended_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    let _controller = fleet.controller();
    let ids = "print(*[it['InstanceId'] for all in ec2.describe_instances()['Reservations'] for it in all['Instances']])";
    let mut id = String::new();
    eventually("there is a machine", || {
        boto3(cloud.port, ids).trim().clone_into(&mut id);
        id.starts_with("i-")
    });
    let protect = format!(
        "ec2.modify_instance_attribute(InstanceId='{id}', DisableApiTermination={{'Value': True}})\n\
         try:\n  ec2.terminate_instances(InstanceIds=['{id}'])\n\
         except Exception as error:\n  print(error.response['Error']['Code'])"
    );
    assert_eq!(boto3(cloud.port, &protect).trim(), "OperationNotPermitted");
    assert!(fleet.edit("max: 1, idle: 1", "max: 0, idle: 0"));
    eventually("nobody is launched in its place", || {
        fleet.log().contains("is in force: pool x86 changes")
    });
    fleet.run(&["fleet", "terminate", "x86", "--wait"]);
    let machines = ledger(directory.path());
    assert!(
        machines.iter().all(|(_, state)| state == "terminated"),
        "{machines:?}"
    );
    let log = fleet.log();
    let lifted =
        format!("Instance {id} was protected by somebody: its protection from being ended is lifted.");
    assert_eq!(log.matches(&lifted).count(), 1, "{log}");
}
