//! Small source packages, made by the real rpmbuild from spec files of the tests' own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A program in C.
pub(crate) const GREETING: &str = r#"
Name: greeting
Version: 1.0
Release: 1
Summary: A greeting
License: Apache-2.0
BuildRequires: gcc
%description
It greets.
%prep
%setup -q -c -T
printf '#include <stdio.h>\nint main(void) { puts("hello from the farm"); return 0; }\n' > greeting.c
%build
gcc -O2 -o greeting greeting.c
%install
install -D -m 0755 greeting %{buildroot}%{_bindir}/greeting
%files
%{_bindir}/greeting
"#;

/// A build that takes a while, so that something can happen meanwhile.
pub(crate) const SLOW: &str = r#"
Name: slow
Version: 1.0
Release: 1
Summary: A build that takes its time
License: Apache-2.0
BuildArch: noarch
%description
It takes its time.
%build
for i in $(seq 1 60); do echo "step $i of 60"; sleep 0.25; done
%install
mkdir -p %{buildroot}/usr/share/slow
echo done > %{buildroot}/usr/share/slow/done
%files
/usr/share/slow
"#;

/// Its build asks for what it needs in two rounds: the second, which only the first makes possible, for a package of its own
/// project, in a rich requirement. What it got it packages.
pub(crate) const DYNAMIC: &str = r#"
Name: dynamic
Version: 1.0
Release: 1
Summary: Requirements that only its build knows
License: Apache-2.0
BuildArch: noarch
%description
It asks for what it needs.
%generate_buildrequires
echo m4
if command -v m4 >/dev/null; then echo '(greeting or nothing-that-there-is)'; fi
%build
echo 'define(x, made by m4) x' | m4 > made
greeting >> made
%install
install -D -m 0644 made %{buildroot}/usr/share/dynamic/made
%files
/usr/share/dynamic
"#;

/// A build that fails, with a reason in its log.
pub(crate) const BROKEN: &str = r#"
Name: broken
Version: 1.0
Release: 1
Summary: A build that fails
License: Apache-2.0
BuildRequires: gcc
%description
It never builds.
%prep
%setup -q -c -T
echo 'int main(void) { return undeclared; }' > broken.c
%build
gcc -o broken broken.c
%files
"#;

/// Makes a source package of a spec file in a directory.
pub(crate) fn source_package(directory: &Path, spec: &str) -> PathBuf {
    let field = |field: &str| {
        spec.lines()
            .find_map(|line| line.strip_prefix(field))
            .expect(field)
    };
    let [name, version, release] = ["Name: ", "Version: ", "Release: "].map(field);
    let file = directory.join(format!("{name}.spec"));
    fs::write(&file, spec).unwrap();
    let output = Command::new("rpmbuild")
        .args(["-bs", "--nodeps", "--define"])
        .arg(format!("_topdir {}", directory.join("rpmbuild").display()))
        .arg(&file)
        .output()
        .expect("rpmbuild runs; `cargo xtask setup` installs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory.join(format!("rpmbuild/SRPMS/{name}-{version}-{release}.src.rpm"))
}

/// Makes a binary package of a spec file without build requirements.
pub(crate) fn binary_package(directory: &Path, spec: &str) -> PathBuf {
    let file = directory.join("binary.spec");
    fs::write(&file, spec.replace("sleep 0.25", "true")).unwrap();
    let output = Command::new("rpmbuild")
        .args(["-bb", "--nodeps", "--define"])
        .arg(format!("_topdir {}", directory.join("rpmbuild").display()))
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory.join("rpmbuild/RPMS/noarch/slow-1.0-1.noarch.rpm")
}
