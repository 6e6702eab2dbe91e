//! Builds: looking at them and deleting them.

use std::collections::{BTreeMap, BTreeSet};

use model::{BuildId, BuildState, ChrootName, DirectoryName, ProjectId, Timestamp};
use sea_orm::{ColumnTrait as _, EntityTrait as _, JoinType, QueryFilter as _, QuerySelect as _, Value};

use super::{
    build_summaries,
    build_views::{Wanted, load_one, read, statement},
    events::Entry,
    joins::package_to_attempt,
    repositories::want_publication,
    verdict::lock_build,
};
use crate::{
    Build, BuildFilter, BuildSummary, BuiltPackage, Page, ProjectKey, RepositoryKey,
    convert::Row,
    database::{Store, Tx},
    entity::{attempt, build, collected_package},
    error::{Error, Result, TxError},
};

/// That a build's project is not deleted. Not a join, by which a database might begin with the projects and sort all of their
/// builds.
const LIVE: &str = "(SELECT project.deleted_at FROM project WHERE project.id = build.project) IS NULL";

/// A page of builds: their ids are found in an index alone, so that what a page leaves out costs little.
fn page_of(filter: &BuildFilter, page: Page) -> Wanted {
    let mut values: Vec<Value> = [page.limit(), page.offset()]
        .map(|number| i64::try_from(number).unwrap_or(i64::MAX).into())
        .into();
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let project = filter.project.as_ref().map(|project| match project {
        ProjectKey::Id(ProjectId(id)) => place((*id).into()),
        ProjectKey::Name(owner, name) => format!(
            "(SELECT id FROM project WHERE owner = {} AND name = {} AND deleted_at IS NULL)",
            place(owner.as_str().into()),
            place(name.as_str().into())
        ),
    });
    let package = filter.package.as_ref().map(|name| place(name.as_str().into()));
    let condition = match (project, package) {
        // A package is of one project: asking for that, too, would only lead to a worse index.
        (Some(project), Some(name)) => {
            format!("build.package = (SELECT id FROM package WHERE project = {project} AND name = {name})")
        }
        (Some(project), None) => format!("build.project = {project}"),
        (None, Some(name)) => {
            format!("build.package IN (SELECT id FROM package WHERE name = {name}) AND {LIVE}")
        }
        (None, None) => LIVE.to_owned(),
    };
    // As a word of the statement: SQLite prepares one anew for each value that it compares with an index's condition.
    let in_state = filter
        .state
        .map(|state| format!(" AND build.state = '{}'", state.as_str()));
    let in_state = in_state.unwrap_or_default();
    let direction = if filter.oldest_first { "ASC" } else { "DESC" };
    Wanted {
        // A bare value as a limit, too, SQLite looks at when it plans, so that it would plan anew for each request.
        ids: format!(
            "SELECT build.id FROM build WHERE {condition}{in_state} ORDER BY build.id {direction}
             LIMIT CAST($1 AS BIGINT) OFFSET CAST($2 AS BIGINT)"
        ),
        values,
    }
}

impl Store {
    /// The build of that id.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn build(&self, id: BuildId) -> Result<Option<Build>> {
        let statement = statement(self.backend(), Wanted::one(id));
        let found = self.read_text(&statement).await?;
        Ok(read(found.as_deref())?.pop())
    }

    /// The builds that fit, newest first unless the filter says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn builds(&self, filter: &BuildFilter, page: Page) -> Result<Vec<BuildSummary>> {
        let statement = build_summaries::statement(self.backend(), page_of(filter, page));
        let found = self.read_text(&statement).await?;
        let mut builds = build_summaries::read(found.as_deref())?;
        if filter.oldest_first {
            builds.reverse();
        }
        Ok(builds)
    }

    /// The newest builds of all projects.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn recent_builds(&self, limit: u64) -> Result<Vec<BuildSummary>> {
        let page = Page {
            limit: Some(limit),
            offset: 0,
        };
        self.builds(&BuildFilter::default(), page).await
    }

    /// The packages that the chroots of a build made, by chroot.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn built_packages(&self, id: BuildId) -> Result<Vec<(ChrootName, Vec<BuiltPackage>)>> {
        use collected_package::Column;
        // Not the whole rows: the metadata of one package may be megabytes, and nobody asks for them here.
        let rows: Vec<(String, String, i64, String, String, String)> = self
            .read(|tx| async move {
                Ok(collected_package::Entity::find()
                    .join(JoinType::InnerJoin, package_to_attempt())
                    .filter(attempt::Column::Build.eq(id.0))
                    .select_only()
                    .column(attempt::Column::Chroot)
                    .columns([
                        Column::Name,
                        Column::Epoch,
                        Column::Version,
                        Column::Release,
                        Column::Architecture,
                    ])
                    .into_tuple()
                    .all(&*tx)
                    .await?)
            })
            .await?;
        let mut packages: BTreeMap<ChrootName, Vec<BuiltPackage>> = BTreeMap::new();
        for (chroot, name, epoch, version, release, architecture) in rows {
            let chroot = Row::new("build", &id).parse("chroot of an attempt", &chroot)?;
            packages.entry(chroot).or_default().push(BuiltPackage {
                name,
                epoch,
                version,
                release,
                architecture,
            });
        }
        for packages in packages.values_mut() {
            packages.sort();
        }
        Ok(packages.into_iter().collect())
    }

    /// Which of these builds there are; the others were deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn existing_builds(&self, ids: &[BuildId]) -> Result<BTreeSet<BuildId>> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let found = self.present::<build::Entity, _>(build::Column::Id, &ids).await?;
        Ok(found.into_iter().map(BuildId).collect())
    }

    /// Which of these digests are those of sources of builds; nothing refers to the others.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn used_sources(&self, digests: &[String]) -> Result<BTreeSet<String>> {
        self.present::<build::Entity, _>(build::Column::SourceSha256, digests)
            .await
    }

    /// Deletes builds that are over, all of them or none, in one transaction: the caller bounds their number. Their packages
    /// leave the repositories with the next publication, which is due from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] while one of them is not over, [`Error::NotFound`].
    pub async fn delete_builds(&self, ids: &BTreeSet<BuildId>, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let mut published: BTreeSet<(ProjectId, DirectoryName, ChrootName)> = BTreeSet::new();
            for id in ids {
                let build = delete_build(&tx, *id, now).await?;
                let succeeded = build
                    .chroots
                    .into_iter()
                    .filter(|chroot| chroot.state == BuildState::Succeeded);
                published
                    .extend(succeeded.map(|chroot| (build.project, build.directory.clone(), chroot.name)));
            }
            for (project, directory, chroot) in &published {
                want_publication(
                    &tx,
                    RepositoryKey {
                        project: *project,
                        directory,
                        chroot,
                    },
                    now,
                )
                .await?;
            }
            Ok(())
        })
        .await
    }
}

async fn delete_build(tx: &Tx, id: BuildId, now: Timestamp) -> Result<Build, TxError> {
    lock_build(tx, id).await?;
    let Some(build) = load_one(tx, id).await? else {
        return Err(Error::not_found(format!("build {id}")).into());
    };
    let is_over = build.state.is_final() && build.chroots.iter().all(|chroot| chroot.state.is_final());
    if !is_over {
        return Err(Error::conflict(format!("build {id} is not over")).into());
    }
    build::Entity::delete_by_id(id.0).exec(&**tx).await?;
    Entry::of_build(id, "api", "build deleted")
        .detail(serde_json::json!({"project": build.project, "package": build.package}))
        .write(tx, now);
    Ok(build)
}

pub(super) fn built_package(row: collected_package::Model) -> BuiltPackage {
    BuiltPackage {
        name: row.name,
        epoch: row.epoch,
        version: row.version,
        release: row.release,
        architecture: row.architecture,
    }
}
