//! The addresses and texts by which builds and clients find repositories.

use std::fmt::Display;

use model::{
    ChrootName, DirectoryName, OwnerName, RepositoryAddress, RepositoryPlace,
    repository_address::fill_for_dnf,
};
use repository::{
    RepoDependency, RepoFile,
    repo_file::{address_as_id, chroot_pattern, host_of, repo_file},
};
use store::Project;

use crate::{
    http::error::{ApiError, with_causes},
    state::ApiState,
    view::{RepositoryView, chroot_url},
};

/// The priority that a repository has in dnf without a word on it.
const USUAL_PRIORITY: i64 = 99;

/// The repositories that a build uses besides the distribution's: the project's own, the directory's if it is another, then
/// those that the project names.
pub(crate) async fn of_builds(
    state: &ApiState,
    project: &Project,
    directory: &DirectoryName,
    chroot: &ChrootName,
) -> Result<Vec<RepositoryView>, ApiError> {
    let own = |id: &str, name: &str, directory: &dyn Display| RepositoryView {
        id: id.to_owned(),
        name: name.to_owned(),
        baseurl: chroot_url(state.settings(), &project.owner, directory, chroot),
        priority: project
            .settings
            .repo_priority
            .filter(|priority| *priority != USUAL_PRIORITY),
        repo_gpgcheck: Some(false),
        module_hotfixes: None,
    };
    let mut base = own("copr_base", "Copr repository", &project.name);
    base.module_hotfixes = project.settings.module_hotfixes.then_some(true);
    let mut repositories = vec![base];
    if directory.as_str() != project.name.as_str() {
        repositories.push(own("copr_coprdir", "Coprdir repository", directory));
    }
    for address in &project.settings.additional_repos {
        let id = address_as_id(address);
        let of_farm = named_project(state, address).await?;
        let wins = of_farm
            .as_ref()
            .is_some_and(|other| other.settings.module_hotfixes);
        let (baseurl, priority) = expand(state, address, chroot);
        repositories.push(RepositoryView {
            name: format!("Additional repo {id}"),
            id,
            baseurl,
            priority,
            repo_gpgcheck: of_farm.is_some().then_some(false),
            module_hotfixes: wins.then_some(true),
        });
    }
    Ok(repositories)
}

/// The project of this farm that an address names, if it names one that exists.
async fn named_project(state: &ApiState, address: &str) -> Result<Option<Project>, ApiError> {
    let Ok(RepositoryAddress {
        place: RepositoryPlace::Farm { owner, directory },
        ..
    }) = RepositoryAddress::parse(address)
    else {
        return Ok(None);
    };
    match directory.main().as_str().parse() {
        Ok(name) => Ok(state.store().project(&owner, &name).await?),
        Err(_) => Ok(None),
    }
}

/// The repositories that a build may use, as people name them: the project's own first, as in Copr.
pub(crate) fn named_of_builds(project: &Project) -> Vec<String> {
    let own = format!("copr://{}/{}", project.owner, project.name);
    std::iter::once(own)
        .chain(project.settings.additional_repos.iter().cloned())
        .collect()
}

/// An address as a project names it with its variables filled in, and its priority.
fn expand(state: &ApiState, named: &str, chroot: &ChrootName) -> (String, Option<i64>) {
    match RepositoryAddress::parse(named) {
        Ok(address) => {
            let base = address.base(&state.url("/results"), chroot);
            (fill_for_dnf(&base, chroot), address.priority.map(i64::from))
        }
        // It was checked when it was stored.
        Err(_) => (named.to_owned(), None),
    }
}

/// The repositories that installed packages of a project need: those of other projects first, as in
/// Copr.
pub(crate) fn dependencies(project: &Project) -> Vec<RepoDependency> {
    let mut dependencies: Vec<RepoDependency> = project
        .settings
        .runtime_dependencies
        .iter()
        .filter_map(|named| RepoDependency::parse(named).ok())
        .collect();
    dependencies.sort_by_key(RepoDependency::is_external);
    dependencies
}

/// The `.repo` text of a project's directory for one chroot.
pub(crate) fn text(
    state: &ApiState,
    project: &Project,
    directory: &DirectoryName,
    chroot: &ChrootName,
) -> Result<String, ApiError> {
    let settings = state.settings();
    repo_file(&RepoFile {
        host: &host(state),
        owner: &project.owner,
        directory,
        results_url: &settings.url("/results"),
        chroot: &chroot_pattern(chroot),
        multilib: false,
        priority: project
            .settings
            .repo_priority
            .and_then(|priority| u32::try_from(priority).ok()),
        module_hotfixes: project.settings.module_hotfixes,
        dependencies: dependencies(project),
    })
    .map_err(|error| ApiError::Internal(with_causes(&error)))
}

/// The command that makes dnf use a project, or a directory of one. dnf takes a bare host for one that speaks HTTPS at its usual port; any other
/// farm is named by its whole address.
pub(crate) fn enable_command(state: &ApiState, owner: &OwnerName, directory: &dyn Display) -> String {
    let address = state.settings().public_url.as_str();
    let name = format!("{owner}/{directory}");
    match address.strip_prefix("https://") {
        Some(host) if !host.contains([':', '/']) => format!("dnf copr enable {host}/{name}"),
        _ => format!("dnf copr enable --hub {address} {name}"),
    }
}

/// The farm's host in the ids of its repositories.
pub(crate) fn host(state: &ApiState) -> String {
    host_of(&state.settings().public_url)
}
