//! The chroots of builds.

use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::Chapter;
use crate::{
    http::{
        error::Answer,
        paging::{Items, Paging},
    },
    lookup::{find_build, find_build_chroot, find_project},
    repositories,
    state::ApiState,
    view::{self, BuildChrootConfigView, BuildChrootView, BuiltPackages},
};

pub(crate) struct BuildChrootApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Build")]
impl BuildChrootApi {
    /// Shows a chroot of a build.
    #[oai(
        path = "/api_3/build-chroot",
        method = "get",
        operation_id = "get_build_chroot"
    )]
    async fn get(
        &self,
        /// The build's number.
        build_id: Query<i64>,
        /// The chroot.
        chrootname: Query<String>,
    ) -> Answer<Json<BuildChrootView>> {
        let build = find_build(&self.0, build_id.0).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        Ok(Json(BuildChrootView::new(&build, chroot, self.0.settings())))
    }

    /// Lists the chroots of a build.
    #[oai(
        path = "/api_3/build-chroot/list",
        method = "get",
        operation_id = "list_build_chroots"
    )]
    async fn list(
        &self,
        /// The build's number.
        build_id: Query<i64>,
        /// At most so many.
        limit: Query<Option<i64>>,
        /// Leaving out so many.
        offset: Query<Option<i64>>,
    ) -> Answer<Json<Items<BuildChrootView>>> {
        let paging = Paging::read(limit.0, offset.0, None, None)?;
        let build = find_build(&self.0, build_id.0).await?;
        let all = build
            .chroots
            .iter()
            .map(|chroot| BuildChrootView::new(&build, chroot, self.0.settings()))
            .collect();
        Ok(Json(Items {
            items: paging.slice(all),
            meta: paging,
        }))
    }

    /// Lists the packages that a build made in one chroot.
    #[oai(
        path = "/api_3/build-chroot/built-packages",
        method = "get",
        operation_id = "get_chroot_built_packages"
    )]
    async fn built_packages(
        &self,
        /// The build's number.
        build_id: Query<i64>,
        /// The chroot.
        chrootname: Query<String>,
    ) -> Answer<Json<BuiltPackages>> {
        let build = find_build(&self.0, build_id.0).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        let mut packages = view::built_packages(self.0.store().built_packages(build.id).await?);
        Ok(Json(
            packages
                .remove(chroot.name.as_str())
                .unwrap_or(BuiltPackages { packages: Vec::new() }),
        ))
    }

    /// Shows how a chroot of a build is set up.
    #[oai(
        path = "/api_3/build-chroot/build-config",
        method = "get",
        operation_id = "get_build_chroot_config"
    )]
    async fn config(
        &self,
        /// The build's number.
        build_id: Query<i64>,
        /// The chroot.
        chrootname: Query<String>,
    ) -> Answer<Json<BuildChrootConfigView>> {
        let build = find_build(&self.0, build_id.0).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        let project = find_project(&self.0, build.owner.as_str(), build.project_name.as_str()).await?;
        let settings = &project.settings;
        let given =
            |own: &Option<String>, general: &str| Some(own.clone().unwrap_or_else(|| general.to_owned()));
        Ok(Json(BuildChrootConfigView {
            additional_repos: settings.additional_repos.clone(),
            additional_packages: Vec::new(),
            with_opts: Vec::new(),
            without_opts: Vec::new(),
            enable_net: build.options.enable_net.unwrap_or(settings.enable_net),
            is_background: build.is_background,
            memory_limit: None,
            timeout: i64::try_from(build.options.timeout_seconds).unwrap_or(i64::MAX),
            bootstrap: given(&build.options.bootstrap, &settings.bootstrap),
            isolation: given(&build.options.isolation, &settings.isolation),
            repos: repositories::of_builds(&self.0, &project, &build.directory, &chroot.name),
        }))
    }
}
