//! Packages and the monitor: what each package's last builds came to.

use std::collections::BTreeMap;

use poem_openapi::{Object, types::Any};
use serde::Serialize;

use super::BuildView;

/// The last builds of a package.
#[derive(Debug, Object)]
pub(crate) struct LatestBuilds {
    /// The last build; null when it was not asked for or there is none.
    pub(crate) latest: Option<BuildView>,
    /// The last build that succeeded; null when it was not asked for or there is none.
    pub(crate) latest_succeeded: Option<BuildView>,
}

/// A package of a project: all builds of the project whose source packages have its name.
#[derive(Debug, Object)]
#[oai(rename = "Package")]
pub(crate) struct PackageView {
    /// The package's number, which stays the same for as long as its project exists.
    pub(crate) id: i64,
    /// The package's name, such as `hello`.
    pub(crate) name: String,
    /// The name of the project that the package belongs to.
    pub(crate) projectname: String,
    /// The name of the project's owner.
    pub(crate) ownername: String,
    /// Where the package's sources come from. Always `unset`: only uploaded source packages are built.
    pub(crate) source_type: String,
    /// The settings of that source. Always empty: an uploaded source package has none.
    pub(crate) source_dict: Any<BTreeMap<String, String>>,
    /// Whether a webhook starts builds of the package. Always false.
    pub(crate) auto_rebuild: bool,
    /// The package's last builds, as far as the request asks for them.
    pub(crate) builds: LatestBuilds,
}

/// A package's last build in one chroot.
#[derive(Debug, Object, Serialize)]
pub(crate) struct MonitorChroot {
    /// The number of the build.
    pub(crate) build_id: i64,
    /// The version and release that were built, such as `1.0-1`, with the epoch if there is one; null until it is known.
    pub(crate) pkg_version: Option<String>,
    /// The state of the build in this chroot: `importing`, `waiting`, `pending` (in the queue), `starting`, `running`,
    /// `succeeded`, `failed`, `canceled`, `skipped` or `forked`.
    pub(crate) state: String,
    /// The same state as Copr's number for it, such as 0 for `failed` and 1 for `succeeded`.
    pub(crate) status: i64,
    /// The address of the farm's own log of the build, if it was asked for and is there: it is written when the build ends.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_backend_log: Option<String>,
    /// The address of the build's page, if it was asked for.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_build: Option<String>,
    /// The address of the build's log, if it was asked for.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_build_log: Option<String>,
}

/// A package of a project, with its last build in each chroot.
#[derive(Debug, Object, Serialize)]
pub(crate) struct MonitorPackage {
    /// Its last build in each chroot, by the chroot's name; a chroot in which it was never built is left out.
    pub(crate) chroots: BTreeMap<String, MonitorChroot>,
    /// The package's name, such as `hello`.
    pub(crate) name: String,
}

/// The last builds of all packages of a project.
#[derive(Debug, Object)]
#[oai(rename = "Monitor")]
pub(crate) struct MonitorView {
    /// Always `ok`.
    pub(crate) output: String,
    /// A sentence for people; programs should not read it.
    pub(crate) message: String,
    /// The packages that were built in the directory, in at least one of the project's chroots, sorted by name. A package that only
    /// other directories have is not among them.
    pub(crate) packages: Vec<MonitorPackage>,
}
