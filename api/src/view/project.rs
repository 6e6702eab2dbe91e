//! Projects and their chroots.

use std::collections::BTreeMap;

use poem_openapi::Object;
use store::{Project, ProjectSettings};

use crate::{
    http::{arguments::FromFields, fields::Fields, web_address},
    settings::ApiSettings,
    view::chroot_url,
};

/// How many repositories a project may name in a list: far fewer than a builder takes for one build.
const MAX_REPOSITORIES: usize = 100;

/// The version of Copr's API that is spoken.
#[derive(Debug, Object)]
#[oai(rename = "Version")]
pub(crate) struct VersionView {
    /// Always 3.
    pub(crate) version: i64,
}

/// Who the caller is.
#[derive(Debug, Object)]
#[oai(rename = "Identity")]
pub(crate) struct IdentityView {
    /// The user's number.
    pub(crate) id: i64,
    /// The user's name.
    pub(crate) name: String,
}

/// A new token; the one before it is void.
#[derive(Debug, Object)]
#[oai(rename = "Token")]
pub(crate) struct TokenView {
    /// The login to send as user name.
    pub(crate) api_login: String,
    /// The token to send as password. It is not shown again.
    pub(crate) api_token: String,
    /// The last day on which it is good, as `YYYY-MM-DD`.
    pub(crate) expiration: String,
}

/// A project.
#[derive(Debug, Object)]
#[oai(rename = "Project")]
pub(crate) struct ProjectView {
    /// Its number, which is never given to another.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// Whose it is.
    pub(crate) ownername: String,
    /// `owner/name`.
    pub(crate) full_name: String,
    /// Where people read about it.
    pub(crate) homepage: Option<String>,
    /// How to reach those who care for it.
    pub(crate) contact: Option<String>,
    /// What it is for.
    pub(crate) description: String,
    /// How to use it.
    pub(crate) instructions: String,
    /// Whether results wait for a wish to be published.
    pub(crate) devel_mode: bool,
    /// Whether it is protected from being deleted.
    pub(crate) persistent: bool,
    /// Whether it is left out of public lists.
    pub(crate) unlisted_on_hp: bool,
    /// Whether old builds are cleared away.
    pub(crate) auto_prune: bool,
    /// Whether builds may use the network.
    pub(crate) enable_net: bool,
    /// The repository's address for each chroot.
    pub(crate) chroot_repos: BTreeMap<String, String>,
    /// Further repositories that builds use.
    pub(crate) additional_repos: Vec<String>,
    /// How mock makes the chroot: `default`, `on`, `off` or `image`.
    pub(crate) bootstrap: String,
    /// How mock isolates: `default`, `simple` or `nspawn`.
    pub(crate) isolation: String,
    /// Whether its packages win over modules.
    pub(crate) module_hotfixes: bool,
    /// Whether AppStream metadata is made.
    pub(crate) appstream: bool,
    /// Forge projects that may build here through Packit.
    pub(crate) packit_forge_projects_allowed: Vec<String>,
    /// Whether it follows when Fedora branches.
    pub(crate) follow_fedora_branching: bool,
    /// The priority that clients give the repository.
    pub(crate) repo_priority: Option<i64>,
    /// Where results are kept; always `backend`.
    pub(crate) storage: String,
}

impl ProjectView {
    /// From the database's view.
    pub(crate) fn new(project: &Project, settings: &ApiSettings) -> Self {
        let own: ProjectSettings = project.settings.clone();
        Self {
            id: project.id.0,
            name: project.name.to_string(),
            ownername: project.owner.to_string(),
            full_name: format!("{}/{}", project.owner, project.name),
            homepage: own.homepage,
            contact: own.contact,
            description: own.description.unwrap_or_default(),
            instructions: own.instructions.unwrap_or_default(),
            devel_mode: own.devel_mode,
            persistent: own.persistent,
            unlisted_on_hp: own.unlisted_on_hp,
            auto_prune: own.auto_prune,
            enable_net: own.enable_net,
            chroot_repos: project
                .chroots
                .iter()
                .map(|chroot| {
                    (
                        chroot.to_string(),
                        chroot_url(settings, &project.owner, &project.name, chroot),
                    )
                })
                .collect(),
            additional_repos: own.additional_repos,
            bootstrap: own.bootstrap,
            isolation: own.isolation,
            module_hotfixes: own.module_hotfixes,
            appstream: own.appstream,
            packit_forge_projects_allowed: own.packit_forge_projects_allowed,
            follow_fedora_branching: own.follow_fedora_branching,
            repo_priority: own.repo_priority,
            storage: "backend".to_owned(),
        }
    }
}

/// What can be said about a project; what is not said stays as it is.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename = "ProjectEdit")]
pub(crate) struct ProjectEditArguments {
    /// All chroots it shall have; given, it replaces the set.
    pub(crate) chroots: Option<Vec<String>>,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// How to use it.
    pub(crate) instructions: Option<String>,
    /// Where people read about it: an http or https address.
    pub(crate) homepage: Option<String>,
    /// How to reach those who care for it.
    pub(crate) contact: Option<String>,
    /// Further repositories for builds; `additional_repos` is the same.
    pub(crate) repos: Option<Vec<String>>,
    /// Leave it out of public lists.
    pub(crate) unlisted_on_hp: Option<bool>,
    /// Let builds use the network.
    pub(crate) enable_net: Option<bool>,
    /// Protect it from being deleted; operators only.
    pub(crate) persistent: Option<bool>,
    /// Clear away old builds; only operators may say no.
    pub(crate) auto_prune: Option<bool>,
    /// `default`, `on`, `off` or `image`.
    pub(crate) bootstrap: Option<String>,
    /// `default`, `simple` or `nspawn`.
    pub(crate) isolation: Option<String>,
    /// Follow when Fedora branches.
    pub(crate) follow_fedora_branching: Option<bool>,
    /// Publish only when asked to.
    pub(crate) devel_mode: Option<bool>,
    /// Delete it after so many days; -1 for never, at most 720.
    pub(crate) delete_after_days: Option<i64>,
    /// Offer the second architecture to clients.
    pub(crate) multilib: Option<bool>,
    /// Let its packages win over modules.
    pub(crate) module_hotfixes: Option<bool>,
    /// Run fedora-review after builds.
    pub(crate) fedora_review: Option<bool>,
    /// Make AppStream metadata.
    pub(crate) appstream: Option<bool>,
    /// Repositories that installed packages need.
    pub(crate) runtime_dependencies: Option<Vec<String>>,
    /// Forge projects that may build here through Packit.
    pub(crate) packit_forge_projects_allowed: Option<Vec<String>>,
    /// The priority that clients give the repository, from 1.
    pub(crate) repo_priority: Option<i64>,
    /// Where results are kept; operators only, and only `backend`.
    pub(crate) storage: Option<String>,
}

impl FromFields for ProjectEditArguments {
    fn from_fields(fields: &mut Fields) -> Self {
        let repos = fields.texts("repos");
        Self {
            chroots: fields.texts("chroots"),
            description: fields.text("description"),
            instructions: fields.text("instructions"),
            homepage: fields.text("homepage"),
            contact: fields.text("contact"),
            repos: fields.texts("additional_repos").or(repos),
            unlisted_on_hp: fields.flag("unlisted_on_hp"),
            enable_net: fields.flag("enable_net"),
            persistent: fields.flag("persistent"),
            auto_prune: fields.flag("auto_prune"),
            bootstrap: fields.text("bootstrap"),
            isolation: fields.text("isolation"),
            follow_fedora_branching: fields.flag("follow_fedora_branching"),
            devel_mode: fields.flag("devel_mode"),
            delete_after_days: fields.number("delete_after_days"),
            multilib: fields.flag("multilib"),
            module_hotfixes: fields.flag("module_hotfixes"),
            fedora_review: fields.flag("fedora_review"),
            appstream: fields.flag("appstream"),
            runtime_dependencies: fields.texts("runtime_dependencies"),
            packit_forge_projects_allowed: fields.texts("packit_forge_projects_allowed"),
            repo_priority: fields.number("repo_priority"),
            storage: fields.text("storage"),
        }
        .checked(fields)
    }
}

const BOOTSTRAPS: [&str; 4] = ["default", "on", "off", "image"];
const ISOLATIONS: [&str; 3] = ["default", "simple", "nspawn"];

impl ProjectEditArguments {
    fn checked(self, fields: &mut Fields) -> Self {
        for (name, value, choices) in [
            ("bootstrap", &self.bootstrap, BOOTSTRAPS.as_slice()),
            ("isolation", &self.isolation, ISOLATIONS.as_slice()),
        ] {
            if let Some(value) = value
                && value != "unchanged"
                && !choices.contains(&value.as_str())
            {
                fields.reject(name, format!("Must be one of: {}.", choices.join(", ")));
            }
        }
        if self
            .delete_after_days
            .is_some_and(|days| !(-1..=720).contains(&days))
        {
            fields.reject("delete_after_days", "Number must be between -1 and 720.");
        }
        if self
            .repo_priority
            .is_some_and(|priority| !(1..=1_000_000).contains(&priority))
        {
            fields.reject("repo_priority", "Number must be at least 1.");
        }
        if let Some(homepage) = self.homepage.as_deref()
            && !homepage.is_empty()
            && let Some(mistake) = web_address::mistake(homepage)
        {
            fields.reject("homepage", format!("Invalid URL: {mistake}."));
        }
        for (name, repositories) in [
            ("repos", &self.repos),
            ("runtime_dependencies", &self.runtime_dependencies),
        ] {
            let all = repositories.as_deref().unwrap_or_default();
            if all.len() > MAX_REPOSITORIES {
                fields.reject(
                    name,
                    format!("At most {MAX_REPOSITORIES} repositories can be named."),
                );
            }
            for repository in all {
                if let Some(mistake) = web_address::repository_mistake(repository) {
                    fields.reject(name, format!("'{repository}' is refused: {mistake}."));
                }
            }
        }
        self
    }

    /// The settings after the change.
    pub(crate) fn apply(&self, mut settings: ProjectSettings) -> ProjectSettings {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        let choice = |value: Option<String>| value.filter(|value| value != "unchanged");
        let this = self.clone();
        set(&mut settings.description, this.description.map(Some));
        set(&mut settings.instructions, this.instructions.map(Some));
        set(
            &mut settings.homepage,
            this.homepage
                .map(|text| Some(text).filter(|text| !text.is_empty())),
        );
        set(
            &mut settings.contact,
            this.contact
                .map(|text| Some(text).filter(|text| !text.is_empty())),
        );
        set(&mut settings.additional_repos, this.repos);
        set(&mut settings.unlisted_on_hp, this.unlisted_on_hp);
        set(&mut settings.enable_net, this.enable_net);
        set(&mut settings.persistent, this.persistent);
        set(&mut settings.auto_prune, this.auto_prune);
        set(&mut settings.bootstrap, choice(this.bootstrap));
        set(&mut settings.isolation, choice(this.isolation));
        set(
            &mut settings.follow_fedora_branching,
            this.follow_fedora_branching,
        );
        set(&mut settings.devel_mode, this.devel_mode);
        set(
            &mut settings.delete_after_days,
            this.delete_after_days
                .map(|days| Some(days).filter(|days| *days >= 0)),
        );
        set(&mut settings.multilib, this.multilib);
        set(&mut settings.module_hotfixes, this.module_hotfixes);
        set(&mut settings.fedora_review, this.fedora_review);
        set(&mut settings.appstream, this.appstream);
        set(&mut settings.runtime_dependencies, this.runtime_dependencies);
        set(
            &mut settings.packit_forge_projects_allowed,
            this.packit_forge_projects_allowed,
        );
        set(&mut settings.repo_priority, this.repo_priority.map(Some));
        settings
    }
}

/// A new project: its name, and what can be said about any project.
#[derive(Debug, Object)]
#[oai(rename = "ProjectAdd")]
pub(crate) struct ProjectAddArguments {
    /// Its name: at most 100 letters, digits, `.`, `_`, `-`; it begins with a letter, a digit or `_` and is no number.
    pub(crate) name: String,
    /// The rest.
    #[oai(flatten)]
    pub(crate) rest: ProjectEditArguments,
}

impl FromFields for ProjectAddArguments {
    fn from_fields(fields: &mut Fields) -> Self {
        let name = fields.required_text("name");
        if !name.is_empty()
            && let Err(error) = name.parse::<model::ProjectName>()
        {
            fields.reject("name", format!("{error}."));
        }
        let rest = ProjectEditArguments::from_fields(fields);
        if rest.chroots.as_ref().is_none_or(Vec::is_empty) {
            fields.reject("chroots", "At least one chroot must be selected");
        }
        Self { name, rest }
    }
}

/// No arguments, or ones that do not matter.
#[derive(Debug, Object)]
#[oai(rename = "NoArguments")]
pub(crate) struct NoArguments {
    /// What Copr's clients send with a deletion; it has no meaning.
    pub(crate) verify: Option<bool>,
}

impl FromFields for NoArguments {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            verify: fields.flag("verify"),
        }
    }
}

/// A chroot of a project.
#[derive(Debug, Object)]
#[oai(rename = "ProjectChroot")]
pub(crate) struct ProjectChrootView {
    /// The chroot's name.
    pub(crate) mock_chroot: String,
    /// The project's name.
    pub(crate) projectname: String,
    /// Whose it is.
    pub(crate) ownername: String,
    /// The name of its comps file.
    pub(crate) comps_name: Option<String>,
    /// Further repositories.
    pub(crate) additional_repos: Vec<String>,
    /// Further packages in the build root.
    pub(crate) additional_packages: Vec<String>,
    /// Modules that are switched on or off.
    pub(crate) additional_modules: Vec<String>,
    /// `--with` options.
    pub(crate) with_opts: Vec<String>,
    /// `--without` options.
    pub(crate) without_opts: Vec<String>,
    /// When its results are deleted, if the chroot is at its end.
    pub(crate) delete_after_days: Option<i64>,
    /// How mock isolates.
    pub(crate) isolation: String,
}

impl ProjectChrootView {
    /// A chroot without settings of its own.
    pub(crate) fn new(project: &Project, chroot: &model::ChrootName) -> Self {
        Self {
            mock_chroot: chroot.to_string(),
            projectname: project.name.to_string(),
            ownername: project.owner.to_string(),
            comps_name: None,
            additional_repos: Vec::new(),
            additional_packages: Vec::new(),
            additional_modules: Vec::new(),
            with_opts: Vec::new(),
            without_opts: Vec::new(),
            delete_after_days: None,
            isolation: "unchanged".to_owned(),
        }
    }
}

/// How builds in a project's chroot are set up.
#[derive(Debug, Object)]
#[oai(rename = "ProjectChrootConfig")]
pub(crate) struct ProjectChrootConfigView {
    /// The chroot's name.
    pub(crate) chroot: String,
    /// The repositories that builds use beside the distribution's.
    pub(crate) repos: Vec<super::RepositoryView>,
    /// Further repositories.
    pub(crate) additional_repos: Vec<String>,
    /// Further packages in the build root.
    pub(crate) additional_packages: Vec<String>,
    /// Modules that are switched on or off.
    pub(crate) additional_modules: Vec<String>,
    /// Whether builds may use the network.
    pub(crate) enable_net: bool,
    /// `--with` options.
    pub(crate) with_opts: Vec<String>,
    /// `--without` options.
    pub(crate) without_opts: Vec<String>,
    /// How mock isolates.
    pub(crate) isolation: String,
    /// How mock makes the chroot.
    pub(crate) bootstrap: String,
}

/// One architecture of a release, for dnf 5: its options.
#[derive(Debug, Object)]
pub(crate) struct DnfArchitecture {
    /// Options of the repository, such as `priority`.
    pub(crate) opts: BTreeMap<String, String>,
}

/// A directory of the project, for dnf 5.
#[derive(Debug, Object)]
pub(crate) struct DnfDirectory {
    /// When it is deleted.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) delete_after_days: Option<i64>,
}

/// A repository that installed packages need, for dnf 5.
#[derive(Debug, Object)]
pub(crate) struct DnfDependency {
    /// `copr` or `external_baseurl`.
    #[oai(rename = "type")]
    pub(crate) kind: String,
    /// Its id and name.
    pub(crate) opts: BTreeMap<String, String>,
    /// Where it is.
    pub(crate) data: BTreeMap<String, String>,
}

/// What dnf 5 makes a `.repo` file from.
#[derive(Debug, Object)]
pub(crate) struct DnfRepositories {
    /// Where results lie.
    pub(crate) results_url: String,
    /// By `name-release`, then the word `arch`, then the architecture.
    pub(crate) repos: BTreeMap<String, BTreeMap<String, BTreeMap<String, DnfArchitecture>>>,
    /// The project's directories.
    pub(crate) directories: BTreeMap<String, DnfDirectory>,
    /// Repositories that installed packages need.
    pub(crate) dependencies: Vec<DnfDependency>,
}
