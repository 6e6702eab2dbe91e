//! The root volume that a pool asks for, at two clouds.

use crate::{
    clouds::{Fleet, answering_devcloud, boto3, ledger, moto},
    farm::eventually,
};

#[test]
fn a_machine_gets_the_root_volume_that_its_pool_asks_for_and_leaves_none_behind() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = moto(directory.path());
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n    disk: {size: 160g, type: gp3}\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{boot: 30m}");
    let _controller = fleet.controller();
    let volumes = "print(*[(one['Size'], one['VolumeType'], one['State']) for one in ec2.describe_volumes()['Volumes']])";
    eventually("it has its volume, and no other", || {
        boto3(cloud.port, volumes).trim() == "(160, 'gp3', 'in-use')"
    });
    let goes = "print(*[disk['Ebs']['DeleteOnTermination'] for r in ec2.describe_instances()['Reservations'] \
                for i in r['Instances'] for disk in i['BlockDeviceMappings']])";
    assert_eq!(boto3(cloud.port, goes).trim(), "True", "it goes with its machine");
    let own = "print(*[it['Ebs']['VolumeSize'] for it in ec2.describe_images(ImageIds=['IMAGE'])['Images'][0]['BlockDeviceMappings']])";
    let own = boto3(cloud.port, &own.replace("IMAGE", &cloud.image));
    assert_ne!(own.trim(), "160", "that is no size of the image's");
}

#[test]
fn a_disk_that_is_smaller_than_the_image_is_refused_in_the_cloud_s_words_and_a_larger_one_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = answering_devcloud(directory.path());
    let pool = "    size: {max: 1, idle: 1}\n    offerings: [{types: [t3.micro]}]\n    disk: {size: 7g}\n";
    let fleet = Fleet::new(directory.path(), &cloud, cloud.port, pool, "{}");
    let _controller = fleet.controller();
    let words = "InvalidBlockDeviceMapping: Volume of size 7GB is smaller than snapshot 'snap-";
    eventually("it is told of", || {
        fleet.run(&["fleet", "status"]).contains(words)
    });
    assert_eq!(ledger(directory.path()), []);
    assert!(fleet.edit("{size: 7g}", "{size: 160g, type: gp3}"));
    eventually("there is a machine", || {
        // Three refusals hold the pool back.
        fleet.command(&["fleet", "resume", "x86"]).output().unwrap();
        !ledger(directory.path()).is_empty()
    });
}
