//! What a build may need: generated requirements, packages of its project, of its directory.

use serde_json::{Value, json};

use crate::{
    farm::{CHROOT, Farm},
    packages::source_package,
};

/// A package whose file others can require.
const TOOL: &str = r#"
Name: tool
Version: 1.0
Release: 1
Summary: A package that others need
License: Apache-2.0
BuildArch: noarch
%description
Others need it.
%install
install -D -m 0644 /dev/null %{buildroot}/usr/share/tool
%files
/usr/share/tool
"#;

/// The second round of its generated requirements is known only to a tool of the first one, and is met by a package of the
/// project.
const GENERATED: &str = r#"
Name: generated
Version: 1.0
Release: 1
Summary: A package with generated requirements
License: Apache-2.0
BuildArch: noarch
%description
Its requirements are generated.
%generate_buildrequires
echo m4
if command -v m4 >/dev/null; then echo 'WHAT >= 1' | m4 -DWHAT=tool; fi
%build
test -e /usr/share/tool
%install
install -D -m 0644 /dev/null %{buildroot}/usr/share/generated
%files
/usr/share/generated
"#;

/// It needs a package of its directory.
const NEIGHBOUR: &str = r#"
Name: neighbour
Version: 1.0
Release: 1
Summary: A package that needs one of its directory
License: Apache-2.0
BuildArch: noarch
BuildRequires: generated
%description
It needs one of its directory.
%build
test -e /usr/share/generated
%install
install -D -m 0644 /dev/null %{buildroot}/usr/share/neighbour
%files
/usr/share/neighbour
"#;

#[test]
fn a_build_sees_its_project_and_its_directory_and_what_it_needs_may_be_generated() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    for (project, spec) in [("demo", TOOL), ("demo:pr:1", GENERATED), ("demo:pr:1", NEIGHBOUR)] {
        let build = farm.submit(project, &source_package(farm.directory.path(), spec));
        farm.wait_for(build, &["succeeded"]);
    }
    let packages = farm.json("/api_3/build-chroot/built-packages?build_id=2&chrootname=microdistro-1-x86_64");
    let names: Vec<(&Value, &Value)> = packages["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|package| (&package["name"], &package["arch"]))
        .collect();
    assert_eq!(
        names,
        [
            (&json!("generated"), &json!("noarch")),
            (&json!("generated"), &json!("src"))
        ]
    );
    let (_, log) = farm
        .get("/results/admin/demo:pr:1/microdistro-1-x86_64/00000002-generated/builder-live.log")
        .unwrap();
    assert!(
        log.contains("Passed over generated-1.0-1.buildreqs.nosrc.rpm: "),
        "{log}"
    );
}

#[test]
fn a_repository_of_the_users_that_cannot_be_read_costs_one_builder_and_is_named_as_he_named_it() {
    let farm = Farm::start();
    let named = "http://127.0.0.1:1/$basearch/?priority=7";
    farm.copr(&["create", "demo", "--chroot", CHROOT, "--repo", named]);
    let build = farm.submit("demo", &source_package(farm.directory.path(), TOOL));
    farm.wait_for(build, &["failed"]);
    let attempts = farm.json(&format!("/api/builds/{build}/attempts"));
    let attempts = attempts.as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0]["blame"], "package");
    let reason = attempts[0]["reason"].as_str().unwrap();
    let said = format!("the additional repository {named} cannot be read: Curl error (7): ");
    assert!(reason.starts_with(&said), "{reason}");
    let page = farm.get(&format!("/coprs/admin/demo/build/{build}/")).unwrap().1;
    assert!(page.contains("http://127.0.0.1:1/"), "{page}");
    assert!(!page.contains("additional_0"), "{page}");
}
