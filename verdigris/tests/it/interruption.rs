//! The farm is killed in the middle of things, and starts again.

use std::{fs, path::Path};

use crate::{
    farm::{CHROOT, Farm, eventually},
    packages::{SLOW, source_package},
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
    let monitor = farm.json(&format!("/api_3/build/{build}"));
    assert_eq!(monitor["state"], "succeeded");

    assert!(farm.stop(), "{}", farm.log());
    eventually("every process of the stopped farm's machines is gone", || {
        processes_of(&directory).is_empty()
    });
    assert_eq!(mounts_of(&directory), Vec::<String>::new());
    assert_eq!(cgroups(&farm), Vec::<String>::new());
}

#[test]
fn a_second_farm_in_the_same_directory_is_refused() {
    let farm = Farm::start();
    let second = crate::farm::verdigris()
        .args(["up", "--directory"])
        .arg(farm.path("data"))
        .args(["--listen", "127.0.0.1:0", "--image"])
        .arg(crate::farm::cached("images/builder/current"))
        .output()
        .unwrap();
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
    let ledger = fs::read(farm.path("data/devcloud/ledger.json")).unwrap();
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).unwrap();
    let name = format!("verdigris-devcloud-vd-{}", ledger["owner_id"].as_str().unwrap());
    // Version 2 alone, or version 1 with one tree for each controller.
    let trees = ["", "unified", "memory", "pids", "cpu"].map(|tree| Path::new("/sys/fs/cgroup").join(tree));
    let places = trees.map(|tree| tree.join(&name));
    let left = places.into_iter().filter(|place| place.exists());
    left.map(|place| place.display().to_string()).collect()
}
