//! Packages, as far as their builds show them.

use std::collections::BTreeMap;

use model::BuildState;
use poem_openapi::{OpenApi, param::Query, payload::Json, types::Any};
use store::{Build, BuildFilter, Project};

use super::Chapter;
use crate::{
    http::{
        error::{Answer, ApiError},
        fields::read_flag,
        paging::{Items, Paging},
    },
    lookup::{find_project, shown},
    state::ApiState,
    view::{BuildView, PackageBuilds, PackageView},
};

pub(crate) struct PackageApi(pub(crate) ApiState);

/// Which builds to show with a package.
#[derive(Clone, Copy)]
struct Wanted {
    latest: bool,
    succeeded: bool,
}

impl Wanted {
    fn read(latest: Option<&str>, succeeded: Option<&str>) -> Answer<Self> {
        let flag = |name: &str, text: Option<&str>| match text {
            None => Ok(false),
            Some(text) => read_flag(text)
                .ok_or_else(|| ApiError::Invalid(format!("{name}: '{}' is not a boolean.", shown(text)))),
        };
        Ok(Self {
            latest: flag("with_latest_build", latest)?,
            succeeded: flag("with_latest_succeeded_build", succeeded)?,
        })
    }
}

#[OpenApi(tag = "Chapter::Package")]
impl PackageApi {
    /// Shows a package.
    #[oai(path = "/api_3/package", method = "get", operation_id = "get_package")]
    async fn get(
        &self,
        /// Whose project.
        ownername: Query<String>,
        /// Which project.
        projectname: Query<String>,
        /// Which package.
        packagename: Query<String>,
        /// Show its last build.
        with_latest_build: Query<Option<String>>,
        /// Show its last build that succeeded.
        with_latest_succeeded_build: Query<Option<String>>,
    ) -> Answer<Json<PackageView>> {
        let wanted = Wanted::read(
            with_latest_build.0.as_deref(),
            with_latest_succeeded_build.0.as_deref(),
        )?;
        let project = find_project(&self.0, &ownername, &projectname).await?;
        self.packages(&project, wanted)
            .await?
            .into_iter()
            .find(|package| package.name == packagename.0)
            .map(Json)
            .ok_or_else(|| {
                ApiError::NotFound(format!(
                    "No package with name {} in copr {}/{}",
                    shown(&packagename),
                    project.owner,
                    project.name
                ))
            })
    }

    /// Lists the packages of a project, by name.
    #[oai(path = "/api_3/package/list", method = "get", operation_id = "list_packages")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        /// Whose project.
        ownername: Query<String>,
        /// Which project.
        projectname: Query<String>,
        /// Show their last builds.
        with_latest_build: Query<Option<String>>,
        /// Show their last builds that succeeded.
        with_latest_succeeded_build: Query<Option<String>>,
        /// At most so many.
        limit: Query<Option<i64>>,
        /// Leaving out so many.
        offset: Query<Option<i64>>,
    ) -> Answer<Json<Items<PackageView>>> {
        let paging = Paging::read(limit.0, offset.0, None, None)?;
        let wanted = Wanted::read(
            with_latest_build.0.as_deref(),
            with_latest_succeeded_build.0.as_deref(),
        )?;
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let packages = self.packages(&project, wanted).await?;
        Ok(Json(Items {
            items: paging.slice(packages),
            meta: paging,
        }))
    }
}

impl PackageApi {
    async fn packages(&self, project: &Project, wanted: Wanted) -> Answer<Vec<PackageView>> {
        let filter = BuildFilter {
            project: Some(project.id),
            ..BuildFilter::default()
        };
        let builds = Paging::read(None, None, None, None)?
            .builds(self.0.store(), &filter)
            .await?;
        let mut by_name: BTreeMap<String, Vec<&Build>> = BTreeMap::new();
        for build in &builds {
            if let Some(package) = &build.package {
                by_name.entry(package.to_string()).or_default().push(build);
            }
        }
        let show = |build: Option<&&Build>| build.map(|build| BuildView::new(build, self.0.settings()));
        let mut packages: Vec<PackageView> = by_name
            .into_iter()
            .map(|(name, builds)| PackageView {
                // Packages have no settings of their own yet; the first build gives a number that stays.
                id: builds.iter().map(|build| build.id.0).min().unwrap_or(0),
                name,
                projectname: project.name.to_string(),
                ownername: project.owner.to_string(),
                source_type: "unset".to_owned(),
                source_dict: Any(BTreeMap::new()),
                auto_rebuild: false,
                builds: PackageBuilds {
                    latest: show(builds.first().filter(|_| wanted.latest)),
                    latest_succeeded: show(
                        builds
                            .iter()
                            .find(|build| build.state == BuildState::Succeeded)
                            .filter(|_| wanted.succeeded),
                    ),
                },
            })
            .collect();
        packages.sort_by_key(|package| package.id);
        Ok(packages)
    }
}
