use super::*;
use crate::workspace::Dependency;

fn package(name: &str, dependencies: &[(&str, bool, Option<&str>)]) -> Package {
    let dependency = |(name, ours, kind): &(&str, bool, Option<&str>)| Dependency {
        name: (*name).to_owned(),
        kind: kind.map(str::to_owned),
        path: ours.then(|| "somewhere".into()),
    };
    Package {
        name: name.to_owned(),
        manifest_path: "Cargo.toml".into(),
        dependencies: dependencies.iter().map(dependency).collect(),
    }
}

#[test]
fn imports_go_downwards_only() {
    assert!(imports(&package("store", &[("model", true, None)])).is_empty());
    assert_eq!(imports(&package("store", &[("shell", true, None)])).len(), 1);
    assert_eq!(imports(&package("api", &[("controller", true, None)])).len(), 1);
    assert_eq!(imports(&package("devcloud", &[("model", true, None)])).len(), 1);
    assert!(imports(&package("store", &[("shell", true, Some("dev"))])).is_empty());
}

#[test]
fn heavy_libraries_have_their_owners() {
    assert!(imports(&package("cloud", &[("aws-sdk-ec2", false, None)])).is_empty());
    assert_eq!(
        imports(&package("controller", &[("aws-sdk-ec2", false, None)])).len(),
        1
    );
    assert_eq!(imports(&package("worker", &[("russh", false, None)])).len(), 1);
    assert!(imports(&package("worker", &[("tokio", false, None)])).is_empty());
}

#[test]
fn a_crate_without_a_floor_is_found() {
    assert_eq!(imports(&package("newcomer", &[])).len(), 1);
}

#[test]
fn lints_are_asked_for_in_either_form() {
    assert!(says_lints("[package]\n\n[lints]\nworkspace = true\n"));
    assert!(says_lints("lints.workspace = true\n"));
    assert!(!says_lints("[lints]\n[dependencies]\nworkspace = true\n"));
}

#[test]
fn a_manifest_names_a_dependency_on_one_line() {
    for (manifest, line) in [
        ("[a]\nrusshd = 1\nrussh.workspace = true\n", 3),
        ("russh = { workspace = true }\n", 1),
        ("russh=\"1\"\n", 1),
        ("other = { package = \"russh\" }\n", 0),
        ("# russh\n", 0),
    ] {
        assert_eq!(line_of(manifest, "russh"), line, "{manifest}");
    }
}

#[test]
fn a_name_that_ends_with_a_dash_stands_for_all_that_begin_with_it() {
    for (import, expected) in [
        ("aws-sdk-ec2", Some(&["cloud"][..])),
        ("aws-types", Some(&["cloud"])),
        ("awscli", None),
        ("poem", Some(&["api", "devcloud"])),
        ("poem-openapi", Some(&["api"])),
        ("sqlx-core", None),
        ("tokio", None),
    ] {
        assert_eq!(owners(import), expected, "{import}");
    }
}

#[test]
fn every_crate_of_the_house_has_a_floor_and_stands_above_what_it_imports() {
    let workspace = crate::workspace::read().unwrap();
    let floor = |name: &str| FLOORS.iter().find(|(known, _)| *known == name);
    for package in &workspace.packages {
        assert!(floor(&package.name).is_some(), "{} has no floor", package.name);
    }
    for (name, allowed) in FLOORS {
        assert!(
            workspace.packages.iter().any(|package| package.name == *name),
            "{name} is no crate any more"
        );
        for below in *allowed {
            let (_, further) = floor(below).expect(below);
            assert!(!further.contains(name), "{name} and {below} stand on each other");
        }
    }
}
