//! The one spec file that makes all packages.

use std::collections::{BTreeMap, BTreeSet};

use super::debian::Package;
use super::stage::{Entry, Staged};
use super::{GROUP, tables};

const FILESYSTEM: &str = "microdistro-filesystem";

/// Ends every release, so that ours are never taken for Debian's.
const MARK: &str = ".1";

/// The head: nothing is stripped, compressed or split; a generator runs only where a package asks for it.
const HEAD: &str = "\
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global __perl_provides %{nil}
%global __python_provides %{nil}
%global _binary_payload w2.zstdio
Name: microdistro
Version: 1
Release: 1
Summary: A build root out of Debian's packages
License: see the packages

%description
A small RPM distribution to build packages in.

%install
rm -rf %{buildroot}
cp -al %{staged_tree} %{buildroot}

%package -n microdistro-filesystem
Summary: Directories and base files of the micro-distribution
AutoReq: no

%description -n microdistro-filesystem
The directories, the links of the merged /usr, users, groups and RPM macros.
";

/// The whole spec file.
pub(super) fn write(packages: &BTreeMap<String, Package>, staged: &Staged) -> String {
    let mut text = HEAD.to_owned();
    filesystem_files(&mut text);
    group(&mut text);
    let virtuals = virtual_packages(packages);
    for (name, package) in packages {
        let requires = requires(name, package, packages, &virtuals);
        let provides = provides(name, package);
        let automatic = if staged.with_libraries.contains(name) {
            "yes"
        } else {
            "no"
        };
        preamble(&mut text, name, package, automatic);
        lines(&mut text, "Requires", requires.iter().map(String::as_str));
        lines(&mut text, "Provides", provides.iter().map(String::as_str));
        let described =
            format!("\n%description -n {name}\nDebian's {name}, packaged again.\n\n%files -n {name}\n");
        text.push_str(&described);
        let entries = staged.owned.get(name).map(Vec::as_slice).unwrap_or_default();
        text.push_str("%defattr(-,root,root,-)\n");
        entries.iter().for_each(|entry| file(&mut text, entry));
        text.push('\n');
    }
    text
}

fn preamble(text: &mut String, name: &str, package: &Package, automatic: &str) {
    let Package {
        epoch,
        version,
        release,
        summary,
        ..
    } = package;
    let summary = summary.replace('%', "%%");
    let licence = format!("see {}/{name}/{}", tables::DOCUMENTATION, tables::LICENCE);
    text.push_str(&format!(
        "%package -n {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}{MARK}\nSummary: {summary}\n\
         License: {licence}\nAutoReq: no\nAutoProv: {automatic}\nRequires(pre): {FILESYSTEM}\n"
    ));
}

fn group(text: &mut String) {
    text.push_str(&format!(
        "\n%package -n {GROUP}\nSummary: What a build root holds\nAutoReq: no\n"
    ));
    lines(text, "Requires", tables::BUILD_ROOT.iter().copied());
    text.push_str(&format!(
        "\n%description -n {GROUP}\nRequires all that a build root holds.\n\n%files -n {GROUP}\n\n"
    ));
}

fn filesystem_files(text: &mut String) {
    text.push_str(&format!("\n%files -n {FILESYSTEM}\n%defattr(-,root,root,-)\n"));
    for dir in tables::DIRECTORIES {
        file(
            text,
            &Entry {
                path: (*dir).to_owned(),
                is_directory: true,
            },
        );
    }
    let links = tables::FOLDED.iter().map(|top| format!("/{top}"));
    let files = tables::FILES.iter().map(|(path, _)| (*path).to_owned());
    for path in links.chain(["/etc/os-release".to_owned()]).chain(files) {
        file(
            text,
            &Entry {
                path,
                is_directory: false,
            },
        );
    }
}

fn file(text: &mut String, entry: &Entry) {
    let path = entry.path.replace('%', "%%");
    let mark = match (entry.is_directory, entry.path.starts_with("/etc/")) {
        (true, _) => "%dir ",
        (false, true) => "%config(noreplace) ",
        (false, false) => "",
    };
    text.push_str(&format!("{mark}\"{path}\"\n"));
}

fn lines<'a>(text: &mut String, tag: &str, values: impl Iterator<Item = &'a str>) {
    for value in values {
        text.push_str(&format!("{tag}: {value}\n"));
    }
}

/// Which package provides a name that is no package.
fn virtual_packages(packages: &BTreeMap<String, Package>) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    for (name, package) in packages {
        for provided in &package.provides {
            found.entry(provided.as_str()).or_insert(name.as_str());
        }
    }
    found
}

/// Debian's dependencies, each by the first alternative that we have; one that we have not is not needed here.
fn requires(
    name: &str,
    package: &Package,
    packages: &BTreeMap<String, Package>,
    virtuals: &BTreeMap<&str, &str>,
) -> BTreeSet<String> {
    let known = |wanted: &String| {
        let real = packages.get_key_value(wanted).map(|(name, _)| name.as_str());
        real.or_else(|| virtuals.get(wanted.as_str()).copied())
    };
    let chosen = package
        .depends
        .iter()
        .filter_map(|alternatives| alternatives.iter().find_map(known));
    chosen
        .filter(|wanted| *wanted != name)
        .map(str::to_owned)
        .collect()
}

fn provides(name: &str, package: &Package) -> BTreeSet<String> {
    let ours = tables::PROVIDES
        .iter()
        .filter(|(package, _)| *package == name)
        .flat_map(|(_, names)| *names);
    let theirs = package.provides.iter().filter(|provided| *provided != name);
    ours.map(|provided| (*provided).to_owned())
        .chain(theirs.cloned())
        .collect()
}

#[cfg(test)]
mod tests;
