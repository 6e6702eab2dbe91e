//! Packages and the monitor: what each package's last builds came to.

use std::collections::BTreeMap;

use poem_openapi::{Object, types::Any};

use super::BuildView;

/// The last builds of a package; null when not asked for or not there.
#[derive(Debug, Object)]
pub(crate) struct PackageBuilds {
    /// The last one.
    pub(crate) latest: Option<BuildView>,
    /// The last one that succeeded.
    pub(crate) latest_succeeded: Option<BuildView>,
}

/// A package of a project.
#[derive(Debug, Object)]
#[oai(rename = "Package")]
pub(crate) struct PackageView {
    /// Its number.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// The project.
    pub(crate) projectname: String,
    /// Whose it is.
    pub(crate) ownername: String,
    /// How its sources come: `unset` when only ever uploaded.
    pub(crate) source_type: String,
    /// What the sources are made from.
    pub(crate) source_dict: Any<BTreeMap<String, String>>,
    /// Whether webhooks build it.
    pub(crate) auto_rebuild: bool,
    /// Its last builds.
    pub(crate) builds: PackageBuilds,
}

/// A package's last build in one chroot.
#[derive(Debug, Object)]
pub(crate) struct MonitorChroot {
    /// The state.
    pub(crate) state: String,
    /// Copr's number for the state.
    pub(crate) status: i64,
    /// The build.
    pub(crate) build_id: i64,
    /// What was built.
    pub(crate) pkg_version: Option<String>,
    /// The log of the build, if asked for.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) url_build_log: Option<String>,
    /// The log of what the farm did, if asked for.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) url_backend_log: Option<String>,
    /// The page of the build, if asked for.
    #[oai(skip_serializing_if_is_none)]
    pub(crate) url_build: Option<String>,
}

/// A package in the monitor.
#[derive(Debug, Object)]
pub(crate) struct MonitorPackage {
    /// Its name.
    pub(crate) name: String,
    /// By chroot.
    pub(crate) chroots: BTreeMap<String, MonitorChroot>,
}

/// The monitor of a project.
#[derive(Debug, Object)]
#[oai(rename = "Monitor")]
pub(crate) struct MonitorView {
    /// Always `ok`.
    pub(crate) output: String,
    /// In words.
    pub(crate) message: String,
    /// In the order of their names.
    pub(crate) packages: Vec<MonitorPackage>,
}
