//! Submitting a build: everything about it is in the database at once, or nothing is.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AttemptState, Blame, BuildId, BuildState, ChrootName, PackageName, ProjectId, Sandbox, Timestamp,
    build::derive_state,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    build_views::load_one,
    events::Entry,
    repositories::want_publication,
    verdict::{OfBuild, new_attempt},
};
use crate::{
    Build, NewUpload, RepositoryKey,
    convert::{Row, check_text, reason, to_json, to_number},
    database::{Store, Tx},
    entity::{account, attempt, build, build_chroot, chroot, package, project, project_chroot, repository},
    error::{Error, Result, TxError},
};

/// Makes the row of a repository that has none; it is out of date then, since it was never published.
async fn make_repository(tx: &Tx, key: RepositoryKey<'_>, now: Timestamp) -> Result<(), TxError> {
    let RepositoryKey {
        project: ProjectId(project),
        directory,
        chroot,
    } = key;
    let id = (project, directory.to_string(), chroot.to_string());
    if repository::Entity::find_by_id(id).one(&**tx).await?.is_none() {
        want_publication(tx, key, now).await?;
    }
    Ok(())
}

/// The project. Refuses a directory of another project, and chroots that are not the project's, not active, or named twice.
async fn check(tx: &Tx, new: &NewUpload) -> Result<project::Model, TxError> {
    check_text("version", &new.version)?;
    check_text("source file name", &new.srpm.file_name)?;
    let project = project::Entity::find_by_id(new.project.0)
        .filter(project::Column::DeletedAt.is_null())
        .lock_shared()
        .one(&**tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("project {}", new.project)))?;
    let is_its_own = new
        .directory
        .as_str()
        .strip_prefix(&project.name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
    if !is_its_own {
        let why = format!("{} is not a directory of project {}", new.directory, project.name);
        return Err(Error::invalid(why).into());
    }
    let offered: BTreeSet<String> = project_chroot::Entity::find()
        .filter(project_chroot::Column::Project.eq(new.project.0))
        .all(&**tx)
        .await?
        .into_iter()
        .map(|row| row.chroot)
        .collect();
    let inactive: BTreeSet<String> = chroot::Entity::find()
        .filter(chroot::Column::IsActive.eq(false))
        .all(&**tx)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    let mut seen = BTreeSet::new();
    for name in new.chroots.iter().chain(new.skipped.iter().map(|(name, _)| name)) {
        let why = if !offered.contains(name.as_str()) {
            "is not a chroot of the project"
        } else if inactive.contains(name.as_str()) {
            "is no longer active"
        } else if !seen.insert(name) {
            "is named twice"
        } else {
            continue;
        };
        return Err(Error::invalid(format!("{name} {why}")).into());
    }
    if seen.is_empty() {
        return Err(Error::invalid("a build needs a chroot").into());
    }
    Ok(project)
}

async fn find_or_make_package(tx: &Tx, project: ProjectId, name: &PackageName) -> Result<i64, TxError> {
    package::Entity::insert(package::ActiveModel {
        id: NotSet,
        project: Set(project.0),
        name: Set(name.to_string()),
    })
    .on_conflict(
        // Changes nothing; unlike doing nothing it also waits for another transaction that makes the row.
        OnConflict::columns([package::Column::Project, package::Column::Name])
            .update_column(package::Column::Name)
            .to_owned(),
    )
    .exec_without_returning(&**tx)
    .await?;
    let row = package::Entity::find()
        .filter(package::Column::Project.eq(project.0))
        .filter(package::Column::Name.eq(name.as_str()))
        .one(&**tx)
        .await?;
    Ok(row.ok_or_else(|| Error::not_found(format!("package {name}")))?.id)
}

async fn insert_build(tx: &Tx, new: &NewUpload, package: i64, now: Timestamp) -> Result<BuildId, TxError> {
    let states: Vec<BuildState> = new
        .chroots
        .iter()
        .map(|_| BuildState::Pending)
        .chain(new.skipped.iter().map(|_| BuildState::Skipped))
        .collect();
    let source_state = BuildState::Succeeded;
    let row = build::Entity::insert(build::ActiveModel {
        id: NotSet,
        project: Set(new.project.0),
        directory: Set(new.directory.to_string()),
        package: Set(Some(package)),
        version: Set(Some(new.version.clone())),
        submitter: Set(Some(new.submitter.0)),
        source_file: Set(new.srpm.file_name.clone()),
        source_sha256: Set(new.srpm.sha256.clone()),
        source_size: Set(to_number("source size", new.srpm.size)?),
        source_state: Set(source_state.as_str().to_owned()),
        canceled: Set(false),
        is_background: Set(new.options.background),
        options: Set(to_json("options", &new.options)?),
        state: Set(derive_state(false, source_state, &states).as_str().to_owned()),
        submitted_at: Set(now.as_micros()),
    })
    .exec_with_returning(&**tx)
    .await?;
    Ok(BuildId(row.id))
}

fn chroot_row(
    (build, package, new): (BuildId, i64, &NewUpload),
    name: &ChrootName,
    skipped: Option<&str>,
    now: Timestamp,
) -> build_chroot::ActiveModel {
    let state = if skipped.is_some() {
        BuildState::Skipped
    } else {
        BuildState::Pending
    };
    build_chroot::ActiveModel {
        build: Set(build.0),
        chroot: Set(name.to_string()),
        state: Set(state.as_str().to_owned()),
        started_at: Set(None),
        ended_at: Set(skipped.map(|_| now.as_micros())),
        result_directory: Set(None),
        blame: Set(skipped.map(|_| Blame::Package.as_str().to_owned())),
        reason: Set(skipped.map(reason)),
        evidence: Set(None),
        attempts: Set(i64::from(skipped.is_none())),
        package: Set(Some(package)),
        directory: Set(new.directory.to_string()),
        project: Set(new.project.0),
    }
}

fn sandbox(project: &project::Model, submitter: &account::Model) -> Result<Sandbox> {
    let of_project = Row::new("project", &project.id);
    let of_submitter = Row::new("account", &submitter.id);
    Ok(Sandbox::new(
        &of_project.parse("owner", &project.owner)?,
        &of_project.parse("name", &project.name)?,
        &of_submitter.parse("name", &submitter.name)?,
    ))
}

impl Store {
    /// Takes an uploaded source package to be built: the build, its chroots, and an attempt in the queue for
    /// each that is not skipped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a project or submitter that does not exist, [`Error::Invalid`] for a
    /// directory or chroot that is not the project's.
    pub async fn submit_upload(&self, new: &NewUpload, now: Timestamp) -> Result<Build> {
        // Made here, so that a transaction that is tried again uses the same ids.
        let attempts: BTreeMap<&ChrootName, Uuid> = new
            .chroots
            .iter()
            .map(|chroot| (chroot, Uuid::now_v7()))
            .collect();
        let attempts = &attempts;
        self.write(|tx| async move {
            let project = check(&tx, new).await?;
            let submitter = account::Entity::find_by_id(new.submitter.0).one(&*tx).await?;
            let submitter = submitter.ok_or_else(|| Error::not_found(format!("user {}", new.submitter)))?;
            let actor = format!("user:{}", submitter.name);
            let package = find_or_make_package(&tx, new.project, &new.package).await?;
            let id = insert_build(&tx, new, package, now).await?;
            let of = (id, package, new);
            let wanted = new.chroots.iter().map(|name| chroot_row(of, name, None, now));
            let skipped = new
                .skipped
                .iter()
                .map(|(name, why)| chroot_row(of, name, Some(why), now));
            build_chroot::Entity::insert_many(wanted.chain(skipped))
                .exec_without_returning(&*tx)
                .await?;
            for chroot in &new.chroots {
                // A build in a directory sees the project's own packages too.
                for directory in BTreeSet::from([new.directory.main(), new.directory.clone()]) {
                    make_repository(
                        &tx,
                        RepositoryKey {
                            project: new.project,
                            directory: &directory,
                            chroot,
                        },
                        now,
                    )
                    .await?;
                }
            }
            let sandbox = sandbox(&project, &submitter)?;
            let of = OfBuild {
                build: id.0,
                owner: &project.owner,
                is_background: new.options.background,
                sandbox: Some(sandbox.as_str()),
            };
            let rows = attempts
                .iter()
                .map(|(chroot, attempt)| new_attempt(*attempt, of, (chroot.as_str(), 1), now));
            if !attempts.is_empty() {
                attempt::Entity::insert_many(rows)
                    .exec_without_returning(&*tx)
                    .await?;
            }
            for attempt in attempts.values() {
                Entry::of_attempt(model::AttemptId(*attempt), id, &actor, "queued")
                    .states(None, AttemptState::Waiting.as_str())
                    .write(&tx, now);
            }
            let build = load_one(&tx, id)
                .await?
                .ok_or_else(|| Error::not_found(format!("build {id}")))?;
            Entry::of_build(id, &actor, "submitted")
                .states(None, build.state.as_str())
                .write(&tx, now);
            Ok(build)
        })
        .await
    }
}
