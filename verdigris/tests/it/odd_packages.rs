//! Packages that other build services got wrong, through the whole farm.

use std::{fs, path::Path, process::Command};

use crate::{
    farm::{CHROOT, Farm, cached, text},
    packages::source_package,
};

/// A package of one file, `/usr/share/NAME`, with a line of text in it.
fn one_file(name: &str, content: &str) -> String {
    format!(
        "Name: {name}\nVersion: 1\nRelease: 1\nSummary: One file\nLicense: CC0-1.0\nBuildArch: noarch\n%description\nx\n\
         %install\nmkdir -p %{{buildroot}}/usr/share; echo {content} > %{{buildroot}}/usr/share/{name}\n\
         %files\n/usr/share/{name}\n"
    )
}

/// Makes packages of format 6.
fn format6(arguments: &[&str]) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/repository/tests/it/format6.py"
    );
    let output = Command::new(cached("venv/bin/python3"))
        .arg(script)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Makes a package of format 6 out of one of format 4, in its place.
fn to_format_6(package: &Path) {
    let new = package.with_extension("new");
    format6(&["convert", package.to_str().unwrap(), new.to_str().unwrap()]);
    fs::rename(new, package).unwrap();
}

#[test]
fn of_two_builds_of_one_version_the_newer_is_installed() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    for content in ["content-1", "content-2"] {
        let package = source_package(farm.directory.path(), &one_file("bug-nvr", content));
        let build = farm.submit("demo", &package);
        farm.wait_for(build, &["succeeded"]);
    }
    let installed = farm.dnf("demo", &["install", "bug-nvr"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let content = fs::read_to_string(farm.path("root/usr/share/bug-nvr")).unwrap();
    assert_eq!(content, "content-2\n");
}

#[test]
fn a_source_of_format_6_is_built_a_result_is_not_taken_and_a_macro_of_architectures_is_left_to_rpmbuild() {
    let farm = Farm::start();
    farm.copr(&["create", "demo", "--chroot", CHROOT]);
    let six = source_package(farm.directory.path(), &one_file("bug-vsix", "six"));
    to_format_6(&six);
    let six = farm.submit("demo", &six);
    let macros = "Name: bug-exclmacro\nVersion: 1\nRelease: 1\nSummary: x\nLicense: CC0-1.0\nExclusiveArch: %{zig_arches}\n\
                  %description\nx\n%files\n";
    let macros = farm.submit("demo", &source_package(farm.directory.path(), macros));

    // A build that brings a package from elsewhere.
    let foreign = "Name: foreign\nVersion: 1\nRelease: 1\nSummary: x\nLicense: CC0-1.0\nSource0: six-1-1.noarch.rpm\n\
                   %description\nx\n%install\nmkdir -p %{_rpmdir}/noarch; cp %{SOURCE0} %{_rpmdir}/noarch/\n%files\n";
    let sources = farm.path("rpmbuild/SOURCES");
    fs::create_dir_all(&sources).unwrap();
    format6(&[
        "make",
        "six",
        sources.join("six-1-1.noarch.rpm").to_str().unwrap(),
    ]);
    let foreign = farm.submit("demo", &source_package(farm.directory.path(), foreign));

    farm.wait_for(six, &["succeeded"]);
    let installed = farm.dnf("demo", &["install", "bug-vsix"]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    // The chroot does not know the macro either, so that rpmbuild excludes the package: after it was asked.
    farm.wait_for(macros, &["skipped"]);
    let attempts = farm.json(&format!("/api/builds/{macros}/attempts"));
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{attempts}");
    assert!(
        attempts
            .to_string()
            .contains("Architecture is not included: x86_64"),
        "{attempts}"
    );
    // The chroot's rpm is 4.18: a result of format 6 is not its own.
    farm.wait_for(foreign, &["failed"]);
    let attempts = farm.json(&format!("/api/builds/{foreign}/attempts"));
    assert!(
        attempts
            .to_string()
            .contains("six-1-1.noarch.rpm has the package format 6"),
        "{attempts}"
    );
}
