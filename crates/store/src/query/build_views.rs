//! Builds as clients see them: one query for the builds with what they refer to, one for all their chroots.

use std::collections::{BTreeMap, BTreeSet};

use model::{AttemptState, Blame, BuildId, BuildState, ProjectId, Timestamp, build::derive_state};
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _, QueryOrder as _,
    QueryResult, QuerySelect as _, Select,
};

use super::joins::{build_to_package, build_to_project, build_to_submitter};
use crate::{
    Build, BuildChroot, BuildOptions, StoredSource, Verdict,
    convert::{Row, moment},
    database::Tx,
    entity::{account, attempt, build, build_chroot, package, project},
    error::{Failure, Result},
};

struct Joined {
    build: build::Model,
    owner: String,
    project_name: String,
    package_name: Option<String>,
    submitter_name: Option<String>,
}

impl FromQueryResult for Joined {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            build: build::Model::from_query_result(row, prefix)?,
            owner: row.try_get(prefix, "project_owner")?,
            project_name: row.try_get(prefix, "project_name")?,
            package_name: row.try_get(prefix, "package_name")?,
            submitter_name: row.try_get(prefix, "submitter_name")?,
        })
    }
}

/// The builds that a query finds, newest first, but for those of projects that are deleted. The query may filter by all that
/// is joined.
pub(super) async fn load(
    tx: &Tx,
    narrow: impl FnOnce(Select<build::Entity>) -> Select<build::Entity> + Send,
) -> Result<Vec<Build>, Failure> {
    let query = build::Entity::find()
        .join(JoinType::InnerJoin, build_to_project())
        .join(JoinType::LeftJoin, build_to_package())
        .join(JoinType::LeftJoin, build_to_submitter())
        .column_as(project::Column::Owner, "project_owner")
        .column_as(project::Column::Name, "project_name")
        .column_as(package::Column::Name, "package_name")
        .column_as(account::Column::Name, "submitter_name")
        .filter(project::Column::DeletedAt.is_null())
        .order_by_desc(build::Column::Id);
    let rows = narrow(query).into_model::<Joined>().all(&**tx).await?;
    let mut chroots: BTreeMap<i64, Vec<BuildChroot>> = BTreeMap::new();
    if !rows.is_empty() {
        let ids = rows.iter().map(|row| row.build.id);
        let found = build_chroot::Entity::find()
            .filter(build_chroot::Column::Build.is_in(ids))
            .all(&**tx)
            .await?;
        let mut reasons = waiting_reasons(tx, &found).await?;
        for row in found {
            let reason = reasons.remove(&(row.build, row.chroot.clone()));
            chroots
                .entry(row.build)
                .or_default()
                .push(build_chroot(row, reason)?);
        }
    }
    rows.into_iter()
        .map(|row| {
            let chroots = chroots.remove(&row.build.id).unwrap_or_default();
            Ok(build(row, chroots)?)
        })
        .collect()
}

/// Why those of these chroots that wait do so, as far as somebody has said it.
async fn waiting_reasons(
    tx: &Tx,
    chroots: &[build_chroot::Model],
) -> Result<BTreeMap<(i64, String), String>, Failure> {
    let waiting: BTreeSet<i64> = chroots
        .iter()
        .filter(|chroot| chroot.state == BuildState::Pending.as_str())
        .map(|chroot| chroot.build)
        .collect();
    if waiting.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<(i64, String, Option<String>)> = attempt::Entity::find()
        .select_only()
        .columns([
            attempt::Column::Build,
            attempt::Column::Chroot,
            attempt::Column::WaitingReason,
        ])
        .filter(attempt::Column::Build.is_in(waiting))
        .filter(attempt::Column::State.eq(AttemptState::Waiting.as_str()))
        .into_tuple()
        .all(&**tx)
        .await?;
    let told = rows
        .into_iter()
        .filter_map(|(build, chroot, reason)| Some(((build, chroot), reason?)));
    Ok(told.collect())
}

/// The build of that id.
pub(super) async fn load_one(tx: &Tx, id: BuildId) -> Result<Option<Build>, Failure> {
    Ok(load(tx, |query| query.filter(build::Column::Id.eq(id.0)))
        .await?
        .pop())
}

fn build(row: Joined, mut chroots: Vec<BuildChroot>) -> Result<Build> {
    chroots.sort_by(|left, right| left.name.cmp(&right.name));
    let Joined {
        build: row,
        owner,
        project_name,
        package_name,
        submitter_name,
    } = row;
    let at = Row::new("build", &row.id);
    let source_state = at.parse("source_state", &row.source_state)?;
    let states: Vec<BuildState> = chroots.iter().map(|chroot| chroot.state).collect();
    let is_over = chroots.iter().all(|chroot| chroot.state.is_final());
    let options: BuildOptions = at.json("options", &row.options)?;
    Ok(Build {
        id: BuildId(row.id),
        project: ProjectId(row.project),
        owner: at.parse("owner of its project", &owner)?,
        project_name: at.parse("name of its project", &project_name)?,
        directory: at.parse("directory", &row.directory)?,
        package: at.parse_maybe("name of its package", package_name.as_deref())?,
        version: row.version,
        source_file: row.source_file.clone(),
        source: StoredSource {
            file_name: row.source_file,
            sha256: row.source_sha256,
            size: at.number("source_size", row.source_size)?,
        },
        state: derive_state(row.canceled, source_state, &states),
        source_state,
        canceled: row.canceled,
        submitter: at.parse_maybe("name of its submitter", submitter_name.as_deref())?,
        is_background: row.is_background,
        submitted_at: Timestamp::from_micros(row.submitted_at),
        started_at: chroots.iter().filter_map(|chroot| chroot.started_at).min(),
        ended_at: chroots
            .iter()
            .filter(|_| is_over)
            .filter_map(|chroot| chroot.ended_at)
            .max(),
        chroots,
        options,
    })
}

fn build_chroot(row: build_chroot::Model, waiting_reason: Option<String>) -> Result<BuildChroot> {
    let id = format!("{}/{}", row.build, row.chroot);
    let at = Row::new("build_chroot", &id);
    let blame: Option<Blame> = at.parse_maybe("blame", row.blame.as_deref())?;
    let evidence = at.json_maybe("evidence", row.evidence.as_deref())?;
    Ok(BuildChroot {
        name: at.parse("chroot", &row.chroot)?,
        state: at.parse("state", &row.state)?,
        started_at: moment(row.started_at),
        ended_at: moment(row.ended_at),
        result_directory: row.result_directory,
        waiting_reason,
        failure: blame.map(|blame| Verdict {
            blame,
            reason: row.reason.unwrap_or_default(),
            evidence,
        }),
        attempts: at.number("attempts", row.attempts)?,
    })
}
