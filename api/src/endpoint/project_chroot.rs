//! The chroots of projects.

use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::Chapter;
use crate::{
    http::error::Answer,
    lookup::{find_project, find_project_chroot, main_directory},
    repositories,
    state::ApiState,
    view::{ProjectChrootConfigView, ProjectChrootView},
};

pub(crate) struct ProjectChrootApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Project")]
impl ProjectChrootApi {
    /// Shows a chroot of a project, with the settings that it has for itself.
    #[oai(
        path = "/api_3/project-chroot",
        method = "get",
        operation_id = "get_project_chroot"
    )]
    async fn get(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// The chroot's name, such as `fedora-43-x86_64`.
        chrootname: Query<String>,
    ) -> Answer<Json<ProjectChrootView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let chroot = find_project_chroot(&project, &chrootname)?;
        Ok(Json(ProjectChrootView::new(&project, chroot)))
    }

    /// Shows the settings of builds in a chroot of a project.
    #[oai(
        path = "/api_3/project-chroot/build-config",
        method = "get",
        operation_id = "get_project_chroot_config"
    )]
    async fn config(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// The chroot's name, such as `fedora-43-x86_64`.
        chrootname: Query<String>,
    ) -> Answer<Json<ProjectChrootConfigView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let chroot = find_project_chroot(&project, &chrootname)?;
        let settings = &project.settings;
        Ok(Json(ProjectChrootConfigView {
            chroot: chroot.to_string(),
            repos: repositories::of_builds(&self.0, &project, &main_directory(&project)?, chroot).await?,
            additional_repos: settings.additional_repos.clone(),
            additional_packages: Vec::new(),
            additional_modules: Vec::new(),
            enable_net: settings.enable_net,
            with_opts: Vec::new(),
            without_opts: Vec::new(),
            isolation: settings.isolation.clone(),
            bootstrap: settings.bootstrap.clone(),
        }))
    }
}
