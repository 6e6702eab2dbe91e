//! The monitor: each package's last build in each chroot.

use std::collections::BTreeMap;

use poem::Request;
use poem_openapi::{OpenApi, param::Query, payload::Json};
use store::{Build, BuildChroot, BuildFilter};

use super::Chapter;
use crate::{
    http::{
        error::{Answer, ApiError},
        paging::Paging,
    },
    lookup::{find_project, shown},
    state::ApiState,
    view::{self, MonitorChroot, MonitorPackage, MonitorView},
};

/// What can be asked for beside the usual.
const FIELDS: [&str; 3] = ["url_build_log", "url_backend_log", "url_build"];

pub(crate) struct MonitorApi(pub(crate) ApiState);

#[OpenApi(tag = "Chapter::Package")]
impl MonitorApi {
    /// Shows the last build of each package in each chroot.
    #[oai(path = "/api_3/monitor", method = "get", operation_id = "get_monitor")]
    async fn get(
        &self,
        request: &Request,
        /// Whose project.
        ownername: Query<String>,
        /// Which project.
        projectname: Query<String>,
        /// Only of this directory.
        project_dirname: Query<Option<String>>,
        /// What to show beside the usual: `url_build_log`, `url_backend_log`, `url_build`. May be repeated.
        #[oai(name = "additional_fields[]")]
        _additional_fields: Query<Option<String>>,
    ) -> Answer<Json<MonitorView>> {
        let fields = requested_fields(request)?;
        let project = find_project(&self.0, &ownername, &projectname).await?;
        let filter = BuildFilter {
            project: Some(project.id),
            ..BuildFilter::default()
        };
        let builds = Paging::read(None, None, None, None)?
            .builds(self.0.store(), &filter)
            .await?;
        let directory = project_dirname.0.unwrap_or_else(|| project.name.to_string());
        let mut packages: BTreeMap<String, BTreeMap<String, MonitorChroot>> = BTreeMap::new();
        // Newest first: the first that is seen of a package and a chroot is the last that was built.
        for build in builds
            .iter()
            .filter(|build| build.directory.as_str() == directory)
        {
            let Some(package) = &build.package else { continue };
            let chroots = packages.entry(package.to_string()).or_default();
            for chroot in build
                .chroots
                .iter()
                .filter(|chroot| project.chroots.contains(&chroot.name))
            {
                chroots
                    .entry(chroot.name.to_string())
                    .or_insert_with(|| self.cell(build, chroot, &fields));
            }
        }
        let packages = packages
            .into_iter()
            .filter(|(_, chroots)| !chroots.is_empty())
            .map(|(name, chroots)| MonitorPackage { name, chroots })
            .collect();
        Ok(Json(MonitorView {
            output: "ok".to_owned(),
            message: "monitor request successful".to_owned(),
            packages,
        }))
    }
}

impl MonitorApi {
    fn cell(&self, build: &Build, chroot: &BuildChroot, fields: &[String]) -> MonitorChroot {
        let settings = self.0.settings();
        let wants = |name: &str| fields.iter().any(|field| field == name);
        let log = |wanted: &str, file: &str| {
            let base = view::result_url(build, chroot, settings)?;
            wants(wanted).then(|| format!("{base}{file}"))
        };
        MonitorChroot {
            state: chroot.state.to_string(),
            status: i64::from(chroot.state.copr_number()),
            build_id: build.id.0,
            pkg_version: build.version.clone(),
            url_build_log: log("url_build_log", "builder-live.log"),
            url_backend_log: log("url_backend_log", "backend.log"),
            url_build: wants("url_build").then(|| settings.url(&format!("/coprs/build/{}", build.id))),
        }
    }
}

fn requested_fields(request: &Request) -> Answer<Vec<String>> {
    let pairs: Vec<(String, String)> = request
        .params()
        .map_err(|error| ApiError::Invalid(error.to_string()))?;
    let fields: Vec<String> = pairs
        .into_iter()
        .filter(|(name, _)| name == "additional_fields[]")
        .map(|(_, value)| value)
        .collect();
    match fields.iter().find(|field| !FIELDS.contains(&field.as_str())) {
        Some(unknown) => Err(ApiError::Invalid(format!(
            "Wrong additional_fields argument(s): '{}'; there are {}.",
            shown(unknown),
            FIELDS.join(", ")
        ))),
        None => Ok(fields),
    }
}
