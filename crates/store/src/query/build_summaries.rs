//! Builds as lists show them: with as little of each as that takes.

use std::borrow::Cow;

use model::{BuildId, BuildState, Timestamp};
use sea_orm::{DbBackend, Statement};
use serde::Deserialize;

use super::{
    build_views::{SameAsBefore, Wanted, whole},
    json::{self, Functions},
};
use crate::{
    BuildSummary,
    convert::{Row, moment},
    error::Result,
};

/// The statement that finds builds, but for those of projects that are deleted.
pub(super) fn statement(backend: DbBackend, wanted: Wanted) -> Statement {
    let Functions { array, group } = json::functions(backend);
    let columns = format!(
        "build.id, project.owner, project.name, build.directory, package.name, build.version,
            build.source_file, build.source_state, CAST(build.canceled AS INTEGER), account.name,
            CAST(build.is_background AS INTEGER), build.submitted_at, (
                SELECT {group}({array}(
                    build_chroot.chroot, build_chroot.state, build_chroot.started_at, build_chroot.ended_at
                ))
                FROM build_chroot WHERE build_chroot.build = build.id
            )"
    );
    wanted.statement(backend, &columns)
}

/// The builds that the statement found, the newest first.
pub(super) fn read(text: Option<&str>) -> Result<Vec<BuildSummary>> {
    let rows: Vec<SummaryRow<'_>> = json::rows("build", text)?;
    let mut same = SameAsBefore::default();
    let builds = rows.into_iter().map(|row| summary(row, &mut same));
    let mut builds: Vec<BuildSummary> = builds.collect::<Result<_>>()?;
    builds.sort_unstable_by_key(|build| std::cmp::Reverse(build.id));
    Ok(builds)
}

/// A row of the statement; its fields are in the order of the columns.
#[derive(Deserialize)]
struct SummaryRow<'a> {
    id: i64,
    #[serde(borrow)]
    owner: Cow<'a, str>,
    #[serde(borrow)]
    project_name: Cow<'a, str>,
    #[serde(borrow)]
    directory: Cow<'a, str>,
    #[serde(borrow)]
    package_name: Option<json::Text<'a>>,
    version: Option<String>,
    source_file: String,
    #[serde(borrow)]
    source_state: Cow<'a, str>,
    canceled: u8,
    #[serde(borrow)]
    submitter_name: Option<json::Text<'a>>,
    is_background: u8,
    submitted_at: i64,
    /// None where there are none, on PostgreSQL.
    #[serde(borrow)]
    chroots: Option<Vec<ChrootRow<'a>>>,
}

#[derive(Deserialize)]
struct ChrootRow<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Option<i64>,
    Option<i64>,
);

fn summary(row: SummaryRow<'_>, same: &mut SameAsBefore) -> Result<BuildSummary> {
    let at = Row::new("build", &row.id);
    let mut chroots = Vec::new();
    for ChrootRow(name, state, started_at, ended_at) in row.chroots.into_iter().flatten() {
        let id = std::fmt::from_fn(|f| write!(f, "{}/{name}", row.id));
        let at = Row::new("build_chroot", &id);
        let state: BuildState = at.parse("state", &state)?;
        let name = same.chroot.of(&name, |text| at.parse("chroot", text))?;
        chroots.push((name, (state, moment(started_at), moment(ended_at))));
    }
    chroots.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    let source_state = at.parse("source_state", &row.source_state)?;
    let whole = whole(
        row.canceled != 0,
        source_state,
        chroots.iter().map(|(_, chroot)| *chroot),
    );
    Ok(BuildSummary {
        id: BuildId(row.id),
        owner: same
            .owner
            .of(&row.owner, |text| at.parse("owner of its project", text))?,
        project_name: same
            .project
            .of(&row.project_name, |text| at.parse("name of its project", text))?,
        directory: same
            .directory
            .of(&row.directory, |text| at.parse("directory", text))?,
        package: at.parse_maybe("name of its package", row.package_name.as_deref())?,
        version: row.version,
        source_file: row.source_file,
        state: whole.state,
        submitter: (row.submitter_name.as_deref())
            .map(|name| {
                same.submitter
                    .of(name, |text| at.parse("name of its submitter", text))
            })
            .transpose()?,
        is_background: row.is_background != 0,
        submitted_at: Timestamp::from_micros(row.submitted_at),
        started_at: whole.started_at,
        ended_at: whole.ended_at,
        chroots: chroots.into_iter().map(|(name, _)| name).collect(),
    })
}
