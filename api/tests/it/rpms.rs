//! Packages made by the real rpmbuild, once for all tests of a process.

use std::{path::Path, process::Command, sync::OnceLock};

const SPEC: &str = "Name: hello
Version: 1.0
Release: 1
Summary: A package for tests
License: MIT
BuildArch: noarch
%description
For tests.
%files
";

/// A file of rpmbuild's.
pub(crate) struct Rpm {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

fn build(mode: &str, spec: &str, extra: &[&str]) -> Rpm {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hello.spec");
    std::fs::write(&file, spec).unwrap();
    let output = Command::new("rpmbuild")
        .arg(mode)
        .args(["--define", &format!("_topdir {}", directory.path().display())])
        .args(extra)
        .arg(&file)
        .output()
        .expect("rpmbuild is missing: run `cargo xtask setup`");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    find(directory.path()).expect("rpmbuild made no package")
}

fn find(directory: &Path) -> Option<Rpm> {
    std::fs::read_dir(directory).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return find(&path);
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        name.ends_with(".rpm").then(|| Rpm {
            name,
            bytes: std::fs::read(&path).unwrap(),
        })
    })
}

/// A source package: hello-1.0-1.src.rpm.
pub(crate) fn source() -> &'static Rpm {
    static RPM: OnceLock<Rpm> = OnceLock::new();
    RPM.get_or_init(|| build("-bs", SPEC, &[]))
}

/// A binary package: hello-1.0-1.noarch.rpm.
pub(crate) fn binary() -> &'static Rpm {
    static RPM: OnceLock<Rpm> = OnceLock::new();
    RPM.get_or_init(|| build("-bb", SPEC, &[]))
}

/// A source package that is meant for another architecture only.
pub(crate) fn for_s390x() -> &'static Rpm {
    static RPM: OnceLock<Rpm> = OnceLock::new();
    RPM.get_or_init(|| {
        let spec = SPEC.replace("BuildArch: noarch", "ExclusiveArch: s390x");
        build("-bs", &spec, &["--target", "s390x"])
    })
}

/// A source package for the architectures of a macro that this system does not know.
pub(crate) fn for_a_macro() -> &'static Rpm {
    static RPM: OnceLock<Rpm> = OnceLock::new();
    RPM.get_or_init(|| {
        let spec = SPEC.replace("BuildArch: noarch", "ExclusiveArch: %{zig_arches}");
        build("-bs", &spec, &[])
    })
}
