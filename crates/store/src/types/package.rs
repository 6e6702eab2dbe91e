//! Packages of projects, with their last builds.

use std::{collections::BTreeMap, sync::Arc};

use model::{ChrootName, PackageId, PackageName};

use super::Build;

/// A package of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// It stays the same whatever builds come and go.
    pub id: PackageId,
    /// The name in the headers of its source packages; unique in its project.
    pub name: PackageName,
}

/// Which builds of a package to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastBuilds {
    /// Its last build, whatever came of it.
    pub latest: bool,
    /// Its last build that succeeded.
    pub succeeded: bool,
}

/// A package with those of its last builds that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageBuilds {
    pub package: Package,
    /// Its last build; `None` when it has none, or nobody asked.
    pub latest: Option<Arc<Build>>,
    /// Its last build that succeeded; `None` when it has none, or nobody asked.
    pub latest_succeeded: Option<Arc<Build>>,
}

/// The last build of a package in each chroot in which it was built.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageChroots {
    pub package: PackageName,
    /// One build may be the last of several chroots.
    pub last: BTreeMap<ChrootName, Arc<Build>>,
}

/// A part of a project's monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MonitorPage {
    /// In the order of their names.
    pub packages: Vec<PackageChroots>,
    /// After which package to go on; `None` at the end. After a last page that is full there is an empty one.
    pub next: Option<PackageName>,
}
