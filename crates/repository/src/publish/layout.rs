//! Where things lie below the results root. Paths are made of checked names only, never of text.

use std::{fmt, path::PathBuf, str::FromStr};

use model::{BuildId, ChrootName, DirectoryName, OwnerName, PackageName};

/// One repository: a project directory and a chroot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId {
    /// Owner, a user or `@group`.
    pub owner: OwnerName,
    /// The project's directory, `NAME` or `NAME:SUFFIX`.
    pub directory: DirectoryName,
    pub chroot: ChrootName,
}

impl RepositoryId {
    /// A repository from text, each part checked.
    ///
    /// # Errors
    /// Says which part breaks its grammar.
    pub fn parse(owner: &str, directory: &str, chroot: &str) -> crate::Result<Self> {
        Ok(Self {
            owner: owner.parse()?,
            directory: directory.parse()?,
            chroot: chroot.parse()?,
        })
    }

    /// `OWNER/DIRECTORY/CHROOT`.
    #[must_use]
    pub fn relative(&self) -> PathBuf {
        self.relative_project_directory().join(self.chroot.as_str())
    }

    /// `OWNER/DIRECTORY`.
    pub(crate) fn relative_project_directory(&self) -> PathBuf {
        PathBuf::from(self.owner.as_str()).join(self.directory.as_str())
    }

    /// `OWNER/PROJECT`: the directory without its suffix.
    pub(crate) fn relative_main_directory(&self) -> PathBuf {
        let directory = self.directory.as_str();
        let project = directory
            .split_once(':')
            .map_or(directory, |(project, _suffix)| project);
        PathBuf::from(self.owner.as_str()).join(project)
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.owner, self.directory, self.chroot)
    }
}

/// The directory of one build in a repository, `00000123-PACKAGE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildDirectory {
    pub build: BuildId,
    /// The source package's name.
    pub package: PackageName,
}

impl BuildDirectory {
    /// Where a file of the build lies relative to its repository: the `href` of its metadata.
    #[must_use]
    pub fn href(&self, file: &str) -> String {
        format!("{self}/{file}")
    }
}

impl FromStr for BuildDirectory {
    type Err = NotABuildDirectory;

    /// What [`fmt::Display`] wrote, and nothing else.
    fn from_str(text: &str) -> Result<Self, NotABuildDirectory> {
        let parsed = text.split_once('-').and_then(|(build, package)| {
            Some(Self {
                build: BuildId(build.parse().ok()?),
                package: package.parse().ok()?,
            })
        });
        parsed
            .filter(|parsed| parsed.to_string() == text)
            .ok_or(NotABuildDirectory)
    }
}

/// A name that no build's directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the name of a build's directory")]
pub struct NotABuildDirectory;

impl fmt::Display for BuildDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}-{}", self.build.0, self.package)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::BuildId;

    use super::{BuildDirectory, RepositoryId};

    #[test]
    fn a_repository_lies_below_its_owner_and_directory_and_its_key_below_its_project() {
        for (owner, directory, relative, main) in [
            ("alice", "demo", "alice/demo/fedora-43-x86_64", "alice/demo"),
            (
                "@team",
                "demo:pr:7",
                "@team/demo:pr:7/fedora-43-x86_64",
                "@team/demo",
            ),
        ] {
            let repository = RepositoryId::parse(owner, directory, "fedora-43-x86_64").unwrap();
            assert_eq!(repository.relative(), Path::new(relative));
            assert_eq!(repository.to_string(), relative);
            assert_eq!(repository.relative_main_directory(), Path::new(main));
            let project = Path::new(relative).parent().unwrap();
            assert_eq!(repository.relative_project_directory(), project);
        }
    }

    #[test]
    fn no_text_becomes_a_path_that_leads_elsewhere() {
        for (owner, directory, chroot, kind) in [
            ("..", "demo", "fedora-43-x86_64", "owner name"),
            ("", "demo", "fedora-43-x86_64", "owner name"),
            ("alice", "../demo", "fedora-43-x86_64", "project directory"),
            ("alice", "demo:..", "fedora-43-x86_64", "project directory"),
            ("alice", "demo", "fedora-43-x86_64/..", "chroot name"),
            ("alice", "demo", "/", "chroot name"),
        ] {
            let refused = RepositoryId::parse(owner, directory, chroot).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains(kind), "{owner}/{directory}/{chroot}: {said}");
        }
    }

    #[test]
    fn a_builds_directory_is_read_as_it_is_written_and_not_otherwise() {
        for (build, package, name) in [
            (1, "hello", "00000001-hello"),
            (123_456_789, "gtk+-3.0", "123456789-gtk+-3.0"),
        ] {
            let directory = BuildDirectory {
                build: BuildId(build),
                package: package.parse().unwrap(),
            };
            assert_eq!(directory.to_string(), name);
            assert_eq!(name.parse(), Ok(directory.clone()));
            assert_eq!(directory.href("a.rpm"), format!("{name}/a.rpm"));
        }
        for other in [
            "1-hello",
            "0000001-hello",
            "000000001-hello",
            "00000001",
            "00000001-",
            "-0000001-hello",
            "+0000001-hello",
            "00000001-..",
            "repodata",
            ".staging",
            "",
        ] {
            assert!(other.parse::<BuildDirectory>().is_err(), "{other}");
        }
    }
}
