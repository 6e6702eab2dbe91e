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
pub(crate) const ARCHITECTURES: [&str; 32] = [
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
    use super::{ARCHITECTURES, BaseRepository, ChrootDefinition, Grammar, is_architecture, no_architecture};

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

    #[test]
    fn as_much_as_builders_take_is_taken_and_one_more_is_counted() {
        let ids: Vec<String> = (0..=50).map(|number| format!("r{number}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(definition(&ids[..50], &[]).check(), Ok(()));
        for (bad, words) in [
            (
                definition(&ids, &[]),
                "there are 51 repositories; at most 50 are taken",
            ),
            (
                definition(&ids[..1], &["x"; 1001]),
                "there are 1001 packages of the build root; at most 1000 are taken",
            ),
            // The count comes first: of many mistakes it is the one that helps.
            (
                definition(&[""; 51], &[]),
                "there are 51 repositories; at most 50 are taken",
            ),
        ] {
            assert_eq!(bad.check().unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn ids_that_mean_something_else_to_a_builder_are_reserved_in_any_letters() {
        for id in ["main", "MAIN", "additional_", "verdigris_x", "Verdigris_X"] {
            let said = definition(&[id], &[]).check().unwrap_err().to_string();
            let words = format!(
                "the repository id `{id}` is reserved: `main` and what begins with `additional_` or `verdigris_` has a \
                 meaning of its own"
            );
            assert_eq!(said, words);
        }
        for id in ["mainline", "additional", "verdigris", "my_additional_1"] {
            assert_eq!(definition(&[id], &[]).check(), Ok(()), "{id}");
        }
    }

    #[test]
    fn a_definition_is_read_as_it_is_written_and_a_misspelt_key_is_refused() {
        let text = r#"{"repositories": [{"id": "base", "baseurl": "{farm}/x"}], "macros": {"dist": ".el9"}}"#;
        let read: ChrootDefinition = serde_json::from_str(text).unwrap();
        assert_eq!(read.repositories[0].gpgkey, None);
        assert_eq!(read.buildroot_packages, [""; 0]);
        let written = serde_json::to_string(&read).unwrap();
        assert!(!written.contains("gpgkey"), "{written}");
        assert_eq!(serde_json::from_str::<ChrootDefinition>(&written).unwrap(), read);
        for bad in [
            r#"{"repos": []}"#,
            r#"{"repositories": [{"id": "base"}]}"#,
            r#"{"repositories": [{"id": "base", "baseurl": "x", "gpgcheck": false}]}"#,
        ] {
            assert!(serde_json::from_str::<ChrootDefinition>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_architecture_is_one_in_the_grammar_and_in_order_for_who_looks_one_up() {
        assert!(ARCHITECTURES.is_sorted_by(|one, next| one < next));
        for name in ARCHITECTURES {
            assert_eq!(Grammar::Architecture.check(name), Ok(()));
            assert!(
                is_architecture(name) && !is_architecture(&name.to_uppercase()),
                "{name}"
            );
        }
    }

    #[test]
    fn an_architecture_in_other_letters_is_told_what_is_meant() {
        let none = " that chroots have, such as x86_64, aarch64, ppc64le, s390x or i386";
        for (given, hint) in [
            ("x86-64", ", did you mean `x86_64`?"),
            ("X86_64", ", did you mean `x86_64`?"),
            ("SW-64", ", did you mean `sw_64`?"),
            ("Aarch64", ", did you mean `aarch64`?"),
            // Debian's words for others: a near word would be a wrong one.
            ("arm64", none),
            ("noarch", none),
            ("", none),
        ] {
            assert_eq!(
                no_architecture(given),
                format!("`{given}` is no architecture{hint}")
            );
        }
    }
}
