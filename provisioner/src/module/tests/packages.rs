//! package, apt and dnf, with package managers that only write down how they are called.

use crate::host::tests::here::Here;
use crate::report::Mode;

/// A machine on which `bash` and `git` are installed, whoever is asked.
fn machine() -> Here {
    let here = Here::new();
    here.program("rpm", "case $3 in bash | git) ;; *) exit 1;; esac");
    here.program(
        "dpkg-query",
        "case $5 in bash | git) printf installed;; gone) printf config-files;; *) exit 1;; esac",
    );
    here.recorder("dnf");
    here.recorder("apt-get");
    here
}

#[tokio::test]
async fn only_what_is_missing_is_installed_and_only_what_is_there_removed() {
    const APT: &str =
        "apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --";
    let here = machine();
    let install = format!("{APT} mock gone");
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("dnf: { name: bash }", &[], &[]),
        ("dnf: { name: [] }", &[], &[]),
        (
            "dnf: { name: mock }",
            &["present: mock"],
            &["dnf -y install -- mock"],
        ),
        (
            "dnf: { name: \"bash, mock, rpm-build\", state: installed }",
            &["present: mock rpm-build"],
            &["dnf -y install -- mock rpm-build"],
        ),
        (
            "dnf: { name: [bash, mock, git], state: absent }",
            &["absent: bash git"],
            &["dnf -y remove -- bash git"],
        ),
        ("dnf: { name: mock, state: removed }", &[], &[]),
        ("apt: { name: [git, bash], update_cache: true }", &[], &[]),
        // What was removed but for its settings is not installed.
        (
            "apt: { name: [mock, bash, gone] }",
            &["present: mock gone"],
            &[&install],
        ),
        (
            "apt: { name: [mock, bash, gone], update_cache: true }",
            &["present: mock gone"],
            &["apt-get -qq update", &install],
        ),
        (
            "apt: { name: [bash, gone], state: absent }",
            &["absent: bash"],
            &["apt-get -y remove -- bash"],
        ),
    ];
    for (task, changes, calls) in cases {
        let task = format!("- {task}");
        assert_eq!(
            here.changes(&task, Mode::Check).await,
            *changes,
            "check mode of {task}"
        );
        assert!(here.calls().is_empty(), "check mode of {task}");
        assert_eq!(here.changes(&task, Mode::Apply).await, *changes, "{task}");
        assert_eq!(here.calls(), *calls, "{task}");
    }
}

#[tokio::test]
async fn the_errors_of_the_package_manager_are_told() {
    let here = machine();
    here.program(
        "dnf",
        "echo progress; echo 'Error: no match for mock' >&2; exit 1",
    );
    assert_eq!(
        here.failure("- dnf: { name: mock }").await,
        "the module's script failed\nprogress\nError: no match for mock"
    );
}

#[tokio::test]
async fn names_are_names_and_neither_options_nor_files() {
    let here = machine();
    for name in [
        "-y",
        "--root=/x",
        "./x.rpm",
        "/x.rpm",
        "a b",
        "a;b",
        "@group",
        "a=1",
        "*",
    ] {
        let text = here.failure(&format!("- dnf: {{ name: [\"{name}\"] }}")).await;
        assert_eq!(text, format!("{name:?} is not the name of a package"));
    }
    for name in [
        "gcc-c++",
        "libstdc++6",
        "python3.11",
        "libc6:amd64",
        "a_b",
        "0ad",
        "x~1",
    ] {
        let changes = here
            .changes(&format!("- dnf: {{ name: \"{name}\" }}"), Mode::Check)
            .await;
        assert_eq!(changes, [format!("present: {name}")]);
    }
    assert_eq!(
        here.failure("- dnf: { name: bash, state: latest }").await,
        "the parameter state of dnf is \"latest\", expected present, installed, absent, removed"
    );
    assert!(here.calls().is_empty());
}
