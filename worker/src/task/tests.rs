use serde_json::{Value, json};

use super::{isolation, repositories};

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
