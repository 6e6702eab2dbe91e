//! What dnf 5's plugin for Copr is told.

use std::collections::BTreeMap;

use poem_openapi::Object;

/// The options that a repository has in dnf's configuration.
#[derive(Clone, Debug, Object)]
pub(crate) struct DnfOptions {
    /// The repository's priority: 1 is the strongest. Left out for dnf's own default, 99.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) priority: Option<i64>,
    /// `1` for a repository whose packages may replace those of a module; left out for any other.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) module_hotfixes: Option<String>,
}

/// A repository for one architecture of one release, for dnf 5.
#[derive(Debug, Object)]
pub(crate) struct DnfArchitecture {
    /// The options that differ from dnf's own.
    pub(crate) opts: DnfOptions,
}

/// A directory of the project, for dnf 5.
#[derive(Debug, Object)]
pub(crate) struct DnfDirectory {
    /// In how many days the directory is deleted; left out if it stays.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) delete_after_days: Option<i64>,
}

/// A repository that people need who install the project's packages, for dnf 5.
#[derive(Debug, Object)]
pub(crate) struct DnfDependency {
    /// `copr` for a project of this farm, `external_baseurl` for any other repository.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// The options of its section in a `.repo` file, among them `id` and `name`.
    pub(crate) opts: BTreeMap<String, String>,
    /// Where it is: `owner` and `projectname` of a project, or the address of another repository as `pattern`.
    pub(crate) data: BTreeMap<String, String>,
}

/// All that dnf 5 needs to write a `.repo` file for a project.
#[derive(Debug, Object)]
pub(crate) struct DnfRepositories {
    /// The address below which all results are: behind it come owner, directory and chroot.
    pub(crate) results_url: String,
    /// The repositories: by distribution and release, such as `fedora-43`, then by the word `arch`, then by architecture.
    pub(crate) repos: BTreeMap<String, BTreeMap<String, BTreeMap<String, DnfArchitecture>>>,
    /// The project's directories, by name.
    pub(crate) directories: BTreeMap<String, DnfDirectory>,
    /// The repositories that people need who install the project's packages.
    pub(crate) dependencies: Vec<DnfDependency>,
}
