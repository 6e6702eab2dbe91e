//! An EC2-compatible cloud in one machine, whose instances are real hosts.
//!
//! It answers Amazon's Query API on loopback, so that the farm reaches it exactly as it reaches Amazon, and
//! makes every instance a host of its own from namespaces and an overlay over a shared image. It is the default
//! cloud of `verdigris up` and the place where faults are made on purpose.
//!
//! It must never import another crate of the farm, never keep a fact only in memory that a client has been told
//! (the [`ledger`] holds them all), and never leave a process, mount or namespace that the ledger does not list.
//!
//! Start reading at [`cloud`]; `api` is what clients see, [`Profile`] what the dialects differ in, `faults` what goes wrong on
//! purpose. Their language is the package `devcloud-dialect`, the machines are
//! the package `devcloud-machines`, which this one shows as [`hypervisor`], [`guest`] and [`machine`].

mod addresses;
mod api;
pub mod cloud;
pub mod config;
mod error;
mod faults;
mod images;
mod instance_types;
pub mod ledger;
mod life;
mod machines;
mod metadata;
mod profile;
pub mod proxy;
pub mod testing;

pub use cloud::Cloud;
pub use config::{Capacity, CloudConfig, Forward, ImageConfig};
pub use devcloud_machines::{guest, hypervisor, machine};
pub use error::{Error, describe};
pub use instance_types::instance_type_names;
pub use profile::Profile;
