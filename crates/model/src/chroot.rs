//! What a chroot to build in is made of, where mock does not know it by name already.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::{Grammar, InvalidName};

/// How many repositories of a distribution a builder takes for one chroot.
const MAX_REPOSITORIES: usize = 50;
/// How many packages a builder takes in one list.
const MAX_PACKAGES: usize = 1000;

/// How the root of a chroot is made. One without repositories is for builders with mock, which use mock's own
/// configuration of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChrootDefinition {
    /// The repositories that the root is installed from.
    #[serde(default)]
    pub repositories: Vec<BaseRepository>,
    /// The packages of a minimal build root.
    #[serde(default)]
    pub buildroot_packages: Vec<String>,
    /// RPM macros set in every build, by name without the percent sign.
    #[serde(default)]
    pub macros: BTreeMap<String, String>,
}

/// A repository of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRepository {
    /// The id that dnf shows.
    pub id: String,
    /// The address, as builders reach it. `{farm}` at its start stands for the farm's own address.
    pub baseurl: String,
    /// The address of the key that its packages are signed with; without one signatures are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpgkey: Option<String>,
}

/// A definition that builders would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDefinition {
    /// The id of a repository, or what is to be installed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// dnf's own section, or the repositories that a build adds.
    #[error(
        "the repository id `{0}` is reserved: `main` and what begins with `additional_` or `verdigris_` has a meaning of its own"
    )]
    ReservedId(String),
    /// dnf does not tell letters of both cases apart.
    #[error("two repositories have the id `{0}`")]
    SameId(String),
    /// A list that is too long.
    #[error("there are {found} {what}; at most {limit} are taken")]
    TooMany {
        /// `repositories` or `packages of the build root`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl ChrootDefinition {
    /// Checks what builders check before they build in such a chroot.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), InvalidDefinition> {
        for (what, found, limit) in [
            ("repositories", self.repositories.len(), MAX_REPOSITORIES),
            (
                "packages of the build root",
                self.buildroot_packages.len(),
                MAX_PACKAGES,
            ),
        ] {
            if found > limit {
                return Err(InvalidDefinition::TooMany { what, found, limit });
            }
        }
        let mut seen = BTreeSet::new();
        for repository in &self.repositories {
            Grammar::Repository.check(&repository.id)?;
            let id = repository.id.to_ascii_lowercase();
            if id == "main"
                || ["additional_", "verdigris_"]
                    .iter()
                    .any(|start| id.starts_with(start))
            {
                return Err(InvalidDefinition::ReservedId(repository.id.clone()));
            }
            if !seen.insert(id) {
                return Err(InvalidDefinition::SameId(repository.id.clone()));
            }
        }
        for package in &self.buildroot_packages {
            Grammar::Installable.check(package)?;
        }
        Ok(())
    }

    /// What a builder has to have for builds in such a chroot, where not every builder has it. As the end of a sentence about the
    /// chroot.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        if self.repositories.is_empty() {
            return Some(
                "it has no repositories, so that builds in it fail but on builders with mock, whose own configuration has that name",
            );
        }
        self.buildroot_packages.is_empty().then_some(
            "no packages of its build root are named, so that builds in it fail but on builders with mock, which installs the group \
             buildsys-build; name at least one that brings rpmbuild",
        )
    }
}

/// The architectures that distributions' packages and mock's chroots have.
const ARCHITECTURES: [&str; 32] = [
    "aarch64",
    "alpha",
    "armhfp",
    "armv5tel",
    "armv6hl",
    "armv7hl",
    "armv7hnl",
    "armv8hl",
    "e2k",
    "i386",
    "i486",
    "i586",
    "i686",
    "ia64",
    "loongarch64",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "sw_64",
    "x86_64",
    "x86_64_v2",
    "x86_64_v3",
    "x86_64_v4",
];

/// Whether this is an architecture that there are chroots of.
#[must_use]
pub fn is_architecture(name: &str) -> bool {
    ARCHITECTURES.contains(&name)
}

/// That a name is none of an architecture, and which was meant, if one was.
#[must_use]
pub fn no_architecture(name: &str) -> String {
    let plain = name.to_lowercase().replace('-', "_");
    let hint = match ARCHITECTURES.iter().find(|known| **known == plain) {
        Some(known) => format!(", did you mean `{known}`?"),
        None => " that chroots have, such as x86_64, aarch64, ppc64le, s390x or i386".to_owned(),
    };
    format!("`{name}` is no architecture{hint}")
}

#[cfg(test)]
mod tests {
    use super::{BaseRepository, ChrootDefinition};

    fn definition(ids: &[&str], packages: &[&str]) -> ChrootDefinition {
        let repository = |id: &&str| BaseRepository {
            id: (*id).to_owned(),
            baseurl: "http://example.org/".to_owned(),
            gpgkey: None,
        };
        ChrootDefinition {
            repositories: ids.iter().map(repository).collect(),
            buildroot_packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            ..ChrootDefinition::default()
        }
    }

    #[test]
    fn what_builders_take_is_taken() {
        for good in [
            definition(&[], &[]),
            definition(
                &["base", "updates-testing"],
                &["@buildsys-build", "gcc-c++", "/usr/bin/m4"],
            ),
            definition(&["r"], &["x"; 1000]),
        ] {
            assert_eq!(good.check(), Ok(()));
        }
    }

    #[test]
    fn what_only_mock_can_build_in_has_a_warning() {
        for (definition, part) in [
            (definition(&[], &[]), Some("it has no repositories")),
            (definition(&[], &["rpm-build"]), Some("it has no repositories")),
            (definition(&["base"], &[]), Some("no packages of its build root")),
            (definition(&["base"], &["rpm-build"]), None),
        ] {
            let said = definition.warning();
            assert_eq!(said.is_some(), part.is_some(), "{definition:?}: {said:?}");
            assert!(
                said.unwrap_or_default().contains(part.unwrap_or_default()),
                "{said:?}"
            );
        }
    }

    #[test]
    fn what_builders_refuse_is_refused_with_its_rule() {
        for (bad, rule) in [
            (definition(&["a b"], &[]), "`a b` is not a valid repository id"),
            (definition(&["main"], &[]), "`main` is reserved"),
            (definition(&["Additional_0"], &[]), "`Additional_0` is reserved"),
            (
                definition(&["verdigris_project"], &[]),
                "`verdigris_project` is reserved",
            ),
            (
                definition(&["base", "BASE"], &[]),
                "two repositories have the id `BASE`",
            ),
            (
                definition(&["base"], &["--nogpgcheck"]),
                "`--nogpgcheck` is not a valid package to install",
            ),
            (definition(&["x"; 51], &[]), "51 repositories"),
            (definition(&["x"], &["x"; 1001]), "1001 packages"),
        ] {
            let said = bad.check().unwrap_err().to_string();
            assert!(said.contains(rule), "{said}");
        }
    }
}
