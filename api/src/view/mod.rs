//! What goes over the wire, and how it is made from what the database knows. Field names and types are
//! Copr's where the operation is Copr's: its command line prints them straight through, so they are an
//! interface for people as well.

mod addresses;
mod build;
mod dnf;
mod farm;
mod package;
mod project;

pub(crate) use build::{
    BOOTSTRAPS, BuildArguments, BuildChrootConfigView, BuildChrootView, BuildIds, BuildView, BuiltPackages,
    ISOLATIONS, Message, RepositoryView, SourceChrootView, UploadArguments, built_packages, result_directory,
    result_url, source_path,
};
pub(crate) use dnf::{DnfArchitecture, DnfDependency, DnfDirectory, DnfOptions, DnfRepositories};
pub(crate) use farm::{
    AttemptView, BuilderView, EventView, FleetView, HealthView, LogChunk, LogView, PoolView, QueueEntry,
    QueueView,
};
pub(crate) use package::{LatestBuilds, MonitorChroot, MonitorPackage, MonitorView, PackageView};
pub(crate) use project::{
    IdentityView, NoArguments, ProjectAddArguments, ProjectChrootConfigView, ProjectChrootView,
    ProjectEditArguments, ProjectView, TokenView, VersionView,
};

use std::fmt::Display;

use model::{ChrootName, OwnerName, Timestamp};

use crate::settings::ApiSettings;

/// The address of a project's repository for one chroot, with a slash at its end.
pub(crate) fn chroot_url(
    settings: &ApiSettings,
    owner: &OwnerName,
    directory: &dyn Display,
    chroot: &ChrootName,
) -> String {
    settings.url(format_args!("/results/{owner}/{directory}/{chroot}/"))
}

/// A moment in RFC 3339, in UTC.
pub(crate) fn moment(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}
