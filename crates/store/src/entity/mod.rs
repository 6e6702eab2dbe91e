//! Rows as the database has them, one module for each table. They never leave this crate: `convert` makes
//! domain types of them. Columns of states hold short strings, moments are microseconds, JSON is text.
#![expect(unreachable_pub, reason = "the derives of sea-orm want public items")]

pub(crate) mod account;
pub(crate) mod allocation;
pub(crate) mod api_budget;
pub(crate) mod attempt;
pub(crate) mod build;
pub(crate) mod build_chroot;
pub(crate) mod builder;
pub(crate) mod builder_console;
pub(crate) mod chroot;
pub(crate) mod cloud_trouble;
pub(crate) mod collected_package;
pub(crate) mod event;
pub(crate) mod fleet_file;
pub(crate) mod fleet_lease;
pub(crate) mod hook_run;
pub(crate) mod host;
pub(crate) mod ignored_instance;
pub(crate) mod image_choice;
pub(crate) mod intent;
pub(crate) mod launch_attempt;
pub(crate) mod other_machines;
pub(crate) mod package;
pub(crate) mod pool;
pub(crate) mod pool_version;
pub(crate) mod project;
pub(crate) mod project_chroot;
pub(crate) mod repository;
pub(crate) mod shortage;
pub(crate) mod sighting;
pub(crate) mod signing_key;
pub(crate) mod snapshot;
