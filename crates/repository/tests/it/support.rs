//! Packages made by the real rpmbuild, and the real tools to judge what we made of them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use model::{BuildId, Timestamp};
use repository::{
    BuildDirectory, KeyAlgorithm, Package, PackageMetadata, Publisher, RepositoryId, SigningKey,
};

/// A moment that all tests agree on: 2026-01-01.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// Runs a tool; fails the test when it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install it with `cargo xtask setup`"))
}

/// Runs a tool that must succeed, and gives what it printed.
pub(crate) fn must(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {arguments:?} failed: {text}");
    text
}

/// A program of the Python environment that `cargo xtask setup` makes.
pub(crate) fn python_tool(name: &str) -> String {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = from("VERDIGRIS_CACHE")
        .or_else(|| from("XDG_CACHE_HOME").map(|path| path.join("verdigris")))
        .or_else(|| from("HOME").map(|path| path.join(".cache/verdigris")))
        .expect("HOME is set");
    text(&cache.join("venv/bin").join(name)).to_owned()
}

/// Makes, converts or checks packages of format 6.
pub(crate) fn format6(arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/format6.py");
    must(&python_tool("python3"), &[&[script][..], arguments].concat())
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// Builds a spec file into its source package and its binary packages.
pub(crate) fn build(directory: &Path, name: &str, spec: impl AsRef<[u8]>) -> Vec<PathBuf> {
    let top = directory.join(format!("build-{name}"));
    fs_err::create_dir_all(&top).unwrap();
    let file = top.join(format!("{name}.spec"));
    fs_err::write(&file, spec).unwrap();
    must(
        "rpmbuild",
        &[
            "-ba",
            "--quiet",
            "--nodeps",
            "--define",
            &format!("_topdir {}", top.display()),
            "--define",
            &format!("_dbpath {}/db", top.display()),
            "--define",
            "_invalid_encoding_terminates_build 0",
            text(&file),
        ],
    );
    let mut found = Vec::new();
    collect(&top, &mut found);
    found.sort();
    assert!(found.len() >= 2, "rpmbuild made {found:?}");
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rpm") {
            found.push(path);
        }
    }
}

/// A package of one text file, without needs, for any architecture.
pub(crate) fn simple_spec(name: &str, version: &str) -> String {
    format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: The package {name}\nLicense: MIT\nBuildArch: noarch\n\
         %description\nA file.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n\
         echo {version} > %{{buildroot}}/usr/share/{name}/version\n%files\n/usr/share/{name}\n"
    )
}

pub(crate) fn is_source(path: &Path) -> bool {
    text(path).ends_with(".src.rpm")
}

/// The binary package of [`simple_spec`].
pub(crate) fn simple(directory: &Path, name: &str, version: &str) -> PathBuf {
    let packages = build(
        directory,
        &format!("{name}-{version}"),
        simple_spec(name, version),
    );
    packages.into_iter().find(|path| !is_source(path)).unwrap()
}

pub(crate) fn key() -> SigningKey {
    let (owner, project) = ("ann".parse().unwrap(), "demo".parse().unwrap());
    SigningKey::generate(&owner, &project, "farm.example.org", KeyAlgorithm::Ed25519, NOW).unwrap()
}

pub(crate) fn repository() -> RepositoryId {
    RepositoryId::parse("ann", "demo", "fedora-43-x86_64").unwrap()
}

pub(crate) fn build_directory(number: i64, package: &str) -> BuildDirectory {
    BuildDirectory {
        build: BuildId(number),
        package: package.parse().unwrap(),
    }
}

/// Signs a package, puts it into its build's directory and gives its metadata, as a worker does.
pub(crate) fn add(
    publisher: &Publisher,
    repository: &RepositoryId,
    number: i64,
    package: &Path,
    key: &SigningKey,
) -> PackageMetadata {
    let read: Package = repository::read_package(package).unwrap();
    let build = build_directory(number, &read.name);
    let target = publisher.build_directory(repository, &build);
    fs_err::create_dir_all(&target).unwrap();
    let file = target.join(read.file_name());
    fs_err::copy(package, &file).unwrap();
    repository::sign_package(&file, key, NOW).unwrap();
    PackageMetadata::new(
        &repository::read_package(&file).unwrap(),
        &build.href(&read.file_name()),
    )
}
