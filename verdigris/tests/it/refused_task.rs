//! A task that its builder refuses: the farm asks for something that the program on its builders does not do, as when an operator's
//! own copy of that program is older than the farm.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    farm::{CHROOT, Farm, eventually},
    packages::{GREETING, source_package},
};

/// What the program on builders takes: builds of up to a week.
const TAKEN: &str = r#"integer(raw["timeout_seconds"], "timeout_seconds", 1, 604800)"#;
/// What the older one takes: builds of up to an hour.
const TAKEN_BEFORE: &str = r#"integer(raw["timeout_seconds"], "timeout_seconds", 1, 3600)"#;

/// The project's own files for builders, but the program there is an older one.
fn older_provision_files(to: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../provision-files");
    copy(&own, to);
    let task = to.join("builder/verdigris_builder/task.py");
    let now = fs::read_to_string(&task).unwrap();
    let before = now.replacen(TAKEN, TAKEN_BEFORE, 1);
    assert_ne!(before, now, "the limit of a build's time stands where it stood");
    fs::write(task, before).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(entry.path(), to.join(name)).unwrap();
        } else if name != "tests" && name != "__pycache__" {
            copy(&entry.path(), &to.join(name));
        }
    }
}

/// How many machines the cloud ever made.
fn machines(farm: &Farm) -> usize {
    let books = fs::read(farm.path("data/devcloud/ledger.json")).unwrap();
    let books: Value = serde_json::from_slice(&books).unwrap();
    books["instances"].as_object().unwrap().len()
}

/// Whether nothing is under way: one builder is ready, as the pool wants it, and no other is left.
fn is_at_rest(farm: &Farm) -> bool {
    let status = farm.fleet_status();
    let builders = status["builders"].as_array().unwrap();
    builders.len() == 1 && builders[0]["state"] == "ready"
}

#[test]
fn a_task_that_its_builder_refuses_is_tried_once_and_its_user_is_told_what_was_refused() {
    let farm = Farm::start_with(|data| {
        let files = data.with_file_name("provision-files");
        older_provision_files(&files);
        format!("[fleet]\nprovision_files = {:?}\n", files.display().to_string())
    });
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), GREETING);
    eventually("a builder waits for work", || is_at_rest(&farm));
    assert_eq!(machines(&farm), 1);

    // Of five hours, as builds are that say nothing of their time: the api takes up to thirty.
    let build = farm.submit("demo", &package);
    farm.wait_for(build, &["failed"]);
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    assert_eq!(attempts.as_array().unwrap().len(), 1, "{attempts:#}");
    assert_eq!(attempts[0]["blame"], "service", "{attempts:#}");
    let refused = "task: timeout_seconds: 18000 is not an integer from 1 to 3600";
    let reason = format!("the builder refuses the task: {refused}");
    assert_eq!(attempts[0]["reason"], reason, "{attempts:#}");

    // The user's page and the farm's own account say the same.
    let (_, page) = farm.get(&format!("/coprs/admin/demo/build/{build}/")).unwrap();
    let told = format!("The build service is at fault, not the package:</strong> {reason}");
    assert!(page.contains(&told), "{page}");
    let results = format!("/results/admin/demo/{CHROOT}/{build:08}-greeting");
    let (_, account) = farm.get(&format!("{results}/backend.log")).unwrap();
    assert!(
        account.contains(&format!("It cannot go on: {reason}")),
        "{account}"
    );

    // One builder was used up, and one took its place for those to come: none was rented to try the same again.
    eventually("the refused task's builder is gone", || is_at_rest(&farm));
    assert_eq!(machines(&farm), 2, "{}", farm.log());
    assert_eq!(farm.json("/api/queue")["total"], 0);

    // Nothing is wrong with the package, nor with the builders: what they take is built.
    let shorter = ["build", "--nowait", "--timeout", "3600", "demo"];
    farm.copr(&[&shorter[..], &[package.to_str().unwrap()]].concat());
    farm.wait_for(build + 1, &["succeeded"]);
}
