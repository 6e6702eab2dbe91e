//! The chroots of builds.

use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::BuildChroot;

use super::Chapter;
use crate::{
    http::{
        error::Answer,
        paging::{Items, Paging, Sorting, Wanted},
        parameters::{Count, Direction, Id, Of, OrderBy},
    },
    lookup::{find_build, find_build_chroot, find_project},
    repositories,
    state::ApiState,
    view::{self, BuildChrootConfigView, BuildChrootView, BuiltPackages},
};

/// What Copr says of builds that ask for no memory of their own, in MiB.
const COPRS_MEMORY_LIMIT: i64 = 2048;

pub(crate) struct BuildChrootApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Build")]
impl BuildChrootApi {
    /// Shows how a build stands in one of its chroots, and where its results are.
    #[oai(
        path = "/api_3/build-chroot",
        method = "get",
        operation_id = "get_build_chroot"
    )]
    async fn get(
        &self,
        /// The number of the build, such as 42.
        build_id: Query<Of<Id>>,
        /// The chroot's name, such as `fedora-43-x86_64`.
        chrootname: Query<String>,
    ) -> Answer<Json<BuildChrootView>> {
        let build = find_build(&self.0, build_id.number()).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        Ok(Json(BuildChrootView::new(&build, chroot, self.0.settings())))
    }

    /// Lists the chroots of a build, each with its state and its results.
    #[oai(
        path = "/api_3/build-chroot/list",
        method = "get",
        operation_id = "list_build_chroots"
    )]
    async fn list(
        &self,
        /// The number of the build, such as 42.
        build_id: Query<Of<Id>>,
        /// The most items in the answer. Larger numbers count as 10000. Without a limit the answer is the whole list; a list of
        /// more than 10000 items is then refused with status 413.
        limit: Query<Option<Of<Count>>>,
        /// How many items to leave out at the start of the list; none unless given.
        offset: Query<Option<Of<Count>>>,
        /// The field to sort by: `id`, the order of the chroots in the build, unless given.
        order: Query<Option<Of<OrderBy>>>,
        /// The direction to sort in: `ASC` unless given.
        order_type: Query<Option<Of<Direction>>>,
    ) -> Answer<Json<Items<BuildChrootView>>> {
        let wanted = Wanted {
            limit: limit.0,
            offset: offset.0,
        };
        let sorting = Sorting::read(order.0, order_type.0);
        let paging = Paging::new(wanted, sorting);
        let build = find_build(&self.0, build_id.number()).await?;
        let mut chroots: Vec<&BuildChroot> = build.chroots.iter().collect();
        if sorting.by == OrderBy::Name {
            chroots.sort_by(|left, right| left.name.cmp(&right.name));
        }
        if sorting.direction == Direction::Descending {
            chroots.reverse();
        }
        let all = chroots
            .into_iter()
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
        /// The number of the build, such as 42.
        build_id: Query<Of<Id>>,
        /// The chroot's name, such as `fedora-43-x86_64`.
        chrootname: Query<String>,
    ) -> Answer<Json<BuiltPackages>> {
        let build = find_build(&self.0, build_id.number()).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        let mut packages = view::built_packages(self.0.store().built_packages(build.id).await?);
        Ok(Json(
            packages
                .remove(chroot.name.as_str())
                .unwrap_or(BuiltPackages { packages: Vec::new() }),
        ))
    }

    /// Shows the settings of a build in one chroot.
    #[oai(
        path = "/api_3/build-chroot/build-config",
        method = "get",
        operation_id = "get_build_chroot_config"
    )]
    async fn config(
        &self,
        /// The number of the build, such as 42.
        build_id: Query<Of<Id>>,
        /// The chroot's name, such as `fedora-43-x86_64`.
        chrootname: Query<String>,
    ) -> Answer<Json<BuildChrootConfigView>> {
        let build = find_build(&self.0, build_id.number()).await?;
        let chroot = find_build_chroot(&build, &chrootname)?;
        let project = find_project(&self.0, build.owner.as_str(), build.project_name.as_str()).await?;
        let settings = &project.settings;
        let given = |own: &Option<String>, general: &str| own.clone().unwrap_or_else(|| general.to_owned());
        Ok(Json(BuildChrootConfigView {
            additional_repos: repositories::named_of_builds(&project),
            additional_packages: Vec::new(),
            with_opts: Vec::new(),
            without_opts: Vec::new(),
            enable_net: build.options.enable_net.unwrap_or(settings.enable_net),
            is_background: build.is_background,
            memory_limit: COPRS_MEMORY_LIMIT,
            timeout: i64::try_from(build.options.timeout_seconds).unwrap_or(i64::MAX),
            bootstrap: Some(given(&build.options.bootstrap, &settings.bootstrap))
                .filter(|word| word != "default"),
            isolation: Some(given(&build.options.isolation, &settings.isolation)),
            repos: repositories::of_builds(&self.0, &project, &build.directory, &chroot.name).await?,
        }))
    }
}
