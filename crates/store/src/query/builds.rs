//! Builds: looking at them and deleting them.

use std::collections::{BTreeMap, BTreeSet};

use model::{BuildId, BuildState, ChrootName, DirectoryName, PackageName, ProjectId, Timestamp};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, JoinType, Order, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::Expr,
};

use super::{
    build_views::{load, load_one},
    events::Entry,
    joins::{build_to_package, package_to_attempt},
    repositories::want_publication,
    verdict::lock_build,
};
use crate::{
    Build, BuildFilter, BuiltPackage, Page,
    convert::Row,
    database::{Store, Tx},
    entity::{attempt, build, collected_package, package},
    error::{Error, Failure, Result},
};

/// The ids of a page of builds: from an index alone, so that what a page leaves out costs little.
async fn ids(tx: &Tx, filter: &BuildFilter, page: Page) -> Result<Vec<i64>, Failure> {
    let order = if filter.oldest_first {
        Order::Asc
    } else {
        Order::Desc
    };
    let mut query = build::Entity::find()
        .select_only()
        .column(build::Column::Id)
        .order_by(build::Column::Id, order)
        .limit(page.limit())
        .offset(page.offset());
    match (filter.project, &filter.package) {
        // A package is of one project: asking for that, too, would only lead to a worse index.
        (Some(project), Some(name)) => match package_named(tx, project, name).await? {
            Some(id) => query = query.filter(build::Column::Package.eq(id)),
            None => return Ok(Vec::new()),
        },
        (Some(ProjectId(id)), None) => query = query.filter(build::Column::Project.eq(id)),
        (None, name) => {
            // Not a join, by which a database might begin with the projects and sort all of their builds.
            query = query.filter(Expr::cust(
                "(SELECT project.deleted_at FROM project WHERE project.id = build.project) IS NULL",
            ));
            if let Some(name) = name {
                query = query
                    .join(JoinType::InnerJoin, build_to_package())
                    .filter(package::Column::Name.eq(name.as_str()));
            }
        }
    }
    if let Some(state) = filter.state {
        query = query.filter(build::Column::State.eq(state.as_str()));
    }
    Ok(query.into_tuple().all(&**tx).await?)
}

async fn package_named(tx: &Tx, project: ProjectId, name: &PackageName) -> Result<Option<i64>, Failure> {
    Ok(package::Entity::find()
        .filter(package::Column::Project.eq(project.0))
        .filter(package::Column::Name.eq(name.as_str()))
        .one(&**tx)
        .await?
        .map(|row| row.id))
}

impl Store {
    /// The build of that id.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn build(&self, id: BuildId) -> Result<Option<Build>> {
        self.read(|tx| async move { load_one(&tx, id).await }).await
    }

    /// The builds that fit, newest first unless the filter says otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn builds(&self, filter: &BuildFilter, page: Page) -> Result<Vec<Build>> {
        self.read(|tx| async move {
            let ids = ids(&tx, filter, page).await?;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let mut builds = load(&tx, |query| query.filter(build::Column::Id.is_in(ids))).await?;
            if filter.oldest_first {
                builds.reverse();
            }
            Ok(builds)
        })
        .await
    }

    /// The newest builds of all projects.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn recent_builds(&self, limit: u64) -> Result<Vec<Build>> {
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
        let rows = self
            .read(|tx| async move {
                Ok(collected_package::Entity::find()
                    .join(JoinType::InnerJoin, package_to_attempt())
                    .filter(attempt::Column::Build.eq(id.0))
                    .select_also(attempt::Entity)
                    .order_by_asc(collected_package::Column::FileName)
                    .all(&*tx)
                    .await?)
            })
            .await?;
        let mut packages: BTreeMap<ChrootName, Vec<BuiltPackage>> = BTreeMap::new();
        for (package, attempt) in rows {
            let Some(attempt) = attempt else { continue };
            let chroot = Row::new("attempt", &attempt.id).parse("chroot", &attempt.chroot)?;
            packages.entry(chroot).or_default().push(built_package(package));
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
                want_publication(&tx, (*project, directory, chroot), now).await?;
            }
            Ok(())
        })
        .await
    }
}

async fn delete_build(tx: &Tx, id: BuildId, now: Timestamp) -> Result<Build, Failure> {
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
