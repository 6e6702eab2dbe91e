use super::*;

#[test]
fn only_packages_that_are_wholly_installed_count() {
    let found = parse_installed("rpm installed\ndnf config-files\ngcc half-installed\nmake installed\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["make", "rpm"]);
}

#[test]
fn every_python_package_has_one_exact_version() {
    let lines = REQUIREMENTS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>();
    assert!(
        lines.iter().all(|line| line.split("==").count() == 2),
        "{lines:?}"
    );
    for wanted in [
        "ansible-core",
        "apache-libcloud",
        "awscli",
        "boto3",
        "copr",
        "copr-cli",
        "moto",
    ] {
        assert!(
            lines.iter().any(|line| line.split("==").next() == Some(wanted)),
            "{wanted} is not listed"
        );
    }
}

#[test]
fn the_commands_are_whole() {
    let commands = Missing::Packages(vec!["rpm", "dnf"]).commands();
    assert!(
        commands
            .iter()
            .any(|command| command.ends_with("--no-install-recommends rpm dnf")),
        "{commands:?}"
    );
}
