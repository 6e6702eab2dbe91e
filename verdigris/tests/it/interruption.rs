//! The farm is killed in the middle of things, and starts again.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::Value;

use crate::{
    farm::{CHROOT, Farm, eventually},
    packages::{GREETING, SLOW, source_package},
};

#[test]
fn a_build_survives_the_death_of_the_whole_farm_and_nothing_is_left_over() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(build, &["running"]);
    let directory = farm.directory.path().to_owned();
    farm.kill();
    eventually("every process of the killed farm's machines is gone", || {
        processes_of(&directory).is_empty()
    });
    assert_eq!(
        mounts_of(&directory),
        Vec::<String>::new(),
        "no mount is left in this namespace"
    );

    farm.up();
    assert_ne!(
        cgroups(&farm),
        Vec::<String>::new(),
        "where groups are looked for"
    );
    farm.wait_for(build, &["succeeded"]);
    every_machine_is_a_builder_and_every_builder_a_machine(&farm);

    assert!(farm.stop(), "{}", farm.log());
    eventually("every process of the stopped farm's machines is gone", || {
        processes_of(&directory).is_empty()
    });
    assert_eq!(mounts_of(&directory), Vec::<String>::new());
    assert_eq!(cgroups(&farm), Vec::<String>::new());
}

#[test]
fn machines_that_are_made_builders_while_the_farm_dies_again_and_again_are_not_thrown_away() {
    let mut farm = Farm::start_with(|data| {
        let playbooks = data.with_file_name("playbooks");
        playbooks_whose_first_two_checks_are_slow(&playbooks);
        format!("[fleet]\nplaybooks = {:?}\n", playbooks.display().to_string())
    });
    // A machine is a builder after two to three seconds: while it boots, while it is provisioned, and twice while it is
    // checked, when it has been rebooted with the farm and what provisioning left in its kernel is gone.
    for milliseconds in [100, 300, 800] {
        std::thread::sleep(Duration::from_millis(milliseconds));
        farm.kill();
        farm.up();
    }
    let times_provisioned = |farm: &Farm| {
        let log = farm.log();
        let played = log.lines().filter(|line| line.contains("Played on builder"));
        played.filter(|line| line.contains("builder.yml")).count()
    };
    for times in [1, 2] {
        eventually("a builder is provisioned and about to be checked", || {
            times_provisioned(&farm) >= times
        });
        assert_eq!(farm.fleet_status()["builders"][0]["state"], "checking");
        farm.kill();
        farm.up();
    }
    every_machine_is_a_builder_and_every_builder_a_machine(&farm);
    let given_up: Vec<Value> = machines(&farm)
        .into_iter()
        .filter(|machine| machine["state"] != "running")
        .collect();
    assert_eq!(given_up, Vec::<Value>::new(), "{}", farm.log());
    assert_eq!(times_provisioned(&farm), 3, "{}", farm.log());
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(build, &["succeeded"]);
    assert!(farm.stop(), "{}", farm.log());
}

/// The project's own playbooks, but a machine's first two checks take so long that the farm can be killed meanwhile
/// however busy this machine is. The third is as quick as ever.
fn playbooks_whose_first_two_checks_are_slow(directory: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks");
    fs::create_dir(directory).unwrap();
    fs::copy(own.join("builder.yml"), directory.join("builder.yml")).unwrap();
    let check = fs::read_to_string(own.join("check.yml")).unwrap();
    let slow = "times=$(cat /var/tmp/checks 2>/dev/null || echo 0); echo $((times + 1)) >/var/tmp/checks; \
                test $times -ge 2 || sleep 20";
    let task = format!("  tasks:\n    - name: Take some time\n      shell: {slow}\n\n");
    let slowed = check.replacen("  tasks:\n", &task, 1);
    assert_ne!(slowed, check);
    fs::write(directory.join("check.yml"), slowed).unwrap();
}

/// What the cloud's own books say of every machine that it ever made.
fn machines(farm: &Farm) -> Vec<Value> {
    let instances = ledger(farm)["instances"].clone();
    instances.as_object().unwrap().values().cloned().collect()
}

fn ledger(farm: &Farm) -> Value {
    let text = fs::read(farm.path("data/devcloud/ledger.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Compares what the farm believes with what the cloud knows, once both have come to rest.
fn every_machine_is_a_builder_and_every_builder_a_machine(farm: &Farm) {
    eventually("the fleet and the cloud agree", || {
        let is_paid = |machine: &Value| machine["state"] != "terminated";
        let ids = |of: Vec<Value>, key: &str| -> BTreeSet<String> {
            let ids = of.iter().filter_map(|one| one[key].as_str());
            ids.map(str::to_owned).collect()
        };
        let machines = machines(farm).into_iter().filter(is_paid).collect();
        let builders = farm.fleet_status()["builders"].as_array().unwrap().clone();
        let is_ready = builders.iter().all(|builder| builder["state"] == "ready");
        let (machines, builders) = (ids(machines, "id"), ids(builders, "instance_id"));
        !machines.is_empty() && machines == builders && is_ready
    });
}

#[test]
fn a_second_farm_in_the_same_directory_is_refused() {
    let farm = Farm::start();
    let settings = farm.path("data/verdigris.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let second = crate::farm::verdigris()
        .args(["up", "--directory"])
        .arg(farm.path("data"))
        .args(["--listen", "127.0.0.1:0", "--image"])
        .arg(crate::farm::cached("images/builder/current"))
        .output()
        .unwrap();
    assert_eq!(
        fs::read_to_string(&settings).unwrap(),
        before,
        "its options are nobody's"
    );
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another `verdigris up` runs in"), "{said}");
}

/// Processes that name the farm's directory in their arguments or have it as their root.
fn processes_of(directory: &Path) -> Vec<String> {
    let wanted = directory.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .chars()
                .all(|c| c.is_ascii_digit())
        })
        .filter(|entry| entry.file_name().to_string_lossy() != std::process::id().to_string())
        .filter_map(|entry| {
            let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
            (arguments.contains(&wanted) || mounts.contains(&wanted)).then_some(arguments)
        })
        .collect()
}

fn mounts_of(directory: &Path) -> Vec<String> {
    let wanted = directory.to_string_lossy().into_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts
        .lines()
        .filter(|line| line.contains(&wanted))
        .map(str::to_owned)
        .collect()
}

/// Control groups of the farm's cloud, which carry the id of its ledger.
fn cgroups(farm: &Farm) -> Vec<String> {
    let name = format!(
        "verdigris-devcloud.vd-{}",
        ledger(farm)["owner_id"].as_str().unwrap()
    );
    // Version 2 alone, or version 1 with one tree for each controller.
    let trees = ["", "unified", "memory", "pids", "cpu"].map(|tree| Path::new("/sys/fs/cgroup").join(tree));
    let places = trees.map(|tree| tree.join(&name));
    let left = places.into_iter().filter(|place| place.exists());
    left.map(|place| place.display().to_string()).collect()
}
