//! Where a package may be built, by `ExclusiveArch`, `ExcludeArch`, `BuildArch` and the two for operating systems, as
//! rpmbuild 4.18 means them.
//!
//! What is told here is certain: rpmbuild in the chroot would refuse the package. Whatever depends on more than the
//! source package's header is left to rpmbuild.

use model::repository_address::package_architecture;

use super::content;
use crate::{
    error::shortened,
    header::{Header, tag},
};

/// The names under which rpm makes packages for 32-bit x86.
const IX86: [&str; 7] = ["i386", "i486", "i586", "i686", "athlon", "geode", "pentium4"];
/// The operating system of every chroot, as rpm names it.
const SYSTEM: &str = "linux";

/// The lists of a spec file that restrict where it is built; an empty one restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    pub exclusive_arch: Vec<String>,
    pub exclude_arch: Vec<String>,
    pub build_arch: Vec<String>,
    pub exclusive_os: Vec<String>,
    pub exclude_os: Vec<String>,
}

impl Restrictions {
    pub(super) fn read(header: &Header) -> Self {
        let list = |tag| header.texts(tag).map(content::decode).collect();
        Self {
            exclusive_arch: list(tag::EXCLUSIVE_ARCHITECTURE),
            exclude_arch: list(tag::EXCLUDE_ARCHITECTURE),
            build_arch: list(tag::BUILD_ARCHITECTURES),
            exclusive_os: list(tag::EXCLUSIVE_OS),
            exclude_os: list(tag::EXCLUDE_OS),
        }
    }

    /// Why rpmbuild refuses the package in a chroot of this architecture; nothing when it may be built there.
    #[must_use]
    pub fn objection(&self, chroot: &str) -> Option<String> {
        let target = package_architecture(chroot);
        let refused = |field: &str, list: &[String]| {
            let list = shortened(&list.join(" "));
            Some(format!(
                "its {field} is `{list}`, and rpmbuild builds for {target} on {SYSTEM} here"
            ))
        };
        let build = &self.build_arch;
        if !is_expanded(build) {
            return None;
        }
        let targets = targets(build, target);
        if targets.is_empty() {
            return refused("BuildArch", build);
        }
        for (field, list, wanted) in [
            ("ExclusiveArch", &self.exclusive_arch, &targets[..]),
            ("ExclusiveOS", &self.exclusive_os, &[SYSTEM]),
        ] {
            if !list.is_empty() && is_expanded(list) && !wanted.iter().any(|one| names(list, one)) {
                return refused(field, list);
            }
        }
        for (field, list, unwanted) in [
            ("ExcludeArch", &self.exclude_arch, &targets[..]),
            ("ExcludeOS", &self.exclude_os, &[SYSTEM]),
        ] {
            if is_expanded(list) && unwanted.iter().all(|one| names(list, one)) {
                return refused(field, list);
            }
        }
        None
    }
}

/// A macro that was not known where the source package was made may be known in the chroot, and may stand for any list.
fn is_expanded(list: &[String]) -> bool {
    !list.iter().any(|one| one.contains('%'))
}

/// What the lists of architectures may be compared with: the chroot's own without `BuildArch` or for `noarch`, else each
/// of `BuildArch` that may be built there. `BuildArch: i586` passes `ExclusiveArch: i586` where `i686` is built.
fn targets<'a>(build: &'a [String], target: &'a str) -> Vec<&'a str> {
    if build.is_empty() {
        return vec![target];
    }
    build
        .iter()
        .filter_map(|one| match one.as_str() {
            noarch if noarch.eq_ignore_ascii_case("noarch") => Some(target),
            own if family(own) == family(target) => Some(own),
            _ => None,
        })
        .collect()
}

/// rpm does not tell letters of both cases apart.
fn names(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one.eq_ignore_ascii_case(wanted))
}

/// Architectures of which rpm can make packages on one another in some cases, which are not told apart here.
fn family(architecture: &str) -> String {
    let lower = architecture.to_ascii_lowercase();
    if IX86.contains(&lower.as_str()) || lower.starts_with("pentium") {
        return "i386".to_owned();
    }
    if matches!(lower.as_str(), "amd64" | "ia32e" | "em64t") {
        return "x86_64".to_owned();
    }
    let start = ["x86_64", "arm", "ppc64", "ppc", "sparc", "alpha", "mips"]
        .into_iter()
        .find(|start| lower.starts_with(start));
    start.map_or(lower, str::to_owned)
}

/// Whether packages of an architecture belong into a chroot of another: those that rpmbuild makes there, those without an
/// architecture, and on x86_64 the 32-bit ones of a multilib build.
#[must_use]
pub fn belongs(package: &str, chroot: &str) -> bool {
    let is_ix86 = |one: &str| IX86.contains(&one);
    package == "noarch"
        || package == chroot
        || package == package_architecture(chroot)
        || (is_ix86(package) && (chroot == "x86_64" || is_ix86(chroot)))
}

#[cfg(test)]
mod tests {
    use super::{Restrictions, belongs};

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn objection(field: &str, text: &str, chroot: &str) -> Option<String> {
        let mut all = Restrictions::default();
        let place = match field {
            "ExclusiveArch" => &mut all.exclusive_arch,
            "ExcludeArch" => &mut all.exclude_arch,
            "BuildArch" => &mut all.build_arch,
            "ExclusiveOS" => &mut all.exclusive_os,
            _ => &mut all.exclude_os,
        };
        *place = list(text);
        all.objection(chroot)
    }

    /// Each was tried with rpmbuild 4.18 and `--target` of the chroot, but for the macros.
    #[test]
    fn what_rpmbuild_refuses_is_refused_and_nothing_else() {
        for (field, text, chroot, is_refused) in [
            ("ExclusiveArch", "", "x86_64", false),
            ("ExclusiveArch", "x86_64 aarch64", "x86_64", false),
            ("ExclusiveArch", "X86_64", "x86_64", false),
            ("ExclusiveArch", "aarch64", "x86_64", true),
            ("ExclusiveArch", "i686", "x86_64", true),
            ("ExclusiveArch", "noarch", "x86_64", true),
            ("ExclusiveArch", "aarch64 noarch", "x86_64", true),
            ("ExclusiveArch", "x86_64 noarch", "x86_64", false),
            ("ExclusiveArch", "aarch64,x86_64", "x86_64", true),
            ("ExclusiveArch", "i686", "i386", false),
            ("ExclusiveArch", "i386", "i386", true),
            ("ExclusiveArch", "armv7hl", "armhfp", false),
            ("ExclusiveArch", "%{zig_arches}", "x86_64", false),
            ("ExclusiveArch", "aarch64 %{zig_arches}", "x86_64", false),
            ("ExcludeArch", "noarch", "x86_64", false),
            ("ExcludeArch", "s390x x86_64", "x86_64", true),
            ("ExcludeArch", "i686", "i386", true),
            ("ExcludeArch", "%{power64}", "ppc64le", false),
            ("ExcludeArch", "%{f x86_64 }", "x86_64", false),
            ("BuildArch", "noarch", "x86_64", false),
            ("BuildArch", "aarch64 noarch", "x86_64", false),
            ("BuildArch", "x86_64", "x86_64", false),
            ("BuildArch", "aarch64", "x86_64", true),
            ("BuildArch", "i686", "x86_64", true),
            ("BuildArch", "i586", "i386", false),
            ("BuildArch", "%{arches}", "x86_64", false),
            ("ExclusiveOS", "Linux", "x86_64", false),
            ("ExclusiveOS", "solaris", "x86_64", true),
            ("ExclusiveOS", "%{systems}", "x86_64", false),
            ("ExcludeOS", "linux", "x86_64", true),
            ("ExcludeOS", "solaris", "x86_64", false),
        ] {
            let told = objection(field, text, chroot);
            assert_eq!(
                told.is_some(),
                is_refused,
                "{field}: {text} in {chroot}: {told:?}"
            );
        }
    }

    /// Tried with rpmbuild 4.18 below `setarch i686`, and for `x86_64`.
    #[test]
    fn the_lists_speak_of_what_build_arch_makes_of_the_target() {
        for (build, exclusive, exclude, chroot, is_refused) in [
            ("i586", "i586", "", "i386", false),
            ("i386", "i386 x86_64", "", "i386", false),
            ("i586", "i686", "", "i386", true),
            ("i586", "", "i686", "i386", false),
            ("i586", "", "i586", "i386", true),
            ("noarch", "i686 noarch", "", "i386", false),
            ("noarch", "noarch", "", "x86_64", true),
            ("noarch", "", "x86_64", "x86_64", true),
            ("x86_64 noarch", "x86_64", "", "x86_64", false),
            ("aarch64 noarch", "aarch64", "", "x86_64", true),
            ("armv5tel", "armv5tel", "", "armhfp", false),
            ("%{arches}", "i586", "", "i386", false),
        ] {
            let told = Restrictions {
                build_arch: list(build),
                exclusive_arch: list(exclusive),
                exclude_arch: list(exclude),
                ..Restrictions::default()
            }
            .objection(chroot);
            assert_eq!(
                told.is_some(),
                is_refused,
                "{build}: {exclusive}, not {exclude}, in {chroot}: {told:?}"
            );
        }
    }

    #[test]
    fn the_objection_names_the_field_its_list_and_the_target() {
        assert_eq!(
            objection("ExclusiveArch", "aarch64 noarch", "i386").as_deref(),
            Some("its ExclusiveArch is `aarch64 noarch`, and rpmbuild builds for i686 on linux here")
        );
        let long = vec!["aarch64"; 5000].join(" ");
        assert!(objection("ExclusiveArch", &long, "x86_64").unwrap().len() < 200);
    }

    #[test]
    fn packages_belong_into_chroots_that_can_run_them() {
        for (package, chroot) in [
            ("x86_64", "x86_64"),
            ("noarch", "s390x"),
            ("i686", "x86_64"),
            ("i686", "i386"),
            ("i586", "i586"),
            ("armv7hl", "armhfp"),
            ("x86_64_v2", "x86_64_v2"),
        ] {
            assert!(belongs(package, chroot), "{package} in {chroot}");
        }
        for (package, chroot) in [
            ("x86_64", "i386"),
            ("aarch64", "x86_64"),
            ("i686", "aarch64"),
            ("armv7hl", "aarch64"),
            ("src", "x86_64"),
        ] {
            assert!(!belongs(package, chroot), "{package} in {chroot}");
        }
    }
}
