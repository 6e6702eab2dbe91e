//! The farm is killed in the middle of things, and starts again.

use std::{fs, path::Path, time::Duration};

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
    farm.wait_for(build, &["succeeded"]);
    let monitor = farm.json(&format!("/api_3/build/{build}"));
    assert_eq!(monitor["state"], "succeeded");

    assert!(farm.stop(), "{}", farm.log());
    eventually("every process of the stopped farm's machines is gone", || {
        processes_of(&directory).is_empty()
    });
    assert_eq!(mounts_of(&directory), Vec::<String>::new());
    eventually("no cgroup is left", || cgroups().is_empty());
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

/// Groups of this test's farm have no process; those that other tests use at this moment do.
fn cgroups() -> Vec<String> {
    std::thread::sleep(Duration::from_millis(20));
    let mut left = Vec::new();
    for root in ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"] {
        let Ok(entries) = fs::read_dir(root) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let events = fs::read_to_string(entry.path().join("cgroup.events")).unwrap_or_default();
            if name.starts_with("verdigris-devcloud-") && events.contains("populated 0") {
                left.push(name);
            }
        }
    }
    left
}
