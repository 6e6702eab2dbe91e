//! Names at the limits of their grammar: what is taken where it is chosen is taken by everything that follows, up to the
//! installed package; the rest is refused there and then.

use std::fs;

use crate::{
    farm::{CHROOT, Farm, text},
    packages::source_package,
};

/// A chroot whose distribution has a dash in its name.
const DASHED: &str = "centos-stream-9-x86_64";

/// A package of one file, whose own file has a name of the most bytes that are taken, 243.
fn longest_package() -> (String, String) {
    let name = format!("_{}", "n".repeat(199));
    let release = "1".repeat(243 - "-1.0-.noarch.rpm".len() - name.len());
    let spec = format!(
        "Name: {name}\nVersion: 1.0\nRelease: {release}\nSummary: A long name\nLicense: Apache-2.0\nBuildArch: noarch\n\
         %description\nA long name.\n%install\nmkdir -p %{{buildroot}}/usr/share/long\n\
         echo long > %{{buildroot}}/usr/share/long/name\n%files\n/usr/share/long\n"
    );
    (name, spec)
}

#[test]
fn the_longest_and_oddest_names_that_are_taken_are_built_and_installed() {
    let farm = Farm::start();
    let mirror = "base={farm}/mirrors/microdistro/";
    let buildroot = ["--buildroot-package", "microdistro-buildroot"];
    farm.operate(
        &[
            &["chroot", "create", DASHED, "--repository", mirror][..],
            &buildroot,
        ]
        .concat(),
    );
    let (name, spec) = longest_package();
    let package = source_package(farm.directory.path(), &spec);

    let project = format!("_{}", "p".repeat(99));
    let directory = format!("{project}:{}", "s".repeat(19));
    farm.copr(&["create", &project, "--chroot", CHROOT, "--chroot", DASHED]);
    let build = farm.submit(&directory, &package);

    // The conf of copr-cli is another user's from now on.
    let owner = format!("_{}", "o".repeat(63));
    let conf = farm.operate(&["user", "create", &owner]);
    fs::write(farm.path("data/copr.conf"), conf).unwrap();
    farm.copr(&["create", "_under", "--chroot", DASHED]);
    let other = farm.submit("_under", &package);

    farm.wait_for(build, &["succeeded"]);
    farm.wait_for(other, &["succeeded"]);
    for (build, attempts) in [(build, 2), (other, 1)] {
        let tried = farm.json(&format!("/api/builds/{build}/attempts"));
        assert_eq!(
            tried.as_array().unwrap().len(),
            attempts,
            "no builder refused a name: {tried}"
        );
    }
    let installed = farm.dnf(&directory, &["install", &name]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    assert!(farm.path("root/usr/share/long/name").is_file());
    let listing = format!("/results/{owner}/_under/{DASHED}/repodata/repomd.xml");
    assert_eq!(farm.get(&listing).map(|(status, _)| status), Some(200));
}

#[test]
fn names_that_no_builder_or_client_could_take_are_refused_where_they_are_chosen() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let package = source_package(farm.directory.path(), &longest_package().1);
    let longer = source_package(
        farm.directory.path(),
        &longest_package().1.replace("Version: 1.0", "Version: 1.00000"),
    );
    let directory = format!("demo:a:{}:b", "s".repeat(120));
    let cases: [(&[&str], &str); 4] = [
        (
            &["create", "+plus", "--chroot", CHROOT],
            "`+plus` is not a valid project name",
        ),
        (
            &["create", "c++", "--chroot", CHROOT],
            "`c++` is not a valid project name",
        ),
        (
            &["build", "--nowait", &directory, package.to_str().unwrap()],
            "longer than 120 bytes",
        ),
        (
            &["build", "--nowait", "demo", longer.to_str().unwrap()],
            "longer than 243 bytes",
        ),
    ];
    for (arguments, expected) in cases {
        let output = farm.copr_cli(arguments);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(
            !output.status.success() && said.contains(expected),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(
        farm.json("/api_3/build/list?ownername=admin&projectname=demo")["items"],
        serde_json::json!([])
    );
}
