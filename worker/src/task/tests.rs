use serde_json::{Value, json};

use super::{isolation, repositories, source_path, task};
use crate::testing::{CHROOT, Farm};

#[test]
fn builders_get_only_words_for_isolation_that_they_know() {
    let words = [
        Some("nspawn"),
        Some("simple"),
        Some("default"),
        Some("unchanged"),
        None,
    ];
    assert_eq!(
        words.map(isolation),
        ["nspawn", "simple", "default", "default", "default"]
    );
}

/// The repositories of a build for `fedora-43-x86_64` of a directory of alice's.
fn of(directory: &str, additional: &[&str]) -> Vec<Value> {
    let additional: Vec<String> = additional.iter().map(ToString::to_string).collect();
    let (owner, directory) = ("alice".parse().unwrap(), directory.parse().unwrap());
    let chroot = "fedora-43-x86_64".parse().unwrap();
    repositories("http://farm/results", (&owner, &directory, &chroot), &additional)
}

#[test]
fn a_build_sees_its_project_and_a_build_in_a_directory_that_as_well() {
    let project = json!({
        "id": "verdigris_project", "name": "alice/tools", "gpgcheck": true,
        "baseurl": "http://farm/results/alice/tools/fedora-43-x86_64/",
        "gpgkey": "http://farm/results/alice/tools/pubkey.gpg",
    });
    assert_eq!(of("tools", &[]), std::slice::from_ref(&project));
    let directory = json!({
        "id": "verdigris_directory", "name": "alice/tools:pr:7", "gpgcheck": true,
        "baseurl": "http://farm/results/alice/tools:pr:7/fedora-43-x86_64/",
        "gpgkey": "http://farm/results/alice/tools:pr:7/pubkey.gpg",
    });
    assert_eq!(of("tools:pr:7", &[]), [project, directory]);
}

#[test]
fn additional_repositories_have_copr_variables_filled_in_and_their_priority_told() {
    let found = of(
        "tools",
        &[
            "copr://bob/lib?priority=5",
            "https://x/$chroot/$basearch/?priority=7&a=b",
        ],
    );
    let [_, first, second] = found.as_slice() else {
        panic!("three repositories: {found:?}")
    };
    assert_eq!(
        *first,
        json!({
            "id": "additional_0", "name": "copr://bob/lib?priority=5", "gpgcheck": false, "priority": 5,
            "baseurl": "http://farm/results/bob/lib/fedora-43-x86_64/",
        })
    );
    assert_eq!(second["baseurl"], "https://x/fedora-43-x86_64/$basearch/?a=b");
    assert_eq!(second["priority"], 7);
}

#[tokio::test]
async fn a_task_says_what_to_build_for_whom_and_within_which_limits() {
    let farm = Farm::start().await;
    let build = farm.submit(farm.store_source()).await;
    let mut allocation = farm.offer(build).await;
    allocation.attempt.options.timeout_seconds = 1234;
    allocation.attempt.options.isolation = Some("nspawn".to_owned());
    let told = task(&farm.context, &allocation);
    let attempt = allocation.attempt.id.0.hyphenated().to_string();
    assert_eq!(
        told,
        json!({
            "schema_version": 1, "attempt": attempt, "epoch": allocation.epoch.0, "build": 1,
            "project": {"owner": "alice", "name": "tools"}, "chroot": CHROOT,
            "source": {"file": "hello-1-1.src.rpm", "sha256": "cd".repeat(32), "size": 4321},
            "timeout_seconds": 1234,
            "limits": {"log_bytes": 1 << 20, "result_bytes": 16 << 20, "result_files": 100},
            "repositories": [{
                "id": "verdigris_project", "name": "alice/tools", "gpgcheck": true,
                "baseurl": format!("http://farm.test/results/alice/tools/{CHROOT}/"),
                "gpgkey": "http://farm.test/results/alice/tools/pubkey.gpg",
            }],
            "macros": {
                "%copr_username": "alice", "%copr_projectname": "tools", "%vendor": "Verdigris - project tools",
            },
            "enable_net": false, "isolation": "nspawn",
        })
    );
    // The network is only for those who ask for it.
    allocation.attempt.options.enable_net = Some(true);
    assert_eq!(task(&farm.context, &allocation)["enable_net"], true);
}

#[test]
fn a_source_lies_where_the_api_puts_it() {
    let source = crate::testing::source();
    let path = source_path(std::path::Path::new("/sources"), &source);
    let digest = "cd".repeat(32);
    assert_eq!(
        path,
        std::path::PathBuf::from(format!("/sources/cd/{digest}/hello-1-1.src.rpm"))
    );
}
