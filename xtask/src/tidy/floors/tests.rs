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
    assert_eq!(line_of("[a]\nrusshd = 1\nrussh.workspace = true\n", "russh"), 3);
}
