//! The operations of the OpenAPI document, one file for each resource. A handler parses, asks the database
//! or one function of ours, and shows the answer through [`crate::view`].

mod attempt;
mod build;
mod build_chroot;
mod build_create;
mod event;
mod fleet;
mod general;
mod monitor;
mod package;
mod project;
mod project_chroot;
mod project_write;
mod rpmrepo;

pub(crate) use attempt::AttemptApi;
pub(crate) use build::BuildApi;
pub(crate) use build_chroot::BuildChrootApi;
pub(crate) use build_create::BuildCreateApi;
pub(crate) use event::EventApi;
pub(crate) use fleet::{FleetApi, by_state as fleet_by_state, waiting};
pub(crate) use general::GeneralApi;
pub(crate) use monitor::MonitorApi;
pub(crate) use package::PackageApi;
pub(crate) use project::ProjectApi;
pub(crate) use project_chroot::ProjectChrootApi;
pub(crate) use project_write::ProjectWriteApi;
pub(crate) use rpmrepo::RpmrepoApi;

use model::{BuildId, ChrootName};
use poem_openapi::{ApiResponse, Tags};
use store::{Build, BuildChroot, Project};

use crate::{error::ApiError, state::ApiState};

/// What every operation answers with when it fails.
pub(crate) type Answer<T> = Result<T, ApiError>;

/// The chapters of the document.
#[derive(Tags)]
pub(crate) enum Chapter {
    /// Copr's API version 3: who is calling, and what can be built for.
    General,
    /// Copr's API version 3: projects.
    Project,
    /// Copr's API version 3: builds and their chroots.
    Build,
    /// Copr's API version 3: packages and the monitor.
    Package,
    /// The farm: fleet, queue, attempts, logs and events.
    Farm,
}

/// The project of that name.
pub(crate) async fn find_project(state: &ApiState, owner: &str, name: &str) -> Answer<Project> {
    // A name that cannot be a name names nothing.
    let (Ok(owner_name), Ok(project_name)) = (owner.parse(), name.parse()) else {
        return Err(ApiError::no_project(&shown(owner), &shown(name)));
    };
    state
        .store()
        .project(&owner_name, &project_name)
        .await?
        .ok_or_else(|| ApiError::no_project(owner, name))
}

/// The build of that number.
pub(crate) async fn find_build(state: &ApiState, id: i64) -> Answer<Build> {
    state
        .store()
        .build(BuildId(id))
        .await?
        .ok_or_else(|| ApiError::no_build(id))
}

/// The chroot of that name of a build.
pub(crate) fn find_build_chroot<'a>(build: &'a Build, name: &str) -> Answer<&'a BuildChroot> {
    build
        .chroots
        .iter()
        .find(|chroot| chroot.name.as_str() == name)
        .ok_or_else(|| ApiError::NotFound(format!("Build {} has no chroot '{}'.", build.id, shown(name))))
}

/// The chroot of that name of a project.
pub(crate) fn find_project_chroot<'a>(project: &'a Project, name: &str) -> Answer<&'a ChrootName> {
    project
        .chroots
        .iter()
        .find(|chroot| chroot.as_str() == name)
        .ok_or_else(|| {
            ApiError::NotFound(format!(
                "No mock chroot '{}' in project {}/{}",
                shown(name),
                project.owner,
                project.name
            ))
        })
}

/// A hostile text as it may stand in a message.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// Keeps the compiler honest: the one error type documents itself.
const _: fn() = || {
    fn documented<T: ApiResponse>() {}
    documented::<ApiError>();
};
