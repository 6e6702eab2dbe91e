//! Chroots, projects, their settings and keys, and pages of lists.

use std::fmt;

use model::{ChrootDefinition, ChrootName, OwnerName, ProjectId, ProjectName, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// A part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many; never more than [`Page::LONGEST`], which is also meant by `None`.
    pub limit: Option<u64>,
    /// After skipping so many.
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
    /// What people should know.
    pub comment: String,
    /// Whether new projects may choose it and builds may use it.
    pub is_active: bool,
    /// What it is made of.
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

/// A project to make.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Whose it is.
    pub owner: OwnerName,
    /// Unique to its owner.
    pub name: ProjectName,
    /// Who makes it.
    pub created_by: UserId,
    /// Its settings.
    pub settings: ProjectSettings,
    /// What it builds for: known and active chroots.
    pub chroots: Vec<ChrootName>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Which; never given out twice.
    pub id: ProjectId,
    /// Whose it is.
    pub owner: OwnerName,
    /// Unique to its owner.
    pub name: ProjectName,
    /// Its settings.
    pub settings: ProjectSettings,
    /// What it builds for, in the order in which the farm's chroots were made.
    pub chroots: Vec<ChrootName>,
    /// Since when it exists.
    pub created_at: Timestamp,
}

/// Which projects to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectFilter {
    /// Only this owner's.
    pub owner: Option<OwnerName>,
    /// Only with this text in the owner's name, the project's name or its description, whatever the case.
    pub text: Option<String>,
    /// In which order.
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
pub struct ProjectSettings {
    /// What it is for.
    pub description: Option<String>,
    /// How to use it.
    pub instructions: Option<String>,
    /// Where it lives.
    pub homepage: Option<String>,
    /// Whom to ask.
    pub contact: Option<String>,
    /// Repositories that builds may use besides the chroot's.
    pub additional_repos: Vec<String>,
    /// Whether builds have a network.
    pub enable_net: bool,
    /// Whether it is left out of the front page.
    pub unlisted_on_hp: bool,
    /// Whether it cannot be deleted.
    pub persistent: bool,
    /// Whether old builds are removed.
    pub auto_prune: bool,
    /// Whether metadata is written only when asked for.
    pub devel_mode: bool,
    /// Whether its packages come before those of modules.
    pub module_hotfixes: bool,
    /// Whether AppStream metadata is made.
    pub appstream: bool,
    /// Whether a new Fedora release gets the chroots of the one before.
    pub follow_fedora_branching: bool,
    /// Mock's bootstrap mode.
    pub bootstrap: String,
    /// Mock's isolation.
    pub isolation: String,
    /// The `priority` in `.repo` files.
    pub repo_priority: Option<i64>,
    /// When the project is to be deleted by itself.
    pub delete_after_days: Option<i64>,
    /// Whether `.repo` files carry a multilib section.
    pub multilib: bool,
    /// Whether every build is reviewed by fedora-review.
    pub fedora_review: bool,
    /// Repositories that installing its packages needs.
    pub runtime_dependencies: Vec<String>,
    /// Forge projects that Packit may build from.
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
