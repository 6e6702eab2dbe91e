//! Packages and their last builds.

use std::collections::BTreeMap;

use poem_openapi::{OpenApi, param::Query, payload::Json, types::Any};
use store::{LastBuilds, PackageBuilds, Project};

use super::Chapter;
use crate::{
    http::{
        error::{Answer, ApiError},
        paging::{Items, Paging, Sorting, Wanted},
        parameters::{Count, Direction, Flag, Of, OrderBy},
    },
    lookup::{find_project, shown},
    state::ApiState,
    view::{BuildView, LatestBuilds, PackageView},
};

pub(crate) struct PackageApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Package")]
impl PackageApi {
    /// Shows a package of a project, with its last builds where they are asked for.
    #[oai(path = "/api_3/package", method = "get", operation_id = "get_package")]
    async fn get(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// The name of the package, such as `hello`.
        packagename: Query<String>,
        /// Whether to show the package's last build; false unless given.
        with_latest_build: Query<Option<Of<Flag>>>,
        /// Whether to show the package's last build that succeeded; false unless given.
        with_latest_succeeded_build: Query<Option<Of<Flag>>>,
    ) -> Answer<Json<PackageView>> {
        let wanted = last_builds(with_latest_build.0, with_latest_succeeded_build.0);
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let found = match packagename.parse() {
            Ok(name) => self.0.store().package(project.id, &name, wanted).await?,
            // A name that cannot be a name names nothing.
            Err(_) => None,
        };
        match found {
            Some(package) => Ok(Json(self.shown(&project, &package))),
            None => Err(ApiError::NotFound(format!(
                "No package with name {} in copr {}",
                shown(&packagename),
                project.name
            ))),
        }
    }

    /// Lists the packages of a project.
    #[oai(path = "/api_3/package/list", method = "get", operation_id = "list_packages")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// Whether to show each package's last build; false unless given.
        with_latest_build: Query<Option<Of<Flag>>>,
        /// Whether to show each package's last build that succeeded; false unless given.
        with_latest_succeeded_build: Query<Option<Of<Flag>>>,
        /// The most items in the answer. Larger numbers count as 10000. Without a limit the answer is the whole list; a list of
        /// more than 10000 items is then refused with status 413.
        limit: Query<Option<Of<Count>>>,
        /// How many items to leave out at the start of the list; none unless given.
        offset: Query<Option<Of<Count>>>,
        /// The field to sort by: `id`, the order in which things were made, unless given.
        order: Query<Option<Of<OrderBy>>>,
        /// The direction to sort in: `ASC` unless given.
        order_type: Query<Option<Of<Direction>>>,
    ) -> Answer<Json<Items<PackageView>>> {
        let sorting = Sorting::read(order.0, order_type.0);
        let wanted = Wanted {
            limit: limit.0,
            offset: offset.0,
        };
        let paging = Paging::new(wanted, sorting);
        let builds = last_builds(with_latest_build.0, with_latest_succeeded_build.0);
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let store = self.0.store();
        let packages = paging
            .collect("packages", |page| {
                store.packages(project.id, builds, sorting.order(), page)
            })
            .await?;
        let items = packages
            .iter()
            .map(|package| self.shown(&project, package))
            .collect();
        Ok(Json(Items { items, meta: paging }))
    }
}

fn last_builds(latest: Option<Of<Flag>>, succeeded: Option<Of<Flag>>) -> LastBuilds {
    let is_set = |flag: Option<Of<Flag>>| flag.is_some_and(|Of(Flag(is_set))| is_set);
    LastBuilds {
        latest: is_set(latest),
        succeeded: is_set(succeeded),
    }
}

impl PackageApi {
    fn shown(&self, project: &Project, found: &PackageBuilds) -> PackageView {
        let show = |build: &store::Build| BuildView::new(build, self.0.settings());
        PackageView {
            id: found.package.id.0,
            name: found.package.name.to_string(),
            projectname: project.name.to_string(),
            ownername: project.owner.to_string(),
            // Packages have no settings of their own yet: they are what was built.
            source_type: "unset".to_owned(),
            source_dict: Any(BTreeMap::new()),
            auto_rebuild: false,
            builds: LatestBuilds {
                latest: found.latest.as_deref().map(show),
                latest_succeeded: found.latest_succeeded.as_deref().map(show),
            },
        }
    }
}
