//! The requirements on the C library. A compiled package has one for each version of its symbols, and the highest implies
//! the others, so that metadata keeps only that one.
//!
//! createrepo_c does it too, and keeps exactly one of all that begin with `libc.so.6`. Two kinds are lost by that: markers
//! such as `libc.so.6(GLIBC_ABI_DT_RELR)(64bit)`, which no version implies, and of a package for two architectures the
//! requirement on one of the two libraries. Worse, a marker with a digit in it, `GLIBC_ABI_DT_X86_64_PLT`, counts as a
//! version there and displaces `GLIBC_2.34`: dnf then installs what cannot start. Here the markers stay, and each library
//! has a highest version of its own.

use std::collections::BTreeMap;

use super::Dependency;

/// The requirements on versions of C libraries seen so far.
#[derive(Default)]
pub(super) struct CLibrary {
    /// The highest of each library: `libc.so.6` with the `(64bit)` behind the version.
    highest: BTreeMap<(String, String), (Vec<u64>, Dependency)>,
}

impl CLibrary {
    /// Keeps a requirement on a version, if it is the highest yet; gives back what is another.
    pub(super) fn take(&mut self, dependency: Dependency) -> Option<Dependency> {
        let Some((library, version)) = parse(&dependency.name) else {
            return Some(dependency);
        };
        match self.highest.get(&library) {
            Some((highest, _)) if *highest >= version => {}
            _ => {
                self.highest.insert(library, (version, dependency));
            }
        }
        None
    }

    /// The highest of each library.
    pub(super) fn highest(self) -> impl Iterator<Item = Dependency> {
        self.highest.into_values().map(|(_, dependency)| dependency)
    }
}

/// The library and the version of `libc.so.6(GLIBC_2.34)(64bit)`; no version, as in `libc.so.6()(64bit)`, is the lowest.
/// Nothing for any other name, markers of the C library included.
fn parse(name: &str) -> Option<((String, String), Vec<u64>)> {
    if !name.starts_with("libc.so.6") {
        return None;
    }
    let (library, version, kind) = match name.split_once('(') {
        None => (name, "", ""),
        Some((library, rest)) => {
            let (version, kind) = rest.split_once(')')?;
            (library, version, kind)
        }
    };
    let version = match version.strip_prefix("GLIBC_") {
        Some(numbers) => numbers
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?,
        None if version.is_empty() => Vec::new(),
        None => return None,
    };
    Some(((library.to_owned(), kind.to_owned()), version))
}

#[cfg(test)]
mod tests {
    use super::{CLibrary, Dependency};

    fn kept(names: &[&str]) -> Vec<String> {
        let mut library = CLibrary::default();
        let require = |name: &&str| Dependency {
            name: (*name).to_owned(),
            comparison: None,
            epoch: String::new(),
            version: String::new(),
            release: String::new(),
            pre: false,
        };
        let mut kept: Vec<_> = names
            .iter()
            .map(require)
            .filter_map(|one| library.take(one))
            .collect();
        kept.extend(library.highest());
        kept.into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn the_highest_version_is_kept_whatever_the_order() {
        let mut names = [
            "libc.so.6()(64bit)",
            "libc.so.6(GLIBC_2.4)(64bit)",
            "libc.so.6(GLIBC_2.4.1)(64bit)",
            "libc.so.6(GLIBC_2.34)(64bit)",
        ];
        assert_eq!(kept(&names), ["libc.so.6(GLIBC_2.34)(64bit)"]);
        names.reverse();
        assert_eq!(kept(&names), ["libc.so.6(GLIBC_2.34)(64bit)"]);
        assert_eq!(kept(&names[1..]), ["libc.so.6(GLIBC_2.4.1)(64bit)"]);
        assert_eq!(kept(&names[3..]), ["libc.so.6()(64bit)"]);
    }

    #[test]
    fn markers_without_a_version_stay_and_displace_none() {
        let names = [
            "libc.so.6(GLIBC_2.34)(64bit)",
            "libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)",
            "libc.so.6(GLIBC_ABI_DT_RELR)(64bit)",
            "libc.so.6(GLIBC_PRIVATE)(64bit)",
            "libc.so.6(GLIBC_2.2.5)(64bit)",
        ];
        assert_eq!(
            kept(&names),
            [
                "libc.so.6(GLIBC_ABI_DT_X86_64_PLT)(64bit)",
                "libc.so.6(GLIBC_ABI_DT_RELR)(64bit)",
                "libc.so.6(GLIBC_PRIVATE)(64bit)",
                "libc.so.6(GLIBC_2.34)(64bit)",
            ]
        );
    }

    #[test]
    fn the_libraries_of_two_architectures_are_both_required() {
        let names = [
            "libc.so.6",
            "libc.so.6(GLIBC_2.4)",
            "libc.so.6(GLIBC_2.34)(64bit)",
            "libm.so.6(GLIBC_2.29)(64bit)",
        ];
        assert_eq!(
            kept(&names),
            [
                "libm.so.6(GLIBC_2.29)(64bit)",
                "libc.so.6(GLIBC_2.4)",
                "libc.so.6(GLIBC_2.34)(64bit)"
            ]
        );
    }
}
