//! The addresses and texts by which builds and clients find repositories.

use std::fmt::Display;

use model::{ChrootName, DirectoryName, RepositoryAddress, repository_address::fill_for_dnf};
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

/// The repositories that a build uses beside the distribution's: the project's own, then those it names.
pub(crate) fn of_builds(
    state: &ApiState,
    project: &Project,
    directory: &dyn Display,
    chroot: &ChrootName,
) -> Vec<RepositoryView> {
    let settings = state.settings();
    let hotfixes = project.settings.module_hotfixes.then_some(true);
    let mut repositories = vec![RepositoryView {
        id: "copr_base".to_owned(),
        name: "Copr repository".to_owned(),
        baseurl: chroot_url(settings, &project.owner, directory, chroot),
        priority: project.settings.repo_priority,
        module_hotfixes: hotfixes,
    }];
    repositories.extend(project.settings.additional_repos.iter().map(|address| {
        let id = address_as_id(address);
        let (baseurl, priority) = expand(state, address, chroot);
        RepositoryView {
            name: format!("Additional repo {id}"),
            id,
            baseurl,
            priority,
            module_hotfixes: None,
        }
    }));
    repositories
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

/// The command that makes dnf use a project. dnf takes a bare host for one that speaks HTTPS at its usual port; any other
/// farm is named by its whole address.
pub(crate) fn enable_command(state: &ApiState, project: &Project) -> String {
    let address = state.settings().public_url.as_str();
    let name = format!("{}/{}", project.owner, project.name);
    match address.strip_prefix("https://") {
        Some(host) if !host.contains([':', '/']) => format!("dnf copr enable {host}/{name}"),
        _ => format!("dnf copr enable --hub {address} {name}"),
    }
}

/// The farm's host in the ids of its repositories.
pub(crate) fn host(state: &ApiState) -> String {
    host_of(&state.settings().public_url)
}
