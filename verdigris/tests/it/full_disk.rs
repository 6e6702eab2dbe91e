//! The farm's disk fills up in the middle of things, and is emptied again.

use std::{process::Output, time::Duration};

use store::testing::SmallDisk;

use crate::{
    farm::{CHROOT, Farm, eventually, text},
    packages::{GREETING, SLOW, source_package},
};

/// Enough for the database, two small packages and their repository.
const DISK_BYTES: u64 = 24 << 20;

fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn projects(farm: &Farm) -> Vec<String> {
    let said = farm.copr(&["list", "admin"]);
    let names = said.lines().filter_map(|line| line.strip_prefix("Name: "));
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// The steps that a log of the slow package tells, in its order.
fn steps(log: &str) -> Vec<&str> {
    let steps = log.lines().filter(|line| line.starts_with("step "));
    steps.collect()
}

fn all_steps() -> Vec<String> {
    (1..=60).map(|step| format!("step {step} of 60")).collect()
}

#[test]
fn a_full_disk_is_told_and_survived_by_the_builds_that_run() {
    let name = "full_disk::a_full_disk_is_told_and_survived_by_the_builds_that_run";
    // Database, sources and results are on the small disk; the builders have their own, as elsewhere.
    SmallDisk::run(name, DISK_BYTES, |disk| {
        let farm = Farm::start_with(|data| {
            format!(
                "[database]\nurl = \"sqlite://{disk}/verdigris.db\"\n[storage]\ndirectory = {data:?}\n\
                 results = \"{disk}/results\"\nsources = \"{disk}/sources\"\nmin_free = \"1KiB\"\n",
                disk = disk.path().display()
            )
        });
        fill_and_free(farm, &disk);
    })
    .unwrap_or_else(|error| panic!("{error}"));
}

fn fill_and_free(mut farm: Farm, disk: &SmallDisk) {
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let (slow, small) = (
        source_package(farm.directory.path(), SLOW),
        source_package(farm.directory.path(), GREETING),
    );
    let build = farm.submit("demo", &slow);
    farm.wait_for(build, &["running"]);
    disk.fill().unwrap();

    let upload = farm.copr_cli(&["build", "--nowait", "demo", small.to_str().unwrap()]);
    assert!(said(&upload).contains("disk"), "{}", said(&upload));
    let mut refused = 0;
    let mut taken = vec!["demo".to_owned()];
    eventually("a project is refused, as there is no room for its row", || {
        let name = format!("full{}", taken.len());
        let output = farm.copr_cli(&["create", &name, "--chroot", CHROOT]);
        if output.status.success() {
            taken.push(name);
        } else {
            assert!(said(&output).contains("disk is full"), "{}", said(&output));
            refused += 1;
        }
        refused >= 3
    });
    // The log and the end of the build find no room, either.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(farm.get("/health").unwrap().0, 503);
    disk.free().unwrap();

    farm.wait_for(build, &["succeeded"]);
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let attempts = attempts.as_array().unwrap();
    assert_eq!(attempts.len(), 1, "it was not built again: {attempts:?}");
    let copied = format!("/api/attempts/{}/log", attempts[0]["id"].as_str().unwrap());
    let copied = farm.json(&copied)["text"].as_str().unwrap().to_owned();
    let collected = format!("/results/admin/demo/{CHROOT}/{build:08}-slow/builder-live.log");
    let (_, collected) = farm.get(&collected).unwrap();
    for log in [copied, collected] {
        assert_eq!(steps(&log), all_steps(), "each line is there once: {log}");
    }
    farm.copr(&["create", "after", "--chroot", CHROOT]);
    taken.push("after".to_owned());
    let next = farm.submit("demo", &small);
    farm.wait_for(next, &["succeeded"]);
    taken.sort();
    assert_eq!(projects(&farm), taken);
    assert!(farm.stop(), "{}", farm.log());
    farm.up();
    assert_eq!(projects(&farm), taken, "the same after a restart");
    assert_eq!(farm.state(build), "succeeded");
}
