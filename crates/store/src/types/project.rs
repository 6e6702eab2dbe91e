//! Chroots, projects, their settings and keys, and pages of lists.

use std::fmt;

use model::{ChrootDefinition, ChrootName, OwnerName, ProjectId, ProjectName, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The most entries of the part. Larger numbers count as [`Page::LONGEST`], and so does `None`.
    pub limit: Option<u64>,
    /// How many entries of the list come before the part.
    pub offset: u64,
}

impl Page {
    /// The most entries that one page holds.
    pub const LONGEST: u64 = 1000;

    pub(crate) fn limit(self) -> u64 {
        Self::bounded(self.limit.unwrap_or(Self::LONGEST))
    }

    /// No more than the longest page.
    pub(crate) fn bounded(limit: u64) -> u64 {
        limit.min(Self::LONGEST)
    }

    pub(crate) fn offset(self) -> u64 {
        // Both databases count in signed 64 bits.
        self.offset.min(i64::MAX.unsigned_abs())
    }
}

/// The order of a list of packages or projects. Names are ordered as the database orders texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By id, which is by the moment when they were made.
    #[default]
    Id,
    /// The newest first.
    IdDescending,
    /// By name.
    Name,
    /// By name, from the end of the alphabet.
    NameDescending,
}

/// A chroot that projects may build in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chroot {
    /// The name, which is mock's.
    pub name: ChrootName,
    /// A comment for people.
    pub comment: String,
    /// Whether new projects may choose it and builds may use it.
    pub is_active: bool,
    /// The repositories and packages that it is made of.
    pub definition: ChrootDefinition,
}

/// The key that a project's packages and repositories are signed with, locked with the signers' passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct LockedKey {
    /// Its fingerprint in hexadecimal.
    pub fingerprint: String,
    /// The public key, ASCII-armored.
    pub public_key: String,
    /// The secret key, encrypted, ASCII-armored.
    pub secret_key: String,
}

impl fmt::Debug for LockedKey {
    /// Without the secret key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedKey")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// A project that is to be made.
#[derive(Clone, Debug)]
pub struct NewProject {
    pub owner: OwnerName,
    /// Unique to its owner.
    pub name: ProjectName,
    /// The user who makes it.
    pub created_by: UserId,
    pub settings: ProjectSettings,
    /// The chroots to build in: known to the farm, and active.
    pub chroots: Vec<ChrootName>,
}

/// A project, with its chroots and settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number, which no other project ever gets.
    pub id: ProjectId,
    pub owner: OwnerName,
    /// Unique to its owner.
    pub name: ProjectName,
    pub settings: ProjectSettings,
    /// The chroots to build in, in the order in which the farm's chroots were made.
    pub chroots: Vec<ChrootName>,
    pub created_at: Timestamp,
}

/// The conditions that the projects of a list meet; `None` sets none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectFilter {
    /// Only this owner's.
    pub owner: Option<OwnerName>,
    /// Only with this text in the owner's name, the project's name or its description, whatever the case.
    pub text: Option<String>,
    pub order: Order,
}

/// What a project's owner decides about it; the names are those of Copr's API. Stored as JSON, so that a
/// row written before a field existed has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent switches of Copr's API"
)]
/// What a project's owner decides about it. The names are those of Copr's API; those that are "stored only" have no effect
/// here. Stored as JSON, so that a row written before a field existed has its default.
pub struct ProjectSettings {
    /// What the project is for.
    pub description: Option<String>,
    /// How to use the project.
    pub instructions: Option<String>,
    /// The address of a page about the project.
    pub homepage: Option<String>,
    /// How to reach the people who maintain it.
    pub contact: Option<String>,
    /// Repositories that builds may use besides the chroot's.
    pub additional_repos: Vec<String>,
    /// Whether builds have a network.
    pub enable_net: bool,
    /// Whether Copr's front page leaves it out. Stored only.
    pub unlisted_on_hp: bool,
    /// Whether only operators may delete it.
    pub persistent: bool,
    /// Whether Copr removes its old builds. Stored only.
    pub auto_prune: bool,
    /// Whether Copr publishes only when asked. Stored only.
    pub devel_mode: bool,
    /// Whether its packages may replace those of a module.
    pub module_hotfixes: bool,
    /// Whether Copr makes AppStream metadata. Stored only.
    pub appstream: bool,
    /// Whether Copr adds the chroot of each new Fedora release. Stored only.
    pub follow_fedora_branching: bool,
    /// How mock is asked to make the chroot. Stored only.
    pub bootstrap: String,
    /// How mock isolates a build from its machine.
    pub isolation: String,
    /// The `priority` in `.repo` files.
    pub repo_priority: Option<i64>,
    /// In how many days Copr deletes the project. Stored only.
    pub delete_after_days: Option<i64>,
    /// Whether Copr's `.repo` files have a section for the second architecture. Stored only.
    pub multilib: bool,
    /// Whether Copr has fedora-review look at its builds. Stored only.
    pub fedora_review: bool,
    /// Repositories that people need who install its packages.
    pub runtime_dependencies: Vec<String>,
    /// Projects on other forges that may build here through Packit. Stored only.
    pub packit_forge_projects_allowed: Vec<String>,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            description: None,
            instructions: None,
            homepage: None,
            contact: None,
            additional_repos: Vec::new(),
            enable_net: false,
            unlisted_on_hp: false,
            persistent: false,
            auto_prune: true,
            devel_mode: false,
            module_hotfixes: false,
            appstream: false,
            follow_fedora_branching: false,
            bootstrap: "default".to_owned(),
            isolation: "default".to_owned(),
            repo_priority: None,
            delete_after_days: None,
            multilib: false,
            fedora_review: false,
            runtime_dependencies: Vec::new(),
            packit_forge_projects_allowed: Vec::new(),
        }
    }
}
