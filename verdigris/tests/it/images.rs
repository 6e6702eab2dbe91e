//! An image is baked of a builder, and machines from it are builders without their whole playbook.

use std::{fs, process::Stdio};

use serde_json::{Value, json};
use store::testing::PostgresServer;

use crate::{
    clouds::{Running, boto3, states},
    farm::{CHROOT, eventually, text},
    packages::{GREETING, source_package},
    processes::{Processes, prepared},
};

/// The tags of an image.
fn tags(farm: &Processes, image: &str) -> Value {
    let said = boto3(
        farm.cloud_port,
        &format!(
            "import json\none = ec2.describe_images(ImageIds=['{image}'])['Images'][0]\n\
             print(json.dumps({{t['Key']: t['Value'] for t in one.get('Tags', [])}}))"
        ),
    );
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}"))
}

/// Waits until the only builder is ready and says that it came about so.
fn until_ready(farm: &Processes, how: &str) {
    eventually(&format!("one builder is {how}"), || {
        let status = farm.status();
        let builders = status["builders"].as_array().unwrap();
        let is_so = |it: &Value| {
            let reason = it["reason"].as_str().unwrap_or_default();
            it["state"] == "ready" && reason.starts_with(how)
        };
        builders.len() == 1 && builders.iter().all(is_so)
    });
}

#[test]
fn a_builder_from_a_baked_image_is_ready_without_its_whole_playbook_and_builds() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let _roles = ["api", "controller", "worker"].map(|role| farm.spawn(role));
    farm.wait_for_api();
    until_ready(&farm, "made by builder.yml");
    let said = farm.run(&["image", "bake", "x86", "--json"]);
    let baked: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}"));
    let image = baked["image"].as_str().unwrap();
    assert_eq!(
        (&baked["is_new"], &baked["has_boot_tasks"]),
        (&json!(true), &json!(true)),
        "{baked}"
    );
    let tags = tags(&farm, image);
    assert_eq!(
        (
            &tags["verdigris:playbook"],
            &tags["verdigris:base"],
            &tags["verdigris:pool"]
        ),
        (&baked["digest"], &baked["base"], &json!("x86"))
    );
    // The machine has ended; the pool's own one is there.
    assert_eq!(farm.states(), ["ready"], "{}", farm.log("controller"));

    // What no two machines may share is not in it, and what makes a builder is.
    let layer = farm.path("cloud/machines/images").join(image).join("root");
    for (file, is_there) in [
        ("usr/libexec/verdigris/verdigris-builder", true),
        ("etc/verdigris/builder.json", false),
        ("etc/ssh/ssh_host_ed25519_key", false),
        ("etc/ssh/ssh_host_ed25519_key.pub", false),
    ] {
        assert_eq!(layer.join(file).exists(), is_there, "{file}");
    }
    let keys = fs::read_to_string(layer.join("root/.ssh/authorized_keys")).unwrap();
    assert_eq!(keys, "");

    // The file names it: the builder that there is goes, and the next one comes from the image.
    let file = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    let base = baked["base"].as_str().unwrap();
    assert!(file.contains(base));
    fs::write(farm.path("fleet.yaml"), file.replace(base, image)).unwrap();
    until_ready(
        &farm,
        "from an image made by builder.yml and checked by check.yml",
    );
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), GREETING);
    farm.copr(&["build", "--nowait", "demo", package.to_str().unwrap()]);
    farm.wait_for_build(1, "succeeded");

    let again = farm.run(&["image", "bake", "x86"]);
    assert!(
        again.starts_with(&format!(
            "Nothing to do: image {image} of pool x86 was made by builder.yml as it is."
        )),
        "{again}"
    );
}

#[test]
fn a_machine_of_a_command_that_was_killed_is_ended_by_the_controller() {
    let server = PostgresServer::start().unwrap();
    let (farm, _cloud) = prepared(&server.new_database().unwrap());
    let file = fs::read_to_string(farm.path("fleet.yaml")).unwrap();
    fs::write(farm.path("fleet.yaml"), file.replace("idle: 1", "idle: 0")).unwrap();
    let _controller = farm.spawn("controller");
    let log = fs::File::create(farm.path("bake.log")).unwrap();
    let mut command = farm.command(&["image", "bake", "x86", "--timeout", "45s"]);
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let baking = Running(child);
    eventually("it is held", || farm.states() == ["held"]);
    // As kill -9 does. The hold has an end, which is the controller's business.
    drop(baking);
    eventually("its machine has ended", || {
        farm.states().is_empty() && states(farm.cloud_port).iter().all(|state| state == "terminated")
    });
    let log = text(&fs::read(farm.path("bake.log")).unwrap());
    assert!(!states(farm.cloud_port).is_empty(), "{log}");
}
