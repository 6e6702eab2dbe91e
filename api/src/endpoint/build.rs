//! Reading, cancelling and deleting builds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use model::{BuildId, InvalidName};
use poem_openapi::{OpenApi, param::Path, param::Query, payload::Json};
use store::{Build, BuildFilter, ProjectKey};

use super::Chapter;
use crate::{
    caller::Caller,
    files::removal,
    http::{
        arguments::Arguments,
        error::{Answer, ApiError},
        paging::{Items, Paging, Sorting, Wanted},
        parameters::{Count, Direction, Of, OrderBy, OrderById, State},
        written::Written,
    },
    lookup::{find_build, find_project, shown},
    state::ApiState,
    view::{self, BuildIds, BuildView, BuiltPackages, SourceChrootView},
};

/// How long deleting waits for builders to end what was cancelled just before, and how often it looks.
const END_TIMEOUT: Duration = Duration::from_secs(15);
const END_POLL: Duration = Duration::from_millis(100);

pub(crate) struct BuildApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Build")]
impl BuildApi {
    /// Shows a build, with its state and its chroots.
    #[oai(path = "/api_3/build/:build_id", method = "get", operation_id = "get_build")]
    async fn get(
        &self,
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Written<BuildView>> {
        let build = find_build(&self.0, build_id.0).await?;
        Ok(Written(BuildView::new(&build, self.0.settings())))
    }

    /// Lists the builds of a project.
    #[oai(path = "/api_3/build/list", method = "get", operation_id = "list_builds")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// List only the builds of the package with this name; those of all packages unless given.
        packagename: Query<Option<String>>,
        /// List only the builds in this state; those in all states unless given.
        status: Query<Option<Of<State>>>,
        /// The most items in the answer. Larger numbers count as 10000. Without a limit the answer is the whole list; a list of
        /// more than 10000 items is then refused with status 413.
        limit: Query<Option<Of<Count>>>,
        /// How many items to leave out at the start of the list; none unless given.
        offset: Query<Option<Of<Count>>>,
        /// The field to sort by: the build's number, which is all that there is.
        order: Query<Option<Of<OrderById>>>,
        /// The direction to sort in: `DESC`, the newest build first, unless given.
        order_type: Query<Option<Of<Direction>>>,
    ) -> Answer<Written<Items<BuildView>>> {
        let _by_number: Option<Of<OrderById>> = order.0;
        let direction = order_type
            .0
            .map_or(Direction::Descending, |Of(direction)| direction);
        let sorting = Sorting {
            by: OrderBy::Id,
            direction,
        };
        let wanted = Wanted {
            limit: limit.0,
            offset: offset.0,
        };
        let paging = Paging::new(wanted, sorting);
        let (Ok(owner), Ok(project)) = (ownername.parse(), projectname.parse()) else {
            return Err(ApiError::no_project(&shown(&ownername), &shown(&projectname)));
        };
        let package = packagename.0.as_deref().filter(|name| !name.is_empty());
        let package = package
            .map(str::parse)
            .transpose()
            .map_err(|error: InvalidName| ApiError::Invalid(format!("packagename: {error}.")))?;
        let filter = BuildFilter {
            project: Some(ProjectKey::Name(owner, project)),
            package,
            state: status.0.map(|Of(State(state))| state),
            oldest_first: direction == Direction::Ascending,
        };
        let store = self.0.store();
        let builds = paging
            .collect("builds", |page| store.builds(&filter, page))
            .await?;
        if builds.is_empty() {
            // Asked for by the project's names, a list costs one statement; only an empty one has to be told from none.
            find_project(&self.0, &ownername, &projectname).await?;
        }
        let builds = builds.into_iter();
        let items = builds
            .map(|build| BuildView::of(build, self.0.settings()))
            .collect();
        Ok(Written(Items { items, meta: paging }))
    }

    /// Shows the source package of a build.
    #[oai(
        path = "/api_3/build/source-chroot/:build_id",
        method = "get",
        operation_id = "get_source_chroot"
    )]
    async fn source_chroot(
        &self,
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Json<SourceChrootView>> {
        let build = find_build(&self.0, build_id.0).await?;
        Ok(Json(SourceChrootView {
            state: build.source_state.to_string(),
            result_url: Some(
                self.0
                    .url(view::source_path(&build.owner, &build.directory, build.id)),
            ),
        }))
    }

    /// Lists the packages that a build made, by chroot.
    #[oai(
        path = "/api_3/build/built-packages/:build_id",
        method = "get",
        operation_id = "get_built_packages"
    )]
    async fn built_packages(
        &self,
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Json<BTreeMap<String, BuiltPackages>>> {
        let build = find_build(&self.0, build_id.0).await?;
        let packages = self.0.store().built_packages(build.id).await?;
        Ok(Json(view::built_packages(packages)))
    }

    /// Cancels a build. A chroot whose packages are being published already still succeeds.
    #[oai(
        path = "/api_3/build/cancel/:build_id",
        method = "put",
        operation_id = "cancel_build"
    )]
    async fn cancel(
        &self,
        caller: Caller,
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Written<BuildView>> {
        let build = find_build(&self.0, build_id.0).await?;
        self.check_may_change(&caller, &build).await?;
        let actor = format!("user:{}", caller.name());
        match self.0.store().cancel_build(build.id, &actor, self.0.now()).await {
            Ok(_) => {}
            Err(store::Error::Conflict { .. }) => {
                return Err(ApiError::Conflict(format!(
                    "Cannot cancel build {}: it has already ended.",
                    build.id
                )));
            }
            Err(error) => return Err(error.into()),
        }
        let build = find_build(&self.0, build_id.0).await?;
        Ok(Written(BuildView::new(&build, self.0.settings())))
    }

    /// Deletes a build that has ended, with its results; its packages leave the repository.
    #[oai(
        path = "/api_3/build/delete/:build_id",
        method = "delete",
        operation_id = "delete_build"
    )]
    async fn delete(
        &self,
        caller: Caller,
        /// The number of the build, such as 42.
        build_id: Path<i64>,
    ) -> Answer<Written<BuildView>> {
        let build = find_build(&self.0, build_id.0).await?;
        self.check_may_change(&caller, &build).await?;
        let shown = BuildView::new(&build, self.0.settings());
        self.await_end(&build, Instant::now()).await?;
        self.remove(&[build]).await?;
        Ok(Written(shown))
    }

    /// Deletes several builds that have ended: all of them, or none when one of them cannot be deleted.
    #[oai(
        path = "/api_3/build/delete/list",
        method = "delete",
        operation_id = "delete_builds"
    )]
    async fn delete_list(&self, caller: Caller, arguments: Arguments<BuildIds>) -> Answer<Json<BuildIds>> {
        let wanted = arguments.check()?;
        let mut builds = Vec::new();
        let mut mistakes = Vec::new();
        // Also of an id that is named twice.
        for id in wanted.builds.iter().collect::<BTreeSet<_>>() {
            match self.0.store().build(BuildId(*id)).await? {
                None => mistakes.push(format!("Build {id} does not exist.")),
                Some(build) if !build.state.is_final() => {
                    mistakes.push(format!("Build {id} has not ended: cancel it first."));
                }
                Some(build) => builds.push(build),
            }
        }
        for build in &builds {
            self.check_may_change(&caller, build).await?;
        }
        if !mistakes.is_empty() {
            return Err(ApiError::Invalid(mistakes.join("\n")));
        }
        let begun = Instant::now();
        for build in &builds {
            self.await_end(build, begun).await?;
        }
        self.remove(&builds).await?;
        Ok(Json(wanted))
    }
}

impl BuildApi {
    async fn check_may_change(&self, caller: &Caller, build: &Build) -> Answer<()> {
        if caller.may_act_for(&build.owner) || build.submitter.as_ref() == Some(caller.name()) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!(
            "User {} is not allowed to change builds in the copr: {}/{}",
            caller.name(),
            build.owner,
            build.project_name
        )))
    }

    /// Waits until nothing of a build goes on any more, until so long after `begun`. One that is cancelled says so at once,
    /// but its builders are told only then.
    async fn await_end(&self, build: &Build, begun: Instant) -> Answer<()> {
        loop {
            let Some(now) = self.0.store().build(build.id).await? else {
                return Ok(());
            };
            if !now.state.is_final() {
                return Err(not_over(build));
            }
            if now.chroots.iter().all(|chroot| chroot.state.is_final()) {
                return Ok(());
            }
            if begun.elapsed() > END_TIMEOUT || self.0.shutdown().is_cancelled() {
                return Err(ApiError::Invalid(format!(
                    "Build {} is cancelled, but its builder has not ended it yet: try again in a moment.",
                    build.id
                )));
            }
            tokio::time::sleep(END_POLL).await;
        }
    }

    /// Deletes all of them or none.
    async fn remove(&self, builds: &[Build]) -> Answer<()> {
        let mut made = Vec::new();
        for build in builds {
            made.push(self.0.store().built_packages(build.id).await?);
        }
        let ids: BTreeSet<BuildId> = builds.iter().map(|build| build.id).collect();
        match self.0.store().delete_builds(&ids, self.0.now()).await {
            Ok(()) => {}
            // It has begun anew meanwhile, or somebody else has deleted it.
            Err(error @ (store::Error::Conflict { .. } | store::Error::NotFound { .. })) => {
                return Err(ApiError::Invalid(format!(
                    "{} Nothing was deleted.",
                    ApiError::from(error)
                )));
            }
            Err(error) => return Err(error.into()),
        }
        for (build, packages) in builds.iter().zip(&made) {
            removal::remove_packageless_results(&self.0, build, packages).await;
        }
        Ok(())
    }
}

fn not_over(build: &Build) -> ApiError {
    ApiError::Invalid(format!("Build {} has not ended: cancel it first.", build.id))
}
