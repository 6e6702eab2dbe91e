//! Finding what an address or an argument names. Operations and pages use it alike.

use model::{BuildId, ChrootName, DirectoryName};
use store::{Build, BuildChroot, Project};

use crate::{
    http::error::{Answer, ApiError},
    state::ApiState,
};

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

/// The directory of a project without a suffix.
pub(crate) fn main_directory(project: &Project) -> Answer<DirectoryName> {
    let name = project.name.as_str();
    name.parse()
        .map_err(|error| ApiError::Internal(format!("the name of a project: {error}")))
}

/// The directory of that name of a project.
pub(crate) async fn find_directory(state: &ApiState, project: &Project, name: &str) -> Answer<DirectoryName> {
    if name == project.name.as_str() {
        return main_directory(project);
    }
    let known = state.store().project_directories(project.id).await?;
    let named = name.parse::<DirectoryName>().ok();
    named
        .filter(|directory| known.contains(directory))
        .ok_or_else(|| {
            ApiError::NotFound(format!(
                "Project {}/{} has no directory '{}'.",
                project.owner,
                project.name,
                shown(name)
            ))
        })
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
