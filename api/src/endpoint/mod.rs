//! The operations of the OpenAPI document, one file for each resource. A handler parses, asks the database
//! or one function of ours, and shows the answer through [`crate::view`].

mod attempt;
mod build;
mod build_chroot;
mod build_create;
mod event;
mod fleet;
mod general;
mod monitor;
mod package;
mod project;
mod project_chroot;
mod project_write;
mod rpmrepo;

pub(crate) use attempt::AttemptApi;
pub(crate) use build::BuildApi;
pub(crate) use build_chroot::BuildChrootApi;
pub(crate) use build_create::{BuildCreateApi, KINDS};
pub(crate) use event::EventApi;
pub(crate) use fleet::FleetApi;
pub(crate) use general::GeneralApi;
pub(crate) use monitor::MonitorApi;
pub(crate) use package::PackageApi;
pub(crate) use project::{ProjectApi, SHORTEST_QUERY};
pub(crate) use project_chroot::ProjectChrootApi;
pub(crate) use project_write::ProjectWriteApi;
pub(crate) use rpmrepo::RpmrepoApi;

use poem_openapi::Tags;

/// The chapters of the document.
#[derive(Tags)]
pub(crate) enum Chapter {
    /// Copr's API version 3: the caller, API tokens, chroots.
    General,
    /// Copr's API version 3: projects.
    Project,
    /// Copr's API version 3: builds and their chroots.
    Build,
    /// Copr's API version 3: packages and the monitor.
    Package,
    /// The farm: fleet, queue, attempts, logs and events.
    Farm,
}
