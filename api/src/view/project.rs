//! Projects and their chroots.

use poem_openapi::Object;
use serde::Serialize;
use store::{Project, ProjectSettings};

use crate::{
    http::{arguments::FromFields, fields::Fields, web_address},
    settings::ApiSettings,
    view::{BOOTSTRAPS, ISOLATIONS, addresses::Addresses, chroot_url},
};

/// How many repositories a project may name in a list: far fewer than a builder takes for one build.
const MAX_REPOSITORIES: usize = 100;
/// How many characters a text of a project has at most: lists show it of many.
const MAX_TEXT: usize = 16384;

/// The version of Copr's API that is spoken.
#[derive(Debug, Object)]
#[oai(rename = "Version")]
pub(crate) struct VersionView {
    /// The version: 3.
    pub(crate) version: i64,
}

/// The user who asks.
#[derive(Debug, Object)]
#[oai(rename = "Identity")]
pub(crate) struct IdentityView {
    /// The user's number, unique on the farm.
    pub(crate) id: i64,
    /// The user's name, which is also the owner's name of the user's own projects.
    pub(crate) name: String,
}

/// A new API token. The one before it is no longer valid.
#[derive(Debug, Object)]
#[oai(rename = "Token")]
pub(crate) struct TokenView {
    /// The user name of HTTP's Basic authentication.
    pub(crate) api_login: String,
    /// The password of HTTP's Basic authentication. It is not shown again.
    pub(crate) api_token: String,
    /// The last day on which the token is valid, in UTC, as `YYYY-MM-DD`.
    pub(crate) expiration: String,
}

/// A project: its chroots, its settings, and where its repositories are.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Project")]
pub(crate) struct ProjectView {
    /// The repositories that builds may use besides their chroot's, as the owner wrote them.
    pub(crate) additional_repos: Vec<String>,
    /// Whether Copr makes AppStream metadata. It is stored only: this farm does not act on it.
    pub(crate) appstream: bool,
    /// Whether Copr removes its old builds. It is stored only: this farm does not act on it.
    pub(crate) auto_prune: bool,
    /// How mock is asked to make the chroot, such as `default`. It is stored only: this farm does not act on it.
    pub(crate) bootstrap: String,
    /// The address of the repository for each chroot, by the chroot's name.
    pub(crate) chroot_repos: Addresses,
    /// How to reach the people who maintain it, such as a mail address; null if they do not say.
    pub(crate) contact: Option<String>,
    /// What the project is for; empty unless given.
    pub(crate) description: String,
    /// Copr's setting for projects that publish only on demand. It is stored; this farm always publishes.
    pub(crate) devel_mode: bool,
    /// Whether the programs of builds reach the network.
    pub(crate) enable_net: bool,
    /// Whether Copr adds the chroot of each new Fedora release. It is stored only: this farm does not act on it.
    pub(crate) follow_fedora_branching: bool,
    /// The owner's name, a slash and the project's name, such as `alice/demo`.
    pub(crate) full_name: String,
    /// The address of a page about the project; null if it has none.
    pub(crate) homepage: Option<String>,
    /// The project's number, which no other project ever has.
    pub(crate) id: i64,
    /// How to use the project; empty unless given.
    pub(crate) instructions: String,
    /// How mock isolates a build from its machine: `default`, `simple` or `nspawn`.
    pub(crate) isolation: String,
    /// Whether its packages may replace those of a module, for dnf.
    pub(crate) module_hotfixes: bool,
    /// The project's name, such as `demo`; unique to its owner.
    pub(crate) name: String,
    /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
    pub(crate) ownername: String,
    /// The projects on other forges that may build here through Packit. It is stored only: this farm does not act on it.
    pub(crate) packit_forge_projects_allowed: Vec<String>,
    /// Whether only operators may delete the project.
    pub(crate) persistent: bool,
    /// The repository's priority in dnf's configuration: 1 is the strongest. Null for dnf's own default, 99.
    pub(crate) repo_priority: Option<i64>,
    /// Where results are stored: always `backend`.
    pub(crate) storage: String,
    /// Whether Copr's front page leaves it out. It is stored only: this farm does not act on it.
    pub(crate) unlisted_on_hp: bool,
}

impl ProjectView {
    /// From the database's view.
    pub(crate) fn new(project: &Project, settings: &ApiSettings) -> Self {
        let own: ProjectSettings = project.settings.clone();
        let repository = |chroot: &model::ChrootName| {
            let address = chroot_url(settings, &project.owner, &project.name, chroot);
            (chroot.to_string(), address)
        };
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
            chroot_repos: Addresses(project.chroots.iter().map(repository).collect()),
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

/// The settings of a project. A setting that is left out or null stays as it is.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename = "ProjectEdit")]
pub(crate) struct ProjectEditArguments {
    /// The names of all of its chroots, such as `fedora-43-x86_64`. A new project needs at least one; an edit may name the same
    /// ones only, in any order.
    pub(crate) chroots: Option<Vec<String>>,
    /// What the project is for, in at most 16384 characters.
    #[oai(validator(max_length = 16384))]
    pub(crate) description: Option<String>,
    /// How to use the project, in at most 16384 characters.
    #[oai(validator(max_length = 16384))]
    pub(crate) instructions: Option<String>,
    /// The address of a page about the project, with http or https. An empty text takes it away.
    pub(crate) homepage: Option<String>,
    /// How to reach the people who maintain it, such as a mail address. An empty text takes it away.
    pub(crate) contact: Option<String>,
    /// All repositories that builds may use besides their chroot's, at most 100: addresses with http or https, such as
    /// `https://example.org/$releasever/$basearch/?priority=5`, or `copr://OWNER/PROJECT`. The name `additional_repos` is
    /// understood as well.
    #[oai(validator(max_items = 100))]
    pub(crate) repos: Option<Vec<String>>,
    /// Whether Copr's front page leaves it out. It is stored only: this farm does not act on it.
    pub(crate) unlisted_on_hp: Option<bool>,
    /// Whether the programs of builds reach the network.
    pub(crate) enable_net: Option<bool>,
    /// Whether only operators may delete the project. Only operators may change this.
    pub(crate) persistent: Option<bool>,
    /// Whether Copr removes its old builds. It is stored only: this farm does not act on it. Only operators may change it.
    pub(crate) auto_prune: Option<bool>,
    /// How mock is asked to make the chroot; `unchanged` leaves it as it is. It is stored only: this farm does not act on it.
    pub(crate) bootstrap: Option<String>,
    /// How mock isolates a build from its machine; `unchanged` leaves it as it is.
    pub(crate) isolation: Option<String>,
    /// Whether Copr adds the chroot of each new Fedora release. It is stored only: this farm does not act on it.
    pub(crate) follow_fedora_branching: Option<bool>,
    /// Copr's setting for projects that publish only on demand. It is stored; this farm always publishes.
    pub(crate) devel_mode: Option<bool>,
    /// In how many days Copr deletes the project: from 0 to 720; -1 for never. It is stored only: this farm does not act on it.
    #[oai(validator(minimum(value = "-1"), maximum(value = "720")))]
    pub(crate) delete_after_days: Option<i64>,
    /// Whether Copr's `.repo` files offer the second architecture of a multilib system. It is stored only: this farm does not
    /// act on it.
    pub(crate) multilib: Option<bool>,
    /// Whether its packages may replace those of a module, for dnf.
    pub(crate) module_hotfixes: Option<bool>,
    /// Whether Copr has fedora-review look at its builds. It is stored only: this farm does not act on it.
    pub(crate) fedora_review: Option<bool>,
    /// Whether Copr makes AppStream metadata. It is stored only: this farm does not act on it.
    pub(crate) appstream: Option<bool>,
    /// All repositories that people need who install its packages, at most 100: addresses with http or https, or
    /// `copr://OWNER/PROJECT`. They stand in the project's `.repo` files.
    #[oai(validator(max_items = 100))]
    pub(crate) runtime_dependencies: Option<Vec<String>>,
    /// The projects on other forges that may build here through Packit, such as `github.com/OWNER/PROJECT`. It is stored only:
    /// this farm does not act on it.
    pub(crate) packit_forge_projects_allowed: Option<Vec<String>>,
    /// The repository's priority in dnf's configuration, from 1, the strongest, to 1000000; dnf's own default is 99.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub(crate) repo_priority: Option<i64>,
    /// Where results are stored. Only operators may give it, and only as `backend`.
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

impl ProjectEditArguments {
    fn checked(self, fields: &mut Fields) -> Self {
        for (name, value, choices) in [
            ("bootstrap", &self.bootstrap, BOOTSTRAPS.as_slice()),
            ("isolation", &self.isolation, ISOLATIONS.as_slice()),
        ] {
            if let Some(value) = value
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
            fields.reject("repo_priority", "Number must be between 1 and 1000000.");
        }
        if let Some(homepage) = self.homepage.as_deref()
            && !homepage.is_empty()
            && let Some(mistake) = web_address::mistake(homepage)
        {
            fields.reject("homepage", format!("Invalid URL: {mistake}."));
        }
        for (name, text) in [
            ("description", &self.description),
            ("instructions", &self.instructions),
            ("contact", &self.contact),
        ] {
            let is_long = text
                .as_deref()
                .is_some_and(|text| text.chars().count() > MAX_TEXT);
            if is_long {
                fields.reject(
                    name,
                    format!("Field cannot be longer than {MAX_TEXT} characters."),
                );
            }
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

/// A new project: its name and its settings.
#[derive(Debug, Object)]
#[oai(rename = "ProjectAdd")]
pub(crate) struct ProjectAddArguments {
    /// The project's name: at most 100 letters, digits, `.`, `_` and `-`. It begins with a letter, a digit or `_`, and is not
    /// only digits.
    pub(crate) name: String,
    /// Its settings.
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

/// The arguments of an operation that needs none.
#[derive(Debug, Object)]
#[oai(rename = "NoArguments")]
pub(crate) struct NoArguments {
    /// Copr's clients send it with a deletion. It changes nothing.
    pub(crate) verify: Option<bool>,
}

impl FromFields for NoArguments {
    fn from_fields(fields: &mut Fields) -> Self {
        Self {
            verify: fields.flag("verify"),
        }
    }
}

/// A chroot of a project, with the settings that it has for itself. This farm has none yet: the lists are empty.
#[derive(Debug, Object)]
#[oai(rename = "ProjectChroot")]
pub(crate) struct ProjectChrootView {
    /// The name of the chroot, such as `fedora-43-x86_64`.
    pub(crate) mock_chroot: String,
    /// The name of the project, such as `demo`.
    pub(crate) projectname: String,
    /// The name of the project's owner.
    pub(crate) ownername: String,
    /// The name of the chroot's comps file, in which dnf finds groups of packages; null if it has none.
    pub(crate) comps_name: Option<String>,
    /// Repositories that builds in this chroot may use besides the chroot's and the project's.
    pub(crate) additional_repos: Vec<String>,
    /// Names of packages that are installed in the chroot besides the usual ones.
    pub(crate) additional_packages: Vec<String>,
    /// Modules that are enabled in the chroot, or disabled, with `!` before the name.
    pub(crate) additional_modules: Vec<String>,
    /// What is given to rpmbuild as `--with`, one entry for each.
    pub(crate) with_opts: Vec<String>,
    /// What is given to rpmbuild as `--without`, one entry for each.
    pub(crate) without_opts: Vec<String>,
    /// In how many days the chroot's results are deleted; null if they are not.
    pub(crate) delete_after_days: Option<i64>,
    /// How mock isolates a build from its machine. Always `unchanged`: as the project says.
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

/// The settings of builds in a chroot of a project.
#[derive(Debug, Object)]
#[oai(rename = "ProjectChrootConfig")]
pub(crate) struct ProjectChrootConfigView {
    /// The name of the chroot, such as `fedora-43-x86_64`.
    pub(crate) chroot: String,
    /// The repositories that builds use besides the chroot's, with their addresses filled in. The project's own comes first.
    pub(crate) repos: Vec<super::RepositoryView>,
    /// The same repositories without the project's own, as the owner wrote them.
    pub(crate) additional_repos: Vec<String>,
    /// Names of packages that are installed in the chroot besides the usual ones.
    pub(crate) additional_packages: Vec<String>,
    /// Modules that are enabled in the chroot, or disabled, with `!` before the name.
    pub(crate) additional_modules: Vec<String>,
    /// Whether the programs of builds reach the network.
    pub(crate) enable_net: bool,
    /// What is given to rpmbuild as `--with`, one entry for each.
    pub(crate) with_opts: Vec<String>,
    /// What is given to rpmbuild as `--without`, one entry for each.
    pub(crate) without_opts: Vec<String>,
    /// How mock isolates a build from its machine: `default`, `simple` or `nspawn`.
    pub(crate) isolation: String,
    /// How mock is asked to make the chroot, such as `default`. It is stored only: this farm does not act on it.
    pub(crate) bootstrap: String,
}
