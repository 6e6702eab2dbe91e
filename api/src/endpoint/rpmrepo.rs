//! What dnf 5 asks for to enable a project.

use std::collections::BTreeMap;

use model::RepositoryPlace;
use poem_openapi::{OpenApi, param::Path, payload::Json};
use store::Project;

use super::Chapter;
use crate::{
    http::error::Answer,
    lookup::{find_directory, find_project, main_directory},
    repositories,
    state::ApiState,
    view::{DnfArchitecture, DnfDependency, DnfDirectory, DnfOptions, DnfRepositories},
};

pub(crate) struct RpmrepoApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Project")]
impl RpmrepoApi {
    /// Describes a project's repositories, for dnf 5.
    #[oai(
        path = "/api_3/rpmrepo/:ownername/:dirname/:name_release",
        method = "get",
        operation_id = "get_rpmrepo"
    )]
    async fn get(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Path<String>,
        /// The directory of the project, such as `demo` or `demo:pr:1`.
        dirname: Path<String>,
        /// A distribution and its release, such as `fedora-43`. The answer has the repositories of all releases.
        name_release: Path<String>,
    ) -> Answer<Json<DnfRepositories>> {
        let main = dirname.split(':').next().unwrap_or_default();
        let project = find_project(&self.0, &ownername, main).await?;
        find_directory(&self.0, &project, &dirname).await?;
        let mut directories = self.0.store().project_directories(project.id).await?;
        directories.insert(main_directory(&project)?);
        let opts = DnfOptions {
            priority: project.settings.repo_priority,
            module_hotfixes: project.settings.module_hotfixes.then(|| "1".to_owned()),
        };
        let mut repos: BTreeMap<_, BTreeMap<_, BTreeMap<_, _>>> = BTreeMap::new();
        // dnf 5 falls back to other releases by itself, so it is told of all there are.
        for chroot in &project.chroots {
            repos
                .entry(chroot.name_release().to_owned())
                .or_default()
                .entry("arch".to_owned())
                .or_default()
                .insert(
                    chroot.architecture().to_owned(),
                    DnfArchitecture { opts: opts.clone() },
                );
        }
        tracing::trace!(
            release = name_release.as_str(),
            "Described the repositories of a project."
        );
        Ok(Json(DnfRepositories {
            results_url: self.0.url("/results"),
            repos,
            directories: directories
                .into_iter()
                .map(|name| {
                    let stays = DnfDirectory {
                        delete_after_days: None,
                    };
                    (name.to_string(), stays)
                })
                .collect(),
            dependencies: self.dependencies(&project),
        }))
    }
}

impl RpmrepoApi {
    /// dnf 5 copies `opts` into the sections that it writes: without an id there is no section.
    fn dependencies(&self, project: &Project) -> Vec<DnfDependency> {
        let host = repositories::host(&self.0);
        let needed_by = format!("{}/{}", project.owner, project.name);
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut found = Vec::new();
        // In this answer, unlike in a `.repo` file, Copr counts on from its own projects to foreign repositories.
        for (dependency, number) in repositories::dependencies(project).into_iter().zip(1..) {
            let (id, name) = dependency.id_and_name(&host, &needed_by, number);
            let priority = dependency.address.priority;
            let (kind, data) = match dependency.address.place {
                RepositoryPlace::Farm { owner, directory } => (
                    "copr",
                    BTreeMap::from([
                        pair("owner", owner.to_string()),
                        pair("projectname", directory.to_string()),
                    ]),
                ),
                RepositoryPlace::Web(pattern) => {
                    ("external_baseurl", BTreeMap::from([pair("pattern", pattern)]))
                }
            };
            let mut opts = BTreeMap::from([pair("id", id), pair("name", name)]);
            opts.extend(priority.map(|priority| pair("priority", priority.to_string())));
            found.push(DnfDependency {
                kind: kind.to_owned(),
                opts,
                data,
            });
        }
        found
    }
}
