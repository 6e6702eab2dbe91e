//! Making, changing and deleting projects.

use std::{collections::BTreeSet, time::Duration};

use model::{ChrootName, DirectoryName, OwnerName, ProjectName, RepositoryAddress, RepositoryPlace};
use poem_openapi::{OpenApi, param::Path, param::Query};
use store::{NewProject, Project, ProjectSettings, RepositoryKey};

use super::Chapter;
use crate::{
    caller::Caller,
    files::removal,
    http::{
        arguments::Arguments,
        error::{Answer, ApiError},
        parameters::{Flag, Of},
        written::Written,
    },
    lookup::{find_project, main_directory, shown},
    state::ApiState,
    view::{NoArguments, ProjectAddArguments, ProjectEditArguments, ProjectView},
};

/// How long an answer waits for a new project's repositories, and how often it looks.
const REPOSITORY_TIMEOUT: Duration = Duration::from_secs(20);
const REPOSITORY_POLL: Duration = Duration::from_millis(50);

pub(crate) struct ProjectWriteApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Project")]
impl ProjectWriteApi {
    /// Creates a project. Its repositories exist from then on, empty and signed with a key of its own.
    #[oai(
        path = "/api_3/project/add/:ownername",
        method = "post",
        operation_id = "create_project"
    )]
    async fn add(
        &self,
        caller: Caller,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Path<String>,
        /// Whether to answer with the project if there is one of that name already, instead of refusing. It is not changed then.
        exist_ok: Query<Option<Of<Flag>>>,
        arguments: Arguments<ProjectAddArguments>,
    ) -> Answer<Written<ProjectView>> {
        let owner = self.check_owner(&caller, &ownername)?;
        // An operator may act for others, and whoever got that name later would own the project.
        if self.0.store().user_by_name(&owner).await?.is_none() {
            return Err(ApiError::NotFound(format!("User '{owner}' does not exist.")));
        }
        let arguments = arguments.check()?;
        let exist_ok = exist_ok.0.is_some_and(|Of(Flag(is_ok))| is_ok);
        let name: ProjectName = arguments
            .name
            .parse()
            .map_err(|error| ApiError::Invalid(format!("name: {error}.")))?;
        if let Some(project) = self.0.store().project(&owner, &name).await? {
            return self.already_there(&caller, &project, exist_ok);
        }
        check_operator_settings(&caller, &arguments.rest, &ProjectSettings::default())?;
        self.check_repositories(&arguments.rest).await?;
        let chroots = self
            .read_chroots(arguments.rest.chroots.as_deref().unwrap_or_default())
            .await?;
        let settings = arguments.rest.apply(ProjectSettings::default());
        let new = NewProject {
            owner,
            name,
            created_by: caller.0.id,
            settings,
            chroots,
        };
        match self.0.store().create_project(&new, self.0.now()).await {
            Ok(project) => {
                tracing::info!(project = project.id.0, owner = %project.owner, name = %project.name, "Made a project.");
                self.await_repositories(&project).await;
                Ok(Written(ProjectView::new(&project, self.0.settings())))
            }
            // Somebody was faster.
            Err(error @ store::Error::Conflict { .. }) => {
                match self.0.store().project(&new.owner, &new.name).await? {
                    Some(project) => self.already_there(&caller, &project, exist_ok),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the settings of a project.
    #[oai(
        path = "/api_3/project/edit/:ownername/:projectname",
        method = "put",
        operation_id = "edit_project"
    )]
    async fn edit(
        &self,
        caller: Caller,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Path<String>,
        /// The name of the project, such as `demo`.
        projectname: Path<String>,
        arguments: Arguments<ProjectEditArguments>,
    ) -> Answer<Written<ProjectView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        caller.check_may_edit(&project)?;
        let mut arguments = arguments.check()?;
        check_operator_settings(&caller, &arguments, &project.settings)?;
        if !caller.0.is_operator {
            // They say what is so already. Should an operator change it in this moment, the owner must not undo that.
            arguments.persistent = None;
            arguments.auto_prune = None;
        }
        match arguments.chroots.as_deref() {
            Some([]) => {
                return Err(ApiError::Invalid(
                    "chroots: At least one chroot must be selected".to_owned(),
                ));
            }
            Some(names) => self.check_same_chroots(&project, names).await?,
            None => {}
        }
        self.check_repositories(&arguments).await?;
        let changed = self
            .0
            .store()
            .change_project_settings(project.id, |stored| arguments.apply(stored), self.0.now())
            .await?;
        Ok(Written(ProjectView::new(&changed, self.0.settings())))
    }

    /// Deletes a project with its builds and repositories.
    #[oai(
        path = "/api_3/project/delete/:ownername/:projectname",
        method = "delete",
        operation_id = "delete_project"
    )]
    async fn delete(
        &self,
        caller: Caller,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Path<String>,
        /// The name of the project, such as `demo`.
        projectname: Path<String>,
        arguments: Arguments<NoArguments>,
    ) -> Answer<Written<ProjectView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        caller.check_may_edit(&project)?;
        arguments.check()?;
        if project.settings.persistent && !caller.0.is_operator {
            return Err(ApiError::Invalid(
                "The project is persistent and can only be deleted by an operator.".to_owned(),
            ));
        }
        let view = ProjectView::new(&project, self.0.settings());
        match self.0.store().delete_project(project.id, self.0.now()).await {
            Ok(()) => {}
            Err(store::Error::Conflict { .. }) => {
                return Err(ApiError::Invalid(
                    "Cannot delete a project with builds in progress.".to_owned(),
                ));
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(project = project.id.0, user = %caller.name(), "Deleted a project.");
        removal::remove_project_results(&self.0, &project).await;
        Ok(Written(view))
    }

    /// Does nothing, for Copr's clients: the metadata of a project's repositories are never out of date.
    #[oai(
        path = "/api_3/project/regenerate-repos/:ownername/:projectname",
        method = "put",
        operation_id = "regenerate_repositories"
    )]
    async fn regenerate(
        &self,
        caller: Caller,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Path<String>,
        /// The name of the project, such as `demo`.
        projectname: Path<String>,
    ) -> Answer<Written<ProjectView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        caller.check_may_edit(&project)?;
        Ok(Written(ProjectView::new(&project, self.0.settings())))
    }
}

impl ProjectWriteApi {
    fn check_owner(&self, caller: &Caller, ownername: &str) -> Answer<OwnerName> {
        if ownername.starts_with('@') {
            return Err(ApiError::Invalid(format!(
                "ownername: '{}' is a group, and this server has no groups yet: use your own name.",
                shown(ownername)
            )));
        }
        let owner: OwnerName = ownername
            .parse()
            .map_err(|error| ApiError::Invalid(format!("ownername: {error}.")))?;
        if !caller.may_act_for(&owner) {
            return Err(ApiError::Forbidden(format!(
                "You were authorized as '{}' user without permissions to access projects of user '{owner}'",
                caller.name()
            )));
        }
        Ok(owner)
    }

    /// Refuses repositories of projects and directories that this farm does not have.
    async fn check_repositories(&self, arguments: &ProjectEditArguments) -> Answer<()> {
        let mut mistakes = Vec::new();
        for (field, repositories) in [
            ("repos", &arguments.repos),
            ("runtime_dependencies", &arguments.runtime_dependencies),
        ] {
            for text in repositories.iter().flatten() {
                if let Some(mistake) = self.unknown_name(text).await? {
                    mistakes.push(format!("{field}: '{}' is refused: {mistake}.", shown(text)));
                }
            }
        }
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(mistakes.join("\n")))
        }
    }

    /// Which name is unknown in the address of a repository, if it is one of this farm's.
    async fn unknown_name(&self, address: &str) -> Answer<Option<String>> {
        let Some((owner, directory)) = of_farm(address) else {
            return Ok(None);
        };
        let name: ProjectName = match directory.main().as_str().parse() {
            Ok(name) => name,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let store = self.0.store();
        if let Some(project) = store.project(&owner, &name).await? {
            // The first build of a directory makes its repositories; until then every build that is to use them fails.
            let is_there = main_directory(&project)? == directory
                || store.project_directories(project.id).await?.contains(&directory);
            return Ok((!is_there).then(|| {
                format!(
                    "the project '{owner}/{name}' has no directory '{directory}'; its first build makes it"
                )
            }));
        }
        Ok(Some(if store.user_by_name(&owner).await?.is_none() {
            format!("there is no user '{owner}'")
        } else {
            format!("the user '{owner}' has no project '{name}'")
        }))
    }

    fn already_there(
        &self,
        caller: &Caller,
        project: &Project,
        exist_ok: bool,
    ) -> Answer<Written<ProjectView>> {
        if exist_ok {
            return Ok(Written(ProjectView::new(project, self.0.settings())));
        }
        Err(ApiError::Invalid(if *caller.name() == project.owner {
            format!("name: You already have a project named '{}'.", project.name)
        } else {
            format!(
                "name: User '{}' already has a project named '{}'.",
                project.owner, project.name
            )
        }))
    }

    async fn read_chroots(&self, names: &[String]) -> Answer<Vec<ChrootName>> {
        let offered = self.0.store().chroots().await?;
        let mut chosen = Vec::new();
        let mut mistakes = Vec::new();
        for name in names {
            match offered
                .iter()
                .find(|chroot| chroot.is_active && chroot.name.as_str() == name)
            {
                Some(chroot) if chosen.contains(&chroot.name) => {}
                Some(chroot) => chosen.push(chroot.name.clone()),
                None => mistakes.push(format!(
                    "chroots: '{}' is not a valid choice for this field.",
                    shown(name)
                )),
            }
        }
        if mistakes.is_empty() {
            Ok(chosen)
        } else {
            Err(ApiError::Invalid(mistakes.join("\n")))
        }
    }

    /// Waits until each repository of a new project has its first, empty state: whoever has an answer may use
    /// the project at once. The project is there in any case, so that a failure here is only told to the log.
    async fn await_repositories(&self, project: &Project) {
        let waiting = async {
            for chroot in &project.chroots {
                while !self.has_repository(project, chroot).await? {
                    tokio::select! {
                        () = self.0.shutdown().cancelled() => return Ok(()),
                        () = tokio::time::sleep(REPOSITORY_POLL) => {}
                    }
                }
            }
            Ok::<(), ApiError>(())
        };
        match tokio::time::timeout(REPOSITORY_TIMEOUT, waiting).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(project = project.id.0, %error, "Whether the repositories of a new project exist is not known.");
            }
            Err(_) => tracing::warn!(
                project = project.id.0,
                "The repositories of a new project are not there yet. Does a worker run?"
            ),
        }
    }

    async fn has_repository(&self, project: &Project, chroot: &ChrootName) -> Answer<bool> {
        let directory = main_directory(project)?;
        let key = RepositoryKey {
            project: project.id,
            directory: &directory,
            chroot,
        };
        Ok(self.0.store().is_published(key).await?)
    }

    async fn check_same_chroots(&self, project: &Project, names: &[String]) -> Answer<()> {
        let wanted: BTreeSet<ChrootName> = self.read_chroots(names).await?.into_iter().collect();
        if wanted == project.chroots.iter().cloned().collect() {
            return Ok(());
        }
        Err(ApiError::Invalid(
            "chroots: this server cannot change the chroots of a project yet; make a new project.".to_owned(),
        ))
    }
}

/// The owner and the directory that an address names, if it is of this farm.
fn of_farm(address: &str) -> Option<(OwnerName, DirectoryName)> {
    match RepositoryAddress::parse(address).ok()?.place {
        RepositoryPlace::Farm { owner, directory } => Some((owner, directory)),
        RepositoryPlace::Web(_) => None,
    }
}

/// Refuses what only operators may change of a project whose settings are `present`.
fn check_operator_settings(
    caller: &Caller,
    arguments: &ProjectEditArguments,
    present: &ProjectSettings,
) -> Answer<()> {
    let storage = arguments.storage.as_deref().filter(|storage| !storage.is_empty());
    if storage.is_some_and(|storage| storage != "backend") && caller.0.is_operator {
        return Err(ApiError::Invalid("storage: Must be one of: backend.".to_owned()));
    }
    if caller.0.is_operator {
        return Ok(());
    }
    // The words are Copr's, where it has any.
    let mut refusals = Vec::new();
    match arguments
        .persistent
        .filter(|wanted| *wanted != present.persistent)
    {
        Some(true) => refusals.push("Non-admin cannot create persistent project."),
        Some(false) => refusals.push("Non-admin cannot lift the protection of a persistent project."),
        None => {}
    }
    match arguments
        .auto_prune
        .filter(|wanted| *wanted != present.auto_prune)
    {
        Some(false) => refusals.push("Non-admin cannot disable auto-prunning."),
        Some(true) => refusals.push("Non-admin cannot enable auto-prunning that an admin has disabled."),
        None => {}
    }
    if storage.is_some() {
        refusals.push("Non-admin cannot set storage");
    }
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(ApiError::Forbidden(refusals.join("\n")))
    }
}
