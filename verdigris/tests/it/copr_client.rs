//! A packager's day with copr-cli and dnf.

use std::{os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use crate::{
    farm::{CHROOT, Farm, eventually, text},
    packages::{BROKEN, DYNAMIC, GREETING, SLOW, source_package},
};

/// Each option of `download-build` fetches the files of its kind of a build of the greeting, and no others.
fn assert_parts_are_downloaded(farm: &Farm, build: i64) {
    for (option, expected) in [
        (
            "--logs",
            &[
                "backend.log.gz",
                "build.log.gz",
                "builder-live.log.gz",
                "hw_info.log.gz",
                "installed_pkgs.log.gz",
                "root.log.gz",
                "state.log.gz",
            ] as &[_],
        ),
        ("--spec", &["greeting.spec"]),
        ("--rpms", &["greeting-1.0-1.src.rpm", "greeting-1.0-1.x86_64.rpm"]),
    ] {
        let destination = farm.path(&format!("download{option}"));
        let place = destination.to_str().unwrap();
        farm.copr(&["download-build", &build.to_string(), option, "--dest", place]);
        let mut names: Vec<String> = std::fs::read_dir(destination.join(CHROOT))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, expected, "{option}");
    }
}

#[test]
fn a_package_goes_from_its_source_to_an_installed_program() {
    let farm = Farm::start();
    let sources = farm.directory.path();
    let created = farm.copr(&["create", "demo", "--chroot", CHROOT, "--description", "A test"]);
    assert!(
        created.contains("New project was successfully created"),
        "{created}"
    );

    // A new project has a repository that dnf accepts, and nothing in it.
    let empty = farm.dnf("demo", &["--disablerepo=base", "repoquery", "*"]);
    assert!(empty.status.success(), "{}\n{}", text(&empty.stderr), farm.log());
    assert_eq!(text(&empty.stdout).trim(), "");

    let build = farm.submit("demo", &source_package(sources, GREETING));
    farm.wait_for(build, &["succeeded"]);
    let watched = farm.copr(&["watch-build", &build.to_string()]);
    assert!(watched.contains("succeeded"), "{watched}");
    assert_eq!(farm.copr(&["status", &build.to_string()]).trim(), "succeeded");
    assert!(
        farm.copr(&["list-builds", "demo"])
            .contains("greeting\tsucceeded")
    );

    let destination = farm.path("download");
    farm.copr(&[
        "download-build",
        &build.to_string(),
        "--dest",
        destination.to_str().unwrap(),
    ]);
    let package = destination.join(CHROOT).join("greeting-1.0-1.x86_64.rpm");
    assert!(package.is_file(), "{} was downloaded", package.display());
    assert_parts_are_downloaded(&farm, build);

    // As the project's page says, with dnf's own plugin for Copr.
    let page = farm.get("/coprs/admin/demo/").unwrap().1;
    let command = format!("dnf copr enable --hub {} admin/demo", farm.url());
    assert!(page.contains(&command), "{page}");
    let enabled = farm.dnf_as_enabled(&["copr", "enable", "--hub", &farm.url(), "admin/demo", CHROOT]);
    assert!(enabled.status.success(), "{}", text(&enabled.stderr));
    let installed = farm.dnf_as_enabled(&["--disableplugin=*", "install", "greeting"]);
    assert!(
        installed.status.success(),
        "{}\n{}",
        text(&installed.stdout),
        text(&installed.stderr)
    );
    let run = Command::new("chroot")
        .arg(farm.path("root"))
        .arg("/usr/bin/greeting")
        .output()
        .unwrap();
    assert_eq!(text(&run.stdout), "hello from the farm\n");
}

#[test]
fn a_broken_package_fails_with_its_reason_and_its_log_is_kept() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), BROKEN));
    farm.wait_for(build, &["failed"]);
    let watched = farm.copr_cli(&["watch-build", &build.to_string()]);
    assert_eq!(
        watched.status.code(),
        Some(4),
        "copr-cli's word for a failed build"
    );
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let attempts = attempts["items"]
        .as_array()
        .or(attempts.as_array())
        .unwrap()
        .clone();
    assert_eq!(
        attempts.len(),
        1,
        "a package's own failure is not tried again: {attempts:?}"
    );
    assert_eq!(attempts[0]["blame"], "package", "{attempts:?}");
    let log = format!("/results/admin/demo/{CHROOT}/{build:08}-broken/build.log");
    let (status, body) = farm.get(&log).unwrap();
    assert_eq!(status, 200, "{log}");
    assert!(body.contains("undeclared"), "{body}");
}

/// rpmbuild leaves a package of such requirements beside the results, which is none of them.
#[test]
fn a_build_that_generates_its_requirements_succeeds_with_packages_of_its_project() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let greeting = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(greeting, &["succeeded"]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), DYNAMIC));
    farm.wait_for(build, &["succeeded"]);
    let results = format!("/results/admin/demo/{CHROOT}/{build:08}-dynamic");
    let (status, index) = farm.get(&format!("{results}/")).unwrap();
    assert_eq!(status, 200);
    for name in [
        "dynamic-1.0-1.noarch.rpm",
        "dynamic-1.0-1.src.rpm",
        "build.log",
        "root.log",
    ] {
        assert!(index.contains(name), "{name} in {index}");
    }
    assert!(!index.contains("buildreqs"), "{index}");
    let (_, told) = farm.get(&format!("{results}/backend.log")).unwrap();
    assert!(
        told.contains("Passed over dynamic-1.0-1.buildreqs.nosrc.rpm"),
        "{told}"
    );
    let installed = farm.dnf("demo", &["install", "dynamic"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let made = std::fs::read_to_string(farm.path("root/usr/share/dynamic/made")).unwrap();
    assert_eq!(made, " made by m4\nhello from the farm\n");
}

#[test]
fn a_deleted_build_leaves_the_repository_and_the_disk() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), GREETING);
    let [first, second] = [(); 2].map(|()| {
        let build = farm.submit("demo", &package);
        farm.wait_for(build, &["succeeded"]);
        build
    });
    let results = |build: i64| format!("/results/admin/demo/{CHROOT}/{build:08}-greeting");
    let log = |build: i64| farm.get(&format!("{}/build.log", results(build)));
    assert_eq!(log(first).unwrap().0, 200);
    farm.copr(&["delete-build", &first.to_string()]);
    eventually("the files of the deleted build are gone", || {
        log(first).unwrap().0 == 404
    });
    assert_eq!(log(second).unwrap().0, 200);
    let listed = farm.dnf(
        "demo",
        &["--disablerepo=base", "repoquery", "--location", "greeting.x86_64"],
    );
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let package = format!("{}/greeting-1.0-1.x86_64.rpm", results(second));
    assert!(
        text(&listed.stdout).trim().ends_with(&package),
        "{}",
        text(&listed.stdout)
    );
}

#[test]
fn a_running_build_is_cancelled_and_never_published() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(build, &["running"]);
    farm.copr(&["cancel", &build.to_string()]);
    // Its worker sees the wish when it renews the lease, each five seconds; to kill the build is one call.
    farm.wait_within(Duration::from_secs(30), build, &["canceled"]);
    let listed = farm.dnf("demo", &["--disablerepo=base", "repoquery", "*"]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert_eq!(text(&listed.stdout).trim(), "");

    // Its builder is only being told to end it when the next wish arrives.
    let build = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(build, &["running"]);
    farm.copr(&["cancel", &build.to_string()]);
    farm.copr(&["delete-build", &build.to_string()]);
    assert_eq!(farm.get(&format!("/api_3/build/{build}")).unwrap().0, 404);
}

#[test]
fn the_farm_stops_cleanly_and_goes_on_where_it_stopped() {
    let mut farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let first = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(first, &["succeeded"]);
    let running = farm.submit("demo", &source_package(farm.directory.path(), SLOW));
    farm.wait_for(running, &["running"]);
    assert!(farm.stop(), "{}", farm.log());
    farm.up();
    assert_eq!(farm.state(first), "succeeded");
    farm.wait_for(running, &["succeeded"]);
    let database = std::fs::metadata(farm.path("data/verdigris.db")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600, "keys are in it");
    let second = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    assert!(second > first);
    farm.wait_for(second, &["succeeded"]);
}

#[test]
fn a_chroot_made_while_builders_are_ready_can_be_built_in_at_once() {
    let farm = Farm::start();
    eventually("a builder is ready", || {
        let builders = farm.fleet_status()["builders"].clone();
        builders
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["state"] == "ready")
    });
    assert!(farm.operate(&["fleet", "plan"]).contains("Nothing to do"));
    let new = "microdistro-2-x86_64";
    let mirror = "base={farm}/mirrors/microdistro/";
    farm.operate(&[
        "chroot",
        "create",
        new,
        "--buildroot-package",
        "microdistro-buildroot",
        "--repository",
        mirror,
    ]);
    farm.copr(&["create", "demo", "--chroot", new]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), GREETING));
    farm.wait_for(build, &["succeeded"]);
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    assert_eq!(
        attempts.as_array().unwrap().len(),
        1,
        "no builder refused it: {attempts}"
    );

    // One that is offered to nobody any more is no part of new builds.
    farm.operate(&["chroot", "deactivate", new]);
    let package = source_package(farm.directory.path(), GREETING);
    let refused = farm.copr_cli(&["build", "--nowait", "demo", package.to_str().unwrap()]);
    let said = text(&refused.stderr);
    assert!(said.contains("no chroots that are active"), "{said}");
    farm.operate(&["chroot", "activate", new]);
    let build = farm.submit("demo", &package);
    farm.wait_for(build, &["succeeded"]);
}
