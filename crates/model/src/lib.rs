//! The functional core of the farm: ids, names, states, transitions, limits and plans.
//!
//! Nothing here does I/O, reads a clock or the environment, is async, or draws random numbers: whatever a
//! decision depends on is an argument, and the same arguments give the same answer. Maps are ordered, so
//! that iteration order never reaches a plan.
//!
//! Start with [`build`] (what users see), [`attempt`] (one try on one builder), [`builder`] (one rented
//! machine), [`plan()`] (what the controller decides, and why) and [`step`] (what it does for one builder).

pub mod attempt;
pub mod budget;
pub mod build;
pub mod builder;
pub mod calls;
pub mod chroot;
pub mod condition;
pub mod console;
pub mod drift;
pub mod fleet;
mod glob;
pub mod hook;
pub mod id;
pub mod intent;
pub mod launch_history;
pub mod mark;
pub mod name;
pub mod nearest;
pub mod offering;
pub mod plan;
pub mod quantity;
pub mod reason;
pub mod repository_address;
pub mod reuse;
pub mod shortage;
pub mod step;
pub mod stray;
pub mod time;

pub use attempt::{AttemptState, Blame, is_same_end};
pub use build::BuildState;
pub use builder::BuilderState;
pub use chroot::ChrootDefinition;
pub use condition::Condition;
pub use drift::{Drift, Lacks};
pub use glob::Glob;
pub use id::{AttemptId, BuildId, BuilderId, Epoch, FleetId, LaunchId, PackageId, ProjectId, UserId};
pub use launch_history::LaunchHistory;
pub use name::{ChrootName, DirectoryName, InvalidName, OwnerName, PackageName, PoolName, ProjectName};
pub use offering::{Market, Offering};
pub use plan::plan;
pub use repository_address::{RepositoryAddress, RepositoryPlace};
pub use reuse::{AfterUse, Sandbox, UseEnd, Used, is_looked_at};
pub use shortage::Shortage;
pub use step::{launch::LaunchAnswer, sight::InstanceState};
pub use time::Timestamp;
