//! Attempts as workers and people see them: one query, with what they refer to.

use std::collections::BTreeSet;

use model::{AttemptId, AttemptState, BuildId, BuilderId, Epoch, ProjectId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _, Select,
};
use uuid::Uuid;

use super::{
    events::Entry,
    joins::{attempt_to_build, build_to_package, build_to_project, build_to_submitter},
    verdict::{lock_attempt, set_chroot},
};
use crate::{
    Attempt, BuildOptions, Page, ProjectSettings, StoredSource,
    convert::{Row, check_text, moment, readable},
    database::{Store, Tx},
    entity::{account, attempt, build, build_chroot, package, project},
    error::{Result, TxError},
};

struct Joined {
    attempt: attempt::Model,
    project: i64,
    directory: String,
    source_file: String,
    source_sha256: String,
    source_size: i64,
    options: String,
    owner: String,
    project_name: String,
    project_settings: String,
    package_name: Option<String>,
    submitter_name: Option<String>,
}

impl FromQueryResult for Joined {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            attempt: attempt::Model::from_query_result(row, prefix)?,
            project: row.try_get(prefix, "build_project")?,
            directory: row.try_get(prefix, "build_directory")?,
            source_file: row.try_get(prefix, "build_source_file")?,
            source_sha256: row.try_get(prefix, "build_source_sha256")?,
            source_size: row.try_get(prefix, "build_source_size")?,
            options: row.try_get(prefix, "build_options")?,
            owner: row.try_get(prefix, "project_owner")?,
            project_name: row.try_get(prefix, "project_name")?,
            project_settings: row.try_get(prefix, "project_settings")?,
            package_name: row.try_get(prefix, "package_name")?,
            submitter_name: row.try_get(prefix, "submitter_name")?,
        })
    }
}

/// The attempts that a query finds, oldest first. The query may filter by all that is joined.
pub(super) async fn load(
    tx: &Tx,
    narrow: impl FnOnce(Select<attempt::Entity>) -> Select<attempt::Entity> + Send,
) -> Result<Vec<Attempt>, TxError> {
    let rows = load_each(tx, narrow).await?;
    Ok(rows.into_iter().collect::<Result<_>>()?)
}

/// The same, for those who serve the others when one cannot be read.
pub(super) async fn load_each(
    tx: &Tx,
    narrow: impl FnOnce(Select<attempt::Entity>) -> Select<attempt::Entity> + Send,
) -> Result<Vec<Result<Attempt>>, TxError> {
    let query = attempt::Entity::find()
        .join(JoinType::InnerJoin, attempt_to_build())
        .join(JoinType::InnerJoin, build_to_project())
        .join(JoinType::LeftJoin, build_to_package())
        .join(JoinType::LeftJoin, build_to_submitter())
        .column_as(build::Column::Project, "build_project")
        .column_as(build::Column::Directory, "build_directory")
        .column_as(build::Column::SourceFile, "build_source_file")
        .column_as(build::Column::SourceSha256, "build_source_sha256")
        .column_as(build::Column::SourceSize, "build_source_size")
        .column_as(build::Column::Options, "build_options")
        .column_as(project::Column::Owner, "project_owner")
        .column_as(project::Column::Name, "project_name")
        .column_as(project::Column::Settings, "project_settings")
        .column_as(package::Column::Name, "package_name")
        .column_as(account::Column::Name, "submitter_name")
        .order_by_asc(attempt::Column::QueuedAt)
        .order_by_asc(attempt::Column::Id);
    let rows = narrow(query).into_model::<Joined>().all(&**tx).await?;
    Ok(rows.into_iter().map(attempt).collect())
}

fn attempt(joined: Joined) -> Result<Attempt> {
    let row = joined.attempt;
    let id = AttemptId(row.id);
    let at = Row::new("attempt", &id);
    let of_build = Row::new("build", &row.build);
    let settings: ProjectSettings =
        Row::new("project", &joined.project).json("settings", &joined.project_settings)?;
    let mut options: BuildOptions = of_build.json("options", &joined.options)?;
    options.enable_net.get_or_insert(settings.enable_net);
    options.isolation.get_or_insert(settings.isolation);
    options.bootstrap.get_or_insert(settings.bootstrap);
    Ok(Attempt {
        id,
        build: BuildId(row.build),
        project: ProjectId(joined.project),
        owner: of_build.parse("owner of its project", &joined.owner)?,
        project_name: of_build.parse("name of its project", &joined.project_name)?,
        directory: of_build.parse("directory", &joined.directory)?,
        chroot: at.parse("chroot", &row.chroot)?,
        package: of_build.parse_maybe("name of its package", joined.package_name.as_deref())?,
        number: at.number("number", row.number)?,
        state: at.parse("state", &row.state)?,
        epoch: row.epoch.map(Epoch),
        builder: row.builder.map(BuilderId),
        blame: at.parse_maybe("blame", row.blame.as_deref())?,
        reason: row.reason,
        evidence: at.json_maybe("evidence", row.evidence.as_deref())?,
        log_bytes: row.log_bytes,
        cancel_requested: row.cancel_requested,
        queued_at: Timestamp::from_micros(row.queued_at),
        started_at: moment(row.started_at),
        ended_at: moment(row.ended_at),
        source: StoredSource {
            file_name: joined.source_file,
            sha256: joined.source_sha256,
            size: of_build.number("source_size", joined.source_size)?,
        },
        options,
        additional_repos: settings.additional_repos,
        submitter: of_build.parse_maybe("name of its submitter", joined.submitter_name.as_deref())?,
    })
}

/// Only those of projects that are not deleted.
fn live(query: Select<attempt::Entity>) -> Select<attempt::Entity> {
    query.filter(project::Column::DeletedAt.is_null())
}

impl Store {
    /// The attempt of that id.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>> {
        self.read(|tx| async move {
            Ok(
                load(&tx, |query| live(query).filter(attempt::Column::Id.eq(id.0)))
                    .await?
                    .pop(),
            )
        })
        .await
    }

    /// Which of these attempts there are; the others' builds were deleted.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn existing_attempts(&self, ids: &[AttemptId]) -> Result<BTreeSet<AttemptId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let found = self
            .present::<attempt::Entity, _>(attempt::Column::Id, &ids)
            .await?;
        Ok(found.into_iter().map(AttemptId).collect())
    }

    /// The attempts of a build, oldest first.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`], [`crate::Error::Corrupt`].
    pub async fn attempts_of(&self, build: BuildId) -> Result<Vec<Attempt>> {
        self.read(|tx| async move {
            load(&tx, |query| {
                live(query).filter(attempt::Column::Build.eq(build.0))
            })
            .await
        })
        .await
    }

    /// Attempts that a worker began, that ended before a moment, and that left nothing among the results: their workers were
    /// killed, and the controller ended them. In an order of their own, after the one that was answered last; beside them, after
    /// which one to go on. Those that were lost, whose builds went on with another attempt, are not among them; rows that cannot
    /// be read are left out.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Unavailable`].
    pub async fn attempts_without_results(
        &self,
        before: Timestamp,
        after: Option<AttemptId>,
        limit: u64,
    ) -> Result<(Vec<Attempt>, Option<AttemptId>)> {
        use AttemptState::{Canceled, Failed, Skipped};
        let limit = Page::bounded(limit);
        self.read(|tx| async move {
            let mut query = attempt::Entity::find()
                .select_only()
                .column(attempt::Column::Id)
                .filter(attempt::Column::ResultDirectory.is_null())
                .filter(attempt::Column::StartedAt.is_not_null())
                .filter(attempt::Column::State.is_in([Failed, Skipped, Canceled].map(AttemptState::as_str)))
                .filter(attempt::Column::EndedAt.lt(before.as_micros()));
            if let Some(AttemptId(last)) = after {
                query = query.filter(attempt::Column::Id.gt(last));
            }
            let ids: Vec<Uuid> = query
                .order_by_asc(attempt::Column::Id)
                .limit(limit)
                .into_tuple()
                .all(&*tx)
                .await?;
            let is_full = ids.len() as u64 >= limit;
            let next = ids.last().filter(|_| is_full).map(|id| AttemptId(*id));
            if ids.is_empty() {
                return Ok((Vec::new(), None));
            }
            let found = load_each(&tx, |query| live(query).filter(attempt::Column::Id.is_in(ids))).await?;
            Ok((readable(found.into_iter()).collect(), next))
        })
        .await
    }

    /// Writes down where the results of an attempt are that ended without any; whether it was so. Nothing changes where its
    /// results are known, or while it goes on.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotFound`] when there is no such attempt, [`crate::Error::Invalid`].
    pub async fn add_results(&self, id: AttemptId, directory: &str, now: Timestamp) -> Result<bool> {
        check_text("result directory", directory)?;
        self.write(|tx| async move {
            let row = lock_attempt(&tx, id.0).await?;
            if row.result_directory.is_some() || row.ended_at.is_none() {
                return Ok(false);
            }
            attempt::Entity::update_many()
                .set(attempt::ActiveModel {
                    result_directory: Set(Some(directory.to_owned())),
                    ..Default::default()
                })
                .filter(attempt::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            let columns = build_chroot::ActiveModel {
                result_directory: Set(Some(directory.to_owned())),
                ..Default::default()
            };
            set_chroot(&tx, &row, columns).await?;
            let why = "its account is among the results";
            Entry::of_attempt(id, BuildId(row.build), "worker", why).write(&tx, now);
            Ok(true)
        })
        .await
    }
}
