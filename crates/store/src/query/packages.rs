//! Packages of projects and their last builds, each found by one look into an index, whatever the project has built before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{ChrootName, DirectoryName, PackageId, PackageName, ProjectId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, Statement, Value};
use serde::Deserialize;

use super::{
    build_views::{Wanted, load},
    json::{self, Functions},
};
use crate::{
    Build, LastBuilds, MonitorPage, Order, Package, PackageBuilds, PackageChroots, Page,
    convert::Row,
    database::{Store, Tx},
    error::{Result, TxError},
};

#[derive(FromQueryResult)]
struct PackageRow {
    id: i64,
    name: String,
    latest: Option<i64>,
    succeeded: Option<i64>,
}

/// The last build of a package in a chroot; none where it was never built there in that directory. The fields are in the order of
/// the columns.
#[derive(Deserialize)]
struct CellRow {
    name: String,
    chroot: String,
    build: Option<i64>,
}

/// The last build of a package in a directory and a chroot, which is one look into an index.
const LAST_BUILD: &str = "(
    SELECT max(build_chroot.build) FROM build_chroot
    WHERE build_chroot.package = package.id AND build_chroot.directory = $2
        AND build_chroot.chroot = project_chroot.chroot
)";

fn package_name(id: &i64, name: &str) -> Result<PackageName> {
    Row::new("package", id).parse("name", name)
}

/// The builds of these ids that there are.
async fn builds_of(tx: &Tx, ids: BTreeSet<i64>) -> Result<BTreeMap<i64, Arc<Build>>, TxError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = load(tx, Wanted::these(tx.get_database_backend(), ids)).await?;
    Ok(found
        .into_iter()
        .map(|build| (build.id.0, Arc::new(build)))
        .collect())
}

/// The columns of a [`PackageRow`].
fn columns(wanted: LastBuilds) -> String {
    let latest = "(SELECT max(build.id) FROM build WHERE build.package = package.id)";
    let succeeded =
        "(SELECT max(build.id) FROM build WHERE build.package = package.id AND build.state = 'succeeded')";
    let or_nothing = |is_wanted, sql| if is_wanted { sql } else { "CAST(NULL AS BIGINT)" };
    format!(
        "package.id, package.name, {} AS latest, {} AS succeeded",
        or_nothing(wanted.latest, latest),
        or_nothing(wanted.succeeded, succeeded)
    )
}

async fn with_builds(tx: &Tx, sql: &str, values: Vec<Value>) -> Result<Vec<PackageBuilds>, TxError> {
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let rows = PackageRow::find_by_statement(statement).all(&**tx).await?;
    let wanted = rows.iter().flat_map(|row| [row.latest, row.succeeded]);
    let builds = builds_of(tx, wanted.flatten().collect()).await?;
    let find = |id: Option<i64>| id.and_then(|id| builds.get(&id)).cloned();
    rows.into_iter()
        .map(|row| {
            Ok(PackageBuilds {
                package: Package {
                    id: PackageId(row.id),
                    name: package_name(&row.id, &row.name)?,
                },
                latest: find(row.latest),
                latest_succeeded: find(row.succeeded),
            })
        })
        .collect()
}

fn bounded(page: Page) -> [Value; 2] {
    [page.limit(), page.offset()].map(|number| i64::try_from(number).unwrap_or(i64::MAX).into())
}

impl Store {
    /// The packages of a project, those without builds included, with the last builds that are wanted.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn packages(
        &self,
        project: ProjectId,
        wanted: LastBuilds,
        order: Order,
        page: Page,
    ) -> Result<Vec<PackageBuilds>> {
        let order = match order {
            Order::Id => "package.id",
            Order::IdDescending => "package.id DESC",
            Order::Name => "package.name",
            Order::NameDescending => "package.name DESC",
        };
        let columns = columns(wanted);
        let sql = &format!(
            "SELECT {columns} FROM (
                SELECT id, name FROM package WHERE project = $1 ORDER BY {order} LIMIT $2 OFFSET $3
            ) AS package ORDER BY {order}"
        );
        let [limit, offset] = &bounded(page);
        self.read(|tx| async move {
            let values = vec![project.0.into(), limit.clone(), offset.clone()];
            with_builds(&tx, sql, values).await
        })
        .await
    }

    /// A project's package of that name, with the last builds that are wanted.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn package(
        &self,
        project: ProjectId,
        name: &PackageName,
        wanted: LastBuilds,
    ) -> Result<Option<PackageBuilds>> {
        let columns = columns(wanted);
        let sql = &format!("SELECT {columns} FROM package WHERE project = $1 AND name = $2");
        self.read(|tx| async move {
            let values = vec![project.0.into(), name.as_str().into()];
            Ok(with_builds(&tx, sql, values).await?.pop())
        })
        .await
    }

    /// The last build of each package of a directory in each of the project's chroots, by the packages' names: of those after
    /// `after`, at most `limit` packages (and never more than [`Page::LONGEST`]). A package that was built in this directory in
    /// none of these chroots is no part of the monitor, as in Copr, and takes no place of a page: a page that is not full is the
    /// last one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn monitor(
        &self,
        project: ProjectId,
        directory: &DirectoryName,
        after: Option<&PackageName>,
        limit: u64,
    ) -> Result<MonitorPage> {
        // No name is empty.
        let after = after.map_or("", PackageName::as_str);
        let limit = Page::bounded(limit);
        let Functions { array, group } = json::functions(self.backend());
        // A package is left out before the page is counted. By a value, not by EXISTS, which PostgreSQL makes a join of, and may
        // then read all builds of the directory for one page.
        let sql = &format!(
            "SELECT CAST({group}({array}(package.name, project_chroot.chroot, {LAST_BUILD}) ORDER BY package.name) AS TEXT)
            FROM (
                SELECT id, name FROM package
                WHERE project = $1 AND name > $3 AND (
                    SELECT max({LAST_BUILD}) FROM project_chroot WHERE project_chroot.project = $1
                ) IS NOT NULL
                ORDER BY name LIMIT $4
            ) AS package
            JOIN project_chroot ON project_chroot.project = $1"
        );
        self.read(|tx| async move {
            let values: Vec<Value> = vec![
                project.0.into(),
                directory.as_str().into(),
                after.into(),
                i64::try_from(limit).unwrap_or(i64::MAX).into(),
            ];
            let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
            let found = json::ask(&tx, statement).await?;
            let rows: Vec<CellRow> = json::rows("package", found.as_deref())?;
            let builds = builds_of(&tx, rows.iter().filter_map(|row| row.build).collect()).await?;
            page(project, rows, &builds, limit)
        })
        .await
    }
}

fn page(
    project: ProjectId,
    rows: Vec<CellRow>,
    builds: &BTreeMap<i64, Arc<Build>>,
    limit: u64,
) -> Result<MonitorPage, TxError> {
    let mut packages: Vec<PackageChroots> = Vec::new();
    let mut count: u64 = 0;
    let mut last: Option<PackageName> = None;
    for row in rows {
        let package = package_name(&project.0, &row.name)?;
        if last.as_ref() != Some(&package) {
            count = count.saturating_add(1);
            last = Some(package.clone());
        }
        let Some(build) = row.build.and_then(|id| builds.get(&id)) else {
            continue;
        };
        let chroot: ChrootName = Row::new("project_chroot", &project).parse("chroot", &row.chroot)?;
        match packages.last_mut() {
            Some(entry) if entry.package == package => {
                entry.last.insert(chroot, Arc::clone(build));
            }
            _ => packages.push(PackageChroots {
                package,
                last: BTreeMap::from([(chroot, Arc::clone(build))]),
            }),
        }
    }
    Ok(MonitorPage {
        packages,
        next: last.filter(|_| count >= limit),
    })
}
