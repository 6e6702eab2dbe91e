//! Projects and their settings.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use model::{ChrootName, DirectoryName, OwnerName, ProjectId, ProjectName, Timestamp};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, JoinType, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Statement, Value,
    sea_query::{ExprTrait as _, LikeExpr, SimpleExpr},
};
use serde::Deserialize;

use super::{
    events::Entry,
    joins::project_chroot_to_chroot,
    json::{self, Functions},
    repositories::want_publication,
};
use crate::{
    NewProject, Order, Page, Project, ProjectFilter, ProjectSettings, RepositoryKey,
    convert::{Row, check_text, or_conflict, to_json},
    database::{Store, Tx},
    entity::{account, chroot, project, project_chroot, repository, signing_key},
    error::{Error, Result, TxError},
};

/// What a search looks through, in lower case.
fn search_text(owner: &str, name: &str, settings: &ProjectSettings) -> String {
    let description = settings.description.as_deref().unwrap_or_default();
    format!("{owner}/{name}\n{description}")
        .to_lowercase()
        .replace('\0', " ")
}

fn like(text: &str) -> LikeExpr {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    LikeExpr::new(pattern).escape('\\')
}

/// What a project is made from; the fields are in the order of the columns.
#[derive(Deserialize)]
struct ProjectRow<'a> {
    id: i64,
    #[serde(borrow)]
    owner: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    settings: Cow<'a, str>,
    created_at: i64,
    /// When each chroot was made, and its name. None where there are none, on PostgreSQL.
    chroots: Option<Vec<(i64, String)>>,
}

fn project_of(row: ProjectRow<'_>) -> Result<Project> {
    let at = Row::new("project", &row.id);
    let mut chroots = row
        .chroots
        .into_iter()
        .flatten()
        .map(|(made_at, name)| {
            let chroot = Row::new("project_chroot", &row.id).parse("chroot", &name)?;
            Ok((made_at, chroot))
        })
        .collect::<Result<Vec<(i64, ChrootName)>>>()?;
    chroots.sort();
    Ok(Project {
        id: ProjectId(row.id),
        owner: at.parse("owner", &row.owner)?,
        name: at.parse("name", &row.name)?,
        settings: at.json("settings", &row.settings)?,
        chroots: chroots.into_iter().map(|(_, name)| name).collect(),
        created_at: Timestamp::from_micros(row.created_at),
    })
}

/// The projects of these rows, with their chroots, in the same order.
async fn projects_of(tx: &Tx, rows: Vec<project::Model>) -> Result<Vec<Project>, TxError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut chroots: BTreeMap<i64, Vec<(i64, String)>> = BTreeMap::new();
    if !ids.is_empty() {
        let found: Vec<(i64, String, i64)> = project_chroot::Entity::find()
            .select_only()
            .columns([project_chroot::Column::Project, project_chroot::Column::Chroot])
            .column(chroot::Column::CreatedAt)
            .join(JoinType::InnerJoin, project_chroot_to_chroot())
            .filter(project_chroot::Column::Project.is_in(ids))
            .into_tuple()
            .all(&**tx)
            .await?;
        for (project, name, made_at) in found {
            chroots.entry(project).or_default().push((made_at, name));
        }
    }
    rows.into_iter()
        .map(|row| {
            Ok(project_of(ProjectRow {
                id: row.id,
                owner: row.owner.into(),
                name: row.name.into(),
                settings: row.settings.into(),
                created_at: row.created_at,
                chroots: chroots.remove(&row.id),
            })?)
        })
        .collect()
}

async fn check_chroots(tx: &Tx, wanted: &BTreeSet<&ChrootName>) -> Result<(), TxError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let active: BTreeSet<String> = chroot::Entity::find()
        .filter(chroot::Column::Name.is_in(wanted.iter().map(|name| name.as_str())))
        .filter(chroot::Column::IsActive.eq(true))
        .all(&**tx)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    match wanted.iter().find(|name| !active.contains(name.as_str())) {
        Some(name) => Err(Error::invalid(format!("{name} is not an active chroot")).into()),
        None => Ok(()),
    }
}

async fn insert_project(tx: &Tx, new: &NewProject, now: Timestamp) -> Result<project::Model, TxError> {
    let insert = project::Entity::insert(project::ActiveModel {
        id: NotSet,
        owner: Set(new.owner.to_string()),
        name: Set(new.name.to_string()),
        created_by: Set(new.created_by.0),
        settings: Set(to_json("settings", &new.settings)?),
        search: Set(search_text(new.owner.as_str(), new.name.as_str(), &new.settings)),
        created_at: Set(now.as_micros()),
        deleted_at: Set(None),
        cleared_at: Set(None),
    });
    or_conflict(insert.exec_with_returning(&**tx).await, || {
        format!("there is a project {}/{} already", new.owner, new.name)
    })
}

impl Store {
    /// Makes a project. Its repositories are out of date from the start, so that a worker publishes them
    /// empty and signed.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the owner has one of that name, [`Error::Invalid`] for a chroot that is
    /// unknown or not active, [`Error::NotFound`] when its maker has no account.
    pub async fn create_project(&self, new: &NewProject, now: Timestamp) -> Result<Project> {
        let directory: DirectoryName = new
            .name
            .as_str()
            .parse()
            .map_err(|error| Error::invalid(format!("name: {error}")))?;
        let directory = &directory;
        self.write(|tx| async move {
            // Locked, so that who is deleted at the same time leaves no project without an owner.
            let maker = account::Entity::find_by_id(new.created_by.0)
                .filter(account::Column::DeletedAt.is_null())
                .lock_shared()
                .one(&*tx)
                .await?;
            let maker = maker.ok_or_else(|| Error::not_found(format!("user {}", new.created_by)))?;
            let chroots: BTreeSet<&ChrootName> = new.chroots.iter().collect();
            check_chroots(&tx, &chroots).await?;
            let row = insert_project(&tx, new, now).await?;
            let id = ProjectId(row.id);
            if !chroots.is_empty() {
                project_chroot::Entity::insert_many(chroots.iter().map(|chroot| {
                    project_chroot::ActiveModel {
                        project: Set(row.id),
                        chroot: Set(chroot.to_string()),
                    }
                }))
                .exec_without_returning(&*tx)
                .await?;
            }
            for chroot in chroots {
                want_publication(
                    &tx,
                    RepositoryKey {
                        project: id,
                        directory,
                        chroot,
                    },
                    now,
                )
                .await?;
            }
            Entry::new("project", id, &format!("user:{}", maker.name), "project made")
                .detail(serde_json::json!({"owner": new.owner, "name": new.name}))
                .write(&tx, now);
            one(projects_of(&tx, vec![row]).await?, id)
        })
        .await
    }

    /// Owner and name of every project, for whoever finds directories and asks whose they are.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn project_names(&self) -> Result<BTreeSet<(String, String)>> {
        self.names_of_projects(project::Column::DeletedAt.is_null()).await
    }

    /// The owners and names of projects that were deleted, and not made again.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`].
    pub async fn deleted_project_names(&self) -> Result<BTreeSet<(String, String)>> {
        let mut names = self
            .names_of_projects(project::Column::DeletedAt.is_not_null())
            .await?;
        for name in self.project_names().await? {
            names.remove(&name);
        }
        Ok(names)
    }

    async fn names_of_projects(&self, condition: SimpleExpr) -> Result<BTreeSet<(String, String)>> {
        let condition = &condition;
        let rows: Vec<(String, String)> = self
            .read(|tx| async move {
                Ok(project::Entity::find()
                    .select_only()
                    .columns([project::Column::Owner, project::Column::Name])
                    .filter(condition.clone())
                    .into_tuple()
                    .all(&*tx)
                    .await?)
            })
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// The owner's project of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn project(&self, owner: &OwnerName, name: &ProjectName) -> Result<Option<Project>> {
        let values = vec![owner.as_str().into(), name.as_str().into()];
        self.find_project("project.owner = $1 AND project.name = $2", values)
            .await
    }

    /// The project of that id.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn project_by_id(&self, id: ProjectId) -> Result<Option<Project>> {
        self.find_project("project.id = $1", vec![id.0.into()]).await
    }

    async fn find_project(&self, condition: &str, values: Vec<Value>) -> Result<Option<Project>> {
        let Functions { array, group } = json::functions(self.backend());
        let sql = format!(
            "SELECT CAST({group}({array}(
                project.id, project.owner, project.name, project.settings, project.created_at, (
                    SELECT {group}({array}(chroot.created_at, chroot.name))
                    FROM project_chroot JOIN chroot ON chroot.name = project_chroot.chroot
                    WHERE project_chroot.project = project.id
                )
            )) AS TEXT)
            FROM project WHERE {condition} AND project.deleted_at IS NULL"
        );
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let found = self.read_text(&statement).await?;
        let row = json::rows::<ProjectRow<'_>>("project", found.as_deref())?.pop();
        row.map(project_of).transpose()
    }

    /// The projects that fit.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a text that no project can hold.
    pub async fn projects(&self, filter: &ProjectFilter, page: Page) -> Result<Vec<Project>> {
        let mut condition = Condition::all();
        if let Some(owner) = &filter.owner {
            condition = condition.add(project::Column::Owner.eq(owner.as_str()));
        }
        if let Some(text) = &filter.text {
            check_text("query", text)?;
            condition =
                condition.add(sea_orm::sea_query::Expr::col(project::Column::Search).like(like(text)));
        }
        self.find_projects(condition, filter.order, page).await
    }

    async fn find_projects(&self, condition: Condition, order: Order, page: Page) -> Result<Vec<Project>> {
        let condition = &condition;
        self.read(|tx| async move {
            let all = project::Entity::find()
                .filter(condition.clone())
                .filter(project::Column::DeletedAt.is_null());
            // Projects of several owners may have one name.
            let in_order = match order {
                Order::Id => all.order_by_asc(project::Column::Id),
                Order::IdDescending => all.order_by_desc(project::Column::Id),
                Order::Name => all
                    .order_by_asc(project::Column::Name)
                    .order_by_asc(project::Column::Id),
                Order::NameDescending => all
                    .order_by_desc(project::Column::Name)
                    .order_by_desc(project::Column::Id),
            };
            let rows = in_order
                .limit(page.limit())
                .offset(page.offset())
                .all(&*tx)
                .await?;
            projects_of(&tx, rows).await
        })
        .await
    }

    /// Changes a project's settings. `change` is given those that are stored at this moment, while nobody else can
    /// change them: of two edits at the same time each keeps what the other did. It may be called more than once.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such project.
    pub async fn change_project_settings<F>(
        &self,
        id: ProjectId,
        change: F,
        now: Timestamp,
    ) -> Result<Project>
    where
        F: Fn(ProjectSettings) -> ProjectSettings + Send + Sync,
    {
        let change = &change;
        self.write(|tx| async move {
            let row = project::Entity::find_by_id(id.0)
                .filter(project::Column::DeletedAt.is_null())
                .lock_exclusive()
                .one(&*tx)
                .await?
                .ok_or_else(|| Error::not_found(format!("project {id}")))?;
            let stored: ProjectSettings = Row::new("project", &id).json("settings", &row.settings)?;
            let settings = change(stored);
            let changed = project::Model {
                settings: to_json("settings", &settings)?,
                search: search_text(&row.owner, &row.name, &settings),
                ..row
            };
            project::Entity::update_many()
                .set(project::ActiveModel {
                    settings: Set(changed.settings.clone()),
                    search: Set(changed.search.clone()),
                    ..Default::default()
                })
                .filter(project::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            Entry::new("project", id, "api", "settings changed").write(&tx, now);
            one(projects_of(&tx, vec![changed]).await?, id)
        })
        .await
    }

    /// The directories of a project for which there are repositories: its main one and those with a suffix.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn project_directories(&self, id: ProjectId) -> Result<BTreeSet<DirectoryName>> {
        let names: Vec<String> = self
            .read(|tx| async move {
                Ok(repository::Entity::find()
                    .select_only()
                    .distinct()
                    .column(repository::Column::Directory)
                    .filter(repository::Column::Project.eq(id.0))
                    .into_tuple()
                    .all(&*tx)
                    .await?)
            })
            .await?;
        let at = Row::new("project", &id);
        names.iter().map(|name| at.parse("directory", name)).collect()
    }

    /// Deletes a project and its signing key: from now on nobody finds it or its builds, and its name is free. Its rows are taken
    /// away by [`Store::clear_project`], in pieces; its own row stays, so that its id is never given out again.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] while one of its builds is not over, [`Error::NotFound`].
    pub async fn delete_project(&self, id: ProjectId, now: Timestamp) -> Result<()> {
        self.write(|tx| async move {
            let row = project::Entity::find_by_id(id.0)
                .filter(project::Column::DeletedAt.is_null())
                .lock_exclusive()
                .one(&*tx)
                .await?
                .ok_or_else(|| Error::not_found(format!("project {id}")))?;
            let open = open_attempts(&tx, id).await?;
            if open > 0 {
                return Err(Error::conflict(format!("{open} builds of project {id} are not over")).into());
            }
            project::Entity::update_many()
                .set(project::ActiveModel {
                    deleted_at: Set(Some(now.as_micros())),
                    ..Default::default()
                })
                .filter(project::Column::Id.eq(id.0))
                .exec(&*tx)
                .await?;
            // One row, and nothing may be signed with it any more: it does not wait for its turn.
            signing_key::Entity::delete_by_id(id.0).exec(&*tx).await?;
            Entry::new("project", id, "api", "project deleted")
                .detail(serde_json::json!({"owner": row.owner, "name": row.name}))
                .write(&tx, now);
            Ok(())
        })
        .await
    }
}

/// How many attempts of a project are not over. From those that are not over, of which there are few, to their builds: the
/// other way round all builds of the project would be looked at.
async fn open_attempts(tx: &Tx, id: ProjectId) -> Result<i64, TxError> {
    let sql = "SELECT count(*) FROM attempt WHERE ended_at IS NULL
        AND (SELECT build.project FROM build WHERE build.id = attempt.build) = $1";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [id.0.into()]);
    let row = tx.query_one_raw(statement).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get_by_index(0))?)
}

/// The row of a project that is not deleted.
pub(super) async fn live(tx: &Tx, id: ProjectId) -> Result<project::Model, TxError> {
    project::Entity::find_by_id(id.0)
        .filter(project::Column::DeletedAt.is_null())
        .one(&**tx)
        .await?
        .ok_or_else(|| Error::not_found(format!("project {id}")).into())
}

fn one(projects: Vec<Project>, id: ProjectId) -> Result<Project, TxError> {
    projects
        .into_iter()
        .next()
        .ok_or_else(|| Error::not_found(format!("project {id}")).into())
}
