//! Builders that run more than one build, on real machines.

use std::fs;

use crate::{
    farm::{CHROOT, Farm, eventually},
    packages::{BROKEN, GREETING, source_package},
};

/// The builder that a build's last attempt ran on.
fn ran_on(farm: &Farm, build: i64) -> String {
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let last = attempts.as_array().unwrap().last().unwrap();
    last["builder"].as_str().unwrap().to_owned()
}

#[test]
fn a_builder_is_used_again_by_its_project_and_never_by_another() {
    let farm = Farm::start();
    let file = farm.path("data/fleet.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let reusing = before.replace(
        "    offerings:",
        "    reuse: {scope: sandbox, idle_for: 10m}\n    offerings:",
    );
    assert_ne!(before, reusing);
    fs::write(&file, reusing).unwrap();
    eventually("the file is in force", || {
        farm.log().contains("is in force: pool local changes")
    });
    for project in ["one", "two"] {
        farm.copr(&["create", project, "--chroot", CHROOT]);
    }
    let greeting = source_package(farm.directory.path(), GREETING);
    let broken = source_package(farm.directory.path(), BROKEN);

    // The machine that was ready before the file changed is not known well enough: it runs one build.
    let first = farm.submit("one", &greeting);
    farm.wait_for(first, &["succeeded"]);
    let second = farm.submit("one", &broken);
    farm.wait_for(second, &["failed"]);
    let builder = ran_on(&farm, second);
    assert_ne!(ran_on(&farm, first), builder);
    eventually("it is cleaned", || {
        let status = farm.fleet_status();
        let all = status["builders"].as_array().unwrap();
        all.iter()
            .any(|it| it["id"] == builder.as_str() && it["state"] == "ready" && it["uses"] == 1)
    });
    let why = farm.operate(&["fleet", "why", &builder]);
    let words = "1 build of admin/one by admin, and none of others";
    assert!(why.contains(words), "{why}");

    let others = farm.submit("two", &greeting);
    farm.wait_for(others, &["succeeded"]);
    assert_ne!(ran_on(&farm, others), builder, "another project's");
    let third = farm.submit("one", &greeting);
    farm.wait_for(third, &["succeeded"]);
    assert_eq!(ran_on(&farm, third), builder, "{}", farm.log());
    // It is as good as a fresh one: the packages of both can be installed.
    let installed = farm.dnf("one", &["install", "greeting"]);
    assert!(
        installed.status.success(),
        "{}",
        crate::farm::text(&installed.stderr)
    );
}
