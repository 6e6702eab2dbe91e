//! The monitor: each package's last build in each chroot.

use std::{collections::BTreeMap, io};

use futures_util::stream;
use model::{ChrootName, DirectoryName, PackageName};
use poem_openapi::{OpenApi, param::Query};
use store::{Build, MonitorPage, PackageChroots, Project};

use super::Chapter;
use crate::{
    files::log::LOG,
    http::{
        error::{Answer, with_causes},
        parameters::{MonitorField, Of},
        streamed::Streamed,
    },
    lookup::{find_directory, find_project, main_directory},
    state::ApiState,
    view::{self, MonitorChroot, MonitorPackage, MonitorView},
};

/// How many packages are read at a time.
const PORTION: u64 = 200;

/// How every answer begins; the words are Copr's.
const HEAD: &str = r#"{"output": "ok", "message": "Project monitor request successful", "packages": ["#;

#[derive(Clone)]
pub(crate) struct MonitorApi(pub(crate) ApiState);

/// The project, the directory and the fields that are asked for.
struct Asked {
    project: Project,
    directory: DirectoryName,
    fields: Vec<MonitorField>,
}

#[OpenApi(tag = "Chapter::Package")]
impl MonitorApi {
    /// Shows the last build of each package of a project in each of its chroots.
    #[oai(path = "/api_3/monitor", method = "get", operation_id = "get_monitor")]
    async fn get(
        &self,
        /// The name of the project's owner: a user such as `alice`, or a group such as `@team`.
        ownername: Query<String>,
        /// The name of the project, such as `demo`.
        projectname: Query<String>,
        /// Show only the builds of this directory of the project, such as `demo:pr:1`; those of the main directory, `demo`, unless given.
        project_dirname: Query<Option<String>>,
        /// A field to show of each build besides the usual ones. May be given several times.
        #[oai(name = "additional_fields[]")]
        additional_fields: Query<Option<Vec<Of<MonitorField>>>>,
    ) -> Answer<Streamed<MonitorView>> {
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let asked = Asked {
            directory: match project_dirname.0.as_deref().filter(|name| !name.is_empty()) {
                Some(name) => find_directory(&self.0, &project, name).await?,
                None => main_directory(&project)?,
            },
            fields: additional_fields
                .0
                .unwrap_or_default()
                .into_iter()
                .map(|Of(field)| field)
                .collect(),
            project,
        };
        // A fault of the first portion has a status of its own; later ones can only end the answer.
        let first = self.page(&asked, None).await?;
        let api = self.clone();
        Ok(Streamed::new(stream::unfold(
            Some((api, asked, Next::Head(first))),
            move |state| async move {
                let (api, asked, next) = state?;
                let (text, next) = match api.piece(&asked, next).await {
                    Ok((text, next)) => (text, next),
                    Err(error) => return Some((Err(error), None)),
                };
                Some((Ok(text), next.map(|next| (api, asked, next))))
            },
        )))
    }
}

/// Which piece of the answer comes next.
enum Next {
    Head(MonitorPage),
    After(PackageName, bool),
}

impl MonitorApi {
    async fn page(&self, asked: &Asked, after: Option<&PackageName>) -> Answer<MonitorPage> {
        Ok(self
            .0
            .store()
            .monitor(asked.project.id, &asked.directory, after, PORTION)
            .await?)
    }

    /// The text of a piece, and what comes after it.
    async fn piece(&self, asked: &Asked, next: Next) -> io::Result<(String, Option<Next>)> {
        let (mut text, page, mut is_first) = match next {
            Next::Head(page) => (HEAD.to_owned(), page, true),
            Next::After(package, is_first) => match self.page(asked, Some(&package)).await {
                Ok(page) => (String::new(), page, is_first),
                Err(error) => {
                    tracing::warn!(
                        project = asked.project.id.0,
                        error = %with_causes(&error),
                        "A monitor could not be shown to its end."
                    );
                    return Err(io::Error::other("the database failed"));
                }
            },
        };
        for package in &page.packages {
            if !is_first {
                text.push_str(",\n");
            }
            is_first = false;
            text.push_str(&serde_json::to_string(&self.row(package, &asked.fields))?);
        }
        let next = page.next.map(|package| Next::After(package, is_first));
        if next.is_none() {
            text.push_str("]}");
        }
        Ok((text, next))
    }

    fn row(&self, package: &PackageChroots, fields: &[MonitorField]) -> MonitorPackage {
        let cells: BTreeMap<String, MonitorChroot> = package
            .last
            .iter()
            .filter_map(|(name, build)| Some((name.to_string(), self.cell(build, name, fields)?)))
            .collect();
        MonitorPackage {
            name: package.package.to_string(),
            chroots: cells,
        }
    }

    fn cell(&self, build: &Build, name: &ChrootName, fields: &[MonitorField]) -> Option<MonitorChroot> {
        let chroot = build.chroots.iter().find(|chroot| chroot.name == *name)?;
        let settings = self.0.settings();
        let address = |file: &str| Some(format!("{}{file}", view::result_url(build, chroot, settings)?));
        let wants = |field: MonitorField| fields.contains(&field);
        Some(MonitorChroot {
            state: chroot.state.to_string(),
            status: i64::from(chroot.state.copr_number()),
            build_id: build.id.0,
            pkg_version: build.version.clone(),
            url_build_log: wants(MonitorField::BuildLog).then(|| address(LOG)).flatten(),
            // It is written with the results.
            url_backend_log: wants(MonitorField::BackendLog)
                .then(|| address("backend.log"))
                .flatten()
                .filter(|_| chroot.result_directory.is_some()),
            url_build: wants(MonitorField::Build)
                .then(|| settings.url(format_args!("/coprs/build/{}", build.id))),
        })
    }
}
