//! Builds as clients see them, each with its chroots and what it refers to. One statement finds any number of them, and answers a single
//! text: to take each column of each row from the database apart costs many times what it costs to find them.

use std::borrow::Cow;

use model::{
    Blame, BuildId, BuildState, ChrootName, DirectoryName, OwnerName, ProjectId, ProjectName, Timestamp,
    build::derive_state,
};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement, Value};
use serde::Deserialize;

use super::json::{self, Functions};
use crate::{
    Build, BuildChroot, BuildOptions, StoredSource, Verdict,
    convert::{Row, moment},
    database::Tx,
    error::{Result, TxError},
};

/// Which builds.
pub(super) struct Wanted {
    /// A query for their ids, in a column of that name.
    pub(super) ids: String,
    /// Its values.
    pub(super) values: Vec<Value>,
}

impl Wanted {
    pub(super) fn one(BuildId(id): BuildId) -> Self {
        Self {
            ids: "SELECT CAST($1 AS BIGINT) AS id".to_owned(),
            values: vec![id.into()],
        }
    }

    pub(super) fn these(backend: DbBackend, ids: impl IntoIterator<Item = i64>) -> Self {
        Self {
            ids: json::numbers(backend, "id", "$1"),
            values: vec![json::text_of(ids).into()],
        }
    }
}

impl Wanted {
    /// The statement that answers these columns of each, but of builds of projects that are deleted.
    pub(super) fn statement(self, backend: DbBackend, columns: &str) -> Statement {
        let Functions { array, group } = json::functions(backend);
        let sql = format!(
            "SELECT CAST({group}({array}({columns})) AS TEXT)
            FROM ({ids}) AS wanted
            JOIN build ON build.id = wanted.id
            JOIN project ON project.id = build.project AND project.deleted_at IS NULL
            LEFT JOIN package ON package.id = build.package
            LEFT JOIN account ON account.id = build.submitter",
            ids = self.ids
        );
        Statement::from_sql_and_values(backend, sql, self.values)
    }
}

/// The statement that finds builds, but for those of projects that are deleted.
pub(super) fn statement(backend: DbBackend, wanted: Wanted) -> Statement {
    let Functions { array, group } = json::functions(backend);
    let columns = format!(
        "build.id, build.project, project.owner, project.name, build.directory, package.name, build.version,
            build.source_file, build.source_sha256, build.source_size, build.source_state,
            CAST(build.canceled AS INTEGER), account.name, CAST(build.is_background AS INTEGER), build.options,
            build.submitted_at, (
                SELECT {group}({array}(
                    build_chroot.chroot, build_chroot.state, build_chroot.started_at, build_chroot.ended_at,
                    build_chroot.result_directory,
                    CASE WHEN build_chroot.state = 'pending' THEN (
                        SELECT attempt.waiting_reason FROM attempt
                        WHERE attempt.build = build_chroot.build AND attempt.chroot = build_chroot.chroot
                            AND attempt.state = 'waiting'
                    ) END,
                    build_chroot.blame, build_chroot.reason, build_chroot.evidence, build_chroot.attempts
                ))
                FROM build_chroot WHERE build_chroot.build = build.id
            )"
    );
    wanted.statement(backend, &columns)
}

/// The builds that the statement found, the newest first.
pub(super) fn read(text: Option<&str>) -> Result<Vec<Build>> {
    let rows: Vec<BuildRow<'_>> = json::rows("build", text)?;
    let mut same = SameAsBefore::default();
    let builds = rows.into_iter().map(|row| build(row, &mut same));
    let mut builds: Vec<Build> = builds.collect::<Result<_>>()?;
    builds.sort_by_key(|build| std::cmp::Reverse(build.id));
    Ok(builds)
}

/// The builds that are wanted, as a transaction sees them, the newest first.
pub(super) async fn load(tx: &Tx, wanted: Wanted) -> Result<Vec<Build>, TxError> {
    let found = json::ask(tx, statement(tx.get_database_backend(), wanted)).await?;
    Ok(read(found.as_deref())?)
}

/// The build of that id.
pub(super) async fn load_one(tx: &Tx, id: BuildId) -> Result<Option<Build>, TxError> {
    Ok(load(tx, Wanted::one(id)).await?.pop())
}

/// A row of the statement; its fields are in the order of the columns.
#[derive(Deserialize)]
struct BuildRow<'a> {
    id: i64,
    project: i64,
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
    source_sha256: String,
    source_size: i64,
    #[serde(borrow)]
    source_state: Cow<'a, str>,
    canceled: u8,
    #[serde(borrow)]
    submitter_name: Option<json::Text<'a>>,
    is_background: u8,
    #[serde(borrow)]
    options: Cow<'a, str>,
    submitted_at: i64,
    /// None where there are none, on PostgreSQL.
    #[serde(borrow)]
    chroots: Option<Vec<ChrootRow<'a>>>,
}

#[derive(Deserialize)]
struct ChrootRow<'a> {
    #[serde(borrow)]
    chroot: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    result_directory: Option<String>,
    waiting_reason: Option<String>,
    #[serde(borrow)]
    blame: Option<json::Text<'a>>,
    reason: Option<String>,
    #[serde(borrow)]
    evidence: Option<json::Text<'a>>,
    attempts: i64,
}

/// The last value of a column, with its text.
pub(super) struct Last<T>(Option<(String, T)>);

// Not derived: that would want a default of the value.
impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Last<T> {
    /// The value of a text, which is read only when the text is another than the last one.
    pub(super) fn of(&mut self, text: &str, read: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        match &self.0 {
            Some((last, value)) if last == text => Ok(value.clone()),
            _ => {
                let value = read(text)?;
                self.0 = Some((text.to_owned(), value.clone()));
                Ok(value)
            }
        }
    }
}

/// What most builds of a list have in common: a list is one project's, as a rule.
#[derive(Default)]
pub(super) struct SameAsBefore {
    pub(super) owner: Last<OwnerName>,
    pub(super) project: Last<ProjectName>,
    pub(super) directory: Last<DirectoryName>,
    pub(super) submitter: Last<OwnerName>,
    options: Last<BuildOptions>,
    pub(super) chroot: Last<ChrootName>,
}

/// What the chroots of a build come to.
pub(super) struct Whole {
    pub(super) state: BuildState,
    /// When the first of them began.
    pub(super) started_at: Option<Timestamp>,
    /// When the last of them ended; none before all have.
    pub(super) ended_at: Option<Timestamp>,
}

/// What chroots come to, of each of which state, begin and end are given.
pub(super) fn whole(
    canceled: bool,
    source: BuildState,
    chroots: impl Iterator<Item = (BuildState, Option<Timestamp>, Option<Timestamp>)> + Clone,
) -> Whole {
    let states: Vec<BuildState> = chroots.clone().map(|(state, ..)| state).collect();
    let is_over = states.iter().all(|state| state.is_final());
    Whole {
        state: derive_state(canceled, source, &states),
        started_at: chroots.clone().filter_map(|(_, started_at, _)| started_at).min(),
        ended_at: chroots
            .filter(|_| is_over)
            .filter_map(|(_, _, ended_at)| ended_at)
            .max(),
    }
}

fn build(row: BuildRow<'_>, same: &mut SameAsBefore) -> Result<Build> {
    let mut chroots = row
        .chroots
        .into_iter()
        .flatten()
        .map(|chroot| build_chroot(row.id, chroot, &mut same.chroot))
        .collect::<Result<Vec<_>>>()?;
    chroots.sort_by(|left, right| left.name.cmp(&right.name));
    let at = Row::new("build", &row.id);
    let source_state = at.parse("source_state", &row.source_state)?;
    let canceled = row.canceled != 0;
    let whole = whole(
        canceled,
        source_state,
        chroots.iter().map(|it| (it.state, it.started_at, it.ended_at)),
    );
    Ok(Build {
        id: BuildId(row.id),
        project: ProjectId(row.project),
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
        source: StoredSource {
            file_name: row.source_file,
            sha256: row.source_sha256,
            size: at.number("source_size", row.source_size)?,
        },
        state: whole.state,
        source_state,
        canceled,
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
        chroots,
        options: same.options.of(&row.options, |text| at.json("options", text))?,
    })
}

fn build_chroot(build: i64, row: ChrootRow<'_>, last: &mut Last<ChrootName>) -> Result<BuildChroot> {
    let id = std::fmt::from_fn(|f| write!(f, "{build}/{}", row.chroot));
    let at = Row::new("build_chroot", &id);
    let blame: Option<Blame> = at.parse_maybe("blame", row.blame.as_deref())?;
    let evidence = at.json_maybe("evidence", row.evidence.as_deref())?;
    Ok(BuildChroot {
        name: last.of(&row.chroot, |text| at.parse("chroot", text))?,
        state: at.parse("state", &row.state)?,
        started_at: moment(row.started_at),
        ended_at: moment(row.ended_at),
        result_directory: row.result_directory,
        waiting_reason: row.waiting_reason,
        failure: blame.map(|blame| Verdict {
            blame,
            reason: row.reason.unwrap_or_default(),
            evidence,
        }),
        attempts: at.number("attempts", row.attempts)?,
    })
}
